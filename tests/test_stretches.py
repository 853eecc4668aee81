"""Many steps in one compiled call: the bits of single steps in all that a training leaves."""
import os
import signal
import threading

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.kernels import Refusal
from minidl.optim import lr_scheduler
from minidl.training import Callback, EarlyStopping, fit, stretches
from minidl.training.callbacks import ModelCheckpoint

N = 150
pytestmark = pytest.mark.usefixtures("calls")


MODELS = {
    "small": lambda: [nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)],
    "without bias": lambda: [nn.Linear(3, 9, bias=False), nn.ReLU(), nn.Linear(9, 4), nn.Identity()],
    "flat": lambda: [nn.Flatten(), nn.Linear(3, 17), nn.Sigmoid(), nn.Linear(17, 4)],
    "one unit": lambda: [nn.Linear(3, 7), nn.ELU(), nn.Linear(7, 1)],
    "log softmax": lambda: [nn.Linear(3, 4), nn.LogSoftmax(dim=1)],
}
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "two groups": lambda p: optim.SGD([{"params": p[:1], "lr": 0.02}, {"params": p[1:], "momentum": 0.5}], lr=0.1),
}
SCHEDULES = {
    "none": lambda o, s=1: None,
    "by epoch": lambda o, s=1: lr_scheduler.ExponentialLR(o, 0.9),
    "one cycle": lambda o, s=1: lr_scheduler.OneCycleLR(o, 0.2 * s, total_steps=1000),
    "cyclic": lambda o, s=1: lr_scheduler.CyclicLR(o, 0.01, 0.1 * s, step_size_up=7, cycle_momentum=False),
    "one after the other": lambda o, s=1: lr_scheduler.SequentialLR(
        o, [lr_scheduler.CyclicLR(o, 0.01, 0.1 * s, step_size_up=3, cycle_momentum=False),
            lr_scheduler.OneCycleLR(o, 0.1 * s, total_steps=1000)], [11]),
    "a function": lambda o, s=1: lr_scheduler.SequentialLR(
        o, [lr_scheduler.CyclicLR(o, 0.01, 0.1 * s, step_size_up=7, cycle_momentum=False),
            lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step))], [11]),
    "of one's own": lambda o, s=1: Halving(o, 0.01, 0.1 * s, step_size_up=7, cycle_momentum=False),
}
BETWEEN = "a function", "of one's own"  # which are called between the steps


class Halving(lr_scheduler.CyclicLR):
    """A schedule with a step of its own."""

    def step(self):
        super().step()
        self.optimizer.lr = self.optimizer.lr / 2


def data(criterion, outputs, dtype=np.float32):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((N, 3)).astype(dtype)
    labels = rng.integers(0, max(outputs, 2), N)
    if not isinstance(criterion, nn.MSELoss):
        return x, labels
    return x, (labels[:, None] if outputs == 1 else np.eye(outputs)[labels]).astype(dtype)


class Training:
    """A model, a loss, an optimizer and a schedule, made anew alike each time."""

    def __init__(self, model="small", criterion=nn.CrossEntropyLoss, optimizer="SGD", schedule="none",
                 dtype=np.float32):
        minidl.manual_seed(5)
        self.model = nn.Sequential(MODELS[model]())
        if dtype is np.float64:
            self.model.double()
        self.criterion = criterion()
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.scheduler = SCHEDULES[schedule](self.optimizer)
        self.data = data(self.criterion, [m for m in self.model if isinstance(m, nn.Linear)][-1].out_features, dtype)
        self.generator = np.random.default_rng(7)
        self.history, self.error = None, ""

    def fit(self, captured=True, epochs=3, batch_size=16, **options):
        try:
            self.history = fit(self.model, self.criterion, self.optimizer, self.data, epochs=epochs, progress=False,
                               batch_size=batch_size, seed=self.generator, scheduler=self.scheduler,
                               captured=captured, **options)
        except (FloatingPointError, ValueError, RuntimeError) as error:
            self.error = f"{type(error).__name__}: {error}"
        return self

    def left(self):
        """All that it leaves but the seconds, to be compared by ==."""
        history = self.history and vars(self.history) | {"seconds": None, "path": None}
        scheduler = self.scheduler and self.scheduler.state_dict()
        states = [{name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in state.items()}
                  for state in self.optimizer.state_dict()["state"]]
        return {"weights": [p.data.tobytes() for p in self.model.parameters()],
                "gradients": [p.grad is None or p.grad.tobytes() for p in self.model.parameters()],
                "versions": [p.status.version for p in self.model.parameters()],
                "state": states, "groups": [dict(group) | {"params": None} for group in self.optimizer.param_groups],
                "scheduler": scheduler, "history": history, "error": self.error,
                "generator": self.generator.bit_generator.state}


