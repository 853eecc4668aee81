"""The losses: mean squared error, negative log-likelihood and cross-entropy.

With z (N, C) the outputs and t the targets, labels (N,) of integers or rows (N, C) of probabilities:

    mse            Σ (z - t)²                        g 2 (z - t)
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

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import arrays
from ..autograd.tensor import Tensor, as_array
from .activations import log_softmax
from .casts import contiguous, to
from .elementwise import exp
from .operation import Operation, no_derivative
from .shapes import expand, permute, reshape

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, allowed=REDUCTIONS) -> None:
    if reduction not in allowed:
        raise ValueError(f"{name}: expected reduction {', '.join(map(repr, allowed))}, got {reduction!r}")


def check_output(name: str, z: np.ndarray) -> None:
    """That there is something to take the loss of."""
    if 0 in z.shape:
        raise ValueError(f"{name}: expected at least one sample, got an output of shape {z.shape}")


# Sums of a loss, in double, and what its gradients are made of

_total = Operation(
    "total", arrays.total, lambda g, y, x: expand(to(g, x.dtype), shape=x.shape), reads=("",))
_picked_total = Operation(  # Σ_n z[n, t_n]
    "picked_total", arrays.picked_total,
    lambda g, y, z, t: minus_one_hot(t, classes=z.shape[1], dtype=z.dtype) * -to(g, z.dtype), no_derivative,
    reads=("1", ""))
minus_one_hot = Operation("minus_one_hot", lambda t, classes, dtype: _minus_one_hot(t, classes, dtype), arity=1)
_picked = Operation(  # z[n, t_n]
    "picked", lambda z, t: np.take_along_axis(z, t[:, None], axis=1)[:, 0],
    lambda g, y, z, t: minus_one_hot(t, classes=z.shape[1], dtype=z.dtype) * -reshape(g, (-1, 1)), no_derivative,
    reads=("1", ""))
_row_total = Operation(  # Σ_c t[n, c], in the order of c: (N, C) -> (N, 1)
    "row_total", lambda t: arrays.matmul(t, np.ones((t.shape[1], 1), t.dtype)),
    lambda g, y, t: expand(g, shape=t.shape), reads=("",))
_label_gradient = Operation(  # share (e^log_p - onehot(t))
    "cross_entropy_gradient", arrays.cross_entropy_gradient,
    lambda u, d, log_p, t, share: u * share * exp(log_p),
    no_derivative,
    lambda u, d, log_p, t, share: (u * _label_gradient(log_p, t, 1.0)).sum(),
    reads=("02", "", "01"))


def _minus_one_hot(t, classes: int, dtype):
    found = np.zeros((len(t), classes), dtype)
    arrays.add_at_labels(found, t, -1)
    return found


def _reduced(name: str, dtype, reduction: str, count: int, total):
    """The loss in its dtype: the total over count, or the total."""
    if reduction != "mean":
        check_reduction(name, reduction, (*REDUCTIONS, "batchmean"))
    loss = total if reduction == "sum" else total / count
    return to(loss, dtype) if isinstance(loss, Tensor) else dtype.type(loss)


def _share(g, dtype, reduction: str, count: int, ndim: int):
    """The gradient that each element's, or each row's, loss receives."""
    if reduction == "none":
        shape = np.shape(g) + (1,) * (ndim - np.ndim(g))
        return reshape(g, shape) if isinstance(g, Tensor) else np.reshape(g, shape)
    share = g if reduction == "sum" else g / count
    return share if isinstance(share, Tensor) else dtype.type(share)


def _mse_count(z, reduction: str) -> int:
    return z.shape[0] if reduction == "batchmean" else math.prod(z.shape)


def _mse_value(z, t, reduction="mean"):
    check_output("MSELoss", z)
    if z.shape != np.shape(t):
        raise ValueError(f"MSELoss: expected a target of the output's shape {z.shape}, got {np.shape(t)}")
    if z.dtype != t.dtype:
        raise TypeError(f"MSELoss: expected a target of the output's dtype {z.dtype}, got {t.dtype}")
    difference = z - t
    squares = difference * difference
    if reduction == "none":
        return squares, difference
    return _reduced("MSELoss", z.dtype, reduction, _mse_count(z, reduction), _total(squares)), difference


def _mse_gradient(g, difference, z, t, reduction="mean"):
    return difference * _share(2 * g, z.dtype, reduction, _mse_count(z, reduction), z.ndim)


class _Folded(NamedTuple):
    """One sample, or (N, C, d1, ...), as rows (R, C) and their targets; ``kept`` is what their loss kept."""

    rows: np.ndarray
    target: np.ndarray
    kept: Any = None


def label_shape(z: np.ndarray) -> tuple[int, ...]:
    """The shape that labels of an output z have: () for (C,), (N, d1, ...) for (N, C, d1, ...)."""
    return z.shape[:1] + z.shape[2:] if z.ndim > 1 else ()


def _as_rows(z: np.ndarray) -> np.ndarray:
    """(C,) or (N, C, d1, ...) as (R, C)."""
    classes = min(1, z.ndim - 1)
    return reshape(_moved(z, classes, z.ndim - 1), (-1, z.shape[classes]))


def _moved(z, source: int, target: int):
    """z with one axis at another place, the others in their order."""
    dims = [i for i in range(z.ndim) if i != source]
    return permute(z, (*dims[:target], source, *dims[target:]))


def _folded(name: str, z: np.ndarray, t, probabilities: bool) -> _Folded:
    """Of any output but (N, C). Raises as check_labels."""
    t = t if isinstance(t, Tensor) else np.asarray(t)
    if z.ndim == 0:
        raise ValueError(f"{name}: expected an output of shape (N, C), (C,) or (N, C, d1, ...), got ()")
    if probabilities and t.shape == z.shape and t.dtype.kind not in "iu":
        return _Folded(_as_rows(z), _as_rows(t))
    check_labels(name, z, t)
    return _Folded(_as_rows(z), reshape(t, -1))


def _value_of_folded(value: Callable, folded: _Folded, shape: tuple[int, ...], reduction: str):
    """The loss of the rows: one number, or for each of the labels of this shape."""
    loss, kept = value(folded.rows, folded.target, reduction)
    return reshape(loss, shape) if reduction == "none" else loss, folded._replace(kept=kept)


def _gradient_of_folded(gradient: Callable, g, folded: _Folded, z: np.ndarray, reduction: str) -> np.ndarray:
    """The gradient of z from that of its rows."""
    rows, target, kept = folded
    if reduction == "none":
        g = reshape(g if isinstance(g, Tensor) else np.asarray(g), -1)
    dz = gradient(g, kept, rows, target, reduction)
    if z.ndim == 1:
        return reshape(dz, z.shape)
    return contiguous(_moved(reshape(dz, (*label_shape(z), z.shape[1])), z.ndim - 1, 1))


def check_labels(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """That t holds a label for each sample, or place, of z."""
    if z.ndim == 1 and np.ndim(t):
        raise ValueError(f"{name}: expected an output of shape (N, C), got {z.shape} with labels of shape {t.shape}")
    if np.shape(t) != label_shape(z):
        raise ValueError(f"{name}: expected labels of shape {label_shape(z)}, got {np.shape(t)}")
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected labels of an integer dtype, got {t.dtype}")


def _check_range(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """That t (N,) holds classes of z (N, C), in t's own dtype: as int64, large unsigned ones would be negative."""
    t = as_array(t)
    outside = t[(t < 0) | (t >= z.shape[1])]
    if outside.size:
        raise ValueError(f"{name}: expected labels from 0 to {z.shape[1] - 1}, got {outside[0]}")


