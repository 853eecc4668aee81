"""The lists that parameters(), modules() and their like give."""
from __future__ import annotations

from collections.abc import Iterator
from itertools import islice


class Found(list):
    """A list of which ``next()`` takes one after the other, as of PyTorch's iterators: ``next(model.parameters())``.

    What was taken so is left out when it is iterated over later.
    """

    _taken = 0

    def __next__(self):
        if self._taken == len(self):
            raise StopIteration
        self._taken += 1
        return self[self._taken - 1]

    def __iter__(self) -> Iterator:
        whole = super().__iter__()
        return islice(whole, self._taken, None) if self._taken else whole
