"""The kernels on whole arrays: each allocates its result and takes arrays of any rank.

``compiled(name)`` gives a kernel for each dtype. Elementwise kernels see any array as a
matrix; those of a row work along the last axis.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from . import kernels

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
SINGLE = FLOATS[0]  # compared by identity: looking a dtype up in a dictionary takes as long as a small kernel
INT64 = np.dtype(np.int64)


def compiled(name: str) -> dict[np.dtype, Callable]:
    """The kernel called ``name``, by dtype."""
    return {dtype: getattr(kernels.of(dtype), name) for dtype in FLOATS}


def unsupported(name: str, x) -> TypeError:
    came = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
    return TypeError(f"{name}: expected a float32 or float64 array, got {came}")


def as_matrix(x: np.ndarray) -> np.ndarray:
    """x as (rows, last axis), a view where its strides allow."""
    if x.ndim == 0:
        return x.reshape(1, 1)
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def as_int64(labels: np.ndarray) -> np.ndarray:
    """Labels of any integer dtype, as the kernels take them. TypeError for others."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"expected labels of an integer dtype, got {labels.dtype}")
    return labels.astype(INT64, copy=False)


def as_it_lies(x: np.ndarray) -> tuple[int, ...] | None:
    """The axes in the order in which they lie, where x has no gaps and they are not in order already."""
    if x.flags.c_contiguous:
        return None
    axes = tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))
    return axes if x.transpose(axes).flags.c_contiguous else None


def unary(name: str, of_rows: bool = False) -> Callable:
    """x, and a setting where the kernel has one -> a new array of x's shape, which lies as x does.

    of_rows : the kernel works along the last axis, and the output lies in the order of the axes.
    """
    by_dtype = compiled(name)
    single = by_dtype[SINGLE]

    def call(x, setting=None):
        try:  # a matrix goes to its kernel at once, which refuses all else
            kernel = single if x.dtype is SINGLE else by_dtype[x.dtype]
            return kernel(x, None) if setting is None else kernel(x, None, setting)
        except (AttributeError, KeyError):
            raise unsupported(name, x) from None
        except ValueError:
            if x.ndim == 2:
                raise
            if not of_rows and (axes := as_it_lies(x)) is not None:
                return call(x.transpose(axes), setting).transpose(np.argsort(axes))
            return call(as_matrix(x), setting).reshape(x.shape)

    return call


def binary(name: str, of_rows: bool = False) -> Callable:
    """dy, x, and a setting where the kernel has one -> a new array of x's shape, as ``unary`` makes it."""
    by_dtype = compiled(name)
    single = by_dtype[SINGLE]

    def call(dy, x, setting=None):
        try:
            kernel = single if x.dtype is SINGLE else by_dtype[x.dtype]
            return kernel(dy, x, None) if setting is None else kernel(dy, x, None, setting)
        except (AttributeError, KeyError):
            raise unsupported(name, x) from None
        except ValueError:
            if dy.shape != x.shape:
                raise ValueError(f"{name}: expected a gradient of shape {x.shape}, got {dy.shape}") from None
            if x.ndim == 2:
                raise
            if not of_rows and (axes := as_it_lies(x)) is not None:
                return call(dy.transpose(axes), x.transpose(axes), setting).transpose(np.argsort(axes))
            return call(as_matrix(dy), as_matrix(x), setting).reshape(x.shape)

    return call


_matmul = compiled("matmul")
_linear = compiled("linear")
_input_gradient = compiled("linear_input_gradient")
_linear_gradients = compiled("linear_gradients")
_column_sum = compiled("column_sum")
_row_sum = compiled("row_sum")
_total = compiled("total")
_gather_labels_total = compiled("gather_labels_total")
_add_at_labels = compiled("add_at_labels")
_cross_entropy = compiled("cross_entropy")
_cross_entropy_gradient = compiled("cross_entropy_gradient")
_affine_sample = compiled("affine_sample")
_layer = compiled("Layer")
_bmm = compiled("bmm")
_take_rows = compiled("take_rows")
_add_rows = compiled("add_rows")


def total(x: np.ndarray) -> float:
    """The sum of all elements, one by one in the order of the index, in double."""
    return _total[x.dtype](as_matrix(x))


