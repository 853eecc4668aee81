"""Learning rates by a function of one's own."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import initial_lrs

Function = Callable[[int], float]


class _ByFunctions(Chainable):
    """A function of the epoch for all groups, or a list with one for each. They are no part of the state."""

    unsaved: ClassVar = ("optimizer", "lr_lambdas")
    lr_lambdas: list[Function]

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | list[Function], **values: Any):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._expected('an Optimizer')}, got {type(optimizer).__name__}")
        self.lr_lambdas = self._per_group("lr_lambda", lr_lambda, len(optimizer.param_groups))
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"{self._expected('lr_lambda')} to be a function, got {type(function).__name__}")
        super().__init__(optimizer, **values)


class LambdaLR(_ByFunctions):
    """lr = lr_initial lr_lambda(epoch).

    Raises TypeError for what is no function, and ValueError for a rate below zero.
    """

    group_rules: ClassVar = {"base_lrs": at_least_zero}
    base_lrs: list[float]

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | list[Function]):
        rates = initial_lrs(optimizer) if isinstance(optimizer, Optimizer) else []  # else refused there
        super().__init__(optimizer, lr_lambda, base_lrs=rates)

    def start(self) -> None:
        """Write the rates of epoch 0."""
        self._apply()

    def rate(self, lr: float, group: int) -> float:
        return self.base_lrs[group] * self.lr_lambdas[group](self.last_epoch)


class MultiplicativeLR(_ByFunctions):
    """Multiply the rates by lr_lambda(epoch) after each epoch 1, 2, ...

    Raises TypeError for what is no function, and ValueError for a rate below zero.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | list[Function]):
        super().__init__(optimizer, lr_lambda)

    def restart(self, base_lrs: list[float]) -> None:
        """Begin at step 0: the rates that the groups have, times lr_lambda(0), as in PyTorch."""
        self.last_epoch = 0
        self._apply()

    def rate(self, lr: float, group: int) -> float:
        return lr * self.lr_lambdas[group](self.last_epoch)
