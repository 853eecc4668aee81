"""A sweep: one task for each configuration and seed, on any executor, stopped and continued at will.

A task is a function of its settings and its seed and of nothing else, so where and in what order the
tasks run changes no result:

    def task(settings: dict, seed: int) -> dict: ...

    runs = sweep(task, grid(layers=[2, 3, 5], activation=["relu", "tanh"]), seeds=range(3),
                 executor="processes:2", path="sweep.jsonl")
"""
from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from typing import Any, NamedTuple

import numpy as np

from ..training.progress import Bar
from . import executors
from .log import Log, Run, identity

Settings = dict[str, Any]
Item = tuple[Settings, int]  # settings and seed of a run
Task = Callable[[Settings, int], dict[str, Any]]


class Together(NamedTuple):
    """How runs are made together that cost less than to hand each of them to a worker.

    chunks : parts a list of (settings, seed) into lists of those that one worker makes together.
    results : the results of such a list, as the task gives them; None for a run that the task is to make by itself,
        such as one that fails. Of module level and importable, as the task. If it raises, all are made by themselves.
    """

    chunks: Callable[[Sequence[Item]], list[list[Item]]]
    results: Callable[[Sequence[Item]], list[dict[str, Any] | None]]


def grid(**axes: Iterable) -> list[Settings]:
    """Every combination of the values: ``grid(layers=[2, 3], lr=[0.1])`` is two configurations.

    The last axis varies fastest. Raises ValueError for no axis or one without values, TypeError for an
    axis that is no collection of values.
    """
    if not axes:
        raise ValueError("grid: expected at least one setting, got none")
    for name, values in axes.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"grid: expected a list of values for {name}, got {values!r}")
    columns = [list(values) for values in axes.values()]
    for name, values in zip(axes, columns, strict=True):
        if not values:
            raise ValueError(f"grid: expected at least one value for {name}, got none")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*columns)]


def sweep(task: Task, configurations: Iterable[Settings], seeds: Iterable[int] = (0,), *,
          executor: Executor | str = "processes", path: str | os.PathLike | None = None,
          retry_failed: bool = False, progress: bool = True, together: Together | None = None) -> list[Run]:
    """``task(settings, seed)`` for each configuration and seed; the Runs, in that order.

    task : of module level and importable where it runs; functools.partial may bind what is not a setting,
        such as the folder of the data. It returns a dict that JSON can hold. An exception is recorded as
        the ``error`` of its Run, and the other tasks go on.
    configurations : dicts that JSON can hold, as ``grid`` makes them.
    executor : a name (see ``minidl.sweep.executors``) or a concurrent.futures.Executor. Worker processes import
        the caller's script, which must have its ``if __name__ == "__main__":``.
    path : a file to which each run is appended as it ends. Runs that are in it already are not repeated,
        except, with ``retry_failed``, those that failed. A sweep may come back with more configurations,
        not with fewer.
    progress : runs done, failed, and the time left, on standard error.
    together : how small runs share a worker's call; their ``seconds`` are then their share of it.

    Ctrl-C cancels the tasks that have not begun, records those that end, and raises KeyboardInterrupt.

    Raises ValueError for no configurations or seeds, for one that stands twice, and for the file of
    another sweep or a damaged one; TypeError for settings that JSON cannot hold; RuntimeError when the
    executor gives up, as when a worker process is killed; OSError for a file that cannot be written;
    and what the executor's name may raise. Runs that ended before any of these are in the file.
    """
    plan = _plan(configurations, seeds)
    with (executors.opened(executor) as pool,
          Log(os.devnull if path is None else path, _name(task)) as log):  # the null device stores nothing
        foreign = next((run for run in log.runs.values() if run.identity not in plan), None)
        if foreign is not None:
            raise ValueError(f"{path}: expected runs of this sweep, "
                             f"got one of {foreign.settings} with seed {foreign.seed}")
        missing = [(settings, seed) for key, (settings, seed) in plan.items()
                   if key not in log.runs or (retry_failed and log.runs[key].error)]
        with Bar(len(missing)) as bar:
            chunks = [[item] for item in missing] if together is None else together.chunks(missing)
            _run_all(pool, task, together and together.results, chunks, _recorder(log, bar, progress))
        return [log.runs[key] for key in plan]


def attempt(task: Task, settings: Settings, seed: int) -> Run:
    """Run the task in the worker: its result after a round trip through JSON, or its error."""
    begin = time.perf_counter()
    try:
        result, error = _through_json(task(copy.deepcopy(settings), seed)), None
    except (Exception, SystemExit) as exception:
        result, error = None, _described(exception)
    return Run(settings, seed, result, error, time.perf_counter() - begin)


