"""How each operation is written in ONNX: a function of the graph, the step and its twin with a row more."""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..functional.shapes import ARRAY
from .onnx_graph import FILLED, Graph, pads, shares
from .recording import ExportError
from .trace import Step

Written = Callable[[Graph, Step, Step], str]  # the name of the output
NODES: dict[str, Written] = {}  # by the operation's name

SAME = {  # of the same inputs, broadcast alike
    "abs": "Abs", "add": "Add", "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp", "ge": "GreaterOrEqual",
    "gt": "Greater", "le": "LessOrEqual", "log": "Log", "lt": "Less", "matmul": "MatMul", "mul": "Mul", "neg": "Neg",
    "pow": "Pow", "relu": "Relu", "sigmoid": "Sigmoid", "sign": "Sign", "sqrt": "Sqrt", "sub": "Sub", "tanh": "Tanh"}
ALIKE = ("channels_last", "clone", "contiguous", "copy", "detach")  # that move nothing
RESHAPES = ("flatten", "reshape", "reshape_as", "squeeze", "unsqueeze")
REDUCTIONS = {"amax": "ReduceMax", "amin": "ReduceMin", "mean": "ReduceMean", "sum": "ReduceSum"}
GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}  # ours, in ONNX's order


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


# Shapes


@written(*RESHAPES)
def _reshape(graph, step, twin):
    if id(step.inputs[0]) in graph.works:  # it has that shape already
        return graph.of(step.inputs[0])
    return graph.reshaped(graph.of(step.inputs[0]), step, twin)


@written("permute", "transpose")
def _permute(graph, step, twin):
    n = step.output.ndim
    return graph.node("Transpose", graph.of(step.inputs[0]),
                      perm=list(step.settings.get("dims", [*range(n - 2), n - 1, n - 2])))


@written("expand", "expand_as")
def _expand(graph, step, twin):
    return graph.node("Expand", graph.of(step.inputs[0]), graph.shape(step, twin))


@written(*FILLED)
def _filled(graph, step, twin):
    value = np.asarray(step.name == "ones_like", step.output.dtype)
    return graph.node("Expand", graph.constant(value), graph.shape(step, twin))


@written("cat")
def _cat(graph, step, twin):
    return graph.node("Concat", *_names(graph, step), axis=step.settings["dim"])


@written("stack")
def _stack(graph, step, twin):
    axis = step.settings["dim"]
    parts = [graph.node("Unsqueeze", name, graph.integers(axis)) for name in _names(graph, step)]
    return graph.node("Concat", *parts, axis=axis)


@written("tril", "triu")
def _triangle(graph, step, twin):
    return graph.node("Trilu", graph.of(step.inputs[0]), graph.constant(np.int64(step.settings["diagonal"])),
                      upper=int(step.name == "triu"))


@written("index")
def _index(graph, step, twin):
    """Slices, then numbers and one array of integers, then new axes."""
    x, *picks = step.inputs
    if id(x) in graph.works:
        graph.works[id(step.output)] = step
        return graph.of(x)
    parts = step.settings["index"]
    parts = list(parts) if isinstance(parts, tuple) else [parts]
    axes_read = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (x.ndim - axes_read)
    if Ellipsis in [part for part in parts if part is Ellipsis]:
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at:at + 1] = rest
    else:
        parts += rest
    name, axis = graph.of(x), 0
    cuts: list[tuple[int, int, int, int]] = []
    for part in parts:
        if isinstance(part, slice) and part != slice(None):
            cuts.append(_cut(part, axis))
        axis += part is not None
    if cuts:
        begins, ends, axes, steps = zip(*cuts, strict=True)
        name = graph.node("Slice", name, *[graph.integers(*numbers) for numbers in (begins, ends, axes, steps)])
    if len(picks) > 1 or (picks and (graph.value_of(picks[0]) is not None and np.asarray(graph.value_of(picks[0])
                                                                                        ).dtype.kind not in "iu")):
        raise ExportError("to_onnx: an index of several arrays, or of booleans, has no ONNX form: use where")
    axis, new = 0, []
    numbers = any(isinstance(part, (int, np.integer)) for part in parts)
    if picks and (numbers or None in parts):
        raise ExportError("to_onnx: an index of an array beside numbers or new axes has no ONNX form")
    place = 0  # in the output
    for part in parts:
        if part is None:
            new.append(place)
            place += 1
        elif isinstance(part, (int, np.integer)):
            name = graph.node("Gather", name, graph.constant(np.int64(part)), axis=axis)
        elif part is ARRAY:
            name = graph.node("Gather", name, graph.of(picks[0], np.int64), axis=axis)
            axis += 1
        else:
            axis, place = axis + 1, place + 1
    return graph.node("Unsqueeze", name, graph.integers(*new)) if new else name


def _cut(part: slice, axis: int) -> tuple[int, int, int, int]:
    """begin, end, axis and step of a slice."""
    step = 1 if part.step is None else int(part.step)
    far = (1 << 31) - 1
    begin = part.start if part.start is not None else (0 if step > 0 else far)
    end = part.stop if part.stop is not None else (far if step > 0 else -far)
    return int(begin), int(end), axis, step


# Windows


