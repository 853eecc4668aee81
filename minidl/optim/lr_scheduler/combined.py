"""Schedules made of schedules: one after the other, or all at once."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .multi_step_lr import counts
from .scheduler import LRScheduler, initial_lrs


class _Combined(LRScheduler):
    """Schedules of one optimizer, at least one, none of which waits for a metric.

    A training loop calls ``step`` as often as the first of them asks for.
    """

    unsaved: ClassVar = ("optimizer", "schedulers", "interval")
    schedulers: list[LRScheduler]

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler], **values: Any):
        schedulers = list(schedulers)
        for scheduler in schedulers:
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"{self._expected('schedulers')}, got {type(scheduler).__name__}")
            if scheduler.metric is not None:
                raise ValueError(f"{self._expected('schedulers that wait for no metric')}, got "
                                 f"{type(scheduler).__name__}")
        if not schedulers:
            raise ValueError(f"{self._expected('at least one scheduler')}, got none")
        first, *_ = schedulers
        owner = first.optimizer if optimizer is None else optimizer
        if any(scheduler.optimizer is not owner for scheduler in schedulers):
            raise ValueError(f"{self._expected('schedulers of one optimizer')}, got another's")
        super().__init__(owner, **values)
        self.schedulers = schedulers
        self.interval = first.interval  # type: ignore[misc]

    def state_dict(self) -> dict[str, Any]:
        """As of any scheduler; the states of the schedules stand under "_schedulers", PyTorch's name."""
        return super().state_dict() | {"_schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As of any scheduler: all of it is checked before the first schedule changes."""
        own = self.fitting(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)
        vars(self).update(own)

    def fitting(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        own = state_dict
        if isinstance(state_dict, dict) and state_dict.keys() == self.state_dict().keys():
            states = state_dict["_schedulers"]
            if not isinstance(states, list) or len(states) != len(self.schedulers):
                raise ValueError(f"{type(self).__name__}.load_state_dict: expected _schedulers to be a list of "
                                 f"{len(self.schedulers)} states, got {states!r}")
            for scheduler, state in zip(self.schedulers, states, strict=True):
                try:
                    scheduler.fitting(state)
                except TypeError as error:
                    raise ValueError(f"{type(self).__name__}.load_state_dict: expected _schedulers to be states; "
                                     f"{error}") from error
            own = {name: value for name, value in state_dict.items() if name != "_schedulers"}
        elif isinstance(state_dict, dict):
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected {', '.join(self.state_dict())}, got "
                             f"{', '.join(map(str, state_dict)) or 'nothing'}")
        return self._own_fitting(own)

    def _own_fitting(self, own: dict[str, Any]) -> dict[str, Any]:
        expected = f"{type(self).__name__}.load_state_dict: expected "
        if not isinstance(own, dict):
            raise TypeError(f"{expected}a dict, got {type(own).__name__}")
        for name, value in own.items():
            self._plain(expected + name, value)
        try:
            return self._checked(expected, own)
        except TypeError as error:
            raise ValueError(str(error)) from error


class SequentialLR(_Combined):
    """The first schedule for ``milestones[0]`` epochs, then the second until milestones[1], and so on.

    Each begins with the rates that the groups had before the first schedule was made.

    Raises ValueError unless there is one milestone fewer than schedules, for milestones that do not ascend, and
    for schedules of another optimizer or with a metric; TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "milestones": counts}
    group_rules: ClassVar = {"base_lrs": at_least_zero}
    milestones: list[int]
    base_lrs: list[float]

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Iterable[int]):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._expected('an Optimizer')}, got {type(optimizer).__name__}")
        schedulers, points = list(schedulers), list(milestones)
        if len(points) != len(schedulers) - 1:
            raise ValueError(f"{self._expected(f'{max(len(schedulers) - 1, 0)} milestones for {len(schedulers)} ')}"
                             f"schedulers, got {len(points)}")
        super().__init__(optimizer, schedulers, milestones=points, base_lrs=initial_lrs(optimizer))
        self.start()

    def check_together(self, expected: str, values: dict[str, Any]) -> None:
        points = values["milestones"]
        if len(set(points)) < len(points) or 0 in points:
            raise ValueError(f"{expected}milestones > 0 that ascend, got {points}")
        if "schedulers" in vars(self) and len(points) != len(self.schedulers) - 1:
            raise ValueError(f"{expected}{len(self.schedulers) - 1} milestones, got {points}")

    def start(self) -> None:
        """Back to the rates before all of them, where the first one starts."""
        self._write(self.base_lrs)
        self.schedulers[0].start()

    def step(self) -> None:
        """One epoch has passed."""
        self.last_epoch += 1
        now = bisect_right(self.milestones, self.last_epoch)
        if now > 0 and self.milestones[now - 1] == self.last_epoch:
            self.schedulers[now].restart(self.base_lrs)
        else:
            self.schedulers[now].step()  # type: ignore[attr-defined]


class ChainedScheduler(_Combined):
    """All schedules at once: each goes on from the rate that the one before it has written.

    Raises ValueError for none, and for schedules of several optimizers or with a metric; TypeError for other types.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        super().__init__(optimizer, schedulers)

    def start(self) -> None:
        """Start each of them, in their order."""
        for scheduler in self.schedulers:
            scheduler.start()

    def restart(self, base_lrs: list[float]) -> None:
        """Begin at step 0, from these rates."""
        self._write(base_lrs)
        for scheduler in self.schedulers:
            scheduler.last_epoch = 0
        self.last_epoch = 0
        self.start()

    def step(self) -> None:
        """One epoch has passed."""
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()  # type: ignore[attr-defined]
