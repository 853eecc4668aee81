"""Cyclical learning rates: up and down between two bounds, momentum the other way."""
from __future__ import annotations

import math
from typing import ClassVar

from ..group import at_least_zero, fraction
from ..optimizer import Optimizer
from .scheduler import LRScheduler, count, one_of


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

    def __init__(self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float],
                 step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular",
                 gamma: float = 1.0, cycle_momentum: bool = True, base_momentum: float | list[float] = 0.8,
                 max_momentum: float | list[float] = 0.9):
        super().__init__(optimizer)
        self.base_lrs, self.max_lrs = self._bounds("lr", base_lr, max_lr, at_least_zero)
        up = count(self._expected("step_size_up"), step_size_up, least=1)
        down = up
        if step_size_down is not None:
            down = count(self._expected("step_size_down"), step_size_down, least=1)
        self.total_size, self.step_ratio = up + down, up / (up + down)
        self.mode = one_of(self._expected("mode"), mode, ("triangular", "triangular2", "exp_range"))
        self.gamma = at_least_zero(self._expected("gamma"), gamma)
        if gamma > 1:
            raise ValueError(f"{self._expected('gamma <= 1')}, got {gamma}")
        self.cycle_momentum = bool(cycle_momentum)
        if cycle_momentum and not {"momentum", "betas"} & optimizer.rules.keys():
            raise ValueError(f"{self._expected('cycle_momentum=False')} with an optimizer without momentum, "
                             f"got {type(optimizer).__name__}")
        self.base_momentums, self.max_momentums = self._bounds(
            "momentum", base_momentum, max_momentum, fraction)
        self._write()

    def _bounds(self, name: str, base, maximum, check) -> tuple[list[float], list[float]]:
        """The lower and upper bounds of each group."""
        bases = self._per_group(f"base_{name}", base, check)
        maxima = self._per_group(f"max_{name}", maximum, check)
        if any(b > m for b, m in zip(bases, maxima, strict=True)):
            raise ValueError(f"{self._expected(f'base_{name} <= max_{name}')}, got {base} and {maximum}")
        return bases, maxima

    def _height(self) -> float:
        """How far up the cycle, scaled by the mode: 0 at a base, at most 1."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        if self.mode == "triangular2":
            return height * 0.5 ** (cycle - 1)
        return height * self.gamma ** self.last_epoch if self.mode == "exp_range" else height

    def _write(self) -> None:
        height = self._height()
        bounds = zip(self.base_lrs, self.max_lrs, self.base_momentums, self.max_momentums, strict=True)
        for group, (low, high, light, heavy) in zip(self.optimizer.param_groups, bounds, strict=True):
            group["lr"] = low + (high - low) * height
            if self.cycle_momentum:
                momentum = heavy - (heavy - light) * height
                if "betas" in group:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum

    def step(self) -> None:
        """One iteration has passed."""
        self.last_epoch += 1
        self._write()
