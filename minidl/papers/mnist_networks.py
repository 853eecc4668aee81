"""Networks for images of MNIST (N, 1, size, size), as functions of a generator of their initial weights.

A convolution is pooled before its BatchNorm and its ReLU: with a positive scale the maximum is the same one, and both
work on a quarter of the elements.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)

Make = Callable[[np.random.Generator], Sequential]


def _block(inputs: int, outputs: int, generator, kernel: int = 3, pool: bool = False, **settings) -> list[Module]:
    """A convolution, which keeps the size unless told otherwise, a pooling by 2 if wished, BatchNorm, ReLU."""
    settings = {"padding": kernel // 2, "bias": False} | settings  # BatchNorm takes the mean off, and a bias with it
    return [Conv2d(inputs, outputs, kernel, generator=generator, **settings), *([MaxPool2d(2)] if pool else []),
            BatchNorm2d(outputs), ReLU()]


def quick(generator: np.random.Generator) -> Sequential:
    """For 24 x 24: two convolutions, each with a stride of 2, and a linear layer."""
    return Sequential(
        *_block(1, 8, generator, 5, stride=2, padding=0), *_block(8, 32, generator, 5, stride=2, padding=1),
        Flatten(), Linear(32 * 4 * 4, 10, generator=generator))


def lenet(generator: np.random.Generator) -> Sequential:
    """For 28 x 28: LeNet-5 with ReLU and maxima, 44,426 parameters, as SimpleChains.jl trains it.

    The maximum is taken before ReLU, which gives the same numbers as after it, for a quarter of the work.
    LeCun et al., Gradient-based learning applied to document recognition, 1998.
    """
    return Sequential(
        Conv2d(1, 6, 5, generator=generator), MaxPool2d(2), ReLU(),
        Conv2d(6, 16, 5, generator=generator), MaxPool2d(2), ReLU(), Flatten(),
        Linear(256, 120, generator=generator), ReLU(), Linear(120, 84, generator=generator), ReLU(),
        Linear(84, 10, generator=generator))


def small(generator: np.random.Generator) -> Sequential:
    """For 28 x 28: five convolutions of 8 to 16 channels and the mean over the image; 7,706 parameters."""
    return _five(8, 12, 16, 16, 16, generator=generator)


def best(generator: np.random.Generator) -> Sequential:
    """For 24 x 24: five convolutions of 12 to 32 channels and the mean over the image; 25,646 parameters."""
    return _five(12, 16, 32, 32, 32, generator=generator)


def _five(a: int, b: int, c: int, d: int, e: int, *, generator: np.random.Generator) -> Sequential:
    """Convolutions of these channels, the first and the third pooled, the last without a border, then their mean."""
    return Sequential(
        *_block(1, a, generator, 5, pool=True), *_block(a, b, generator), *_block(b, c, generator, pool=True),
        *_block(c, d, generator), *_block(d, e, generator, padding=0),
        AdaptiveAvgPool2d(1), Flatten(), Linear(e, 10, generator=generator))


NETWORKS: dict[str, Make] = {"quick": quick, "lenet": lenet, "small": small, "best": best}
