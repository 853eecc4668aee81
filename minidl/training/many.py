"""fit_many: many networks at once, one thread a network, each with the bits of its own training."""
from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import kernels, processor, random
from ..autograd.parameter import Parameter
from ..data.batches import positive_int
from ..data.datasets import Dataset
from ..data.loader import DataLoader
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .crew import Alone, Following, Molded, run
from .halving import SuccessiveHalving
from .history import History
from .interrupt import Interrupt
from .molds import LEAST, Member, Mold
from .patterns import Patterns
from .progress import Bar
from .trainer import Trainer

LARGEST_SEED = 2**63 - 1


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
        one, or a Generator, for each. None draws one for each from minidl's own stream.
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
    n_threads = processor.cores() if n_threads is None else positive_int(n_threads, "fit_many", "n_threads")
    workers = min(n_threads, max(count, 1))
    if callable(optimizers):
        optimizers = [optimizers(model.parameters()) for model in models]
    criteria = _each("criterion", criterion, count) if isinstance(criterion, list) else [criterion] * count
    seeds = _seeds(seed, count)
    if stop is not None:
        stop.check(validation is not None)
    interrupt = Interrupt()
    following = Following(interrupt)
    each = list(zip(
        models, criteria, _each("optimizers", optimizers, count), _for_each("data", data, count),
        _for_each("validation", validation, count), seeds, _each("schedulers", schedulers, count),
        _each("callbacks", callbacks, count), strict=True))
    found = _looked_at(each, alike=stop is None and sample_weight is None)
    often = Counter(found)
    molds: dict[int, deque[Mold]] = {}
    runs: list[Alone | Molded] = []
    for pattern, (model, one, optimizer, own, held_out, its_seed, scheduler, its_callbacks) in zip(
            found, each, strict=True):
        if pattern is not None and often[pattern] >= LEAST:
            if pattern not in molds:
                molds[pattern] = deque([Mold(model, one, optimizer, own, held_out, epochs, batch_size, captured,
                                             following)])
            runs.append(Molded(molds[pattern], Member(model, optimizer, _seed(its_seed)), following))
        else:
            if not isinstance(criterion, list) and isinstance(one, Module):
                one = copy.deepcopy(one)
            runs.append(Alone(Trainer(
                model, one, optimizer, own, held_out, epochs, batch_size, its_seed, scheduler, its_callbacks or (),
                None, None, False, captured, sample_weight), following))
    threads, bar = kernels.get_num_threads(), Bar(count, unit="network") if progress and count else None
    kernels.set_num_threads(1)
    try:
        with interrupt:
            run(runs, sorted(range(count), key=lambda i: (found[i] is not None, found[i] or 0)), workers, bar, stop,
                following)
    finally:
        kernels.set_num_threads(threads)
        if bar is not None:
            bar.end()
    histories = [run.history for run in runs]
    if interrupt.requested and not any(history.stopped == "interrupted" for history in histories):
        raise KeyboardInterrupt  # it came when all were trained
    return histories


def _looked_at(each: list[tuple], alike: bool) -> list[int | None]:
    """The number of each network's pattern, or None; every network is looked at once, while it is in the cache.

    Raises TypeError or ValueError for what is no Module, and for networks with common parts.
    """
    patterns, numbers, seen = Patterns(), dict[tuple, int](), set[int]()
    found: list[int | None] = []
    for one in each:
        model = one[0]
        if not isinstance(model, Module):
            raise TypeError(f"fit_many: expected Modules as models, got {type(model).__name__}")
        pattern = _pattern(patterns, *one) if alike else None
        found.append(None if pattern is None else numbers.setdefault(pattern, len(numbers)))
        if pattern is None:
            modules = model.modules()
            parts = [value for module in modules for value in vars(module).values() if isinstance(value, Parameter)]
        else:  # of one level, and the optimizer holds all of its parameters
            modules, parts = [model, *vars(model)["_modules"]], one[2].param_groups[0]["params"]
        mine = {*map(id, modules), *map(id, parts)}
        if not mine.isdisjoint(seen):
            raise ValueError("fit_many: expected networks that share no module and no parameter")
        seen |= mine
    return found


def _pattern(patterns: Patterns, model, criterion, optimizer, data, validation, seed, scheduler,
             callbacks) -> tuple | None:
    """What networks of one mold have in common; None for a network that is trained by itself."""
    if scheduler is not None or callbacks or not isinstance(data, tuple) or not isinstance(
            validation, (tuple, type(None))):
        return None
    pattern = patterns.of(model, criterion, optimizer)
    return None if pattern is None else (pattern, id(data), id(validation))


def _seeds(seed: Any, count: int) -> list:
    if seed is None:
        return [int(number) for number in random.generator(None).integers(LARGEST_SEED, size=count)]
    if isinstance(seed, (list, tuple)):
        return _each("seed", list(seed), count)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"fit_many: expected seed as an int, a list or None, got {type(seed).__name__}")
    return [seed] * count


def _seed(source: Any) -> int | np.random.Generator:
    """A seed that is good for a Generator, or the Generator; TypeError or ValueError for anything else."""
    if type(source) is int and source >= 0:
        return source
    return random.generator(source)


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


