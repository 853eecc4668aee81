"""RAdam: Adam that takes plain steps of momentum until the variance of its scale is bounded."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .adam import two_fractions
from .functions import sqrt
from .group import at_least_zero
from .optimizer import Optimizer, decayed
from .sgd import switch

TRACTABLE = 5  # the length of the moving average above which its variance is rectified; PyTorch's, the paper's is 4


class RAdam(Optimizer):
    """RAdam, with (β1, β2) = ``betas``, weight decay λ and t = 1, 2, ...:

        g ← g + λ w                      (w ← (1 - lr λ) w instead, with ``decoupled_weight_decay``)
        m ← β1 m + (1 - β1) g            ("exp_avg")
        v ← β2 v + (1 - β2) g²           ("exp_avg_sq")
        R = 2 / (1 - β2) - 1,  r = R - 2 t β2^t / (1 - β2^t)
        w ← w - lr m̂ c √(1 - β2^t) / (√v + eps)  if r > 5,  else w - lr m̂,    with m̂ = m / (1 - β1^t)
            c = √((r - 4) (r - 2) R / ((R - 4) (R - 2) r))

    Liu et al., On the variance of the adaptive learning rate and beyond, 2020; with -g for g if ``maximize``.
    Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "betas": two_fractions, "eps": at_least_zero,
                       "weight_decay": at_least_zero, "decoupled_weight_decay": switch, "maximize": switch}
    state_names: ClassVar = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 decoupled_weight_decay: bool = False, *, maximize: bool = False):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                         decoupled_weight_decay=decoupled_weight_decay, maximize=maximize)

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        (beta1, beta2), t = s.betas, s.step
        w, g = decayed(w, g, s)
        m = state.exp_avg = beta1 * state.exp_avg + (1 - beta1) * g
        v = state.exp_avg_sq = beta2 * state.exp_avg_sq + (1 - beta2) * g**2
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        rate = s.lr / (1 - beta1**t)
        if length > TRACTABLE:
            rectified = sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            return w - rate * rectified * sqrt(1 - beta2**t) * (m / (sqrt(v) + s.eps))
        return w - rate * m
