"""How each operation is written in ONNX: a function of the graph, the step and its twin with a row more."""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .onnx_graph import Graph
from .trace import Step

Written = Callable[[Graph, Step, Step], str]  # the name of the output
NODES: dict[str, Written] = {}  # by the operation's name

SAME = {  # of the same inputs, broadcast alike
    "abs": "Abs", "add": "Add", "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp", "ge": "GreaterOrEqual",
    "gt": "Greater", "le": "LessOrEqual", "log": "Log", "lt": "Less", "matmul": "MatMul", "mul": "Mul", "neg": "Neg",
    "pow": "Pow", "relu": "Relu", "sigmoid": "Sigmoid", "sign": "Sign", "sqrt": "Sqrt", "sub": "Sub", "tanh": "Tanh"}
ALIKE = ("channels_last", "clone", "contiguous", "copy", "detach")  # that move nothing
REDUCTIONS = {"amax": "ReduceMax", "amin": "ReduceMin", "mean": "ReduceMean", "sum": "ReduceSum"}


def written(*names: str):
    """Register how these operations are written."""
    def register(function: Written) -> Written:
        NODES.update(dict.fromkeys(names, function))
        return function
    return register


def _dtype(step: Step):
    """The dtype of its numbers: that of the first array among the inputs."""
    return next((x.dtype for x in step.inputs if hasattr(x, "dtype")), step.output.dtype)


def _names(graph: Graph, step: Step) -> list[str]:
    return [graph.of(x, _dtype(step)) for x in step.inputs]


@written(*SAME)
def _same(graph, step, twin):
    return graph.node(SAME[step.name], *_names(graph, step))


@written("ne")
def _not_equal(graph, step, twin):
    return graph.node("Not", graph.node("Equal", *_names(graph, step)))


@written(*ALIKE)
def _alike(graph, step, twin):
    return graph.of(step.inputs[0])


@written("where")
def _where(graph, step, twin):
    condition, *values = step.inputs
    return graph.node("Where", graph.of(condition), *[graph.of(x, step.output.dtype) for x in values])


@written("hiding")
def _hiding(graph, step, twin):
    numbers = [graph.constant(np.asarray(x, step.output.dtype)) for x in (-np.inf, 0)]
    return graph.node("Where", graph.of(step.inputs[0]), *numbers)


@written("to")
def _cast(graph, step, twin):
    return graph.node("Cast", graph.of(step.inputs[0]), to=graph.helper.np_dtype_to_tensor_dtype(step.output.dtype))


# Activations


@written("leaky_relu")
def _leaky_relu(graph, step, twin):
    return graph.node("LeakyRelu", *_names(graph, step), alpha=float(step.settings.get("negative_slope", 0.01)))


@written("elu")
def _elu(graph, step, twin):
    return graph.node("Elu", *_names(graph, step), alpha=float(step.settings.get("alpha", 1.0)))


@written("selu")
def _selu(graph, step, twin):
    return graph.node("Selu", *_names(graph, step), alpha=1.6732632423543772, gamma=1.0507009873554805)


@written("unit_softplus")
def _softplus(graph, step, twin):
    x, threshold = graph.of(step.inputs[0]), step.settings.get("threshold", 20.0)
    y = graph.node("Softplus", x)
    if math.isinf(threshold):
        return y
    above = graph.node("Greater", x, graph.constant(np.asarray(threshold, step.output.dtype)))
    return graph.node("Where", above, x, y)


@written("softmax", "log_softmax")
def _softmax(graph, step, twin):
    kind = "Softmax" if step.name == "softmax" else "LogSoftmax"
    return graph.node(kind, *_names(graph, step), axis=step.settings.get("dim", -1))


# Products, sums, normalisation


@written("linear")
def _linear(graph, step, twin):
    x, weight, *bias = step.inputs
    if x.ndim == 2:
        return graph.node("Gemm", *_names(graph, step), transB=1)
    matrix = graph.value_of(weight)
    turned = graph.node("Transpose", graph.of(weight)) if matrix is None else graph.constant(matrix.T, "weight")
    y = graph.node("MatMul", graph.of(x), turned)
    return graph.node("Add", y, graph.of(bias[0])) if bias else y


@written(*REDUCTIONS)
def _reduction(graph, step, twin):
    x, dims = graph.of(step.inputs[0]), step.settings.get("dim")
    axes = [] if dims is None else [graph.integers(*np.atleast_1d(dims).tolist())]
    return graph.node(REDUCTIONS[step.name], x, *axes, keepdims=int(step.settings.get("keepdim", False)))


@written("cumsum")
def _cumsum(graph, step, twin):
    return graph.node("CumSum", graph.of(step.inputs[0]), graph.constant(np.int64(step.settings["dim"])))


@written("layer_norm")
def _layer_norm(graph, step, twin):
    x, *rest = step.inputs
    scale = [graph.of(part) for part in rest] or [graph.constant(np.ones(x.shape[-1], x.dtype), "ones")]
    return graph.node("LayerNormalization", graph.of(x), *scale, axis=-1, epsilon=float(step.settings["eps"]))


@written("batch_norm_forward")
def _batch_norm(graph, step, twin):
    """Of the batch's own statistics; the two rows of these, which follow, only training reads."""
    x, *rest = step.inputs
    whole, axes = graph.of(x), graph.integers(0)
    centred = graph.node("Sub", whole, graph.node("ReduceMean", whole, axes))
    variance = graph.node("ReduceMean", graph.node("Mul", centred, centred), axes)
    eps = graph.constant(np.asarray(step.settings["eps"], x.dtype))
    y = graph.node("Div", centred, graph.node("Sqrt", graph.node("Add", variance, eps)))
    for kind, part in zip(("Mul", "Add"), rest, strict=False):
        y = graph.node(kind, y, graph.of(part))
    return y


@written("batch_norm")
def _batch_norm_rows(graph, step, twin):
    return graph.of(step.inputs[0])


@written("embedding")
def _embedding(graph, step, twin):
    weight, index, _ = step.inputs
    return graph.node("Gather", graph.of(weight), graph.of(index), axis=0)
