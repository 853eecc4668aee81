"""fit, evaluate, callbacks and History."""
from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.metrics import error_rate
from minidl.optim.lr_scheduler import CyclicLR, DecayOnRise, ReduceLROnPlateau, StepLR
from minidl.training.callbacks import Callback, EarlyStopping, Progress
from minidl.training.history import EPOCH_COLUMNS, History

COUNT = 60


def disk(seed=0, count=COUNT, dtype=np.float32):
    """Points of the unit square, and whether they are within 0.4 of its centre."""
    x = np.random.default_rng(seed).random((count, 2)).astype(dtype)
    return x, (np.hypot(*(x - 0.5).T) < 0.4).astype(np.int64)


def network(dropout=0.0, dtype=None, outputs=2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 8, dtype=dtype, generator=0), nn.Tanh(), nn.Dropout(dropout),
                         nn.Linear(8, outputs, dtype=dtype, generator=1))


def train(model=None, criterion=None, data=None, lr=0.1, optimizer=None, **options):
    """fit with the quiet defaults of these tests; (model, history)."""
    model = network() if model is None else model
    optimizer = optim.SGD(model.parameters(), lr=lr) if optimizer is None else optimizer
    options = {"seed": 0, "batch_size": 16, "progress": False, **options}
    data = disk() if data is None else data
    return model, minidl.fit(model, criterion or nn.CrossEntropyLoss(), optimizer, data, **options)


class AtEpoch(Callback):
    """Does something at the end of one epoch."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_epoch_end(self, epoch, logs):
        return self.action() if epoch == self.epoch else None


# The loop and its history

def test_fit_is_the_loop_written_out():
    data, model = disk(), network()
    twin, (_, history) = network(), train(model, data=data, epochs=3)
    optimizer, criterion, losses = optim.SGD(twin.parameters(), lr=0.1), nn.CrossEntropyLoss(), []
    batches = minidl.data.Batches(COUNT, 16, generator=0)
    for _ in range(3):
        for index in batches:
            losses.append(criterion(twin(data[0][index]), data[1][index]))
            optimizer.zero_grad()
            twin.backward(criterion.backward())
            optimizer.step()
    assert history.iteration_loss == losses
    assert model.flat_parameters.tobytes() == twin.flat_parameters.tobytes()


def test_history_by_iteration_and_epoch():
    _, history = train(epochs=5, validation=disk(seed=1), lr=0.05)
    assert len(history) == 5 and history.stopped == ""
    assert all(len(getattr(history, column)) == 5 for column in EPOCH_COLUMNS)
    assert len(history.iteration_loss) == len(history.iteration_lr) == 20
    assert history.lr == [0.05] * 5 and history.iteration_lr == [0.05] * 20
    assert history.seconds == sorted(history.seconds) and history.seconds[0] > 0
    sizes = np.array([16, 16, 16, 12])
    for epoch in range(5):
        of_epoch = np.array(history.iteration_loss[4 * epoch:4 * epoch + 4])
        assert history.loss[epoch] == pytest.approx((of_epoch * sizes).sum() / COUNT)
    assert all(0 <= error <= 100 for error in history.error + history.validation_error)


def test_validation_is_what_evaluate_gives():
    held_out = disk(seed=1, count=33)
    model, history = train(network(dropout=0.5), epochs=2, validation=held_out)
    result = minidl.evaluate(model, nn.CrossEntropyLoss(), held_out)
    assert (history.validation_loss[-1], history.validation_error[-1]) == result
    assert result == (result.loss, result.error)
    model.eval()
    output = model(held_out[0])
    assert result.loss == pytest.approx(nn.CrossEntropyLoss()(output, held_out[1]), rel=1e-6)
    assert result.error == error_rate(output, held_out[1])


def test_it_learns():
    data, model = disk(count=400), network()
    _, history = train(model, data=data, optimizer=optim.Adam(model.parameters(), lr=0.02), epochs=60)
    assert history.loss[-1] < history.loss[0] / 2
    assert minidl.evaluate(model, nn.CrossEntropyLoss(), data).error < 10


def test_evaluate_puts_the_modes_back_and_changes_nothing():
    model, data = network(dropout=0.5), disk()
    model[2].eval()
    model.flat_gradients[:] = 3
    before = model.flat_parameters.copy()
    criterion = nn.CrossEntropyLoss()
    results = {minidl.evaluate(model, criterion, data, batch_size=size).error for size in (1, 7, 1000)}
    assert len(results) == 1
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    np.testing.assert_array_equal(model.flat_parameters, before)
    assert (model.flat_gradients == 3).all()


def test_floats_are_cast_to_the_models_dtype_and_the_data_kept():
    data = disk(dtype=np.float64)
    before = data[0].copy()
    train(data=data)
    train(network(dtype=np.float64), data=disk())
    np.testing.assert_array_equal(data[0], before)


def test_history_is_saved_whole_and_loaded(tmp_path):
    _, history = train(epochs=2, validation=disk(seed=1))
    history.save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json") == history
    assert os.listdir(tmp_path) == ["history.json"]
    with pytest.raises(OSError, match="nowhere"):
        history.save(tmp_path / "nowhere" / "history.json")


# Targets and errors

@pytest.mark.parametrize("off, on", [(0, 1), (-1, 1)])
def test_error_of_one_unit_does_not_depend_on_the_batches(off, on):
    """A batch of ones alone must not be read as the other coding."""
    x, y = disk(count=50)
    target = np.where(y[:, None] == 1, np.float32(on), np.float32(off))
    model = nn.Sequential(nn.Linear(2, 1, generator=3))
    expected = 100 * np.mean((model(x)[:, 0] > (off + on) / 2) != (y == 1))
    for size in (1, 3, 50):
        error = minidl.evaluate(model, nn.MSELoss(), (x, target), batch_size=size).error
        assert error == pytest.approx(expected)
    assert error_rate(model(x), target) == pytest.approx(expected)


def test_error_of_labels_one_hot_rows_and_booleans():
    output = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    assert error_rate(output, np.array([0, 1, 1, 1])) == 25
    assert error_rate(output, np.eye(2)[[0, 1, 1, 0]]) == 50
    assert error_rate(output[:, 1:], np.array([False, True, True, True])) == 25
    assert error_rate(output[:, :1] - 0.5, np.array([1, -1, 1, 1])) == 25


def test_targets_without_classes_have_no_error():
    x, _ = disk()
    _, history = train(network(outputs=1), nn.MSELoss(), (x, x.sum(axis=1, keepdims=True)), epochs=2,
                       validation=(x, x.sum(axis=1, keepdims=True)))
    assert history.error == history.validation_error == [None, None]
    assert history.loss[1] < history.loss[0]
    with pytest.raises(ValueError,
                       match="error_rate: expected labels or one-hot rows as target, got other numbers"):
        error_rate(x, x)


# Models and criteria of the user

class TwoInputs(nn.Module):
    """Only a forward, on Tensors, of two inputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 4, generator=0), nn.Linear(3, 4, generator=1)
        self.head = nn.Linear(4, 2, generator=2)

    def forward(self, a, b):
        return self.head(F.tanh(self.left(a) + self.right(b)))


