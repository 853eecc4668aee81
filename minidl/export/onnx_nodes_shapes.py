"""How operations that move elements are written in ONNX: shapes, indices, joins."""
from __future__ import annotations

import numpy as np

from ..functional.shapes import ARRAY
from .onnx_graph import FILLED
from .onnx_nodes import _names, written
from .recording import ExportError

RESHAPES = ("flatten", "reshape", "reshape_as", "squeeze", "unsqueeze")

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
    parts = _whole(step.settings["index"], x.ndim)
    numbers = any(isinstance(part, (int, np.integer)) for part in parts)
    if len(picks) > 1 or any(np.dtype(pick.dtype).kind not in "iu" for pick in picks) or (
            picks and (numbers or None in parts)):
        raise ExportError("to_onnx: an index of several arrays, of booleans, or of an array beside numbers or new axes "
                          "has no ONNX form: use index_select or where")
    name = graph.of(x)
    axes = [part for part in parts if part is not None]
    cuts = [_cut(part, axis) for axis, part in enumerate(axes) if isinstance(part, slice) and part != slice(None)]
    if cuts:
        name = graph.node("Slice", name, *[graph.integers(*column) for column in zip(*cuts, strict=True)])
    axis = 0
    for part in axes:
        if isinstance(part, slice):
            axis += 1
        elif part is ARRAY:
            name, axis = graph.node("Gather", name, graph.of(picks[0]), axis=axis), axis + 1
        else:
            name = graph.node("Gather", name, graph.constant(np.int64(part)), axis=axis)
    left = [part for part in parts if not isinstance(part, (int, np.integer))]
    new = [place for place, part in enumerate(left) if part is None]
    return graph.node("Unsqueeze", name, graph.integers(*new)) if new else name


def _whole(index, ndim: int) -> list:
    """The parts of an index, one for each axis of x and None for each new one."""
    parts = list(index) if isinstance(index, tuple) else [index]
    rest = [slice(None)] * (ndim - sum(part is not None and part is not Ellipsis for part in parts))
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), None)
    return [*parts, *rest] if at is None else [*parts[:at], *rest, *parts[at + 1:]]


def _cut(part: slice, axis: int) -> tuple[int, int, int, int]:
    """begin, end, axis and step of a slice."""
    step = 1 if part.step is None else int(part.step)
    far = (1 << 31) - 1
    begin = part.start if part.start is not None else (0 if step > 0 else far)
    end = part.stop if part.stop is not None else (far if step > 0 else -far)
    return int(begin), int(end), axis, step
