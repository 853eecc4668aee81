"""The reports' pictures: curves by epoch, errors by setting, classified points and images."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from .style import COLOURS, INSIDE, MARKERS, OUTSIDE, STYLES, WRONG, axes_of, bare, curve, finish_curves, mosaic


def loss_curves(losses: Mapping[str, Sequence[float]], *, title: str, ylabel: str = "loss", xlabel: str = "epoch",
                ax: Axes | None = None) -> Axes:
    """Losses by epoch, a curve for each name, on a logarithmic axis."""
    return _curves(ax, losses, title=title, xlabel=xlabel, ylabel=ylabel, log=True)


def error_curves(errors: Mapping[str, Sequence[float]], *, title: str, ylabel: str = "error (%)",
                 ax: Axes | None = None) -> Axes:
    """Errors in percent by epoch, a curve for each name."""
    return _curves(ax, errors, title=title, xlabel="epoch", ylabel=ylabel, bottom=0)


def accuracy_curves(accuracies: Mapping[str, Sequence[float]], *, title: str, ax: Axes | None = None) -> Axes:
    """Accuracies in percent by epoch, a curve for each name."""
    return _curves(ax, accuracies, title=title, xlabel="epoch", ylabel="accuracy (%)")


def learning_rates(rates: Mapping[str, Sequence[float]], *, title: str, steps_per_epoch: int = 1,
                   ax: Axes | None = None) -> Axes:
    """Learning rates by epoch, a curve for each name; the sequences have ``steps_per_epoch`` values each."""
    return _curves(ax, rates, title=title, xlabel="epoch", ylabel="learning rate", per_epoch=steps_per_epoch,
                   bottom=0)


def errors_by_setting(settings: Sequence[object], errors: Mapping[str, tuple[Sequence[float], Sequence[float]]], *,
                      title: str, xlabel: str, ax: Axes | None = None) -> Axes:
    """Means with standard deviations, in percent, at each setting: errors = {name: (means, deviations)}."""
    ax = axes_of(ax, title=title, xlabel=xlabel, ylabel="error (%)")
    places = np.arange(len(settings))
    for i, (name, (means, deviations)) in enumerate(errors.items()):
        shift = 0.08 * (i - (len(errors) - 1) / 2)  # beside each other, so that no bar hides another
        ax.errorbar(places + shift, means, deviations, label=name, capsize=3, marker=MARKERS[i % len(MARKERS)],
                    color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)])
    ax.set_xticks(places, [str(setting) for setting in settings])
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def by_seconds(values: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, ylabel: str,
               curves: bool = False, ax: Axes | None = None) -> Axes:
    """Values over seconds, on a logarithmic axis: marks, or curves on two such axes; values = {name: (x, y)}."""
    ax = axes_of(ax, title=title, xlabel="seconds", ylabel=ylabel)
    for i, (name, (seconds, heights)) in enumerate(values.items()):
        if curves:
            curve(ax, heights, label=name, colour=i, style=i, x=seconds)
        else:
            ax.scatter(seconds, heights, label=name, marker=MARKERS[i % len(MARKERS)], s=24,
                       color=COLOURS[i % len(COLOURS)])
    ax.set_xscale("log")
    return finish_curves(ax, log=curves, whole=False)


def classified(points: np.ndarray, labels: np.ndarray, predicted: np.ndarray, *, title: str,
               centre: Sequence[float] = (0.5, 0.5), radius: float = 1 / np.sqrt(2 * np.pi),
               ax: Axes | None = None) -> Axes:
    """Points (N, 2) of the unit square with labels 0 and 1, the misclassified in red, and the true circle."""
    ax = axes_of(ax, size=(5.6, 6.0), title=title, xlabel="$x_1$", ylabel="$x_2$")
    right = predicted == labels
    for name, chosen, colour, marker, size in (("outside", right & (labels == 0), OUTSIDE, "o", 12),
                                               ("inside", right & (labels == 1), INSIDE, "o", 12),
                                               ("misclassified", ~right, WRONG, "X", 45)):
        ax.scatter(points[chosen, 0], points[chosen, 1], label=f"{name} ({np.count_nonzero(chosen)})", linewidths=0,
                   color=colour, marker=marker, s=size)
    angle = np.linspace(0, 2 * np.pi, 361)
    ax.plot(centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), color="black",
            linewidth=1, label="disk")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False, columnspacing=1,
              handletextpad=0.3)
    return ax


def misclassified(images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, *, title: str,
                  columns: int = 12, rows: int = 6, ax: Axes | None = None) -> Axes:
    """The first images (N, height, width) whose class was not found, each under "label > prediction"."""
    ax = axes_of(ax, size=(0.62 * columns, 0.6 + 0.8 * rows), title=title)
    bare(ax)
    wrong = np.flatnonzero(predicted != labels)[:columns * rows]
    if not len(wrong):
        ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes)
        return ax
    height, width = images.shape[1:3]
    gap, head = max(1, width // 8), max(1, height // 3)
    ax.imshow(mosaic(images[wrong], columns, gap, head), cmap="gray_r")
    for place, i in enumerate(wrong):
        x, y = place % columns * (width + gap) + width / 2, place // columns * (height + gap + head) + head
        ax.text(x - 0.5, y - 0.2 * head, f"{labels[i]} > {predicted[i]}", fontsize=7, color=WRONG, ha="center",
                va="bottom")
    return ax


def _curves(ax: Axes | None, curves: Mapping[str, Sequence[float]], *, title: str, xlabel: str, ylabel: str,
            log: bool = False, per_epoch: int = 1, bottom: float | None = None) -> Axes:
    ax = axes_of(ax, title=title, xlabel=xlabel, ylabel=ylabel)
    for i, (name, values) in enumerate(curves.items()):
        curve(ax, values, label=name, colour=i, style=i, x=np.arange(1, len(values) + 1) / per_epoch)
    finish_curves(ax, log=log, legend=len(curves) > 1)
    if bottom is not None:
        ax.set_ylim(bottom=bottom)
    return ax
