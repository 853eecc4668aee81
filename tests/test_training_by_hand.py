"""fit and evaluate step by step: what is called when and with what, what the history says, plain and captured."""
from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data.batches import Batches
from minidl.optim.lr_scheduler import LRScheduler
from minidl.training import Criterion, progress
from minidl.training.callbacks import Callback, Progress

N = 5
X, Y = np.random.default_rng(0).normal(size=(N, 3)), np.random.default_rng(1).normal(size=(N, 2))
LABELS = np.array([0, 1, 1, 0, 1])
PATHS = pytest.mark.parametrize("captured", [True, False])


def model(**settings):
    return nn.Linear(3, 2, dtype=np.float64, generator=4, **settings)


def orders(seed, epochs):
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        order = np.arange(N)
        generator.shuffle(order)
        yield order


class Noted(LRScheduler):
    def __init__(self, optimizer, interval, metric):
        super().__init__(optimizer)
        vars(type(self))  # the class says when and with what it is called
        self.seen = []

    def step(self, *given):
        self.seen.append(given)
        self.last_epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] /= 2


def noted(interval, metric):
    return type("Scheduled", (Noted,), {"interval": interval, "metric": metric})


@PATHS
@pytest.mark.parametrize("interval", ["epoch", "iteration"])
def test_three_epochs_written_out(interval, captured):
    """Weights, losses and rates of full-batch and small-batch descent, in NumPy."""
    layer, criterion = model(), nn.MSELoss("batchmean")
    w, b = layer.weight.data.copy(), layer.bias.data.copy()
    optimizer = optim.SGD(layer.parameters(), lr=0.25)
    scheduler = noted(interval, None)(optimizer, interval, None)
    history = minidl.fit(layer, criterion, optimizer, (X, Y), epochs=3, batch_size=2, seed=7, scheduler=scheduler,
                         progress=False, captured=captured)
    lr, losses, rates, means, last = 0.25, [], [], [], []
    for order in orders(7, 3):
        epoch = 0.0
        for i in (order[:2], order[2:4], order[4:]):
            d = X[i] @ w.T + b - Y[i]
            losses.append((d * d).sum() / len(i))
            rates.append(lr)
            epoch += losses[-1] * len(i)
            g = 2 * d / len(i)
            w, b = w - lr * g.T @ X[i], b - lr * g.sum(0)
            lr = lr / 2 if interval == "iteration" else lr
        means.append(epoch / N)
        last.append(rates[-1])
        lr = lr / 2 if interval == "epoch" else lr
    np.testing.assert_allclose(layer.weight.data, w, rtol=1e-10)
    np.testing.assert_allclose(layer.bias.data, b, rtol=1e-10)
    np.testing.assert_allclose(history.iteration_loss, losses, rtol=1e-10)
    np.testing.assert_allclose(history.loss, means, rtol=1e-10)
    assert history.iteration_lr == rates and history.lr == last
    assert history.error == history.validation_loss == history.validation_error == [None] * 3
    assert len(history) == 3 and history.stopped == "" and history.seconds == sorted(history.seconds)
    assert history.seconds[0] >= 0 and history.seconds[-1] < 60
    assert scheduler.seen == [()] * (3 if interval == "epoch" else 9)


@PATHS
@pytest.mark.parametrize("metric", ["loss", "validation_loss", "validation_error"])
def test_a_scheduler_is_given_what_it_names(metric, captured):
    layer = model()
    optimizer = optim.SGD(layer.parameters(), lr=0.25)
    scheduler = noted("epoch", metric)(optimizer, "epoch", metric)
    history = minidl.fit(layer, nn.CrossEntropyLoss(), optimizer, (X, LABELS), validation=(X[:3], LABELS[:3]), epochs=2,
                         seed=0, scheduler=scheduler, progress=False, captured=captured)
    assert scheduler.seen == [(value,) for value in getattr(history, metric)]


