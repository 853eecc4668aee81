"""Linear: y = x Wᵀ + b."""
from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from .. import arrays
from ..autograd.parameter import Parameter
from ..autograd.tape import modified
from ..autograd.tensor import Tensor
from ..functional import linear
from . import init
from .module import Module


class Linear(Module):
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
    foldable = True  # its outputs are linear in weight, whose first axis they are, and bias
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
        try:
            bias = self.bias
            y = self._kernels.forward(x, self.weight._data, None if bias is None else bias._data)
        except (AttributeError, IndexError, TypeError, ValueError):
            y = None
        if y is None:
            return self._forward_other(x)
        self.saved = x
        return y

    def expressed(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if not isinstance(weight, Parameter) or weight._data.shape != (self.out_features, self.in_features):
            self.check_parameters()
        try:
            return linear(x, weight, bias)
        except (AttributeError, TypeError, ValueError):
            self.check_parameters()
            self._check_input(x._data)
            return linear(x.clone(), weight, bias)  # which lies as the kernels need it

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """dy (..., out) -> dx (..., in); dW and db are added to the gradients of the parameters that are trained."""
        return self._backward(gradient, True)

    def accumulate(self, gradient: np.ndarray) -> None:
        """dW and db alone: without dx, a third of the work is saved."""
        self._backward(gradient, False)

    def _backward(self, gradient: np.ndarray, wanted: bool):
        """dW += dyᵀ x and db += Σ dy; dx if it is wanted."""
        try:
            bias = self.bias
            dx = self._kernels.backward(
                self.saved, gradient, self.weight._data, None if bias is None else bias._data, wanted)
        except (AttributeError, TypeError, ValueError):
            dx = None
        return self._backward_other(gradient, wanted) if dx is None else dx

    def _rebound(self) -> bool:
        """Bind the kernels to the parameters' arrays; False if they are so already, or these do not fit."""
        weight, bias, kernels = self.weight, self.bias, self._kernels
        try:
            data, grad, status = (None, None, None) if bias is None else (bias._data, bias._grad, bias.status)
            if kernels is not None and kernels.weight is weight._data and kernels.bias is data:
                return False
            self._kernels = arrays.layer(weight._data, data, weight._grad, grad, weight.status, status)
        except (AttributeError, KeyError, TypeError, ValueError):
            return False
        if kernels is not None:  # the arrays moved: a backward may be due
            self._kernels.version = kernels.version
        return True

    def _forward_other(self, x):
        """A Tensor, a vector, a stack of matrices, or what lies oddly; an error for all else."""
        if isinstance(x, Tensor):
            return self.recorded((x,), Linear)
        self.check_parameters()
        forward = partial(Linear.forward, self)  # a derived class may have one of its own
        if self._rebound():
            return forward(x)
        self._check_input(x)
        if _lies_oddly(x):
            return forward(np.array(x, order="C"))
        if x.ndim == 2:
            raise AssertionError("the kernel refused an input that fits")
        y = forward(x.reshape(math.prod(x.shape[:-1]), self.in_features))
        return y.reshape(*x.shape[:-1], self.out_features)

    def _check_input(self, x) -> None:
        """TypeError or ValueError unless x is an array of the weight's dtype and width."""
        dtype = self.weight.dtype
        if not isinstance(x, np.ndarray) or x.dtype != dtype:
            raise TypeError(f"{self}: expected input of dtype {dtype}, got {getattr(x, 'dtype', type(x).__name__)}")
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: expected input of shape (N, {self.in_features}), got {x.shape}")

    def _backward_other(self, gradient, wanted: bool):
        """The same for a vector, a stack of matrices, or what lies oddly; an error for all else."""
        x = self.require_saved()
        self.check_parameters()
        self._check_unchanged(wanted)
        if self._rebound():
            return self._backward(gradient, wanted)
        dx = self._backward(self._gradient_rows(gradient, x), wanted)
        return dx.reshape(*gradient.shape[:-1], self.in_features) if wanted else dx

    def _check_unchanged(self, wanted: bool) -> None:
        """RuntimeError if the parameters are others than forward's, or a weight that dx is made of has changed."""
        kernels = self._kernels
        for name, status in (("weight", kernels.weight_status), ("bias", kernels.bias_status)):
            parameter = getattr(self, name)
            if status is not (None if parameter is None else parameter.status):
                raise RuntimeError(f"{self}: {name} was replaced between forward and backward")
        if wanted and kernels.version != self.weight.status.version:
            raise modified(
                f"{self}: weight of shape {self.weight.shape}", self.weight.status.version, kernels.version)

    def _gradient_rows(self, gradient, x: np.ndarray) -> np.ndarray:
        """The gradient of a vector or a stack as a matrix, or of what lies oddly as a copy; an error for all else."""
        shape = (len(x), self.out_features)
        if isinstance(gradient, np.ndarray) and gradient.size == math.prod(shape):
            if gradient.dtype == x.dtype and _lies_oddly(gradient):
                gradient = np.array(gradient, order="C")
                if gradient.shape == shape:
                    return gradient
            if gradient.ndim not in (0, 2):
                gradient = gradient.reshape(-1, gradient.shape[-1])
                self.check_gradient(gradient, shape, x.dtype)
                return gradient
        self.check_gradient(gradient, shape, x.dtype)
        raise AssertionError("the kernel refused a gradient that fits")

    def check_parameters(self) -> None:
        """Raise unless ``weight`` and ``bias`` are what the kernels take: they may have been replaced, or deleted.

        AttributeError for one that is missing, TypeError for what is no Parameter and for dtypes that
        differ or have no kernels, ValueError for another shape and for a gradient that is read-only.
        """
        shapes = {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}
        for name, shape in shapes.items():
            if not hasattr(self, name):
                raise AttributeError(f"{self}: has no parameter {name!r} any more")
            parameter = getattr(self, name)
            if parameter is None and name == "bias":
                continue
            if not isinstance(parameter, Parameter):
                came = "None" if parameter is None else repr(type(parameter).__name__)
                expected = "Parameter" if name == "weight" else "Parameter or None"
                raise TypeError(f"{self}: cannot use {came} as parameter {name!r} ({expected} expected)")
            if parameter.shape != shape:
                raise ValueError(f"{self}: expected {name} of shape {shape}, got {parameter.shape}")
            if parameter.dtype != self.weight.dtype:
                raise TypeError(f"{self}: expected {name} of dtype {self.weight.dtype}, got {parameter.dtype}")
            if not parameter.gradient.flags.writeable:
                raise ValueError(f"{self}: the gradient of {name} is read-only")

    reads = property(lambda self: "x" if self.weight.requires_grad else "")

    def read_parameters(self, asked: bool) -> list[Parameter]:
        return [self.weight] if asked else []

    def is_trained(self) -> bool:
        return self.weight.status.requires_grad or (self.bias is not None and self.bias.status.requires_grad)

    def has_parameters(self) -> bool:
        return True

    def extra_repr(self) -> str:
        bias = ", bias=False" if getattr(self, "bias", self) is None else ""
        return f"{self.in_features}, {self.out_features}{bias}"


def _lies_oddly(x: np.ndarray) -> bool:
    """Whether its elements are not where an element of its size may be: a field of a packed record, for one."""
    return not x.flags.aligned or any(stride % x.itemsize for stride in x.strides)
