"""NAdam: Adam with Nesterov's momentum."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .adam import two_fractions
from .functions import sqrt
from .group import at_least_zero
from .optimizer import Optimizer, decayed
from .sgd import switch


class NAdam(Optimizer):
    """NAdam, with (β1, β2) = ``betas``, ψ = ``momentum_decay``, weight decay λ and t = 1, 2, ...:

        g ← g + λ w                           (w ← (1 - lr λ) w instead, with ``decoupled_weight_decay``)
        μ(t) = β1 (1 - 0.96^(t ψ) / 2)
        M ← M μ(t)                            ("mu_product"; an element for each weight, all of a parameter equal)
        m ← β1 m + (1 - β1) g                 ("exp_avg")
        v ← β2 v + (1 - β2) g²                ("exp_avg_sq")
        w ← w - lr ((1 - μ(t)) / (1 - M) g + μ(t+1) / (1 - M μ(t+1)) m) / (√(v / (1 - β2^t)) + eps)

    Dozat, Incorporating Nesterov momentum into Adam, 2016; with -g for g if ``maximize``. Raises what Optimizer
    raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "betas": two_fractions, "eps": at_least_zero,
                       "weight_decay": at_least_zero, "momentum_decay": at_least_zero,
                       "decoupled_weight_decay": switch, "maximize": switch}
    state_names: ClassVar = ("exp_avg", "exp_avg_sq", "mu_product")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 2e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *, maximize: bool = False):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                         momentum_decay=momentum_decay, decoupled_weight_decay=decoupled_weight_decay,
                         maximize=maximize)

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        (beta1, beta2), t = s.betas, s.step
        w, g = decayed(w, g, s)
        now = beta1 * (1 - 0.5 * 0.96**(t * s.momentum_decay))
        following = beta1 * (1 - 0.5 * 0.96**((t + 1) * s.momentum_decay))
        product = state.mu_product = state.mu_product * now + now if t == 1 else state.mu_product * now
        m = state.exp_avg = beta1 * state.exp_avg + (1 - beta1) * g
        v = state.exp_avg_sq = beta2 * state.exp_avg_sq + (1 - beta2) * g**2
        root = sqrt(v / (1 - beta2**t)) + s.eps
        w = w - s.lr * (1 - now) / (1 - product) * (g / root)
        return w - s.lr * following / (1 - product * following) * (m / root)
