"""onnxruntime: inference of LeNet-5, a model that is written here byte by byte, as in rival_onnxruntime.py."""
from __future__ import annotations

import images_networks
import machine
import numpy as np
import onnxruntime
from rival_onnxruntime import FLOAT, field, node, tensor

INT, INTS = 2, 7  # types of attributes


def attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return field(5, field(1, name) + field(3, value) + field(20, INT))
    return field(5, field(1, name) + b"".join(field(8, n) for n in value) + field(20, INTS))


def port(name: str, *sizes: int) -> bytes:
    """An input or output of floats (N, *sizes)."""
    shape = field(1, field(2, "N")) + b"".join(field(1, field(1, n)) for n in sizes)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape)))


def model() -> bytes:
    """The layers one after the other; the tensors are t0 (the input), t1, t2, ..."""
    values, nodes, tensors = images_networks.weights(), [], []

    def add(operation: str, *attributes: bytes, weighted: bool = False) -> None:
        inputs = [f"t{len(nodes)}"]
        if weighted:
            for kind in "wb":
                inputs.append(f"{kind}{len(nodes)}")
                tensors.append(tensor(inputs[-1], values.pop(0)))
        nodes.append(node(operation, inputs, f"t{len(nodes) + 1}") + b"".join(attributes))

    pool, kernel = [images_networks.POOL] * 2, [images_networks.KERNEL] * 2
    for _, _, padding in images_networks.CONVOLUTIONS:
        add("Conv", attribute("kernel_shape", kernel), attribute("pads", [padding] * 4), weighted=True)
        add("Relu")
        add("MaxPool", attribute("kernel_shape", pool), attribute("strides", pool))
    add("Flatten")
    for i, _ in enumerate(images_networks.LINEARS):
        add("Gemm", attribute("transB", 1), weighted=True)
        if i < len(images_networks.LINEARS) - 1:
            add("Relu")
    graph = (b"".join(field(1, n) for n in nodes) + field(2, "lenet") + b"".join(field(5, t) for t in tensors)
             + field(11, port("t0", 1, images_networks.SIDE, images_networks.SIDE))
             + field(12, port(f"t{len(nodes)}", images_networks.CLASSES)))
    return field(1, 8) + field(8, field(1, "") + field(2, 17)) + field(7, graph)


class Session:
    """A session with as many threads as all rivals."""

    def __init__(self, size: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = machine.COUNT, 1
        self.session = onnxruntime.InferenceSession(model(), options, ["CPUExecutionProvider"])
        self.feed = {"t0": images_networks.batch(size)[0]}

    def predict(self) -> np.ndarray:
        return self.session.run(None, self.feed)[0]
