"""Many replays of a recorded step in one call: what they leave is what single steps, and Python, leave."""
import os
import signal
import threading

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.training import Callback, EarlyStopping, fit

N = 150
pytestmark = pytest.mark.usefixtures("calls")


class Residual(nn.Module):
    """x + tanh(W x + b)."""

    def __init__(self):
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return x + F.tanh(self.inner(x))


class Two(nn.Module):
    """Of two inputs."""

    def __init__(self):
        self.a, self.b = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, x, u):
        return F.relu(self.a(x)) + self.b(u)


class Flat(nn.Module):
    """One number a row, without an axis."""

    def __init__(self):
        self.a = nn.Linear(3, 1)

    def forward(self, x):
        return self.a(x).reshape(-1)


class Doubled(nn.Module):
    """A module on arrays, which is called in its place."""

    def forward(self, x):
        return 2 * x

    def backward(self, gradient):
        return 2 * gradient


MODELS = {
    "residual": lambda: nn.Sequential(Residual(), nn.Linear(3, 4)),
    "two inputs": Two,
    "normalised": lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4)),
    "dropping": lambda: nn.Sequential(Residual(), nn.Dropout(0.3), nn.Linear(3, 4)),
    "one number": Flat,
    "in place": lambda: nn.Sequential(Residual(), Doubled(), nn.Linear(3, 4)),
}
LOSSES = {"cross entropy": nn.CrossEntropyLoss, "smoothed": lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
          "Huber": nn.HuberLoss, "a function": lambda: lambda z, t: F.mean((z - t) ** 2)}
OPTIMIZERS = {"SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.5), "Lion": lambda p: optim.Lion(p, lr=0.01),
              "Adam": lambda p: optim.Adam(p, lr=0.01)}


def trained(model, loss, optimizer, captured, rate=None, dtype=np.float32, labels=(), **options):
    """All that a training leaves but its seconds, to be compared by ==."""
    minidl.manual_seed(2)
    network, criterion, generator = MODELS[model](), LOSSES[loss](), np.random.default_rng(1)
    if dtype is np.float64:
        network.double()
    rule = OPTIMIZERS[optimizer](network.parameters())
    if rate is not None:
        rule.lr = rate
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((N, 3)).astype(dtype)]
    if model == "two inputs":
        inputs.append(rng.standard_normal((N, 2)).astype(dtype))
    target = rng.integers(0, 4, N)
    for row, label in labels:
        target[row] = label
    if loss in ("Huber", "a function"):
        target = (target % 2).astype(dtype) if model == "one number" else np.eye(4)[target].astype(dtype)
    history, error = None, ""
    options = {"epochs": 4, "batch_size": 10} | options
    try:
        history = fit(network, criterion, rule, (*inputs, target), seed=generator, progress=False, captured=captured,
                      **options)
    except (FloatingPointError, ValueError) as failure:
        error = str(failure)
    state = [{name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in one.items()}
             for one in rule.state_dict()["state"]]
    return {"weights": [p.data.tobytes() for p in network.parameters()],
            "buffers": [b.data.tobytes() for b in network.buffers()],
            "versions": [p.status.version for p in network.parameters()],
            "state": state, "error": error, "generator": generator.bit_generator.state,
            "history": history and vars(history) | {"seconds": None, "path": None}}


PAIRS = [(model, loss) for model in MODELS for loss in LOSSES
         if model != "one number" or loss in ("Huber", "a function")]


@pytest.mark.parametrize("model, loss", PAIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_models_and_losses(calls, model, loss, dtype):
    plain = trained(model, loss, "SGD", False, dtype=dtype)
    assert not calls and plain["history"]["error"][0] is not None
    assert trained(model, loss, "SGD", True, dtype=dtype) == plain
    assert bool(calls) == (model != "in place")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 7, 10, 64, 150, 300])
def test_optimizers_and_sizes(calls, optimizer, batch_size):
    plain = trained("residual", "cross entropy", optimizer, False, batch_size=batch_size, epochs=12)
    assert trained("residual", "cross entropy", optimizer, True, batch_size=batch_size, epochs=12) == plain
    assert sum(calls) > N


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(calls, threads):
    plain = trained("residual", "cross entropy", "Adam", False, batch_size=50)
    minidl.set_num_threads(threads)
    try:
        assert trained("residual", "cross entropy", "Adam", True, batch_size=50) == plain
    finally:
        minidl.set_num_threads(1)
    assert calls


