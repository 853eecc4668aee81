"""The reports' pictures: curves by epoch, errors by setting, classified points and images.

Every function returns a ``matplotlib.figure.Figure``; nothing touches pyplot or a display. The colours
are those of Okabe and Ito, which colour-blind readers tell apart; what is wrong is also marked by shape.
Importing this module raises ImportError without matplotlib, the extra ``minidl[plot]``.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
STYLES = ("-", "--", "-.", ":")
INSIDE, OUTSIDE, WRONG = "#0072B2", "#BBBBBB", "#DD0000"


def save(figure: Figure, path: str | PathLike) -> None:
    """Write the figure as PNG."""
    FigureCanvasAgg(figure).print_png(path)


def loss_curves(losses: Mapping[str, Sequence[float]], *, title: str, ylabel: str = "loss",
                xlabel: str = "epoch") -> Figure:
    """Losses by epoch, a curve for each name, on a logarithmic axis."""
    return _curves(losses, title=title, xlabel=xlabel, ylabel=ylabel, log=True)


def error_curves(errors: Mapping[str, Sequence[float]], *, title: str, ylabel: str = "error (%)") -> Figure:
    """Errors in percent by epoch, a curve for each name."""
    return _curves(errors, title=title, xlabel="epoch", ylabel=ylabel, bottom=0)


def accuracy_curves(accuracies: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """Accuracies in percent by epoch, a curve for each name."""
    return _curves(accuracies, title=title, xlabel="epoch", ylabel="accuracy (%)")


def learning_rates(rates: Mapping[str, Sequence[float]], *, title: str, steps_per_epoch: int = 1) -> Figure:
    """Learning rates by epoch, a curve for each name; the sequences have ``steps_per_epoch`` values each."""
    return _curves(rates, title=title, xlabel="epoch", ylabel="learning rate", per_epoch=steps_per_epoch,
                   bottom=0)


def errors_by_setting(settings: Sequence[object],
                      errors: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str,
                      xlabel: str) -> Figure:
    """Means with standard deviations, in percent, at each setting: errors = {name: (means, deviations)}."""
    figure, axes = _axes(title, xlabel, "error (%)")
    places = np.arange(len(settings))
    for i, (name, (means, deviations)) in enumerate(errors.items()):
        shift = 0.08 * (i - (len(errors) - 1) / 2)  # beside each other, so that no bar hides another
        axes.errorbar(places + shift, means, deviations, label=name, capsize=3, marker="os^D"[i % 4],
                      color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)])
    axes.set_xticks(places, [str(setting) for setting in settings])
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def by_seconds(values: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, ylabel: str,
               curves: bool = False) -> Figure:
    """Values over seconds, on a logarithmic axis: marks, or curves on two such axes; values = {name: (x, y)}."""
    figure, axes = _axes(title, "seconds", ylabel)
    for i, (name, (seconds, heights)) in enumerate(values.items()):
        colour = COLOURS[i % len(COLOURS)]
        if curves:
            axes.plot(seconds, heights, label=name, linewidth=1.3, color=colour, linestyle=STYLES[i % len(STYLES)])
        else:
            axes.scatter(seconds, heights, label=name, marker="os^Dv"[i % 5], s=24, color=colour)
    axes.set_xscale("log")
    axes.set_yscale("log" if curves else "linear")
    axes.grid(color="#DDDDDD", linewidth=0.5)
    axes.legend()
    return figure


def classified(points: np.ndarray, labels: np.ndarray, predicted: np.ndarray, *, title: str,
               centre: Sequence[float] = (0.5, 0.5), radius: float = 1 / np.sqrt(2 * np.pi)) -> Figure:
    """Points (N, 2) of the unit square with labels 0 and 1, the misclassified in red, and the true circle."""
    figure, axes = _axes(title, "$x_1$", "$x_2$", size=(5.6, 6.0))
    right = predicted == labels
    for name, chosen, style in (
            ("outside", right & (labels == 0), {"color": OUTSIDE, "marker": "o", "s": 12}),
            ("inside", right & (labels == 1), {"color": INSIDE, "marker": "o", "s": 12}),
            ("misclassified", ~right, {"color": WRONG, "marker": "X", "s": 45})):
        axes.scatter(*points[chosen].T, label=f"{name} ({np.count_nonzero(chosen)})", linewidths=0, **style)
    angle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), color="black",
              linewidth=1, label="disk")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False, columnspacing=1,
                handletextpad=0.3)
    return figure


def misclassified(images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, *, title: str,
                  columns: int = 12, rows: int = 6) -> Figure:
    """The first images (N, height, width) whose class was not found, each under "label > prediction"."""
    wrong = np.flatnonzero(predicted != labels)[:columns * rows]
    figure = Figure(figsize=(0.62 * columns, 0.6 + 0.8 * rows), dpi=120, layout="constrained")
    for axes in figure.subplots(rows, columns).flat:
        axes.set_axis_off()
    for axes, i in zip(figure.axes, wrong, strict=False):
        axes.imshow(images[i], cmap="gray_r")
        axes.set_title(f"{labels[i]} > {predicted[i]}", fontsize=7, color=WRONG, pad=2)
    figure.suptitle(title)
    return figure


def _axes(title: str, xlabel: str, ylabel: str, size=(6.4, 4.2)):
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _curves(curves: Mapping[str, Sequence[float]], *, title: str, xlabel: str, ylabel: str, log: bool = False,
            per_epoch: int = 1, bottom: float | None = None) -> Figure:
    figure, axes = _axes(title, xlabel, ylabel)
    for i, (name, values) in enumerate(curves.items()):
        axes.plot(np.arange(1, len(values) + 1) / per_epoch, values, label=name, linewidth=1.3,
                  color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_yscale("log" if log else "linear")
    if bottom is not None:
        axes.set_ylim(bottom=bottom)
    axes.grid(color="#DDDDDD", linewidth=0.5)
    if len(curves) > 1:
        axes.legend()
    return figure
