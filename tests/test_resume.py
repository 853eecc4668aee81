"""Checkpoints of a training: one that goes on from a file ends with the bits of the one that was never stopped."""
from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl import random as stream
from minidl.data import DataLoader, RandomCrop, TensorDataset
from minidl.optim import lr_scheduler as schedules
from minidl.optim.swa_utils import AveragedModel, get_ema_avg_fn
from minidl.training import model_checkpoint, streams
from minidl.training.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from minidl.training.history import EPOCH_COLUMNS

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 6), np.float32)
Y = np.tanh(X[:, :1] * X[:, 1:2]).astype(np.float32)

OPTIMIZERS = {name: kind for name in optim.__all__
              if isinstance(kind := getattr(optim, name), type) and kind is not optim.Optimizer}
SETTINGS = {  # beside the defaults, those that have another state
    "SGD": [{"lr": 0.05, "momentum": 0.9, "nesterov": True}], "RMSprop": [{"momentum": 0.9, "centered": True}],
    "Adam": [{"amsgrad": True, "weight_decay": 0.1}], "AdamW": [{"amsgrad": True, "maximize": True}],
    "LBFGS": [{"max_iter": 3, "line_search_fn": "strong_wolfe"}, {"max_iter": 2, "history_size": 2}]}
SCHEDULES = {
    "StepLR": {"step_size": 2, "gamma": 0.5}, "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3},
    "ReduceLROnPlateau": {"patience": 0, "threshold": 0.5}, "DecayOnRise": {}, "ExponentialLR": {"gamma": 0.9},
    "MultiStepLR": {"milestones": [1, 3]}, "ConstantLR": {"total_iters": 3}, "LinearLR": {}, "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 3}, "CosineAnnealingWarmRestarts": {"T_0": 2, "T_mult": 2},
    "LambdaLR": {"lr_lambda": lambda epoch: 1 / (1 + epoch)}, "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.7},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 40},
    "SequentialLR": lambda optimizer: schedules.SequentialLR(
        optimizer, [schedules.ConstantLR(optimizer), schedules.ExponentialLR(optimizer, 0.5)], [2]),
    "ChainedScheduler": lambda optimizer: schedules.ChainedScheduler(
        [schedules.LinearLR(optimizer), schedules.StepLR(optimizer, 2)])}


class Counted(nn.Module):
    """x, and a buffer that is not in state_dict(): the number of batches."""

    def __init__(self):
        self.register_buffer("count", minidl.zeros(1), persistent=False)

    def forward(self, x):
        with minidl.no_grad():
            self.count.add_(1)
        return x * 1.0


def network(seed):
    return nn.Sequential(
        nn.Linear(6, 12, generator=seed), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.3),
        nn.Linear(12, 8, generator=seed), nn.ReLU(), nn.Dropout(0.2, generator=seed + 1),
        nn.Linear(8, 1, generator=seed))


class Run:
    """The parts of a training, made anew: with other weights and seeds than those of another number."""

    def __init__(self, number, optimizer="Adam", settings=None, schedule=None, model=network, extra=lambda run: [],
                 seed=True, **options):
        minidl.manual_seed(number)
        self.model = model(number)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters(), **(settings or {}))
        self.schedule = None
        if schedule is not None:
            made = SCHEDULES[schedule]
            extra_settings = {"cycle_momentum": False} if schedule in ("CyclicLR", "OneCycleLR") else {}
            self.schedule = made(self.optimizer) if callable(made) else getattr(schedules, schedule)(
                self.optimizer, **made, **extra_settings)
        self.callbacks = extra(self)
        self.options = {"seed": number if seed else None, "validation": (X[:20], Y[:20]), "batch_size": 10} | options

    def fit(self, epochs, resume=None, save=None, data=(X, Y), criterion=None):
        saving = [] if save is None else [ModelCheckpoint(save)]
        self.history = minidl.fit(
            self.model, criterion or nn.MSELoss(), self.optimizer, data, epochs=epochs, scheduler=self.schedule,
            callbacks=[*saving, *self.callbacks], progress=False, resume=resume, **self.options)
        return self

    def bits(self):
        """All that must be the same at the end, as something that == compares."""
        history = {name: repr(column) for name, column in vars(self.history).items() if name != "seconds"}
        return comparable([
            self.model.state_dict(), [buffer.data for buffer in self.model.buffers()], self.optimizer.state_dict(),
            self.schedule and self.schedule.state_dict(), [callback.state_dict() for callback in self.callbacks],
            history, stream.generator().bit_generator.state,
            [module.generator and module.generator.bit_generator.state for module in self.model.modules()
             if isinstance(module, nn.Dropout)]])


