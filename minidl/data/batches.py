"""One epoch as batches of indices: every sample once, in a new random order each time."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import random


def positive_int(value: object, who: str, what: str) -> int:
    """``value`` as an int >= 1; TypeError if it is no integer, ValueError if it is less than 1."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{who}: expected {what} to be an int, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{who}: expected {what} >= 1, got {value}")
    return int(value)


class Batches:
    """The indices 0 .. count-1, cut into batches; every iteration is one epoch.

    Yields arrays of dtype ``np.intp`` and length ``batch_size``; the last one is shorter when
    ``batch_size`` does not divide ``count``, or is left out with ``drop_last``. With ``shuffle`` each
    epoch is a new permutation from ``generator`` (a seed, a Generator, or None for minidl's own stream);
    without, the indices come in order. ``len()`` is the number of batches in an epoch.

    Raises TypeError or ValueError for a count or batch size that is not an int >= 1, and ValueError if
    ``drop_last`` would leave an epoch without a batch.
    """

    def __init__(self, count: int, batch_size: int, *, shuffle: bool = True, drop_last: bool = False,
                 generator: int | np.random.Generator | None = None):
        self.count = positive_int(count, "Batches", "count")
        self.batch_size = positive_int(batch_size, "Batches", "batch_size")
        self.shuffle, self.drop_last = shuffle, drop_last
        # None stays None: minidl's stream is looked up at each epoch, since manual_seed replaces it.
        self._generator = None if generator is None else random.generator(generator)
        if len(self) == 0:
            raise ValueError(f"Batches: expected batch_size <= count with drop_last, "
                             f"got batch_size {batch_size} and count {count}")

    def __len__(self) -> int:
        whole, rest = divmod(self.count, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self) -> np.ndarray:
        """The indices of a new epoch, of all its batches one behind the other."""
        order = np.arange(self.count, dtype=np.intp)
        if self.shuffle:
            random.generator(self._generator).shuffle(order)
        return order[:len(self) * self.batch_size]

    def __iter__(self) -> Iterator[np.ndarray]:
        order = self.order()
        for begin in range(0, len(order), self.batch_size):
            yield order[begin:begin + self.batch_size]
