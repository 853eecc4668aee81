"""Random changes of images, drawn anew for each image of each batch: shifts, rotations, zooms.

They are given to ``fit(augment=...)``, and take images of shape (N, H, W) or (N, C, H, W).
"""
from __future__ import annotations

import numpy as np

from .. import arrays, random
from .batches import positive_int

__all__ = ["Augmentation", "RandomAffine", "RandomCrop"]


class Augmentation:
    """A random change of images, with a generator of its own, or None for that of ``fit``, elsewhere minidl's own.

    A subclass defines ``changed(images, generator)``.
    """

    def __init__(self, generator: int | np.random.Generator | None):
        self.generator: np.random.Generator | None = None if generator is None else random.generator(generator)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The images, changed: an array of its own, of the same shape and dtype."""
        if not isinstance(images, np.ndarray) or images.ndim not in (3, 4):
            came = getattr(images, "shape", type(images).__name__)
            raise ValueError(
                f"{type(self).__name__}: expected images of shape (N, H, W) or (N, C, H, W), got {came}")
        return self.changed(images, random.generator(self.generator))

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The images, changed, with what the generator draws."""
        raise NotImplementedError(f"{type(self).__name__}.changed: expected a subclass to define it")


class RandomCrop(Augmentation):
    """Shift each image by whole pixels: pad by ``padding`` on each side, and cut out the old size at a random place.

    padding : pixels, an int >= 1. fill : the value of the padding. generator : a seed, a Generator, or None.

    The shift is uniform over -padding, ..., padding, in both directions (He et al. 2016, section 4.2).
    """

    def __init__(self, padding: int, *, fill: float = 0.0, generator: int | np.random.Generator | None = None):
        super().__init__(generator)
        self.padding, self.fill = positive_int(padding, "RandomCrop", "padding"), fill

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        p = self.padding
        height, width = images.shape[-2:]
        borders = [(0, 0)] * (images.ndim - 2) + [(p, p), (p, p)]
        padded = np.pad(images, borders, constant_values=self.fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(-2, -1))
        tops, lefts = generator.integers(0, 2 * p + 1, (2, len(images)))
        if images.ndim == 3:
            return windows[np.arange(len(images)), tops, lefts]
        return windows[np.arange(len(images)), :, tops, lefts]

    def __repr__(self) -> str:
        return f"RandomCrop(padding={self.padding})"


class RandomAffine(Augmentation):
    """Rotate, shift and zoom each image about its centre, with bilinear interpolation.

    degrees : the rotation is uniform between -degrees and degrees, or between the two numbers of a pair.
    translate : (a, b): the shift is uniform within a times the width and b times the height to either side.
    scale : (low, high): the zoom is uniform between the two; above 1 the content grows.
    shear : degrees, as for the rotation: rows are shifted against each other by tan(shear) times their distance.
    fill : the value outside of the image. generator : a seed, a Generator, or None.

    As torchvision's transform of the same name with interpolation="bilinear", but with another draw for each image
    of a batch, and shifts that are not rounded to pixels. Raises ValueError for numbers out of range.
    """

    def __init__(self, degrees: float | tuple[float, float] = 0.0, translate: tuple[float, float] | None = None,
                 scale: tuple[float, float] | None = None, shear: float | tuple[float, float] = 0.0, *,
                 fill: float = 0.0, generator: int | np.random.Generator | None = None):
        super().__init__(generator)
        self.degrees, self.shear = _range("degrees", degrees), _range("shear", shear)
        self.translate = (0.0, 0.0) if translate is None else _pair("translate", translate)
        self.scale = (1.0, 1.0) if scale is None else _pair("scale", scale)
        if not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"RandomAffine: expected translate between 0 and 1, got {translate}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"RandomAffine: expected scale (low, high) with 0 < low <= high, got {scale}")
        self.fill = float(fill)

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return arrays.affine_sample(images, self._matrices(images, generator), self.fill)

    def _matrices(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(N, 2, 3): where each pixel of the result comes from, as coordinates from the centre, (x, y)."""
        count, (height, width) = len(images), images.shape[-2:]
        angle = np.deg2rad(generator.uniform(*self.degrees, count))
        slope = np.tan(np.deg2rad(generator.uniform(*self.shear, count)))
        zoom = generator.uniform(*self.scale, count)
        shift = [generator.uniform(-part, part, count) * size
                 for part, size in zip(self.translate, (width, height), strict=True)]
        # There: a shear, a rotation, the zoom, then the shift. Back: all of it inverted.
        cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
        matrices = np.empty((count, 2, 3))
        matrices[:, 1, 0], matrices[:, 1, 1] = -sin, cos
        matrices[:, 0, 0], matrices[:, 0, 1] = cos + slope * sin, sin - slope * cos
        matrices[:, :, 2] = -(matrices[:, :, 0] * shift[0][:, None] + matrices[:, :, 1] * shift[1][:, None])
        return matrices

    def __repr__(self) -> str:
        return (f"RandomAffine(degrees={self.degrees}, translate={self.translate}, scale={self.scale}, "
                f"shear={self.shear})")


def _pair(name: str, value) -> tuple[float, float]:
    pair = tuple(float(part) for part in np.ravel(value))
    if len(pair) != 2 or not all(np.isfinite(pair)):
        raise ValueError(f"RandomAffine: expected {name} to be two finite numbers, got {value!r}")
    return pair[0], pair[1]


def _range(name: str, value) -> tuple[float, float]:
    if np.ndim(value) == 0:
        if not 0 <= float(value) < np.inf:
            raise ValueError(f"RandomAffine: expected {name} of 0 or more, got {value!r}")
        return -float(value), float(value)
    low, high = _pair(name, value)
    if low > high:
        raise ValueError(f"RandomAffine: expected {name} as (low, high), got {value!r}")
    return low, high
