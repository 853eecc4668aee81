"""Rows for training, for stopping it, and for the score: in each part every class, or every range of numbers."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .target import Classes, Target

HELD_OUT = 0.2  # of all rows
WATCHED = 0.2  # of the others
RANGES = 10  # of equal counts, for a number


class Split(NamedTuple):
    """Indices of rows, each part in random order."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def split_of(target: Target, truth: np.ndarray, generator: np.random.Generator) -> Split:
    """The rows of training, those on which it is watched, and those held out. truth : (N,) labels or numbers."""
    strata = truth if isinstance(target, Classes) else ranges(truth)
    others, held_out = stratified(strata, np.arange(len(strata)), HELD_OUT, generator)
    train, validation = stratified(strata, others, WATCHED, generator)
    return Split(train, validation, held_out)


def ranges(numbers: np.ndarray) -> np.ndarray:
    """The number (N,), from 0, of the range that each falls into; RANGES of them, of nearly equal counts."""
    place = np.empty(len(numbers), np.int64)
    place[np.argsort(numbers, kind="stable")] = np.arange(len(numbers))
    return place * RANGES // max(len(numbers), 1)


def stratified(strata: np.ndarray, rows: np.ndarray, share: float,
               generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(rest, part): the part has ``share`` of the rows, and of each stratum as near to it as whole rows allow.

    What is left over by rounding down goes to the strata with the largest fractions; one row at least stays in the
    rest for each stratum, so that every class can be learned.
    """
    groups = [generator.permutation(rows[strata[rows] == stratum]) for stratum in np.unique(strata[rows])]
    wanted = np.array([share * len(group) for group in groups])
    counts = np.minimum(np.floor(wanted), [len(group) - 1 for group in groups]).astype(np.int64)
    left = round(share * len(rows)) - int(counts.sum())
    for i in np.argsort(np.floor(wanted) - wanted, kind="stable"):
        if left > 0 and counts[i] < len(groups[i]) - 1:
            counts[i] += 1
            left -= 1
    part = np.concatenate([group[:count] for group, count in zip(groups, counts, strict=True)])
    rest = np.concatenate([group[count:] for group, count in zip(groups, counts, strict=True)])
    return generator.permutation(rest), generator.permutation(part)
