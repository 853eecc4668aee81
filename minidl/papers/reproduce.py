"""Run experiments: the rounds of a trial are one task, or several, on any executor, with the same numbers on each."""
from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from typing import Any

from ..sweep import executors
from ..training.progress import Bar
from .experiment import Experiment, Outcomes, Trial


def reproduce(experiments: Iterable[Experiment], *, seed: int = 0, rounds: int | None = None,
              executor: Executor | str = "processes", progress: bool = True) -> dict[str, Outcomes]:
    """{experiment: {trial: its outcomes, round by round}}, for the trials whose libraries are installed.

    seed : round r is a function of (seed, r), whatever runs it and in whatever order.
    rounds : of each trial; None for as many as the report made.
    executor : see minidl.sweep.executors.

    What a trial raises is raised here, and what has not begun then is cancelled.
    """
    tasks = [(experiment.name, name, chunk, trial)
             for experiment in experiments for name, trial in available(experiment).items()
             for chunk in _chunks(trial, rounds or experiment.rounds)]
    outcomes: dict[tuple[str, str, int], Any] = {}
    with executors.opened(executor) as pool, Bar(sum(len(chunk) for *_, chunk, _ in tasks)) as bar:
        futures = {pool.submit(_outcomes, trial, [(seed, round_) for round_ in chunk]): (experiment, name, chunk)
                   for experiment, name, chunk, trial in tasks}
        try:
            for future in as_completed(futures):
                experiment, name, chunk = futures[future]
                outcomes |= {(experiment, name, round_): one
                             for round_, one in zip(chunk, future.result(), strict=True)}
                if progress:
                    bar.show(len(outcomes), experiment)
        finally:
            for future in futures:
                future.cancel()
    grouped: dict[str, dict[str, list]] = {}
    for experiment, name, chunk, _ in tasks:
        grouped.setdefault(experiment, {}).setdefault(name, []).extend(
            outcomes[experiment, name, round_] for round_ in chunk)
    return grouped  # type: ignore[return-value]


def _chunks(trial: Trial, rounds: int) -> list[range]:
    """The rounds of each task: all of them for a trial that trains many networks side by side."""
    if getattr(trial, "side_by_side", False):
        return [range(rounds)]
    return [range(round_, round_ + 1) for round_ in range(rounds)]


def _outcomes(trial: Trial, seeds: Sequence[Sequence[int]]) -> list[Any]:
    """In the worker."""
    if len(seeds) > 1:  # then it has that method
        return trial.many(seeds)  # type: ignore[attr-defined]
    return [trial(seed) for seed in seeds]


def available(experiment: Experiment) -> dict[str, Callable]:
    """The trials that can run here."""
    return {name: trial for name, trial in experiment.trials.items()
            if name not in experiment.needs or importlib.util.find_spec(experiment.needs[name])}