def test_a_model_of_several_inputs():
    (x, y), extra = disk(), np.random.default_rng(1).random((COUNT, 3)).astype(np.float32)
    model, history = train(TwoInputs(), data=(x, extra, y), epochs=3, validation=(x, extra, y))
    assert history.loss[2] < history.loss[0] and len(history.validation_error) == 3
    assert model.head.bias.data.any()


class OwnForward(nn.Module):
    """network(), written as a PyTorch user writes it."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 8, generator=0), nn.Linear(8, 2, generator=1)

    def forward(self, x):
        return self.last(F.tanh(self.first(x)))


@pytest.mark.parametrize("wrap", [
    lambda model: model, nn.Sequential, lambda model: nn.Sequential(nn.Identity(), model),
])
def test_a_module_with_only_a_forward_gives_the_bits_of_sequential(wrap):
    own, _ = train(wrap(OwnForward()), epochs=3)
    explicit, _ = train(epochs=3)
    assert own.flat_parameters.tobytes() == explicit.flat_parameters.tobytes()


class HalfSquare(nn.Module):
    """A criterion with only a forward."""

    def forward(self, output, target):
        return ((output - target) ** 2).sum() / 2


@pytest.mark.parametrize("criterion, built_in", [
    (F.cross_entropy, nn.CrossEntropyLoss()),
    (lambda output, target: F.nll_loss(F.log_softmax(output), target), nn.CrossEntropyLoss()),
])
def test_a_function_of_tensors_as_the_criterion(criterion, built_in):
    own, history = train(criterion=criterion, epochs=2, validation=disk(seed=1))
    model, expected = train(criterion=built_in, epochs=2, validation=disk(seed=1))
    np.testing.assert_allclose(history.iteration_loss, expected.iteration_loss, rtol=1e-6)
    np.testing.assert_allclose(history.validation_loss, expected.validation_loss, rtol=1e-6)
    np.testing.assert_allclose(own.flat_parameters, model.flat_parameters, rtol=1e-5, atol=1e-7)


def test_a_module_of_the_user_as_the_criterion():
    x, _ = disk()
    data = x, x[:, ::-1].copy()
    own, _ = train(criterion=HalfSquare(), data=data, lr=0.01)
    model, _ = train(criterion=nn.MSELoss("sum"), data=data, lr=0.005)
    np.testing.assert_allclose(own.flat_parameters, model.flat_parameters, rtol=1e-5, atol=1e-6)


def test_a_transform_is_applied_to_the_first_input_of_every_batch():
    x, y = disk()
    pixels, sizes = np.round(255 * x).astype(np.uint8), []

    def scale(batch):
        sizes.append(len(batch))
        return batch.astype(np.float32) / 255

    model, _ = train(data=(pixels, y), transform=scale, validation=(pixels, y))
    assert sizes == [16, 16, 16, 12, COUNT]
    same, _ = train(data=(pixels.astype(np.float32) / 255, y))
    assert model.flat_parameters.tobytes() == same.flat_parameters.tobytes()


# The same seed, the same bits

SCRIPT = """
import hashlib
from test_training import disk, network, train
model, _ = train(network(dropout=0.3), epochs=3, seed={seed})
print(hashlib.sha256(model.flat_parameters.tobytes()).hexdigest())
"""


def digest(seed) -> str:
    model, _ = train(network(dropout=0.3), epochs=3, seed=seed)
    return hashlib.sha256(model.flat_parameters.tobytes()).hexdigest()


def test_the_same_seed_gives_the_same_bits():
    assert digest(5) == digest(5) == digest(np.random.default_rng(5)) != digest(6)


def test_the_same_seed_gives_the_same_bits_in_another_process():
    result = subprocess.run([sys.executable, "-c", SCRIPT.format(seed=5)], capture_output=True, text=True, timeout=60,
                            env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)})
    assert result.stdout.strip() == digest(5), result.stderr


def test_a_dropout_with_a_generator_keeps_it():
    model = network(dropout=0.3)
    model[2].generator = own = np.random.default_rng(9)
    train(model)
    assert model[2].generator is own
    model[2].generator = None
    train(model)
    assert model[2].generator is None


def test_without_a_seed_the_own_stream_decides():
    def weights():
        minidl.manual_seed(4)
        return train(network(dropout=0.3), seed=None)[0].flat_parameters.tobytes()

    assert weights() == weights()


# Schedulers

def test_a_scheduler_by_epoch():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    _, history = train(model, optimizer=optimizer, epochs=4,
                       scheduler=StepLR(optimizer, step_size=2, gamma=0.1))
    np.testing.assert_allclose(history.lr, [1, 1, 0.1, 0.1])
    np.testing.assert_allclose(history.iteration_lr, np.repeat([1, 1, 0.1, 0.1], 4))


def test_a_scheduler_by_iteration():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = CyclicLR(optimizer, base_lr=0.1, max_lr=0.3, step_size_up=2, cycle_momentum=False)
    _, history = train(model, optimizer=optimizer, epochs=2, scheduler=scheduler)
    np.testing.assert_allclose(history.iteration_lr, [0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3, 0.2])
    np.testing.assert_allclose(history.lr, [0.2, 0.2])


class Recorded:
    """Mixed into a scheduler: the metrics that it was stepped with."""

    def step(self, metric):
        self.__dict__.setdefault("given", []).append(metric)
        super().step(metric)


@pytest.mark.parametrize("kind, column", [(DecayOnRise, "loss"), (ReduceLROnPlateau, "validation_loss")])
def test_a_scheduler_gets_the_metric_that_it_names(kind, column):
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = type("Kind", (Recorded, kind), {})(optimizer)
    _, history = train(model, optimizer=optimizer, epochs=3, scheduler=scheduler, validation=disk(seed=1))
    assert scheduler.given == getattr(history, column)


# Callbacks

def test_callbacks_are_called_in_their_order():
    calls = []

    class Watch(Callback):
        def on_train_begin(self, model, optimizer, epochs):
            calls.append(("begin", model, epochs))

        def on_epoch_end(self, epoch, logs):
            calls.append((epoch, tuple(logs)))
            logs.clear()  # a copy: the others and the history are not touched

        def on_train_end(self):
            calls.append("end")

    model, history = train(epochs=2, callbacks=[Watch(), Callback()])
    assert [call[0] for call in calls] == ["begin", 1, 2, "e"] and calls[0][1:] == (model, 2)
    assert set(calls[1][1]) == set(EPOCH_COLUMNS) and len(history) == 2


def test_a_callback_stops_the_training():
    _, history = train(epochs=9, callbacks=[AtEpoch(3, lambda: "enough")])
    assert len(history) == 3 and history.stopped == "enough"


class Scripted(Callback):
    """Sets the weights to the epoch's number, before EarlyStopping looks."""

    def on_train_begin(self, model, optimizer, epochs):
        self.model = model

    def on_epoch_end(self, epoch, logs):
        self.model.flat_parameters[:] = epoch


