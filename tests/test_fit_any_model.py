"""fit runs whatever model, loss and optimizer compiled, or says why not; the bits are those of the plain path."""
from __future__ import annotations

import random
from typing import ClassVar

import numpy as np
import pytest
from recorded_twins import bits
from twins import Huber

import minidl
from minidl import nn, optim
from minidl.training import Callback

ROWS = 23  # the last of the batches of 7 has two rows
RNG = np.random.default_rng(8)
X, Z = RNG.standard_normal((2, ROWS, 4)).astype(np.float32)
T, LABELS = RNG.standard_normal((ROWS, 3)).astype(np.float32), RNG.integers(0, 3, ROWS)


class Residual(nn.Module):
    def __init__(self):
        self.first, self.last = nn.Linear(4, 4, generator=1), nn.Linear(4, 3, generator=2)
        self.drop = nn.Dropout(0.4)

    def forward(self, x):
        return self.last(x + self.drop(minidl.relu(self.first(x))))


class TwoInputs(nn.Module):
    def __init__(self):
        self.left, self.right = nn.Linear(4, 3, generator=1), nn.Linear(4, 3, generator=2)

    def forward(self, x, z):
        return minidl.tanh(self.left(x)) * self.right(z)


class Doubled(nn.Module):
    """Written with NumPy, its backward, too."""

    def forward(self, x):
        self.saved = x
        return x * 2 + np.sin(x)

    def backward(self, gradient):
        return gradient * (2 + np.cos(self.require_saved()))


class Chain(nn.Module):
    """A Linear, a middle, a Linear."""

    def __init__(self, middle):
        self.first, self.middle, self.last = nn.Linear(4, 5, generator=1), middle, nn.Linear(5, 3, generator=2)

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


class Normed(nn.Module):
    """Batch normalisation with running statistics, which are updated in place."""

    def __init__(self):
        self.weight = nn.Parameter(np.ones(5, np.float32))
        self.mean, self.count = minidl.zeros(5), minidl.zeros(1)

    def forward(self, x):
        if not self.training:
            return (x - self.mean) * self.weight
        mean = x.mean(dim=0)
        with minidl.no_grad():
            self.mean.overwrite(self.mean * 0.9 + mean * 0.1)
            self.count.overwrite(self.count + 1)
        return (x - mean) * self.weight


class Running(nn.Module):
    """Written with NumPy; keeps a statistic in an array of its own."""

    def __init__(self):
        self.seen = np.zeros(5)

    def forward(self, x):
        self.seen += x.sum(axis=0)
        return x - np.float32(0.01) * self.seen.astype(np.float32)

    def backward(self, gradient):
        return gradient


class Rebound(Running):
    """The same, with a new array each time."""

    def forward(self, x):
        self.seen = self.seen + x.sum(axis=0)
        return x - np.float32(0.01) * self.seen.astype(np.float32)

    def backward(self, gradient):
        return gradient


class Noisy(nn.Module):
    """Noise in NumPy from a generator of its own, which cannot be recorded; a Dropout has drawn before."""

    def __init__(self):
        self.rng = np.random.default_rng(3)
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        return self.drop(x) + minidl.tensor(self.rng.standard_normal(x.shape).astype(np.float32))


