"""The batch of a captured step: converted where no information is lost, refused by name elsewhere."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import nn
from ..nn.module import Module
from .conversion import checked_index, plain_array
from .layers import exactly, linears, widths
from .losses import has_kernels, takes_labels


class Batch(NamedTuple):
    """The rows of x and y at ``indices``; None stands for all."""

    x: np.ndarray
    y: np.ndarray
    indices: np.ndarray | None = None

    @property
    def rows(self) -> int:
        return len(self.x if self.indices is None else self.indices)


def taken(batch: Batch, modules: list[Module], criterion: Module) -> Batch:
    """The batch as a program of these modules takes it: images as rows, labels and index in int64.

    Raises TypeError, ValueError or IndexError for what does not fit, in the words of capture.
    """
    for name, array in zip(("x", "y", "index"), batch, strict=True):
        if not isinstance(array, np.ndarray) and not (name == "index" and array is None):
            raise TypeError(f"capture: expected {name} as a NumPy array, got {type(array).__name__}")
        if array is not None and array.ndim == 0:
            raise ValueError(f"capture: expected {name} with an axis of samples, got a single number")
    known = criterion if isinstance(criterion, nn.losses.Loss) and has_kernels(criterion) else None
    batch = Batch(plain_array("capture", "x", batch.x), plain_array("capture", "y", batch.y) if known else batch.y,
                  batch.indices if batch.indices is None else plain_array("capture", "index", batch.indices))
    if len(batch.x) != len(batch.y):
        raise ValueError(f"capture: expected x and y of one length, got {len(batch.x)} and {len(batch.y)}")
    if batch.indices is not None:
        batch = batch._replace(indices=checked_index("capture", batch.indices, len(batch.x)))
    if not batch.rows:
        raise ValueError(f"capture: expected at least one sample, got none (x of shape {batch.x.shape})")
    batch = _as_rows(batch, modules)
    if known:
        batch = batch._replace(y=_checked_target(batch, modules, known))
    return batch


def _as_rows(batch: Batch, modules: list[Module]) -> Batch:
    """x as (N, in), where the model begins with a Flatten."""
    linear = linears(modules)[0]
    x, y, index = batch
    if x.dtype != linear.weight.dtype:
        raise TypeError(f"capture: {linear}: expected input of dtype {linear.weight.dtype}, got {x.dtype}")
    if x.ndim > 2 and flattens(modules):
        if index is not None and not x.flags.c_contiguous:  # copy the batch, not all data
            x, y, index = x[index], y[index], None
        x = x.reshape(len(x), -1)
    if x.ndim != 2 or x.shape[1] != linear.in_features:
        came = (batch.rows, *x.shape[1:])
        raise ValueError(f"capture: {linear}: expected input of shape (N, {linear.in_features}), got {came}")
    return Batch(x, y, index)


def flattens(modules: list[Module]) -> bool:
    """Whether the model begins with a Flatten, which makes rows of images."""
    return exactly(next(module for module in modules if not exactly(module, nn.Identity)), nn.Flatten)


def _checked_target(batch: Batch, modules: list[Module], criterion: nn.losses.Loss) -> np.ndarray:
    """The target, with labels in int64. Errors are the loss's own, raised for an output of zeros."""
    zeros = np.zeros((batch.rows, widths(modules)[1]), batch.x.dtype)
    target = batch.y if batch.indices is None else batch.y[batch.indices]
    try:
        criterion.operation.value(zeros, target, reduction=criterion.reduction)
    except (TypeError, ValueError) as error:
        raise type(error)(f"capture: {error}") from None
    return batch.y.astype(np.int64, copy=False) if takes_labels(criterion, batch.y) else batch.y
