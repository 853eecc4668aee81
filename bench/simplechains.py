"""The workload that SimpleChains.jl shows itself with: a small regression on its full batch.

A network 4-32-16-4, tanh between its layers, squared error, Adam, 10 000 samples at once, float32.
"""
from __future__ import annotations

from itertools import pairwise

import machine  # noqa: F401 (before NumPy)
import numpy as np

import minidl

WIDTHS = (4, 32, 16, 4)
SAMPLES = 10_000
FLOPS = 2 * SAMPLES * (3 * (4 * 32 + 32 * 16 + 16 * 4) - 4 * 32)  # y, dW, dx of each layer but the first's dx
SETTINGS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}


def data() -> tuple[np.ndarray, np.ndarray]:
    """2 x 2 matrices A, and tanh of them times themselves: any smooth target will do."""
    x = np.random.default_rng(0).standard_normal((SAMPLES, 4), np.float32)
    a = x.reshape(-1, 2, 2)
    return x, np.tanh(a @ a).reshape(-1, 4)


def weights(dtype=np.float32) -> list[np.ndarray]:
    """W (in, out), b of each layer in turn."""
    rng = np.random.default_rng(1)
    return [rng.uniform(-1, 1, shape).astype(dtype) / dtype(np.sqrt(n))
            for n, m in pairwise(WIDTHS) for shape in ((n, m), (m,))]


def right_losses(steps: int) -> list[float]:
    """In float64 by hand."""
    (x, y), p = data(), [value.astype(np.float64) for value in weights()]
    first, second, losses = [0.0] * len(p), [0.0] * len(p), []
    (b1, b2), lr, eps = SETTINGS["betas"], SETTINGS["lr"], SETTINGS["eps"]
    for t in range(1, steps + 1):
        h = [x, np.tanh(x @ p[0] + p[1])]
        h.append(np.tanh(h[1] @ p[2] + p[3]))
        error = h[2] @ p[4] + p[5] - y
        losses.append(float((error**2).mean()))
        dz, gradients = 2 * error / error.size, []
        for i in (2, 1, 0):
            gradients = [h[i].T @ dz, dz.sum(axis=0), *gradients]
            dz = dz @ p[2 * i].T * (1 - h[i] ** 2)
        for i, g in enumerate(gradients):
            first[i], second[i] = b1 * first[i] + (1 - b1) * g, b2 * second[i] + (1 - b2) * g * g
            p[i] = p[i] - lr * (first[i] / (1 - b1**t)) / (np.sqrt(second[i] / (1 - b2**t)) + eps)
    return losses


class Minidl:
    def __init__(self):
        self.x, self.y = data()
        layers = []
        for n, m in pairwise(WIDTHS):
            layers += [minidl.nn.Linear(n, m), minidl.nn.Tanh()]
        self.model = minidl.nn.Sequential(layers[:-1])
        for parameter, value in zip(self.model.parameters(), weights(), strict=True):
            parameter.data = value.T
        self.criterion = minidl.nn.MSELoss()
        self.optimizer = minidl.optim.Adam(self.model.parameters(), **SETTINGS)

    def step(self) -> float:
        loss = self.criterion(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        self.model.accumulate(self.criterion.backward())
        self.optimizer.step()
        return loss


class MinidlCaptured(Minidl):
    def __init__(self):
        super().__init__()
        captured = minidl.capture(self.model, self.criterion, self.optimizer)
        self.step = lambda: captured(self.x, self.y)


class PyTorch:
    def __init__(self):
        from rival_pytorch import torch
        self.x, self.y = map(torch.from_numpy, data())
        layers = []
        for n, m in pairwise(WIDTHS):
            layers += [torch.nn.Linear(n, m), torch.nn.Tanh()]
        self.model = torch.nn.Sequential(*layers[:-1])
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), weights(), strict=True):
                parameter.copy_(torch.from_numpy(value.T))
        self.criterion = torch.nn.MSELoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True, **SETTINGS)

    def step(self) -> float:
        loss = self.criterion(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


CLASSES = {"minidl captured": MinidlCaptured, "minidl": Minidl, "PyTorch eager": PyTorch}


def checked(name: str):
    """A rival whose first losses are those of float64."""
    contestant = CLASSES[name]()
    np.testing.assert_allclose([contestant.step() for _ in range(4)], right_losses(4), rtol=1e-4, err_msg=name)
    return contestant