class Given(EarlyStopping):
    """EarlyStopping on losses that the test dictates."""

    losses = (5.0, 3.0, 4.0, 2.95, float("nan"), 3.5, 1.0)

    def on_epoch_end(self, epoch, logs):
        return super().on_epoch_end(epoch, logs | {"validation_loss": self.losses[epoch - 1]})


@pytest.mark.parametrize("settings, epochs, best", [
    ({"patience": 1}, 3, 2), ({"patience": 2}, 6, 4), ({"patience": 2, "min_delta": 0.1}, 4, 2),
    ({"patience": 9}, 7, 7), ({"patience": 1, "restore_best": False}, 3, None),
])
def test_early_stopping(settings, epochs, best):
    stopping = Given(**settings)
    model, history = train(epochs=7, lr=0.0, validation=disk(seed=1), callbacks=[Scripted(), stopping])
    assert len(history) == epochs and bool(history.stopped) == (epochs < 7)
    assert (model.flat_parameters == (best or epochs)).all()
    if epochs < 7:
        assert history.stopped.startswith("no better validation_loss than ") and "(epoch" in history.stopped


def test_early_stopping_serves_a_second_run():
    stopping = EarlyStopping(patience=1, monitor="loss")
    for _ in range(2):
        _, history = train(epochs=9, lr=0.0, callbacks=[stopping])
        assert len(history) == 9 or stopping.best_epoch >= 1
        assert stopping.best == min(history.loss)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_a_bar():
    stream = Terminal()
    train(epochs=4, validation=disk(seed=1), callbacks=[Progress(stream)])
    text = stream.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n") and "\r" in text
    last = text.split("\r")[-1]
    assert "epoch 4/4" in last and "[" + 24 * "#" + "]" in last
    assert "validation loss" in last and "validation error" in last and "%" in last and "0 s left" in last


