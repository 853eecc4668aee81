"""Two copies of one training, one stepped with the modules and one captured, and the bits of both."""
from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.compiled.model_step import ModelStep

SIZES = [4, 16, 1, 17, 33, 7, 100]

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "maximize": lambda p: optim.SGD(p, lr=1e-3, momentum=0.5, weight_decay=0.1, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adam decay": lambda p: optim.Adam(p, lr=0.01, betas=(0.8, 0.99), weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adadelta": lambda p: optim.Adadelta(p, weight_decay=0.01),
}

LOSSES = {  # the loss, and whether the target is rows of probabilities
    "mse": (nn.MSELoss, False), "cross entropy": (nn.CrossEntropyLoss, False),
    "cross entropy of rows": (nn.CrossEntropyLoss, True), "nll": (nn.NLLLoss, False),
}
CASES = [(name, reduction) for name in LOSSES
         for reduction in ("mean", "sum", *(["batchmean"] if name == "mse" else []))]


def mixed(dtype=np.float32) -> nn.Sequential:
    """(N, 7) -> (N, 3): nested, with and without biases, dropout inside, odd widths."""
    return nn.Sequential(
        nn.Identity(), nn.Linear(7, 33, dtype=dtype), nn.ReLU(),
        nn.Sequential(nn.Linear(33, 17, bias=False, dtype=dtype), nn.ELU(1.3), nn.Dropout(0.3)),
        nn.Linear(17, 3, dtype=dtype), nn.LogSoftmax())


def small(dtype=np.float32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5, dtype=dtype), nn.Tanh(), nn.Linear(5, 3, dtype=dtype))


def tensor_step(model, criterion, optimizer, x, y) -> float:
    """The step as one writes it with Tensors."""
    loss = criterion(model(minidl.tensor(x)), minidl.tensor(y))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def check_compiled_as_plain(make, batches) -> None:
    """A captured step has the bits of one on Tensors; make() gives model and optimizer, batches() the data."""
    found = []
    for captured in (True, False):
        minidl.manual_seed(0)
        model, optimizer = make()
        criterion = nn.CrossEntropyLoss()
        step = minidl.capture(model, criterion, optimizer) if captured else partial(
            tensor_step, model, criterion, optimizer)
        losses = [step(x, y) for x, y in batches()]
        if captured:
            assert step.path == "compiled"
        found.append((losses, {name: value.tobytes() for name, value in model.state_dict().items()}))
    assert found[0] == found[1]


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
        found[name], found[f"{name}.grad"] = digest(parameter.data), digest(parameter.gradient)
        found[f"{name} has"] = str(parameter.grad is not None)
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
        if isinstance(self.step, ModelStep):  # which takes batches
            loss = self.step(x, y) if index is None else self.step(x[index], y[index])
        else:
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


def trained(make_model, widths=(4, 3), criterion=None, optimizer=OPTIMIZERS["adam"], dtype=np.float32,
            sizes=(5, 16, 3), soft=False) -> Twins:
    """Twins after some batches, checked."""
    def make():
        model = make_model()
        return model, criterion or nn.CrossEntropyLoss(), optimizer(model.parameters())

    twins = Twins(make)
    for x, y in batches(make()[1], widths, sizes, dtype, soft=soft):
        twins.train(x, y)
    twins.check()
    return twins


def state(step) -> dict[str, str]:
    return bits(step.model, step.optimizer)


def refused(step, error, message, *batch) -> None:
    before = state(step)
    with pytest.raises(error, match=f"^capture: {message}"):
        step(*batch)
    assert state(step) == before


class Mine(nn.Module):
    def forward(self, x):
        return x * 2


class Huber(nn.Module):
    """Half the square up to one, linear beyond; the sum."""

    def forward(self, z, t):
        self.saved = d = z - t
        return np.where(abs(d) < 1, d * d / 2, abs(d) - 0.5).sum(dtype=np.float64)

    def backward(self):
        return self.require_saved().clip(-1, 1)
