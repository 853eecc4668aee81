"""Activations of straight pieces, and hardswish, of a parabola between two of them. NaN stays NaN.

    hardtanh     x within [min_val, max_val], else the nearer end; slope 1 between them, 0 at them, as in PyTorch
    relu6        hardtanh from 0 to 6
    hardsigmoid  relu6(x + 3) / 6
    hardswish    x relu6(x + 3) / 6
    threshold    x above the threshold, else the value
    prelu        x above zero, else weight x
"""
from __future__ import annotations

from .composed import composed, gate
from .elementwise import where
from .shapes import reshape

__all__ = ["hardsigmoid", "hardswish", "hardtanh", "prelu", "relu6", "threshold"]


def _within(x, low: float, high: float):
    return where(x < low, low, where(x > high, high, x))


hardtanh_backward = gate(
    "hardtanh_backward", lambda g, x, low, high: where(x <= low, 0, where(x >= high, 0, g)))
threshold_backward = gate("threshold_backward", lambda g, x, threshold: where(x <= threshold, 0, g))


def _hardtanh_value(x, min_val: float, max_val: float):
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: expected min_val of at most max_val, got {min_val} and {max_val}")
    return _within(x, min_val, max_val)


def _hardswish_gradient(g, x):
    return where(x <= -3, 0, where(x < 3, g * (x / 3 + 0.5), g))


hardtanh = composed(
    "hardtanh", _hardtanh_value,
    lambda g, x, min_val, max_val: hardtanh_backward(g, x, low=min_val, high=max_val),
    inplace=True, min_val=-1.0, max_val=1.0)
relu6 = composed(
    "relu6", lambda x: _within(x, 0.0, 6.0),
    lambda g, x: hardtanh_backward(g, x, low=0.0, high=6.0), inplace=True)
hardsigmoid = composed(
    "hardsigmoid", lambda x: _within(x + 3, 0.0, 6.0) / 6,
    lambda g, x: hardtanh_backward(g / 6, x, low=-3.0, high=3.0), inplace=True)
hardswish = composed("hardswish", lambda x: x * _within(x + 3, 0.0, 6.0) / 6, _hardswish_gradient, inplace=True)
_threshold = composed(
    "threshold", lambda x, threshold, value: where(x <= threshold, value, x),
    lambda g, x, threshold, value: threshold_backward(g, x, threshold=threshold), threshold=0.0, value=0.0)


def threshold(x, threshold: float, value: float, inplace: bool = False):
    """x where it is above the threshold, else the value. ``inplace`` is PyTorch's and changes nothing."""
    return _threshold(x, threshold=threshold, value=value)


def prelu(x, weight):
    """x where it is above zero, else weight x; weight of one element, or of one for each channel, x's axis 1.

    He et al. 2015. ValueError for another number of weights.
    """
    count = weight.shape[0] if weight.ndim == 1 else None
    channels = x.shape[1] if x.ndim > 1 else 1
    if count not in (1, channels):
        raise ValueError(f"prelu: expected a weight of shape (1,) or ({channels},), got {tuple(weight.shape)}")
    if count > 1:
        weight = reshape(weight, (count, *[1] * (x.ndim - 2)))
    elif x.ndim == 0:
        weight = reshape(weight, ())
    return where(x > 0, x, weight * x)
