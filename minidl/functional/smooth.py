"""The smooth activations beside those with kernels of their own.

    gelu         x Φ(x), Φ the normal distribution's: (1 + erf(x/√2)) / 2
    gelu "tanh"  x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2
    silu         x sigmoid(x)
    mish         x tanh(log(1 + e^x))
    softsign     x / (1 + |x|)
    logsigmoid   log sigmoid(x) = -log(1 + e^-x)
"""
from __future__ import annotations

import math

from .. import arrays
from .activations import sigmoid, tanh, unit_softplus
from .composed import composed
from .elementwise import abs, exp
from .operation import Operation

__all__ = ["erf", "gelu", "logsigmoid", "mish", "silu", "softsign"]

NO_THRESHOLD = math.inf  # above which softplus is taken for x

erf = Operation(
    "erf", arrays.unary("erf"), lambda g, y, x: g * (2 / math.sqrt(math.pi) * exp(-(x * x))), reads=("0",),
    kernel="erf")

ROOT_HALF, DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
SLOPE, CUBIC = math.sqrt(2 / math.pi), 0.044715  # Hendrycks and Gimpel 2016


def _gelu_value(x, approximate: str):
    if approximate == "none":
        share = 0.5 * (1 + erf(x * ROOT_HALF))
        return x * share, share
    if approximate != "tanh":
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")
    bend = tanh(SLOPE * (x + CUBIC * (x * x * x)))
    return 0.5 * x * (1 + bend), bend


def _gelu_gradient(g, saved, x, approximate: str):
    square = x * x
    if approximate == "none":
        return g * (saved + x * (DENSITY * exp(-0.5 * square)))
    inner = SLOPE * (1 + 3 * CUBIC * square)
    return g * (0.5 * (1 + saved) + 0.5 * x * ((1 - saved * saved) * inner))


def _times(share):
    """A value x share(x), which keeps the share."""
    def value(x):
        factor = share(x)
        return x * factor, factor
    return value


def _mish_gradient(g, share, x):
    return g * (share + x * ((1 - share * share) * sigmoid(x)))


def _softsign_gradient(g, saved, x):
    scale = 1 + abs(x)
    return g / (scale * scale)


def _log_sigmoid_value(x):
    return -unit_softplus(-x, threshold=NO_THRESHOLD), None


gelu = composed("gelu", _gelu_value, _gelu_gradient, approximate="none")
silu = composed("silu", _times(sigmoid), lambda g, share, x: g * (share * (1 + x * (1 - share))), inplace=True)
mish = composed(
    "mish", _times(lambda x: tanh(unit_softplus(x, threshold=NO_THRESHOLD))), _mish_gradient, inplace=True)
softsign = composed("softsign", lambda x: (x / (1 + abs(x)), None), _softsign_gradient)
logsigmoid = composed("logsigmoid", _log_sigmoid_value, lambda g, saved, x: g * sigmoid(-x))
