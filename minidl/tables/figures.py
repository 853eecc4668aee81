"""The pictures of a run on a table: loss curves; confusion matrix, or predicted against true; importance.

Like ``minidl.plot``, whose colours and files they share, it needs matplotlib.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from .. import plot
from ..plot.style import axes_of
from ..training.history import History
from .scores import MAIN
from .target import Amount, Classes, Target

SHOWN = 20  # bars


def draw(target: Target, result: Mapping[str, Any], history: History, held_out: Sequence[Mapping[str, str]],
         folder: Path) -> list[Path]:
    """Write the pictures; their paths. held_out : the rows of held_out.csv."""
    losses: dict[str, Any] = {"training": history.loss, "validation": history.validation_loss}
    told = f"{result['scores'][-1][MAIN[target.task]]:.4g}"
    pictures = {"loss.png": plot.loss_curves(losses, title="Loss"),
                "importance.png": importance(result["importance"], target)}
    if isinstance(target, Amount):
        true, predicted = ([float(row[name]) for row in held_out] for name in ("true", "prediction"))
        pictures["predicted.png"] = against_true(true, predicted, f"Held-out rows: R² {told}", target.name)
    else:
        pictures["confusion.png"] = confusion(held_out, target, f"Held-out rows: accuracy {told} %")
    paths = []
    for name, ax in pictures.items():
        plot.save(ax, folder / name)
        paths.append(folder / name)
    return paths


def confusion(held_out: Sequence[Mapping[str, str]], target: Classes, title: str) -> Axes:
    """How often each class (a row) was taken for each (a column)."""
    true, predicted = ([target.labels.index(row[name]) for row in held_out] for name in ("true", "prediction"))
    ax = plot.confusion_matrix(true, predicted, labels=range(target.outputs), title=title,
                               names=[_short(label, 14) for label in target.labels])
    name = _short(target.name, 30)
    ax.set(xlabel=f"predicted {name}", ylabel=f"true {name}")
    return ax


def against_true(true: Sequence[float], predicted: Sequence[float], title: str, name: str) -> Axes:
    """A point a row, and the line on which both are equal."""
    ax = axes_of(None, size=(5.6, 5.4), title=title, xlabel=f"true {_short(name, 40)}",
                 ylabel=f"predicted {_short(name, 40)}")
    both = [*true, *predicted]
    low, high = min(both), max(both)
    ax.plot([low, high], [low, high], color="black", linewidth=1, label="predicted = true")
    ax.scatter(true, predicted, s=14, alpha=0.7, color=plot.COLOURS[0], linewidths=0, label=f"rows ({len(true)})")
    ax.set_aspect("equal")
    ax.grid(color="#DDDDDD", linewidth=0.5)
    ax.legend()
    return ax


def importance(rows: Sequence[Mapping[str, Any]], target: Target) -> Axes:
    """How much the score falls when a column is shuffled, the most important first, with the standard deviation."""
    shown = rows[:SHOWN]
    ax = axes_of(None, size=(6.4, 1.4 + 0.32 * len(shown)), title="Permutation importance of columns",
                 xlabel="fall of R²" if isinstance(target, Amount) else "fall of accuracy (percentage points)")
    ax.barh(range(len(shown)), [row["importance"] for row in shown], xerr=[row["sd"] for row in shown],
              color=plot.COLOURS[0], height=0.6, error_kw={"elinewidth": 1, "capsize": 2})
    ax.set_yticks(range(len(shown)), [_short(row["column"], 28) for row in shown])
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    return ax


def _short(text: str, length: int) -> str:
    """At most so many characters, the first and the last of them; a dollar sign is no mathematics."""
    cut = text if len(text) <= length else f"{text[:length - length // 2 - 1]}…{text[-(length // 2):]}"
    return cut.replace("$", r"\$")