@written("convolution")
def _convolution(graph, step, twin):
    x, weight = step.inputs[:2]
    s = step.settings
    return graph.node("Conv", *_names(graph, step), kernel_shape=list(weight.shape[2:]), strides=list(s["stride"]),
                      dilations=list(s["dilation"]), group=s["groups"],
                      pads=pads(x.shape[2:], s["size"], weight.shape[2:], s["stride"], s["before"], s["dilation"]))


@written("max_pool")
def _max_pool(graph, step, twin):
    x, s = step.inputs[0], step.settings
    dilation = s["dilation"]
    return graph.node("MaxPool", graph.of(x), kernel_shape=list(s["kernel"]), strides=list(s["stride"]),
                      dilations=list(dilation),
                      pads=pads(x.shape[2:], s["size"], s["kernel"], s["stride"], s["before"], dilation))


@written("average_pool")
def _average_pool(graph, step, twin):
    x, s = step.inputs[0], step.settings
    n, size, kernel, before = x.shape[2:], s["size"], s["kernel"], s["before"]
    name = graph.of(x)
    if s["divisor"] == -2:  # adaptive: a product with each window's shares, an axis at a time
        if len(n) == 2:
            name = graph.node("MatMul", graph.constant(shares(n[0], size[0], x.dtype).T, "shares"), name)
        return graph.node("MatMul", name, graph.constant(shares(n[-1], size[-1], x.dtype), "shares"))
    ones = (1,) * len(n)
    if kernel == s["stride"] == ones and s["divisor"] == 1:  # padding alone
        behind = [many - b - length for many, b, length in zip(size, before, n, strict=True)]
        return graph.node("Pad", name, graph.integers(0, 0, *before, 0, 0, *behind))
    y = graph.node("AveragePool", name, kernel_shape=list(kernel), strides=list(s["stride"]), count_include_pad=1,
                   pads=pads(n, size, kernel, s["stride"], before, ones))
    each = [_counts(*axis, s["divisor"]) for axis in zip(n, size, kernel, s["stride"], before, strict=True)]
    counts = each[0] if len(each) == 1 else np.multiply.outer(*each)
    if s["divisor"] > 0:
        counts = np.full_like(counts, s["divisor"])
    factor = math.prod(kernel) / counts
    return y if (factor == 1).all() else graph.node("Mul", y, graph.constant(factor.astype(x.dtype), "counts"))


def _counts(n: int, size: int, kernel: int, stride: int, before: int, divisor: int) -> np.ndarray:
    """By what an average divides, along an axis: the taps of each window in the image, or in its padding too."""
    begin = np.arange(size) * stride - before
    if divisor == 0:
        return np.minimum(kernel, n + before - begin)
    return np.minimum(begin + kernel, n) - np.maximum(begin, 0)


# Recurrent layers: the states of all steps, (states, T + 1, N, H), as the work of ours begins


@written("rnn_states", "lstm_states", "gru_states")
def _states(graph, step, twin):
    """A node of the layer's own kind. Of c only the last is known: it stands in the places of all steps.

    Its x is that of the linear layer before it, if there is one.
    """
    kind = step.name.removesuffix("_states")
    count = 2 if kind == "lstm" else 1
    a, *states, weight = step.inputs[:count + 2]
    reverse, order = step.settings["reverse"], GATES[kind]
    h, gates = weight.shape[1], len(order)

    def arranged(array: np.ndarray) -> np.ndarray:
        return array.reshape(gates, h, -1)[list(order)].reshape(array.shape)

    recurrent = graph.value_of(weight)
    before = graph.producers.get(id(a))
    if before is not None and before.name == "linear" and all(
            graph.value_of(part) is not None for part in before.inputs[1:]):
        x, of_x, *rest = [before.inputs[0], *[graph.value_of(part) for part in before.inputs[1:]]]
        of_a = rest[0] if rest else np.zeros(gates * h, a.dtype)
    else:
        x, of_x, of_a = a, np.eye(gates * h, dtype=a.dtype), np.zeros(gates * h, a.dtype)
    if recurrent is None:
        raise ExportError(f"to_onnx: {kind}: a weight that is computed has no ONNX form")
    of_h = graph.value_of(step.inputs[-1]) if len(step.inputs) > count + 2 else np.zeros_like(of_a)
    starts = [graph.node("Unsqueeze", graph.of(state), graph.integers(0)) for state in states]
    more = {"gru": {"linear_before_reset": 1}, "lstm": {}, "rnn": {
        "activations": ["Relu" if step.settings.get("nonlinearity") == "relu" else "Tanh"]}}[kind]
    bias = np.concatenate([arranged(of_a), arranged(of_h)])[None]
    found = graph.outputs_of(
        kind.upper(), [graph.of(x), graph.constant(arranged(of_x)[None], "W"), graph.constant(arranged(recurrent)[None],
                                                                                           "R"),
                       graph.constant(bias, "B"), "", *starts], 1 + count, hidden_size=h,
        direction="reverse" if reverse else "forward", **more)
    every = [graph.node("Squeeze", found[0], graph.integers(1))]  # (T, 1, N, H)
    if kind == "lstm":
        every.append(graph.node("Expand", found[2], graph.node("Shape", every[0])))
    slabs = [graph.node("Concat", *((y, start) if reverse else (start, y)), axis=0)
             for y, start in zip(every, starts, strict=True)]
    slabs = [graph.node("Unsqueeze", slab, graph.integers(0)) for slab in slabs]
    graph.works[id(step.output)] = step
    return graph.node("Concat", *slabs, axis=0) if count > 1 else slabs[0]
