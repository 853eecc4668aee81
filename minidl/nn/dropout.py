"""Dropout as a module."""
from __future__ import annotations

import numpy as np

from .. import random
from ..functional.dropout import check_probability, draw_scale
from .module import Module


class Dropout(Module):
    """Each element zero with probability p, and scaled by 1 / (1 - p) otherwise, while training.

    In evaluation the input passes unchanged. ``generator``: a seed or a numpy.random.Generator of which
    the masks are drawn (by default minidl's own stream; fit(seed=...) gives it one).

    Raises ValueError unless 0 <= p < 1. Report 002, section 2.7.2; Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator=None):
        check_probability("Dropout", p)
        self.p = p
        self.generator = None if generator is None else random.generator(generator)

    def forward(self, x: np.ndarray) -> np.ndarray:
        if not self.training or self.p == 0:
            self.saved = 1
            return x
        self.saved = draw_scale(x, self.p, random.generator(self.generator))
        return x * self.saved

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        scale = self.require_saved()
        return gradient if isinstance(scale, int) else gradient * scale

    def extra_repr(self) -> str:
        return f"p={self.p}"
