"""The table of a sweep: a row for each configuration, its numbers averaged over the seeds."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from .log import Run, identity


def by_configuration(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of each configuration, in the order of the configurations."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(identity(run.settings, 0), []).append(run)
    return list(groups.values())


def varying(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if len({identity(_only(run, name), 0) for run in runs}) > 1]


def _only(run: Run, name: str) -> dict[str, Any]:
    return {name: run.settings[name]} if name in run.settings else {}


def summary(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Rows {setting: value, runs, failed, number: mean, number_sd} in the order of the configurations.

    A number is what the task's result holds as int or float under a name that no setting has; the
    standard deviation, over n - 1, is there when a sweep has several seeds. None where all runs failed.
    """
    groups = by_configuration(runs)
    several = any(len(group) > 1 for group in groups)
    settings = {name for run in runs for name in run.settings}
    names = dict.fromkeys(name for run in runs for name, value in (run.result or {}).items()
                          if isinstance(value, (int, float)) and name not in settings)
    return [_row(group, list(names), several) for group in groups]


def _row(group: list[Run], names: list[str], several: bool) -> dict[str, Any]:
    row = {**group[0].settings, "runs": len(group), "failed": sum(run.error is not None for run in group)}
    results = [run.result for run in group if run.result is not None]
    for name in names:
        values = [result[name] for result in results if name in result]
        row[name] = statistics.mean(values) if values else None
        if several:
            row[f"{name}_sd"] = statistics.stdev(values) if len(values) > 1 else None
    return row
