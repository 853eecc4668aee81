"""Adam: steps scaled by running means of the gradient and of its square."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..autograd.parameter import Parameter
from .flat import Part
from .group import at_least_zero, fraction
from .optimizer import Optimizer, penalized


def two_fractions(what: str, value: Any) -> tuple[float, float]:
    """A pair of numbers in [0, 1)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{what} to be a pair of numbers, got {value!r}")
    return fraction(what, value[0]), fraction(what, value[1])


def running_mean(mean: np.ndarray, rho: float, new: np.ndarray, out: np.ndarray) -> None:
    """mean ← rho mean + (1 - rho) new; ``out`` is scratch and may be ``new``."""
    np.multiply(mean, rho, out=mean)
    np.multiply(new, 1 - rho, out=out)
    np.add(mean, out, out=mean)


class Adam(Optimizer):
    """Adam, with (β1, β2) = ``betas``, weight decay λ and t = 1, 2, ...:

        g ← g + λ w
        m ← β1 m + (1 - β1) g        ("exp_avg")
        v ← β2 v + (1 - β2) g²       ("exp_avg_sq")
        w ← w - lr m̂ / (√v̂ + eps)    with m̂ = m / (1 - β1^t), v̂ = v / (1 - β2^t)

    Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
    Raises what Optimizer raises.
    """

    rules: ClassVar = {"lr": at_least_zero, "betas": two_fractions, "eps": at_least_zero,
                       "weight_decay": at_least_zero}
    state_names: ClassVar = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, group: dict[str, Any], part: Part) -> None:
        (beta1, beta2), eps = group["betas"], group["eps"]
        rate = group["lr"] / (1 - beta1 ** part.step)
        root = math.sqrt(1 - beta2 ** part.step)
        for w, g, (m, v), s, t in part.blocks(*self.state_names):
            g = self.decay(group, w, g, out=t)
            running_mean(m, beta1, g, out=s)
            running_mean(v, beta2, np.multiply(g, g, out=s), out=s)
            np.sqrt(v, out=s)
            np.divide(s, root, out=s)
            np.add(s, eps, out=s)
            np.divide(m, s, out=s)
            np.multiply(s, rate, out=s)
            np.subtract(w, s, out=w)

    def decay(self, group: dict[str, Any], w: np.ndarray, g: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Apply the weight decay; return the gradient that the moments see."""
        return penalized(g, w, group["weight_decay"], out)