def summed(x: np.ndarray, dim=None, keepdim: bool = False):
    """The sum over all elements, or along axes (one or several), in an order that is always the same.

    Along the last axes: in double, by eight partial sums, of every eighth element. Along others: in the order of
    the index, in the element type. Axes that are not adjacent are first moved to the end. Integers and
    booleans are left to NumPy.
    """
    if x.dtype not in FLOATS or not x.size:
        return np.sum(x, axis=dim, keepdims=keepdim)
    axes = list(range(x.ndim)) if dim is None else sorted(normalize_axis_tuple(dim, x.ndim))
    if not axes:
        return x.copy()[()]
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)] if keepdim else [
        n for i, n in enumerate(x.shape) if i not in axes]
    if axes[-1] - axes[0] != len(axes) - 1:
        x = np.transpose(x, [i for i in range(x.ndim) if i not in axes] + axes)
        axes = list(range(x.ndim - len(axes), x.ndim))
    lead, many = math.prod(x.shape[:axes[0]]), math.prod(x.shape[axes[0]:axes[-1] + 1])
    trail = math.prod(x.shape[axes[-1] + 1:])
    if trail == 1:
        y = np.empty(lead, x.dtype)
        _row_sum[x.dtype](x.reshape(lead, many), y)
    else:
        y = np.zeros((lead, trail), x.dtype)
        for part, out in zip(x.reshape(lead, many, trail), y, strict=True):
            _column_sum[x.dtype](part, out)
    return y.reshape(shape)[()]


def gather_labels_total(z: np.ndarray, labels: np.ndarray) -> float:
    """Σ_n z[n, labels[n]], in the order of n, in double. ValueError for a label outside the columns."""
    return _gather_labels_total[z.dtype](z, as_int64(labels))


def add_at_labels(z: np.ndarray, labels: np.ndarray, value: float) -> None:
    """z[n, labels[n]] += value."""
    _add_at_labels[z.dtype](z, as_int64(labels), value)


