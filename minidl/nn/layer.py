"""Layer: a module whose kernels are bound to the arrays of its parameters.

Taking an array into a kernel costs a small layer as much as its product. So a kernel object takes the arrays of
``weight`` and ``bias``, and of their gradients, once; each call only compares them. It refuses all else: other arrays,
a vector, a stack of matrices, a wrong shape. Then the arrays are bound again, an error says what is wrong, or the
method's own text runs. That text is the specification, and gives the same bits.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tape import modified
from ..autograd.tensor import Tensor
from .module import Module

REFUSALS = (AttributeError, IndexError, TypeError, ValueError)  # how a kernel object refuses, or that there is none yet


def bound_forward(method: Callable) -> Callable:
    """``method``, the forward(x) of a Layer, computed by the bound kernels where they take x."""
    @functools.wraps(method)
    def forward(self, x):
        try:
            bias = self.bias
            y = self._kernels.forward(x, self.weight._data, None if bias is None else bias._data)
        except REFUSALS:
            y = None
        if y is not None:
            self.saved = x
            return y
        if isinstance(x, Tensor):  # super().forward(x) of a subclass that is written with Tensors
            return self.recorded((x,), next(c for c in type(self).__mro__ if vars(c).get("forward") is forward))
        self.check_parameters()
        if self._bind():
            return forward(self, x)
        self.check_input(x)
        self._kernels.version = self.weight.status.version
        return method(self, aligned(x))

    return forward


def bound_backward(method: Callable) -> Callable:
    """``method(gradient, needs_dx)`` of a Layer, which adds to the parameters' gradients and gives dx where it is
    needed, computed by the bound kernels where they take the gradient."""
    @functools.wraps(method)
    def backward(self, gradient, needs_dx):
        try:
            bias = self.bias
            dx = self._kernels.backward(
                self.saved, gradient, self.weight._data, None if bias is None else bias._data, needs_dx)
        except REFUSALS:
            dx = None
        if dx is not None:
            return dx
        x = self.require_saved()
        self.check_parameters()
        self._check_unchanged(needs_dx)
        if self._bind():
            return backward(self, gradient, needs_dx)
        self.check_gradient(gradient, self.output_shape(x), x.dtype)
        return method(self, aligned(gradient), needs_dx)

    return backward


def on_tensors(method: Callable) -> Callable:
    """``method``, the expressed(x) of a Layer, with errors that name the layer."""
    @functools.wraps(method)
    def expressed(self, x):
        weight = self.weight
        if not isinstance(weight, Parameter) or weight._data.shape != self.weight_shape():
            self.check_parameters()
        try:
            return method(self, x)
        except (AttributeError, TypeError, ValueError):
            self.check_parameters()
            self.check_input(x._data)
            return method(self, x.clone())  # in memory that is aligned

    return expressed


def aligned(x: np.ndarray) -> np.ndarray:
    """x, or a copy of it where its elements are not aligned, as in a field of a packed record."""
    if x.flags.aligned and not any(stride % x.itemsize for stride in x.strides):
        return x
    return np.array(x, order="C")


class Layer(Module):
    """A module with a ``weight`` and a ``bias``, or None, and kernels for both.

    A subclass defines ``bind``, ``weight_shape``, ``bias_shape``, ``output_shape`` and ``check_input``, and decorates
    its methods with ``bound_forward``, ``bound_backward`` and ``on_tensors``. What ``bind`` returns is called as

        forward(x, weight, bias)                      -> y
        backward(x, dy, weight, bias, needs_dx)       -> dx, or True where it is not needed

    with the layer's present arrays, and returns None where it is bound to others. It holds ``weight``, ``bias`` and
    their statuses, and ``version``, that of the weight in the last forward.
    """

    weight: Any
    bias: Any
    _kernels: Any = None  # bound to the arrays that the parameters had when they were last used
    bind: Callable  # (weight, bias, dweight, dbias, weight_status, bias_status) -> the kernels of these arrays

    def weight_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    def bias_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    def output_shape(self, x: np.ndarray) -> tuple[int, ...]:
        """The shape of the output for an input that fits."""
        raise NotImplementedError

    def check_input(self, x) -> None:
        """Raise TypeError unless x is an array of the weight's dtype; a subclass checks the shape, too."""
        dtype = self.weight.dtype
        if not isinstance(x, np.ndarray) or x.dtype != dtype:
            raise TypeError(f"{self}: expected input of dtype {dtype}, got {getattr(x, 'dtype', type(x).__name__)}")

    def check_parameters(self) -> None:
        """Raise unless ``weight`` and ``bias`` are what the kernels take: they may have been replaced, or deleted.

        AttributeError for one that is missing, TypeError for what is no Parameter and for dtypes that
        differ or have no kernels, ValueError for another shape and for a gradient that is read-only.
        """
        for name, shape in (("weight", self.weight_shape()), ("bias", self.bias_shape())):
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

    def _bind(self) -> bool:
        """Bind the kernels to the parameters' arrays; False if they are bound to these already."""
        weight, bias, kernels = self.weight, self.bias, self._kernels
        data, grad, status = (None, None, None) if bias is None else (bias._data, bias._grad, bias.status)
        if kernels is not None and kernels.weight is weight._data and kernels.bias is data:
            return False
        self._kernels = type(self).bind(weight._data, data, weight._grad, grad, weight.status, status)
        if kernels is not None:  # the arrays moved: a backward may be due
            self._kernels.version = kernels.version
        return True

    def _check_unchanged(self, needs_dx: bool) -> None:
        """RuntimeError if the parameters are others than forward's, or a weight that dx is made of has changed."""
        kernels = self._kernels
        for name, status in (("weight", kernels.weight_status), ("bias", kernels.bias_status)):
            parameter = getattr(self, name)
            if status is not (None if parameter is None else parameter.status):
                raise RuntimeError(f"{self}: {name} was replaced between forward and backward")
        if needs_dx and kernels.version != self.weight.status.version:
            raise modified(
                f"{self}: weight of shape {self.weight.shape}", self.weight.status.version, kernels.version)

    def is_trained(self) -> bool:
        return self.weight.status.requires_grad or (self.bias is not None and self.bias.status.requires_grad)

    def has_parameters(self) -> bool:
        return True
