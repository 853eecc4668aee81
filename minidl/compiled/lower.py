"""Lowering: a line of a recording becomes instructions, a kernel where there is one, else a call of NumPy.

A lowering takes the builder, the operands and the output as arrays of the program, and the settings. It appends
instructions and returns True, or appends nothing and returns False: then the value of the operation's row is called
in its place.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import FLOATS, INT64
from ..functional.images import are_images, axes_as_they_lie
from ..functional.operation import WITH_KERNELS
from .arena import as_matrices, rows_of, strided

_LOWERINGS: dict[str, Callable] = {}
MOST = 1024  # instructions of one operation


def lowering(*names: str):
    """Register the lowering of the operations of these names."""
    def register(function):
        for name in names:
            _LOWERINGS[name] = function
        return function
    return register


def lower(builder, name: str, operands: list, settings: dict, output: np.ndarray, **how) -> bool:
    """Append the instructions of one operation; False if it has none."""
    function = _LOWERINGS.get(name) or (_by_its_kernel if name in WITH_KERNELS else None)
    if function is None or not output.size or any(not isinstance(x, (np.ndarray, int, float)) for x in operands):
        return False
    return function(builder, name, operands, settings, output, **how)


def _all_of(dtype, *arrays) -> bool:
    return dtype in FLOATS and all(x.dtype == dtype for x in arrays)


def _elementwise(builder, kernel: str, operands: list, output: np.ndarray, setting: float = 0.0) -> bool:
    """y = f(operands), for arrays of one float dtype; numbers are rounded to it."""
    given = [x for x in operands if isinstance(x, np.ndarray)]
    if not given or not _all_of(given[0].dtype, *given):
        return False
    dtype = given[0].dtype
    arrays = [x if isinstance(x, np.ndarray) else builder.number(x, dtype) for x in operands]
    parts = _in_matrices(output.shape, [output, *arrays])
    if parts is None or len(parts) > 1:
        arrays = [_lying_as(builder, x, output) for x in arrays]
        parts = _in_matrices(output.shape, [output, *arrays])
    for matrices in parts or ():
        builder.program.kernel(kernel, dtype, *matrices, setting=setting)
    return parts is not None


def _lying_as(builder, x: np.ndarray, output: np.ndarray) -> np.ndarray:
    """x, or a copy whose axes lie in the output's order: what a Flatten's gradient is to the images before it."""
    images = are_images(output)
    if x.shape != output.shape or not ((x.flags.c_contiguous and images) or
                                       (are_images(x) and output.flags.c_contiguous)):
        return x
    axes = axes_as_they_lie(x.ndim) if images else tuple(range(x.ndim))
    copy = builder.scratch(tuple([x.shape[axis] for axis in axes]), x.dtype).transpose(np.argsort(axes))
    return copy if _LOWERINGS["turned"](builder, "turned", [x], {}, copy) else x


def _in_matrices(shape: tuple[int, ...], arrays: list[np.ndarray]) -> list[list[np.ndarray]] | None:
    """The arrays, broadcast to a shape, as matrices of one shape, or where more axes are needed as several of them."""
    matrices = as_matrices(shape, arrays)
    if matrices is not None or len(shape) < 3:
        return None if matrices is None else [matrices]
    axis = _axis_of_parts(shape, arrays)
    views = [np.moveaxis(np.broadcast_to(array, shape), axis, 0) for array in arrays]
    parts: list[list[np.ndarray]] = []
    for i in range(shape[axis]):
        part = [view[i] for view in views]
        found = _in_matrices(part[0].shape, part)
        if found is None or len(parts) + len(found) > MOST:
            return None
        parts += found
    return parts


def _axis_of_parts(shape: tuple[int, ...], arrays: list[np.ndarray]) -> int:
    """The axis along which arrays are cut, so that there are few parts: the shortest after which matrices are left.

    Not that of the output's columns, whose stride is one; where no axis leaves matrices, the shortest of the others.
    """
    steps = [abs(step) for step in arrays[0].strides]
    axes = [axis for axis, n in enumerate(shape) if n != 1] or [0]
    columns = min(axes, key=lambda axis: steps[axis])
    axes = sorted([axis for axis in axes if axis != columns] or axes, key=lambda axis: (shape[axis], -steps[axis]))
    views = [np.broadcast_to(array, shape) for array in arrays]
    for axis in axes:
        part = [np.moveaxis(view, axis, 0)[0] for view in views]
        if as_matrices(part[0].shape, part) is not None:
            return axis
    return axes[0]


def in_order(builder, x: np.ndarray) -> np.ndarray | None:
    """(..., n) as a matrix (rows, n): where it lies, or as a copy, if its strides do not allow that."""
    rows = rows_of(x)
    if rows is None and x.ndim and x.size and x.dtype in FLOATS:
        copy = builder.scratch(x.shape, x.dtype)
        if _elementwise(builder, "copy", [x], copy):
            return rows_of(copy)
    return rows


def _by_its_kernel(builder, name, operands, settings, output):
    """The kernel that the row names."""
    if output.dtype == INT64 and name == "add":
        return _count_on(builder, operands, output)
    call = WITH_KERNELS[name].kernel_call(settings)
    if call is None or not _all_of(output.dtype, output):
        return False
    kernel, setting = call
    if "dim" in WITH_KERNELS[name].settings:
        return _of_rows(builder, kernel, operands, settings, output)
    return _elementwise(builder, kernel, operands, output, setting)


def _count_on(builder, operands, output) -> bool:
    """An integer added to integers, as BatchNorm counts its batches."""
    x, number = operands
    if not isinstance(x, np.ndarray) or x.dtype != INT64 or type(number) is not int or abs(number) >= 2 ** 31:
        return False
    matrices = as_matrices(output.shape, [output, x])
    if matrices is not None:
        builder.program.kernel("add_integer", np.float32, *matrices, setting=number)
    return matrices is not None


@lowering("pow")
def _power(builder, name, operands, settings, output):
    a, b = operands
    if isinstance(b, np.ndarray) or b != 2 or not isinstance(a, np.ndarray):
        return False
    return _elementwise(builder, "square", [a], output)


@lowering("pow_base_gradient")
def _power_gradient(builder, name, operands, settings, output):
    g, a, b = operands
    if isinstance(b, np.ndarray) or b != 2 or not _all_of(output.dtype, output):
        return False
    return (_elementwise(builder, "multiply", [g, 2], output)  # a power of 1 is a itself
            and _elementwise(builder, "multiply", [output, a], output))


@lowering("clone", "contiguous", "copy")
def _copied(builder, name, operands, settings, output):
    if output.dtype == INT64:
        return _count_on(builder, [*operands, 0], output)
    return operands[0].dtype == output.dtype and _elementwise(builder, "copy", operands, output)


@lowering("ones_like", "zeros_like")
def _filled(builder, name, operands, settings, output):
    if not _all_of(output.dtype, output):
        return False
    return _elementwise(builder, "copy", [builder.number(float(name == "ones_like"), output.dtype)], output)


@lowering("dropout")
def _dropped(builder, name, operands, settings, output):
    return _elementwise(builder, "multiply", operands, output)


@lowering("to")
def _cast(builder, name, operands, settings, output):
    x, = operands
    if not {x.dtype, output.dtype} <= set(FLOATS):
        return False
    matrices = as_matrices(output.shape, [output, x])
    if matrices is None:
        return False
    if x.dtype == output.dtype:
        builder.program.kernel("copy", x.dtype, *matrices)
    elif x.dtype == np.float64:
        builder.program.kernel("from_double", output.dtype, *matrices)
    else:
        builder.program.kernel("to_double", x.dtype, *matrices)
    return True


@lowering("lt", "le", "gt", "ge", "eq", "ne")
def _comparison(builder, name, operands, settings, output):
    if name in ("gt", "ge"):
        name, operands = {"gt": "lt", "ge": "le"}[name], operands[::-1]
    name = {"lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal"}[name]
    return _elementwise(builder, name, operands, output)


@lowering("where")
def _where(builder, name, operands, settings, output):
    condition, *values = operands
    arrays = [x if isinstance(x, np.ndarray) else builder.number(x, output.dtype) for x in values]
    if not isinstance(condition, np.ndarray) or condition.dtype != bool or not _all_of(output.dtype, output, *arrays):
        return False
    parts = _in_matrices(output.shape, [output, *arrays, condition])
    for matrices in parts or ():
        builder.program.kernel("where", output.dtype, *matrices)
    return parts is not None


# Products


def _product(builder, y, a, b, start=None, accumulates: bool = False) -> bool:
    """y = start + a b for matrices; y may be transposed in memory."""
    if any(x is None for x in (y, a, b)) or not _all_of(y.dtype, y, a, b):
        return False
    if y.strides[1] != y.itemsize and y.shape[1] > 1:
        if start is not None:
            return False
        y, a, b = y.T, b.T, a.T
        if y.strides[1] != y.itemsize and y.shape[1] > 1:
            return False
    builder.program.kernel("matmul", y.dtype, y, a, b, start, accumulates=accumulates)
    return True


@lowering("linear")
def _linear(builder, name, operands, settings, output):
    x, weight, *bias = operands
    start = rows_of(bias[0]) if bias else None
    if start is not None and start.strides[1] != start.itemsize and start.shape[1] > 1:
        return False
    turned = strided(weight, weight.shape, weight.strides).T
    return _product(builder, rows_of(output), in_order(builder, x), turned, start)


@lowering("linear_input_gradient")
def _linear_input(builder, name, operands, settings, output):
    g, weight = operands[0], builder.by_rows(operands[1])
    return _product(builder, rows_of(output), in_order(builder, g), strided(weight, weight.shape, weight.strides))


@lowering("linear_weight_gradient")
def _linear_weight(builder, name, operands, settings, output, accumulates: bool = False):
    g, x = [in_order(builder, x) for x in operands]
    dweight = strided(output, output.shape, output.strides)
    if x is None or g is None or dweight is None:
        return False
    if output.strides[0] == output.itemsize or output.shape[0] == 1:  # lies as (in, out)
        return _product(builder, dweight.T, x.T, g, accumulates=accumulates)
    return _product(builder, dweight, g.T, x, accumulates=accumulates)


@lowering("linear_bias_gradient")
def _column_sum(builder, name, operands, settings, output, accumulates: bool = False):
    g, y = in_order(builder, operands[0]), rows_of(output)
    if g is None or y is None or not _all_of(y.dtype, y, g):
        return False
    builder.program.kernel("column_sum", y.dtype, y, g, accumulates=accumulates)
    return True


# Rows


def _of_rows(builder, kernel: str, operands: list, settings: dict, output: np.ndarray) -> bool:
    """A kernel along the last axis."""
    if settings.get("dim", -1) not in (-1, output.ndim - 1) or not output.ndim:
        return False
    matrices = [rows_of(x) for x in (output, *operands)]
    if any(x is None for x in matrices) or not _all_of(output.dtype, *matrices):
        return False
    builder.program.kernel(kernel, output.dtype, *matrices)
    return True


@lowering("sum")
def _sum(builder, name, operands, settings, output):
    x, = operands
    dims, y = settings.get("dim"), strided(output, (1, output.size), (0, output.itemsize))
    if not (_all_of(x.dtype, x, output) and x.size and output.flags.c_contiguous and x.flags.c_contiguous):
        return False
    if not x.ndim:
        return _elementwise(builder, "copy", [x], output)
    axes = list(range(x.ndim)) if dims is None else sorted({int(d) % x.ndim for d in np.atleast_1d(dims)})
    if not axes or axes != list(range(axes[0], axes[-1] + 1)):
        return not axes and _elementwise(builder, "copy", [x], output)
    lead = int(np.prod(x.shape[:axes[0]]))
    middle = int(np.prod(x.shape[axes[0]:axes[-1] + 1]))
    trail = int(np.prod(x.shape[axes[-1] + 1:]))
    if trail == 1:
        matrix = strided(x, (lead, middle), (middle * x.itemsize, x.itemsize))
        builder.program.kernel("row_sum", y.dtype, y, matrix)
        return True
    if lead == 1:
        matrix = strided(x, (middle, trail), (trail * x.itemsize, x.itemsize))
        builder.program.kernel("column_sum", y.dtype, y, matrix)
        return True
    return False


# Losses


def _labels(builder, labels):
    """The labels as a row, which the kernels check; None unless only the program writes to them."""
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.ndim != 1 or not builder.owns(labels):
        return None
    row = strided(labels, (1, labels.size), (labels.nbytes, labels.strides[0]))
    if labels.strides[0] != labels.itemsize:
        return None
    return row


@lowering("over")
def _over(builder, name, operands, settings, output):
    x, z = operands
    if not isinstance(x, np.ndarray) or not _all_of(output.dtype, output):
        return False
    return _elementwise(builder, "divide", [x, z.shape[0] if settings["by"] == "rows" else z.size], output)


@lowering("over_count")
def _over_count(builder, name, operands, settings, output):
    g, x = operands
    return _all_of(output.dtype, output) and _elementwise(builder, "divide", [g, _count(x, settings["dim"])], output)


def _count(x, dim) -> int:
    return x.size if dim is None else int(np.prod([x.shape[d] for d in np.atleast_1d(dim)]))


@lowering("mean")
def _mean(builder, name, operands, settings, output):
    if not _sum(builder, "sum", operands, settings, output):
        return False
    return _elementwise(builder, "divide", [output, _count(operands[0], settings.get("dim"))], output)


@lowering("total")
def _total(builder, name, operands, settings, output):
    matrix = rows_of(operands[0])
    if matrix is None or not _all_of(matrix.dtype, matrix):
        return False
    builder.program.kernel("total", matrix.dtype, None, matrix, number=rows_of(output))
    return True


@lowering("row_total")
def _row_total(builder, name, operands, settings, output):
    x = rows_of(operands[0])
    if x is None or not _all_of(output.dtype, x, output):
        return False
    ones = strided(builder.number(1, x.dtype), (x.shape[1], 1), (0, x.itemsize))
    return _product(builder, rows_of(output), x, ones)


@lowering("gather_labels_total")
def _gather_labels_total(builder, name, operands, settings, output):
    z, labels = operands
    row = _labels(builder, labels) if _all_of(z.dtype, z) and z.ndim == 2 else None
    if row is None:
        return False
    builder.program.kernel(name, z.dtype, None, rows_of(z), c=row, number=rows_of(output))
    return True


@lowering("minus_one_hot")
def _minus_one_hot(builder, name, operands, settings, output):
    row = _labels(builder, operands[0]) if _all_of(output.dtype, output) else None
    if row is None:
        return False
    builder.program.kernel("add_at_labels", output.dtype, rows_of(output), c=row, setting=-1)
    return True


@lowering("cross_entropy_gradient")
def _cross_entropy_gradient(builder, name, operands, settings, output):
    log_p, labels, factor = operands
    if not isinstance(factor, np.ndarray):
        factor = builder.number(factor, output.dtype)
    if factor.size != 1 or not _all_of(output.dtype, output, log_p, factor):
        return False
    row = _labels(builder, labels)
    if row is None:
        return False
    builder.program.kernel(name, output.dtype, rows_of(output), rows_of(log_p), c=row,
                           setting_from=rows_of(factor.reshape(())), who="CrossEntropyLoss")
    return True
