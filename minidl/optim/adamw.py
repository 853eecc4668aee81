"""AdamW: Adam whose weight decay stays out of the moments."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..autograd.parameter import Parameter
from .adam import Adam


class AdamW(Adam):
    """Adam's update with decoupled weight decay λ: w ← (1 - lr λ) w first, and g is left as it is.

    Loshchilov and Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    Raises what Optimizer raises.
    """

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2,
                 amsgrad: bool = False, *, maximize: bool = False):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def decay(self, w: Any, g: Any, s: Any) -> tuple[Any, Any]:
        return (1 - s.lr * s.weight_decay) * w, -g if s.maximize else g
