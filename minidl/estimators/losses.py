"""The losses of the estimators, of raw outputs z (N, C) and targets t, without and with weights of samples w (N,).

    log_loss         cross-entropy; where outputs are logistic, the sum of theirs
    squared_error    Σ (z - t)² / 2
    poisson          Σ e^z - t z + t log t - t

each a mean over the samples, Σ w l / Σ w with weights, whose gradients are scikit-learn's.
"""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import functional as F
from .. import nn
from ..functional.loss_sums import total
from ..training.criterion import Criterion, as_criterion
from ..training.weighted import Weighted, as_weighted, over


class Objective(NamedTuple):
    """A loss for training: ``criterion``, of (target, weight) if samples weigh, and how it is reported."""

    criterion: nn.Module
    reported: float = 1.0  # times the loss


def _mean_of(losses: Callable) -> tuple[Callable, Callable]:
    """The mean over samples of losses (N, C), which are summed over C; and the same with weights."""
    def plain(z, t):
        return total(losses(z, t)).to(z.dtype) / z.shape[0]

    def weighted(z, t, w):
        return over(total(losses(z, t) * w.reshape(-1, 1)), total(w), z.dtype)

    return plain, weighted


def _poisson(z, t):
    return F.exp(z) - t * z + t * F.log(F.where(t == 0, 1, t)) - t


LOGISTIC = _mean_of(lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none"))
FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "squared_error": _mean_of(lambda z, t: 0.5 * (z - t) * (z - t)),
    "poisson": _mean_of(_poisson),
}


def loss_of(given: Any, known: tuple[str, ...]) -> Any:
    """The name of one that is ``known``; a loss of minidl.nn by its name, a copy of a loss, or a function.

    ValueError for what is none of these.
    """
    if isinstance(given, str):
        return given if given in known else _named(given, known)
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    if callable(given) and not isinstance(given, type):
        return given
    raise ValueError(f"loss: expected a name, a loss or a function of output and target, got {given!r}")


def _named(name: str, known: tuple[str, ...]) -> nn.Module:
    found = getattr(nn, name, None)
    if name in nn.__all__ and isinstance(found, type) and issubclass(found, nn.Loss) and found is not nn.Loss:
        return found()
    raise ValueError(f"loss: expected {', '.join(map(repr, known))}, the name of a loss of minidl.nn, a loss or a "
                     f"function of output and target, got {name!r}")


def objective(loss: Any, out_activation: str, outputs: int, weighted: bool) -> Objective:
    """The loss by its name, or the user's own, for this output layer."""
    if loss == "log_loss" and out_activation != "softmax":
        return _by_functions(LOGISTIC, weighted)
    if isinstance(loss, str) and loss in FUNCTIONS:
        return _by_functions(FUNCTIONS[loss], weighted, 1 / outputs if loss == "squared_error" else 1.0)
    criterion = nn.CrossEntropyLoss() if loss == "log_loss" else loss
    return Objective(as_weighted("fit", criterion) if weighted else as_criterion("fit", criterion))


def _by_functions(functions: tuple[Callable, Callable], weighted: bool, reported: float = 1.0) -> Objective:
    plain, with_weight = functions
    return Objective(Weighted(plain, with_weight) if weighted else Criterion(plain), reported)
