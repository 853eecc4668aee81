"""Modules that move elements or leave them where they are."""
from __future__ import annotations

import math

import numpy as np

from ..autograd.tensor import Tensor
from .module import Module


class Identity(Module):
    """y = x."""

    takes_tensors, reads = True, ""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.saved = x.shape, x.dtype
        return x

    def expressed(self, x: Tensor) -> Tensor:
        return x

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        self.check_gradient(gradient, *self.require_saved())
        return gradient


class Flatten(Module):
    """The axes from start_dim to end_dim as one: images (N, 28, 28) become rows (N, 784).

    Raises ValueError for an input that lacks these axes.
    """

    takes_tensors, reads = True, ""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = x.reshape(self._flat(x.shape))
        self.saved = x.shape, y.shape, x.dtype
        return y

    def expressed(self, x: Tensor) -> Tensor:
        return x.reshape(self._flat(x.shape))

    def _flat(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the output."""
        start, end = (dim + len(shape) if dim < 0 else dim for dim in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < len(shape):
            raise ValueError(f"{self}: expected an input that has these axes, in this order, got shape {shape}")
        return (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:])

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        input_shape, *output = self.require_saved()
        self.check_gradient(gradient, *output)
        return gradient.reshape(input_shape)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
