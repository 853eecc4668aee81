"""Modules that move elements or leave them where they are."""
from __future__ import annotations

import math

import numpy as np

from .module import Module


class Identity(Module):
    """y = x."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return gradient


class Flatten(Module):
    """The axes from start_dim to end_dim as one: images (N, 28, 28) become rows (N, 784)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.saved = x.shape
        start, end = self.start_dim % x.ndim, self.end_dim % x.ndim
        return x.reshape(x.shape[:start] + (math.prod(x.shape[start:end + 1]),) + x.shape[end + 1:])

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return gradient.reshape(self.require_saved())

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
