"""The losses of elements: each compares z with t element by element, with d = z - t.

    l1                 |d|                                            sign d
    smooth_l1          d²/(2 beta) where |d| < beta                   d / beta
                       |d| - beta/2 elsewhere                         sign d
    bce                -w (t log z + (1 - t) log(1 - z))              w (z - t) / (z (1 - z))
    bce_with_logits    bce of sigmoid(z), t log z p times as heavy    w ((1 + (p - 1) t) sigmoid z - p t)
    kl_div             t (log t - z)                                  -t
    kl_div log_target  e^t (t - z)                                    -e^t

bce takes no logarithm for less than -100, and no z (1 - z) for less than 1e-12, as PyTorch does.
"""
from __future__ import annotations

import math

from ..autograd.tensor import as_array
from .activations import sigmoid, unit_softplus
from .elementwise import abs, exp, log, sign, where
from .loss_operation import is_one, of_elements, weighted

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "l1_loss", "smooth_l1_loss"]


def _opposite(slope):
    """The derivative for the target of a function of z - t."""
    return lambda z, t, *weights, **settings: -slope(z, t, *weights, **settings)


def _l1_slope(z, t):
    return sign(z - t)


def _smooth_l1(z, t, beta: float):
    if not beta >= 0:
        raise ValueError(f"SmoothL1Loss: expected beta of at least 0, got {beta}")
    size = abs(z - t)
    if beta == 0:
        return size
    return where(size < beta, 0.5 * (size * size) / beta, size - 0.5 * beta)


def _smooth_l1_slope(z, t, beta: float):
    difference = z - t
    if beta == 0:
        return sign(difference)
    return where(abs(difference) < beta, difference / beta, sign(difference))


def _bounded_log(x):
    y = log(x)
    return where(y < -100, -100, y)


def _bce(z, t, weight):
    array = as_array(z)
    if ((array < 0) | (array > 1)).any():
        raise ValueError("BCELoss: expected outputs between 0 and 1")
    return weighted(-(t * _bounded_log(z) + (1 - t) * _bounded_log(1 - z)), weight)


def _bce_slope(z, t, weight):
    spread = z * (1 - z)
    return weighted((z - t) / where(spread < 1e-12, 1e-12, spread), weight)


def _bce_target_slope(z, t, weight):
    return weighted(_bounded_log(1 - z) - _bounded_log(z), weight)


def _log_weight(t, pos_weight):
    """How much log sigmoid(z) weighs beside (1 - t) z."""
    return 1 if is_one(pos_weight) else 1 + (pos_weight - 1) * t


def _log_inverse(z):
    """-log sigmoid(z)."""
    return unit_softplus(-z, threshold=math.inf)


def _bce_logits(z, t, weight, pos_weight):
    return weighted((1 - t) * z + weighted(_log_inverse(z), _log_weight(t, pos_weight)), weight)


def _bce_logits_slope(z, t, weight, pos_weight):
    # Not 1 - t - sigmoid(-z), which far below zero loses all of a small sigmoid(z).
    return weighted(weighted(sigmoid(z), _log_weight(t, pos_weight)) - weighted(t, pos_weight), weight)


def _bce_logits_target_slope(z, t, weight, pos_weight):
    slope = -z if is_one(pos_weight) else (pos_weight - 1) * _log_inverse(z) - z
    return weighted(slope, weight)


def _log_above_zero(t):
    """log t, and 0 where t is 0, whose product with t is 0."""
    return log(where(t == 0, 1, t))


def _kl(z, t, log_target: bool):
    return exp(t) * (t - z) if log_target else t * (_log_above_zero(t) - z)


def _kl_slope(z, t, log_target: bool):
    return -exp(t) if log_target else -t


def _kl_target_slope(z, t, log_target: bool):
    return exp(t) * (t - z + 1) if log_target else log(t) + 1 - z


l1_loss = of_elements("l1_loss", "L1Loss", lambda z, t: abs(z - t), _l1_slope, _opposite(_l1_slope))
smooth_l1_loss = of_elements(
    "smooth_l1_loss", "SmoothL1Loss", _smooth_l1, _smooth_l1_slope, _opposite(_smooth_l1_slope), beta=1.0)
binary_cross_entropy = of_elements(
    "binary_cross_entropy", "BCELoss", _bce, _bce_slope, _bce_target_slope, extras=("weight",))
binary_cross_entropy_with_logits = of_elements(
    "binary_cross_entropy_with_logits", "BCEWithLogitsLoss", _bce_logits, _bce_logits_slope, _bce_logits_target_slope,
    extras=("weight", "pos_weight"))
kl_div = of_elements("kl_div", "KLDivLoss", _kl, _kl_slope, _kl_target_slope, log_target=False)
