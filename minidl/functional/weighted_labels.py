"""Labels that weigh differently: by class, not at all (ignore_index), or with a share for the other classes.

A label t[n] is the row of numbers

    T[n, c] = w[c] ((1 - s) [c = t[n]] + s / C),  and 0 where t[n] is to be ignored

with the weights w of the classes and the label smoothing s (Szegedy et al. 2016), and the loss is -Σ T log_p. Its mean
divides by Σ_n w[t[n]] over those that are not ignored. Rows of probabilities in place of labels are weighted alike, and
their mean divides by their number.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd.tape import active_recorder
from ..autograd.tensor import Tensor, as_array
from .casts import to
from .elementwise import where
from .loss_operation import in_dtype
from .loss_sums import check_reduction, gradient_factor, minus_one_hot, reduced, total
from .operation import Operation, no_derivative
from .reductions import sum


class Weighted(NamedTuple):
    """What a loss of weighted labels keeps: log-probabilities, T, and Σ w (None where the number of rows divides)."""

    log_p: Any
    rows: Any
    weight: Any


def _counts(who: str, t, ignore_index: int, classes: int) -> np.ndarray:
    """Which labels count. ValueError for one of these that is no class."""
    counts = t != ignore_index
    outside = t[counts & ((t < 0) | (t >= classes))]
    if outside.size:
        raise ValueError(f"{who}: expected labels from 0 to {classes - 1}, got {outside[0]}")
    return counts


def _rows_value(t, weight, who, classes, dtype, ignore_index, label_smoothing):
    counts = _counts(who, t, ignore_index, classes)
    weight = np.broadcast_to(np.asarray(weight, dtype), (classes,))
    rows = np.zeros((len(t), classes), dtype)
    rows[counts] = weight * dtype.type(label_smoothing / classes)
    labels = t[counts].astype(np.int64)
    rows[np.flatnonzero(counts), labels] += weight[labels] * dtype.type(1 - label_smoothing)
    return rows


def _weights_value(t, weight, who, classes, dtype, ignore_index):
    counts = _counts(who, t, ignore_index, classes)
    weight = np.broadcast_to(np.asarray(weight, dtype), (classes,))
    return np.where(counts, weight[np.where(counts, t, 0).astype(np.int64)], dtype.type(0))


label_rows = Operation("label_rows", _rows_value)
label_weights = Operation("label_weights", _weights_value)


def _over_value(x, weight):
    with np.errstate(all="ignore"):
        return np.divide(x, weight)


over_weight = Operation(  # 0 / 0 is NaN, without a warning
    "over_weight", _over_value, lambda g, y, x, weight: over_weight(g, weight), no_derivative, reads=("1", ""),
    kernel="divide")


def check_weight(name: str, weight, classes: int) -> None:
    if weight is not None and np.shape(weight) != (classes,):
        raise ValueError(f"{name}: expected a weight of shape ({classes},), got {np.shape(weight)}")


def ignoring() -> bool:
    """Whether this is a recorded step that has met a label to be ignored: then any of its batches may have some."""
    recorder = active_recorder()
    return recorder is not None and recorder.ignoring


def ignores(t, ignore_index: int) -> bool:
    """Whether a label is to be ignored, or may be."""
    if ignoring():
        return True
    recorder = active_recorder()
    found = bool((as_array(t) == ignore_index).any())
    if found and recorder is not None:
        recorder.ignoring = True
    return found


def loss_of_labels(name: str, z, log_p, t, weight, reduction: str, ignore_index: int, label_smoothing: float = 0.0):
    """(the loss of labels (N,), what it keeps)."""
    check_weight(name, weight, z.shape[1])
    weight = 1.0 if weight is None else in_dtype(weight, z)
    how = {"who": name, "classes": z.shape[1], "dtype": z.dtype, "ignore_index": ignore_index}
    if ignore_index < 0 and not ignores(t, ignore_index):  # a recorded step's kernels refuse labels below 0
        _counts(name, as_array(t), ignore_index, z.shape[1])
        return _loss_of_all_labels(name, z, log_p, t, weight, reduction, label_smoothing)
    rows = label_rows(t, weight, label_smoothing=label_smoothing, **how)
    products = where(rows == 0, 0, log_p) * rows  # log_p may be infinite where it does not count
    if reduction == "none":
        return -sum(products, 1), Weighted(log_p, rows, None)
    loss = -total(products)
    if reduction == "sum":
        return to_dtype(loss, z), Weighted(log_p, rows, None)
    check_reduction(name, reduction)
    whole = total(label_weights(t, weight, **how))
    return to_dtype(over_weight(loss, whole), z), Weighted(log_p, rows, whole)


def _loss_of_all_labels(name: str, z, log_p, t, weight, reduction: str, label_smoothing: float):
    """The same where all labels count, of operations that have kernels."""
    classes, equal = z.shape[1], isinstance(weight, float)
    one_hot = -minus_one_hot(t, classes=classes, dtype=z.dtype)
    share = one_hot * (1 - label_smoothing) if equal else one_hot * (weight * (1 - label_smoothing))
    rows = share + weight * (label_smoothing / classes) if label_smoothing else share
    products = (log_p if label_smoothing and equal else where(rows == 0, 0, log_p)) * rows
    if reduction == "none":
        return -sum(products, 1), Weighted(log_p, rows, None)
    loss = -total(products)
    if equal or reduction == "sum":
        return reduced(name, z, reduction, "rows", loss), Weighted(log_p, rows, None)
    check_reduction(name, reduction)
    whole = total(one_hot * weight)
    return to_dtype(over_weight(loss, whole), z), Weighted(log_p, rows, whole)


def to_dtype(x, z):
    """A number, or a Tensor of one, in z's dtype."""
    return to(x, z.dtype) if isinstance(x, Tensor) else z.dtype.type(x)


def loss_of_probabilities(name: str, z, log_p, t, weight, reduction: str, label_smoothing: float):
    """(the loss of rows of probabilities (N, C), what it keeps)."""
    check_weight(name, weight, z.shape[1])
    if label_smoothing:
        t = t * (1 - label_smoothing) + label_smoothing / z.shape[1]
    rows = t if weight is None else t * in_dtype(weight, z)
    products = rows * log_p
    saved = Weighted(log_p, rows, None)
    if reduction == "none":
        return -sum(products, 1), saved
    return reduced(name, z, reduction, "rows", -total(products)), saved


def share_of_rows(g, saved: Weighted, z, reduction: str):
    """The gradient that each row's loss receives, to be broadcast against z."""
    if saved.weight is None or reduction != "mean":
        return gradient_factor(g, z, reduction, "rows")
    weight = saved.weight  # where it is 0, all rows are
    weight = to(where(weight == 0, 1, weight), z.dtype) if isinstance(weight, Tensor) else z.dtype.type(weight or 1)
    return over_weight(g if isinstance(g, Tensor) else z.dtype.type(g), weight)
