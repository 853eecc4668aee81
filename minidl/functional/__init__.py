"""Every differentiable operation, on Tensors and arrays alike: the value beside its derivatives."""

import sys

from ..autograd import operators
from . import activations, losses, piecewise, smooth
from .activations import *  # noqa: F403
from .casts import clone, contiguous, detach, to
from .dropout import dropout
from .elementwise import (
    abs,
    add,
    div,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    lt,
    mul,
    ne,
    neg,
    ones_like,
    pow,
    sqrt,
    sub,
    where,
    zeros_like,
)
from .losses import *  # noqa: F403
from .operation import Operation
from .piecewise import *  # noqa: F403
from .products import linear, matmul
from .reductions import all, any, argmax, argmin, max, mean, min, sum
from .shapes import cat, concat, concatenate, flatten, index, permute, reshape, squeeze, stack, transpose, unsqueeze
from .smooth import *  # noqa: F403

operators.rows = sys.modules[__name__]  # what the Tensor's operators and methods call

__all__ = [
    "Operation", "abs", "add", "all", "any", "argmax", "argmin", "cat", "concat", "concatenate", "div", "dropout",
    "exp", "flatten", "linear", "log", "matmul", "max", "mean", "min", "mul", "neg", "permute", "pow", "reshape",
    "sqrt", "squeeze", "stack", "sub", "sum", "transpose", "unsqueeze", "where",
]
__all__ += activations.__all__
__all__ += losses.__all__
__all__ += piecewise.__all__
__all__ += smooth.__all__
