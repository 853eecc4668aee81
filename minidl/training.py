"""fit and evaluate: the training loop, and the measure of what came of it."""
from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from . import metrics, random
from .callbacks import Callback, Progress
from .data.batches import Batches, positive_int
from .history import History
from .nn import Module
from .nn.dropout import Dropout
from .optim.optimizer import Optimizer
from .tape import no_grad
from .tensor import Tensor


class Evaluation(NamedTuple):
    """Loss, and misclassified samples in percent (None where the targets are no classes)."""

    loss: float
    error: float | None


class Tally:
    """Losses and misclassified samples, summed over the batches of a data set with these targets."""

    def __init__(self, target: np.ndarray):
        # What a target means shows in all of them together: a batch of ones could be of 0/1 or of -1/1.
        self.truth, self.threshold = metrics.classes(target), metrics.halfway(target)
        self.samples, self.loss, self.wrong = 0, 0.0, 0

    def add(self, loss: float, output: np.ndarray, index: np.ndarray) -> None:
        """The batch of these indices has been seen."""
        self.samples, self.loss = self.samples + len(index), self.loss + loss * len(index)
        if self.truth is not None:
            named = metrics.predicted(output, self.threshold)
            self.wrong += int(np.count_nonzero(named != self.truth[index]))

    def mean(self) -> Evaluation:
        error = None if self.truth is None else 100 * self.wrong / self.samples
        return Evaluation(self.loss / self.samples, error)


class Criterion(Module):
    """A loss written on Tensors, function(output, target), under the protocol of the losses."""

    def __init__(self, function: Callable):
        self.function = function

    def forward(self, output: np.ndarray, target: np.ndarray) -> float:
        z = Tensor(output, requires_grad=True)
        loss = self.function(z, Tensor(target))
        if not isinstance(loss, Tensor):
            raise TypeError(f"fit: expected the criterion to give a Tensor, got {type(loss).__name__}")
        self.saved = z, loss
        return loss.item()

    def backward(self, gradient: float = 1.0) -> np.ndarray:
        output, loss = self.require_saved()
        loss.backward(np.full(loss.shape, gradient, loss.dtype))
        return output.grad


class Interrupt:
    """Within ``with Interrupt() as interrupt:`` Ctrl-C sets ``interrupt.asked``; a second one raises.

    Signals reach the main thread alone: elsewhere it does nothing.
    """

    asked = False

    def __enter__(self) -> Interrupt:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)


def fit(model: Module, criterion, optimizer: Optimizer, data: Sequence, *, validation: Sequence | None = None,
        epochs: int = 1, batch_size: int = 32, seed=None, scheduler=None, callbacks: Sequence[Callback] = (),
        transform: Callable | None = None, progress: bool = True) -> History:
    """Train the model: for each epoch, for each shuffled batch, forward, loss, backward, step.

    data, validation : (X, y) or (X1, X2, ..., y), NumPy arrays of one length; the last is the target.
        Floats are cast to the model's dtype here, once, and nowhere else.
    criterion : a Loss, a Module, or a function of two Tensors.
    seed : an int or a Generator, of the shuffling and of the Dropout modules that have none of their own;
        the same seed gives the same weights, bit for bit.
    scheduler : stepped after each epoch or iteration, as its ``interval`` says.
    callbacks : see ``minidl.callbacks``. Ctrl-C ends the training between two steps.
    transform : applied to the first input a batch at a time, for images kept as bytes.
    progress : a bar on a terminal, plain lines elsewhere; False for silence.

    Returns the History. Raises TypeError or ValueError for data, options or parameters that do not fit
    (empty, of several lengths, NaN or infinite), and FloatingPointError with the epoch and the step when
    the loss stops being finite: the weights are then those before that step.
    """
    criterion = _criterion(criterion)
    _check_parts(model, optimizer, scheduler, callbacks)
    positive_int(epochs, "fit", "epochs")
    positive_int(batch_size, "fit", "batch_size")
    if validation is None:
        _check_monitors(scheduler, callbacks)
    dtype = _dtype(model)
    arrays = _taken_in("fit: data", data, dtype)
    held_out = None if validation is None else _taken_in("fit: validation", validation, dtype)
    generator = random.generator(seed)
    batches = Batches(len(arrays[0]), batch_size, generator=generator)
    watchers = [*callbacks, *([Progress()] if progress else [])]
    history, begin = History(), time.perf_counter()
    lent = _lend_generator(model, generator)
    try:
        with Interrupt() as interrupt:
            for watcher in watchers:
                watcher.on_train_begin(model, optimizer, epochs)
            for epoch in range(1, epochs + 1):
                logs = _train_epoch(model, criterion, optimizer, arrays, batches, scheduler, transform,
                                    history, epoch, interrupt)
                if interrupt.asked:
                    break
                logs |= _validated(model, criterion, held_out, batch_size, transform)
                if scheduler is not None and scheduler.interval == "epoch":
                    scheduler.step(*(() if scheduler.metric is None else (logs[scheduler.metric],)))
                logs["seconds"] = time.perf_counter() - begin
                history.append(logs)
                answers = [watcher.on_epoch_end(epoch, dict(logs)) for watcher in watchers]
                reasons = [str(answer) for answer in answers if answer]
                history.stopped = reasons[0] if reasons else ""
                if reasons or interrupt.asked:
                    break
            if interrupt.asked:
                history.stopped = "interrupted"
            for watcher in watchers:
                watcher.on_train_end()
    finally:
        for module in lent:
            module.generator = None
    return history


