"""ONNX's nodes as operations. Values are Tensors, and arrays where they are known before: shapes, axes, constants."""
from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from .. import functional as F
from ..autograd.tensor import Tensor
from ..functional.elementwise import eq, ge, gt, le, lt, sign
from ..functional.smooth import NO_THRESHOLD
from .recording import ExportError

OPERATIONS: dict[str, Callable] = {}  # (node, *inputs) -> the output, or a tuple of them


def node(*kinds: str):
    """Register the operation of these nodes."""
    def register(function: Callable) -> Callable:
        OPERATIONS.update(dict.fromkeys(kinds, function))
        return function
    return register


def numbers(value) -> list[int]:
    """The integers of a constant: axes, sizes. ExportError for those that are computed from the input's values."""
    if isinstance(value, Tensor):
        raise ExportError("from_onnx: expected sizes and axes that do not depend on the values of the input")
    return [int(n) for n in np.atleast_1d(value)]


def plain(value):
    """A constant of one element as a number, which is broadcast to anything."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def tensor(value) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value))


def known(*values) -> bool:
    """Whether NumPy can compute it: no Tensor is among the values."""
    return not any(isinstance(value, Tensor) for value in values)


# Elementwise

ON_ONE: dict[str, tuple[Callable, Callable]] = {  # on Tensors, on arrays
    "Abs": (F.abs, np.abs), "Erf": (F.erf, F.erf), "Exp": (F.exp, np.exp), "Log": (F.log, np.log),
    "Neg": (F.neg, np.negative), "Sign": (sign, np.sign), "Sqrt": (F.sqrt, np.sqrt),
    "Reciprocal": (lambda x: 1 / x, np.reciprocal), "Relu": (F.relu, F.relu), "Sigmoid": (F.sigmoid, F.sigmoid),
    "Tanh": (F.tanh, F.tanh), "Softsign": (F.softsign, F.softsign), "HardSwish": (F.hardswish, F.hardswish),
    "Mish": (F.mish, F.mish), "Softplus": (lambda x: F.softplus(x, threshold=NO_THRESHOLD),) * 2}
ON_TWO: dict[str, tuple[Callable, Callable]] = {
    "Add": (F.add, np.add), "Sub": (F.sub, np.subtract), "Mul": (F.mul, np.multiply),
    "Div": (F.div, lambda a, b: a // b if a.dtype.kind in "iu" else a / b), "Pow": (F.pow, np.power),
    "Equal": (eq, np.equal), "Greater": (gt, np.greater), "GreaterOrEqual": (ge, np.greater_equal),
    "Less": (lt, np.less), "LessOrEqual": (le, np.less_equal)}


def _on_one(on_tensors: Callable, on_arrays: Callable) -> Callable:
    return lambda node, x: on_arrays(x) if known(x) else on_tensors(x)


def _on_two(on_tensors: Callable, on_arrays: Callable) -> Callable:
    return lambda node, a, b: on_arrays(a, b) if known(a, b) else on_tensors(plain(a), plain(b))


OPERATIONS.update({kind: _on_one(*functions) for kind, functions in ON_ONE.items()})
OPERATIONS.update({kind: _on_two(*functions) for kind, functions in ON_TWO.items()})


@node("Max", "Min")
def _extremes(node, *values):
    function = F.maximum if node.kind == "Max" else F.minimum
    return reduce(function, [tensor(value) for value in values])


@node("Not")
def _not(node, x):
    return np.logical_not(x) if known(x) else x == False  # noqa: E712  of a Tensor


@node("Where")
def _where(node, condition, a, b):
    return np.where(condition, a, b) if known(condition, a, b) else F.where(tensor(condition), plain(a), plain(b))


@node("Clip")
def _clip(node, x, low=None, high=None):
    if low is None and high is None:
        return x
    return F.clamp(tensor(x), plain(low), plain(high))


@node("LeakyRelu")
def _leaky_relu(node, x):
    return F.leaky_relu(x, negative_slope=node.attributes.get("alpha", 0.01))


@node("PRelu")
def _prelu(node, x, slope):
    return F.where(x > 0, x, slope * x)


@node("ThresholdedRelu")
def _thresholded(node, x):
    return F.threshold(x, node.attributes.get("alpha", 1.0), 0.0)


@node("Elu")
def _elu(node, x):
    return F.elu(x, alpha=node.attributes.get("alpha", 1.0))


@node("Selu")
def _selu(node, x):
    alpha, gamma = node.attributes.get("alpha", 1.6732632), node.attributes.get("gamma", 1.050701)
    if abs(alpha - 1.6732632) < 1e-6 and abs(gamma - 1.050701) < 1e-6:
        return F.selu(x)
    return F.elu(x, alpha=alpha) * gamma


@node("HardSigmoid")
def _hard_sigmoid(node, x):
    return F.clamp(x * node.attributes.get("alpha", 0.2) + node.attributes.get("beta", 0.5), 0.0, 1.0)


@node("Gelu")
def _gelu(node, x):
    return F.gelu(x, approximate=node.attributes.get("approximate", b"none").decode())


@node("Softmax", "LogSoftmax")
def _softmax(node, x):
    return (F.softmax if node.kind == "Softmax" else F.log_softmax)(x, dim=node.attributes.get("axis", -1))


# Products and normalisation


@node("MatMul")
def _matmul(node, a, b):
    return F.matmul(tensor(a), tensor(b))


@node("Gemm")
def _gemm(node, a, b, c=None):
    attributes = node.attributes
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    a, b = tensor(a), tensor(b)
    a = a.transpose(0, 1) if attributes.get("transA", 0) else a
    if attributes.get("transB", 0) and alpha == beta == 1 and (c is None or c.shape == (b.shape[0],)):
        return F.linear(a, b) if c is None else F.linear(a, b, tensor(c))
    y = F.matmul(a, b.transpose(0, 1) if attributes.get("transB", 0) else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


@node("BatchNormalization")
def _batch_norm(node, x, scale, bias, mean, variance):
    if node.attributes.get("training_mode", 0):
        raise ExportError("from_onnx: expected BatchNormalization for inference")
    return F.batch_norm(x, tensor(mean), tensor(variance), tensor(scale), tensor(bias), False, 0.1,
                        node.attributes.get("epsilon", 1e-5))


@node("LayerNormalization")
def _layer_norm(node, x, scale, bias=None):
    axis = node.attributes.get("axis", -1) % x.ndim
    return F.layer_norm(x, x.shape[axis:], tensor(scale), None if bias is None else tensor(bias),
                        node.attributes.get("epsilon", 1e-5))


@node("GroupNormalization")
def _group_norm(node, x, scale, bias):
    if scale.shape != (x.shape[1],):
        raise ExportError("from_onnx: expected GroupNormalization with a scale for each channel, of opset 21")
    return F.group_norm(x, node.attributes["num_groups"], tensor(scale), tensor(bias),
                        node.attributes.get("epsilon", 1e-5))


@node("InstanceNormalization")
def _instance_norm(node, x, scale, bias):
    return F.group_norm(x, x.shape[1], tensor(scale), tensor(bias), node.attributes.get("epsilon", 1e-5))


@node("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduce(node, x, axes=None):
    functions: dict[str, Callable] = {
        "ReduceMean": F.mean, "ReduceSum": F.sum, "ReduceMax": F.amax, "ReduceMin": F.amin}
    given = node.attributes.get("axes") if axes is None else numbers(axes)
    if not given and node.attributes.get("noop_with_empty_axes", 0):
        return x
    dim = tuple(given) if given else tuple(range(x.ndim))
    return functions[node.kind](tensor(x), dim, bool(node.attributes.get("keepdims", 1)))


@node("CumSum")
def _cumsum(node, x, axis):
    if node.attributes.get("exclusive", 0) or node.attributes.get("reverse", 0):
        raise ExportError("from_onnx: expected CumSum forwards and inclusive")
    return F.cumsum(x, numbers(axis)[0])
