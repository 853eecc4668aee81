"""The networks whose steps one writes oneself: their layers, batch and initial values, for every rival the same.

A step is zero_grad, forward, backward and the optimizer's update, in float32, on a batch of 16. u is the number of
units in each hidden layer, "a-b" a Linear with bias.

sequential  8-u, 4 times (u-u, tanh), u-1; squared error; SGD: the operations of the next without its additions
residual    8-u, 4 times h + tanh(u-u), u-1; squared error; SGD
shared      8-u, 3 times tanh of one and the same u-u, u-1; squared error; SGD
heads       8-u, tanh, u-u, tanh; u-1 with squared error and u-4 with cross-entropy, their sum; SGD
rnn         Elman's: h = tanh(W x_t + U h + b) over 16 steps in time, the last h to u-4; cross-entropy; SGD
gan         4-u-u-2 against 2-u-u-1, tanh, least squares (Mao et al. 2017); an Adam for each, one after the other
pinn        1-u-u-1, tanh: u'' = -π² sin πx on 16 points, u(±1) = 0, mean squared residuals; Adam
"""
from __future__ import annotations

import math

import machine  # noqa: F401 (before NumPy)
import numpy as np

BATCH, TIMES, FEATURES, CLASSES, NOISE = 16, 16, 8, 4, 4
NAMES = ("sequential", "residual", "shared", "heads", "rnn", "gan", "pinn")
GENERATOR_LAYERS = 3  # of the gan's: the rest are the discriminator's
LEARNING_RATE = 0.05
ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
BY_ADAM = ("gan", "pinn")


def sizes(name: str, u: int) -> list[tuple[int, int]]:
    """(in, out) of each Linear."""
    return {
        "sequential": [(FEATURES, u), *[(u, u)] * 4, (u, 1)],
        "residual": [(FEATURES, u), *[(u, u)] * 4, (u, 1)],
        "shared": [(FEATURES, u), (u, u), (u, 1)],
        "heads": [(FEATURES, u), (u, u), (u, 1), (u, CLASSES)],
        "rnn": [(FEATURES, u), (u, u), (u, CLASSES)],
        "gan": [(NOISE, u), (u, u), (u, 2), (2, u), (u, u), (u, 1)],
        "pinn": [(1, u), (u, u), (u, 1)],
    }[name]


def has_bias(name: str, layer: int) -> bool:
    """The rnn's U has none: W's is enough."""
    return (name, layer) != ("rnn", 1)


def weights(name: str, units: int) -> list[np.ndarray]:
    """W (in, out) and, where there is one, b (out,) of each Linear in turn, uniform in ±1/√in."""
    rng = np.random.default_rng(units)
    return [rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(n))
            for layer, (n, m) in enumerate(sizes(name, units))
            for shape in ((n, m), (m,)) if len(shape) == 2 or has_bias(name, layer)]


def layers(name: str, values: list) -> list[tuple]:
    """The values of ``weights`` by pairs (W, b), b None where there is none."""
    rest, pairs = iter(values), []
    for layer, _ in enumerate(sizes(name, 1)):
        pairs.append((next(rest), next(rest) if has_bias(name, layer) else None))
    return pairs


def batch(name: str) -> list[np.ndarray]:
    """The arguments of the step: floats of float32, labels of int64."""
    rng = np.random.default_rng(BATCH)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    x = np.linspace(-0.9, 0.9, BATCH, dtype=np.float32)[:, None]
    labels = rng.integers(0, CLASSES, BATCH)
    targets = normal(BATCH, 1)
    return {
        "heads": lambda: [normal(BATCH, FEATURES), targets, labels],
        "rnn": lambda: [normal(TIMES, BATCH, FEATURES), labels],
        "gan": lambda: [normal(BATCH, 2), normal(BATCH, NOISE)],
        "pinn": lambda: [x, np.float32(-math.pi**2) * np.sin(np.float32(math.pi) * x),
                         np.array([[-1], [1]], np.float32)],
    }.get(name, lambda: [normal(BATCH, FEATURES), targets])()
