"""Every differentiable operation, on Tensors and arrays alike: the value beside its derivatives."""

import sys

from ..autograd import methods, named_methods, operators, other_methods
from . import (
    activations,
    arrangement,
    attention,
    distances,
    element_losses,
    embeddings,
    further,
    losses,
    normalization,
    padding,
    parts,
    piecewise,
    powers,
    rounding,
    sampling,
    selection,
    smooth,
    statistics,
    trigonometry,
)
from .activations import *  # noqa: F403
from .arrangement import *  # noqa: F403
from .attention import *  # noqa: F403
from .casts import contiguous, detach, to
from .convolution import conv1d, conv2d
from .distances import *  # noqa: F403
from .dropout import dropout
from .element_losses import *  # noqa: F403
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
    zeros_of,
)
from .embeddings import *  # noqa: F403
from .further import *  # noqa: F403
from .losses import *  # noqa: F403
from .normalization import *  # noqa: F403
from .operation import Operation
from .padding import *  # noqa: F403
from .parts import *  # noqa: F403
from .piecewise import *  # noqa: F403
from .pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    zero_pad2d,
)
from .powers import *  # noqa: F403
from .products import linear, matmul
from .reductions import all, any, argmax, argmin, max, mean, min, sum
from .rounding import *  # noqa: F403
from .sampling import *  # noqa: F403
from .selection import *  # noqa: F403
from .shapes import _flat as lengths
from .shapes import (
    cat,
    concat,
    concatenate,
    flatten,
    index,
    index_put,
    permute,
    reshape,
    squeeze,
    stack,
    transpose,
    unsqueeze,
)
from .smooth import *  # noqa: F403
from .statistics import *  # noqa: F403
from .trigonometry import *  # noqa: F403

# what the Tensor's operators and methods call
operators.rows = methods.rows = named_methods.rows = other_methods.rows = sys.modules[__name__]

__all__ = [
    "Operation", "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "add", "all", "any", "argmax", "argmin",
    "avg_pool1d", "avg_pool2d", "cat", "concat", "concatenate", "conv1d", "conv2d", "detach", "div", "dropout", "eq",
    "exp", "flatten", "ge", "gt", "le", "linear", "log", "lt", "matmul", "max", "max_pool1d", "max_pool2d", "mean",
    "min", "mul", "ne", "neg", "permute",
    "pow", "reshape", "sqrt", "squeeze", "stack", "sub", "sum", "transpose", "unsqueeze", "where", "zero_pad2d",
]
__all__ += activations.__all__
__all__ += arrangement.__all__
__all__ += attention.__all__
__all__ += embeddings.__all__
__all__ += further.__all__
__all__ += distances.__all__
__all__ += element_losses.__all__
__all__ += losses.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += parts.__all__
__all__ += piecewise.__all__
__all__ += powers.__all__
__all__ += rounding.__all__
__all__ += sampling.__all__
__all__ += selection.__all__
__all__ += smooth.__all__
__all__ += statistics.__all__
__all__ += trigonometry.__all__
