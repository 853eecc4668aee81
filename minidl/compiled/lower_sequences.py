"""How recurrent layers, tables, stacks of products, and copies of more than two axes become instructions."""
from __future__ import annotations

import numpy as np

from ..arrays import FLOATS, INT64, stacked
from .arena import rows_of, strided
from .lower import MOST, _all_of, _count_on, _elementwise, _product, in_order, lower, lowering


@lowering("rnn_states", "lstm_states", "gru_states")
def _states(builder, name, operands, settings, output):
    """The initial states are copied into the work; then one instruction runs all steps."""
    name = name.removesuffix("_states")
    count = 2 if name == "lstm" else 1
    a, *states, weight = operands[:count + 2]
    bias = [rows_of(x) for x in operands[count + 2:]]
    a = in_order(builder, a)
    turned = strided(weight, weight.shape, weight.strides)
    if a is None or turned is None or not _all_of(output.dtype, output, a, *states, weight, *bias):
        return False
    if a.strides[1] != a.itemsize or any(x is None or x.strides[1] != x.itemsize for x in bias):
        return False
    n, h = states[0].shape
    steps = len(a) // n
    slab = (steps + 1) * n * h
    for k, state in enumerate(states):
        begin = k * slab + (steps * n * h if settings["reverse"] else 0)
        _elementwise(builder, "copy", [state], output[begin:begin + n * h].reshape(n, h))
    builder.program.kernel(name, output.dtype, rows_of(output), a, turned.T, *bias, settings=_numbers(steps, settings))
    return True


@lowering("rnn_backward", "lstm_backward", "gru_backward")
def _states_backward(builder, name, operands, settings, output):
    g, work, a = operands[:3]
    weight = operands[5 if name == "lstm_backward" else 4]
    g, work, out = rows_of(g.reshape(-1, g.shape[-1]) if g.flags.c_contiguous else g), rows_of(work), rows_of(output)
    if g is None or not g.flags.c_contiguous or not _all_of(output.dtype, output, g, work, weight):
        return False
    w = weight
    if weight.strides[1] != weight.itemsize:  # the product of each step reads its rows
        w = builder.scratch(weight.shape, weight.dtype)
        if not _elementwise(builder, "copy", [weight], w):
            return False
    builder.program.kernel(name, output.dtype, out, g, strided(w, w.shape, w.strides), work,
                           settings=_numbers(len(a), settings))
    return True


def _numbers(steps: int, settings: dict) -> tuple[float, ...]:
    return (steps, *(float(x == "relu" if isinstance(x, str) else x) for x in settings.values()))


def _plain_rows(builder, x: np.ndarray) -> np.ndarray | None:
    """As a matrix in rows of stride one: where it lies, or as a copy."""
    rows = in_order(builder, x)
    if rows is None or rows.strides[1] == rows.itemsize:
        return rows
    copy = builder.scratch(rows.shape, rows.dtype)
    return strided(copy, copy.shape, copy.strides) if _elementwise(builder, "copy", [rows], copy) else None


@lowering("layer_norm", "batch_norm_forward")
def _normalized(builder, name, operands, settings, output):
    x, *rest = operands
    if not _all_of(output.dtype, output, *operands):
        return False
    x, (weight, bias) = _plain_rows(builder, x), [*[_plain_rows(builder, part) for part in rest], None, None][:2]
    if x is None:
        return False
    builder.program.kernel(name.removesuffix("_forward"), output.dtype, rows_of(output), x, c=weight, bias=bias,
                           setting=settings["eps"])
    return True


@lowering("layer_norm_backward", "batch_norm_backward")
def _normalized_backward(builder, name, operands, settings, output):
    if not _all_of(output.dtype, output, *operands):
        return False
    g, x, weight = [*[_plain_rows(builder, part) for part in operands], None][:3]
    if g is None or x is None:
        return False
    builder.program.kernel(name, output.dtype, rows_of(output), g, x, c=weight, setting=settings["eps"])
    return True


# Tables