def compare(calls, batch_size=16, few=False, **parts):
    """Train both ways; most steps of the compiled one must have been made in compiled calls, unless ``few``."""
    options = {name: parts.pop(name) for name in ("epochs", "validation", "callbacks") if name in parts}
    plain = Training(**parts).fit(False, batch_size=batch_size, **options)
    assert not calls
    compiled = Training(**parts).fit(batch_size=batch_size, **options)
    assert compiled.left() == plain.left()
    trained = len(compiled.history.iteration_loss) * batch_size if compiled.history else 0
    assert few or sum(calls) > 0.6 * trained
    return compiled


@pytest.mark.parametrize("batch_size", [1, 16, 50, 64, 150, 200])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_and_sizes(calls, optimizer, batch_size):
    compare(calls, optimizer=optimizer, batch_size=batch_size, epochs=6)


LOSSES = {"cross entropy": nn.CrossEntropyLoss, "NLL": nn.NLLLoss, "MSE": nn.MSELoss,
          "MSE, sum": lambda: nn.MSELoss(reduction="sum")}
PAIRS = [(model, loss) for model in MODELS for loss in LOSSES if model != "one unit" or "MSE" in loss]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model, loss", PAIRS)
def test_models_and_losses(calls, model, loss, dtype):
    done = compare(calls, model=model, criterion=LOSSES[loss], dtype=dtype, epochs=5, optimizer="Adam")
    assert done.history.error[0] is not None and done.history.path == "compiled"


@pytest.mark.parametrize("optimizer", ["SGD, momentum", "Adam", "two groups"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(calls, schedule, optimizer):
    if schedule != "none" and "cycle" in schedule and optimizer == "two groups":
        optimizer = "SGD, momentum"
    done = compare(calls, schedule=schedule, optimizer=optimizer, epochs=6, few=schedule in BETWEEN)
    assert bool(calls) == (schedule not in BETWEEN)
    assert done.history.iteration_loss[-1] < done.history.iteration_loss[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads(threads):
    def trained(captured):
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(60, 256), nn.ReLU(), nn.Linear(256, 10))
        x = np.random.default_rng(0).standard_normal((300, 60)).astype(np.float32)
        history = fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), (x, np.arange(300) % 10), epochs=3,
                      batch_size=128, seed=0, progress=False, captured=captured)
        return history, [p.data.tobytes() for p in model.parameters()]

    plain = trained(False)
    minidl.set_num_threads(threads)
    history, weights = trained(True)
    assert weights == plain[1] and history.iteration_loss == plain[0].iteration_loss


@pytest.mark.parametrize("seconds", [0, 1e-5, 1e-4])
@pytest.mark.parametrize("schedule", ["none", "one cycle"])
def test_wherever_the_calls_end(calls, monkeypatch, seconds, schedule):
    monkeypatch.setattr(stretches, "SECONDS", seconds)
    compare(calls, schedule=schedule, batch_size=4)
    assert max(calls) == 4 or seconds


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rate", [1e5, 1e7, 1e9])
def test_a_loss_that_is_not_finite(calls, rate, schedule):
    def parts(captured):
        training = Training(criterion=nn.MSELoss, optimizer="SGD, momentum")
        training.scheduler = SCHEDULES[schedule](training.optimizer, rate)
        if schedule in ("none", "by epoch"):
            training.optimizer.lr = rate
        return training.fit(captured, epochs=30, batch_size=4)

    plain, compiled = parts(False), parts(True)
    assert compiled.left() == plain.left()
    assert "FloatingPointError: fit: the loss became" in plain.error
    assert bool(calls) == (schedule not in BETWEEN)


