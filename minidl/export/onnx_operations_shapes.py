"""ONNX's nodes that move elements, or give constants and sizes."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd.tensor import Tensor
from ..functional.casts import to
from .onnx_operations import known, node, numbers, tensor
from .recording import ExportError


@node("Identity", "Dropout")
def _identity(node, x, *rest):
    return x


@node("Constant")
def _constant(node):
    from onnx import numpy_helper

    for name, value in node.attributes.items():
        if name == "value":
            return numpy_helper.to_array(value)
        if name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    raise ExportError("from_onnx: expected a Constant of numbers")


@node("ConstantOfShape")
def _constant_of_shape(node, shape):
    from onnx import numpy_helper

    value = node.attributes.get("value")
    fill = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    return np.full(numbers(shape), fill[0], fill.dtype)


@node("Range")
def _range(node, start, limit, delta):
    if not known(start, limit, delta):
        raise ExportError("from_onnx: expected a Range that does not depend on the values of the input")
    return np.arange(start, limit, delta)


@node("Shape")
def _shape(node, x):
    return np.array(x.shape[node.attributes.get("start", 0):node.attributes.get("end")], np.int64)


@node("Cast")
def _cast(node, x):
    from onnx import helper

    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(node.attributes["to"]))
    return x.astype(dtype) if known(x) else to(x, dtype)


@node("Reshape")
def _reshape(node, x, shape):
    sizes = numbers(shape)
    if not node.attributes.get("allowzero", 0):
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(sizes) if known(x) else F.reshape(x, tuple(sizes))


@node("Flatten")
def _flatten(node, x):
    axis = node.attributes.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return F.reshape(tensor(x), (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@node("Transpose")
def _transpose(node, x):
    dims = node.attributes.get("perm", list(range(x.ndim))[::-1])
    return x.transpose(dims) if known(x) else F.permute(x, tuple(dims))


@node("Squeeze")
def _squeeze(node, x, axes=None):
    dims = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else [d % x.ndim for d in numbers(axes)]
    shape = tuple(n for i, n in enumerate(x.shape) if i not in dims)
    return x.reshape(shape) if known(x) else F.reshape(x, shape)


@node("Unsqueeze")
def _unsqueeze(node, x, axes):
    dims = sorted(d % (x.ndim + len(numbers(axes))) for d in numbers(axes))
    shape = list(x.shape)
    for d in dims:
        shape.insert(d, 1)
    return x.reshape(shape) if known(x) else F.reshape(x, tuple(shape))


@node("Expand")
def _expand(node, x, shape):
    sizes = np.broadcast_shapes(tuple(x.shape), tuple(numbers(shape)))
    return np.broadcast_to(x, sizes) if known(x) else F.expand(x, tuple(sizes))


@node("Concat")
def _concat(node, *values):
    axis = node.attributes["axis"]
    return np.concatenate(values, axis) if known(*values) else F.cat([tensor(value) for value in values], axis)


@node("Split")
def _split(node, x, sizes=None):
    axis, count = node.attributes.get("axis", 0), len(node.outputs)
    if sizes is not None:
        return F.split(tensor(x), numbers(sizes), axis)
    return F.split(tensor(x), -(-x.shape[axis] // node.attributes.get("num_outputs", count)), axis)


@node("Slice")
def _slice(node, x, begins, ends, axes=None, steps=None):
    begins, ends = numbers(begins), numbers(ends)
    axes = list(range(len(begins))) if axes is None else [axis % x.ndim for axis in numbers(axes)]
    steps = [1] * len(begins) if steps is None else numbers(steps)
    parts: list[Any] = [slice(None)] * x.ndim
    for begin, end, axis, step in zip(begins, ends, axes, steps, strict=True):
        before_all = step < 0 and end < -x.shape[axis]  # ONNX: to the first element
        parts[axis] = slice(begin, None if before_all else end, step)
    return x[tuple(parts)]


@node("Gather")
def _gather(node, x, index):
    axis = node.attributes.get("axis", 0) % x.ndim
    if known(x, index):
        return np.take(x, index, axis)
    if isinstance(index, Tensor) and axis == 0 and x.ndim == 2:
        return F.embedding(index, tensor(x))
    if known(index) and np.ndim(index) == 0:
        return tensor(x)[(*[slice(None)] * axis, int(index))]
    return tensor(x)[(*[slice(None)] * axis, index)]


@node("Trilu")
def _triangle(node, x, diagonal=0):
    function = F.triu if node.attributes.get("upper", 1) else F.tril
    return function(tensor(x), numbers(diagonal)[0])