@pytest.mark.parametrize("epochs, lines", [(1, 1), (4, 4), (10, 10), (35, 10), (200, 10)])
def test_progress_elsewhere_is_about_ten_plain_lines(epochs, lines):
    stream = io.StringIO()
    progress = Progress(stream)
    progress.on_train_begin(None, None, epochs)
    for epoch in range(1, epochs + 1):
        progress.on_epoch_end(epoch, dict.fromkeys(EPOCH_COLUMNS, 0.5) | {"error": None})
    progress.on_train_end()
    printed = stream.getvalue().splitlines()
    assert len(printed) == lines and printed[-1].startswith(f"epoch {epochs}/{epochs}  loss 0.5")
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_progress_is_on_by_default_on_standard_error(capsys):
    train(epochs=2, progress=True)
    assert capsys.readouterr().err.count("\n") == 2
    train(epochs=2)
    assert capsys.readouterr() == ("", "")


# Ctrl-C

def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_after_an_epoch_ends_the_training_there():
    handler = signal.getsignal(signal.SIGINT)
    _, history = train(epochs=50, callbacks=[AtEpoch(3, interrupt)])
    assert history.stopped == "interrupted" and len(history) == 3 and len(history.iteration_loss) == 12
    assert signal.getsignal(signal.SIGINT) is handler


class InterruptedLoss(nn.CrossEntropyLoss):
    """Ctrl-C (or several) in the middle of a step."""

    def __init__(self, step, times=1):
        super().__init__()
        self.step, self.times, self.calls = step, times, 0

    def forward(self, output, target):
        self.calls += 1
        for _ in range(self.times if self.calls == self.step else 0):
            interrupt()
        return super().forward(output, target)


def test_ctrl_c_within_a_step_ends_the_training_after_it():
    model, history = train(criterion=InterruptedLoss(6), epochs=50)
    assert history.stopped == "interrupted" and len(history) == 1 and len(history.iteration_loss) == 6
    assert np.isfinite(model.flat_parameters).all()


