"""DataLoader: the batches of a data set, as scripts iterate over them."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..functional import stack
from .batches import Batches, positive_int
from .datasets import located


def default_collate(samples: list) -> Any:
    """Samples as a batch: Tensors, arrays and numbers along a new first axis; tuples, lists and dicts item by item."""
    first = samples[0]
    if isinstance(first, Tensor):
        return stack(samples)
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor(np.stack(samples))
    if isinstance(first, (bool, int, float)):  # floats are doubles, as in PyTorch
        return Tensor(np.array(samples))
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(default_collate, map(list, zip(*samples, strict=True))))
    if isinstance(first, (tuple, list)):
        return [default_collate(list(column)) for column in zip(*samples, strict=True)]
    if isinstance(first, (str, bytes)):
        return list(samples)
    raise TypeError(f"DataLoader: expected samples of Tensors, arrays, numbers, texts, or tuples, lists and dicts of "
                    f"such, got {type(first).__name__}; give a collate_fn")


class DataLoader:
    """``for x, y in DataLoader(TensorDataset(X, y), batch_size=32, shuffle=True):`` every sample once an epoch.

    dataset : anything with ``len()`` and items by number. Of a TensorDataset the rows of a batch are picked at once.
    batch_size : None for samples one by one. shuffle : a new order each epoch, from ``generator``, a seed or a
        Generator, or None for minidl's own stream.
    sampler, batch_sampler : iterables of indices, or of lists of them, in place of the order.
    collate_fn : makes a batch of a list of samples; by default default_collate.
    num_workers : 0 alone, since data are in memory; pin_memory is taken, and of no effect.
    drop_last : leave out a last batch that is shorter.

    ``fit(model, criterion, optimizer, loader)`` trains on the same batches, faster, where the data set is a
    TensorDataset, or a Subset of one, and samplers and collate_fn are the default ones.

    Raises ValueError for settings that contradict each other, and what Batches raises.
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None, sampler=None,
                 batch_sampler=None, num_workers: int = 0, collate_fn: Callable | None = None, pin_memory: bool = False,
                 drop_last: bool = False, *, generator: int | np.random.Generator | None = None):
        if num_workers != 0:
            raise ValueError(f"DataLoader: expected num_workers=0, since data are in memory, got {num_workers}")
        if (sampler is not None or batch_sampler is not None) and shuffle:
            raise ValueError("DataLoader: expected a sampler or shuffle, got both")
        if batch_sampler is not None and (batch_size != 1 or sampler is not None or drop_last):
            raise ValueError("DataLoader: expected a batch_sampler, or batch_size, sampler and drop_last, got both")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: expected a batch_size with drop_last, got None")
        self.dataset, self.shuffle, self.drop_last, self.pin_memory = dataset, bool(shuffle), drop_last, pin_memory
        self.batch_size = batch_size if batch_size is None else positive_int(batch_size, "DataLoader", "batch_size")
        self.sampler, self.batch_sampler, self.collate_fn = sampler, batch_sampler, collate_fn
        self.num_workers, self.generator = num_workers, generator
        self.batches: Batches | None = None
        if sampler is None and batch_sampler is None:
            self.batches = Batches(len(dataset), self.batch_size or 1, shuffle=self.shuffle, drop_last=drop_last,
                                   generator=generator)

    def __len__(self) -> int:
        if self.batches is not None:
            return len(self.batches)
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        whole, rest = divmod(len(self.sampler), self.batch_size or 1)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        found = located(self.dataset)
        if found is not None and self.batch_size is not None and self.collate_fn is None:
            arrays, rows = found
            for indices in self._indices():
                picked = np.asarray(indices, np.intp)
                yield [Tensor(array[picked if rows is None else rows[picked]]) for array in arrays]
            return
        for indices in self._indices():
            samples = [self.dataset[int(i)] for i in indices]
            if self.batch_size is None:
                yield samples[0] if self.collate_fn is None else self.collate_fn(samples[0])
            else:
                yield (self.collate_fn or default_collate)(samples)

    def _indices(self) -> Iterable:
        """The numbers of the samples of each batch."""
        if self.batches is not None:
            return self.batches
        if self.batch_sampler is not None:
            return iter(self.batch_sampler)
        return self._of_sampler()

    def _of_sampler(self) -> Iterator[list]:
        batch, size = [], self.batch_size or 1
        for index in self.sampler:
            batch.append(index)
            if len(batch) == size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch
