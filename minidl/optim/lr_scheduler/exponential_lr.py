"""Exponential decay: the learning rate times a constant after each epoch."""
from __future__ import annotations

from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import LRScheduler


class ExponentialLR(Chainable):
    """Multiply the rates by ``gamma`` after each epoch: lr = lr_initial gamma^epoch.

    Raises ValueError for a gamma below zero, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "gamma": at_least_zero}
    gamma: float

    def __init__(self, optimizer: Optimizer, gamma: float):
        super().__init__(optimizer, gamma=gamma)

    def rate(self, lr: float, group: int) -> float:
        return lr * self.gamma
