"""Linear: y = x Wᵀ + b."""
from __future__ import annotations

import math

import numpy as np

from .. import arrays
from ..tensor import Parameter
from . import init
from .module import Module


class Linear(Module):
    """A fully connected layer: (..., in_features) -> (..., out_features).

        y = x Wᵀ + b        dx = dy W        dW = dyᵀ x        db = Σ_n dy_n

    W (out, in) and b (out,) begin uniform in ±1/√in, as in PyTorch; nn.init has the reports' ways.
    W lies in memory as (in, out). backward() adds to ``weight.grad`` and ``bias.grad`` until they are
    cleared: a batch sample by sample gives the bits of the batch at once.

    bias : False leaves b out.
    dtype : np.float32 or np.float64.
    generator : a seed or a numpy.random.Generator; by default minidl's own stream.

    Raises ValueError for features below 1 and inputs of another width, TypeError for another dtype,
    RuntimeError for a backward before a forward.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype=None, *, generator=None):
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"Linear: expected {name} to be a positive integer, got {value!r}")
        self.in_features, self.out_features = int(in_features), int(out_features)
        dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.zeros((out_features, in_features), dtype), "weight", order="F")
        self.bias = Parameter(np.zeros(out_features, dtype), "bias") if bias else None
        bound = 1 / math.sqrt(in_features)
        init.uniform_(self.weight, -bound, bound, generator=generator)
        if bias:
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (..., in) -> y (..., out). A vector is one sample."""
        weight = self.weight._data
        if not isinstance(x, np.ndarray) or x.dtype != weight.dtype:
            came = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(f"{self}: expected input of dtype {weight.dtype}, got {came}")
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: expected input of shape (N, {self.in_features}), got {x.shape}")
        self.saved = rows = x if x.ndim == 2 else x.reshape(-1, self.in_features)
        y = arrays.linear(rows, weight, None if self.bias is None else self.bias._data)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], self.out_features)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """dy (..., out) -> dx (..., in); dW and db are added to the parameters' gradients."""
        dy = self._add_gradients(gradient)
        dx = arrays.linear_input_gradient(dy, self.weight._data)
        return dx if gradient.ndim == 2 else dx.reshape(*gradient.shape[:-1], self.in_features)

    def accumulate(self, gradient: np.ndarray) -> None:
        """dW and db alone: without dx, a third of the work is saved."""
        self._add_gradients(gradient)

    def _add_gradients(self, gradient: np.ndarray) -> np.ndarray:
        x = self.require_saved()
        if not isinstance(gradient, np.ndarray) or gradient.dtype != x.dtype:
            came = gradient.dtype if isinstance(gradient, np.ndarray) else type(gradient).__name__
            raise TypeError(f"{self}: expected gradient of dtype {x.dtype}, got {came}")
        dy = gradient if gradient.ndim == 2 else gradient.reshape(-1, gradient.shape[-1] if gradient.ndim else 1)
        if dy.shape != (len(x), self.out_features):
            raise ValueError(
                f"{self}: expected gradient of shape ({len(x)}, {self.out_features}), got {gradient.shape}")
        arrays.add_weight_gradient(x, dy, self.weight._grad)
        if self.bias is not None:
            arrays.add_column_sum(dy, self.bias._grad)
        return dy

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{', bias=False' if self.bias is None else ''}"
