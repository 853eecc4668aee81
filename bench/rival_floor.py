"""The step of S as its arithmetic alone, from floor.pyx."""
from __future__ import annotations

import floor
import numpy as np
from networks import LEARNING_RATE, WIDTHS, batch, weights

from minidl import kernels


class Floor:
    """The target is that of minidl's kernels."""

    def __init__(self, network: str, size: int):
        self.x, self.y = batch(network, size)
        self.widths, values = WIDTHS[network], weights(network)
        stacked = [np.vstack(layer).tolist() for layer in zip(values[::2], values[1::2], strict=True)]
        self.compiled = floor.load(kernels.isa()).Step(stacked)

    def step(self) -> float:
        return self.compiled(self.x, self.y, LEARNING_RATE)

    def weights(self) -> list[np.ndarray]:
        full = [np.array(self.compiled.weights(layer)) for layer in range(len(self.widths) - 1)]
        return [part for w, n, m in zip(full, self.widths, self.widths[1:], strict=False)
                for part in (w[:n, :m], w[n, :m])]
