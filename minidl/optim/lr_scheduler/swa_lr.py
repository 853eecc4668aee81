"""From the rate that an optimizer has to the constant one at which weights are averaged."""
from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import MOST_STEPS, LRScheduler, count, one_of


class SWALR(Chainable):
    """Let the rates go to ``swa_lr`` in ``anneal_epochs`` epochs, then stay (Izmailov et al. 2018):

        lr = swa_lr a + lr_initial (1 - a),  a = t or (1 - cos π t) / 2,  t = min(epoch / anneal_epochs, 1)

    anneal_strategy : "cos" or "linear". swa_lr : a number for all groups, or a list with one for each.

    Raises ValueError for a rate or epochs below zero and another strategy, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "anneal_epochs": partial(count, least=0, most=MOST_STEPS),
                       "anneal_strategy": partial(one_of, choices=("cos", "linear"))}
    group_rules: ClassVar = {"swa_lrs": at_least_zero}
    swa_lrs: list[float]
    anneal_epochs: int
    anneal_strategy: str

    def __init__(self, optimizer: Optimizer, swa_lr, anneal_epochs: int = 10, anneal_strategy: str = "cos"):
        super().__init__(optimizer, swa_lrs=swa_lr, anneal_epochs=anneal_epochs, anneal_strategy=anneal_strategy)

    def start(self) -> None:
        self._apply()

    def _share(self, epoch: int) -> float:
        """a of this epoch."""
        t = min(max(epoch, 0) / max(self.anneal_epochs, 1), 1)
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def rate(self, lr: float, group: int) -> float:
        epoch = self.last_epoch if self.anneal_epochs else max(self.last_epoch, 1)
        before, share, end = self._share(epoch - 1), self._share(epoch), self.swa_lrs[group]
        initial = end if before == 1 else (lr - before * end) / (1 - before)
        return end * share + initial * (1 - share)