def comparable(value):
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return [(key, comparable(below)) for key, below in value.items()]
    return [comparable(below) for below in value] if isinstance(value, (list, tuple)) else repr(value)


def check(folder, epochs=4, after=(1, 2, 3), data=(X, Y), criterion=None, **settings):
    """A training, saved after each epoch, and others that go on from these files."""
    arguments = {"data": data() if callable(data) else data, "criterion": criterion}
    whole = Run(0, **settings).fit(epochs, save=folder / "{epoch}.safetensors", **arguments)
    for epoch in after:
        arguments["data"] = data() if callable(data) else data
        resumed = Run(100 + epoch, **settings).fit(epochs, resume=folder / f"{epoch}.safetensors", **arguments)
        assert resumed.bits() == whole.bits(), epoch
        assert len(resumed.history.seconds) == epochs == len(resumed.history)
        assert resumed.history.seconds == sorted(resumed.history.seconds)
    return whole


@pytest.mark.parametrize(("name", "settings"), [
    (name, settings) for name in OPTIMIZERS for settings in [{}, *SETTINGS.get(name, [])]])
def test_every_optimizer(tmp_path, name, settings):
    check(tmp_path, optimizer=name, settings=settings)


@pytest.mark.parametrize("name", [name for name in schedules.__all__ if name != "LRScheduler"])
def test_every_schedule(tmp_path, name):
    check(tmp_path, 7, (1, 2, 4, 6), optimizer="SGD", settings={"lr": 0.05, "momentum": 0.5}, schedule=name)


@pytest.mark.parametrize("captured", [True, False])
def test_captured_or_not_the_file_goes_on_in_either(tmp_path, captured):
    whole = Run(0, captured=captured).fit(4, save=tmp_path / "{epoch}")
    for other in (True, False):
        resumed = Run(5, captured=other).fit(4, resume=tmp_path / "2")
        assert resumed.model.flat_parameters.tobytes() == whole.model.flat_parameters.tobytes()
        assert resumed.optimizer.state_dict()["state"][0]["step"] == whole.optimizer.state_dict()["state"][0]["step"]


def test_early_stopping_and_averaged_weights(tmp_path):
    def extra(run):
        return [EarlyStopping(9), WeightAveraging(AveragedModel(run.model)), EarlyStopping(99, "loss"),
                WeightAveraging(AveragedModel(run.model, avg_fn=get_ema_avg_fn(0.9)), start=2)]

    whole = check(tmp_path, 9, range(1, 9), settings={"lr": 0.1}, extra=extra)
    assert whole.callbacks[2].best_state is not None and whole.callbacks[1].averaged.n_averaged.item() == 9


def test_a_training_that_had_stopped_is_not_trained_further_but_ends_as_it_did(tmp_path):
    def extra(run):
        return [EarlyStopping(1, "loss")]

    settings = {"optimizer": "SGD", "settings": {"lr": 0.5}, "extra": extra, "validation": None}
    whole = Run(0, **settings).fit(50, save=tmp_path / "a")
    assert whole.history.stopped and len(whole.history) < 50
    resumed = Run(1, **settings).fit(50, resume=tmp_path / "a")
    assert resumed.bits() == whole.bits()


