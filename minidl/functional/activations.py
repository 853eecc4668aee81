"""The activations, and the functions of a row along any axis.

The derivative of each is an operation with a kernel of its own, linear in g. So the derivative of that operation
with respect to g is itself, with u for g (u: the gradient of its output); that for x, or y, has the second derivative.
"""
from __future__ import annotations

import numpy as np

from .. import arrays
from .applied import summed
from .elementwise import exp, where, zeros_like
from .operation import Operation, by_input, by_output

__all__ = ["elu", "leaky_relu", "log_softmax", "relu", "selu", "sigmoid", "softmax", "softplus", "tanh"]

# Of x: 0 or g; slope g or g; alpha e^x g or g. Where only the sign of x matters, y has the same.

relu_backward = Operation(
    "relu_backward", arrays.binary("relu_backward"),
    lambda u, d, g, x: relu_backward(u, x), lambda u, d, g, x: zeros_like(x),
    reads=("1", ""), kernel="relu_backward")
relu = Operation(
    "relu", arrays.unary("relu"), by_input(relu_backward),
    settings=("inplace",), reads=("0",), kernel="relu", output_serves=True)

_leaky_relu, _leaky_relu_backward = arrays.unary("leaky_relu"), arrays.binary("leaky_relu_backward")
leaky_relu_backward = Operation(
    "leaky_relu_backward", lambda g, x, negative_slope: _leaky_relu_backward(g, x, negative_slope),
    lambda u, d, g, x, negative_slope: leaky_relu_backward(u, x, negative_slope=negative_slope),
    lambda u, d, g, x, negative_slope: zeros_like(x),
    settings=("negative_slope",), reads=("1", ""), kernel="leaky_relu_backward")
leaky_relu = Operation(
    "leaky_relu", lambda x, negative_slope=0.01: _leaky_relu(x, negative_slope),
    lambda g, y, x, negative_slope=0.01: leaky_relu_backward(g, x, negative_slope=negative_slope),
    settings=("negative_slope", "inplace"), reads=("0",), kernel="leaky_relu", output_serves=lambda slope: slope >= 0)

_elu, _elu_backward = arrays.unary("elu"), arrays.binary("elu_backward")
elu_backward = Operation(
    "elu_backward", lambda g, x, alpha: _elu_backward(g, x, alpha),
    lambda u, d, g, x, alpha: elu_backward(u, x, alpha=alpha),
    lambda u, d, g, x, alpha: where(x > 0, 0, elu_backward(u * g, x, alpha=alpha)),
    settings=("alpha",), reads=("1", "01"), kernel="elu_backward")
elu = Operation(
    "elu", lambda x, alpha=1.0: _elu(x, alpha),
    lambda g, y, x, alpha=1.0: elu_backward(g, x, alpha=alpha),
    settings=("alpha", "inplace"), reads=("0",), kernel="elu")

selu_backward = Operation(
    "selu_backward", arrays.binary("selu_backward"),
    lambda u, d, g, x: selu_backward(u, x),
    lambda u, d, g, x: where(x > 0, 0, selu_backward(u * g, x)),
    reads=("1", "01"), kernel="selu_backward")
selu = Operation(
    "selu", arrays.unary("selu"), by_input(selu_backward), settings=("inplace",), reads=("0",), kernel="selu")

# Of y: g (1 - y²), g y (1 - y)

tanh_backward = Operation(
    "tanh_backward", arrays.binary("tanh_backward"),
    lambda u, d, g, y: tanh_backward(u, y), lambda u, d, g, y: u * g * (-2 * y),
    reads=("1", "01"), kernel="tanh_backward")
tanh = Operation("tanh", arrays.unary("tanh"), by_output(tanh_backward), reads=("y",), kernel="tanh")

sigmoid_backward = Operation(
    "sigmoid_backward", arrays.binary("sigmoid_backward"),
    lambda u, d, g, y: sigmoid_backward(u, y), lambda u, d, g, y: u * g * (1 - 2 * y),
    reads=("1", "01"), kernel="sigmoid_backward")
