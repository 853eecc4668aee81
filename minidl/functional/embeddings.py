"""Embedding: rows of a table, by their numbers; the gradient is added up row by row, in the order of the index."""
from __future__ import annotations

import numpy as np

from .. import arrays
from .elementwise import where
from .operation import Operation, no_derivative
from .reductions import max as _max
from .reductions import mean, sum
from .shapes import unsqueeze

__all__ = ["embedding", "embedding_bag"]


def _checked(weight, index) -> np.ndarray:
    """The index in int64. TypeError for other than integers, ValueError for numbers outside the table."""
    index = np.asarray(index)
    if index.dtype.kind not in "iu":
        raise TypeError(f"embedding: expected indices of an integer dtype, got {index.dtype}")
    if index.size and not 0 <= index.min() <= index.max() < len(weight):
        raise IndexError(f"embedding: expected indices from 0 to {len(weight) - 1}, got "
                         f"{index.min()} to {index.max()}")
    return index.astype(np.int64, copy=False)


def _rows(weight, index, padding):
    return arrays.take_rows(weight, _checked(weight, index))


def _rows_but_padding(weight, index, padding):
    y = _rows(weight, index, padding)
    y[np.asarray(index) == padding] = 0
    return y


def _add_rows(total, g, weight, index, padding):
    """total[index] += g, in the order of the index, without the rows of the padding."""
    arrays.add_rows(g, _checked(weight, index), total, padding)


def _rows_added(g, weight, index, padding):
    total = np.zeros(weight.shape, g.dtype)
    _add_rows(total, g, weight, index, padding)
    return total


# Σ of g over the places that have the row's number: (..., E) (V, E) (...) -> (V, E); the padding's row gets none
embedding_backward = Operation(
    "embedding_backward", _rows_added,
    lambda u, d, g, weight, index, padding: _kept_rows(u, index, padding), no_derivative, no_derivative, no_derivative,
    reads=("23", "", "", ""), add=_add_rows)
_kept_rows = Operation(
    "embedding_rows", _rows_but_padding,
    lambda g, y, weight, index, padding: embedding_backward(g, weight, index, padding), no_derivative, no_derivative,
    reads=("12", "", ""))


def _add_all(totals, g, y, weight, index, padding):
    if totals[0] is not None:
        embedding_backward.add_to(totals[0], g, weight, index, padding)


_embedding = Operation(  # (V, E) (...) -> (..., E); the padding's number is -1 where there is none
    "embedding", _rows,
    lambda g, y, weight, index, padding: embedding_backward(g, weight, index, padding), no_derivative, no_derivative,
    reads=("12", "", ""), adds=(0,), add_all=_add_all)


def _row(padding_idx: int | None, count: int) -> int:
    """The padding's row, -1 for none. ValueError for one outside the table."""
    if padding_idx is None:
        return -1
    if not -count <= padding_idx < count:
        raise ValueError(f"embedding: expected padding_idx within {count} rows, got {padding_idx}")
    return int(padding_idx % count)


def embedding(input, weight, padding_idx: int | None = None):
    """The rows of weight (V, E) whose numbers are the input's: (...) of integers -> (..., E).

    The row padding_idx receives no gradient. TypeError for an input that is not of integers, IndexError for
    numbers outside the table.
    """
    return _embedding(weight, input, _row(padding_idx, weight.shape[0]))


# Bags

def _bags(offsets, like) -> np.ndarray:
    """The bag of each of the entries."""
    count = len(like)
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or (len(offsets) and offsets[0] != 0) or (
            len(offsets) and (np.any(np.diff(offsets) < 0) or offsets[-1] > count)):
        raise ValueError(f"embedding_bag: expected offsets that begin at 0 and rise up to {count}, got {offsets}")
    return np.searchsorted(offsets, np.arange(count), side="right") - 1


_bag_of = Operation("bag_of", _bags, arity=2)
_counted = Operation(  # how many entries of each bag count
    "count_entries", lambda bags, index, padding, like: np.maximum(np.bincount(
        np.asarray(bags)[np.asarray(index) != padding], minlength=len(like)), 1)[:, None].astype(like.dtype), arity=4)
_is_not = Operation("is_not", lambda index, padding, weight: (np.asarray(index) != padding).astype(weight.dtype),
                    arity=3)
_empty_bags = Operation("empty_bags", lambda offsets, weight: np.zeros((len(offsets), weight.shape[1]), weight.dtype),
                        arity=2)


def embedding_bag(input, weight, offsets=None, mode: str = "mean", per_sample_weights=None,
                  include_last_offset: bool = False, padding_idx: int | None = None):
    """The sum, mean or max of the embeddings of each bag: (N, B), or (entries,) cut at the offsets (N,), -> (N, E).

    per_sample_weights : a factor for each entry, with mode "sum" alone. include_last_offset : the last of the offsets
    is the end of the last bag. Entries of padding_idx do not count. An empty bag gives zeros; "max" takes (N, B).
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: expected mode 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(f"embedding_bag: expected per_sample_weights with mode 'sum' alone, got {mode!r}")
    padding = _row(padding_idx, weight.shape[0])
    rows = _embedding(weight, input, padding)
    if per_sample_weights is not None:
        rows = rows * unsqueeze(per_sample_weights, -1)
    if padding >= 0:
        rows = rows * unsqueeze(_is_not(input, padding, weight), -1)
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: expected no offsets with bags as rows")
        if mode == "max":
            if padding >= 0:
                raise ValueError("embedding_bag: expected no padding_idx with mode 'max'")
            return _max(rows, 1)[0]
        if mode == "sum" or padding < 0:
            return sum(rows, 1) if mode == "sum" else mean(rows, 1)
        count = sum(_is_not(input, padding, weight), 1, keepdim=True)
        return sum(rows, 1) / where(count > 0, count, 1.0)
    if input.ndim != 1 or offsets is None or mode == "max":
        raise ValueError("embedding_bag: expected bags as rows (N, B), or entries (n,) with offsets for mode 'sum' "
                         "or 'mean'")
    if include_last_offset:
        offsets = offsets[:-1]
    bags = _bag_of(offsets, input)
    total = embedding_backward(rows, _empty_bags(offsets, weight), bags, -1)
    return total if mode == "sum" else total / _counted(bags, input, padding, total)