def _index(builder, index):
    """An index of any axes as a row of labels, which the kernels check: in memory that the program alone writes to.

    An array of somebody else, as a buffer with positions is, is copied there before each use.
    """
    if not isinstance(index, np.ndarray) or index.dtype != INT64 or not index.size:
        return None
    if not builder.owns(index) or not index.flags.c_contiguous:
        copy = builder.scratch(index.shape, INT64)
        if not _count_on(builder, [index, 0], copy):
            return None
        index = copy
    return strided(index, (1, index.size), (index.nbytes, index.itemsize))


@lowering("embedding")
def _embedding(builder, name, operands, settings, output):
    weight, index, _ = operands
    row, table, out = _index(builder, index), strided(weight, weight.shape, weight.strides), rows_of(output)
    if row is None or table is None or out is None or not _all_of(output.dtype, table, out):
        return False
    builder.program.kernel("take_rows", output.dtype, out, table, c=row, who="embedding")
    return True


@lowering("embedding_backward")
def _embedding_backward(builder, name, operands, settings, output, accumulates: bool = False):
    g, _, index, padding = operands
    row, g, out = _index(builder, index), in_order(builder, g), rows_of(output)
    if row is None or g is None or out is None or not _all_of(output.dtype, g, out):
        return False
    if not accumulates:
        builder.program.kernel("zero", output.dtype, strided(output, (1, output.size), (0, output.itemsize)))
    builder.program.kernel("add_rows", output.dtype, out, g, c=row, setting=padding, who="embedding")
    return True


# Products of stacks


@lowering("matmul")
def _matmul(builder, name, operands, settings, output):
    a, b = operands
    if not _all_of(output.dtype, output, a, b):
        return False
    if a.ndim == b.ndim == 2:
        return _product(builder, *(strided(x, x.shape, x.strides) for x in (output, a, b)))
    if b.ndim == 2 and (rows := in_order(builder, a)) is not None:  # all rows meet the same matrix
        return _product(builder, rows_of(output), rows, strided(b, b.shape, b.strides))
    stack = output.shape[:-2]
    parts = stacked(output, np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:]))
    if len(parts) > MOST:
        return False
    for part in parts:
        views = [strided(x, x.shape, x.strides) for x in part]
        if any(x is None for x in views):
            return False
        builder.program.kernel("bmm", output.dtype, *views)
    return True


@lowering("hiding")
def _hiding(builder, name, operands, settings, output):
    return lower(builder, "where", [operands[0], -np.inf, 0.0], {}, output)


# Shapes


@lowering("reshape", "reshape_as", "flatten")
def _reshaped(builder, name, operands, settings, output):
    """A copy: what is no copy is no line."""
    x = operands[0]
    return output.flags.c_contiguous and x.dtype == output.dtype and _elementwise(
        builder, "copy", [x], output.reshape(x.shape))


@lowering("scatter")
def _scattered(builder, name, operands, settings, output):
    """Zeros, and the gradient at the places of an index without arrays."""
    g, _, *picks = operands
    if picks or not _all_of(output.dtype, output, g) or not output.flags.c_contiguous:
        return False
    target = output[settings["index"]]
    if not isinstance(target, np.ndarray):
        return False
    if target.size != output.size:
        builder.program.kernel("zero", output.dtype, strided(output, (1, output.size), (0, output.itemsize)))
    return _elementwise(builder, "copy", [g], target)


@lowering("zeros_of")
def _zeros(builder, name, operands, settings, output):
    if output.dtype not in FLOATS:
        return False
    builder.program.kernel("zero", output.dtype, strided(output, (1, output.size), (0, output.itemsize)))
    return True


@lowering("cat", "stack")
def _joined(builder, name, operands, settings, output):
    """Each input is copied to its part of the output."""
    dim, begin = settings["dim"], 0
    if not _all_of(output.dtype, output, *operands):
        return False
    parts = []
    for i, x in enumerate(operands):
        place = i if name == "stack" else slice(begin, begin := begin + x.shape[dim])
        parts.append((x, output[(*[slice(None)] * dim, place)]))
    return all([_elementwise(builder, "copy", [x], part) for x, part in parts if x.size])