@pytest.mark.parametrize("label", [4, -1, 2**40])
def test_a_label_that_does_not_fit(label):
    def parts(captured):
        training = Training(schedule="one cycle")
        training.data[1][77] = label
        return training.fit(captured)

    compiled, plain = parts(True), parts(False)
    assert compiled.error and compiled.error.split(":")[0] == plain.error.split(":")[0]
    same = "weights", "state", "groups", "scheduler", "generator"
    assert [compiled.left()[name] for name in same] == [plain.left()[name] for name in same]


class Changing(Callback):
    """Changes the training behind an epoch."""

    def __init__(self, change):
        self.change = change

    def on_train_begin(self, model, optimizer, epochs):
        self.model, self.optimizer = model, optimizer

    def on_epoch_end(self, epoch, logs):
        if epoch == 2:
            self.change(self.model, self.optimizer)


def _freeze(model, optimizer):
    model[0].requires_grad_(False)


def _rate(model, optimizer):
    optimizer.lr = 0.01


def _momentum(model, optimizer):
    optimizer.param_groups[0]["momentum"] = 0.7


def _longer(model, optimizer):
    model.append(nn.Dropout(0.5))


def _evaluating(model, optimizer):
    model.eval()


def _state(model, optimizer):
    optimizer.load_state_dict(optimizer.state_dict())


def _moved(model, optimizer):
    for parameter in model.parameters():
        parameter.data = parameter.data * np.float32(0.5)


def _weight_decay(model, optimizer):
    optimizer.param_groups[0]["weight_decay"] = 0.1


CHANGES = [_freeze, _rate, _weight_decay, _longer, _evaluating, _state, _moved]
CHANGED = [("SGD", _momentum), *((optimizer, change) for optimizer in ("SGD", "Adam") for change in CHANGES)]


@pytest.mark.parametrize("schedule", ["none", "cyclic"])
@pytest.mark.parametrize("optimizer, change", CHANGED)
def test_a_change_between_epochs(calls, change, schedule, optimizer):
    compare(calls, few=True, epochs=5, schedule=schedule, optimizer=optimizer, callbacks=[Changing(change)])
    assert calls


def test_validation_and_early_stopping(calls):
    held_out = data(nn.CrossEntropyLoss(), 4)
    compare(calls, validation=held_out, callbacks=[EarlyStopping(2)], epochs=12, optimizer="Adam")


@pytest.mark.parametrize("schedule", ["none", "one cycle"])
def test_resume(tmp_path, schedule):
    path = tmp_path / "training.safetensors"
    parts = {"optimizer": "Adam", "schedule": schedule}
    whole = Training(**parts).fit(epochs=6)
    Training(**parts).fit(epochs=3, callbacks=[ModelCheckpoint(path)])
    resumed = Training(**parts).fit(epochs=6, callbacks=[ModelCheckpoint(path)], resume=path)
    names = "weights", "state", "groups", "scheduler", "generator"
    assert [resumed.left()[name] for name in names] == [whole.left()[name] for name in names]
    assert resumed.history.iteration_loss == whole.history.iteration_loss


