"""Stochastic gradient descent, with momentum."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..autograd.parameter import Parameter
from .group import at_least_zero
from .optimizer import Optimizer, penalized


def switch(what: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} to be True or False, got {value!r}")
    return bool(value)


class SGD(Optimizer):
    """Gradient descent; with momentum μ, dampening τ and weight decay λ (PyTorch's definition):

        d = g + λ w              (d = -g + λ w with ``maximize``)
        v ← μ v + (1 - τ) d      (v = d in the first step)
        d = v                    (d + μ v with ``nesterov``)
        w ← w - lr d

    Without momentum the two middle lines are left out.

    Two other definitions of momentum are this one under other names, as long as lr is constant:

    - v' ← μ v' + lr g, w ← w - v' (report 001). With v' = lr v this is lr v ← lr (μ v + g):
      ``SGD(lr, momentum=μ)``.
    - m ← β m + (1 - β) g, w ← w - lr m (report 003). With m = (1 - β) v this is
      v ← β v + g, w ← w - lr (1 - β) v: ``SGD(lr * (1 - β), momentum=β)``.

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    Raises what Optimizer raises; ``nesterov`` takes a momentum above zero and no dampening.
    """

    rules: ClassVar = {"lr": at_least_zero, "momentum": at_least_zero, "dampening": at_least_zero,
                       "weight_decay": at_least_zero, "nesterov": switch, "maximize": switch}
    state_names: ClassVar = ("momentum_buffer",)

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-3,
                 momentum: float = 0, dampening: float = 0, weight_decay: float = 0, nesterov: bool = False,
                 *, maximize: bool = False):
        super().__init__(params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                         nesterov=nesterov, maximize=maximize)

    @classmethod
    def check_together(cls, settings: dict[str, Any]) -> None:
        momentum, dampening = settings["momentum"], settings["dampening"]
        if settings["nesterov"] and (momentum == 0 or dampening != 0):
            raise ValueError(f"{cls.__name__}: expected momentum > 0 and dampening = 0 for nesterov, "
                             f"got momentum={momentum}, dampening={dampening}")

    def keeps_state(self, group: dict[str, Any]) -> bool:
        return group["momentum"] != 0

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        d = -penalized(g, w, -s.weight_decay) if s.maximize else penalized(g, w, s.weight_decay)
        if s.momentum:
            gain = 1 if s.step == 1 else 1 - s.dampening
            v = state.momentum_buffer = s.momentum * state.momentum_buffer + gain * d
            d = d + s.momentum * v if s.nesterov else v
        return w - s.lr * d
