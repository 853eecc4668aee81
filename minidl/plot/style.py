"""What the pictures share: axes of a figure of their own, colours, and images side by side as one."""
from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
STYLES = ("-", "--", "-.", ":")
MARKERS = "os^Dv*P"
INSIDE, OUTSIDE, WRONG = "#0072B2", "#BBBBBB", "#DD0000"
GRID = "#DDDDDD"


def axes_of(ax: Axes | None, *, size: tuple[float, float] = (6.4, 4.2), title: str = "", xlabel: str = "",
            ylabel: str = "") -> Axes:
    """The axes themselves, or those of a new figure of this size in inches, with these texts.

    A title that is empty leaves the one that the axes have.
    """
    if ax is None:
        ax = Figure(figsize=size, dpi=120, layout="constrained").subplots()
    if title:
        ax.set_title(title)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save(picture: Axes | Figure, path: str | PathLike) -> None:
    """Write the figure, or the one that the axes are in, as PNG."""
    figure: Any = picture.figure.figure if isinstance(picture, Axes) else picture  # a subfigure has a whole
    FigureCanvasAgg(figure).print_png(path)


def curve(ax: Axes, values, *, label: str, colour: int, style: int, x=None) -> None:
    """A line of these values, over 1, 2, ... or ``x``; values that are None are gaps."""
    y = np.array([np.nan if value is None else value for value in values], float)
    ax.plot(np.arange(1, len(y) + 1) if x is None else x, y, label=label, linewidth=1.4,
            color=COLOURS[colour % len(COLOURS)], linestyle=STYLES[style % len(STYLES)],
            marker="o" if len(y) == 1 else None)


def finish_curves(ax: Axes, *, log: bool = False, whole: bool = True, legend: bool = True) -> Axes:
    """A grid, the scale, whole numbers along x, and a legend."""
    if whole:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_yscale("log" if log else "linear")
    ax.grid(color=GRID, linewidth=0.5)
    if legend:
        ax.legend()
    return ax


def mosaic(images: np.ndarray, columns: int, gap: int = 1, head: int = 0) -> np.ndarray:
    """Images (N, height, width[, 3]) side by side in one, NaN between them and in ``head`` rows above each."""
    images = np.asarray(images, float)
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    high, wide = height + gap + head, width + gap
    made = np.full((rows * high - gap, columns * wide - gap, *images.shape[3:]), np.nan)
    for i, image in enumerate(images):
        y, x = i // columns * high + head, i % columns * wide
        made[y:y + height, x:x + width] = image
    return made


def bare(ax: Axes) -> None:
    """No frame, no ticks: of axes that hold pictures."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
