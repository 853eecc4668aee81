"""The losses: mean squared error, Huber's, negative log-likelihood and cross-entropy.

With z (N, C) the outputs and t the targets, labels (N,) of integers or rows (N, C) of probabilities:

    mse            Σ (z - t)²                        g 2 (z - t)
    huber          Σ d²/2 where |d| <= delta,        g d where |d| <= delta,           d = z - t
                   delta (|d| - delta/2) elsewhere   g delta sign d elsewhere
    nll            -Σ_n z[n, t_n]                    -g at [n, t_n]                    z log-probabilities
    cross_entropy  nll of log softmax(z)             g (softmax(z) - onehot(t))
                   -Σ_nc t log softmax(z)            g (softmax(z) Σ_c t - t)          rows of probabilities

nll and cross_entropy also take one sample, z (C,) with a label () or probabilities (C,), and a class at each
place of an image or a sequence, z (N, C, d1, ...) with labels (N, d1, ...) or probabilities (N, C, d1, ...).
Then each place is a row, and counts as a sample.

``reduction`` divides the sum by the number of elements of z (mse "mean") or of samples (the others'
"mean", mse's "batchmean"), leaves it ("sum"), or gives a loss for each element or sample ("none").
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import arrays
from ..autograd.tensor import Tensor, as_array
from .activations import log_softmax
from .casts import contiguous
from .elementwise import exp, sign, where
from .loss_operation import LossOperation, check_alike, check_output
from .loss_sums import (
    divided,
    gather_labels,
    gather_labels_total,
    gradient_factor,
    label_gradient,
    minus_one_hot_like,
    reduced,
    row_total,
    total,
)
from .operation import Operation
from .parts import movedim
from .shapes import reshape
from .weighted_labels import Weighted, ignores, ignoring, loss_of_labels, loss_of_probabilities, share_of_rows

__all__ = ["cross_entropy", "huber_loss", "mse_loss", "nll_loss"]


def _mse_value(z, t, reduction="mean"):
    check_alike("MSELoss", z, t)
    difference = z - t
    squares = difference * difference
    if reduction == "none":
        return squares, difference
    return reduced("MSELoss", z, reduction, "elements", total(squares)), difference


def _mse_gradient(g, difference, z, t, reduction="mean"):
    return difference * gradient_factor(2 * g, z, reduction, "elements")


def _huber_value(z, t, reduction="mean", delta=1.0):
    check_alike("HuberLoss", z, t)
    if not delta > 0:
        raise ValueError(f"HuberLoss: expected delta above 0, got {delta}")
    difference = z - t
    size = abs(difference)
    losses = where(size <= delta, 0.5 * (difference * difference), delta * (size - 0.5 * delta))
    if reduction == "none":
        return losses, difference
    return reduced("HuberLoss", z, reduction, "elements", total(losses)), difference


def _huber_gradient(g, difference, z, t, reduction="mean", delta=1.0):
    slope = where(abs(difference) <= delta, difference, delta * sign(difference))
    return slope * gradient_factor(g, z, reduction, "elements")


class _Folded(NamedTuple):
    """One sample, or (N, C, d1, ...), as rows (R, C) and their targets; ``saved`` is what their loss saved."""

    rows: np.ndarray
    target: np.ndarray
    saved: Any = None


def label_shape(z: np.ndarray) -> tuple[int, ...]:
    """The shape that labels of an output z have: () for (C,), (N, d1, ...) for (N, C, d1, ...)."""
    return z.shape[:1] + z.shape[2:] if z.ndim > 1 else ()


def _as_rows(z: np.ndarray) -> np.ndarray:
    """(C,) or (N, C, d1, ...) as (R, C)."""
    classes = min(1, z.ndim - 1)
    return reshape(movedim(z, classes, -1), (-1, z.shape[classes]))


def _folded(name: str, z: np.ndarray, t, probabilities: bool) -> _Folded:
    """Of any output but (N, C). Raises as check_labels."""
    t = t if isinstance(t, Tensor) else np.asarray(t)
    if z.ndim == 0:
        raise ValueError(f"{name}: expected an output of shape (N, C), (C,) or (N, C, d1, ...), got ()")
    if probabilities and t.shape == z.shape and t.dtype.kind not in "iu":
        return _Folded(_as_rows(z), _as_rows(t))
    check_labels(name, z, t)
    return _Folded(_as_rows(z), reshape(t, -1))


def _value_of_folded(value: Callable, folded: _Folded, shape: tuple[int, ...], reduction: str, **how):
    """The loss of the rows: one number, or for each of the labels of this shape."""
    loss, saved = value(folded.rows, folded.target, reduction=reduction, **how)
    return reshape(loss, shape) if reduction == "none" else loss, folded._replace(saved=saved)


def _gradient_of_folded(gradient: Callable, g, folded: _Folded, z: np.ndarray, reduction: str) -> np.ndarray:
    """The gradient of z from that of its rows."""
    rows, target, saved = folded
    if reduction == "none":
        g = reshape(g if isinstance(g, Tensor) else np.asarray(g), -1)
    dz = gradient(g, saved, rows, target, reduction=reduction)
    if z.ndim == 1:
        return reshape(dz, z.shape)
    return contiguous(movedim(reshape(dz, (*label_shape(z), z.shape[1])), -1, 1))


def check_labels(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """Raise ValueError or TypeError unless t holds a label for each sample, or place, of z."""
    if z.ndim == 1 and np.ndim(t):
        raise ValueError(f"{name}: expected an output of shape (N, C), got {z.shape} with labels of shape {t.shape}")
    if np.shape(t) != label_shape(z):
        raise ValueError(f"{name}: expected labels of shape {label_shape(z)}, got {np.shape(t)}")
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected labels of an integer dtype, got {t.dtype}")


def _check_range(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """Raise ValueError unless t (N,) holds classes of z (N, C). In t's dtype: as int64, large ones are negative."""
    t, (_, classes) = as_array(t), z.shape
    outside = t[(t < 0) | (t >= classes)]
    if outside.size:
        raise ValueError(f"{name}: expected labels from 0 to {classes - 1}, got {outside[0]}")


