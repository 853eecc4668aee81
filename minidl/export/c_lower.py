"""Operations that a program calls as NumPy, made of kernels: sums over inner axes, softmax along them.

A lowering is that of compiled/lower.py: it appends instructions and returns True, or returns False.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..compiled.arena import rows_of
from ..compiled.lower import lower


def _moved(builder, x: np.ndarray, order: list[int]) -> np.ndarray | None:
    """A copy with the axes in this order."""
    view = x.transpose(order)
    copy = builder.scratch(view.shape, x.dtype)
    return copy if lower(builder, "copy", [view], {}, copy) else None


def _sum(builder, operands, settings, output) -> bool:
    """As arrays.summed does it: along the last axes row by row, along others in the order of the index."""
    x, = operands
    dims = settings.get("dim")
    axes = list(range(x.ndim)) if dims is None else sorted(int(d) % x.ndim for d in np.atleast_1d(dims))
    if not axes or x.dtype != np.float32 or not output.flags.c_contiguous:
        return False
    order = list(range(x.ndim))
    if axes[-1] - axes[0] != len(axes) - 1:
        order = [i for i in order if i not in axes] + axes
        axes = list(range(x.ndim - len(axes), x.ndim))
    copy = _moved(builder, x, order)
    if copy is None:
        return False
    lead, many = math.prod(copy.shape[:axes[0]]), math.prod(copy.shape[axes[0]:axes[-1] + 1])
    y = output.reshape(lead, -1)
    if copy.size == lead * many:
        builder.program.kernel("row_sum", x.dtype, y.reshape(1, -1), copy.reshape(lead, many))
        return True
    for part, out in zip(copy.reshape(lead, many, -1), y, strict=True):
        builder.program.kernel("column_sum", x.dtype, rows_of(out), part)
    return True


def _mean(builder, operands, settings, output) -> bool:
    count = operands[0].size // output.size
    return _sum(builder, operands, settings, output) and lower(builder, "div", [output, count], {}, output)


def _along(name: str) -> Callable:
    """A function of rows along another axis: of a copy with that axis last, and copied back."""
    def lowered(builder, operands, settings, output) -> bool:
        x, = operands
        dim = settings.get("dim", -1) % x.ndim
        order = [i for i in range(x.ndim) if i != dim] + [dim]
        copy = _moved(builder, x, order)
        if copy is None or not lower(builder, name, [copy], {"dim": -1}, copy):
            return False
        return lower(builder, "copy", [copy.transpose(np.argsort(order))], {}, output)

    return lowered


LOWERINGS: dict[str, Callable] = {
    "sum": _sum, "mean": _mean, "softmax": _along("softmax"), "log_softmax": _along("log_softmax")}