def _nll_value(z, t, reduction="mean"):
    check_output("NLLLoss", z)
    try:  # as in cross-entropy: the kernel refuses what does not fit, and only then is it looked at more closely
        total = _picked_total(z, t)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if z.ndim != 2:
            return _value_of_folded(_nll_value, _folded("NLLLoss", z, t, False), label_shape(z), reduction)
        check_labels("NLLLoss", z, t)
        if z.dtype not in arrays.FLOATS:
            raise arrays.unsupported("NLLLoss", z) from None
        _check_range("NLLLoss", z, t)
        raise ValueError(f"NLLLoss: {error}") from None
    if reduction == "none":
        return -_picked(z, t), None
    return _reduced("NLLLoss", z.dtype, reduction, len(z), -total), None


def _nll_gradient(g, kept, z, t, reduction="mean"):
    if kept is not None:
        return _gradient_of_folded(_nll_gradient, g, kept, z, reduction)
    return minus_one_hot(t, classes=z.shape[1], dtype=z.dtype) * _share(g, z.dtype, reduction, len(z), 2)


def _cross_entropy_value(z, t, reduction="mean"):
    check_output("CrossEntropyLoss", z)
    if (t.ndim if isinstance(t, np.ndarray) else np.ndim(t)) != 2:
        return _cross_entropy_of_labels(z, t, reduction)
    if z.ndim != 2:
        return _cross_entropy_of_others(z, t, reduction)
    if t.shape != z.shape:
        raise ValueError(f"CrossEntropyLoss: expected rows of probabilities {z.shape}, got {t.shape}")
    if t.dtype != z.dtype:
        raise TypeError(f"CrossEntropyLoss: expected probabilities of {z.dtype}, got {t.dtype}")
    log_p = log_softmax(z)
    products = t * log_p
    if reduction == "none":
        return -products.sum(axis=1), log_p
    return _reduced("CrossEntropyLoss", z.dtype, reduction, len(z), -_total(products)), log_p