def _nll_value(z, t, weight=None, reduction="mean", ignore_index=-100):
    check_output("NLLLoss", z)
    try:  # the kernel refuses what does not fit; only then is the reason looked for
        if weight is not None or ignore_index >= 0 or (isinstance(z, Tensor) and ignoring()):
            raise ValueError("the labels weigh differently")
        total = gather_labels_total(z, t)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        how = {"weight": weight, "ignore_index": ignore_index}
        if z.ndim != 2:
            return _value_of_folded(_nll_value, _folded("NLLLoss", z, t, False), label_shape(z), reduction, **how)
        check_labels("NLLLoss", z, t)
        if z.dtype not in arrays.FLOATS:
            raise arrays.unsupported("NLLLoss", z) from None
        if weight is not None or ignore_index >= 0 or ignores(t, ignore_index):
            return loss_of_labels("NLLLoss", z, z, t, reduction=reduction, **how)
        _check_range("NLLLoss", z, t)
        raise ValueError(f"NLLLoss: {error}") from None
    if reduction == "none":
        return -gather_labels(z, t), None
    return reduced("NLLLoss", z, reduction, "rows", -total), None


def _nll_gradient(g, saved, z, t, weight=None, reduction="mean", **_):
    if type(saved) is _Folded:
        return _gradient_of_folded(_nll_gradient, g, saved, z, reduction)
    if type(saved) is Weighted:
        return -saved.rows * share_of_rows(g, saved, z, reduction)
    return minus_one_hot_like(z, t) * gradient_factor(g, z, reduction, "rows")


def _cross_entropy_value(z, t, weight=None, reduction="mean", ignore_index=-100, label_smoothing=0.0):
    check_output("CrossEntropyLoss", z)
    if weight is not None or ignore_index >= 0 or label_smoothing:
        return _cross_entropy_of_weights(z, t, weight, reduction, ignore_index, label_smoothing)
    if (t.ndim if isinstance(t, np.ndarray) else np.ndim(t)) != 2:
        return _cross_entropy_of_labels(z, t, reduction, ignore_index)
    if z.ndim != 2:
        return _cross_entropy_of_others(z, t, reduction, ignore_index=ignore_index)
    _check_probabilities(z, t)
    return loss_of_probabilities("CrossEntropyLoss", z, log_softmax(z), t, None, reduction, 0.0)


