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

import numpy as np

from .. import arrays
from .operation import Operation

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, allowed=REDUCTIONS) -> None:
    if reduction not in allowed:
        raise ValueError(f"{name}: expected reduction {', '.join(map(repr, allowed))}, got {reduction!r}")


def check_output(name: str, z: np.ndarray) -> None:
    """That there is something to take the loss of."""
    if not z.size:
        raise ValueError(f"{name}: expected at least one sample, got an output of shape {z.shape}")


def _reduced(name: str, dtype, reduction: str, count: int, total: float):
    """The loss in its dtype: the total over count, or the total."""
    if reduction == "mean":
        return dtype.type(total / count)
    check_reduction(name, reduction, (*REDUCTIONS, "batchmean"))
    return dtype.type(total if reduction == "sum" else total / count)


def _share(g, dtype, reduction: str, count: int, ndim: int):
    """The gradient that each element's, or each row's, loss receives."""
    if reduction == "none":
        return np.reshape(g, np.shape(g) + (1,) * (ndim - np.ndim(g)))
    return dtype.type(g if reduction == "sum" else g / count)


def _mse_count(z, reduction: str) -> int:
    return len(z) if reduction == "batchmean" else z.size


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
    return _reduced("MSELoss", z.dtype, reduction, _mse_count(z, reduction), arrays.total(squares)), difference


def _mse_gradient(g, difference, z, t, reduction="mean"):
    return difference * _share(2 * g, z.dtype, reduction, _mse_count(z, reduction), z.ndim)


def check_labels(name: str, z: np.ndarray, t: np.ndarray) -> None:
    """That t (N,) holds a label for each row of z (N, C)."""
    if z.ndim != 2:
        raise ValueError(f"{name}: expected an output of shape (N, C), got {z.shape}")
    if np.shape(t) != z.shape[:1]:
        raise ValueError(f"{name}: expected labels of shape {z.shape[:1]}, got {np.shape(t)}")
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected labels of an integer dtype, got {t.dtype}")


def _picked_losses(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """-z[n, t_n], for each n."""
    return -np.take_along_axis(z, t[:, None], axis=1)[:, 0]


def _nll_value(z, t, reduction="mean"):
    check_output("NLLLoss", z)
    check_labels("NLLLoss", z, t)
    try:
        total = arrays.picked_total(z, t)
    except ValueError as error:
        raise ValueError(f"NLLLoss: {error}") from None
    if reduction == "none":
        return _picked_losses(z, t), None
    return _reduced("NLLLoss", z.dtype, reduction, len(z), -total), None


def _nll_gradient(g, kept, z, t, reduction="mean"):
    dz = np.zeros(z.shape, z.dtype)
    arrays.add_at_labels(dz, t, -1)
    dz *= _share(g, z.dtype, reduction, len(z), 2)
    return dz


def _cross_entropy_value(z, t, reduction="mean"):
    check_output("CrossEntropyLoss", z)
    if (t.ndim if isinstance(t, np.ndarray) else np.ndim(t)) != 2:
        return _cross_entropy_of_labels(z, t, reduction)
    if t.shape != z.shape:
        raise ValueError(f"CrossEntropyLoss: expected rows of probabilities {z.shape}, got {t.shape}")
    if t.dtype != z.dtype:
        raise TypeError(f"CrossEntropyLoss: expected probabilities of {z.dtype}, got {t.dtype}")
    log_p = arrays.log_softmax(z)
    products = t * log_p
    if reduction == "none":
        return -products.sum(axis=1), log_p
    return _reduced("CrossEntropyLoss", z.dtype, reduction, len(z), -arrays.total(products)), log_p


def _cross_entropy_of_labels(z, t, reduction: str):
    # The kernel refuses what does not fit; only then is it looked at more closely.
    try:
        total, log_p = arrays.cross_entropy(z, t)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        check_labels("CrossEntropyLoss", z, t)
        arrays.log_softmax(z)  # which says what is wrong with z
        raise ValueError(f"CrossEntropyLoss: {error}") from None
    if reduction == "none":
        return _picked_losses(log_p, t), log_p
    return _reduced("CrossEntropyLoss", z.dtype, reduction, len(z), total), log_p


def _cross_entropy_gradient(g, log_p, z, t, reduction="mean"):
    if t.ndim == 1 and reduction != "none":
        share = g / len(z) if reduction == "mean" else _share(g, z.dtype, reduction, len(z), 2)
        return arrays.cross_entropy_gradient(log_p, t, share)
    dz = arrays.exp(log_p)
    if t.ndim == 1:
        arrays.add_at_labels(dz, t, -1)
    else:
        dz *= arrays.matmul(t, np.ones((t.shape[1], 1), t.dtype))  # Σ_c t, in the order of c
        dz -= t
    dz *= _share(g, z.dtype, reduction, len(z), 2)
    return dz


def _no_gradient(*_, **__):
    raise NotImplementedError("a loss has no derivative for its target; detach() it")


def _mse_target_gradient(*args, **settings):
    return -_mse_gradient(*args, **settings)


mse_loss = Operation("mse_loss", _mse_value, _mse_gradient, _mse_target_gradient, keeps=True)
nll_loss = Operation("nll_loss", _nll_value, _nll_gradient, _no_gradient, keeps=True)
cross_entropy = Operation("cross_entropy", _cross_entropy_value, _cross_entropy_gradient, _no_gradient, keeps=True)