def _cross_entropy_of_labels(z, t, reduction: str):
    # The kernel refuses what does not fit; only then is it looked at more closely.
    try:
        total, log_p = _label_total(z, t)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if z.ndim != 2:
            return _cross_entropy_of_others(z, t, reduction)
        check_labels("CrossEntropyLoss", z, t)
        log_softmax(z)  # which says what is wrong with z
        _check_range("CrossEntropyLoss", z, t)
        raise ValueError(f"CrossEntropyLoss: {error}") from None
    if reduction == "none":
        return -_picked(log_p, t), log_p
    return _reduced("CrossEntropyLoss", z.dtype, reduction, len(z), total), log_p


def _label_total(z, t):
    """-Σ_n log_p[n, t_n] and log_p = log softmax(z): for arrays in one call of a kernel."""
    if not isinstance(z, Tensor) and not isinstance(t, Tensor):
        return arrays.cross_entropy(z, t)
    log_p = log_softmax(z)
    return -_picked_total(log_p, t), log_p


def _cross_entropy_of_others(z, t, reduction: str):
    """Of one sample, or of (N, C, d1, ...)."""
    folded = _folded("CrossEntropyLoss", z, t, True)
    return _value_of_folded(_cross_entropy_value, folded, label_shape(z), reduction)


def _cross_entropy_gradient(g, log_p, z, t, reduction="mean"):
    if type(log_p) is _Folded:
        return _gradient_of_folded(_cross_entropy_gradient, g, log_p, z, reduction)
    if t.ndim == 1 and reduction != "none":
        share = g / len(z) if reduction == "mean" else _share(g, z.dtype, reduction, len(z), 2)
        return _label_gradient(log_p, t, share)
    if t.ndim == 1:
        dz = exp(log_p) + minus_one_hot(t, classes=z.shape[1], dtype=z.dtype)
    else:
        dz = exp(log_p) * _row_total(t) - t
    return dz * _share(g, z.dtype, reduction, len(z), 2)


def _no_gradient(*_, **__):
    raise NotImplementedError("a loss has no derivative for its target; detach() it")


def _mse_target_gradient(*args, **settings):
    return -_mse_gradient(*args, **settings)


mse_loss = Operation("mse_loss", _mse_value, _mse_gradient, _mse_target_gradient, keeps=True)
nll_loss = Operation("nll_loss", _nll_value, _nll_gradient, _no_gradient, keeps=True)
cross_entropy = Operation("cross_entropy", _cross_entropy_value, _cross_entropy_gradient, _no_gradient, keeps=True)
