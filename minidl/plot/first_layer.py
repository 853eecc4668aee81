"""The weights of a network's first layer, as pictures where they have a picture's shape."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .style import axes_of, bare, mosaic


def weights(model: Any, *, image_shape: tuple[int, ...] | None = None, limit: int = 64, columns: int | None = None,
            title: str = "", ax: Axes | None = None) -> Axes:
    """The first weight of a model that has two axes or more: a picture a unit, or the matrix itself.

    A convolution's filters (O, C, h, w) of one channel, and the rows of a Linear over (1,) h w = h² numbers are shown
    in red for positive and blue for negative numbers, white at zero; those of three channels in their colours, grey
    at zero; of other channels there is a picture each, a filter a row. Any other weight is one picture, a row a unit.

    model : a Module. image_shape : (h, w) or (C, h, w) of a Linear's input where it is no square. limit : of the
    units that are shown, the first ones. Raises ValueError for a model without such a weight, and for an image_shape
    that does not hold a row.
    """
    weight = next((p.data for p in model.parameters() if p.ndim >= 2), None)
    if weight is None:
        raise ValueError(f"weights: expected a model with a weight of two axes or more, got {type(model).__name__}")
    weight = np.asarray(weight[:limit])
    filters = _as_filters(weight, image_shape)
    if filters is None:
        return _matrix(ax, weight.reshape(len(weight), -1), title)
    count, channels, height, width = filters.shape
    top = _top(filters)
    if channels == 3:
        images = np.clip(0.5 + 0.5 * np.moveaxis(filters, 1, -1) / top, 0, 1)
        columns = columns or math.ceil(math.sqrt(count))
    else:
        images = filters.reshape(-1, height, width)
        columns = columns or (math.ceil(math.sqrt(count)) if channels == 1 else channels)
    made = mosaic(images, columns, max(1, width // 10))
    size = 5.0 * max(1.0, made.shape[1] / made.shape[0]) ** 0.5
    ax = axes_of(ax, size=(size + (channels != 3), size * made.shape[0] / made.shape[1] + 0.4), title=title)
    if channels == 3:
        ax.imshow(np.where(np.isnan(made), 1.0, made), interpolation="nearest")
    else:
        _bar(ax, ax.imshow(made, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest"))
    bare(ax)
    return ax


def _as_filters(weight: np.ndarray, image_shape: tuple[int, ...] | None) -> np.ndarray | None:
    """The weight as pictures (O, C, h, w), or None."""
    if weight.ndim == 4 and image_shape is None:
        return weight if weight[0, 0].size > 1 else None
    length = weight[0].size
    if image_shape is None:
        side = math.isqrt(length)
        image_shape = (side, side)
        if side < 3 or side * side != length or weight.ndim != 2:
            return None
    if math.prod(image_shape) != length or len(image_shape) not in (2, 3):
        raise ValueError(f"weights: expected image_shape (h, w) or (C, h, w) of {length} numbers, got {image_shape}")
    return weight.reshape(len(weight), *(1,) * (3 - len(image_shape)), *image_shape)


def _matrix(ax: Axes | None, weight: np.ndarray, title: str) -> Axes:
    ax = axes_of(ax, size=(6.0, 4.2), title=title, xlabel="input", ylabel="unit")
    top = _top(weight)
    _bar(ax, ax.imshow(weight, cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto", interpolation="nearest"))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return ax


def _top(weight: np.ndarray) -> float:
    """The end of the scale: what one number in 200 exceeds, so that a few large ones leave the others their colours."""
    return float(np.quantile(np.abs(weight), 0.995)) or 1.0


def _bar(ax: Axes, image) -> None:
    ax.figure.colorbar(image, ax=ax, label="weight", shrink=0.8, extend="both")
