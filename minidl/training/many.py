"""fit_many: many networks at once, one thread a network, each with the bits of its own training."""
from __future__ import annotations

import copy
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import numpy as np

from .. import kernels, random
from ..data.batches import positive_int
from ..data.datasets import Dataset
from ..data.loader import DataLoader
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .fit import epochs_of
from .halving import SuccessiveHalving
from .history import History
from .interrupt import Interrupt
from .molds import LEAST, Mold, pattern_of
from .progress import Bar
from .trainer import Trainer

LARGEST_SEED = 2**63 - 1


class Following:
    """An Interrupt of a training in another thread: Ctrl-C ends all of them between two steps."""

    def __init__(self, outer: Interrupt):
        self.outer = outer
        self.failed = False  # another training has failed: this one is to end, too

    @property
    def requested(self) -> bool:
        return self.outer.requested or self.failed

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *error) -> None:
        pass


def fit_many(models: Sequence[Module], criterion, optimizers: Sequence[Optimizer] | Callable, data, *,
             validation=None, epochs: int = 1, batch_size: int = 32, seed=None, schedulers: Sequence | None = None,
             callbacks: Sequence[Sequence] | None = None, progress: bool = True, captured: bool = True,
             sample_weight=None, n_threads: int | None = None, stop: SuccessiveHalving | None = None) -> list[History]:
    """Train many networks, of any architectures; the History of each.

    Each is trained as ``fit`` trains it alone, with the same bits, by one thread; ``n_threads`` are trained at a
    time, by default as many as there are cores. Compiled steps leave Python free for the other threads.

    models : the networks, none of which shares parameters with another.
    criterion : of all; a Module is copied for each. Or a list with one for each.
    optimizers : one for each, or a function of a list of parameters that makes one.
    data, validation : a tuple (X, y), a data set or a loader for all; or a list with such for each, as folds.
    seed : for the shuffling, and the Dropouts: an int for all, which then see the samples in one order, or a list with
        one for each. None draws one for each from minidl's own stream.
    schedulers, callbacks : a list with a scheduler, or None, and with a list of callbacks, for each; these run in the
        network's thread. Other arguments are fit's, for all.
    progress : how many networks are trained, on a terminal as a bar.
    stop : a ``training.SuccessiveHalving``, by which networks that do worse than others end earlier.

    A network whose loss stops being finite ends there, with the weights before that step: its ``history.stopped``
    says so. Any other error ends all trainings between two steps and is raised, as from the network's fit. Ctrl-C
    ends all between two steps, too; the histories of those that had begun say "interrupted", as do the others.
    Raises TypeError or ValueError, before anything is trained, for what fit refuses and for lists of other lengths.
    """
    models = list(models)
    count = len(models)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores if n_threads is None else positive_int(n_threads, "fit_many", "n_threads"), max(count, 1))
    if callable(optimizers):
        optimizers = [optimizers(model.parameters()) for model in models]
    criteria = (_each("criterion", criterion, count) if isinstance(criterion, list) else
                [copy.deepcopy(criterion) if isinstance(criterion, Module) else criterion for _ in models])
    seeds = _seeds(seed, count)
    _check_apart(models)
    if stop is not None:
        stop.check(validation is not None)
    interrupt = Interrupt()
    following = Following(interrupt)
    each = list(zip(
        models, criteria, _each("optimizers", optimizers, count), _for_each("data", data, count),
        _for_each("validation", validation, count), seeds, _each("schedulers", schedulers, count),
        _each("callbacks", callbacks, count), strict=True))
    alike = stop is None and sample_weight is None
    patterns = [_pattern(*one) if alike else None for one in each]
    often = Counter(patterns)
    molds: dict[tuple, deque[Mold]] = {}
    runs: list[Alone | Molded] = []
    for pattern, (model, one, optimizer, own, held_out, its_seed, scheduler, its_callbacks) in zip(
            patterns, each, strict=True):
        if pattern is not None and often[pattern] >= LEAST:
            if pattern not in molds:
                molds[pattern] = deque([Mold(model, one, optimizer, own, held_out, epochs, batch_size, captured,
                                             following)])
            runs.append(Molded(molds[pattern], model, optimizer, random.generator(its_seed), following))
        else:
            runs.append(Alone(Trainer(
                model, one, optimizer, own, held_out, epochs, batch_size, its_seed, scheduler, its_callbacks or (),
                None, None, False, captured, sample_weight), following))
    threads, bar = kernels.get_num_threads(), Bar(count, unit="network") if progress and count else None
    kernels.set_num_threads(1)
    try:
        with interrupt:
            _run(runs, workers, bar, stop, following)
    finally:
        kernels.set_num_threads(threads)
        if bar is not None:
            bar.end()
    histories = [run.history for run in runs]
    if interrupt.requested and not any(history.stopped == "interrupted" for history in histories):
        raise KeyboardInterrupt  # it came when all were trained
    return histories


