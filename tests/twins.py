"""Two copies of one training, one stepped with the modules and one captured, and the bits of both."""
from __future__ import annotations

import hashlib

import numpy as np

import minidl
from minidl import nn


def plain_step(model, criterion, optimizer, x, y, index=None) -> float:
    """The step that a captured one must equal, as the modules write it."""
    if index is not None:
        x, y = x[index], y[index]
    loss = float(criterion(model(x), y))
    optimizer.zero_grad()
    model.accumulate(criterion.backward())
    optimizer.step()
    return loss


def bits(model, optimizer) -> dict[str, str]:
    """Hashes of all that a step may change."""
    found = {}
    for name, parameter in model.named_parameters():
        found[name], found[f"{name}.grad"] = digest(parameter.data), digest(parameter.grad)
    for number, state in enumerate(optimizer.state_dict()["state"]):
        for name, value in state.items():
            found[f"state {number} {name}"] = str(value) if name == "step" else digest(value)
    return found


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


class Twins:
    """make() -> (model, criterion, optimizer) is called twice, from one seed."""

    def __init__(self, make):
        self.plain, self.captured = self._made(make), self._made(make)
        self.step = minidl.capture(*self.captured)

    @staticmethod
    def _made(make):
        minidl.manual_seed(3)
        model, criterion, optimizer = make()
        for number, module in enumerate(model.modules()):
            if isinstance(module, nn.Dropout) and module.generator is None:
                module.generator = np.random.default_rng(number)
        return model, criterion, optimizer

    def train(self, x, y, index=None) -> float:
        """Both take the step; the loss, which is the same."""
        expected = plain_step(*self.plain, x, y, index)
        loss = self.step(x, y, index)
        assert loss == expected
        return loss

    def each(self, function) -> None:
        """function(model, optimizer) for both."""
        function(self.plain[0], self.plain[2])
        function(self.captured[0], self.captured[2])

    def check(self) -> None:
        assert bits(self.captured[0], self.captured[2]) == bits(self.plain[0], self.plain[2])


def target_for(criterion, rows: int, width: int, dtype, rng, soft: bool = False) -> np.ndarray:
    """Labels, or rows for MSELoss and, if soft, for CrossEntropyLoss."""
    if isinstance(criterion, nn.MSELoss):
        return rng.standard_normal((rows, width)).astype(dtype)
    if soft and isinstance(criterion, nn.CrossEntropyLoss):
        return rng.dirichlet(np.ones(width), rows).astype(dtype)
    return rng.integers(0, width, rows)


def batches(criterion, widths: tuple[int, int], sizes, dtype=np.float32, seed=0, soft=False):
    """(x, y) of these sizes."""
    rng = np.random.default_rng(seed)
    for size in sizes:
        x = rng.standard_normal((size, widths[0])).astype(dtype)
        yield x, target_for(criterion, size, widths[1], dtype, rng, soft)
