"""Cyclical learning rates: up and down between two bounds, momentum the other way."""
from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from ..group import at_least_zero, fraction
from ..optimizer import Optimizer
from ..sgd import switch
from .scheduler import MOST_STEPS, LRScheduler, between_0_and_1, count, one_of

steps = partial(count, least=1)


def at_most_1(what: str, value: Any) -> float:
    """A number in [0, 1]."""
    if at_least_zero(what, value) > 1:
        raise ValueError(f"{what} <= 1, got {value}")
    return float(value)


def has_momentum(optimizer: Optimizer) -> bool:
    """Whether it has a momentum, or Adam's beta1 in its place."""
    return bool({"momentum", "betas"} & optimizer.rules.keys())


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Make this the group's momentum, or its beta1."""
    if "betas" in group:
        group["betas"] = (momentum, group["betas"][1])
    else:
        group["momentum"] = momentum


class CyclicLR(LRScheduler):
    """After iteration i, with S = step_size_up + step_size_down:

        cycle = ⌊1 + i / S⌋,  x = 1 + i / S - cycle    (the place in the cycle, in [0, 1))
        height = x / r for x <= r, else (1 - x) / (1 - r),  with r = step_size_up / S
        lr       = base_lr      + (max_lr - base_lr) height scale
        momentum = max_momentum - (max_momentum - base_momentum) height scale

    ``mode`` sets the scale: 1 ("triangular"), 1 / 2^(cycle - 1) ("triangular2"), gamma^i ("exp_range").
    ``step_size_down=None`` is ``step_size_up``. With ``cycle_momentum`` Adam's beta1 takes the place of
    the momentum. Rates and momenta may be lists, a number for each parameter group. The optimizer
    starts at base_lr (and max_momentum) as soon as the scheduler is made.

    Smith, Cyclical learning rates for training neural networks, 2015 (report 001).
    Raises ValueError for a base above its maximum, a value out of its range, or ``cycle_momentum`` with
    an optimizer that has no momentum; TypeError for other types.
    """

    interval: ClassVar[str] = "iteration"
    rules: ClassVar = {
        **LRScheduler.rules, "total_size": partial(count, least=2, most=MOST_STEPS), "step_ratio": between_0_and_1,
        "mode": partial(one_of, choices=("triangular", "triangular2", "exp_range")), "gamma": at_most_1,
        "cycle_momentum": switch}
    group_rules: ClassVar = {"base_lrs": at_least_zero, "max_lrs": at_least_zero,
                             "base_momentums": fraction, "max_momentums": fraction}
    base_lrs: list[float]
    max_lrs: list[float]
    total_size: int
    step_ratio: float
    mode: str
    gamma: float
    cycle_momentum: bool
    base_momentums: list[float]
    max_momentums: list[float]

    def __init__(self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float],
                 step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular",
                 gamma: float = 1.0, cycle_momentum: bool = True, base_momentum: float | list[float] = 0.8,
                 max_momentum: float | list[float] = 0.9):
        up = steps(f"{type(self).__name__}: expected step_size_up", step_size_up)
        down = up
        if step_size_down is not None:
            down = steps(f"{type(self).__name__}: expected step_size_down", step_size_down)
        super().__init__(
            optimizer, base_lrs=base_lr, max_lrs=max_lr, total_size=up + down, step_ratio=up / (up + down),
            mode=mode, gamma=gamma, cycle_momentum=cycle_momentum, base_momentums=base_momentum,
            max_momentums=max_momentum)
        self.start()

    def check_together(self, expected: str, values: dict[str, Any]) -> None:
        for name in ("lr", "momentum"):
            for base, maximum in zip(values[f"base_{name}s"], values[f"max_{name}s"], strict=True):
                if base > maximum:
                    raise ValueError(f"{expected}base_{name} <= max_{name}, got {base} and {maximum}")
        total, ratio = values["total_size"], values["step_ratio"]
        if round(total * ratio) / total != ratio:
            raise ValueError(f"{expected}step_ratio as a fraction of total_size {total}, got {ratio}")
        if values["cycle_momentum"] and not has_momentum(self.optimizer):
            raise ValueError(f"{expected}cycle_momentum=False with an optimizer without momentum, "
                             f"got {type(self.optimizer).__name__}")

    def _height(self) -> float:
        """How far up the cycle, scaled by the mode: 0 at a base, at most 1."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        if self.mode == "triangular2":
            return height * 0.5 ** (cycle - 1)
        return height * self.gamma ** self.last_epoch if self.mode == "exp_range" else height

    def start(self) -> None:
        """Write rates and momenta of this step into the groups."""
        height = self._height()
        bounds = zip(self.base_lrs, self.max_lrs, self.base_momentums, self.max_momentums, strict=True)
        for group, (low, high, light, heavy) in zip(self.optimizer.param_groups, bounds, strict=True):
            group["lr"] = low + (high - low) * height
            if self.cycle_momentum:
                set_momentum(group, heavy - (heavy - light) * height)

    def step(self) -> None:
        """One iteration has passed."""
        self.last_epoch += 1
        self.start()