def test_ctrl_c_still_restores_the_best_weights():
    stopping = EarlyStopping(monitor="loss")
    model, _ = train(criterion=InterruptedLoss(11), epochs=50, callbacks=[stopping])
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, stopping.best_state[name])


def test_ctrl_c_from_outside():
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    _, history = train(epochs=10**6)
    timer.join()
    assert history.stopped == "interrupted" and 0 < len(history.iteration_loss) < 10**6


def test_a_second_ctrl_c_raises():
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(criterion=InterruptedLoss(6, times=2), epochs=50)
    assert signal.getsignal(signal.SIGINT) is handler


def test_fit_in_another_thread_leaves_signals_alone():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(train(epochs=2)[1]))
    thread.start()
    thread.join()
    assert len(histories[0]) == 2


# Divergence

def test_divergence_stops_with_epoch_and_step_and_the_weights_before():
    weights = []

    class Watched(nn.MSELoss):
        def forward(self, output, target):
            weights.append(model.flat_parameters.copy())
            return super().forward(output, target)

    x, _ = disk()
    model = nn.Sequential(nn.Linear(2, 2, generator=0))
    message = r"fit: the loss became (inf|nan) at epoch \d+, step [1-4] \(learning rate 1e\+06\)"
    with pytest.raises(FloatingPointError, match=message):
        train(model, Watched(), data=(x, x), lr=1e6, epochs=50)
    assert weights[-1].tobytes() == model.flat_parameters.tobytes()
    assert np.isfinite(model.flat_parameters).all()


def test_divergence_at_the_first_step():
    model = network()
    model.flat_parameters[:] = np.float32(3e38)
    before = model.flat_parameters.copy()
    with pytest.raises(FloatingPointError, match="at epoch 1, step 1"):
        train(model, nn.MSELoss(), data=(disk()[0], disk()[0]))
    np.testing.assert_array_equal(model.flat_parameters, before)


# Bad input

X, Y = disk()


@pytest.mark.parametrize("data, error, message", [
    ((X, Y[:-1]), ValueError, r"expected arrays of one length, got \[60, 59\]"),
    ((None, Y), TypeError, "expected X as an array or a list of numbers, got NoneType"),
    ((X, iter(Y)), TypeError, "expected y as an array or a list of numbers, got .*iterator"),
    ((X, [1], Y), ValueError, r"expected arrays of one length, got \[60, 1, 60\]"),
    ((X,), TypeError, r"expected a tuple \(X, y\), got 1 arrays"),
    (X, TypeError, r"expected a tuple \(X, y\), got ndarray"),
    (None, TypeError, r"expected a tuple \(X, y\), got NoneType"),
    ((X[:0], Y[:0]), ValueError, r"expected X with at least one sample, got shape \(0, 2\)"),
    ((X[:, :0], Y), ValueError, r"expected X with at least one sample, got shape \(60, 0\)"),
    ((np.array(1.0), Y), ValueError, r"expected X with at least one sample, got shape \(\)"),
    ((np.where(X > 0.9, np.float32(np.nan), X), Y), ValueError, "X holds NaN or infinity"),
    ((np.where(X > 0.9, np.float32(-np.inf), X), Y), ValueError, "X holds NaN or infinity"),
    ((X.astype(np.float64) * 1e300, Y), ValueError, "X holds NaN or infinity, as float32"),
    ((X, np.full((COUNT, 2), np.nan)), ValueError, "y holds NaN or infinity"),
    ((X.astype(np.complex64), Y), TypeError, "expected X of numbers, got dtype complex64"),
    ((X, np.array(["a"] * COUNT)), TypeError, "expected y of numbers, got dtype <U1"),
    ((np.full((COUNT, 2), None), Y), TypeError, "expected X of numbers, got objects of type NoneType"),
])
def test_data_that_do_not_fit(data, error, message):
    model = network()
    before = model.flat_parameters.copy()
    with pytest.raises(error, match=f"^fit: data: .*{message}"):
        minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), data, progress=False)
    with pytest.raises(error, match=f"^evaluate: data: .*{message}"):
        minidl.evaluate(model, nn.CrossEntropyLoss(), data)
    if data is not None:
        with pytest.raises(error, match=f"^fit: validation: .*{message}"):
            train(model, validation=data)
    np.testing.assert_array_equal(model.flat_parameters, before)


