"""The settings of many steps, computed ahead from a schedule that steps by iteration."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..optim import lr_scheduler
from ..optim.optimizer import Optimizer


def is_foreseen(scheduler: Any) -> bool:
    """Whether its steps may be made before those of the optimizer: it is minidl's, and calls no user's function."""
    values = [value for attribute in vars(scheduler).values()
              for value in (attribute if isinstance(attribute, list) else [attribute])]
    return (type(scheduler).__module__.startswith(lr_scheduler.__name__) and not any(map(callable, values))
            and all(is_foreseen(value) for value in values if isinstance(value, lr_scheduler.LRScheduler)))


class Ahead:
    """The settings of the next ``steps`` steps at most; the schedule has made them then.

    rates : the learning rate of each step. settings : all numbers that the program's update takes, a row a step.
    put_back() is for steps that were not made.
    """

    def __init__(self, scheduler: Any, optimizer: Optimizer, program: Any, steps: int):
        self.scheduler, self.groups = scheduler, optimizer.param_groups
        self.before = scheduler.state_dict(), [dict(group) for group in self.groups]
        self.rates: list[float] = []
        self.settings = np.empty((steps, program.settings_count))
        for row in self.settings:
            if not program.note_settings(row):
                break  # the next step is to be prepared by itself
            rate = optimizer.lr
            try:
                scheduler.step()
            except Exception:  # it raises it again, when that step has been made by itself
                self.put_back(len(self.rates))
                break
            self.rates.append(rate)
        self.steps = len(self.rates)

    def put_back(self, steps: int) -> None:
        """Go back to where the schedule is after so many of the steps."""
        state, groups = self.before
        self.scheduler.load_state_dict(state)
        for group, settings in zip(self.groups, groups, strict=True):
            group.update({name: value for name, value in settings.items() if group[name] is not value})
        for _ in range(steps):
            self.scheduler.step()
