"""Initial values, in place: PyTorch's names, each with a ``generator`` (seed or Generator).

fan_in and fan_out are the numbers of connections into and out of a unit: W is (fan_out, fan_in).
"""
from __future__ import annotations

import math

import numpy as np

from .. import random
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..autograd.values import Values


def _set(parameter: Parameter, values) -> Parameter:
    values = np.asarray(values).astype(parameter.dtype) if hasattr(parameter, "dtype") else None
    if isinstance(parameter, Values):  # as in init.zeros_(layer.bias.data)
        parameter[...] = values
    elif isinstance(parameter, Tensor):
        parameter.overwrite(values)
    else:
        raise TypeError(f"init: expected a Parameter, got {type(parameter).__name__}")
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


# Structured and truncated ones

def trunc_normal_(parameter: Parameter, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator=None) -> Parameter:
    """N(mean, std²) between a and b, what lies beyond drawn anew. ValueError unless a < b and std >= 0."""
    if not (a < b and std >= 0):
        raise ValueError(f"trunc_normal_: expected a < b and std >= 0, got {a}, {b} and {std}")
    if std == 0:
        return constant_(parameter, min(max(mean, a), b))
    rng, size = random.generator(generator), math.prod(parameter.shape)
    low, high = (a - mean) / std, (b - mean) / std
    found = np.empty(0)
    while found.size < size:
        found = np.concatenate([found, _between(rng, low, high, max(2 * (size - found.size), 64))])
    values = np.clip(mean + std * found[:size], a, b)  # rounding may have put one beyond
    return _set(parameter, values.reshape(parameter.shape))


def _between(rng: np.random.Generator, low: float, high: float, tries: int) -> np.ndarray:
    """Those of so many proposals that are samples of N(0, 1) between low and high."""
    if (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2 > 0.1:
        z = rng.standard_normal(tries)
        return z[(low <= z) & (z <= high)]
    # Far out or narrow: uniform between, each kept as likely as its density says against the largest there.
    peak = max(low, 0.0) if high > 0 else high
    if low > 0:
        high = min(high, low + 40 / low)
    elif high < 0:
        low = max(low, high + 40 / high)
    z = rng.uniform(low, high, tries)
    return z[rng.uniform(size=tries) < np.exp((peak * peak - z * z) / 2)]


def orthogonal_(parameter: Parameter, gain: float = 1.0, generator=None) -> Parameter:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times gain (Saxe et al. 2013).

    Axes beyond the second count as columns. ValueError for fewer than two axes.
    """
    if len(parameter.shape) < 2:
        raise ValueError(f"orthogonal_: expected at least two axes, got shape {parameter.shape}")
    rows, columns = parameter.shape[0], math.prod(parameter.shape[1:])
    if not rows * columns:
        return parameter
    q, r = np.linalg.qr(random.generator(generator).standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # without which the distribution were not uniform
    return _set(parameter, gain * (q.T if rows < columns else q).reshape(parameter.shape))


def eye_(parameter: Parameter) -> Parameter:
    """Ones on the diagonal, zeros elsewhere. ValueError unless there are two axes."""
    if len(parameter.shape) != 2:
        raise ValueError(f"eye_: expected two axes, got shape {parameter.shape}")
    return _set(parameter, np.eye(*parameter.shape))


def dirac_(parameter: Parameter, groups: int = 1) -> Parameter:
    """A convolution's weight (out, in, ...) that passes on as many channels as there are: 1 at each one's centre.

    ValueError unless there are three to five axes, and ``groups`` divides the first one.
    """
    shape = parameter.shape
    if not 3 <= len(shape) <= 5 or shape[0] % groups:
        raise ValueError(f"dirac_: expected three to five axes, the first a multiple of groups {groups}, got {shape}")
    values, out = np.zeros(shape), shape[0] // groups
    centre = tuple(length // 2 for length in shape[2:])
    for group in range(groups):
        for channel in range(min(out, shape[1])):
            values[(group * out + channel, channel, *centre)] = 1
    return _set(parameter, values)


def sparse_(parameter: Parameter, sparsity: float, std: float = 0.01, generator=None) -> Parameter:
    """N(0, std²), but ``sparsity`` of each column zero (Martens 2010): rows at random, at least so many.

    ValueError unless there are two axes and 0 <= sparsity <= 1.
    """
    if len(parameter.shape) != 2 or not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: expected two axes and a sparsity in [0, 1], got shape {parameter.shape} and "
                         f"{sparsity}")
    rng = random.generator(generator)
    values = rng.normal(0, std, parameter.shape)
    zeros = math.ceil(sparsity * parameter.shape[0])
    for column in values.T:
        column[rng.permutation(len(column))[:zeros]] = 0
    return _set(parameter, values)
