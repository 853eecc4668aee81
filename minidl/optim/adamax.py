"""Adamax: Adam with the largest recent gradient in place of the root of the mean square."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .adam import two_fractions
from .functions import maximum
from .group import at_least_zero
from .optimizer import Optimizer, descended
from .sgd import switch


class Adamax(Optimizer):
    """Adamax, with (β1, β2) = ``betas``, weight decay λ and t = 1, 2, ...:

        g ← g + λ w                      (-g + λ w with ``maximize``)
        m ← β1 m + (1 - β1) g            ("exp_avg")
        u ← max(β2 u, |g| + eps)         ("exp_inf")
        w ← w - lr / (1 - β1^t) m / u

    Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 2; eps as in PyTorch.
    Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "betas": two_fractions, "eps": at_least_zero,
                       "weight_decay": at_least_zero, "maximize": switch}
    state_names: ClassVar = ("exp_avg", "exp_inf")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 2e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 *, maximize: bool = False):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        beta1, beta2 = s.betas
        g = descended(g, w, s)
        m = state.exp_avg = beta1 * state.exp_avg + (1 - beta1) * g
        u = state.exp_inf = maximum(beta2 * state.exp_inf, abs(g) + s.eps)
        return w - s.lr / (1 - beta1**s.step) * (m / u)
