"""Adadelta: steps in the units of the weights, without a learning rate to choose."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..autograd.parameter import Parameter
from .adam import running_mean
from .flat import Part
from .group import at_least_zero, fraction
from .optimizer import Optimizer, penalized


class Adadelta(Optimizer):
    """Adadelta, with decay rate rho and weight decay λ:

        g ← g + λ w
        v ← rho v + (1 - rho) g²         ("square_avg")
        Δ = √(u + eps) / √(v + eps) g
        u ← rho u + (1 - rho) Δ²         ("acc_delta")
        w ← w - lr Δ

    Zeiler, ADADELTA: an adaptive learning rate method, 2012, algorithm 1, where lr = 1 (report 001
    uses it too). Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "rho": fraction, "eps": at_least_zero,
                       "weight_decay": at_least_zero}
    state_names: ClassVar = ("square_avg", "acc_delta")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1.0,
                 rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0):
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def update(self, group: dict[str, Any], part: Part) -> None:
        lr, rho, eps = group["lr"], group["rho"], group["eps"]
        for w, g, (v, u), s, t in part.blocks(*self.state_names):
            g = penalized(g, w, group["weight_decay"], out=t)
            running_mean(v, rho, np.multiply(g, g, out=s), out=s)
            np.add(v, eps, out=s)
            np.divide(g, np.sqrt(s, out=s), out=s)
            np.add(u, eps, out=t)
            np.multiply(s, np.sqrt(t, out=t), out=s)
            running_mean(u, rho, np.multiply(s, s, out=t), out=t)
            np.multiply(s, lr, out=s)
            np.subtract(w, s, out=w)