def _pattern(model, criterion, optimizer, data, validation, seed, scheduler, callbacks) -> tuple | None:
    """What networks of one mold have in common; None for a network that is trained by itself."""
    if scheduler is not None or callbacks or not isinstance(data, tuple) or not isinstance(
            validation, (tuple, type(None))):
        return None
    pattern = pattern_of(model, criterion, optimizer)
    return None if pattern is None else (pattern, id(data), id(validation))


class Alone:
    """A network that is trained by itself."""

    def __init__(self, trainer: Trainer, following: Following):
        self.trainer, self.run = trainer, epochs_of(trainer)
        trainer.interrupt = following  # type: ignore[assignment]

    @property
    def history(self) -> History:
        return self.trainer.history

    def train(self, epochs: int | None) -> bool:
        """Train for so many epochs more, or to the end; whether that is reached."""
        trainer = self.trainer
        if trainer.interrupt.requested and not len(trainer.history):
            trainer.history.stopped = "interrupted"
            return True
        try:
            trained = len(list(islice(self.run, epochs)))
            if len(trainer.history) == trainer.epochs:
                next(self.run, None)  # beyond the last epoch
                return True
            return trained != epochs
        except FloatingPointError as error:
            trainer.diverged(error)
            return True


class Molded:
    """A network that is trained in one of the molds of its pattern, of which each thread takes one."""

    def __init__(self, molds: deque[Mold], model: Any, optimizer: Optimizer, generator, following: Following):
        self.molds, self.model, self.optimizer, self.generator = molds, model, optimizer, generator
        self.first, self.following, self.history = molds[0], following, History()

    def train(self, epochs: None) -> bool:
        """Train to the end."""
        if self.following.requested:
            self.history.stopped = "interrupted"
            return True
        try:
            mold = self.molds.pop()
        except IndexError:
            mold = self.first.again()
        self.history = mold.train(self.model, self.optimizer, self.generator)
        self.molds.append(mold)
        return True


def _run(runs: Sequence[Alone | Molded], workers: int, bar: Bar | None, stop: SuccessiveHalving | None,
         following: Following) -> None:
    """Train them all, with a stop rung by rung; raise the error of one."""
    going, epochs = list(range(len(runs))), None if stop is None else stop.first
    with ThreadPoolExecutor(workers, "fit_many") as pool:
        try:
            while going:
                waiting: dict[Future, int] = {
                    pool.submit(runs[i].train, epochs): i for i in going}  # type: ignore[arg-type]
                for future in as_completed(waiting):
                    if future.result():
                        going.remove(waiting[future])
                        if bar is not None:
                            bar.show(len(runs) - len(going))
                if stop is None or not going:
                    break
                for i in stop.ends([(i, runs[i].history) for i in going]):
                    runs[i].history.stopped = stop.reason(runs[i].history)
                epochs = stop.more(runs[going[0]].history)
        except BaseException:
            following.failed = True
            raise


def _seeds(seed: Any, count: int) -> list:
    if seed is None:
        return [int(number) for number in random.generator(None).integers(LARGEST_SEED, size=count)]
    if isinstance(seed, (list, tuple)):
        return _each("seed", list(seed), count)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"fit_many: expected seed as an int, a list or None, got {type(seed).__name__}")
    return [seed] * count


def _for_each(name: str, data: Any, count: int) -> list:
    shared = data is None or isinstance(data, (tuple, Dataset, DataLoader))
    return [data] * count if shared else _each(name, data, count)


def _each(name: str, things: Any, count: int) -> list:
    """A list of one for each network."""
    if things is None:
        return [None] * count
    if not isinstance(things, (list, tuple)):
        raise TypeError(f"fit_many: expected {name} as a list, got {type(things).__name__}")
    if len(things) != count:
        raise ValueError(f"fit_many: expected {name} for {count} networks, got {len(things)}")
    return list(things)


def _check_apart(models: list) -> None:
    seen: set[int] = set()
    for model in models:
        if not isinstance(model, Module):
            raise TypeError(f"fit_many: expected Modules as models, got {type(model).__name__}")
        mine = {id(parameter) for parameter in model.parameters()} | {id(module) for module in model.modules()}
        if mine & seen:
            raise ValueError("fit_many: expected networks that share no module and no parameter")
        seen |= mine
