"""Prints, as JSON, the bytes that fit() took at its peak, captured, and those that it could not do without.

Started in a process of its own, whose memory nothing else has stretched. Linux alone.
"""
from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim

WIDTHS, ROWS, SAMPLES = (784, 256, 256, 10), 100, 20_000


def memory(name: str) -> int:
    """VmRSS: what is resident, VmHWM: its peak; in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024


def network() -> nn.Sequential:
    layers = [layer for n, m in pairwise(WIDTHS) for layer in (nn.Linear(n, m), nn.ReLU())]
    return nn.Sequential(layers[:-1])


def necessary(model) -> int:
    """Weights, gradients, Adam's two moments, and the batch with all that is between the layers."""
    between = WIDTHS[0] + 2 * sum(WIDTHS[1:-1]) + WIDTHS[-1]
    return 4 * (4 * model.flat_parameters.size + ROWS * between)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X = rng.standard_normal((SAMPLES, WIDTHS[0]), np.float32)
    y = rng.integers(0, WIDTHS[-1], SAMPLES)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again here
    before = memory("VmRSS")
    model = network()
    minidl.fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), (X, y), batch_size=ROWS, epochs=2,
               seed=0, progress=False)
    print(json.dumps({"taken": memory("VmHWM") - before, "necessary": necessary(model)}))