@np.errstate(over="ignore", invalid="ignore")  # whether training diverged is judged by the loss
def _train_epoch(model, criterion, optimizer, arrays, batches, scheduler, transform,
                 history, epoch, interrupt) -> dict:
    """One pass over the data; the logs of the epoch so far."""
    model.train()
    tally = Tally(arrays[-1])
    for step, index in enumerate(batches, 1):
        *inputs, target = [array[index] for array in arrays]
        if transform is not None:
            inputs[0] = transform(inputs[0])
        output = model(*inputs)
        loss = float(criterion(output, target))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"fit: the loss became {loss} at epoch {epoch}, step {step} (learning rate "
                f"{optimizer.lr:g}); the weights are those before this step")
        optimizer.zero_grad()
        model.accumulate(criterion.backward())
        optimizer.step()
        history.iteration_loss.append(loss)
        history.iteration_lr.append(optimizer.lr)
        tally.add(loss, output, index)
        lr = optimizer.lr
        if scheduler is not None and scheduler.interval == "iteration":
            scheduler.step()
        if interrupt.asked:
            break
    loss, error = tally.mean()
    return {"loss": loss, "error": error, "lr": lr}


def evaluate(model: Module, criterion, data: Sequence, *, batch_size: int = 1024,
             transform: Callable | None = None) -> Evaluation:
    """(loss, error) of the model, in evaluation mode, on (X, y); the mode is put back.

    The loss is the mean of the batches' losses, weighted by their sizes. Arguments and errors as in fit.
    """
    if not isinstance(model, Module):
        raise TypeError(f"evaluate: expected a Module as the model, got {type(model).__name__}")
    positive_int(batch_size, "evaluate", "batch_size")
    return _evaluated(model, _criterion(criterion), _taken_in("evaluate: data", data, _dtype(model)),
                      batch_size, transform)


@no_grad()
@np.errstate(over="ignore", invalid="ignore")
def _evaluated(model, criterion, arrays, batch_size, transform) -> Evaluation:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    tally = Tally(arrays[-1])
    try:
        for index in Batches(len(arrays[0]), batch_size, shuffle=False):
            *inputs, target = [array[index] for array in arrays]
            if transform is not None:
                inputs[0] = transform(inputs[0])
            output = model(*inputs)
            tally.add(float(criterion(output, target)), output, index)
    finally:
        for module, mode in modes:
            module.training = mode
    return tally.mean()


def _validated(model, criterion, arrays, batch_size, transform) -> dict:
    if arrays is None:
        return {"validation_loss": None, "validation_error": None}
    loss, error = _evaluated(model, criterion, arrays, max(batch_size, 1024), transform)
    return {"validation_loss": loss, "validation_error": error}


def _criterion(criterion) -> Module:
    if getattr(criterion, "reduction", None) == "none":
        raise ValueError(f"fit: expected a criterion that reduces to one number, got {criterion}")
    if isinstance(criterion, Module) and criterion.explicit:
        return criterion
    if callable(criterion):
        return Criterion(criterion)
    came = type(criterion).__name__
    raise TypeError(f"expected a loss module or a function of output and target as criterion, got {came}")


def _check_parts(model, optimizer, scheduler, callbacks) -> None:
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


def _check_monitors(scheduler, callbacks) -> None:
    """That nothing waits for a column that a run without validation data does not have."""
    wanted = [(callback, callback.monitor) for callback in callbacks]
    if scheduler is not None:
        wanted.append((scheduler, scheduler.metric))
    for who, column in wanted:
        if column is not None and column.startswith("validation"):
            raise ValueError(
                f"fit: {type(who).__name__} needs {column!r}: expected validation data, got None")


def _dtype(model: Module) -> np.dtype:
    return next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))


def _taken_in(name: str, data, dtype) -> list[np.ndarray]:
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
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: {label} holds NaN or infinity, as {dtype}")
        elif array.dtype.kind not in "iub":
            raise TypeError(f"{name}: expected {label} of numbers, got dtype {array.dtype}")
        arrays.append(array)
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(f"{name}: expected arrays of one length, got {[len(array) for array in arrays]}")
    return arrays


def _lend_generator(model: Module, generator) -> list[Dropout]:
    """Give it to every Dropout that has none; the modules that got it."""
    dropouts = [module for module in model.modules() if isinstance(module, Dropout)]
    without = [module for module in dropouts if module.generator is None]
    for module in without:
        module.generator = generator
    return without
