"""Loss and error of a data set, summed batch by batch."""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import metrics


class Evaluation(NamedTuple):
    """Loss, and misclassified samples in percent (None where the targets are no classes)."""

    loss: float
    error: float | None


class EpochMean:
    """Losses and misclassified samples, summed over the batches of a data set with these targets.

    coding : the two values of a target for one unit; by default those that it shows. For a target of ones alone
    without a coding the error is None, or with ``asks`` a ValueError asks for the coding.
    classes : False if the targets are known not to be classes.
    """

    def __init__(self, who: str, target: np.ndarray, coding=None, asks: bool = False, classes: bool = True):
        # The coding is that of the whole target: a batch of ones could be of 0/1 or of -1/1.
        self.who, self.target, self.asks = who, target, asks
        self.truth = metrics.classes(target) if classes else None
        self.coding = None if self.truth is None else metrics.checked_coding(who, target, coding)
        self.labels = 1  # of a sample
        self._classes: np.ndarray | None = None  # truth, as a program takes it
        self.clear()

    def clear(self) -> None:
        self.samples, self.loss, self.wrong, self.weight = 0, 0.0, 0, 0.0

    def count_wrong(self, output: np.ndarray, index: np.ndarray) -> int:
        """The misclassified samples of a batch; 0 where there are no classes."""
        if output.ndim > 2:
            self._read_as_places(output)
        threshold = self._threshold(output)
        if self.truth is None:
            return 0
        return int(np.count_nonzero(metrics.predicted(output, threshold) != self.truth[index]))

    def compared(self, output: np.ndarray) -> tuple:
        """What a program compares in place of count_wrong: (output, classes in int64, threshold); () for none."""
        threshold = self._threshold(output)
        if self.truth is None:
            return ()
        if self._classes is None:
            self._classes = np.ascontiguousarray(self.truth, np.int64)
        return output, self._classes, threshold

    def _threshold(self, output: np.ndarray) -> float:
        """Of one unit; where its two values are not known, there are no classes."""
        if self.truth is None or not metrics.one_unit(output):
            return 0.5
        if self.coding is None and self.asks:
            raise metrics.ambiguous(self.who)
        if self.coding is None:
            self.truth = None
            return 0.5
        return sum(self.coding) / 2

    def _read_as_places(self, output: np.ndarray) -> None:
        """Of outputs (N, C, d1, ...), labels (N, d1, ...) are the classes, and nothing else is."""
        target = self.target
        fits = target.dtype.kind in "iu" and target.shape[1:] == output.shape[2:]
        self.truth, self.labels = (target, target[0].size) if fits else (None, 1)

    def add(self, loss: float, wrong: int, count: int, weight: float | None = None) -> None:
        """Add a batch. weight : how much its loss counts; by default as many as the samples."""
        weight = count if weight is None else weight
        self.samples, self.loss, self.wrong = self.samples + count, self.loss + loss * weight, self.wrong + wrong
        self.weight += weight

    def count(self, samples: int) -> None:
        """Count samples whose losses and errors were added elsewhere: see ``stretches.py``."""
        self.samples, self.weight = self.samples + samples, self.weight + samples

    def result(self) -> Evaluation:
        """The means over all samples that were added."""
        error = None if self.truth is None else 100 * self.wrong / (self.samples * self.labels)
        return Evaluation(self.loss / self.weight if self.weight else math.nan, error)