def test_a_finished_training_can_be_made_longer(tmp_path):
    whole = Run(0).fit(5)
    Run(0).fit(3, save=tmp_path / "a")
    assert len(Run(1).fit(3, resume=tmp_path / "a").history) == 3  # nothing is left to do
    assert len(Run(1).fit(2, resume=tmp_path / "a").history) == 3
    assert Run(1).fit(5, resume=tmp_path / "a").bits() == whole.bits()


def test_from_one_file_to_the_next(tmp_path):
    whole = Run(0).fit(5)
    Run(0).fit(1, save=tmp_path / "a")
    for epochs in (2, 3, 4):
        Run(epochs).fit(epochs, resume=tmp_path / "a", save=tmp_path / "a")
    assert Run(9).fit(5, resume=tmp_path / "a").bits() == whole.bits()


class Shifted(RandomCrop):
    """Numbers that are shifted as if they were pictures."""

    def __call__(self, batch):
        return super().__call__(batch.reshape(-1, 2, 3)).reshape(batch.shape)


@pytest.mark.parametrize("kind", ["lent", "own", "shared"])
def test_the_generator_of_an_augmentation(tmp_path, kind):
    whole = [Run(n, augment=Shifted(1, generator=None if kind == "lent" else n)) for n in (0, 1)]
    if kind == "shared":  # with a module
        for run in whole:
            run.options["augment"].generator = run.model[6].generator
    whole[0].fit(4, save=tmp_path / "{epoch}")
    assert whole[1].fit(4, resume=tmp_path / "2").bits() == whole[0].bits()


def test_without_a_seed_minidls_own_stream_goes_on(tmp_path):
    check(tmp_path, seed=False)


def test_a_loader_with_a_generator_of_its_own(tmp_path):
    check(tmp_path, data=lambda: DataLoader(TensorDataset(X, Y), 8, shuffle=True, generator=np.random.default_rng(3)))


@pytest.mark.parametrize("kind", streams.KNOWN)
def test_every_generator_of_numpy(tmp_path, kind):
    def made(number):
        return Run(number, model=lambda _: nn.Sequential(
            nn.Linear(6, 8), nn.Dropout(0.5, generator=np.random.Generator(kind(number))), nn.Linear(8, 1)))

    whole = made(0).fit(3, save=tmp_path / "{epoch}")
    assert made(7).fit(3, resume=tmp_path / "1").bits() == whole.bits()


def test_a_generator_that_cannot_be_saved_is_named(tmp_path):
    class Own(np.random.PCG64):
        pass

    run = Run(0)
    run.model[6].generator = np.random.Generator(Own(3))
    with pytest.raises(TypeError, match=r"model\.6\.generator: expected one of NumPy's bit generators, .* got Own"):
        run.fit(2, save=tmp_path / "a")


def test_buffers_that_are_not_in_the_weights_and_a_loss_written_as_a_function(tmp_path):
    def model(seed):
        first, last = nn.Linear(6, 4, generator=seed), nn.Linear(4, 1, generator=seed)
        return nn.Sequential(first, Counted(), nn.GRUCell(4, 4, generator=seed), last)

    whole = check(tmp_path, model=model, criterion=lambda z, y: F.mean((z - y) ** 4))
    assert whole.model[1].count.item() == 20  # validation counts, too


class Thaws(Callback):
    """Trains the first layer from the third epoch on."""

    def on_train_begin(self, model, optimizer, epochs):
        self.layer = model[0]
        self.layer.requires_grad_(False)

    def on_epoch_end(self, epoch, logs):
        if epoch == 2:
            self.layer.requires_grad_()


def test_which_parameters_are_trained(tmp_path):
    check(tmp_path, 5, (1, 2, 3, 4), extra=lambda run: [Thaws()])


