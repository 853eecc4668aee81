"""PyTorch's place for data sets and loaders: ``minidl.utils.data`` is ``minidl.data`` by that name."""

from . import data

__all__ = ["data"]