def cross_entropy(z: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """-Σ_n log_p[n, labels[n]] in double, and log_p = log softmax(z). ValueError for a label outside the columns."""
    return _cross_entropy[z.dtype](z, labels if labels.dtype is INT64 else as_int64(labels), None)


def cross_entropy_gradient(log_p: np.ndarray, labels: np.ndarray, factor: float) -> np.ndarray:
    """factor (e^log_p - onehot(labels))."""
    return _cross_entropy_gradient[log_p.dtype](
        log_p, labels if labels.dtype is INT64 else as_int64(labels), None, factor)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b over the last two axes, the axes before them broadcast: (..., M, K) (..., K, N) -> (..., M, N).

    Raises TypeError for differing dtypes and ValueError for shapes that do not match.
    """
    if a.dtype not in FLOATS or a.dtype != b.dtype:
        raise TypeError(f"matmul: expected two arrays of one float dtype, got {a.dtype} and {b.dtype}")
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: expected shapes (..., M, K) and (..., K, N), got {a.shape} and {b.shape}")
    kernel = _matmul[a.dtype]
    if a.ndim == b.ndim == 2:
        c = np.empty((a.shape[0], b.shape[1]), a.dtype)
        kernel(a, b, c)
        return c
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = np.empty((*stack, a.shape[-2], b.shape[-1]), a.dtype)
    if not c.size:
        return c
    for part in stacked(np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:]), c):
        _bmm[a.dtype](*part)
    return c


def stacked(*arrays: np.ndarray) -> list[list[np.ndarray]]:
    """Arrays (..., M, N) with the same axes before the last two, as stacks (B, M, N): one each, or several in turn."""
    if arrays[0].ndim == 3:
        return [list(arrays)]
    long = [i for i, n in enumerate(arrays[0].shape[:-2]) if n > 1]  # the others do not matter, whatever their strides
    if all(x.strides[i] == x.strides[j] * x.shape[j] for x in arrays for i, j in pairwise(long)):
        return [[x.reshape(-1, *x.shape[-2:]) for x in arrays]]
    return [[x[index] for x in arrays] for index in np.ndindex(arrays[0].shape[:-3])]


def take_rows(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """table[index]: (V, E) (...) -> (..., E). ValueError for an index outside the table."""
    y = np.empty((index.size, table.shape[1]), table.dtype)
    _take_rows[table.dtype](table, as_int64(index).reshape(-1), y)
    return y.reshape(*index.shape, table.shape[1])


def add_rows(g: np.ndarray, index: np.ndarray, total: np.ndarray, skip: float = -1) -> None:
    """total[index] += g, in the order of the index, but where that is ``skip``: (..., E) (...) (V, E)."""
    _add_rows[g.dtype](as_matrix(g), as_int64(index).reshape(-1), total, skip)


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x weightᵀ + bias: (N, I) (O, I) (O,) -> (N, O)."""
    y = np.empty((len(x), len(weight)), weight.dtype)
    _linear[weight.dtype](x, weight, bias, y)
    return y


def linear_input_gradient(dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """dx = dy weight: (N, O) (O, I) -> (N, I)."""
    dx = np.empty((len(dy), weight.shape[1]), weight.dtype)
    _input_gradient[weight.dtype](dy, weight, dx)
    return dx


def add_linear_gradients(x: np.ndarray, dy: np.ndarray, dweight: np.ndarray, dbias: np.ndarray | None) -> None:
    """dweight += dyᵀ x and dbias += Σ_n dy[n]: (N, I) (N, O) -> (O, I), (O,)."""
    _linear_gradients[x.dtype](x, dy, dweight, dbias)


def layer(weight: np.ndarray, bias: np.ndarray | None, dweight: np.ndarray, dbias: np.ndarray | None,
          weight_status=None, bias_status=None):
    """The kernels of a linear layer, bound to its arrays. ValueError for arrays that do not fit each other."""
    return _layer[weight.dtype](weight, bias, dweight, dbias, weight_status, bias_status)


def add_column_sum(dy: np.ndarray, db: np.ndarray) -> None:
    """db += Σ_n dy[n]: (N, O) -> (O,)."""
    _column_sum[dy.dtype](dy, db)


RECURRENT = {name: compiled(name) for layer in ("rnn", "lstm", "gru") for name in (layer, f"{layer}_backward")}


NORMALIZATIONS = {name: compiled(name) for over in ("layer_norm", "batch_norm") for name in (over, f"{over}_backward")}


def _plain(row: np.ndarray | None) -> np.ndarray | None:
    """A row of stride one, or None."""
    return row if row is None else np.ascontiguousarray(row)


def normalized(name: str, x: np.ndarray, weight, bias, eps: float) -> np.ndarray:
    """layer_norm of the rows or batch_norm of the columns of a matrix: y, and of batch_norm the moments behind it."""
    if x.dtype not in FLOATS:
        raise unsupported(name, x)
    y = np.empty((len(x) + 2 * (name == "batch_norm"), x.shape[1]), x.dtype)
    NORMALIZATIONS[name][x.dtype](np.ascontiguousarray(x), _plain(weight), _plain(bias), y, eps)
    return y


def normalized_backward(name: str, g: np.ndarray, x: np.ndarray, weight, eps: float) -> np.ndarray:
    """The gradients of x, of the weight and of the bias, one below the other: (N, C) -> (N + 2, C)."""
    out = np.empty((len(x) + 2, x.shape[1]), x.dtype)
    NORMALIZATIONS[f"{name}_backward"][x.dtype](
        np.ascontiguousarray(g), np.ascontiguousarray(x), _plain(weight), out, eps)
    return out


def affine_sample(images: np.ndarray, matrices: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Images (N, H, W) or (N, C, H, W) seen through a map each: the result at (x, y) is the image at M (x, y, 1).

    matrices : (N, 2, 3), in pixels from the centre, x to the right and y downward. A point between four pixels is
    their mean, weighted by how near they are; ``fill`` is the value of pixels outside of the image.
    """
    if images.dtype not in FLOATS:
        raise unsupported("affine_sample", images)
    *_, height, width = images.shape
    x = np.ascontiguousarray(images).reshape(-1, height * width)
    maps = matrices.reshape(-1, 6).astype(images.dtype, copy=False).repeat(len(x) // max(1, len(images)), 0)
    y = np.empty_like(x)
    _affine_sample[x.dtype](x, maps, y, height, width, fill)
    return y.reshape(images.shape)
