"""The reports' toy problem: is a point of the unit square inside a disk?"""
from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from .. import random
from . import split
from .batches import positive_int

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def disk(n: int, *, seed: int | np.random.Generator | None = None,
         centre: Sequence[float] = (0.5, 0.5), radius: float = 1 / sqrt(2 * pi),
         one_hot: bool = False, dtype: DTypeLike = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """``n`` points x, uniform in [0, 1]², with label 1 where ‖x - centre‖ <= radius and 0 elsewhere.

    Returns points of shape (n, 2) and dtype ``dtype`` (float32 or float64), and labels: int64 of shape
    (n,), or with ``one_hot`` rows [1, 0] and [0, 1] of shape (n, 2) and dtype ``dtype``. The default disk
    has area 1/2, so that the classes balance. Points are drawn and labelled in float64 and cast last:
    one seed gives the same labels in either dtype.

    Raises TypeError for an n that is no int or another dtype, ValueError for n < 1, a centre that is not
    two finite numbers, or a radius that is not positive and finite.

    Source: EE-559 mini-project 2 (reports 000, 001); report 002 puts the centre at (0, 0).
    """
    n = positive_int(n, "disk", "n")
    dtype = split.floating(dtype, "disk")
    middle = np.asarray(centre, np.float64)
    if middle.shape != (2,) or not np.isfinite(middle).all():
        raise ValueError(f"disk: expected centre to be two finite numbers, got {centre!r}")
    if not (isfinite(radius) and radius > 0):
        raise ValueError(f"disk: expected a finite radius > 0, got {radius}")
    points = random.generator(seed).random((n, 2))
    dx, dy = (points - middle).T
    labels = (np.hypot(dx, dy) <= radius).astype(np.int64)
    return points.astype(dtype), split.one_hot(labels, 2, dtype) if one_hot else labels
