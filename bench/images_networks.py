"""LeNet-5 as the contestants of ``bench.images`` have it: its layers, batch and initial values.

conv 6@5x5 with padding 2, pool 2, conv 16@5x5, pool 2, 400-120-84-10; ReLU after each layer but the last, max pooling,
cross-entropy, Adam, float32, images 28 x 28.
"""
from __future__ import annotations

import math

import machine  # noqa: F401 (before NumPy)
import numpy as np

CONVOLUTIONS = ((1, 6, 2), (6, 16, 0))  # channels in and out, padding; 5 x 5 each
LINEARS = ((400, 120), (120, 84), (84, 10))
KERNEL, POOL, SIDE, CLASSES = 5, 2, 28, 10
ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
# Of a sample: multiply-adds of a forward pass by layer; a step has each three times, but the first layer twice
FORWARD = (6 * 28 * 28 * 25, 16 * 10 * 10 * 150, *(n * m for n, m in LINEARS))
STEP = 3 * sum(FORWARD) - FORWARD[0]


def weights(dtype=np.float32) -> list[np.ndarray]:
    """Weight and bias of each layer, of PyTorch's shapes and spread."""
    rng, found = np.random.default_rng(5), []
    shapes = [(o, i, KERNEL, KERNEL) for i, o, _ in CONVOLUTIONS] + [(o, i) for i, o in LINEARS]
    for shape in shapes:
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        found += [rng.uniform(-bound, bound, shape).astype(dtype), rng.uniform(-bound, bound, shape[0]).astype(dtype)]
    return found


def batch(size: int, dtype=np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(size)
    return rng.standard_normal((size, 1, SIDE, SIDE)).astype(dtype), rng.integers(0, CLASSES, size)
