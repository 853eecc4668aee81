"""SuccessiveHalving: of many networks, those that do worse end early (Jamieson and Talwalkar 2016)."""
from __future__ import annotations

import math
from collections.abc import Sequence

from ..data.batches import positive_int
from .history import EPOCH_COLUMNS, History


class SuccessiveHalving:
    """After ``first`` epochs the best 1/factor of the networks go on, after ``first * factor`` of these again, ...

    ``fit_many(..., stop=SuccessiveHalving())``. Of n networks, n / factor rounded up go on: those of which the
    ``monitor`` is least, the first ones where it is equal. A number that is not finite is the worst. A network that
    has ended by itself is not compared any more. The others are trained to the last epoch of ``fit_many``, so that all
    of them together take little longer than a few times log n / log factor networks alone.

    first, factor : from 1 and from 2. monitor : a column of the history. Raises ValueError or TypeError for others,
    and, when the training begins, for a column that it will not record.
    """

    def __init__(self, first: int = 1, factor: int = 3, monitor: str = "validation_loss"):
        self.first = positive_int(first, "SuccessiveHalving", "first")
        self.factor = positive_int(factor, "SuccessiveHalving", "factor")
        if factor < 2:
            raise ValueError(f"SuccessiveHalving: expected a factor from 2, got {factor}")
        if monitor not in EPOCH_COLUMNS:
            raise ValueError(f"SuccessiveHalving: expected monitor to be one of {', '.join(EPOCH_COLUMNS)}, "
                             f"got {monitor!r}")
        self.monitor = monitor

    def __repr__(self) -> str:
        return f"SuccessiveHalving(first={self.first}, factor={self.factor}, monitor={self.monitor!r})"

    def check(self, validated: bool) -> None:
        """Raise ValueError unless a run records the column."""
        if self.monitor.startswith("validation") and not validated:
            raise ValueError(f"SuccessiveHalving needs {self.monitor!r}: expected validation data, got None")

    def ends(self, going: Sequence[tuple[int, History]]) -> list[int]:
        """Of these networks, by their numbers, the ones that end now."""
        return sorted(number for _, number in self._ranked(going)[-(-len(going) // self.factor):])

    def _ranked(self, going: Sequence[tuple[int, History]]) -> list[tuple[float, int]]:
        values = [(getattr(history, self.monitor)[-1], number) for number, history in going]
        if any(value is None for value, _ in values):
            raise ValueError(f"SuccessiveHalving: this run has no {self.monitor!r}: the targets are no classes")
        return sorted((value if math.isfinite(value) else math.inf, number) for value, number in values)

    def reason(self, history: History) -> str:
        """Why a network has ended."""
        return f"successive halving: {self.monitor} {getattr(history, self.monitor)[-1]:.4g} after epoch {len(history)}"

    def more(self, history: History) -> int:
        """The epochs to the next rung, for a network that goes on."""
        return (self.factor - 1) * len(history)
