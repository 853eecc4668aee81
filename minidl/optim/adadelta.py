"""Adadelta: steps in the units of the weights, without a learning rate to choose."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .functions import sqrt
from .group import at_least_zero, fraction
from .optimizer import Optimizer, descended
from .sgd import switch


class Adadelta(Optimizer):
    """Adadelta, with decay rate rho and weight decay λ:

        g ← g + λ w                      (-g + λ w with ``maximize``)
        v ← rho v + (1 - rho) g²         ("square_avg")
        Δ = √(u + eps) / √(v + eps) g
        u ← rho u + (1 - rho) Δ²         ("acc_delta")
        w ← w - lr Δ

    Zeiler, ADADELTA: an adaptive learning rate method, 2012, algorithm 1, where lr = 1 (report 001
    uses it too). Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "rho": fraction, "eps": at_least_zero,
                       "weight_decay": at_least_zero, "maximize": switch}
    beyond_kernel: ClassVar = ("maximize",)
    state_names: ClassVar = ("square_avg", "acc_delta")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1.0,
                 rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, *, maximize: bool = False):
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        g = descended(g, w, s)
        u = state.acc_delta
        v = state.square_avg = s.rho * state.square_avg + (1 - s.rho) * g**2
        step = g / sqrt(v + s.eps) * sqrt(u + s.eps)
        state.acc_delta = s.rho * u + (1 - s.rho) * step**2
        return w - s.lr * step
