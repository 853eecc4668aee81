"""The picture of a sweep: a row for each configuration, a dot for each seed."""
from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..sweep.log import Run, read
from ..sweep.table import by_configuration, varying
from .style import COLOURS, axes_of

ACCURACY, EPOCH = "best_dev_accuracy", "best_epoch"


def sweep(runs: Sequence[Run] | str | os.PathLike, *, value: str = ACCURACY, colour: str | None = EPOCH,
          ascending: bool = False, title: str = "", ax: Axes | None = None) -> Axes:
    """A number of each run by configuration, the largest mean on top (ascending: the smallest).

    runs : what ``minidl.sweep.sweep`` returns, or the folder (or its sweep.jsonl) that ``minidl sweep`` fills. Those
    that failed are left out. value : the number, of the task's result; by default the best accuracy on the development
    samples, of ``minidl.sweep.task.train``. colour : the number that the colour shows, or None; it is left out where
    the results have none. Raises ValueError where no run has the value.
    """
    if isinstance(runs, (str, os.PathLike)):
        runs = read(runs)
    names = varying(runs)
    groups = by_configuration([run for run in runs if run.result is not None and value in run.result])
    if not groups:
        raise ValueError("sweep: expected a run with a result, got none" if all(run.result is None for run in runs)
                         else f"sweep: expected results with {value!r}, got none")
    groups.sort(key=lambda group: statistics.mean(_column(group, value)), reverse=ascending)
    ranked = [run for group in groups for run in group]
    ax = axes_of(ax, size=(9, 1.8 + 0.24 * len(groups)), xlabel=value.replace("_", " "),
                 title=title or f"{len(groups)} configurations, a dot for each of {len(ranked)} runs")
    for height, group in enumerate(groups):
        numbers = _column(group, value)
        ax.plot([min(numbers), max(numbers)], [height, height], color="0.75", linewidth=2, zorder=1)
    heights = [height for height, group in enumerate(groups) for _ in group]
    shaded = colour is not None and all(colour in (run.result or {}) for run in ranked)
    style: dict[str, Any] = {"c": _column(ranked, str(colour)), "cmap": "viridis"} if shaded else {"color": COLOURS[0]}
    dots = ax.scatter(_column(ranked, value), heights, edgecolors="0.2", zorder=2, **style)
    ax.set_yticks(range(len(groups)), [_label(group[0].settings, names) for group in groups], fontsize=8)
    ax.set_ylim(-0.7, len(groups) - 0.3)
    ax.grid(axis="x", color="0.9")
    if value == ACCURACY:
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_xlabel("best accuracy on the development samples")
    if shaded:
        whole = all(isinstance(number, int) for number in _column(ranked, str(colour)))
        text = "epoch of the best accuracy" if colour == EPOCH else str(colour).replace("_", " ")
        ax.figure.colorbar(dots, ax=ax, label=text, ticks=MaxNLocator(integer=True) if whole else None)
    return ax


def _column(runs: Sequence[Run], name: str) -> list[Any]:
    return [run.result[name] for run in runs if run.result is not None]


def _label(settings: dict[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {settings.get(name)}" for name in names) or "all runs"