@PATHS
def test_losses_and_errors_of_validation(captured):
    layer = model()
    history = minidl.fit(layer, nn.CrossEntropyLoss(), optim.SGD(layer.parameters(), lr=0.25), (X, LABELS),
                         validation=(X[:4], LABELS[:4]), epochs=1, batch_size=5, seed=0, progress=False,
                         captured=captured)
    z = X[:4] @ layer.weight.data.T + layer.bias.data
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert history.validation_loss == pytest.approx([-np.log(p[np.arange(4), LABELS[:4]]).mean()], rel=1e-10)
    assert history.validation_error == [100 * float((z.argmax(1) != LABELS[:4]).mean())]
    first = model()
    z = X @ first.weight.data.T + first.bias.data
    assert history.error == [100 * float((z.argmax(1) != LABELS).mean())]  # before the update
    assert layer.training


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_evaluate_weighs_batches_by_their_samples(batch_size):
    layer = model()
    d = X @ layer.weight.data.T + layer.bias.data - Y
    result = minidl.evaluate(layer, nn.MSELoss("batchmean"), (X, Y), batch_size=batch_size)
    assert result == (pytest.approx((d * d).sum() / N, rel=1e-12), None)
    assert (result.loss, result.error) == tuple(result)
    halved = minidl.evaluate(layer, nn.MSELoss("sum"), (X, Y), batch_size=batch_size)
    sizes = [min(batch_size, N - i) for i in range(0, N, batch_size)]
    sums = [(d[i:i + batch_size] ** 2).sum() for i in range(0, N, batch_size)]
    assert halved.loss == pytest.approx(np.dot(sums, sizes) / N, rel=1e-12)


def test_sizes_of_batches_in_evaluation(monkeypatch):
    sizes, whole = [], Batches

    def batches(count, batch_size, **settings):
        sizes.append((batch_size, settings.get("shuffle", True)))
        return whole(count, batch_size, **settings)

    for name in ("inputs", "evaluate"):
        monkeypatch.setattr(sys.modules[f"minidl.training.{name}"], "Batches", batches)
    for given, expected in ((2, 1024), (1024, 1024), (2000, 2000)):
        layer = model()
        sizes.clear()
        minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters()), (X, Y), validation=(X, Y), batch_size=given,
                   progress=False)
        assert sizes == [(given, True), (expected, False)]
    sizes.clear()
    minidl.evaluate(model(), nn.MSELoss(), (X, Y))
    assert sizes == [(1024, False)]


class Watch(Callback):
    def __init__(self, answers=()):
        self.answers, self.calls = dict(answers), []

    def on_train_begin(self, *given):
        self.calls.append(("begin", *given[2:]))

    def on_epoch_end(self, epoch, logs):
        self.calls.append((epoch, list(logs)))
        logs.clear()  # its own
        return self.answers.get(epoch)

    def on_train_end(self):
        self.calls.append(("end",))


@PATHS
def test_callbacks(captured):
    first, second = Watch(), Watch({2: "enough", 3: "never"})
    layer = model()
    history = minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters()), (X, Y), epochs=5, progress=False,
                         callbacks=[first, second], captured=captured)
    names = ["loss", "error", "lr", "validation_loss", "validation_error", "seconds"]
    assert first.calls == second.calls == [("begin", 5), (1, names), (2, names), ("end",)]
    assert history.stopped == "enough" and len(history) == 2
    both = [Watch({1: "one"}), Watch({1: "two"})]
    history = minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters()), (X, Y), epochs=5, progress=False,
                         callbacks=both)
    assert history.stopped == "one" and [len(watch.calls) for watch in both] == [3, 3]


@PATHS
def test_a_loss_that_is_not_finite(captured):
    layer = nn.Linear(3, 2)
    optimizer = optim.SGD(layer.parameters(), lr=1e30)
    with pytest.raises(FloatingPointError, match=r"^fit: the loss became (inf|nan) at epoch 1, step 2 \(learning rate "
                                                 r"1e\+30\); the weights are those before this step$"):
        minidl.fit(layer, nn.MSELoss(), optimizer, (X, Y), batch_size=2, epochs=2, seed=0, progress=False,
                   captured=captured)
    assert np.isfinite(layer.weight.data).all()
    assert not isinstance(layer.weight.grad, type(None))


@PATHS
def test_a_transform_sees_the_first_input_as_it_is(captured):
    seen = []

    def halve(images):
        seen.append((images.dtype, len(images)))
        return images / 2

    bytes_, layer = (10 * np.abs(X)).astype(np.uint8), model()
    minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters(), lr=0.0), (bytes_, Y), transform=halve, batch_size=3,
               progress=False, validation=(bytes_, Y), captured=captured)
    assert [s for s in seen if s[1]] == [(np.uint8, 3), (np.uint8, 2), (np.uint8, 5)]
    d = bytes_ / 2 @ layer.weight.data.T + layer.bias.data - Y
    assert minidl.evaluate(layer, nn.MSELoss(), (bytes_, Y), transform=halve).loss == pytest.approx((d * d).mean())