@pytest.mark.parametrize("rate", [30.0, 1e4, 1e9])
def test_a_loss_that_is_not_finite(calls, rate):
    plain = trained("residual", "a function", "SGD", False, rate=rate, epochs=20)
    assert "the loss became" in plain["error"]
    assert trained("residual", "a function", "SGD", True, rate=rate, epochs=20) == plain


@pytest.mark.parametrize("label", [-1, 4, 2**40, -100])
def test_labels_that_do_not_fit_or_are_ignored(label):
    plain, compiled = [trained("residual", "cross entropy", "SGD", way, labels=[(70, label), (111, label)])
                       for way in (False, True)]
    assert bool(plain["error"]) == (label != -100)
    if label == -100:  # ignored by the loss
        assert compiled == plain
    else:
        assert {name: compiled[name] for name in ("weights", "state", "generator")} == {
            name: plain[name] for name in ("weights", "state", "generator")} and compiled["error"]


class Changing(Callback):
    """Changes the training behind the second epoch."""

    def __init__(self, change):
        self.change = change

    def on_train_begin(self, model, optimizer, epochs):
        self.parts = model, optimizer

    def on_epoch_end(self, epoch, logs):
        if epoch == 2:
            self.change(*self.parts)


def _freeze(model, optimizer):
    model[0].requires_grad_(False)


def _rate(model, optimizer):
    optimizer.lr = 0.01


def _longer(model, optimizer):
    model.append(nn.Tanh())


def _evaluating(model, optimizer):
    model.eval()


@pytest.mark.parametrize("change", [_freeze, _rate, _longer, _evaluating])
def test_a_change_between_epochs(calls, change):
    plain = trained("dropping", "cross entropy", "Adam", False, callbacks=[Changing(change)])
    assert trained("dropping", "cross entropy", "Adam", True, callbacks=[Changing(change)]) == plain
    assert calls


def test_validation_and_early_stopping(calls):
    rng = np.random.default_rng(4)
    held_out = rng.standard_normal((20, 3)).astype(np.float32), np.arange(20) % 4
    plain, compiled = [trained("normalised", "cross entropy", "SGD", way, epochs=9, validation=held_out,
                               callbacks=[EarlyStopping(2)]) for way in (False, True)]
    assert compiled == plain and calls


def test_interrupted_between_two_steps(calls):
    minidl.manual_seed(0)
    model = MODELS["residual"]()
    x = np.random.default_rng(0).standard_normal((N, 3)).astype(np.float32)
    parts = model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.01)
    before = {p.status.version for p in model.parameters()}.pop()
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    history = fit(*parts, (x, np.arange(N) % 4), epochs=10**5, batch_size=10, seed=0, progress=False)
    timer.join()
    assert history.stopped == "interrupted" and calls and len(history.iteration_loss) >= 15 * len(history)
    assert {p.status.version for p in model.parameters()} == {
        before + len(history.iteration_loss)}  # no step was half made


def test_what_a_program_does_not_take():
    minidl.manual_seed(0)
    model = MODELS["residual"]()
    x = np.random.default_rng(0).standard_normal((N, 3)).astype(np.float32)
    y, order = np.arange(N) % 4, np.arange(N)
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.01))
    for _ in range(3):
        step(x[:10], y[:10])
    program, loss, output = step.recent()
    before = [p.data.tobytes() for p in model.parameters()]
    going_on = type("Going", (), {"requested": False})
    shifted = np.empty(8 * N + 1, np.uint8)[1:].view(np.int64)
    for arrays, rows, size in [((x,), order, 10), ((x, y), order, 9), ((x, y), order, 0), ((x, y), order[:9], 10),
                               ((x, y[:-1]), order, 10), ((x.astype(np.float64), y), order, 10),
                               ((x[:, :2], y), order, 10), ((x, list(y)), order, 10), ((x[::-1], y), order, 10),
                               ((x, y), order + N, 10),
                               ((x, y), -1 - order, 10), ((x, y), shifted, 10), ((), order, 10), ((x,) * 9, order, 10)]:
        assert program.steps(arrays, rows, size, 0.0, loss, going_on) == ([], 0.0, 0)
    assert program.steps((x, y), order, 10, 0.0, loss, going_on, output, shifted) == ([], 0.0, 0)
    assert program.steps((x, y), order, 10, 0.0, loss, going_on, output, y[:-1]) == ([], 0.0, 0)
    assert [p.data.tobytes() for p in model.parameters()] == before
    losses, total, wrong = program.steps((x, y), order[:35], 10, 1.0, loss, going_on, output, y)
    assert 0 < len(losses) <= 3 and total == pytest.approx(1 + 10 * sum(losses)) and 0 <= wrong <= 30
