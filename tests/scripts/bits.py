"""Prints, as JSON, the hash of the weights of each network, or of those named, after some steps, taken in each way.

Started in a process of its own: the target of the kernels is chosen when minidl is imported.
"""
from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

import minidl
from minidl import nn, optim

STEPS, FEWER = 200, 10


def disk():
    """The disk problem's network; batches large enough for several threads."""
    layers = [nn.Linear(2, 25), nn.Tanh(), nn.Linear(25, 25), nn.Tanh(), nn.Linear(25, 25), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(25, 2))
    return model, optim.SGD(model.parameters(), lr=0.1), 1000, (2,), 2


def digits():
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return model, optim.Adam(model.parameters()), 64, (784,), 10


def dropping():
    layers = [nn.Linear(50, 201), nn.ELU(), nn.Dropout(0.3), nn.Linear(201, 77), nn.Sigmoid(), nn.Dropout(0.5)]
    model = nn.Sequential(*layers, nn.Linear(77, 7))
    return model, optim.AdamW(model.parameters(), lr=0.01), 131, (50,), 7


def lenet():
    """Few channels, then as many as a vector has lanes."""
    layers = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
              nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(400, 40), nn.Tanh(), nn.Linear(40, 10))
    return model, optim.Adam(model.parameters()), 29, (1, 28, 28), 10


def normalised():
    """Groups, dilation, strides and padding, overlapping windows, averages; every normalisation."""
    layers = [nn.Conv2d(3, 9, 3, stride=2, padding=1), nn.BatchNorm2d(9), nn.Tanh(), nn.MaxPool2d(3, 2, padding=1),
              nn.Conv2d(9, 18, (3, 2), groups=3, dilation=2, padding=2), nn.GroupNorm(6, 18), nn.ReLU(),
              nn.AvgPool2d(2, 1), nn.Conv2d(18, 33, 1), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(),
              nn.Linear(198, 24), nn.LayerNorm(24), nn.SiLU(), nn.Linear(24, 24), nn.RMSNorm(24), nn.BatchNorm1d(24)]
    model = nn.Sequential(*layers, nn.Linear(24, 5))
    return model, optim.AdamW(model.parameters()), 37, (3, 17, 15), 5


class Recurrent(nn.Module):
    """Every recurrent layer over (N, T, 6)."""

    def __init__(self):
        self.first = nn.LSTM(6, 20, batch_first=True)
        self.second = nn.GRU(20, 9, num_layers=2, bidirectional=True, batch_first=True)
        self.third = nn.RNN(18, 17, batch_first=True)
        self.last = nn.Linear(17, 4)

    def forward(self, x):
        for layer in (self.first, self.second, self.third):
            x, _ = layer(x)
        return self.last(x[:, -1])


def recurrent():
    model = Recurrent()
    return model, optim.Adam(model.parameters(), lr=0.01), 19, (11, 6), 4


def weights_after(make, threads: int) -> str:
    """The hash, after plain steps if threads is 0."""
    minidl.manual_seed(1)
    model, optimizer, rows, shape, classes = make()
    rng = np.random.default_rng(2)
    X = rng.standard_normal((2 * rows, *shape), np.float32)
    y = rng.integers(0, classes, 2 * rows)
    minidl.set_num_threads(max(threads, 1))
    steps = STEPS if len(shape) == 1 else FEWER
    history = minidl.fit(model, nn.CrossEntropyLoss(), optimizer, (X, y), epochs=steps // 2, batch_size=rows, seed=3,
                         progress=False, captured=threads > 0)
    assert history.path == "compiled" or threads == 0, history.path
    return hashlib.sha256(model.flat_parameters.tobytes()).hexdigest()


NETWORKS = {make.__name__: make for make in (disk, digits, dropping, lenet, normalised, recurrent)}

if __name__ == "__main__":
    ways = {"plain": 0, "captured": 1, "captured, 2 threads": 2, "captured, 3 threads": 3}
    print(json.dumps({"isa": minidl.kernels.isa()} | {
        name: {way: weights_after(NETWORKS[name], threads) for way, threads in ways.items()}
        for name in sys.argv[1:] or NETWORKS}))