sigmoid = Operation("sigmoid", arrays.unary("sigmoid"), by_output(sigmoid_backward), reads=("y",), kernel="sigmoid")

# Of z = beta x: g sigmoid(z), and g above the threshold. The kernels have beta = 1.

_softplus, _softplus_backward = arrays.unary("softplus"), arrays.binary("softplus_backward")
unit_softplus_backward = Operation(
    "unit_softplus_backward", lambda g, z, threshold=20.0: _softplus_backward(g, z, threshold),
    lambda u, d, g, z, threshold=20.0: unit_softplus_backward(u, z, threshold=threshold),
    lambda u, d, g, z, threshold=20.0: where(z > threshold, 0, u * g * (sigmoid(z) * sigmoid(-z))),
    settings=("threshold",), reads=("1", "01"), kernel="softplus_backward")
unit_softplus = Operation(
    "unit_softplus", lambda z, threshold=20.0: _softplus(z, threshold),
    lambda g, y, z, threshold=20.0: unit_softplus_backward(g, z, threshold=threshold),
    settings=("threshold",), reads=("0",), kernel="softplus")


def _softplus_value(x, beta=1.0, threshold=20.0):
    if beta == 1:
        return unit_softplus(x, threshold=threshold), x
    if not hasattr(x, "dtype") or x.dtype not in arrays.FLOATS:
        raise arrays.unsupported("softplus", x)
    return unit_softplus(x * beta, threshold=threshold) / beta, x


def _softplus_gradient(g, _, x, beta=1.0, threshold=20.0):
    return unit_softplus_backward(g, x if beta == 1 else x * beta, threshold=threshold)


softplus = Operation(
    "softplus", _softplus_value, _softplus_gradient,
    settings=("beta", "threshold"), reads=("0",), saves=True,
    kernel=lambda beta=1.0, threshold=20.0: ("softplus", threshold) if beta == 1 else None)


# Functions of a row


def _along(kernel):
    """A kernel of the last axis as a function along ``dim``."""
    def call(*inputs, dim=-1):
        if dim in (-1, np.ndim(inputs[0]) - 1):
            return kernel(*inputs)
        moved = (np.ascontiguousarray(np.moveaxis(x, dim, -1)) for x in inputs)
        return np.moveaxis(kernel(*moved), -1, dim)
    return call


def _row_sum(x, dim):
    return summed(x, dim, True) if x.ndim else x


# y (g - Σ g y)
softmax_backward = Operation(
    "softmax_backward", _along(arrays.binary("softmax_backward", of_rows=True)),
    lambda u, d, g, y, dim: softmax_backward(u, y, dim=dim),
    lambda u, d, g, y, dim: u * (g - _row_sum(g * y, dim)) - g * _row_sum(u * y, dim),
    settings=("dim",), reads=("1", "01"), kernel="softmax_backward")
softmax = Operation(
    "softmax", _along(arrays.unary("softmax", of_rows=True)),
    lambda g, y, x, dim=-1: softmax_backward(g, y, dim=dim),
    settings=("dim",), reads=("y",), kernel="softmax")

# g - e^y Σ g
log_softmax_backward = Operation(
    "log_softmax_backward", _along(arrays.binary("log_softmax_backward", of_rows=True)),
    lambda u, d, g, y, dim: u - _row_sum(u * exp(y), dim),
    lambda u, d, g, y, dim: -u * exp(y) * _row_sum(g, dim),
    settings=("dim",), reads=("1", "01"), kernel="log_softmax_backward")
log_softmax = Operation(
    "log_softmax", _along(arrays.unary("log_softmax", of_rows=True)),
    lambda g, y, x, dim=-1: log_softmax_backward(g, y, dim=dim),
    settings=("dim",), reads=("y",), kernel="log_softmax")
