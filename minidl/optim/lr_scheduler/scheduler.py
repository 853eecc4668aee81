"""Scheduler: the base of all schedules. They write into the optimizer's groups, and their state can be saved.

Each attribute has a rule, by which both the constructor and load_state_dict check it.
"""
from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from ..group import at_least_zero, number
from ..optimizer import Optimizer

Rule = Callable[[str, Any], Any]  # (what, value) -> the checked value; "StepLR: expected gamma" is a what
MOST_STEPS = 2 ** 53  # up to here a float counts exactly


def between_0_and_1(what: str, value: Any) -> float:
    """A number above 0 and below 1, by which a rate is multiplied."""
    if not 0 < at_least_zero(what, value) < 1:
        raise ValueError(f"{what} between 0 and 1 (both excluded), got {value}")
    return float(value)


def count(what: str, value: Any, least: int, most: int | None = None) -> int:
    """An integer >= ``least``, and <= ``most`` if that is given."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{what} to be an int, got {value!r}")
    if value < least:
        raise ValueError(f"{what} >= {least}, got {value}")
    if most is not None and int(value) > most:
        raise ValueError(f"{what} <= {most}, got {value}")
    return int(value)


def one_of(what: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of these strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{what} to be one of {', '.join(choices)}, got {value!r}")
    return value


def not_nan(what: str, value: Any) -> float:
    """A number, infinity included."""
    if math.isnan(number(what, value)):
        raise ValueError(f"{what} to be a number, got nan")
    return float(value)


def like(old: Any) -> Rule:
    """The default rule of an attribute: the type of the old value, and of the elements of a list."""
    def form(value: Any) -> Any:
        return [type(x) for x in value] if isinstance(value, list) else type(value)

    def same_form(what: str, value: Any) -> Any:
        if form(value) != form(old):
            raise TypeError(f"{what} of the form of {old!r}, got {value!r}")
        return value
    return same_form


def _ruled(rule: Rule, what: str, value: Any) -> Any:
    try:
        return rule(what, value)
    except OverflowError:
        raise ValueError(f"{what} within the range of a float, got {value}") from None


def initial_lrs(optimizer: Optimizer) -> list[float]:
    """The rate of each group before its first schedule, which is noted in the optimizer when that is made."""
    noted: list[float] = vars(optimizer).setdefault("_initial_lrs", [])
    noted += [float(group["lr"]) for group in optimizer.param_groups[len(noted):]]
    return noted[:len(optimizer.param_groups)]


class LRScheduler:
    """The base of all schedulers. A subclass gives ``step``, and the ``rules`` of its attributes.

    ``interval`` says when a training loop calls ``step``: after each "epoch" or each "iteration".
    ``metric`` says with what: nothing (None), the "validation_loss" or the (training) "loss".
    ``rules`` holds the check of each attribute, ``group_rules`` that of each number of those attributes
    that are lists with a number for each parameter group.

    Raises TypeError unless ``optimizer`` is an Optimizer, and what the rules raise.
    """

    interval: ClassVar[str] = "epoch"
    metric: ClassVar[str | None] = None
    rules: ClassVar[dict[str, Rule]] = {"last_epoch": partial(count, least=0, most=MOST_STEPS)}
    group_rules: ClassVar[dict[str, Rule]] = {}
    unsaved: ClassVar[tuple[str, ...]] = ("optimizer",)  # attributes that are no part of the state
    last_epoch: int  # PyTorch's name: the number of steps taken

    def __init__(self, optimizer: Optimizer, **values: Any):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._expected('an Optimizer')}, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        groups = len(optimizer.param_groups)
        for name in self.group_rules.keys() & values.keys():
            values[name] = self._per_group(name.removesuffix("s"), values[name], groups)
        vars(self).update(self._checked(self._expected(""), {"last_epoch": 0, **values}))
        initial_lrs(optimizer)

    def _expected(self, what: str) -> str:
        """The beginning of an error message."""
        return f"{type(self).__name__}: expected {what}"

    def _per_group(self, name: str, value: Any, groups: int) -> list[Any]:
        """``value`` for each parameter group: one for all, or a list with one for each."""
        values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
        if len(values) != groups:
            raise ValueError(f"{self._expected(name)} to be a number or {groups} of them, got {len(values)}")
        return values

    def _checked(self, expected: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as the rules return them. ``expected`` begins an error message."""
        groups, kept = len(self.optimizer.param_groups), {}
        for name, value in values.items():
            if name in self.group_rules:
                if not isinstance(value, list) or len(value) != groups:
                    raise ValueError(f"{expected}{name} to be a list of {groups} numbers, got {value!r}")
                what = expected + name.removesuffix("s")
                kept[name] = [_ruled(self.group_rules[name], what, x) for x in value]
            else:
                rule = self.rules[name] if name in self.rules else like(getattr(self, name))
                kept[name] = _ruled(rule, expected + name, value)
        self.check_together(expected, kept)
        return kept

    def check_together(self, expected: str, values: dict[str, Any]) -> None:
        """Raise ValueError when values that are right one by one contradict each other."""

    def start(self) -> None:
        """Write the rates of step 0 into the groups; by default they are those that the groups have."""

    def restart(self, base_lrs: list[float]) -> None:
        """Begin (again) at step 0, from these rates: SequentialLR has come to this schedule."""
        self.last_epoch = 0
        self._write(base_lrs)
        self.start()

    def _write(self, rates: list[float]) -> None:
        """Make these the rates of the groups: all, or where one of them is refused, none."""
        rates = [type(self.optimizer).checked("lr", rate) for rate in rates]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Settings and progress: numbers, strings and lists of numbers. The rates are the optimizer's."""
        return {name: copy.copy(value) for name, value in vars(self).items() if name not in self.unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a ``state_dict()``; load the optimizer's too.

        Numbers may have passed through JSON, which turns 1.0 into 1. Raises TypeError for what is no dict,
        and ValueError for other names, other types and all that the constructor refuses. Nothing has
        changed then.
        """
        vars(self).update(copy.deepcopy(self.fitting(state_dict)))

    def fitting(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """The attributes that a state stands for; raises what load_state_dict does."""
        expected = f"{type(self).__name__}.load_state_dict: expected "
        if not isinstance(state_dict, dict):
            raise TypeError(f"{expected}a dict, got {type(state_dict).__name__}")
        names = list(self.state_dict())
        if set(state_dict) != set(names):
            raise ValueError(f"{expected}{', '.join(names)}, got {', '.join(map(str, state_dict)) or 'nothing'}")
        for name in self.rules.keys() | self.group_rules.keys():
            self._plain(expected + name, state_dict[name])
        try:
            return self._checked(expected, state_dict)
        except TypeError as error:
            raise ValueError(str(error)) from error

    @staticmethod
    def _plain(what: str, value: Any) -> None:
        """Raise ValueError unless it is a value of a state_dict(): Python numbers and strings, in lists."""
        for x in value if type(value) is list else [value]:
            if type(x) not in (bool, int, float, str):
                raise ValueError(f"{what} as a Python number, string or list of numbers, got {value!r}")
