"""Composed: a row whose value has a kernel, and whose derivatives are those of the same value in operations."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..arrays import FLOATS
from ..autograd.gradients import grad
from ..autograd.tape import recording, recording_on_tape
from ..autograd.tensor import Tensor
from .elementwise import zeros_like
from .operation import ALL_INPUTS, Operation, no_derivative
from .shapes import reshape


class Composed(Operation):
    """An operation that ``composed(*inputs, **settings)`` computes with operations, but for rounding.

    It serves for second derivatives: the derivative of such a row is slow, but exact, and can be taken again.
    """

    def __init__(self, name: str, value: Callable, composed: Callable, arity: int, *, settings=(),
                 views: bool = False):
        super().__init__(name, value, *[no_derivative] * arity, settings=settings, views=views,
                         reads=(ALL_INPUTS,) * arity)
        self.composed, self.common, self.constants = composed, self._all, ()
        self.derivatives = tuple([_number(i) for i in range(arity)])

    def _all(self, u, _, *inputs, **settings) -> list:
        """The derivatives for all inputs, in arrays where u is one."""
        given = isinstance(u, Tensor)
        again = given and recording()
        with recording_on_tape(True):
            starts = [_start(x, again) for x in inputs]
            y = self.composed(*starts, **settings)
            floats = [x for x in starts if isinstance(x, Tensor) and x.dtype in FLOATS]
            u = u if given else Tensor(np.ascontiguousarray(u))
            if not y.requires_grad:
                rest: Iterator = iter([None] * len(floats))
            else:
                rest = iter(grad(y, floats, u, create_graph=again, retain_graph=again, allow_unused=True))
        gradients = [next(rest) if isinstance(x, Tensor) and x.dtype in FLOATS else None for x in starts]
        gradients = [zeros_like(x) if dx is None and isinstance(x, Tensor) else dx
                     for dx, x in zip(gradients, starts, strict=True)]
        return gradients if given else [dx if dx is None else dx.detach().numpy() for dx in gradients]


def _number(i: int) -> Callable:
    return lambda u, gradients, *inputs, **settings: gradients[i]


def _start(x, again: bool):
    """Where the composition begins for an input: itself by another name, or a leaf if nobody differentiates again."""
    if isinstance(x, np.ndarray):
        return Tensor(x, requires_grad=x.dtype in FLOATS)
    if not isinstance(x, Tensor):
        return x
    if again and x.requires_grad:
        return reshape(x, x.shape)
    return x.detach().requires_grad_(x.dtype in FLOATS)
