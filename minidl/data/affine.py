"""Images under affine maps, with bilinear interpolation."""
from __future__ import annotations

import numpy as np


def affine_sample(images: np.ndarray, matrices: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Images (N, H, W) or (N, C, H, W) seen through a map each: the result at (x, y) is the image at M (x, y, 1).

    matrices : (N, 2, 3), in pixels from the centre, x to the right and y downward. A point between four pixels is
    their mean, weighted by how near they are; ``fill`` is the value of pixels outside of the image.
    """
    count, (height, width) = len(images), images.shape[-2:]
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    centre = (width - 1) / 2, (height - 1) / 2
    points = np.stack([x - centre[0], y - centre[1], np.ones(x.size)])
    source = matrices @ points
    u, v = source[:, 0] + centre[0], source[:, 1] + centre[1]
    left, top = np.floor(u), np.floor(v)
    right_share, low_share = (u - left).astype(images.dtype), (v - top).astype(images.dtype)
    # One pixel of the fill around the image: all that lies further out reads it, too.
    borders = [(0, 0)] * (images.ndim - 2) + [(1, 1), (1, 1)]
    padded = np.pad(images, borders, constant_values=fill).reshape(count, -1, height + 2, width + 2)
    columns = [np.clip(left + step, -1, width).astype(np.intp) + 1 for step in (0, 1)]
    rows = [np.clip(top + step, -1, height).astype(np.intp) + 1 for step in (0, 1)]
    n = np.arange(count)[:, None]
    (a, b), (c, d) = [[np.moveaxis(padded[n, :, row, column], -1, 1) for column in columns] for row in rows]
    right_share, low_share = right_share[:, None], low_share[:, None]
    upper, lower = a + (b - a) * right_share, c + (d - c) * right_share
    return (upper + (lower - upper) * low_share).reshape(images.shape)
