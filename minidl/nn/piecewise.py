"""The activations of straight pieces."""
from __future__ import annotations

import numpy as np

from .. import functional
from ..autograd.parameter import Parameter
from .activations import Activation
from .module import Module

__all__ = ["Hardsigmoid", "Hardswish", "Hardtanh", "PReLU", "ReLU6", "Threshold"]


class Hardtanh(Activation):
    """x within [min_val, max_val], else the nearer of these. ValueError unless min_val < max_val."""

    operation = functional.hardtanh

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: expected min_val below max_val, got {min_val} and {max_val}")
        self.settings = {"min_val": float(min_val), "max_val": float(max_val)}


class ReLU6(Activation):
    """min(max(0, x), 6) (Krizhevsky 2010)."""

    operation = functional.relu6

    def __init__(self, inplace: bool = False):
        super().__init__()


class Hardsigmoid(Activation):
    """min(max(0, x + 3), 6) / 6 (Courbariaux et al. 2015, in PyTorch's proportions)."""

    operation = functional.hardsigmoid

    def __init__(self, inplace: bool = False):
        super().__init__()


class Hardswish(Activation):
    """x min(max(0, x + 3), 6) / 6 (Howard et al. 2019)."""

    operation = functional.hardswish

    def __init__(self, inplace: bool = False):
        super().__init__()


class Threshold(Module):
    """x where it is above ``threshold``, else ``value``."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        self.threshold, self.value = float(threshold), float(value)

    def forward(self, x):
        return functional.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"


class PReLU(Module):
    """x where it is above zero, else weight x, with a trained weight (He et al. 2015).

    num_parameters : 1, or the number of channels, x's axis 1, for a weight each. init : the first value of each.
    dtype : np.float32 or np.float64.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype=None):
        if not isinstance(num_parameters, (int, np.integer)) or num_parameters < 1:
            raise ValueError(f"PReLU: expected num_parameters to be a positive integer, got {num_parameters!r}")
        self.num_parameters, self.init = int(num_parameters), init
        dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.full(num_parameters, init, dtype), "weight")

    def forward(self, x):
        if x.dtype != self.weight.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.weight.dtype}, got {x.dtype}")
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
