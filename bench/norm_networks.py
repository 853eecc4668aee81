"""M3 with a normalisation after each hidden layer, written once for minidl and PyTorch; SGD."""
from __future__ import annotations

from itertools import pairwise

import machine  # noqa: F401 (before NumPy)
import numpy as np

WIDTHS = (784, 256, 256, 10)
NAMES = ("M3", "M3 BatchNorm", "M3 LayerNorm")
CASES = [(name, 128) for name in NAMES]
RATE = 0.01


def batch(name: str, size: int) -> list[np.ndarray]:
    """Inputs and labels."""
    rng = np.random.default_rng(size)
    return [rng.standard_normal((size, WIDTHS[0]), np.float32), rng.integers(0, WIDTHS[-1], size)]


def model(lib, name: str, tensor):
    """The network."""
    norms = {"M3 BatchNorm": lib.nn.BatchNorm1d, "M3 LayerNorm": lib.nn.LayerNorm}
    layers = []
    for inputs, outputs in pairwise(WIDTHS):
        layers.append(lib.nn.Linear(inputs, outputs))
        if outputs != WIDTHS[-1]:
            layers += [norms[name](outputs)] if name in norms else []
            layers.append(lib.nn.ReLU())
    return lib.nn.Sequential(*layers)


def step_of(lib, network, optimizer):
    criterion = lib.nn.CrossEntropyLoss()

    def step(x, labels):
        loss = criterion(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def optimizer_of(lib, name: str, network, **settings):
    return lib.optim.SGD(network.parameters(), lr=RATE, **settings)
