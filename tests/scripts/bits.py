"""Prints, as JSON, the hash of the weights of each network after 200 steps, taken in each way.

Started in a process of its own: the target of the kernels is chosen when minidl is imported.
"""
from __future__ import annotations

import hashlib
import json

import numpy as np

import minidl
from minidl import nn, optim

STEPS = 200


def disk():
    """The disk problem's network; batches large enough for several threads."""
    layers = [nn.Linear(2, 25), nn.Tanh(), nn.Linear(25, 25), nn.Tanh(), nn.Linear(25, 25), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(25, 2))
    return model, optim.SGD(model.parameters(), lr=0.1), 1000


def digits():
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return model, optim.Adam(model.parameters()), 64


def dropping():
    layers = [nn.Linear(50, 201), nn.ELU(), nn.Dropout(0.3), nn.Linear(201, 77), nn.Sigmoid(), nn.Dropout(0.5)]
    model = nn.Sequential(*layers, nn.Linear(77, 7))
    return model, optim.AdamW(model.parameters(), lr=0.01), 131


def weights_after(make, threads: int) -> str:
    """The hash, after plain steps if threads is 0."""
    minidl.manual_seed(1)
    model, optimizer, rows = make()
    rng = np.random.default_rng(2)
    X = rng.standard_normal((2 * rows, model[0].in_features), np.float32)
    y = rng.integers(0, model[-1].out_features, 2 * rows)
    minidl.set_num_threads(max(threads, 1))
    minidl.fit(model, nn.CrossEntropyLoss(), optimizer, (X, y), epochs=STEPS // 2, batch_size=rows, seed=3,
               progress=False, captured=threads > 0)
    return hashlib.sha256(model.flat_parameters.tobytes()).hexdigest()


if __name__ == "__main__":
    ways = {"plain": 0, "captured": 1, "captured, 2 threads": 2, "captured, 3 threads": 3}
    print(json.dumps({"isa": minidl.kernels.isa()} | {
        make.__name__: {way: weights_after(make, threads) for way, threads in ways.items()}
        for make in (disk, digits, dropping)}))
