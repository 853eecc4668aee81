"""Loss and error of a data set, summed batch by batch."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import metrics


class Evaluation(NamedTuple):
    """Loss, and misclassified samples in percent (None where the targets are no classes)."""

    loss: float
    error: float | None


class Tally:
    """Losses and misclassified samples, summed over the batches of a data set with these targets."""

    def __init__(self, target: np.ndarray):
        # What a target means shows in all of them together: a batch of ones could be of 0/1 or of -1/1.
        self.truth, self.threshold = metrics.classes(target), metrics.halfway(target)
        self.clear()

    def clear(self) -> None:
        self.samples, self.loss, self.wrong = 0, 0.0, 0

    def count_wrong(self, output: np.ndarray, index: np.ndarray) -> int:
        """The misclassified samples of a batch; 0 where there are no classes."""
        if self.truth is None:
            return 0
        return int(np.count_nonzero(metrics.predicted(output, self.threshold) != self.truth[index]))

    def add(self, loss: float, wrong: int, count: int) -> None:
        """A batch has been seen."""
        self.samples, self.loss, self.wrong = self.samples + count, self.loss + loss * count, self.wrong + wrong

    def mean(self) -> Evaluation:
        error = None if self.truth is None else 100 * self.wrong / self.samples
        return Evaluation(self.loss / self.samples, error)
