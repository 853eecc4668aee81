"""What fit and evaluate take in: the data and the parts of a run, checked before anything begins."""
from __future__ import annotations

import numpy as np

from .callbacks import Callback
from .nn import Module
from .optim.optimizer import Optimizer


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
    """That nothing waits for a column that a run without validation data does not have."""
    wanted = [(callback, callback.monitor) for callback in callbacks]
    if scheduler is not None:
        wanted.append((scheduler, scheduler.metric))
    for who, column in wanted:
        if column is not None and column.startswith("validation"):
            raise ValueError(
                f"fit: {type(who).__name__} needs {column!r}: expected validation data, got None")


def dtype_of(model: Module) -> np.dtype:
    return next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))


def taken_in(name: str, data, dtype) -> list[np.ndarray]:
    """The arrays of (X, ..., y), checked, floats in the model's dtype."""
    if not isinstance(data, (tuple, list)) or len(data) < 2:
        came = f"{len(data)} arrays" if isinstance(data, (tuple, list)) else type(data).__name__
        raise TypeError(f"{name}: expected a tuple (X, y), got {came}")
    arrays = []
    for i, array in enumerate(data):
        label = "y" if i == len(data) - 1 else "X" if len(data) == 2 else f"X{i + 1}"
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected {label} as a NumPy array, got {type(array).__name__}")
        if array.ndim == 0 or not array.size:
            raise ValueError(f"{name}: expected {label} with at least one sample, got shape {array.shape}")
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(dtype, copy=False)
            # The extremes of an array with a NaN are NaN; and no mask as long as the data is made.
            if not (np.isfinite(array.min()) and np.isfinite(array.max())):
                raise ValueError(f"{name}: {label} holds NaN or infinity, as {dtype}")
        elif array.dtype.kind not in "iub":
            raise TypeError(f"{name}: expected {label} of numbers, got dtype {array.dtype}")
        arrays.append(array)
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(f"{name}: expected arrays of one length, got {[len(array) for array in arrays]}")
    return arrays