@pytest.mark.parametrize("schedule", ["none", "one cycle"])
def test_interrupted_between_two_steps(calls, schedule):
    def parts():
        training = Training(schedule=schedule)
        training.scheduler = training.scheduler and lr_scheduler.OneCycleLR(training.optimizer, 0.1, 10**6)
        return training

    training = parts()
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    training.fit(epochs=10**5, batch_size=4)
    timer.join()
    assert training.history.stopped == "interrupted" and calls
    steps = len(training.history.iteration_loss)
    again = parts()

    class Stop(Callback):
        def on_epoch_end(self, epoch, logs):
            return epoch == len(training.history)

    again.fit(epochs=10**5, batch_size=4, callbacks=[Stop()])
    if steps > len(again.history.iteration_loss):  # the rest of the epoch in which it came, step by step
        step = minidl.capture(again.model, again.criterion, again.optimizer)
        order = np.arange(N)
        again.generator.shuffle(order)
        for begin in range(0, 4 * (steps - len(again.history.iteration_loss)), 4):
            rows = order[begin:begin + 4]
            again.history.iteration_lr.append(again.optimizer.lr)
            again.history.iteration_loss.append(step(again.data[0][rows], again.data[1][rows]))
            if again.scheduler:
                again.scheduler.step()
    assert training.history.iteration_loss == again.history.iteration_loss
    assert training.history.iteration_lr == again.history.iteration_lr
    assert training.left()["weights"] == again.left()["weights"]
    assert training.left()["scheduler"] == again.left()["scheduler"]


def program():
    training = Training()
    step = minidl.capture(training.model, training.criterion, training.optimizer)
    x, y = training.data
    step(x[:16], y[:16])
    return training, step, x, y


def test_what_a_program_refuses():
    training, step, x, y = program()
    order = np.arange(N)
    before = training.left()
    for given in [(x[:, :2], y, order, 4), (x.astype(np.float64), y, order, 4), (x, y[:-1], order, 4),
                  (x, y.astype(np.int32), order, 4), (x, y, order + 1, 4), (x, y, -order, 4), (x, y, order[:0], 4),
                  (x, y, order, 0), (x, y, order, 17), (list(x), y, order, 4), (x, y, order.astype(np.int32), 4),
                  (x, y, order[::2], 4), (x, y, None, 4), (None, y, order, 4), (x, None, order, 4)]:
        with pytest.raises(Refusal):
            step.program.steps(*given, 0.0)
    with pytest.raises(Refusal):
        step.program.steps(x, y, order, 4, 0.0, settings=np.zeros((2, step.program.settings_count)))
    with pytest.raises(Refusal):
        step.program.steps(x, y, order, 4, 0.0, step.output, np.zeros(3, np.int64))
    shifted = np.empty(8 * N + 1, np.uint8)[1:].view(np.int64)
    for output, truth in [(None, y), (step.output, list(y)), (step.output[:4], y), (step.output, shifted),
                          (step.output.astype(np.float64), y)]:
        with pytest.raises(Refusal):
            step.program.steps(x, y, order, 4, 0.0, output, truth)
    with pytest.raises(ValueError, match="expected an array of"):
        step.program.note_settings(np.zeros(step.program.settings_count + 1))
    assert training.left() == before
    training.optimizer.lr = 0.5
    with pytest.raises(Refusal):
        step.program.steps(x, y, order, 4, 0.0)  # new settings
    step(x[:4], y[:4])
    losses, total, wrong = step.program.steps(x, y, order, 4, 1.0)
    assert len(losses) == -(-N // 4) and 0 <= wrong <= N
    assert total == pytest.approx(1 + sum(4 * loss for loss in losses[:-1]) + 2 * losses[-1])
    training.model[0].weight.requires_grad = False
    with pytest.raises(Refusal):
        step.program.steps(x, y, order, 4, 0.0)


def test_other_threads_run_meanwhile_and_may_not_enter():
    _training, step, x, y = program()
    order, errors = np.tile(np.arange(N), 300), []

    def enter():
        begun.wait()
        for _ in range(20):
            try:
                step(x[:4], y[:4])
            except RuntimeError as error:
                errors.append(str(error))

    begun = threading.Event()
    other = threading.Thread(target=enter)
    other.start()
    begun.set()
    for _ in range(5):
        try:
            step.program.steps(x, y, order, 4, 0.0)
        except RuntimeError:
            continue
    other.join()
    assert all("is running already" in error for error in errors)
