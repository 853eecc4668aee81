"""The loss over the learning rate, as the range test finds it."""
from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..training.range_test import LRFind
from .style import COLOURS, GRID, axes_of


def lr_find(found: LRFind, *, suggest: bool = True, title: str = "", ax: Axes | None = None) -> Axes:
    """The losses of ``minidl.training.lr_find``, as measured (pale) and smoothed, with the suggested rate.

    The y axis ends a little above where the range began: how far the loss rises when it diverges tells nothing.
    """
    ax = axes_of(ax, title=title, xlabel="learning rate", ylabel="loss")
    loss, smoothed = np.array(found.loss), np.array(found.smoothed)
    ax.plot(found.lr, loss, color="0.75", linewidth=1, label="of a batch")
    ax.plot(found.lr, smoothed, color=COLOURS[0], linewidth=1.6, label="smoothed")
    lr = found.suggestion() if suggest else None
    if lr is not None:
        ax.plot([lr], [smoothed[found.lr.index(lr)]], color=COLOURS[5], marker="o", markersize=8, linestyle="none",
                label=f"steepest: {lr:.2g}")
    low, high = float(smoothed.min()), float(smoothed[: max(1, len(smoothed) // 3)].max())
    reach = max(high - low, 1e-12)
    ax.set_ylim(min(low, float(loss.min())) - 0.08 * reach, high + 0.4 * reach)
    ax.set_xscale("log")
    ax.grid(color=GRID, linewidth=0.5)
    ax.legend(loc="lower left")
    return ax
