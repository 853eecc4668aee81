"""Every differentiable operation, on Tensors and arrays alike: the value beside its derivatives."""

from . import methods as methods  # gives Tensor its operators
from .dropout import dropout
from .elementwise import (
    abs,
    add,
    div,
    elu,
    exp,
    leaky_relu,
    log,
    log_softmax,
    mul,
    neg,
    pow,
    relu,
    selu,
    sigmoid,
    softmax,
    sqrt,
    sub,
    tanh,
    where,
)
from .losses import cross_entropy, mse_loss, nll_loss
from .operation import Operation
from .products import linear, matmul
from .reductions import all, any, argmax, argmin, max, mean, min, sum
from .shapes import cat, concat, concatenate, flatten, permute, reshape, squeeze, stack, transpose, unsqueeze

__all__ = [
    "Operation", "abs", "add", "all", "any", "argmax", "argmin", "cat", "concat", "concatenate",
    "cross_entropy", "div", "dropout", "elu", "exp", "flatten", "leaky_relu", "linear", "log", "log_softmax",
    "matmul", "max", "mean", "min", "mse_loss", "mul", "neg", "nll_loss", "permute", "pow", "relu", "reshape",
    "selu", "sigmoid", "softmax", "sqrt", "squeeze", "stack", "sub", "sum", "tanh", "transpose", "unsqueeze",
    "where",
]
