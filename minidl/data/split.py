"""Preparation of data: one-hot rows of labels, random parts of samples, normalized columns."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from .. import random
from .batches import positive_int

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


def floating(dtype: DTypeLike, who: str) -> np.dtype:
    """``dtype`` as a np.dtype; TypeError unless it is float32 or float64."""
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{who}: expected dtype float32 or float64, got {dtype}")
    return dtype


def one_hot(labels: ArrayLike, classes: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Rows of the unit matrix: y[i, labels[i]] = 1 and 0 elsewhere, of shape (len(labels), classes).

    Raises TypeError for labels that are not integers, ValueError for labels that are not one-dimensional
    or lie outside 0 .. classes-1.
    """
    classes = positive_int(classes, "one_hot", "classes")
    dtype = floating(dtype, "one_hot")
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integer labels, got {labels.dtype}")
    if labels.ndim != 1:
        raise ValueError(f"one_hot: expected labels of shape (N,), got {labels.shape}")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        raise ValueError(f"one_hot: expected labels in 0..{classes - 1}, got {labels[outside][0]}")
    rows = np.zeros((len(labels), classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def split(*arrays: ArrayLike, sizes: Sequence[float],
          seed: int | np.random.Generator | None = None) -> list[tuple[np.ndarray, ...]]:
    """Random disjoint parts of the samples: ``(X, y), (Xt, yt) = split(data, labels, sizes=(0.8, 0.2))``.

    ``sizes`` holds a size for each part: all ints (samples) or all floats (fractions of the samples, cut
    at the nearest sample). Samples that are left over belong to no part. Each part is a
    tuple with the same samples of every array, copied.

    Raises TypeError for sizes that mix ints and floats, ValueError for no arrays, arrays of different
    lengths, no sizes, a part without samples, or sizes that exceed the data.
    """
    samples = [np.asarray(array) for array in arrays]
    if not samples or any(array.ndim == 0 for array in samples):
        shapes = [array.shape for array in samples]
        raise ValueError(f"split: expected arrays of at least one dimension, got shapes {shapes}")
    lengths = [len(array) for array in samples]
    if len(set(lengths)) > 1:
        raise ValueError(f"split: expected arrays of one length, got lengths {lengths}")
    edges = _edges(sizes, lengths[0])
    order = random.generator(seed).permutation(lengths[0])
    parts = [order[start:end] for start, end in pairwise(edges)]
    return [tuple(array[part] for array in samples) for part in parts]


def _edges(sizes: Sequence[float], n: int) -> list[int]:
    """The bounds of parts of these sizes in n samples: [0, end of the first, ...]."""
    kinds = {np.asarray(size).dtype.kind for size in sizes}
    if not (kinds <= set("iu") or kinds == {"f"}):
        raise TypeError(f"split: expected sizes to be all ints or all floats, got {sizes}")
    if not kinds or not all(size > 0 for size in sizes):
        raise ValueError(f"split: expected sizes > 0, got {sizes}")
    if kinds == {"f"}:
        if sum(sizes) > 1 + 1e-9:  # 0.7 + 0.2 + 0.1 need not make 1 in binary
            raise ValueError(f"split: expected fractions that sum to at most 1, got {sizes}")
        edges = [0, *(round(float(end) * n) for end in accumulate(sizes))]
    else:
        edges = [0, *accumulate(map(int, sizes))]
    if edges[-1] > n:
        raise ValueError(f"split: expected sizes that sum to at most {n} samples, got {sizes}")
    if len(set(edges)) < len(edges):
        raise ValueError(f"split: expected a sample in every part, got {sizes} of {n} samples")
    return edges


class Normalizer:
    """Shift and scale each column by the training set's: (X - mean) / std.

    mean and std (shape (features,), float64) are those of the columns of the X of shape (N, features)
    given to :meth:`fit`, with std = sqrt(mean((X - mean)²)). A constant column is only shifted: its std
    counts as 1. Results have the dtype of what is transformed, float32 or float64.

    ``normalize = Normalizer().fit(X); X, Xt = normalize(X), normalize(Xt)``

    Raises TypeError for another dtype; ValueError for an empty or not two-dimensional array, NaN or
    infinity, values too large for a finite std, or another number of columns than was fitted;
    RuntimeError when it is used before fit.
    """

    mean: np.ndarray | None = None
    std: np.ndarray | None = None

    def fit(self, X: np.ndarray) -> Normalizer:
        """Take mean and std from X; returns self."""
        self._check(X)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
        if not np.isfinite(std).all():
            raise ValueError("Normalizer: expected columns with a finite standard deviation, "
                             f"got values up to {np.abs(X).max()}")
        constant = X.min(axis=0) == X.max(axis=0)  # rounding may give such a column a tiny std
        self.mean = np.where(constant, X[0], mean)
        self.std = np.where(constant | (std == 0), 1.0, std)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(X - mean) / std, computed in float64 and returned in the dtype of X."""
        if self.mean is None or self.std is None:
            raise RuntimeError("Normalizer: expected fit before transform")
        self._check(X)
        if X.shape[1] != len(self.mean):
            raise ValueError(f"Normalizer: expected input of shape (N, {len(self.mean)}), got {X.shape}")
        return ((X - self.mean) / self.std).astype(X.dtype)

    __call__ = transform

    @staticmethod
    def _check(X: np.ndarray) -> None:
        if not isinstance(X, np.ndarray):
            raise TypeError(f"Normalizer: expected a NumPy array, got {type(X).__name__}")
        floating(X.dtype, "Normalizer")
        if X.ndim != 2 or X.size == 0:
            raise ValueError(f"Normalizer: expected a non-empty input of shape (N, features), got {X.shape}")
        if not np.isfinite(X).all():
            raise ValueError("Normalizer: expected finite values, got NaN or infinity")
