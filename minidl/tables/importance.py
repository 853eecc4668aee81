"""Permutation importance: how much the score of held-out rows falls when a column is shuffled (Breiman 2001)."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import numpy as np

from .columns import Column

REPEATS = 5
DIGITS = 9  # after the point: what lies below is rounding
ROWS = 2000  # of the held-out ones at most


def permutation_importance(columns: Sequence[Column], inputs: np.ndarray, score: Callable[[np.ndarray], float],
                           generator: np.random.Generator) -> list[dict]:
    """{"column", "importance", "sd"} for each column, the most important first.

    score(inputs) is the score of these rows. importance : the mean of its fall over REPEATS shuffles of the column's
    inputs, all of them together; sd : the standard deviation of the shuffles.
    """
    whole, found, start = score(inputs), [], 0
    for column in columns:
        own = slice(start, start := start + len(column.inputs))
        falls = []
        for _ in range(REPEATS):
            shuffled = inputs.copy()
            shuffled[:, own] = inputs[generator.permutation(len(inputs)), own]
            falls.append(whole - score(shuffled))
        # A score may be so far below 0 that its square is infinite, which statistics does without
        found.append({"column": column.name, "importance": round(statistics.fmean(falls), DIGITS),
                      "sd": round(statistics.pstdev(falls), DIGITS)})
    return sorted(found, key=lambda row: -row["importance"])
