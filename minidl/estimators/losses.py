"""The losses of the estimators, of raw outputs z (N, C) and targets t, without and with weights of samples w (N,).

    log_loss         cross-entropy; where outputs are logistic, the sum of theirs
    squared_error    Σ (z - t)² / 2
    poisson          Σ e^z - t z + t log t - t

each a mean over the samples, Σ w l / Σ w with weights, whose gradients are scikit-learn's. The two that are most used
without weights are modules on arrays as well: such a one is called in its place in the program that is written from the
network's layers, which is made in a fraction of the time that a recording takes.
"""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import arrays, nn
from .. import functional as F
from ..functional.loss_sums import total
from ..training.criterion import Criterion, as_criterion
from ..training.weighted import Weighted, as_weighted, over


class Objective(NamedTuple):
    """A loss for training."""

    criterion: nn.Module  # of (target, weight) if samples weigh
    loss: Any  # what it was made of
    function: Callable  # the same on Tensors
    reported: float = 1.0  # how often the loss is reported


class MeanOverSamples(nn.Module):
    """A loss on arrays: Σ l(z, t) / N. A subclass gives ``losses`` and ``slope``, elementwise."""

    def forward(self, z: np.ndarray, t: np.ndarray) -> float:
        self.saved = z, t
        return float(z.dtype.type(arrays.total(self.losses(z, t)) / len(z)))

    def backward(self, gradient: float = 1.0) -> np.ndarray:
        z, t = self.require_saved()
        return self.slope(z, t) * z.dtype.type(gradient / len(z))

    def losses(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def slope(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class LogisticLoss(MeanOverSamples):
    """max(z, 0) - t z - log sigmoid |z|: the log loss of a logistic output, with slope sigmoid(z) - t."""

    def losses(self, z, t):
        return np.maximum(z, 0) - t * z - F.log(F.sigmoid(np.abs(z)))

    def slope(self, z, t):
        return F.sigmoid(z) - t


class HalfSquares(MeanOverSamples):
    """(z - t)² / 2, with slope z - t."""

    def losses(self, z, t):
        return np.square(z - t) * z.dtype.type(0.5)

    def slope(self, z, t):
        return z - t


def _mean_of(losses: Callable) -> tuple[Callable, Callable]:
    """The mean over samples of losses (N, C), which are summed over C; and the same with weights."""
    def plain(z, t):
        return total(losses(z, t)).to(z.dtype) / z.shape[0]

    def weighted(z, t, w):
        return over(total(losses(z, t) * w.reshape(-1, 1)), total(w), z.dtype)

    return plain, weighted


def _poisson(z, t):
    return F.exp(z) - t * z + t * F.log(F.where(t == 0, 1, t)) - t


ON_ARRAYS = {"log_loss": LogisticLoss, "squared_error": HalfSquares}
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
    if isinstance(loss, str) and (loss != "log_loss" or out_activation != "softmax"):
        plain, with_weight = LOGISTIC if loss == "log_loss" else FUNCTIONS[loss]
        reported = 1 / outputs if loss == "squared_error" else 1.0
        if weighted:
            of_pairs = Weighted(plain, with_weight)
            return Objective(of_pairs, loss, of_pairs.function, reported)
        return Objective(ON_ARRAYS[loss]() if loss in ON_ARRAYS else Criterion(plain), loss, plain, reported)
    chosen = nn.CrossEntropyLoss() if isinstance(loss, str) else loss
    criterion = as_weighted("fit", chosen) if weighted else as_criterion("fit", chosen)
    return Objective(criterion, loss, getattr(criterion, "function", criterion))
