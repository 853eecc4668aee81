"""Applied: an operation as a node of the tape, and how its derivatives run, on arrays or on Tensors."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import arrays
from ..autograd.parameter import Parameter
from ..autograd.tape import Node, serial
from ..autograd.tensor import Tensor

ndarray = np.ndarray  # as one name, which is looked up at each call


class Applied(Node):
    """An operation on the tape.

    ``applied``: the operation, its inputs, their arrays, the settings, and what the value saved: of arrays and of
    Tensors, None where there is none. ``positions``: those of the inputs that require a gradient.
    """

    __slots__ = ("applied", "positions")
    name: Any = property(lambda self: self.applied[0].name)
    parameters: Any = staticmethod(list)  # none: the operation itself says what is added to them

    def __init__(self, applied: tuple, positions: list[int], inputs: list[Tensor], read: list[tuple]):
        self.serial, self.applied, self.positions = next(serial), applied, positions
        self.inputs, self.read = inputs, read

    def gradients(self, g: np.ndarray, needs_grad: Sequence[bool] | None) -> list:
        operation, _, values, settings, saved, _ = self.applied
        if saved is None and operation.saves:
            _, saved = operation.value(*values, **settings)
        if operation.adds and needs_grad is None:
            needs_grad = self._add_to_parameters(g, saved, values)
        derivative = operation.derivative
        if operation.common is not None:
            saved, derivative = operation.common(g, saved, *values, **settings), operation.derivatives.__getitem__
        found: list = []
        for n, i in enumerate(self.positions):
            if needs_grad is None or needs_grad[n]:
                dx, x = derivative(i)(g, saved, *values, **settings), values[i]
                if type(dx) is not ndarray or dx.shape != x.shape or dx.dtype is not x.dtype:
                    dx = np.asarray(unbroadcast(dx, x))
                found.append(dx)
            else:
                found.append(None)
        return found

    def gradients_of_tensors(self, g: Tensor, output: Tensor, needs_grad: Sequence[bool] | None, add: bool) -> list:
        operation, sources, _, settings, _, saved = self.applied
        y = output
        if operation.saves:
            y = saved
            if y is None:
                _, y = operation.value(*sources, **settings)
        if operation.adds and add and needs_grad is None:
            needs_grad = self._add_to_parameters(g, y, sources)
        derivative = operation.derivative
        if operation.common is not None:
            y, derivative = operation.common(g, y, *sources, **settings), operation.derivatives.__getitem__
        return [unbroadcast(derivative(i)(g, y, *sources, **settings), x)
                if x.requires_grad and (needs_grad is None or needs_grad[n]) else None
                for n, (i, x) in enumerate(zip(self.positions, self.inputs, strict=True))]

    def _add_to_parameters(self, g, y, values: Sequence) -> list[bool]:
        """Add to the gradients of Parameters what can be added in place; which gradients are still needed."""
        operation, settings = self.applied[0], self.applied[3]
        totals: list = [None] * len(values)
        needs_grad = []
        for i, x in zip(self.positions, self.inputs, strict=True):
            if isinstance(x, Parameter) and i in operation.adds:
                needs_grad.append(False)
                if x.requires_grad:  # it may have been frozen since
                    totals[i] = x
            else:
                needs_grad.append(True)
        operation.add_all(totals, g, y, *values, **settings)
        return needs_grad

    def free(self) -> None:
        self.inputs = self.read = None
        self.applied = self.applied[:1]  # for its name


def summed(x, dim=None, keepdim: bool = False):
    """The sum of an array or a Tensor, along axes or over all: in the same order for both."""
    if isinstance(x, Tensor):
        return x.sum(dim, keepdim)
    return np.asarray(arrays.summed(np.asarray(x), dim, keepdim))


def unbroadcast(g, x):
    """g in x's dtype, summed over the axes along which x was broadcast; arrays or Tensors."""
    if g.shape != x.shape:
        if g.ndim > x.ndim:
            g = summed(g, tuple(range(g.ndim - x.ndim)))
        spread = tuple(i for i, n in enumerate(x.shape) if n == 1 and g.shape[i] != 1)
        if spread:
            g = summed(g, spread, True)
        if g.shape != x.shape:
            raise ValueError(f"a derivative gave shape {g.shape} for an input of shape {x.shape}")
    if g.dtype == x.dtype:
        return g
    return g.to(x.dtype) if isinstance(g, Tensor) else g.astype(x.dtype)
