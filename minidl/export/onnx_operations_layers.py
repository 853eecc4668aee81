"""ONNX's windows and recurrent layers as operations."""
from __future__ import annotations

import math

import numpy as np

from .. import functional as F
from ..functional.convolution import convolution
from ..functional.elementwise import zeros_of
from ..functional.images import channels_last
from ..functional.pooling import INSIDE, WITH_PADDING, average_pool, max_pool
from ..functional.recurrent import gru, lstm, rnn
from .onnx_nodes_layers import GATES
from .onnx_operations import node, numbers, plain, tensor
from .recording import ExportError


def _windows(node, x, kernel) -> dict:
    """size, stride, before and dilation of the windows over x."""
    attributes, axes = node.attributes, x.ndim - 2
    if axes not in (1, 2):
        raise ExportError(f"from_onnx: expected {node.kind} over one axis or two, got input of shape {tuple(x.shape)}")
    stride = tuple(attributes.get("strides", [1] * axes))
    dilation = tuple(attributes.get("dilations", [1] * axes))
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    given = attributes.get("pads", [0] * 2 * axes)
    size, before = [], []
    for i, (n, k, s, d) in enumerate(zip(x.shape[2:], kernel, stride, dilation, strict=True)):
        reach = d * (k - 1) + 1
        if auto.startswith("SAME"):
            many = -(-n // s)
            total = max((many - 1) * s + reach - n, 0)
            first = total // 2 if auto == "SAME_UPPER" else total - total // 2
        else:
            first, last = (0, 0) if auto == "VALID" else (given[i], given[axes + i])
            room = n + first + last - reach
            many = (-(-room // s) if attributes.get("ceil_mode", 0) else room // s) + 1
            if attributes.get("ceil_mode", 0) and (many - 1) * s >= n + first:
                many -= 1
        if many < 1:
            raise ValueError(f"{node.kind}: the window reaches over {reach}, more than the padded input of shape "
                             f"{tuple(x.shape)}")
        size.append(many)
        before.append(first)
    return {"size": tuple(size), "stride": stride, "before": tuple(before), "dilation": dilation}


@node("Conv")
def _conv(node, x, weight, bias=None):
    rest = [] if bias is None else [tensor(bias)]
    return convolution(channels_last(tensor(x)), tensor(weight), *rest, **_windows(node, x, weight.shape[2:]),
                       groups=node.attributes.get("group", 1))


@node("MaxPool")
def _max_pool(node, x):
    if len([name for name in node.outputs if name]) > 1:
        raise ExportError("from_onnx: expected MaxPool without indices")
    kernel = tuple(node.attributes["kernel_shape"])
    return max_pool(channels_last(tensor(x)), kernel=kernel, **_windows(node, x, kernel))


@node("AveragePool")
def _average_pool(node, x):
    attributes = node.attributes
    kernel = tuple(attributes["kernel_shape"])
    windows = _windows(node, x, kernel)
    if any(d != 1 for d in windows["dilation"]):
        raise ExportError("from_onnx: expected AveragePool without gaps")
    divisor = INSIDE
    if attributes.get("count_include_pad", 0):
        divisor = WITH_PADDING if attributes.get("ceil_mode", 0) else math.prod(kernel)
        pads = attributes.get("pads", [0])
        if divisor == WITH_PADDING and pads[:len(pads) // 2] != pads[len(pads) // 2:]:
            raise ExportError("from_onnx: expected AveragePool with ceil_mode to have the same padding on both sides")
    return average_pool(channels_last(tensor(x)), kernel=kernel, **windows, divisor=divisor)


@node("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node, x):
    function = F.mean if node.kind == "GlobalAveragePool" else F.amax
    return function(x, tuple(range(2, x.ndim)), True)


@node("Pad")
def _pad(node, x, pads=None, value=None, axes=None):
    if node.attributes.get("mode", b"constant") != b"constant":
        raise ExportError("from_onnx: expected Pad with a constant")
    given = numbers(pads)
    dims = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in numbers(axes)]
    fill = 0.0 if value is None else plain(np.asarray(value))
    y = tensor(x)
    for dim, before, behind in zip(dims, given[:len(dims)], given[len(dims):], strict=True):
        n = y.shape[dim]
        if min(before, behind) < 0:
            y = y[(*[slice(None)] * dim, slice(max(-before, 0), n - max(-behind, 0)))]
        parts = [y]
        for count, place in ((before, 0), (behind, 1)):
            if count > 0:
                block = zeros_of(y, (*y.shape[:dim], count, *y.shape[dim + 1:]))
                parts.insert(place * len(parts), block if fill == 0 else block + fill)
        y = parts[0] if len(parts) == 1 else F.cat(parts, dim)
    return y


def arrange_gates(nodes: list, weights: dict[str, np.ndarray]) -> None:
    """Put the gates of recurrent nodes' weights into our order, once, where no other node reads these weights."""
    uses = [name for one in nodes for name in one.inputs]
    for one in nodes:
        order = GATES.get(one.kind.lower())
        names = [name for name in one.inputs[1:4] if name]
        if order is None or any(name not in weights or uses.count(name) > 1 for name in names):
            continue
        for name in names:
            w = weights[name]  # (directions, gates H, ...), a bias (directions, 2 gates H)
            blocks = w.reshape(len(w), 1 if w.ndim == 3 else 2, len(order), -1)
            weights[name] = blocks[:, :, np.argsort(order)].reshape(w.shape)
        one.attributes["arranged"] = True


def _arranged(x, kind: str, h: int, arranged: bool):
    """A weight or a bias with ONNX's gates in our order."""
    order = GATES[kind]
    if len(order) == 1 or arranged:
        return x
    blocks = F.split(x, h, 0)
    return F.cat([blocks[order.index(i)] for i in range(len(order))], 0)


@node("RNN", "LSTM", "GRU")
def _recurrent(node, x, of_x, of_h, bias=None, lengths=None, h0=None, c0=None, peepholes=None):
    """Each direction by itself; the outputs side by side, on an axis of directions."""
    kind, attributes = node.kind.lower(), node.attributes
    x, of_x, of_h = tensor(x), tensor(of_x), tensor(of_h)
    directions, h = of_h.shape[0], of_h.shape[2]
    which = attributes.get("direction", b"forward").decode()
    reverses = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[which]
    usual = {"rnn": [b"Tanh"], "lstm": [b"Sigmoid", b"Tanh", b"Tanh"], "gru": [b"Sigmoid", b"Tanh"]}[kind] * directions
    functions = attributes.get("activations", usual)
    relu = kind == "rnn" and functions == [b"Relu"] * directions
    if lengths is not None or peepholes is not None or attributes.get("layout", 0) or "clip" in attributes or not (
            relu or functions == usual) or (kind == "gru" and not attributes.get("linear_before_reset", 0)):
        raise ExportError(f"from_onnx: expected {node.kind} without lengths, peepholes, layout, clip or other functions"
                          ", and GRU with linear_before_reset")
    start = zeros_of(x, (directions, x.shape[1], h))
    h0, c0 = (start if state is None else tensor(state) for state in (h0, c0))
    every, last, last_c, arranged = [], [], [], attributes.get("arranged", False)
    for d, reverse in enumerate(reverses):
        w, r = _arranged(of_x[d], kind, h, arranged), _arranged(of_h[d], kind, h, arranged)
        b, q = [None, None] if bias is None else [
            _arranged(part, kind, h, arranged) for part in F.split(tensor(bias)[d], of_x.shape[1], 0)]
        if kind == "gru":
            y = gru(F.linear(x, w, b), h0[d], r, q, reverse=reverse)
        else:
            a = F.linear(x, w, None if b is None else b + q)
            y = rnn(a, h0[d], r, reverse=reverse, nonlinearity="relu" if relu else "tanh") if kind == "rnn" else lstm(
                a, h0[d], c0[d], r, reverse=reverse)
        place = 0 if reverse else -1
        if kind == "lstm":
            last_c.append(y[1][place])
            y = y[0]
        every.append(y)
        last.append(y[place])
    found = [F.stack(every, 1), F.stack(last, 0)]
    return tuple([*found, F.stack(last_c, 0)] if kind == "lstm" else found)
