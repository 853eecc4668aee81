"""Dropout as a module."""
from __future__ import annotations

import numpy as np

from .. import arrays, random
from ..autograd.tensor import Tensor
from ..functional.dropout import check_probability, draw_scale, dropped
from .module import Module


class Dropout(Module):
    """Each element zero with probability p, and scaled by 1 / (1 - p) otherwise, while training.

    p = 1 drops all. In evaluation the input passes unchanged. ``generator``: a seed or a
    numpy.random.Generator from which the masks are drawn (by default minidl's own stream; fit(seed=...)
    sets one).

    Raises ValueError unless 0 <= p <= 1. Report 002, section 2.7.2; Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator=None):
        check_probability("Dropout", p)
        self.p = p
        self.generator = None if generator is None else random.generator(generator)

    def forward(self, x: np.ndarray) -> np.ndarray:
        if not (isinstance(x, np.ndarray) and x.dtype in arrays.FLOATS):
            raise arrays.unsupported(str(self), x)
        dropping = self.training and self.p > 0
        scale = self._draw(x) if dropping else None
        self.saved = x.shape, x.dtype, scale
        return x if scale is None else x * scale

    def expressed(self, x: Tensor) -> Tensor:
        if x.dtype not in arrays.FLOATS:
            raise arrays.unsupported(str(self), x._data)
        return dropped(x, self._draw) if self.training and self.p > 0 else x

    def _draw(self, x: np.ndarray) -> np.ndarray:
        """The scale of each element, by the present settings."""
        return draw_scale(x, self.p, random.generator(self.generator))

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        *output, scale = self.require_saved()
        self.check_gradient(gradient, *output)
        return gradient if scale is None else gradient * scale

    def extra_repr(self) -> str:
        return f"p={self.p}"
