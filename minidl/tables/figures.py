"""The pictures of a run on a table: loss curves; confusion matrix, or predicted against true; importance.

Like ``minidl.plot``, whose colours and files they share, it needs matplotlib.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import plot
from ..training.history import History
from .scores import MAIN
from .target import Amount, Target

SHOWN = 20  # bars, and classes with their counts written into the cells


def draw(target: Target, result: Mapping[str, Any], history: History, held_out: Sequence[Mapping[str, str]],
         folder: Path) -> list[Path]:
    """Write the pictures; their paths. held_out : the rows of held_out.csv."""
    losses: dict[str, Any] = {"training": history.loss, "validation": history.validation_loss}
    told = f"{result['scores'][-1][MAIN[target.task]]:.4g}"
    figures = {"loss.png": plot.loss_curves(losses, title="Loss"),
               "importance.png": importance(result["importance"], target)}
    if isinstance(target, Amount):
        true, predicted = ([float(row[name]) for row in held_out] for name in ("true", "prediction"))
        figures["predicted.png"] = against_true(true, predicted, f"Held-out rows: R² {told}", target.name)
    else:
        pairs = [(target.labels.index(row["true"]), target.labels.index(row["prediction"])) for row in held_out]
        figures["confusion.png"] = confusion(pairs, target.labels, f"Held-out rows: accuracy {told} %", target.name)
    paths = []
    for name, figure in figures.items():
        plot.save(figure, folder / name)
        paths.append(folder / name)
    return paths


def confusion(pairs: Sequence[tuple[int, int]], labels: Sequence[str], title: str, name: str) -> Figure:
    """How often each class (a row) was taken for each (a column), in colour by its share of the row."""
    count = len(labels)
    counts = np.zeros((count, count), np.int64)
    for true, predicted in pairs:
        counts[true, predicted] += 1
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(3.2 + 0.5 * count, 11)
    figure, axes = _axes(title, (size + 0.9, size))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    short = [_short(label, 14) for label in labels]
    axes.set_xticks(range(count), short, rotation=45 if max(map(len, short)) > 3 else 0, ha="center"
                    if max(map(len, short)) <= 3 else "right", rotation_mode="anchor")
    axes.set_yticks(range(count), short)
    axes.set(xlabel=f"predicted {_short(name, 30)}", ylabel=f"true {_short(name, 30)}")
    if count <= SHOWN:
        for i, j in np.ndindex(count, count):
            if counts[i, j]:
                axes.text(j, i, str(counts[i, j]), ha="center", va="center",
                          color="white" if shares[i, j] > 0.5 else "black", fontsize=9)
    return figure


def against_true(true: Sequence[float], predicted: Sequence[float], title: str, name: str) -> Figure:
    """A point a row, and the line on which both are equal."""
    figure, axes = _axes(title, (5.6, 5.4))
    axes.spines[["top", "right"]].set_visible(False)
    both = [*true, *predicted]
    low, high = min(both), max(both)
    axes.plot([low, high], [low, high], color="black", linewidth=1, label="predicted = true")
    axes.scatter(true, predicted, s=14, alpha=0.7, color=plot.COLOURS[0], linewidths=0, label=f"rows ({len(true)})")
    axes.set(xlabel=f"true {_short(name, 40)}", ylabel=f"predicted {_short(name, 40)}", aspect="equal")
    axes.grid(color="#DDDDDD", linewidth=0.5)
    axes.legend()
    return figure


def importance(rows: Sequence[Mapping[str, Any]], target: Target) -> Figure:
    """How much the score falls when a column is shuffled, the most important first, with the standard deviation."""
    shown = rows[:SHOWN]
    figure, axes = _axes("Permutation importance of columns", (6.4, 1.4 + 0.32 * len(shown)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.barh(range(len(shown)), [row["importance"] for row in shown], xerr=[row["sd"] for row in shown],
              color=plot.COLOURS[0], height=0.6, error_kw={"elinewidth": 1, "capsize": 2})
    axes.set_yticks(range(len(shown)), [_short(row["column"], 28) for row in shown])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("fall of R²" if isinstance(target, Amount) else "fall of accuracy (percentage points)")
    return figure


def _axes(title: str, size: tuple[float, float]) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _short(text: str, length: int) -> str:
    """At most so many characters, the first and the last of them; a dollar sign is no mathematics."""
    cut = text if len(text) <= length else f"{text[:length - length // 2 - 1]}…{text[-(length // 2):]}"
    return cut.replace("$", r"\$")
