"""The networks that are timed, one training step of each: with minidl, and by hand in NumPy.

A step is forward, softmax cross-entropy (P: mean squared error), backward and plain SGD, in float32. Every rival
begins with the same weights and sees the same batch. The others stand in files of their own, ``rival_*.py``.
"""
from __future__ import annotations

import math
from itertools import pairwise

import machine  # noqa: F401 (before NumPy)
import numpy as np

import minidl

WIDTHS = {"S": (2, 25, 25, 25, 2), "M": (784, 128, 10), "M3": (784, 256, 256, 10), "L": (784, 1024, 1024, 10),
          "RL": (4, 120, 84, 2), "P": (1446, 512, 256, 64, 1)}
LEARNING_RATE = 0.01


def is_tanh(network: str) -> bool:
    """S has tanh between its layers; the others have relu."""
    return network == "S"


def is_regression(network: str) -> bool:
    """P predicts one number; the others tell classes apart."""
    return WIDTHS[network][-1] == 1


def batch(network: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """x (size, in), normal, and labels (size,), or normal targets (size, 1)."""
    rng = np.random.default_rng(size)
    x = rng.standard_normal((size, WIDTHS[network][0]), np.float32)
    if is_regression(network):
        return x, rng.standard_normal((size, 1), np.float32)
    return x, rng.integers(0, WIDTHS[network][-1], size)


def weights(network: str, seed: int | list[int] = 0) -> list[np.ndarray]:
    """W (in, out) and b (out,) of each layer in turn, uniform in ±1/√in."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(n))
            for n, m in pairwise(WIDTHS[network]) for shape in ((n, m), (m,))]


def forward_flops(network: str, size: int) -> int:
    """Of the products: 2 for each weight and sample."""
    return 2 * size * sum(n * m for n, m in pairwise(WIDTHS[network]))


def step_flops(network: str, size: int) -> int:
    """Of the products: y, dW and dx of each layer, without the dx of the first."""
    first = 2 * size * WIDTHS[network][0] * WIDTHS[network][1]
    return 3 * forward_flops(network, size) - first


def epoch_steps(network: str, size: int) -> int:
    """How many steps make an epoch, for the rivals that train whole epochs: about a tenth of a second."""
    return int(np.clip(2e9 // step_flops(network, size), 8, 512))


class Minidl:
    """minidl's modules on arrays: the explicit protocol."""

    def __init__(self, network: str, size: int):
        self.x, self.y = batch(network, size)
        layers: list[minidl.nn.Module] = []
        for n, m in pairwise(WIDTHS[network]):
            layers += [minidl.nn.Linear(n, m), minidl.nn.Tanh() if is_tanh(network) else minidl.nn.ReLU()]
        self.model = minidl.nn.Sequential(layers[:-1])
        for parameter, value in zip(self.model.parameters(), weights(network), strict=True):
            parameter.data = value.T
        self.criterion = minidl.nn.MSELoss() if is_regression(network) else minidl.nn.CrossEntropyLoss()
        self.optimizer = minidl.optim.SGD(self.model.parameters(), lr=LEARNING_RATE)

    def predict(self) -> np.ndarray:
        return self.model.predict(self.x)

    def step(self) -> float:
        loss = self.criterion(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        self.model.accumulate(self.criterion.backward())
        self.optimizer.step()
        return loss

    def weights(self) -> list[np.ndarray]:
        return [parameter.data.T for parameter in self.model.parameters()]


class MinidlCaptured(Minidl):
    """minidl's step as one compiled call, as ``fit`` uses it."""

    def __init__(self, network: str, size: int):
        super().__init__(network, size)
        self.captured = minidl.capture(self.model, self.criterion, self.optimizer)

    def step(self) -> float:
        return self.captured(self.x, self.y)


class MinidlHalfFrozen(MinidlCaptured):
    """The same with the first half of its layers frozen, as in fine-tuning."""

    def __init__(self, network: str, size: int):
        super().__init__(network, size)
        linears = [module for module in self.model if isinstance(module, minidl.nn.Linear)]
        for module in linears[:len(linears) // 2]:
            module.requires_grad_(False)


class MinidlTape(Minidl):
    """minidl on its tape: PyTorch's protocol."""

    def step(self) -> float:
        loss = self.criterion(self.model(minidl.tensor(self.x)), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


class ByHand:
    """The step written out in NumPy, in place wherever NumPy can; in float64 it is the judge of all."""

    def __init__(self, network: str, size: int, dtype=np.float32):
        x, self.y = batch(network, size)
        self.x, self.rows, self.tanh = x.astype(dtype), np.arange(size), is_tanh(network)
        self.squared = is_regression(network)
        self.put(weights(network))

    def put(self, values: list[np.ndarray]) -> None:
        """Go on from these weights."""
        values = [value.astype(self.x.dtype) for value in values]
        self.layers = list(zip(values[::2], values[1::2], strict=True))

    def forward(self) -> list[np.ndarray]:
        """The input of each layer, and the output of the last."""
        values = [self.x]
        for i, (w, b) in enumerate(self.layers):
            z = values[-1] @ w
            z += b
            if i < len(self.layers) - 1:
                np.tanh(z, out=z) if self.tanh else np.maximum(z, 0, out=z)
            values.append(z)
        return values

    def predict(self) -> np.ndarray:
        return self.forward()[-1]

    def step(self) -> float:
        *inputs, z = self.forward()
        loss, gradient = self.squared_error(z) if self.squared else self.cross_entropy(z)
        for i in reversed(range(len(self.layers))):
            (w, b), x = self.layers[i], inputs[i]
            dw, db = x.T @ gradient, gradient.sum(axis=0)
            if i:
                gradient = gradient @ w.T
                gradient *= 1 - x * x if self.tanh else x > 0
            dw *= LEARNING_RATE
            w -= dw
            b -= LEARNING_RATE * db
        return float(loss)

    def cross_entropy(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean, and its derivative in the place of z."""
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z, out=z)
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[self.rows, self.y]).mean()
        p[self.rows, self.y] -= 1
        p /= len(p)
        return float(loss), p

    def squared_error(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean, and its derivative in the place of z."""
        z -= self.y
        loss = np.square(z).mean()
        z *= 2 / z.size
        return float(loss), z

    def weights(self) -> list[np.ndarray]:
        return [value for layer in self.layers for value in layer]
