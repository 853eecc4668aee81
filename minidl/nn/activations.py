"""The activations: modules around the elementwise operations."""
from __future__ import annotations

import numpy as np

from .. import functional
from ..autograd.tensor import Tensor
from .module import Module

__all__ = ["ELU", "SELU", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


class Activation(Module):
    """y = f(x), dx = f'(x) dy: value and derivative are the operation's."""

    operation: functional.Operation
    takes_tensors = True
    reads = property(lambda self: "".join({"0": "x", "y": "y"}[name] for name in self.operation.reads[0]))

    def __init__(self) -> None:
        self.settings: dict = {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """f(x), elementwise. TypeError unless x is a float32 or float64 array."""
        settings, operation = self.settings, self.operation
        if operation.saves and isinstance(x, Tensor):  # whose value would take the Tensor apart
            return self.recorded((x,), Activation)
        try:
            y = operation.value(x, **settings) if settings else operation.value(x)
        except (AttributeError, TypeError, ValueError, RuntimeError):
            if isinstance(x, Tensor):
                return self.recorded((x,), Activation)
            raise
        if operation.saves:  # it is a composition of operations
            y, saved = y
            self.saved = x, saved
        else:
            self.saved = x, y
        return y

    def expressed(self, x: Tensor) -> Tensor:
        settings = self.settings
        return self.operation(x, **settings) if settings else self.operation(x)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient of the input, for that of the output."""
        settings, derivative = self.settings, self.operation.derivatives[0]
        try:
            x, saved = self.saved
            if self.operation.saves:  # NumPy would broadcast
                self.check_gradient(gradient, x.shape, x.dtype)
            return derivative(gradient, saved, x, **settings) if settings else derivative(gradient, saved, x)
        except (AttributeError, TypeError, ValueError):
            x, _ = self.require_saved()
            self.check_gradient(gradient, x.shape, x.dtype)
            raise

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())


_ITS_OWN = {"__class__", "__init__", "__init_subclass__", "__subclasshook__", "extra_repr"}  # no arithmetic
_METHODS = [name for name in dir(Activation) if callable(getattr(Activation, name)) and name not in _ITS_OWN]


def is_activation(module: Module) -> bool:
    """Whether it computes its class's operation and nothing else: no method of Activation is overridden."""
    kind = type(module)
    return (isinstance(module, Activation) and hasattr(kind, "operation")
            and "operation" not in vars(module) and "settings" in vars(module)
            and all([getattr(kind, name) is getattr(Activation, name) for name in _METHODS]))


class ReLU(Activation):
    """max(0, x); the derivative at 0 is 0. ``inplace`` is PyTorch's and changes nothing here."""

    operation = functional.relu

    def __init__(self, inplace: bool = False):
        super().__init__()


class LeakyReLU(Activation):
    """x where x > 0, negative_slope x elsewhere."""

    operation = functional.leaky_relu

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        self.settings = {"negative_slope": float(negative_slope)}


class ELU(Activation):
    """x where x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016)."""

    operation = functional.elu

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self.settings = {"alpha": float(alpha)}


class SELU(Activation):
    """1.0507 ELU(x) with alpha 1.6733: the constants of self-normalising networks (Klambauer et al. 2017)."""

    operation = functional.selu

    def __init__(self, inplace: bool = False):
        super().__init__()


class Sigmoid(Activation):
    """1 / (1 + e^-x), with derivative y (1 - y)."""

    operation = functional.sigmoid


class Tanh(Activation):
    """tanh x, with derivative 1 - y²."""

    operation = functional.tanh


class Softplus(Activation):
    """log(1 + e^(beta x)) / beta, a smooth ReLU (Dugas et al. 2001), and x where beta x > threshold.

    Its derivative is 1 / (1 + e^(-beta x)), and 1 above the threshold. ValueError for a beta that is not above 0.
    """

    operation = functional.softplus

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        if not beta > 0:
            raise ValueError(f"Softplus: expected beta above 0, got {beta}")
        self.settings = {"beta": float(beta), "threshold": float(threshold)}


class Softmax(Activation):
    """e^x / Σ e^x along ``dim``, by default the last axis."""

    operation = functional.softmax

    def __init__(self, dim: int = -1):
        self.settings = {"dim": dim}


class LogSoftmax(Activation):
    """x - log Σ e^x along ``dim``, by default the last axis."""

    operation = functional.log_softmax

    def __init__(self, dim: int = -1):
        self.settings = {"dim": dim}
