"""Folds: parts of the samples, each of which is held out once."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import random
from ..metrics import classes
from .batches import positive_int


def folds(target, count: int = 5, *, seed: int | np.random.Generator | None = None) -> list[np.ndarray]:
    """``count`` disjoint arrays of rows that are all samples of ``target`` (N, ...), shuffled, each in order.

    Their sizes differ by one sample at most. Where the target tells classes (see ``minidl.metrics.classes``), so do
    the numbers of each class in them. Raises ValueError for fewer than 2 folds or than a sample for each.
    """
    target = np.asarray(target)
    count = positive_int(count, "folds", "count")
    if count < 2 or target.ndim == 0 or len(target) < count:
        raise ValueError(f"folds: expected from 2 folds to as many as samples, got {count} of "
                         f"{len(target) if target.ndim else 'no'} samples")
    order = random.generator(seed).permutation(len(target))
    kinds = classes(target)
    if kinds is not None:
        order = order[np.argsort(kinds[order], kind="stable")]  # dealt class by class
    return [np.sort(order[number::count]) for number in range(count)]


def training_rows(parts: Sequence[np.ndarray], held_out: int) -> np.ndarray:
    """The rows of all folds but one, in order."""
    return np.sort(np.concatenate([*parts[:held_out], *parts[held_out + 1:]]))
