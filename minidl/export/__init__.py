"""Models in other forms: C, ONNX, PyTorch. What is here is read when it is asked for."""
