"""An Operation is a row of a table: a value, and beside it its derivatives.

The value is a function of arrays and settings. For each input there is one derivative: the gradient
that the input receives, written on

    g           the gradient of the output
    y           the output (or what the value kept for the derivatives)
    a, b, x     the inputs, arrays or numbers
    and the settings that the value was called with.

Called with arrays an operation gives an array; with a Tensor among its inputs, a Tensor on the tape.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..tensor import Tensor, record, recording


class Operation:
    """A value and its derivatives, one for each input.

    ``settings`` names what may follow the inputs by position; ``keeps`` says that the value gives
    (y, kept).
    """

    def __init__(self, name: str, value: Callable, *derivatives: Callable, settings=(), keeps: bool = False):
        self.name, self.value, self.derivatives = name, value, derivatives
        self.settings, self.keeps = settings, keeps

    def run(self, *inputs, **settings):
        """(y, what the derivatives get as y), for arrays."""
        y = self.value(*inputs, **settings)
        return y if self.keeps else (y, y)

    def __call__(self, *inputs, **settings):
        if self.settings and len(inputs) > len(self.derivatives):
            count = len(self.derivatives)
            settings = dict(zip(self.settings, inputs[count:], strict=False), **settings)
            inputs = inputs[:count]
        if not any(isinstance(x, Tensor) for x in inputs):
            return self.run(*inputs, **settings)[0]
        values = [x.data if isinstance(x, Tensor) else _plain(x) for x in inputs]
        y, kept = self.run(*values, **settings)
        asked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        if not (asked and recording()):
            return Tensor(np.asarray(y))

        def gradients(g):
            return [self.derivatives[i](g, kept, *values, **settings) for i in asked]

        return record(self.name, np.asarray(y), [inputs[i] for i in asked], gradients)


def _plain(x):
    """NumPy's scalars as Python's, which do not widen a float32 array."""
    return x.item() if isinstance(x, np.generic) else x


def fit(g: np.ndarray, x) -> np.ndarray:
    """g, summed over the axes along which x was broadcast."""
    shape = np.shape(x)
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1), keepdims=True)
