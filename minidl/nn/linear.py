"""Linear: y = x Wᵀ + b."""
from __future__ import annotations

import math

import numpy as np

from .. import arrays
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..functional import linear
from ..functional.products import linear_bias_gradient, linear_input_gradient, linear_weight_gradient
from . import init
from .layer import Layer, bound_backward, bound_forward, on_tensors


class Linear(Layer):
    """A fully connected layer: (..., in_features) -> (..., out_features).

        y = x Wᵀ + b        dx = dy W        dW = dyᵀ x        db = Σ_n dy_n

    W (out, in) and b (out,) begin uniform in ±1/√in, as in PyTorch; nn.init has the reports' ways.
    W lies in memory as (in, out). backward() adds to ``weight.grad`` and ``bias.grad`` until they are
    cleared: a batch sample by sample gives the bits of the batch at once. It leaves out what is frozen
    (``requires_grad = False``).

    bias : False leaves b out.
    dtype : np.float32 or np.float64.
    generator : a seed or a numpy.random.Generator; by default minidl's own stream.

    Raises ValueError for features below 1 and inputs of another width, TypeError for another dtype,
    RuntimeError for a backward before a forward, or after W changed since that.
    """

    takes_tensors = True
    bind = staticmethod(arrays.layer)
    foldable = True  # its outputs are linear in weight, whose first axis they are, and bias

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

    @bound_forward
    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (..., in) -> y (..., out). A vector is one sample."""
        W, b = self.weight, self.bias
        y = linear(x, W._data, None if b is None else b._data)  # y = x Wᵀ + b
        self.saved = x
        return y

    @on_tensors
    def expressed(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """dy (..., out) -> dx (..., in); dW and db are added to the gradients of the parameters that are trained."""
        return self._backward(gradient, True)

    def accumulate(self, gradient: np.ndarray) -> None:
        """dW and db alone: without dx, a third of the work is saved."""
        self._backward(gradient, False)

    @bound_backward
    def _backward(self, dy: np.ndarray, needs_dx: bool):
        x, W, b = self.saved, self.weight, self.bias
        if W.requires_grad:
            linear_weight_gradient.add_to(W, dy, x)  # dW += dyᵀ x
        if b is not None and b.requires_grad:
            linear_bias_gradient.add_to(b, dy)  # db += Σ_n dy_n
        return linear_input_gradient(dy, W._data) if needs_dx else None  # dx = dy W

    def weight_shape(self) -> tuple[int, ...]:
        return self.out_features, self.in_features

    def bias_shape(self) -> tuple[int, ...]:
        return self.out_features,

    def output_shape(self, x: np.ndarray) -> tuple[int, ...]:
        return *x.shape[:-1], self.out_features

    def check_input(self, x) -> None:
        super().check_input(x)
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: expected input of shape (N, {self.in_features}), got {x.shape}")

    reads = property(lambda self: "x" if self.weight.requires_grad else "")

    def read_parameters(self, input_requires_grad: bool) -> list[Parameter]:
        return [self.weight] if input_requires_grad else []

    def extra_repr(self) -> str:
        bias = ", bias=False" if getattr(self, "bias", self) is None else ""
        return f"{self.in_features}, {self.out_features}{bias}"
