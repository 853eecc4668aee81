"""Padding: an array with more around it, joined of slices of itself.

    constant   a number                       0 0 [a b c] 0 0
    reflect    mirrored, without the edge     c b [a b c] b a
    replicate  the edge, again and again      a a [a b c] c c
    circular   what stands at the other end   b c [a b c] a b
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .arrangement import expand, flip
from .elementwise import zeros_of
from .shapes import cat, index

__all__ = ["pad"]

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input, pad: Sequence[int], mode: str = "constant", value: float | None = None):
    """The input with ``pad`` = (before, behind) of the last axis, then of the one before it, and so on.

    mode : "constant" (with ``value``, by default 0), "reflect", "replicate" or "circular"; see above. A constant may
        have numbers below zero, which cut off.

    Raises ValueError for another mode, for an odd number of lengths or more than there are axes, and where a reflection
    or a circle would need more than there is.
    """
    lengths = [int(n) for n in pad]
    if mode not in MODES:
        raise ValueError(f"pad: expected mode as one of {', '.join(MODES)}, got {mode!r}")
    if len(lengths) % 2 or len(lengths) > 2 * input.ndim:
        raise ValueError(f"pad: expected two lengths for each of at most {input.ndim} axes, got {tuple(pad)}")
    if mode != "constant" and value not in (None, 0):
        raise ValueError(f"pad: expected no value with mode {mode!r}, got {value}")
    for number, (before, behind) in enumerate(zip(lengths[::2], lengths[1::2], strict=True)):
        input = _along(input, input.ndim - 1 - number, before, behind, mode, value or 0)
    return input


def _along(x, axis: int, before: int, behind: int, mode: str, value: float):
    n = x.shape[axis]
    if mode != "constant" and (min(before, behind) < 0 or max(before, behind) > _most(mode, n)):
        raise ValueError(f"pad: mode {mode!r} takes at most {_most(mode, n):g} on each side of an axis of length {n}, "
                         f"got {(before, behind)}")
    if min(before, 0) + min(behind, 0) + n < 0:
        raise ValueError(f"pad: nothing is left of an axis of length {n} with {(before, behind)}")

    def part(start, end):
        return index(x, (*[slice(None)] * axis, slice(start, end)))

    def spread(edge, length):
        return expand(edge, tuple([length if i == axis else size for i, size in enumerate(edge.shape)]))

    def filled(length):
        empty = zeros_of(x, tuple([length if i == axis else size for i, size in enumerate(x.shape)]))
        return empty + value if value else empty

    if mode == "constant":
        middle = part(max(0, -before), n - max(0, -behind))
        ends = filled(max(0, before)), filled(max(0, behind))
    elif mode == "reflect":
        middle, ends = x, (flip(part(1, before + 1), axis), flip(part(n - 1 - behind, n - 1), axis))
    elif mode == "replicate":
        middle, ends = x, (spread(part(0, 1), before), spread(part(n - 1, n), behind))
    else:
        middle, ends = x, (part(n - before, n), part(0, behind))
    parts = [y for y in (ends[0], middle, ends[1]) if y.shape[axis]]
    return parts[0] if len(parts) == 1 else cat(parts, axis) if parts else middle


def _most(mode: str, n: int) -> float:
    """How much can be added on one side of an axis of length n."""
    return n - 1 if mode == "reflect" else n if mode == "circular" else np.inf if n else 0