def attempt_together(task: Task, results: Callable[[Sequence[Item]], list], chunk: Sequence[Item]) -> list[Run]:
    """Run those of a chunk in the worker."""
    found: list[dict[str, Any] | None] = [None] * len(chunk)
    begin = time.perf_counter()
    with contextlib.suppress(Exception):  # which the task raises, too, for the run that it is of
        found = [result if result is None else _through_json(result) for result in results(copy.deepcopy(chunk))]
    seconds = (time.perf_counter() - begin) / len(chunk)
    return [attempt(task, settings, seed) if result is None else Run(settings, seed, result, None, seconds)
            for (settings, seed), result in zip(chunk, found, strict=True)]


def _through_json(result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise TypeError(f"sweep: expected the task to return a dict, got {type(result).__name__}")
    return json.loads(json.dumps(result, allow_nan=False))


def _described(error: BaseException) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error),
            "traceback": "".join(traceback.format_exception(error))}


def _recorder(log: Log, bar: Bar, progress: bool) -> Callable[[Run], None]:
    """The function that appends each run to the log and shows it on the bar."""
    failures: list[bool] = []

    def record(run: Run) -> None:
        log.append(run)
        failures.append(run.error is not None)
        if progress:
            bar.show(len(failures), f"{sum(failures)} failed" if any(failures) else "")

    return record


def _run_all(pool: Executor, task: Task, results: Callable | None, chunks: Sequence[list[Item]],
             record: Callable[[Run], None]) -> None:
    """Submit all chunks, record their runs as they end; an error cancels those that have not begun."""
    waiting: dict[Future, list[Item]] = {}

    def ended(future: Future, chunk: list[Item]) -> None:
        for run in _runs(future, chunk):
            record(run)

    try:
        for chunk in chunks:
            future: Future
            if results is None or len(chunk) == 1:
                future = pool.submit(attempt, task, *chunk[0])
            else:
                future = pool.submit(attempt_together, task, results, chunk)
            waiting[future] = chunk
            if future.done():  # an executor in this thread has run it already
                ended(future, waiting.pop(future))
        for future in as_completed(list(waiting)):
            ended(future, waiting.pop(future))
    except KeyboardInterrupt:
        for future in as_completed([future for future in waiting if not future.cancel()]):
            if future.exception() is None:  # otherwise the same Ctrl-C ended it
                ended(future, waiting[future])
        raise
    finally:
        for future in waiting:
            future.cancel()


def _runs(future: Future, chunk: list[Item]) -> list[Run]:
    """The Runs in a future that is done. What the executor itself raises for these tasks counts as their error."""
    try:
        found = future.result()
        return found if isinstance(found, list) else [found]
    except (BrokenExecutor, CancelledError) as error:
        raise RuntimeError(f"sweep: the executor gave up ({type(error).__name__}: {error}); runs that had "
                           "ended are kept, and the same sweep goes on from there") from error
    except Exception as error:
        return [Run(settings, seed, None, _described(error), 0.0) for settings, seed in chunk]


def _plan(configurations: Iterable[Settings], seeds: Iterable[int]) -> dict[str, tuple[Settings, int]]:
    """Settings and seed of each run, by identity."""
    configurations, seeds = list(configurations), [_checked_seed(seed) for seed in seeds]
    if not configurations or not seeds:
        raise ValueError("sweep: expected at least one configuration and one seed, "
                         f"got {len(configurations)} and {len(seeds)}")
    plan: dict[str, tuple[Settings, int]] = {}
    for settings, seed in itertools.product(map(_checked_settings, configurations), seeds):
        key = identity(settings, seed)
        if key in plan:
            raise ValueError("sweep: expected each configuration and seed once, "
                             f"got {settings} with seed {seed} twice")
        plan[key] = settings, seed
    return plan


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"sweep: expected seeds to be ints, got {seed!r}")
    if seed < 0:
        raise ValueError(f"sweep: expected seeds >= 0, got {seed}")
    return int(seed)


def _checked_settings(settings: Settings) -> Settings:
    """A copy. TypeError for what JSON would change: a tuple, a NumPy number, a key that is no string."""
    if not isinstance(settings, dict):
        raise TypeError(f"sweep: expected each configuration as a dict, got {settings!r}")
    for name, value in settings.items():
        try:
            same = isinstance(name, str) and json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise TypeError(f"sweep: expected settings that JSON can hold, got {name!r}: {value!r}")
    return copy.deepcopy(settings)


def _name(task: Task) -> str:
    """The name of the task in the file."""
    while isinstance(task, functools.partial):
        task = task.func
    if not callable(task):
        raise TypeError(f"sweep: expected a function of settings and seed, got {type(task).__name__}")
    return f"{task.__module__}.{getattr(task, '__qualname__', type(task).__qualname__)}"