def test_the_weights_and_the_optimizer_can_be_taken_from_the_file(tmp_path):
    run = Run(0, schedule="StepLR").fit(3, save=tmp_path / "a")
    found = minidl.load(tmp_path / "a")
    other = Run(1, schedule="StepLR")
    other.model.load_state_dict(found["model"])
    other.optimizer.load_state_dict(found["optimizer"])
    other.schedule.load_state_dict(found["scheduler"])
    assert other.model.flat_parameters.tobytes() == run.model.flat_parameters.tobytes()
    assert comparable(other.optimizer.state_dict()) == comparable(run.optimizer.state_dict())
    assert found["epoch"] == 3 and "note" not in found


# What ModelCheckpoint writes, and when

def saved(folder, epochs, **settings):
    run = Run(0)
    run.callbacks = [ModelCheckpoint(folder / "{epoch:02d}.safetensors", **settings)]
    run.fit(epochs)
    return [int(path.stem) for path in sorted(folder.iterdir())], run.history


def test_every_few_epochs_and_the_last(tmp_path):
    assert saved(tmp_path, 7, every=3)[0] == [3, 6, 7]


def test_at_most_once_in_so_many_seconds_and_the_last(tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(model_checkpoint.time, "perf_counter", lambda: next(clock))
    found, _ = saved(tmp_path, 9, seconds=1e9)
    assert found == [9]


def test_only_the_best(tmp_path):
    found, history = saved(tmp_path, 9, save_best_only=True, monitor="loss")
    best = [i + 1 for i, loss in enumerate(history.loss) if loss < min([math.inf, *history.loss[:i]])]
    assert found == best and len(best) < 9
    resumed = Run(1)
    resumed.callbacks = [ModelCheckpoint(tmp_path / "later", save_best_only=True, monitor="loss")]
    resumed.fit(9, resume=tmp_path / f"{best[-1]:02d}.safetensors")
    assert not (tmp_path / "later").exists()  # it knows the best of the epochs before


def test_a_note_is_kept(tmp_path):
    run = Run(0)
    run.callbacks = [ModelCheckpoint(tmp_path / "a", note={"data": "x.csv", "mean": X.mean(axis=0)})]
    run.fit(1)
    assert minidl.load(tmp_path / "a")["note"]["data"] == "x.csv"
    Run(1).fit(2, resume=tmp_path / "a")


@pytest.mark.parametrize(("arguments", "kind", "message"), [
    ({"every": 0}, ValueError, "every >= 1"), ({"every": 1.5}, TypeError, "every to be an int"),
    ({"seconds": -1}, ValueError, "seconds >= 0, got -1"), ({"seconds": math.nan}, ValueError, "seconds >= 0, got nan"),
    ({"monitor": "accuracy"}, ValueError, "monitor to be one of loss"),
    ({"path": "a.npz"}, ValueError, "a safetensors file, got 'a.npz'")])
def test_wrong_settings(arguments, kind, message):
    with pytest.raises(kind, match=f"^ModelCheckpoint: expected {message}"):
        ModelCheckpoint(**{"path": "a"} | arguments)


def test_a_checkpoint_that_waits_for_what_is_not_measured(tmp_path):
    run = Run(0, validation=None)
    run.callbacks = [ModelCheckpoint(tmp_path / "a", save_best_only=True)]
    with pytest.raises(ValueError, match="ModelCheckpoint needs 'validation_loss': expected validation data"):
        run.fit(1)
    run.callbacks = [ModelCheckpoint(tmp_path / "a", save_best_only=True, monitor="error")]
    with pytest.raises(ValueError, match="this run has no 'error': the targets are no classes"):
        run.fit(1)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in ("a.0123456789abcdef.part", "b.0123456789abcdef.part", "a.part", "a.0123.part"):
        (tmp_path / name).touch()
    Run(0).fit(1, save=tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.0123.part", "a.part", "b.0123456789abcdef.part"]


def test_a_write_that_fails_ends_the_training_and_leaves_the_old_file(tmp_path, monkeypatch):
    Run(0).fit(2, save=tmp_path / "a")
    before = (tmp_path / "a").read_bytes()

    def full(file):
        raise OSError("disk full")

    monkeypatch.setattr("minidl.files.whole.os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        Run(1).fit(2, save=tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# What does not fit

def altered(change):
    def alter(state):
        change(state)
        return state
    return alter


def put(*path, value):
    def change(state):
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value
    return altered(change)


def drop(*path):
    def change(state):
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]
    return altered(change)


TWISTED = {"bit_generator": "MT19937", "state": {"key": np.zeros(624, np.uint32), "pos": 0}}


@pytest.mark.parametrize(("alter", "message"), [
    (lambda state: state["model"], "a file that fit has not written"),
    (put("kind", value="training of minidl, 9"), "one of another version, 'training of minidl, 9'"),
    (put("kinds", "optimizer", value="SGD"), "one with the optimizer SGD, the scheduler StepLR, where the training has "
                                             "the optimizer Adam"),
    (drop("model"), "'model'"), (drop("history"), "'history'"), (drop("generators"), "'generators'"),
    (put("model", "0.weight", value=np.zeros((12, 7), np.float32)), r"0\.weight: expected shape"),
    (put("model", "0.weight", value=np.zeros((12, 6))), r"0\.weight: expected dtype float32"),
    (drop("model", "0.weight"), r"missing \['0\.weight'\]"), (put("model", value=3), "expected arrays by their names"),
    (put("buffers", "x", value=np.ones(1)), "buffers"), (put("frozen", value=["9.weight"]), "frozen parameters"),
    (put("frozen", value=3), "frozen parameters"), (put("criterion", "x", value=np.ones(1)), "unexpected"),
    (put("optimizer", "state", value=[]), r"Adam\.load_state_dict"), (put("optimizer", "state", value=3), "no list"),
    (put("optimizer", "state", 0, "exp_avg", value=np.zeros(3, np.float32)), r"Adam\.load_state_dict"),
    (put("optimizer", "state", 0, "step", value=[2**70] * 8), r"Adam\.load_state_dict"),
    (put("optimizer", "param_groups", 0, "lr", value=-1.0), "expected lr >= 0"),
    (put("optimizer", "param_groups", 0, "lr", value="fast"), "expected lr to be a real number"),
    (put("optimizer", "param_groups", 0, "betas", value=3), "betas"),
    (put("optimizer", "param_groups", 0, "params", value=3), "not iterable"),
    (put("scheduler", "step_size", value=0), "StepLR.load_state_dict: expected step_size >= 1"),
    (put("scheduler", value=None), "StepLR.load_state_dict: expected a dict"),
    (put("callbacks", value=[["LivePlot", {"x": 1}]]), "the state of a callback LivePlot that the training does not"),
    (put("callbacks", value=3), "callbacks that are no list"), (put("callbacks", value=[[1, 2]]), "no list of names"),
    (put("callbacks", 0, 1, "best_epoch", value=-1), r"EarlyStopping\.load_state_dict: expected best, best_epoch"),
    (put("callbacks", 0, 1, "best", value=None), r"EarlyStopping\.load_state_dict: expected best, best_epoch"),
    (put("callbacks", 0, 1, "best_state", value={}), "best_state to be weights of this model"),
    (put("callbacks", 0, 1, "best_state", value=None), "best_state to be weights of this model"),
    (put("callbacks", 1, 1, value={"averaged": {}}), "missing"), (put("callbacks", 1, 1, value={}), "averaged, got"),
    (put("epoch", value=7), "epoch 7 with a history of 2 epochs"),
    (put("history", "loss", value=[1.0]), "columns are not of one length"),
    (put("history", "seconds", value=[None, None]), "lack numbers"),
    (put("history", "loss", value=["x", 1.0]), "expected numbers as loss, got 'x'"),
    (put("history", "stopped", value=[]), "expected stopped as a str"), (put("history", value=[]), "indices"),
    (put("history", "iteration_lr", value=[1.0]), "iteration_lr that is no array"),
    (put("generators", "places", "fit", value=5), "generators at"),
    (put("generators", "states", value=[]), "states of"),
    (put("generators", "states", 0, "state", "inc", value=-1), "inc of a generator's state"),
    (put("generators", "states", 0, "state", "state", value=2**128), "state of a generator's state"),
    (put("generators", "states", 0, "has_uint32", value=2), "has_uint32 of a generator's state"),
    (put("generators", "states", 0, "uinteger", value=1.0), "uinteger of a generator's state"),
    (put("generators", "states", 0, value=TWISTED), "a generator of a generator's state"),
])
@pytest.mark.parametrize("trained", [False, True])
def test_a_file_of_another_training_changes_nothing(tmp_path, alter, message, trained):
    def extra(run):
        return [EarlyStopping(9), WeightAveraging(AveragedModel(run.model))]

    settings = {"schedule": "StepLR", "extra": extra}
    Run(0, **settings).fit(2, save=tmp_path / "a")
    minidl.save(tmp_path / "b", alter(minidl.load(tmp_path / "a")))
    run = Run(1, **settings)
    if trained:
        run.fit(1)
    else:
        run.history = minidl.training.History()
    before = run.bits()
    before[4] = None  # on_train_begin of the callbacks has been called
    with pytest.raises(ValueError, match=message) as caught:
        run.fit(3, resume=tmp_path / "b")
    assert str(caught.value).startswith(f"fit: expected {str(tmp_path / 'b')!r} to be a checkpoint of this training")
    after = run.bits()
    after[4] = None
    assert after == before


@pytest.mark.parametrize(("kind", "change", "name"), [
    (np.random.MT19937, {"pos": 625}, "pos"), (np.random.MT19937, {"pos": -1}, "pos"),
    (np.random.MT19937, {"key": np.zeros(623, np.uint32)}, "key"), (np.random.Philox, {"buffer_pos": 5}, "buffer_pos"),
    (np.random.Philox, {"buffer_pos": -1}, "buffer_pos"),
    (np.random.SFC64, {"state": np.zeros(3, np.uint64)}, "state")])
def test_states_that_numpy_takes_without_a_look(kind, change, name):
    generators = {"fit": np.random.Generator(kind(0))}
    good = streams.told(generators)
    streams.check(good, generators)
    bad = copy.deepcopy(good)
    state = bad["states"][0]
    (state if name in state and name != "state" else state["state"]).update(change)
    with pytest.raises(ValueError, match=f"{name} of a generator's state"):
        streams.check(bad, generators)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        Run(0).fit(2, resume=tmp_path / "none")
    (tmp_path / "a").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        Run(0).fit(2, resume=tmp_path / "a")


def test_callbacks_that_were_not_there_begin(tmp_path):
    Run(0).fit(2, save=tmp_path / "a")
    run = Run(1, extra=lambda run: [EarlyStopping(9)]).fit(4, resume=tmp_path / "a")
    assert run.callbacks[0].best_epoch >= 3


def test_a_callback_without_a_state_takes_none():
    Callback().load_state_dict({})
    with pytest.raises(ValueError, match=r"Callback\.load_state_dict: expected \{\}, got x"):
        Callback().load_state_dict({"x": 1})
    with pytest.raises(TypeError, match="expected an AveragedModel, got Linear"):
        WeightAveraging(nn.Linear(1, 1))


def test_all_columns_of_a_history_are_kept(tmp_path):
    run = Run(0).fit(2, save=tmp_path / "a")
    kept = minidl.load(tmp_path / "a")["history"]
    assert {*EPOCH_COLUMNS, "iteration_loss", "iteration_lr", "stopped", "path"} == kept.keys()
    assert kept["iteration_loss"].tolist() == run.history.iteration_loss
