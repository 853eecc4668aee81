"""LossOperation: a loss of an output and a target, of weights where there are some; and losses of elements."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..autograd.tensor import Tensor
from .casts import to
from .loss_sums import gradient_factor, reduced, total
from .operation import ALL, Operation, no_derivative


class LossOperation(Operation):
    """An operation of an output, a target, and the weights that ``extras`` names.

    Weights may follow the target, or be named; those that are None are left out, or are the number 1.
    """

    def __init__(self, name: str, value: Callable, *derivatives: Callable, extras: tuple[str, ...] = ()):
        self.extras = extras
        super().__init__(name, value, *derivatives, *[no_derivative] * len(extras), saves=True,
                         reads=(*[ALL] * len(derivatives), *[""] * len(extras)), arity=2 + len(extras))

    def __call__(self, z, t, *given, **settings):
        if not given and settings.keys().isdisjoint(self.extras):
            return self.of_tensors((z, t), settings) if isinstance(z, Tensor) else super().__call__(z, t, **settings)
        weights = [*given, *[settings.pop(name, None) for name in self.extras[len(given):]]]
        while weights and weights[-1] is None:
            weights.pop()
        return super().__call__(z, t, *[1.0 if weight is None else weight for weight in weights], **settings)


def in_dtype(weight, z):
    """Weights in the dtype of the output; a number as it is."""
    return to(weight, z.dtype) if hasattr(weight, "dtype") and weight.dtype != z.dtype else weight


def is_one(weight) -> bool:
    return isinstance(weight, (int, float)) and weight == 1


def weighted(x, weight):
    """x times the weight, if there is one."""
    return x if is_one(weight) else x * weight


def check_output(name: str, z: np.ndarray) -> None:
    """Raise ValueError for an output without elements."""
    if 0 in z.shape:
        raise ValueError(f"{name}: expected at least one sample, got an output of shape {z.shape}")


def check_alike(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """That there is a target for each element."""
    check_output(name, z)
    if z.shape != np.shape(t):
        raise ValueError(f"{name}: expected a target of the output's shape {z.shape}, got {np.shape(t)}")
    if z.dtype != t.dtype:
        raise TypeError(f"{name}: expected a target of the output's dtype {z.dtype}, got {t.dtype}")


def of_elements(name: str, title: str, losses: Callable, slope: Callable, target_slope: Callable, /, *,
                extras: tuple[str, ...] = (), **defaults) -> LossOperation:
    """The loss whose elements are ``losses(z, t, *weights, ...)``, and their derivatives ``slope`` and
    ``target_slope`` of the same; ``title`` is the name in messages, ``defaults`` are the settings beside the reduction.
    """
    def arranged(z, weights, settings):
        given = [in_dtype(weight, z) for weight in weights]
        return [*given, *[1.0] * (len(extras) - len(given))], {**defaults, **settings}

    def value(z, t, *weights, reduction="mean", **settings):
        check_alike(title, z, t)
        weights, settings = arranged(z, weights, settings)
        found = losses(z, t, *weights, **settings)
        if reduction == "none":
            return found, None
        return reduced(title, z, reduction, "elements", total(found)), None

    def derivative(slope):
        def gradient(g, saved, z, t, *weights, reduction="mean", **settings):
            weights, settings = arranged(z, weights, settings)
            return slope(z, t, *weights, **settings) * gradient_factor(g, z, reduction, "elements")
        return gradient

    return LossOperation(name, value, derivative(slope), derivative(target_slope), extras=extras)
