"""Initial values, in place: PyTorch's names, each with a ``generator`` (seed or Generator).

fan_in and fan_out are the numbers of connections into and out of a unit: W is (fan_out, fan_in).
"""
from __future__ import annotations

import math

import numpy as np

from .. import random
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor


def _set(parameter: Parameter, values) -> Parameter:
    if not isinstance(parameter, Tensor):
        raise TypeError(f"init: expected a Parameter, got {type(parameter).__name__}")
    parameter.overwrite(np.asarray(values).astype(parameter.dtype))
    return parameter


def _fans(parameter: Parameter) -> tuple[int, int]:
    if parameter.data.ndim != 2:
        raise ValueError(f"init: expected a weight of two axes (out, in), got shape {parameter.shape}")
    return parameter.shape[1], parameter.shape[0]


def uniform_(parameter: Parameter, a: float = 0.0, b: float = 1.0, generator=None) -> Parameter:
    """Uniform in [a, b)."""
    return _set(parameter, random.generator(generator).uniform(a, b, parameter.shape))


def normal_(parameter: Parameter, mean: float = 0.0, std: float = 1.0, generator=None) -> Parameter:
    """N(mean, std²). Report 000 uses std = 0.1 for weights and biases, 001 std = 1 for biases."""
    return _set(parameter, random.generator(generator).normal(mean, std, parameter.shape))


def constant_(parameter: Parameter, val: float) -> Parameter:
    """Every element ``val``."""
    return _set(parameter, np.full(parameter.shape, val))


def zeros_(parameter: Parameter) -> Parameter:
    """Every element 0."""
    return constant_(parameter, 0.0)


def ones_(parameter: Parameter) -> Parameter:
    """Every element 1."""
    return constant_(parameter, 1.0)


def xavier_normal_(parameter: Parameter, gain: float = 1.0, generator=None) -> Parameter:
    """N(0, gain² 2 / (fan_in + fan_out)): Glorot and Bengio 2010, reports 001 and 002."""
    return normal_(parameter, 0.0, gain * math.sqrt(2 / sum(_fans(parameter))), generator)


def xavier_uniform_(parameter: Parameter, gain: float = 1.0, generator=None) -> Parameter:
    """Uniform in ±gain √(6 / (fan_in + fan_out)): Glorot and Bengio 2010, report 003."""
    bound = gain * math.sqrt(6 / sum(_fans(parameter)))
    return uniform_(parameter, -bound, bound, generator)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """PyTorch's recommended gain: 1 for linear and sigmoid, 5/3 tanh, √2 relu, √(2/(1+slope²)) leaky_relu,
    3/4 selu. ValueError for another name."""
    slope = 0.01 if param is None else param
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
             "leaky_relu": math.sqrt(2 / (1 + slope**2)), "selu": 0.75}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: expected one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def _kaiming_std(parameter: Parameter, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(parameter)[mode == "fan_out"])


def kaiming_normal_(parameter: Parameter, a: float = 0.0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu", generator=None) -> Parameter:
    """N(0, gain² / fan): He et al. 2015. ``a`` is the slope of the leaky ReLU that follows."""
    return normal_(parameter, 0.0, _kaiming_std(parameter, a, mode, nonlinearity), generator)


def kaiming_uniform_(parameter: Parameter, a: float = 0.0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu", generator=None) -> Parameter:
    """Uniform in ±gain √(3 / fan): He et al. 2015. ``a`` is the slope of the leaky ReLU that follows."""
    bound = math.sqrt(3) * _kaiming_std(parameter, a, mode, nonlinearity)
    return uniform_(parameter, -bound, bound, generator)
