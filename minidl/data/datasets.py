"""Data sets in memory, with PyTorch's names: samples by their numbers."""
from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..autograd.tensor import Tensor


class Dataset:
    """The base of data sets: a subclass gives ``__len__`` and ``__getitem__(index)``, a sample."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __getitem__")


class TensorDataset(Dataset):
    """Samples that are the rows of Tensors, or of arrays, of one length: ``dataset[i]`` is a tuple of rows.

    ``fit`` and ``evaluate`` take it in place of the tuple of its arrays. Raises ValueError for none, or for several
    lengths, TypeError for what is no Tensor and no array.
    """

    def __init__(self, *tensors):
        for tensor in tensors:
            if not isinstance(tensor, (Tensor, np.ndarray)):
                raise TypeError(f"TensorDataset: expected Tensors or arrays, got {type(tensor).__name__}")
        shapes = [tensor.shape for tensor in tensors]
        if not tensors or not all(shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"TensorDataset: expected Tensors of one length, got shapes {shapes}")
        self.tensors = tuple(x if isinstance(x, Tensor) else Tensor(x) for x in tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)


class Subset(Dataset):
    """Those samples of a data set whose numbers are given, in their order."""

    def __init__(self, dataset: Any, indices: Sequence[int]):
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index) -> Any:
        if isinstance(index, (list, np.ndarray)):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]


def random_split(dataset: Any, lengths: Sequence[float],
                 generator: int | np.random.Generator | None = None) -> list[Subset]:
    """Random disjoint Subsets of these lengths: numbers of samples that sum to all of them, or fractions that sum to 1.

    Of samples that are left over when fractions are cut, the first parts get one each. ``generator`` : a seed or a
    Generator; by default minidl's own stream. Raises ValueError for other sums and for negative lengths.
    """
    count = len(dataset)
    parts = list(lengths)
    if any(length < 0 for length in parts):
        raise ValueError(f"random_split: expected lengths >= 0, got {parts}")
    if any(length != int(length) for length in parts) or (sum(parts) == 1 and count != 1):
        if not math.isclose(sum(parts), 1):
            raise ValueError(f"random_split: expected fractions that sum to 1, got {parts}")
        parts = [math.floor(count * length) for length in parts]
        for i in range(int(count - sum(parts))):
            parts[i % len(parts)] += 1
    if sum(parts) != count:
        raise ValueError(f"random_split: expected lengths that sum to {count}, got {parts}")
    order = random.generator(generator).permutation(count).tolist()
    ends = list(itertools.accumulate(map(int, parts), initial=0))
    return [Subset(dataset, order[a:b]) for a, b in itertools.pairwise(ends)]


def located(dataset: Any) -> tuple[list[np.ndarray], np.ndarray | None] | None:
    """The arrays whose rows are the samples, and the numbers of these rows (None: all); None for any other data set."""
    if type(dataset) is TensorDataset:
        return [tensor._data for tensor in dataset.tensors], None
    if type(dataset) is Subset and (below := located(dataset.dataset)) is not None:
        arrays, rows = below
        indices = np.asarray(dataset.indices, np.intp)
        return arrays, indices if rows is None else rows[indices]
    return None
