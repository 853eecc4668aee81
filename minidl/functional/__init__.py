"""Every differentiable operation, on Tensors and arrays alike: the value beside its derivatives."""

import sys

from ..autograd import operators
from .activations import elu, leaky_relu, log_softmax, relu, selu, sigmoid, softmax, tanh
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
from .losses import cross_entropy, mse_loss, nll_loss
from .operation import Operation
from .products import linear, matmul
from .reductions import all, any, argmax, argmin, max, mean, min, sum
from .shapes import cat, concat, concatenate, flatten, index, permute, reshape, squeeze, stack, transpose, unsqueeze

operators.rows = sys.modules[__name__]  # what the Tensor's operators and methods call

__all__ = [
    "Operation", "abs", "add", "all", "any", "argmax", "argmin", "cat", "concat", "concatenate",
    "cross_entropy", "div", "dropout", "elu", "exp", "flatten", "leaky_relu", "linear", "log", "log_softmax",
    "matmul", "max", "mean", "min", "mse_loss", "mul", "neg", "nll_loss", "permute", "pow", "relu", "reshape",
    "selu", "sigmoid", "softmax", "sqrt", "squeeze", "stack", "sub", "sum", "tanh", "transpose", "unsqueeze",
    "where",
]