class Draws(nn.Module):
    """Draws from its own generator, NumPy's and Python's, in its place."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        return x * np.float32(self.rng.random() + np.random.random() + random.random())

    def backward(self, gradient):
        return gradient


class Peeks(nn.Module):
    """Reads a value, after a Dropout and generators have drawn and a buffer was changed."""

    def __init__(self, always=True):
        self.always, self.drop, self.draws = always, nn.Dropout(0.5), Draws()
        self.count = minidl.zeros(1)

    def forward(self, x):
        x = self.draws(self.drop(x))
        with minidl.no_grad():
            self.count.overwrite(self.count + 1)
        if self.always and x.sum().item() > 0:
            return x * 2
        return x


def squared(output, target):
    return ((output - target) ** 2).mean() + 0.1 * minidl.abs(output).sum()


class Mine(optim.Optimizer):
    """A step of its own, with NumPy, and a state of its own."""

    rules: ClassVar = {"lr": lambda message, value: float(value)}

    def __init__(self, params):
        super().__init__(params, lr=0.05)
        self.velocity, self.steps = {}, [0]

    def step(self):
        self.steps[0] += 1
        for i, parameter in enumerate(self.param_groups[0]["params"]):
            v = self.velocity[i] = 0.9 * self.velocity.get(i, 0) - self.lr * parameter.gradient
            parameter.data += v


class Quiet(Mine):
    """The same at a small rate."""

    def __init__(self, params):
        super().__init__(params)
        self.lr = 1e-4


class Rule(optim.Optimizer):
    """An update rule of its own."""

    rules: ClassVar = {"lr": lambda message, value: float(value)}

    def __init__(self, params):
        super().__init__(params, lr=0.05)

    def update(self, group, part):
        for values, gradients, *_ in part.blocks():
            values -= np.float32(group["lr"]) * np.sign(gradients)


def adam(params):
    return optim.Adam(params, lr=0.01)


# the model, the criterion, the optimizer, the data, the path
FITS = {
    "a residual model with dropout": (Residual, nn.CrossEntropyLoss, adam, (X, LABELS), "compiled"),
    "several inputs": (TwoInputs, nn.MSELoss, adam, (X, Z, T), "compiled"),
    "a function as the loss": (Residual, lambda: squared, adam, (X, T), "compiled"),
    "a function as the loss of a Sequential": (
        lambda: nn.Sequential(nn.Linear(4, 5, generator=1), nn.Tanh(), nn.Linear(5, 3, generator=2)),
        lambda: squared, adam, (X, T), "compiled"),
    "a module in NumPy": (
        lambda: Chain(Doubled()), nn.MSELoss, adam, (X, T), "compiled; in place: Doubled backward, Doubled()"),
    "a loss in NumPy": (Residual, Huber, adam, (X, T), "compiled; in place: Huber.backward, Huber.forward"),
    "a loss in NumPy of a Sequential": (
        lambda: nn.Sequential(nn.Linear(4, 3, generator=1)), Huber, adam, (X, T),
        "compiled; in place: Huber.forward, Huber.backward"),
    "an optimizer's step": (Residual, nn.MSELoss, Mine, (X, T), "compiled; in place: Mine.step"),
    "an optimizer's rule": (Residual, nn.MSELoss, Rule, (X, T), "compiled; in place: Rule.step"),
    "an optimizer's step, of a Sequential": (
        lambda: nn.Sequential(nn.Linear(4, 3, generator=1)), nn.MSELoss, Mine, (X, T), "compiled; in place: Mine.step"),
    "a buffer": (lambda: Chain(Normed()), nn.MSELoss, adam, (X, T), "compiled"),
    "a buffer in NumPy": (
        lambda: Chain(Running()), nn.MSELoss, adam, (X, T), "compiled; in place: Running backward, Running()"),
    "another buffer in NumPy": (
        lambda: Chain(Rebound()), nn.MSELoss, adam, (X, T), "compiled; in place: Rebound backward, Rebound()"),
    "random numbers in place": (
        lambda: Chain(Draws()), nn.MSELoss, adam, (X, T), "compiled; in place: Draws backward, Draws()"),
    "noise": (
        lambda: Chain(Noisy()), nn.MSELoss, adam, (X, T),
        "plain: add: the function makes an array of shape (7, 5) outside minidl"),
    "a value read": (lambda: Chain(Peeks()), nn.MSELoss, Quiet, (X, T), "plain: item() takes a value out"),
    "data in float64": (Residual, nn.MSELoss, adam, (X.astype(float), T.astype(float)), "compiled"),
}


def fitted(make_model, make_criterion, make_optimizer, data, captured, **options):
    minidl.manual_seed(5)
    np.random.seed(6)
    random.seed(7)
    model = make_model()
    optimizer = make_optimizer(model.parameters())
    history = minidl.fit(model, make_criterion(), optimizer, data, seed=1, epochs=4, batch_size=7, progress=False,
                         captured=captured, **options)
    history.seconds.clear()
    path, history.path = history.path, ""
    generators = [bits(module.rng) for module in model.modules() if hasattr(module, "rng")]
    return path, (bits(model), bits(optimizer), history, generators, np.random.random(), random.random(),
                  bits(minidl.random.generator()), getattr(optimizer, "steps", None))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", FITS)
def test_compiled_and_plain_give_the_same_bits(case, threads):
    *parts, expected = FITS[case]
    minidl.set_num_threads(threads)
    try:
        path, found = fitted(*parts, captured=True)
        plainly, wanted = fitted(*parts, captured=False)
    finally:
        minidl.set_num_threads(1)
    assert found == wanted
    assert plainly == "plain: captured=False"
    assert path.startswith(expected) if expected.startswith("plain") else path == expected


class Later(Callback):
    """From an epoch on the model reads values."""

    def on_train_begin(self, model, optimizer, epochs):
        self.model = model

    def on_epoch_end(self, epoch, logs):
        self.model.middle.always = epoch >= 2


def test_a_step_that_can_be_recorded_no_more_goes_on_plain():
    parts = lambda: Chain(Peeks(always=False)), nn.MSELoss, Quiet, (X, T)
    path, found = fitted(*parts, captured=True, callbacks=[Later()])
    assert path.startswith("plain: item() takes a value out")
    assert found == fitted(*parts, captured=False, callbacks=[Later()])[1]
    assert fitted(*parts, captured=True)[0] == "compiled; in place: Draws backward, Draws(), Quiet.step"


@pytest.mark.parametrize("case", ["a residual model with dropout", "noise", "a value read", "an optimizer's step"])
def test_a_transform_is_called_once_a_batch(case):
    *parts, _ = FITS[case]
    sizes = []

    def transform(x):
        sizes.append(len(x))
        return x * 2

    found = fitted(*parts, captured=True, transform=transform)[1]
    assert sizes == [7, 7, 7, 2] * 4
    assert found == fitted(*parts, captured=False, transform=transform)[1]


def test_a_validation_in_between_changes_nothing():
    *parts, _ = FITS["a buffer"]
    path, found = fitted(*parts, captured=True, validation=(X[:9], T[:9]))
    assert path == "compiled"
    assert found == fitted(*parts, captured=False, validation=(X[:9], T[:9]))[1]


def test_the_loss_that_is_not_finite_is_told_with_its_epoch_and_step():
    x = X.copy()
    model = Residual()
    with pytest.raises(FloatingPointError, match=r"^fit: the loss became (inf|nan) at epoch \d, step \d"):
        minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e18), (x, T), epochs=9, batch_size=7,
                   progress=False, seed=0)
    assert all(np.isfinite(parameter.data).all() for parameter in model.parameters())
