"""One cycle: the learning rate up, then down to almost nothing, and the momentum the other way."""
from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from ..group import at_least_zero, fraction
from ..optimizer import Optimizer
from ..sgd import switch
from .cyclic_lr import at_most_1, has_momentum, set_momentum
from .scheduler import MOST_STEPS, LRScheduler, count, one_of


class OneCycleLR(LRScheduler):
    """In the first ``pct_start`` of ``total_steps`` iterations lr rises from max_lr / ``div_factor`` to ``max_lr``,
    while the momentum falls from ``max_momentum`` to ``base_momentum``; then both go back, the rate further, to
    max_lr / div_factor / ``final_div_factor``. With ``three_phase`` the way back takes as long as the rise, and the
    rest of the steps lead to the least rate. ``anneal_strategy`` is "cos" (half a cosine) or "linear".

    In place of total_steps ``epochs`` and ``steps_per_epoch`` may be given. With ``cycle_momentum`` Adam's beta1
    takes the place of the momentum. max_lr and the momenta may be lists, a number for each parameter group.

    Smith and Topin, Super-convergence: very fast training of neural networks using large learning rates, 2017.
    Raises ValueError for values out of their ranges, for ``cycle_momentum`` with an optimizer that has no momentum
    and for a step after the last one; TypeError for other types.
    """

    interval: ClassVar[str] = "iteration"
    rules: ClassVar = {
        **LRScheduler.rules, "total_steps": partial(count, least=1, most=MOST_STEPS), "pct_start": at_most_1,
        "anneal_strategy": partial(one_of, choices=("cos", "linear")), "cycle_momentum": switch,
        "three_phase": switch}
    group_rules: ClassVar = {"max_lrs": at_least_zero, "first_lrs": at_least_zero, "last_lrs": at_least_zero,
                             "base_momentums": fraction, "max_momentums": fraction}
    total_steps: int
    pct_start: float
    anneal_strategy: str
    cycle_momentum: bool
    three_phase: bool
    max_lrs: list[float]
    first_lrs: list[float]
    last_lrs: list[float]
    base_momentums: list[float]
    max_momentums: list[float]

    def __init__(self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True,
                 base_momentum: float | list[float] = 0.85, max_momentum: float | list[float] = 0.95,
                 div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._expected('an Optimizer')}, got {type(optimizer).__name__}")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(f"{self._expected('total_steps, or epochs and steps_per_epoch')}, got neither")
            total_steps = (count(self._expected("epochs"), epochs, least=1)
                           * count(self._expected("steps_per_epoch"), steps_per_epoch, least=1))
        for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if at_least_zero(self._expected(name), value) == 0:
                raise ValueError(f"{self._expected(name)} > 0, got {value}")
        largest = [at_least_zero(self._expected("max_lr"), rate)
                   for rate in self._per_group("max_lr", max_lr, len(optimizer.param_groups))]
        first = [rate / div_factor for rate in largest]
        super().__init__(
            optimizer, total_steps=total_steps, pct_start=pct_start, anneal_strategy=anneal_strategy,
            cycle_momentum=cycle_momentum, three_phase=three_phase, max_lrs=largest, first_lrs=first,
            last_lrs=[rate / final_div_factor for rate in first], base_momentums=base_momentum,
            max_momentums=max_momentum)
        self.start()

    def check_together(self, expected: str, values: dict[str, Any]) -> None:
        if values["cycle_momentum"] and not has_momentum(self.optimizer):
            raise ValueError(f"{expected}cycle_momentum=False with an optimizer without momentum, "
                             f"got {type(self.optimizer).__name__}")

    def _phase(self) -> tuple[str, str, float]:
        """What the rate goes from and to, "first", "max" or "last", and how far it has come, from 0 to 1."""
        rise, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        ends = [(rise, "first", "max"), (2 * rise, "max", "first")] if self.three_phase else [(rise, "first", "max")]
        begin = 0.0
        for until, source, goal in ends:
            if self.last_epoch <= until:
                return source, goal, self._way(begin, until)
            begin = until
        return ends[-1][2], "last", self._way(begin, end)

    def _way(self, begin: float, end: float) -> float:
        return (self.last_epoch - begin) / (end - begin) if begin != end else 1.0

    def _between(self, a: float, b: float, way: float) -> float:
        if self.anneal_strategy == "linear":
            return (b - a) * way + a
        return b + (a - b) / 2.0 * (math.cos(math.pi * way) + 1)

    def start(self) -> None:
        """Write rates and momenta of this step into the groups."""
        source, goal, way = self._phase()
        rates = {"first": self.first_lrs, "max": self.max_lrs, "last": self.last_lrs}
        self._write([max(0.0, self._between(a, b, way)) for a, b in zip(rates[source], rates[goal], strict=True)])
        if self.cycle_momentum:
            light, heavy = self.base_momentums, self.max_momentums
            ends = (light if at == "max" else heavy for at in (source, goal))
            for group, a, b in zip(self.optimizer.param_groups, *ends, strict=True):
                set_momentum(group, self._between(a, b, way))

    def step(self) -> None:
        """One iteration has passed. ValueError after the last one."""
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"{self._expected(f'at most {self.total_steps} steps')}, got one more")
        self.last_epoch += 1
        self.start()