@pytest.mark.parametrize("data, error, message", [
    ((X[:, :1], Y), ValueError, r"Linear\(2, 8\): expected input of shape \(N, 2\), got \(16, 1\)"),
    ((X, Y + 1), ValueError, "CrossEntropyLoss: .*2"),
    ((X, Y.astype(np.float32)), TypeError,
     "CrossEntropyLoss: expected labels of an integer dtype, got float32"),
    ((X, np.zeros((COUNT, 3), np.float32)), ValueError, "CrossEntropyLoss: expected rows of probabilities"),
])
def test_data_that_do_not_fit_the_model(data, error, message):
    model = network()
    before = model.flat_parameters.copy()
    with pytest.raises(error, match=message):
        train(model, data=data, batch_size=16)
    np.testing.assert_array_equal(model.flat_parameters, before)


@pytest.mark.parametrize("options, error, message", [
    ({"epochs": 0}, ValueError, "fit: expected epochs >= 1, got 0"),
    ({"epochs": 1.5}, TypeError, "fit: expected epochs to be an int, got float"),
    ({"batch_size": 0}, ValueError, "fit: expected batch_size >= 1, got 0"),
    ({"batch_size": "16"}, TypeError, "fit: expected batch_size to be an int, got str"),
    ({"seed": "0"}, TypeError, r"expected a seed \(int\) or a numpy.random.Generator, got str"),
    ({"criterion": "mse"}, TypeError, r"expected a loss module or a function .* got str"),
    ({"criterion": nn.CrossEntropyLoss}, TypeError, r"expected a loss module .* got the class CrossEntropyLoss"),
    ({"criterion": nn.CrossEntropyLoss(reduction="none")}, ValueError, "reduces to one number, got CrossEntropyLoss"),
    ({"criterion": lambda output, target: 1.0}, TypeError,
     "criterion: expected a function that gives a Tensor, got float"),
    ({"optimizer": "SGD"}, TypeError, "fit: expected an Optimizer, got str"),
    ({"model": "net", "optimizer": optim.SGD(network().parameters())}, TypeError,
     "fit: expected a Module as the model, got str"),
    ({"optimizer": optim.SGD(network().parameters())}, ValueError,
     r"fit: the optimizer holds Parameter\(0.weight, .*\), which is not the model's"),
    ({"callbacks": [print]}, TypeError,
     "fit: expected callbacks to be Callbacks, got builtin_function_or_method"),
    ({"callbacks": [EarlyStopping()]}, ValueError,
     "fit: EarlyStopping needs 'validation_loss': expected validation"),
])
def test_options_that_do_not_fit(options, error, message):
    with pytest.raises(error, match=message):
        train(**options)


def test_a_scheduler_that_does_not_fit():
    model, other = network(), network()
    optimizer, another = (optim.SGD(m.parameters(), lr=0.1) for m in (model, other))
    with pytest.raises(ValueError, match="fit: expected a scheduler of this optimizer, got another's"):
        train(model, optimizer=optimizer, scheduler=StepLR(another, step_size=1))
    with pytest.raises(ValueError, match="fit: ReduceLROnPlateau needs 'validation_loss': expected"):
        train(model, optimizer=optimizer, scheduler=ReduceLROnPlateau(optimizer))


@pytest.mark.parametrize("options, message", [
    ({"model": "net"}, "evaluate: expected a Module as the model, got str"),
    ({"batch_size": None}, "evaluate: expected batch_size to be an int, got NoneType"),
    ({"criterion": 3}, r"expected a loss module or a function .* got int"),
])
def test_evaluate_of_what_does_not_fit(options, message):
    arguments = {"model": network(), "criterion": nn.CrossEntropyLoss(), "data": disk(), **options}
    with pytest.raises(TypeError, match=message):
        minidl.evaluate(**arguments)


@pytest.mark.parametrize("settings, message", [
    ({"patience": 0}, "EarlyStopping: expected patience >= 1"), ({"min_delta": -0.1}, "min_delta >= 0"),
    ({"min_delta": float("nan")}, "min_delta >= 0"),
    ({"monitor": "accuracy"}, "EarlyStopping: expected monitor to be one of loss, error, .*, got 'accuracy'"),
])
def test_early_stopping_of_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**settings)


def test_early_stopping_on_an_error_that_there_is_not():
    x, _ = disk()
    with pytest.raises(ValueError, match="this run has no 'error': the targets are no classes"):
        train(criterion=nn.MSELoss(), data=(x, x), callbacks=[EarlyStopping(monitor="error")])
