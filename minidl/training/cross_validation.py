"""cross_val_score: a network trained once for each fold that is held out, side by side by fit_many."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from .. import random
from ..autograd.tape import no_grad
from ..compiled.conversion import evaluating, inputs_of
from ..compiled.prediction import outputs
from ..data.folds import folds, training_rows
from ..metrics import classes, coding, error_rate, one_unit
from ..nn.module import Module
from .many import LARGEST_SEED, fit_many


def cross_val_score(model: Module | Callable[[], Module], criterion, optimizer: Callable, data: Sequence, *,
                    cv: int | Iterable = 5, scoring: Callable | None = None, epochs: int = 1, batch_size: int = 32,
                    seed=None, scheduler: Callable | None = None, progress: bool = True,
                    n_threads: int | None = None) -> np.ndarray:
    """(folds,): the score of the samples that were held out, for each fold; as scikit-learn's function of this name.

    Each fold trains a network on the other samples, from the same initial weights if ``model`` is a Module, from new
    ones if it is a function without arguments that makes one. The Module itself is not trained.

    criterion, epochs, batch_size, progress, n_threads : as in ``fit_many``.
    optimizer : a function of a list of parameters. scheduler : a function of an optimizer, or None.
    data : (X, y) or (X1, X2, ..., y), arrays of one length.
    cv : the number of folds, shuffled, with as many samples of each class as can be; or pairs (rows to train on, rows
        to hold out).
    scoring : a function of (output, target) of the held-out samples. By default the accuracy, from 0 to 1, where the
        targets are classes; else R² = 1 - Σ (y - ŷ)² / Σ (y - mean of y)² over all outputs, NaN for equal targets.
    seed : of the folds and of the shuffling. None draws from minidl's own stream.

    Raises TypeError or ValueError as fit_many and ``minidl.data.folds``, FloatingPointError with the number of the fold
    (from 0) where a loss stops being finite, KeyboardInterrupt after Ctrl-C.
    """
    for name, given, what in (("model", model, "a Module, or a function that makes one"),
                              ("optimizer", optimizer, "a function of a list of parameters"),
                              ("scheduler", scheduler, "a function of an optimizer, or None")):
        if not (callable(given) or (name == "scheduler" and given is None)):
            raise TypeError(f"cross_val_score: expected {name} as {what}, got {type(given).__name__}")
    if not isinstance(data, (tuple, list)) or len(data) < 2:
        raise TypeError(f"cross_val_score: expected data as (X, y), got {type(data).__name__}")
    arrays = [np.asarray(array) for array in data]
    if len({array.shape[:1] for array in arrays}) > 1:
        raise ValueError("cross_val_score: expected arrays of one length, got "
                         f"shapes {', '.join(str(array.shape) for array in arrays)}")
    generator = random.generator(seed)
    pairs = _pairs(cv, arrays[-1], generator)
    seeds = [int(number) for number in generator.integers(LARGEST_SEED, size=len(pairs))]
    models = [copy.deepcopy(model) if isinstance(model, Module) else model() for _ in pairs]
    for one in models:
        if not isinstance(one, Module):
            raise TypeError(f"cross_val_score: expected model() to make a Module, got {type(one).__name__}")
    optimizers = [optimizer(one.parameters()) for one in models]
    histories = fit_many(
        models, criterion, optimizers, [tuple([array[rows] for array in arrays]) for rows, _ in pairs], epochs=epochs,
        batch_size=batch_size, seed=seeds, progress=progress, n_threads=n_threads,
        schedulers=None if scheduler is None else [scheduler(one) for one in optimizers])
    for number, history in enumerate(histories):
        if history.stopped == "interrupted":
            raise KeyboardInterrupt
        if history.stopped:
            raise FloatingPointError(f"cross_val_score: fold {number}: {history.stopped}")
    if scoring is None:
        told = classes(arrays[-1]) is not None
        scoring = partial(accuracy, coding=coding(arrays[-1])) if told else r2
    return np.array([scoring(_outputs(one, [array[rows] for array in arrays[:-1]]), arrays[-1][rows])
                     for one, (_, rows) in zip(models, pairs, strict=True)], np.float64)


def accuracy(output: np.ndarray, target: np.ndarray, coding=None) -> float:
    """The share of samples whose class is right, from 0 to 1; ``coding`` as of ``minidl.metrics.error_rate``."""
    return 1 - error_rate(output, target, coding if one_unit(output) else None) / 100


def r2(output: np.ndarray, target: np.ndarray) -> float:
    """The coefficient of determination, over all outputs; NaN where the targets are equal."""
    target = np.asarray(target, np.float64).reshape(len(output), -1)
    around = float(((target - target.mean(axis=0)) ** 2).sum())
    return 1 - float(((target - output.reshape(target.shape)) ** 2).sum()) / around if around else float("nan")


@no_grad()
def _outputs(model: Module, inputs: Sequence[np.ndarray]) -> np.ndarray:
    with evaluating(model):
        return outputs(model, inputs_of(model, list(inputs)))


def _pairs(cv: int | Iterable, target: np.ndarray, generator: np.random.Generator) -> list[tuple]:
    """(rows to train on, rows to hold out) of each fold."""
    if isinstance(cv, (int, np.integer)):
        parts = folds(target, cv, seed=generator)
        return [(training_rows(parts, number), part) for number, part in enumerate(parts)]
    pairs = []
    for number, pair in enumerate(cv):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError("cross_val_score: expected cv as a number of folds, or as pairs (rows to train on, rows to "
                            f"hold out), got {type(pair).__name__} as fold {number}")
        pairs.append((np.asarray(pair[0]), np.asarray(pair[1])))
        for rows in pairs[-1]:
            try:
                target[rows]
            except IndexError as error:
                raise IndexError(f"cross_val_score: fold {number}: {error}") from error
    if not pairs:
        raise ValueError("cross_val_score: expected at least one fold, got none")
    return pairs
