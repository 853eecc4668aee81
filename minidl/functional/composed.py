"""Activations written with operations: a value, its derivative, and what both take from one computation."""
from __future__ import annotations

from collections.abc import Callable

from ..arrays import FLOATS, unsupported
from .elementwise import zeros_like
from .operation import Operation


def composed(name: str, value: Callable, derivative: Callable, /, *, inplace: bool = False, **defaults) -> Operation:
    """An operation of one input x: ``value(x, ...)`` gives (y, saved), ``derivative(g, saved, x, ...)`` dx.

    Both are written with operations, so that arrays, Tensors and recorded steps run them alike; both get the
    settings, of which ``defaults`` has the names in PyTorch's order. TypeError unless x is of floats.
    """
    def run(x, **settings):
        if not hasattr(x, "dtype") or x.dtype not in FLOATS:
            raise unsupported(name, x)
        return value(x, **{**defaults, **settings})

    def gradient(g, saved, x, **settings):
        return derivative(g, saved, x, **{**defaults, **settings})

    return Operation(name, run, gradient, settings=(*defaults, *(["inplace"] if inplace else [])), reads=("0",),
                     saves=True)


def gate(name: str, value: Callable) -> Operation:
    """``value(g, x, ...)``, linear in g: a derivative whose slope is constant between the kinks of x."""
    def passed(u, saved, g, x, **settings):
        return operation(u, x, **settings)

    operation = Operation(
        name, lambda g, x, **settings: (value(g, x, **settings), None), passed,
        lambda u, saved, g, x, **settings: zeros_like(x), reads=("1", ""), saves=True)
    return operation
