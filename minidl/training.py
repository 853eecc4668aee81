"""fit and evaluate: the training loop, and the measure of what came of it."""
from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from . import random
from .autograd.tape import no_grad
from .autograd.tensor import Tensor
from .callbacks import Callback, Progress
from .capture import capture
from .capture_batch import flattens
from .capture_layers import NotCapturable, leaves
from .conversion import evaluating
from .data.batches import Batches, positive_int
from .history import History
from .intake import check_monitors, check_parts, taken_in, transformed
from .interrupt import Interrupt
from .nn import Module
from .nn.dropout import Dropout
from .optim.optimizer import Optimizer
from .prediction import predict
from .tally import Evaluation, Tally


class Criterion(Module):
    """A loss written on Tensors, function(output, target), under the protocol of the losses."""

    def __init__(self, function: Callable):
        self.function = function

    def forward(self, output: np.ndarray, target: np.ndarray) -> float:
        z = Tensor(output, requires_grad=True)
        loss = self.function(z, Tensor(target))
        if not isinstance(loss, Tensor):
            raise TypeError(f"criterion: expected a function that gives a Tensor, got {type(loss).__name__}")
        self.saved = z, loss
        return loss.item()

    def backward(self, gradient: float = 1.0) -> np.ndarray:
        output, loss = self.require_saved()
        loss.backward(np.full(loss.shape, gradient, loss.dtype))
        return output.grad


def fit(model: Module, criterion, optimizer: Optimizer, data: Sequence, *, validation: Sequence | None = None,
        epochs: int = 1, batch_size: int = 32, seed=None, scheduler=None, callbacks: Sequence[Callback] = (),
        transform: Callable | None = None, progress: bool = True, captured: bool = True) -> History:
    """Train the model: for each epoch, for each shuffled batch, forward, loss, backward, step.

    data, validation : (X, y) or (X1, X2, ..., y) of one length, the last the target: arrays of any numbers,
        nested lists, Tensors without gradient, whatever NumPy makes an array of. Inputs are cast to the
        model's dtype here, once, and nowhere else (integers not, if a model of your own refuses them as
        floats); so are targets that the loss compares with outputs. Labels stay integers.
    criterion : a Loss, a Module, or a function of two Tensors.
    seed : an int or a Generator, of the shuffling and of the Dropout modules that have none of their own;
        the same seed gives the same weights, bit for bit.
    scheduler : stepped after each epoch or iteration, as its ``interval`` says.
    callbacks : see ``minidl.callbacks``. Ctrl-C ends the training between two steps; in a fit that a
        callback runs, both trainings.
    transform : applied to the first input a batch at a time, for images kept as bytes. It sees what was
        given, as an array, and its result is cast.
    progress : a bar on a terminal, plain lines elsewhere; False for silence.
    captured : run the step as one compiled call (see ``capture``), and the validation compiled, where
        the parts allow; a module of your own, several inputs, and False take the plain path. The bits
        are the same.

    The error of an output of one unit is counted at half way between the two values of the training
    targets, 0 and 1 or -1 and 1, for the validation, too; it is None if they are ones alone.

    Returns the History. Raises TypeError or ValueError for data, options or parameters that do not fit
    (empty, of several lengths, NaN or infinite, masked), RuntimeError for a Tensor that requires a gradient,
    and FloatingPointError with the epoch and the step when the loss stops being finite: the weights are then
    those before that step.
    """
    criterion = _criterion("fit", criterion)
    check_parts(model, optimizer, scheduler, callbacks)
    positive_int(epochs, "fit", "epochs")
    positive_int(batch_size, "fit", "batch_size")
    if validation is None:
        check_monitors(scheduler, callbacks)
    arrays = taken_in("fit: data", data, model, criterion, transform)
    tally = Tally("fit: data", arrays[-1])
    held_out = held_out_tally = None
    if validation is not None:
        held_out = taken_in("fit: validation", validation, model, criterion, transform)
        held_out_tally = Tally("fit: validation", held_out[-1], tally.coding, classes=tally.truth is not None)
    if transform is not None:
        transform = transformed(transform, model, alone=len(arrays) == 2)
    vars(model)["_coding"] = tally.coding  # what evaluate takes a target of ones alone for
    generator = random.generator(seed)
    batches = Batches(len(arrays[0]), batch_size, generator=generator)
    watchers = [*callbacks, *([Progress()] if progress else [])]
    step = _step(captured, model, criterion, optimizer, arrays, transform, tally)
    history, begin = History(), time.perf_counter()
    lent = _lend_generator(model, generator)
    try:
        with Interrupt() as interrupt:
            for watcher in watchers:
                watcher.on_train_begin(model, optimizer, epochs)
            for epoch in range(1, epochs + 1):
                tally.clear()
                logs = _train_epoch(model, optimizer, batches, step, tally, scheduler, history, epoch, interrupt)
                if interrupt.asked:
                    break
                logs |= _validated(model, criterion, held_out, held_out_tally, batch_size, transform, captured)
                if scheduler is not None and scheduler.interval == "epoch":
                    scheduler.step(*(() if scheduler.metric is None else (logs[scheduler.metric],)))
                logs["seconds"] = time.perf_counter() - begin
                history.append(logs)
                answers = [watcher.on_epoch_end(epoch, dict(logs)) for watcher in watchers]
                reasons = [str(answer) for answer in answers if answer]
                history.stopped = reasons[0] if reasons else ""
                if reasons or interrupt.asked:
                    break
            for watcher in watchers:
                watcher.on_train_end()
        if interrupt.asked:  # after the block, so that Ctrl-C in on_train_end counts, too
            history.stopped = "interrupted"
    finally:
        for module in lent:
            module.generator = None
    return history


