"""Modules that move elements or leave them where they are."""
from __future__ import annotations

import math

import numpy as np

from ..autograd.tensor import Tensor
from ..functional import zero_pad2d
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
        self._flat(x.shape)
        return x.flatten(self.start_dim, self.end_dim)

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


class Unflatten(Module):
    """The axis ``dim`` as several, of the lengths unflattened_size: rows (N, 784) become images (N, 1, 28, 28).

    One of the lengths may be -1. Raises ValueError for lengths that do not make up the axis.
    """

    def __init__(self, dim: int, unflattened_size):
        self.dim, self.unflattened_size = int(dim), tuple(int(n) for n in unflattened_size)
        if not self.unflattened_size or sum(n == -1 for n in self.unflattened_size) > 1:
            raise ValueError(f"Unflatten: expected lengths of which one at most is -1, got {unflattened_size!r}")

    def forward(self, x):
        """x with more axes."""
        dim = self.dim + x.ndim if self.dim < 0 else self.dim
        if not 0 <= dim < x.ndim:
            raise ValueError(f"{self}: expected an input that has this axis, got shape {x.shape}")
        known = math.prod(n for n in self.unflattened_size if n != -1)
        fits = x.shape[dim] % known == 0 if -1 in self.unflattened_size and known else x.shape[dim] == known
        if not fits:
            raise ValueError(f"{self}: expected an axis of these lengths, got shape {x.shape}")
        return x.reshape(*x.shape[:dim], *self.unflattened_size, *x.shape[dim + 1:])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class ZeroPad2d(Module):
    """Zeros around images (N, C, H, W) or (C, H, W).

    padding : a number for all sides, or (left, right, top, bottom); those below zero cut off.
    Raises ValueError for other paddings and shapes, and where nothing is left; TypeError for what are no floats.
    """

    def __init__(self, padding):
        self.padding = (padding,) * 4 if isinstance(padding, (int, np.integer)) else tuple(padding)
        if len(self.padding) != 4 or any(not isinstance(n, (int, np.integer)) for n in self.padding):
            raise ValueError(f"ZeroPad2d: expected padding as an integer or four of them, got {padding!r}")

    def forward(self, x):
        """The padded images."""
        return zero_pad2d(x, self.padding)

    def extra_repr(self) -> str:
        return f"{self.padding}"
