"""Data sets, where PyTorch's scripts look for them."""

from ...data.datasets import Dataset, Subset, TensorDataset, random_split

__all__ = ["Dataset", "Subset", "TensorDataset", "random_split"]