def _check_probabilities(z, t):
    if t.shape != z.shape:
        raise ValueError(f"CrossEntropyLoss: expected rows of probabilities {z.shape}, got {t.shape}")
    if t.dtype != z.dtype:
        raise TypeError(f"CrossEntropyLoss: expected probabilities of {z.dtype}, got {t.dtype}")


def _cross_entropy_of_weights(z, t, weight, reduction: str, ignore_index: int, label_smoothing: float):
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"CrossEntropyLoss: expected label_smoothing from 0 to 1, got {label_smoothing}")
    if z.ndim != 2:
        return _cross_entropy_of_others(
            z, t, reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)
    if np.ndim(t) == 2:
        _check_probabilities(z, t)
        log_p = log_softmax(z)
        return loss_of_probabilities("CrossEntropyLoss", z, log_p, t, weight, reduction, label_smoothing)
    check_labels("CrossEntropyLoss", z, t)
    log_p = log_softmax(z)
    return loss_of_labels("CrossEntropyLoss", z, log_p, t, weight, reduction, ignore_index, label_smoothing)


def _cross_entropy_of_labels(z, t, reduction: str, ignore_index: int):
    # The kernel refuses what does not fit; only then is the reason looked for.
    try:
        total, log_p = _label_total(z, t) if isinstance(z, Tensor) else arrays.cross_entropy(z, t)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if z.ndim != 2:
            return _cross_entropy_of_others(z, t, reduction, ignore_index=ignore_index)
        check_labels("CrossEntropyLoss", z, t)
        log_p = log_softmax(z)  # which says what is wrong with z
        if ignores(t, ignore_index):
            return loss_of_labels("CrossEntropyLoss", z, log_p, t, None, reduction, ignore_index)
        _check_range("CrossEntropyLoss", z, t)
        raise ValueError(f"CrossEntropyLoss: {error}") from None
    if reduction == "none":
        return -gather_labels(log_p, t), log_p
    return reduced("CrossEntropyLoss", z, reduction, "rows", total), log_p


def _label_total(z, t):
    """-Σ_n log_p[n, t_n] and log_p = log softmax(z)."""
    if ignoring():
        raise ValueError("some labels are to be ignored")
    log_p = log_softmax(z)
    return -gather_labels_total(log_p, t), log_p


def _cross_entropy_of_others(z, t, reduction: str, **how):
    """Of one sample, or of (N, C, d1, ...)."""
    folded = _folded("CrossEntropyLoss", z, t, True)
    return _value_of_folded(_cross_entropy_value, folded, label_shape(z), reduction, **how)


def _cross_entropy_gradient(g, log_p, z, t, weight=None, reduction="mean", **_):
    if type(log_p) is np.ndarray and reduction != "none":
        return label_gradient.value(log_p, t, divided(g, z, reduction, "rows"))
    if type(log_p) is _Folded:
        return _gradient_of_folded(_cross_entropy_gradient, g, log_p, z, reduction)
    if type(log_p) is Weighted:
        dz = exp(log_p.log_p) * row_total(log_p.rows) - log_p.rows
        return dz * share_of_rows(g, log_p, z, reduction)
    if reduction != "none":
        return label_gradient(log_p, t, divided(g, z, reduction, "rows"))
    dz = exp(log_p) + minus_one_hot_like(z, t)
    return dz * gradient_factor(g, z, reduction, "rows")


def _no_gradient(*_, **__):
    raise NotImplementedError("a loss has no derivative for its target; detach() it")


def _mse_target_gradient(*args, **settings):
    return -_mse_gradient(*args, **settings)


def _huber_target_gradient(*args, **settings):
    return -_huber_gradient(*args, **settings)


mse_loss = Operation("mse_loss", _mse_value, _mse_gradient, _mse_target_gradient, saves=True)
huber_loss = Operation("huber_loss", _huber_value, _huber_gradient, _huber_target_gradient, saves=True)
nll_loss = LossOperation("nll_loss", _nll_value, _nll_gradient, _no_gradient, extras=("weight",))
cross_entropy = LossOperation(
    "cross_entropy", _cross_entropy_value, _cross_entropy_gradient, _no_gradient, extras=("weight",))
