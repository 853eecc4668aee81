"""The losses: mean squared error, negative log-likelihood and cross-entropy.

With z (N, C) the outputs and t the targets, labels (N,) of integers or rows (N, C) of probabilities:

    mse            Σ (z - t)²                        g 2 (z - t)
    nll            -Σ_n z[n, t_n]                    -g at [n, t_n]                    z log-probabilities
    cross_entropy  nll of log softmax(z)             g (softmax(z) - onehot(t))
                   -Σ_nc t log softmax(z)            g (softmax(z) Σ_c t - t)          rows of probabilities

``reduction`` divides the sum by the number of elements of z (mse "mean") or of samples (the others'
"mean", mse's "batchmean"), leaves it ("sum"), or gives a loss for each element or sample ("none").
"""
from __future__ import annotations

import math

import numpy as np

from .. import arrays
from .operation import Operation

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, allowed=REDUCTIONS) -> None:
    if reduction not in allowed:
        raise ValueError(f"{name}: expected reduction {', '.join(map(repr, allowed))}, got {reduction!r}")


def _reduced(name: str, losses: np.ndarray, reduction: str, count: int):
    """The losses reduced, in their dtype."""
    check_reduction(name, reduction, (*REDUCTIONS, "batchmean"))
    if reduction == "none":
        return losses
    sum_ = arrays.total(losses)
    return losses.dtype.type(sum_ if reduction == "sum" else sum_ / count if count else math.nan)


def _share(g, dtype, reduction: str, count: int, ndim: int):
    """The gradient that each element's (or row's) loss receives."""
    if reduction == "none":
        return g.reshape(g.shape + (1,) * (ndim - g.ndim))
    return dtype.type(g) if reduction == "sum" else dtype.type(g / count)


def _mse_count(z, reduction: str) -> int:
    return len(z) if reduction == "batchmean" else z.size


def _mse_value(z, t, reduction="mean"):
    if z.shape != np.shape(t):
        raise ValueError(f"MSELoss: expected a target of the output's shape {z.shape}, got {np.shape(t)}")
    if z.dtype != t.dtype:
        raise TypeError(f"MSELoss: expected a target of the output's dtype {z.dtype}, got {t.dtype}")
    difference = z - t
    return _reduced("MSELoss", difference * difference, reduction, _mse_count(z, reduction)), difference


def _mse_gradient(g, difference, z, t, reduction="mean"):
    return difference * _share(2 * g, z.dtype, reduction, _mse_count(z, reduction), z.ndim)


def check_labels(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """That t (N,) holds integers within the C classes of z (N, C)."""
    if z.ndim != 2:
        raise ValueError(f"{name}: expected an output of shape (N, C), got {z.shape}")
    if t.ndim == 1 and t.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected labels of an integer dtype, got {t.dtype}")
    if t.shape != z.shape[:1]:
        raise ValueError(f"{name}: expected labels of shape {z.shape[:1]}, got {t.shape}")
    if t.size and (t.min() < 0 or t.max() >= z.shape[1]):
        wrong = t[(t < 0) | (t >= z.shape[1])][0]
        raise ValueError(f"{name}: expected labels from 0 to {z.shape[1] - 1}, got {wrong}")


def _picked(z, t) -> np.ndarray:
    """The flat index of [n, t_n] for every n."""
    return np.arange(0, z.size, z.shape[1]) + t


def _nll_value(z, t, reduction="mean"):
    check_labels("NLLLoss", z, t)
    picked = _picked(z, t)
    return _reduced("NLLLoss", -z.reshape(-1)[picked], reduction, len(z)), picked


def _nll_gradient(g, picked, z, t, reduction="mean"):
    dz = np.zeros_like(z)
    share = _share(g, z.dtype, reduction, len(z), 1)
    dz.reshape(-1)[picked] = -share
    return dz


def _cross_entropy_value(z, t, reduction="mean"):
    if t.ndim == 2:
        if t.shape != z.shape:
            raise ValueError(f"CrossEntropyLoss: expected rows of probabilities {z.shape}, got {t.shape}")
        if t.dtype != z.dtype:
            raise TypeError(f"CrossEntropyLoss: expected probabilities of {z.dtype}, got {t.dtype}")
        log_p = arrays.log_softmax(z)
        return _reduced("CrossEntropyLoss", -(t * log_p).sum(axis=1), reduction, len(z)), (log_p, None)
    check_labels("CrossEntropyLoss", z, t)
    log_p, picked = arrays.log_softmax(z), _picked(z, t)
    return _reduced("CrossEntropyLoss", -log_p.reshape(-1)[picked], reduction, len(z)), (log_p, picked)


def _cross_entropy_gradient(g, kept, z, t, reduction="mean"):
    log_p, picked = kept
    dz = arrays.exp(log_p)
    if picked is None:
        dz *= t.sum(axis=1, keepdims=True)
        dz -= t
    else:
        dz.reshape(-1)[picked] -= 1
    dz *= _share(g, z.dtype, reduction, len(z), 2)
    return dz


def _no_gradient(*_, **__):
    raise NotImplementedError("a loss has no derivative for its target; detach() it")


def _mse_target_gradient(*args, **settings):
    return -_mse_gradient(*args, **settings)


mse_loss = Operation("mse_loss", _mse_value, _mse_gradient, _mse_target_gradient, keeps=True)
nll_loss = Operation("nll_loss", _nll_value, _nll_gradient, _no_gradient, keeps=True)
cross_entropy = Operation("cross_entropy", _cross_entropy_value, _cross_entropy_gradient, _no_gradient, keeps=True)
