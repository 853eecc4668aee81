"""RMSprop: steps scaled by a running mean of the squared gradient."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..autograd.parameter import Parameter
from .functions import sqrt
from .group import at_least_zero, fraction
from .optimizer import Optimizer, descended
from .sgd import switch


class RMSprop(Optimizer):
    """RMSprop, with decay rate ``alpha``, weight decay λ and momentum μ (PyTorch's definition):

        g ← g + λ w                      (-g + λ w with ``maximize``)
        v ← alpha v + (1 - alpha) g²     ("square_avg")
        d = g / (√v + eps)
        b ← μ b + d                      ("momentum_buffer"; b = d without momentum)
        w ← w - lr b

    With ``centered`` the variance v - m² stands under the root, with m ← alpha m + (1 - alpha) g ("grad_avg").

    Tieleman and Hinton, Neural networks for machine learning, lecture 6.5, 2012; centered: Graves, Generating
    sequences with recurrent neural networks, 2013. Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "alpha": fraction, "eps": at_least_zero, "weight_decay": at_least_zero,
                       "momentum": at_least_zero, "centered": switch, "maximize": switch}
    state_names: ClassVar = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-2, alpha: float = 0.99,
                 eps: float = 1e-8, weight_decay: float = 0, momentum: float = 0, centered: bool = False,
                 *, maximize: bool = False):
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                         centered=centered, maximize=maximize)

    def state_of(self, group: dict[str, Any]) -> tuple[str, ...]:
        kept = {"square_avg": True, "momentum_buffer": group["momentum"] != 0, "grad_avg": group["centered"]}
        return tuple(name for name in self.state_names if kept[name])

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        g = descended(g, w, s)
        v = state.square_avg = s.alpha * state.square_avg + (1 - s.alpha) * g**2
        if s.centered:
            m = state.grad_avg = s.alpha * state.grad_avg + (1 - s.alpha) * g
            v = v - m**2
        b = g / (sqrt(v) + s.eps)
        if s.momentum:
            b = state.momentum_buffer = s.momentum * state.momentum_buffer + b
        return w - s.lr * b
