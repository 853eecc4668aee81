"""The picture of a sweep: a row for each configuration, a dot for each seed."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .log import Run
from .table import by_configuration, varying


def picture(runs: Sequence[Run]) -> Figure:
    """Best development accuracy by configuration, the best mean on top; the colour is the epoch of the best.

    Runs of ``minidl.sweep.task.train``; those that failed are left out. Raises ValueError if that leaves
    none.
    """
    names = varying(runs)
    groups = by_configuration([run for run in runs if run.result is not None])
    if not groups:
        raise ValueError("picture: expected a run with a result, got none")
    groups.sort(key=lambda group: statistics.mean(_column(group, "best_dev_accuracy")))
    figure = Figure(figsize=(9, 1.8 + 0.24 * len(groups)), dpi=120, layout="constrained")
    axes = figure.subplots()
    for height, group in enumerate(groups):
        accuracies = _column(group, "best_dev_accuracy")
        axes.plot([min(accuracies), max(accuracies)], [height, height], color="0.75", linewidth=2, zorder=1)
    ranked = [run for group in groups for run in group]
    heights = [height for height, group in enumerate(groups) for _ in group]
    scatter = axes.scatter(_column(ranked, "best_dev_accuracy"), heights, c=_column(ranked, "best_epoch"),
                           edgecolors="0.2", zorder=2)
    axes.set_yticks(range(len(groups)), [_label(group[0].settings, names) for group in groups], fontsize=8)
    axes.set_ylim(-0.7, len(groups) - 0.3)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(title=f"{len(groups)} configurations, a dot for each of {len(ranked)} runs",
             xlabel="best accuracy on the development samples")
    figure.colorbar(scatter, label="epoch of the best accuracy", ticks=MaxNLocator(integer=True))
    return figure


def _column(runs: Sequence[Run], name: str) -> list[Any]:
    return [run.result[name] for run in runs if run.result is not None]


def _label(settings: dict[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {settings.get(name)}" for name in names)
