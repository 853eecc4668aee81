"""Adagrad: steps scaled by the root of the sum of all squared gradients."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .functions import sqrt
from .group import at_least_zero
from .optimizer import Optimizer, descended
from .sgd import switch


class Adagrad(Optimizer):
    """Adagrad, with weight decay λ, decay of the rate δ = ``lr_decay`` and t = 1, 2, ...:

        g ← g + λ w                  (-g + λ w with ``maximize``)
        v ← v + g²                   ("sum"; it begins at ``initial_accumulator_value``)
        w ← w - lr / (1 + (t - 1) δ) g / (√v + eps)

    Duchi, Hazan and Singer, Adaptive subgradient methods, 2011. Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "lr_decay": at_least_zero, "eps": at_least_zero,
                       "weight_decay": at_least_zero, "initial_accumulator_value": at_least_zero, "maximize": switch}
    state_names: ClassVar = ("sum",)

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-2, lr_decay: float = 0,
                 weight_decay: float = 0, initial_accumulator_value: float = 0, eps: float = 1e-10,
                 *, maximize: bool = False):
        super().__init__(params, lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
                         initial_accumulator_value=initial_accumulator_value, maximize=maximize)

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        g = descended(g, w, s)
        before = state.sum
        if s.initial_accumulator_value and s.step == 1:
            before = before + s.initial_accumulator_value
        v = state.sum = before + g**2
        return w - s.lr / (1 + (s.step - 1) * s.lr_decay) * (g / (sqrt(v) + s.eps))