def test_dropouts_get_the_generator_for_the_time_of_the_training():
    own, other = nn.Dropout(0.5, generator=3), nn.Dropout(0.5)
    network = nn.Sequential(own, other, nn.Linear(3, 2))
    generator, before, seen = np.random.default_rng(5), own.generator, []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append((own.generator, other.generator))

    minidl.fit(network, nn.MSELoss(), optim.SGD(network.parameters()), (X, Y), seed=generator, callbacks=[Look()],
               progress=False)
    assert seen == [(before, generator)] and other.generator is None and own.generator is before


@pytest.mark.parametrize("criterion, error, message", [
    (nn.MSELoss("none"), ValueError, "expected a criterion that reduces to one number, got MSELoss.reduction='none'."),
    (nn.MSELoss, TypeError, "criterion, got the class MSELoss"), (3, TypeError, "as criterion, got int"),
    (lambda z, t: 3.0, TypeError, "expected a function that gives a Tensor, got float")])
def test_criteria_that_are_refused(criterion, error, message):
    layer = model()
    with pytest.raises(error, match=message):
        minidl.fit(layer, criterion, optim.SGD(layer.parameters()), (X, Y), progress=False)
    with pytest.raises(error, match=message):
        minidl.evaluate(layer, criterion, (X, Y))


def test_a_function_of_tensors():
    criterion = Criterion(lambda z, t: ((z - t) ** 2).sum())
    assert criterion.forward(Y, 0 * Y) == pytest.approx((Y ** 2).sum())
    np.testing.assert_allclose(criterion.backward(), 2 * Y)
    criterion.forward(Y, 0 * Y)
    np.testing.assert_allclose(criterion.backward(3.0), 6 * Y)


def test_ones_alone_are_what_the_model_was_trained_on():
    for coding, limit in (((0, 1), 0.5), ((-1, 1), 0.0)):
        layer = nn.Linear(3, 1, generator=0)
        target = np.where(LABELS, 1, coding[0])[:, None]
        minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters(), lr=0.0), (X, target), progress=False)
        layer.weight.data, layer.bias.data = np.zeros((1, 3), np.float32), np.full(1, 0.25, np.float32)
        assert minidl.evaluate(layer, nn.MSELoss(), (X, np.ones((N, 1)))).error == (100 if limit else 0)
        assert minidl.evaluate(layer, nn.MSELoss(), (X, np.ones((N, 1))), coding=(-1, 1)).error == 0


# Progress

class Terminal(io.StringIO):
    def isatty(self):
        return True


LOGS = {"loss": 0.123456, "error": 12.5, "validation_loss": None, "validation_error": 3.0, "lr": 0.1, "seconds": 1.0}
TEXT = "loss 0.1235  error 12.5 %  validation error 3 %"


def clock(monkeypatch, *times):
    ticks = iter(times)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(ticks))


def test_plain_lines(monkeypatch):
    stream = io.StringIO()
    shown_to = Progress(stream)
    clock(monkeypatch, 100.0, *(100.0 + i for i in range(1, 26)))
    shown_to.on_train_begin(None, None, 25)
    for epoch in range(1, 26):
        shown_to.on_epoch_end(epoch, LOGS)
    shown_to.on_train_end()
    assert stream.getvalue().splitlines() == [
        f"epoch {epoch}/25  {TEXT}  {epoch}.0 s, {25 - epoch} s left"
        for epoch in (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)]


def test_a_bar(monkeypatch):
    stream = Terminal()
    shown_to = Progress(stream)
    clock(monkeypatch, 100.0, 110.0, 110.05, 112.0, 112.01)
    shown_to.on_train_begin(None, None, 4)
    for epoch in range(1, 5):
        shown_to.on_epoch_end(epoch, LOGS)
    shown_to.on_train_end()
    shown = stream.getvalue()
    assert shown == "".join(
        f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] epoch {epoch}/4  {TEXT}  {seconds} s, {left} s left"
        for epoch, filled, seconds, left in ((1, 6, "10.0", 30), (3, 18, "12.0", 4), (4, 24, "12.0", 0))) + "\n"


def test_progress_goes_to_standard_error(capsys):
    shown_to = Progress()
    shown_to.on_train_begin(None, None, 1)
    shown_to.on_epoch_end(1, LOGS)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"epoch 1/1  {TEXT}  ")
