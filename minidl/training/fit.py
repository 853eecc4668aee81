"""fit: the training loop."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .callbacks import Callback
from .history import History
from .trainer import Trainer


def fit(model: Module, criterion, optimizer: Optimizer, data: Sequence, *, validation: Sequence | None = None,
        epochs: int = 1, batch_size: int = 32, seed=None, scheduler=None, callbacks: Sequence[Callback] = (),
        transform: Callable | None = None, augment: Callable | None = None, progress: bool = True,
        captured: bool = True, sample_weight=None, resume: str | os.PathLike | None = None) -> History:
    """Train the model: for each epoch, for each shuffled batch, forward, loss, backward, step.

    data, validation : (X, y) or (X1, X2, ..., y) of one length, the last the target: arrays of any numbers,
        nested lists, Tensors without gradient, all that NumPy makes an array of. Inputs are cast once to the
        model's dtype (integers are not, if a model of your own does not take floats); so are targets that the
        loss compares with outputs. Labels stay integers. Or a TensorDataset of
        these, a Subset of one, or a DataLoader of such, whose batch_size, shuffle, drop_last and generator count.
    criterion : a Loss, a Module, or a function of two Tensors.
    seed : an int or a Generator, for the shuffling, and for Dropout modules and an augmentation without a generator
        of their own; the same seed gives the same weights, bit for bit.
    scheduler : stepped after each epoch or iteration, as its ``interval`` says.
    callbacks : see ``minidl.training.callbacks``. Ctrl-C ends the training between two steps; in a fit that a
        callback runs, both trainings.
    transform : applied to the first input a batch at a time, for images kept as bytes. It takes the
        data as an array without a cast, and its result is cast.
    augment : applied to the first input of each training batch, in the model's dtype, after ``transform``, and never
        to validation data: minidl.data.RandomAffine, RandomCrop, or a function of your own on arrays.
    progress : a bar on a terminal, plain lines elsewhere; False for silence.
    captured : run the step, and the validation, compiled (see ``capture``); False runs them as plain Python. The
        bits are the same. ``history.path`` says how the steps ran: a step that cannot be compiled runs plain.
    resume : a file of ``callbacks.ModelCheckpoint``: the training goes on behind its epoch, and ends with the bits
        of one that was never stopped. Give the same arguments as then, in a new process, too; ``epochs``, which are
        counted from the first start, may be more. Weights, buffers, which parameters are trained, the state of the
        optimizer, the scheduler and the callbacks, the history, and the generators that the modules, the
        augmentation, the loader and minidl itself hold are those of the file; generators elsewhere are yours to keep.

    sample_weight : a number >= 0 for each sample of the data, by which its loss is multiplied. A mean is then
        Σ w l / Σ w over the batch, so that a weight of 2 is that of a sample which occurs twice (scikit-learn's
        meaning; Keras divides by the number of samples). history.loss is weighted alike; errors, and the
        validation, are not. It takes a loss with a reduction, or a function of output, target and weight.

    The error of an output of one unit is counted at half way between the two values of the training
    targets, 0 and 1 or -1 and 1, for the validation, too; it is None if they are ones alone.

    Returns the History. Raises TypeError or ValueError for data, options or parameters that do not fit
    (empty, of several lengths, NaN or infinite, masked), RuntimeError for a Tensor that requires a gradient,
    and FloatingPointError with the epoch and the step when the loss stops being finite: the weights are then
    those before that step. FileNotFoundError or ValueError for a file to resume that is not there, damaged, or of
    another training: nothing has changed then.
    """
    trainer = Trainer(model, criterion, optimizer, data, validation, epochs, batch_size, seed, scheduler, callbacks,
                      transform, augment, progress, captured, sample_weight)
    return trained(trainer, resume)


def trained(trainer: Trainer, resume: str | os.PathLike | None = None) -> History:
    """Train to the end."""
    for _ in epochs_of(trainer, resume):
        pass
    return trainer.history


def epochs_of(trainer: Trainer, resume: str | os.PathLike | None = None) -> Iterator[int]:
    """Train an epoch each time that the next one is asked for, with what is to be done before the first and after the
    last.

    Between two epochs the training may be ended by a reason in ``history.stopped``.
    """
    with trainer.running(resume):
        yield from loop(trainer)


def loop(trainer: Trainer) -> Iterator[int]:
    """The loop over epochs and batches."""
    for epoch in trainer.remaining():
        trainer.begin_epoch(epoch)
        with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite is an error below
            for rows in trainer.single_batches():  # others are trained many in a call: see stretches.py
                trainer.step(rows)  # forward, loss, backward, update: see steps.py
        if trainer.end_epoch():  # validation, schedule, history, callbacks; True to stop
            break
        yield epoch
        if trainer.history.stopped or trainer.interrupt.requested:
            break