def _batch(arrays, index, transform) -> tuple[list[np.ndarray], np.ndarray]:
    """(inputs, target) of the rows that index picks."""
    *inputs, target = [array[index] for array in arrays]
    if transform is not None:
        inputs[0] = transform(inputs[0])
    return inputs, target


def _plain_step(model, criterion, optimizer, arrays, transform, tally: Tally) -> Callable:
    """index -> (loss, wrong): one step, written with the modules. Nothing is updated if the loss is not finite."""
    def step(index):
        inputs, target = _batch(arrays, index, transform)
        output = model(*inputs)
        loss = float(criterion(output, target))
        if math.isfinite(loss):
            optimizer.zero_grad()
            model.accumulate(criterion.backward())
            optimizer.step()
        return loss, tally.count_wrong(output, index)
    return step


def _captured_step(model, criterion, optimizer, arrays, transform, tally: Tally) -> Callable:
    """The same step as one compiled call. NotCapturable for what it cannot take."""
    if len(arrays) != 2 or arrays[1].ndim > 2 or (arrays[1].ndim == 2 and arrays[1].dtype.kind in "iub"):
        raise NotCapturable("capture: expected one input, and as target labels or rows")
    captured = capture(model, criterion, optimizer)
    x, y = arrays
    if x.ndim > 2 and x.flags.c_contiguous and transform is None and flattens(leaves(model)):
        x = x.reshape(len(x), -1)  # here once, rather than at each step
    if y.ndim == 1 and y.dtype.kind in "iu" and y.max() < 2**63:  # larger ones are refused by their number
        y = y.astype(np.int64, copy=False)

    def step(index):
        loss = captured.run(x, y, index) if transform is None else captured.run(transform(x[index]), y[index])
        wrong = captured.wrong
        return loss, tally.count_wrong(captured.output[:len(index)], index) if wrong is None else wrong
    return step


def _step(captured: bool, *parts) -> Callable:
    if captured:
        with contextlib.suppress(NotCapturable):  # a user's own module or loss: the plain path
            return _captured_step(*parts)
    return _plain_step(*parts)


