"""The arguments of fit and evaluate: the data and the parts of a run, checked before training begins."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiled.batch import flattens
from ..compiled.conversion import array_of, as_floats, dtype_of, inputs_of
from ..compiled.layers import NotCapturable, leaves, widths
from ..data.batches import Batches
from ..data.datasets import Dataset, located
from ..data.loader import DataLoader
from ..functional import cross_entropy, mse_loss, nll_loss
from ..nn import Module
from ..optim.optimizer import Optimizer
from .callbacks import Callback


def check_parts(model, optimizer, scheduler, callbacks) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"fit: expected a Module as the model, got {type(model).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: expected an Optimizer, got {type(optimizer).__name__}")
    own = {id(parameter) for parameter in model.parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in own:
                raise ValueError(f"fit: the optimizer holds {parameter!r}, which is not the model's")
    if scheduler is not None and getattr(scheduler, "optimizer", None) is not optimizer:
        raise ValueError("fit: expected a scheduler of this optimizer, got another's")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"fit: expected callbacks to be Callbacks, got {type(callback).__name__}")


def check_monitors(scheduler, callbacks) -> None:
    """Raise if something needs a column that a run without validation data does not have."""
    wanted = [(callback, callback.monitor) for callback in callbacks]
    if scheduler is not None:
        wanted.append((scheduler, scheduler.metric))
    for who, column in wanted:
        if column is not None and column.startswith("validation"):
            raise ValueError(
                f"fit: {type(who).__name__} needs {column!r}: expected validation data, got None")


def arrays_of(who: str, data, model: Module, criterion: Module,
              transform: Callable | None = None) -> list[np.ndarray]:
    """The arrays of (X, ..., y), checked and cast, once.

    Inputs in the model's dtype (see ``inputs_of``), the first one without a cast where a transform takes it;
    the target as the loss takes it.
    """
    data = _unpacked(who, data)
    if not isinstance(data, (tuple, list)) or len(data) < 2:
        came = f"{len(data)} arrays" if isinstance(data, (tuple, list)) else type(data).__name__
        raise TypeError(f"{who}: expected a tuple (X, y), got {came}")
    labels = ["X"] if len(data) == 2 else [f"X{i + 1}" for i in range(len(data) - 1)]
    given = [array_of(who, label, array) for label, array in zip([*labels, "y"], data, strict=True)]
    for label, array in zip([*labels, "y"], given, strict=True):
        if array.ndim == 0 or not array.size:
            raise ValueError(f"{who}: expected {label} with at least one sample, got shape {array.shape}")
    if len({len(array) for array in given}) > 1:
        raise ValueError(f"{who}: expected arrays of one length, got {[len(array) for array in given]}")
    dtype, first = dtype_of(model), 0 if transform is None else 1
    taken = given[:first] + [as_floats(x, dtype) if x.dtype.kind == "f" else x for x in given[first:]]
    for label, array in zip([*labels, "y"], taken, strict=True):
        # The extremes of an array with a NaN are NaN; a mask of all elements would take memory.
        if array.dtype.kind == "f" and not (np.isfinite(array.min()) and np.isfinite(array.max())):
            raise ValueError(f"{who}: {label} holds NaN or infinity, as {array.dtype}")
    *inputs, target = taken
    if transform is None:
        inputs = inputs_of(model, inputs)
    else:
        inputs[1:] = [as_floats(x, dtype) for x in inputs[1:]]
    return [*inputs, _target_of(model, criterion, target, rows=transform is not None or inputs[0].ndim == 2)]


def _unpacked(who: str, data):
    """The arrays of a TensorDataset, a Subset of one, or a loader of such; what else is given, as it is."""
    dataset = data.dataset if isinstance(data, DataLoader) else data
    if not isinstance(dataset, Dataset) and not isinstance(data, DataLoader):
        return data
    found = located(dataset)
    if found is None or (isinstance(data, DataLoader) and (data.batches is None or data.collate_fn is not None)):
        raise TypeError(f"{who}: expected arrays, a TensorDataset or a Subset of one, or their DataLoader without "
                        f"sampler and collate_fn, got {type(data).__name__} of {type(dataset).__name__}; a loop over "
                        "the loader trains on any")
    arrays, rows = found
    return arrays if rows is None else [array[rows] for array in arrays]


def batches_of(data, count: int, batch_size: int, generator) -> Batches:
    """The batches of an epoch: a loader's own, or shuffled ones of this size."""
    if not isinstance(data, DataLoader):
        return Batches(count, batch_size, generator=generator)
    return Batches(count, data.batch_size or 1, shuffle=data.shuffle, drop_last=data.drop_last,
                   generator=generator if data.generator is None else data.generator)


def gathered(arrays, rows: np.ndarray, transform: Callable | None,
             weight: np.ndarray | None = None) -> tuple[list[np.ndarray], Any]:
    """(inputs, target) of these rows; with weights the target is a pair, (target, weight)."""
    *inputs, target = [array[rows] for array in arrays]
    if weight is not None:
        target = target, weight[rows]
    if transform is not None:
        inputs[0] = transform(inputs[0])
    return inputs, target


def _target_of(model: Module, criterion: Module, target: np.ndarray, rows: bool) -> np.ndarray:
    """Integers and booleans as the loss takes them: labels as integers, values and rows in the model's dtype."""
    operation = getattr(criterion, "operation", getattr(criterion, "function", None))
    if target.dtype.kind == "f" or operation not in (mse_loss, cross_entropy, nll_loss):
        return target
    if operation is mse_loss or (operation is cross_entropy and _is_a_row_each(model, target, rows)):
        return as_floats(target, dtype_of(model))
    return target.astype(np.int64) if target.dtype.kind == "b" else target


def _is_a_row_each(model: Module, target: np.ndarray, rows: bool) -> bool:
    """Whether the target has the columns of the model's outputs, rather than a label at each of their places."""
    try:
        modules = leaves(model)
    except NotCapturable:
        return False  # a model of the user, whose outputs may be (N, C, d1)
    return target.ndim == 2 and target.shape[1] == widths(modules)[1] and (rows or flattens(modules))


def transformed(name: str, transform: Callable, model: Module, alone: bool) -> Callable:
    """The transform, its result as the model takes it; ``alone`` if that is its only input."""
    if not callable(transform):
        raise TypeError(f"{name}: expected a function of the arrays of a batch, got {type(transform).__name__}")
    dtype = dtype_of(model)

    def call(batch: np.ndarray) -> np.ndarray:
        x = transform(batch)
        if type(x) is np.ndarray and x.dtype == dtype:
            return x
        x = array_of(name, "as the result", x)
        return inputs_of(model, [x])[0] if alone else as_floats(x, dtype)

    return call


def augmented(transform: Callable | None, augment: Callable) -> Callable:
    """``augment`` after ``transform``, if there is one."""
    return augment if transform is None else lambda batch: augment(transform(batch))
