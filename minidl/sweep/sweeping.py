"""A sweep: one task for each configuration and seed, on any executor, stopped and continued at will.

A task is a function of its settings and its seed and of nothing else, so where and in what order the
tasks run changes no result:

    def task(settings: dict, seed: int) -> dict: ...

    runs = sweep(task, grid(layers=[2, 3, 5], activation=["relu", "tanh"]), seeds=range(3),
                 executor="processes:2", path="sweep.jsonl")
"""
from __future__ import annotations

import copy
import functools
import itertools
import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from typing import Any

import numpy as np

from ..training.progress import Bar
from . import executors
from .log import Log, Run, identity

Settings = dict[str, Any]
Task = Callable[[Settings, int], dict[str, Any]]


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
          retry_failed: bool = False, progress: bool = True) -> list[Run]:
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
            _run_all(pool, task, missing, _recorder(log, bar, progress))
        return [log.runs[key] for key in plan]


def attempt(task: Task, settings: Settings, seed: int) -> Run:
    """Run the task in the worker: its result after a round trip through JSON, or its error."""
    begin = time.perf_counter()
    try:
        result, error = task(copy.deepcopy(settings), seed), None
        if not isinstance(result, dict):
            raise TypeError(f"sweep: expected the task to return a dict, got {type(result).__name__}")
        result = json.loads(json.dumps(result, allow_nan=False))
    except (Exception, SystemExit) as exception:
        result, error = None, _described(exception)
    return Run(settings, seed, result, error, time.perf_counter() - begin)


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


def _run_all(pool: Executor, task: Task, todo: Sequence[tuple[Settings, int]],
             record: Callable[[Run], None]) -> None:
    """Submit all tasks, record each as it ends; an error cancels those that have not begun."""
    waiting: dict[Future, tuple[Settings, int]] = {}
    try:
        for settings, seed in todo:
            future = pool.submit(attempt, task, settings, seed)
            waiting[future] = settings, seed
            if future.done():  # an executor in this thread has run it already
                record(_run(future, *waiting.pop(future)))
        for future in as_completed(list(waiting)):
            record(_run(future, *waiting.pop(future)))
    except KeyboardInterrupt:
        for future in as_completed([future for future in waiting if not future.cancel()]):
            if future.exception() is None:  # otherwise the same Ctrl-C ended it
                record(future.result())
        raise
    finally:
        for future in waiting:
            future.cancel()


def _run(future: Future, settings: Settings, seed: int) -> Run:
    """The Run in a future that is done. What the executor itself raises for this task counts as its error."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        raise RuntimeError(f"sweep: the executor gave up ({type(error).__name__}: {error}); runs that had "
                           "ended are kept, and the same sweep goes on from there") from error
    except Exception as error:
        return Run(settings, seed, None, _described(error), 0.0)


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
