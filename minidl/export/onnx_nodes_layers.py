"""How windows and recurrent layers are written in ONNX."""
from __future__ import annotations

import math

import numpy as np

from .onnx_graph import pads, shares
from .onnx_nodes import _names, written
from .recording import ExportError

GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}  # ours, in ONNX's order

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
        x = before.inputs[0]
        parts = [graph.value_of(part) for part in before.inputs[1:]]
        of_x, of_a = parts[0], parts[1] if len(parts) > 1 else np.zeros(gates * h, a.dtype)
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
