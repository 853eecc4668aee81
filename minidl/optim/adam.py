"""Adam: steps scaled by running means of the gradient and of its square."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .functions import maximum, sqrt
from .group import at_least_zero, fraction
from .optimizer import Optimizer, descended
from .sgd import switch


def two_fractions(what: str, value: Any) -> tuple[float, float]:
    """A pair of numbers in [0, 1)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{what} to be a pair of numbers, got {value!r}")
    return fraction(what, value[0]), fraction(what, value[1])


class Adam(Optimizer):
    """Adam, with (β1, β2) = ``betas``, weight decay λ and t = 1, 2, ...:

        g ← g + λ w                  (-g + λ w with ``maximize``)
        m ← β1 m + (1 - β1) g        ("exp_avg")
        v ← β2 v + (1 - β2) g²       ("exp_avg_sq")
        w ← w - lr m̂ / (√v̂ + eps)    with m̂ = m / (1 - β1^t), v̂ = v / (1 - β2^t)

    With ``amsgrad`` the largest v so far stands in v̂ ("max_exp_avg_sq").

    Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1; amsgrad: Reddi, Kale and Kumar, On
    the convergence of Adam and beyond, 2018.
    Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "betas": two_fractions, "eps": at_least_zero,
                       "weight_decay": at_least_zero, "amsgrad": switch, "maximize": switch}
    beyond_kernel: ClassVar = ("amsgrad", "maximize")
    state_names: ClassVar = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 amsgrad: bool = False, *, maximize: bool = False):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                         maximize=maximize)

    def state_of(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.state_names if group["amsgrad"] else self.state_names[:2]

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        (beta1, beta2), t = s.betas, s.step
        w, g = self.decay(w, g, s)
        m = state.exp_avg = beta1 * state.exp_avg + (1 - beta1) * g
        v = state.exp_avg_sq = beta2 * state.exp_avg_sq + (1 - beta2) * g**2
        if s.amsgrad:
            v = state.max_exp_avg_sq = maximum(state.max_exp_avg_sq, v)
        return w - s.lr / (1 - beta1**t) * (m / (sqrt(v) / sqrt(1 - beta2**t) + s.eps))

    def decay(self, w: Any, g: Any, s: Any) -> tuple[Any, Any]:
        """The values and the gradients that the moments see, after the weight decay."""
        return w, descended(g, w, s)