@np.errstate(over="ignore", invalid="ignore")  # whether training diverged is judged by the loss
def _train_epoch(model, optimizer, batches, step, tally: Tally, scheduler, history, epoch, interrupt) -> dict:
    """One pass over the data; the logs of the epoch so far."""
    model.train()
    for number, index in enumerate(batches, 1):
        lr = optimizer.lr
        loss, wrong = step(index)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"fit: the loss became {loss} at epoch {epoch}, step {number} (learning rate {lr:g}); "
                "the weights are those before this step")
        history.iteration_loss.append(loss)
        history.iteration_lr.append(lr)
        tally.add(loss, wrong, len(index))
        if scheduler is not None and scheduler.interval == "iteration":
            scheduler.step()
        if interrupt.asked:
            break
    loss, error = tally.mean()
    return {"loss": loss, "error": error, "lr": lr}


def evaluate(model: Module, criterion, data: Sequence, *, batch_size: int = 1024,
             transform: Callable | None = None, coding: tuple[int, int] | None = None) -> Evaluation:
    """(loss, error) of the model, in evaluation mode, on (X, y); the mode is put back.

    The loss is the mean of the batches' losses, weighted by their sizes. Arguments and errors as in fit.

    coding : for an output of one unit, the two values of the target, (0, 1) or (-1, 1); the error is counted
        at half way between them. By default those that the target shows. Ones alone are in both: they are
        taken for what fit last trained this model object on, and else ValueError asks for ``coding``. So it
        does for a target that shows another coding.
    """
    if not isinstance(model, Module):
        raise TypeError(f"evaluate: expected a Module as the model, got {type(model).__name__}")
    positive_int(batch_size, "evaluate", "batch_size")
    criterion = _criterion("evaluate", criterion)
    arrays = taken_in("evaluate: data", data, model, criterion, transform)
    tally = Tally("evaluate", arrays[-1], coding, asks=True)
    tally.coding = tally.coding or vars(model).get("_coding")
    if transform is not None:
        transform = transformed(transform, model, alone=len(arrays) == 2)
    return _evaluated(model, criterion, arrays, tally, batch_size, transform, captured=True)


@no_grad()
@np.errstate(over="ignore", invalid="ignore")
def _evaluated(model, criterion, arrays, tally: Tally, batch_size, transform, captured: bool) -> Evaluation:
    forward = partial(predict, model) if captured and len(arrays) == 2 else model
    tally.clear()
    with evaluating(model):
        for index in Batches(len(arrays[0]), batch_size, shuffle=False):
            inputs, target = _batch(arrays, index, transform)
            output = forward(*inputs)
            tally.add(float(criterion(output, target)), tally.count_wrong(output, index), len(index))
    return tally.mean()


def _validated(model, criterion, arrays, tally, batch_size, transform, captured: bool) -> dict:
    if arrays is None:
        return {"validation_loss": None, "validation_error": None}
    loss, error = _evaluated(model, criterion, arrays, tally, max(batch_size, 1024), transform, captured)
    return {"validation_loss": loss, "validation_error": error}


def _criterion(who: str, criterion) -> Module:
    if getattr(criterion, "reduction", None) == "none":
        raise ValueError(f"{who}: expected a criterion that reduces to one number, got {criterion}")
    if isinstance(criterion, Module) and criterion.explicit:
        return criterion
    if callable(criterion) and not isinstance(criterion, type):
        return Criterion(criterion)
    came = f"the class {criterion.__name__}" if isinstance(criterion, type) else type(criterion).__name__
    raise TypeError(f"{who}: expected a loss module or a function of output and target as criterion, got {came}")


def _lend_generator(model: Module, generator) -> list[Dropout]:
    """Give it to every Dropout that has none; the modules that got it."""
    dropouts = [module for module in model.modules() if isinstance(module, Dropout)]
    without = [module for module in dropouts if module.generator is None]
    for module in without:
        module.generator = generator
    return without
