"""The smooth activations beside those with kernels of their own."""
from __future__ import annotations

from .. import functional
from .activations import Activation

__all__ = ["GELU", "LogSigmoid", "Mish", "SiLU", "Softsign"]


class GELU(Activation):
    """x Φ(x), Φ the distribution function of the standard normal distribution (Hendrycks and Gimpel 2016).

    approximate : "none", by the error function; "tanh", x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.
    """

    operation = functional.gelu

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}")
        self.settings = {"approximate": approximate}


class SiLU(Activation):
    """x sigmoid(x), also called swish (Elfwing et al. 2018). ``inplace`` is PyTorch's and changes nothing here."""

    operation = functional.silu

    def __init__(self, inplace: bool = False):
        super().__init__()


class Mish(Activation):
    """x tanh(log(1 + e^x)) (Misra 2020)."""

    operation = functional.mish

    def __init__(self, inplace: bool = False):
        super().__init__()


class Softsign(Activation):
    """x / (1 + |x|), between -1 and 1 (Bergstra et al. 2009)."""

    operation = functional.softsign


class LogSigmoid(Activation):
    """log(1 / (1 + e^-x)), exact far below zero, too."""

    operation = functional.logsigmoid
