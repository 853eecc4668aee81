"""Classifiers: the confusion matrix, the calibration curve, and decision regions in the plane."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb

from .. import metrics
from .style import COLOURS, GRID, MARKERS, axes_of

NORMALIZE = (None, "true", "pred", "all")


def confusion_matrix(y_true, y_pred, *, labels: Sequence | None = None, names: Sequence[str] | None = None,
                     normalize: str | None = None, title: str = "", ax: Axes | None = None) -> Axes:
    """How often each class (a row) was called each class (a column); the colour is the share of its row.

    y_true, y_pred : labels (N,). labels : the classes and their order, by default all that occur, sorted; names : how
    they are called. normalize : as in scikit-learn, None for counts, or percent of the row "true", of the column
    "pred", of "all". Raises ValueError for lengths that differ, and for labels that are not among ``labels``.
    """
    truth, found = np.asarray(y_true).reshape(-1).tolist(), np.asarray(y_pred).reshape(-1).tolist()
    if len(truth) != len(found) or not len(truth):
        raise ValueError(f"confusion_matrix: expected as many labels as predictions, got {len(truth)} and {len(found)}")
    if normalize not in NORMALIZE:
        raise ValueError(f"confusion_matrix: expected normalize to be one of {NORMALIZE}, got {normalize!r}")
    known = sorted({*truth, *found}) if labels is None else np.asarray(labels).tolist()
    number = {label: i for i, label in enumerate(known)}
    strange = [label for label in [*truth, *found] if label not in number]
    if strange:
        raise ValueError(f"confusion_matrix: expected labels of {known}, got {strange[0]!r}")
    if names is not None and len(names) != len(known):
        raise ValueError(f"confusion_matrix: expected {len(known)} names, got {len(names)}")
    counts = np.zeros((len(known), len(known)), np.int64)
    np.add.at(counts, ([number[label] for label in truth], [number[label] for label in found]), 1)

    side = float(np.clip(1.6 + 0.45 * len(known), 3.6, 9))
    ax = axes_of(ax, size=(side + 0.4, side), title=title, xlabel="predicted class", ylabel="true class")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    over = {None: None, "true": 1, "pred": 0, "all": (0, 1)}[normalize]
    numbers = counts if over is None else 100 * counts / np.maximum(counts.sum(axis=over, keepdims=True), 1)
    small = 9 if len(known) <= 12 else 6
    for (i, j), shown in np.ndenumerate(numbers):
        colour = "white" if shares[i, j] > 0.55 else "black"
        ax.text(j, i, f"{shown:.0f}", ha="center", va="center", color=colour, fontsize=small)
    called = [str(name) for name in (known if names is None else names)]
    ax.set_xticks(range(len(known)), called, rotation=45 if max(map(len, called)) > 3 else 0,
                  ha="right" if max(map(len, called)) > 3 else "center", rotation_mode="anchor")
    ax.set_yticks(range(len(known)), called)
    ax.spines[:].set_visible(False)
    return ax


def calibration_curve(y_true, y_prob, *, n_bins: int = 10, title: str = "", ax: Axes | None = None) -> Axes:
    """Reliability: how often a prediction was right, by how sure it was; on the diagonal it is as sure as it should be.

    y_true : labels (N,). y_prob : the probability of class 1 (N,), or those of all classes (N, C), of which the
    largest is compared with how often its class was the true one; or several of these by their names. The legend
    has the expected calibration error (Naeini et al. 2015), the mean distance from the diagonal.
    Raises ValueError for shapes that do not match and for numbers that are no probabilities.
    """
    ax = axes_of(ax, size=(5.0, 4.8), title=title)
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":", label="as sure as right")
    named = dict(y_prob) if isinstance(y_prob, Mapping) else {"": y_prob}
    rows = False
    for i, (name, given) in enumerate(named.items()):
        sure, right, rows = _sure_and_right(np.asarray(y_true), np.asarray(given, float))
        bins = np.clip((sure * n_bins).astype(int), 0, n_bins - 1)
        count = np.bincount(bins, minlength=n_bins)
        filled = count > 0
        mean_sure = np.bincount(bins, sure, n_bins)[filled] / count[filled]
        mean_right = np.bincount(bins, right, n_bins)[filled] / count[filled]
        error = (count[filled] * np.abs(mean_sure - mean_right)).sum() / len(sure)
        ax.plot(mean_sure, mean_right, marker=MARKERS[i % len(MARKERS)], color=COLOURS[i % len(COLOURS)],
                linewidth=1.4, markersize=5, label=f"{name + ', ' if name else ''}calibration error {error:.3f}")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal",
           xlabel="probability of the predicted class" if rows else "predicted probability of class 1",
           ylabel="share that was right" if rows else "share of class 1")
    ax.grid(color=GRID, linewidth=0.5)
    ax.legend(loc="best", fontsize=9)
    return ax


def _sure_and_right(truth: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """The probabilities, whether each came true, and whether they are those of predicted classes."""
    if truth.ndim != 1 or given.ndim > 2 or len(truth) != len(given) or not len(truth):
        raise ValueError(f"calibration_curve: expected labels (N,) and probabilities (N,) or (N, C), got {truth.shape} "
                         f"and {given.shape}")
    if not (given.min() >= 0 and given.max() <= 1 + 1e-6):
        raise ValueError("calibration_curve: expected probabilities between 0 and 1, got others; logits need "
                         "softmax or sigmoid first")
    if metrics.one_unit(given):
        return given.reshape(-1), (truth == 1).astype(float), False
    return given.max(axis=1), (given.argmax(axis=1) == truth).astype(float), True


def decision_regions(model: Any, X, y=None, *, names: Sequence[str] | None = None, threshold: float | None = None,
                     resolution: int = 250, title: str = "", ax: Axes | None = None) -> Axes:
    """What a classifier of points in the plane says everywhere, and the points (N, 2) with their labels y (N,).

    model : a Module, whose output of one unit is compared with ``threshold`` and of several gives the largest; or
    whatever has a ``predict`` that gives labels, as scikit-learn's estimators. threshold : by default 1/2, or 0 for
    labels -1 and 1; for logits give 0. Each class has a colour and a marker;
    points on the wrong side have a black edge. names : of the classes, in the order of their labels.
    Raises ValueError for points that do not lie in the plane.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"decision_regions: expected X of shape (N, 2), got {X.shape}")
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-6)
    x1, x2 = (np.linspace(a, b, resolution) for a, b in zip(low - margin, high + margin, strict=True))
    grid = np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2).astype(X.dtype if X.dtype.kind == "f" else np.float32)
    labels = None if y is None else np.asarray(y).reshape(-1)
    if labels is not None and len(labels) != len(X):
        raise ValueError(f"decision_regions: expected {len(X)} labels, got {len(labels)}")
    there = _labels(model, grid, threshold, labels)
    classes = np.unique(there if labels is None else np.concatenate([there, labels]))

    ax = axes_of(ax, size=(6.2, 4.6), title=title, xlabel="$x_1$", ylabel="$x_2$")
    pale = [tuple(0.35 * np.array(to_rgb(COLOURS[i % len(COLOURS)])) + 0.65) for i in range(len(classes))]
    number = np.searchsorted(classes, there).reshape(resolution, resolution)
    ax.pcolormesh(x1, x2, number, cmap=ListedColormap(pale), vmin=-0.5, vmax=len(classes) - 0.5, shading="nearest",
                  rasterized=True)
    for i in range(len(classes)):
        if (number == i).any() and (number != i).any():
            ax.contour(x1, x2, number == i, levels=[0.5], colors="0.35", linewidths=0.6)
    if labels is not None:
        wrong = _labels(model, X, threshold, labels) != labels
        called = [str(name) for name in (classes if names is None else names)]
        for i, (label, name) in enumerate(zip(classes, called, strict=True)):
            style: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "color": COLOURS[i % len(COLOURS)], "s": 18}
            for chosen, edge in ((~wrong, {"edgecolors": "white", "linewidths": 0.4, "label": name}),
                                 (wrong, {"edgecolors": "black", "linewidths": 1.3})):
                drawn = chosen & (labels == label)
                ax.scatter(X[drawn, 0], X[drawn, 1], **style | edge)
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9, title_fontsize=9,
                  title=f"{np.count_nonzero(wrong)} of {len(X)} wrong", handletextpad=0.2)
    return ax


def _labels(model: Any, X: np.ndarray, threshold: float | None, labels: np.ndarray | None) -> np.ndarray:
    """The classes that a model names for these points, called as the labels are."""
    output = np.asarray(model.predict(X))
    if output.dtype.kind != "f" or output.ndim != 2:
        return output.reshape(-1)
    signed = labels is not None and labels.dtype.kind in "if" and labels.min() < 0 and metrics.one_unit(output)
    found = metrics.predicted(output, (0.0 if signed else 0.5) if threshold is None else threshold)
    return 2 * found - 1 if signed else found
