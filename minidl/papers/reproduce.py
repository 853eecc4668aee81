"""Run experiments: every trial of every round is one task, on any executor, with the same numbers on each."""
from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed
from typing import Any

from ..sweep import executors
from ..training.progress import Bar
from .experiment import Experiment, Outcomes


def reproduce(experiments: Iterable[Experiment], *, seed: int = 0, rounds: int | None = None,
              executor: Executor | str = "processes", progress: bool = True) -> dict[str, Outcomes]:
    """{experiment: {trial: its outcomes, round by round}}, for the trials whose libraries are installed.

    seed : round r is a function of (seed, r), whatever runs it and in whatever order.
    rounds : of each trial; None for as many as the report made.
    executor : see minidl.sweep.executors.

    What a trial raises is raised here, and what has not begun then is cancelled.
    """
    tasks = [(experiment.name, name, round_, trial)
             for experiment in experiments for name, trial in available(experiment).items()
             for round_ in range(rounds or experiment.rounds)]
    outcomes: dict[tuple[str, str, int], Any] = {}
    with executors.opened(executor) as pool, Bar(len(tasks)) as bar:
        futures = {pool.submit(trial, (seed, round_)): (experiment, name, round_)
                   for experiment, name, round_, trial in tasks}
        try:
            for future in as_completed(futures):
                outcomes[futures[future]] = future.result()
                if progress:
                    bar.show(len(outcomes), futures[future][0])
        finally:
            for future in futures:
                future.cancel()
    grouped: dict[str, dict[str, list]] = {}
    for experiment, name, round_, _ in tasks:
        grouped.setdefault(experiment, {}).setdefault(name, []).append(outcomes[experiment, name, round_])
    return grouped  # type: ignore[return-value]


def available(experiment: Experiment) -> dict[str, Callable]:
    """The trials that can run here."""
    return {name: trial for name, trial in experiment.trials.items()
            if name not in experiment.needs or importlib.util.find_spec(experiment.needs[name])}
