"""Linear: y = x Wᵀ + b."""
from __future__ import annotations

import math
from typing import Any

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

    _kernels: Any = None  # bound to the arrays that the parameters had when they were last used

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
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (..., in) -> y (..., out). A vector is one sample."""
        # The kernel refuses what does not fit; only then is it looked at more closely.
        bias = self.bias
        try:
            y = self._kernels.forward(x, self.weight._data, None if bias is None else bias._data)
        except (AttributeError, IndexError, TypeError, ValueError):
            y = None
        if y is None:
            return self._forward_other(x)
        self.saved = x
        return y

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """dy (..., out) -> dx (..., in); dW and db are added to the parameters' gradients."""
        return self._backward(gradient, True)

    def accumulate(self, gradient: np.ndarray) -> None:
        """dW and db alone: without dx, a third of the work is saved."""
        self._backward(gradient, False)

    def _backward(self, gradient: np.ndarray, wanted: bool):
        """dW += dyᵀ x and db += Σ dy; dx if it is wanted."""
        bias = self.bias
        try:
            dx = self._kernels.backward(
                self.saved, gradient, self.weight._data, None if bias is None else bias._data, wanted)
        except (AttributeError, TypeError, ValueError):
            dx = None
        if dx is None:
            return self._backward_other(gradient, wanted)
        self.weight.status.has_grad = True
        if bias is not None:
            bias.status.has_grad = True
        return dx

    def _rebound(self) -> bool:
        """Bind the kernels to the parameters' arrays; False if they are so already, or these do not fit."""
        weight, bias = self.weight, self.bias
        try:
            data, grad = (None, None) if bias is None else (bias._data, bias._grad)
            if self._kernels is not None and self._kernels.weight is weight._data and self._kernels.bias is data:
                return False
            self._kernels = arrays.layer(weight._data, data, weight._grad, grad)
        except (AttributeError, KeyError, TypeError, ValueError):
            return False
        return True

    def _forward_other(self, x) -> np.ndarray:
        """A vector, a stack of matrices, or what lies oddly; an error for all else."""
        if self._rebound():
            return self.forward(x)
        dtype = self.weight.dtype
        if not isinstance(x, np.ndarray) or x.dtype != dtype:
            raise TypeError(f"{self}: expected input of dtype {dtype}, got {getattr(x, 'dtype', type(x).__name__)}")
        if x.ndim and any(stride % x.itemsize for stride in x.strides):  # a field of a packed record
            return self.forward(np.ascontiguousarray(x))
        if not x.ndim or x.ndim == 2 or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: expected input of shape (N, {self.in_features}), got {x.shape}")
        y = self.forward(x.reshape(math.prod(x.shape[:-1]), self.in_features))
        return y.reshape(*x.shape[:-1], self.out_features)

    def _backward_other(self, gradient, wanted: bool):
        """The same for a vector or a stack of matrices; an error for all else."""
        x = self.require_saved()
        if self._rebound():
            return self._backward(gradient, wanted)
        dx = self._backward(self._gradient_rows(gradient, x), wanted)
        return dx.reshape(*gradient.shape[:-1], self.in_features) if wanted else dx

    def _gradient_rows(self, gradient, x: np.ndarray) -> np.ndarray:
        """The gradient of a vector or a stack as a matrix; an error for all else."""
        shape = (len(x), self.out_features)
        if isinstance(gradient, np.ndarray) and gradient.ndim not in (0, 2) and gradient.size == math.prod(shape):
            rows = gradient.reshape(-1, gradient.shape[-1])
            self.check_gradient(rows, shape, x.dtype)
            return rows
        self.check_gradient(gradient, shape, x.dtype)
        raise AssertionError("the kernel refused a gradient that fits")

    def has_parameters(self) -> bool:
        return True

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{', bias=False' if self.bias is None else ''}"
