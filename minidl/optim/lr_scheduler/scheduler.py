"""What all schedulers share: they write into the optimizer's groups, and their state can be saved."""
from __future__ import annotations

import copy
import numbers
from typing import Any, ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer


def between_0_and_1(what: str, value: Any) -> float:
    """A number above 0 and below 1, by which a rate is multiplied."""
    if not 0 < at_least_zero(what, value) < 1:
        raise ValueError(f"{what} between 0 and 1 (both excluded), got {value}")
    return float(value)


def count(what: str, value: Any, least: int) -> int:
    """An integer >= ``least``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{what} to be an int, got {value!r}")
    if value < least:
        raise ValueError(f"{what} >= {least}, got {value}")
    return int(value)


def one_of(what: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of these strings."""
    if value not in choices:
        raise ValueError(f"{what} to be one of {', '.join(choices)}, got {value!r}")
    return value


class LRScheduler:
    """The base of all schedulers. A subclass gives ``step``.

    ``interval`` says when a training loop calls ``step``: after each "epoch" or each "iteration".
    ``metric`` says with what: nothing (None), the "validation_loss" or the (training) "loss".

    Raises TypeError unless ``optimizer`` is an Optimizer.
    """

    interval: ClassVar[str] = "epoch"
    metric: ClassVar[str | None] = None

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._expected('an Optimizer')}, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.last_epoch = 0  # PyTorch's name: the number of steps taken

    def _expected(self, what: str) -> str:
        """The beginning of an error message."""
        return f"{type(self).__name__}: expected {what}"

    def _per_group(self, name: str, value: Any, check=at_least_zero) -> list[float]:
        """``value`` for each parameter group: one number for all, or a list with one for each."""
        groups = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
        if len(values) != groups:
            raise ValueError(f"{self._expected(name)} to be a number or {groups} of them, got {len(values)}")
        return [check(self._expected(name), value) for value in values]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Settings and progress: numbers, strings and lists of numbers. The rates are the optimizer's."""
        return {name: copy.copy(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict()`` gave; load the optimizer's too.

        Raises ValueError, and changes nothing, when names or types differ from this scheduler's.
        """
        def form(state: dict[str, Any]) -> dict[str, Any]:
            return {name: [type(x) for x in value] if isinstance(value, list) else type(value)
                    for name, value in state.items()}

        expected, got = form(self.state_dict()), form(state_dict)
        if got != expected:
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected {expected}, got {got}")
        vars(self).update(copy.deepcopy(state_dict))
