"""Callbacks that log: files read back, an Optuna study that prunes, and a picture in a notebook that is updated."""
import csv
import json
import subprocess
import sys
import types

import numpy as np
import pytest

from minidl import data, fit, nn, optim, training
from minidl.training import callbacks
from minidl.training.callbacks import Callback, CSVLogger, EarlyStopping, JSONLinesLogger
from minidl.training.history import EPOCH_COLUMNS

X, Y = data.disk(60, seed=0)


def trained(*callbacks, epochs=3, validation=(X, Y), target=Y, lr=0.1):
    model = nn.Sequential(nn.Linear(2, 2, generator=0))
    criterion = nn.CrossEntropyLoss() if target is Y else nn.MSELoss()
    return fit(model, criterion, optim.SGD(model.parameters(), lr=lr), (X, target), validation=validation,
               epochs=epochs, seed=0, callbacks=callbacks, progress=False)


def rows_of(path):
    """The epochs in a file of either kind, as numbers or None."""
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            rows = [{name: float(text) if text else None for name, text in row.items()} for row in csv.DictReader(file)]
    else:
        rows = [json.loads(line, parse_constant=None) for line in path.read_text().splitlines()]
    return rows


LOGGERS = [(CSVLogger, "log.csv"), (JSONLinesLogger, "log.jsonl")]


@pytest.mark.parametrize(("kind", "name"), LOGGERS)
def test_a_file_has_every_digit_of_the_history(kind, name, tmp_path):
    path = tmp_path / "a" / "b" / name
    history = trained(kind(path))
    rows = rows_of(path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for column in EPOCH_COLUMNS:
        assert [row[column] for row in rows] == getattr(history, column)
    assert list(rows[0]) == ["epoch", *EPOCH_COLUMNS]


@pytest.mark.parametrize(("kind", "name"), LOGGERS)
def test_what_was_not_measured_is_empty(kind, name, tmp_path):
    trained(kind(tmp_path / name), validation=None, target=X.copy())
    for row in rows_of(tmp_path / name):
        assert row["error"] is None and row["validation_loss"] is None and row["loss"] > 0


@pytest.mark.parametrize(("kind", "name"), LOGGERS)
def test_a_file_is_written_anew_or_continued(kind, name, tmp_path):
    path = tmp_path / name
    trained(kind(path))
    trained(kind(path), epochs=2)
    assert [row["epoch"] for row in rows_of(path)] == [1, 2]
    with open(path, "ab") as file:
        file.write(b'3,0.5,{"epo')  # what a killed process leaves
    trained(kind(path, append=True), epochs=2)
    assert [row["epoch"] for row in rows_of(path)] == [1, 2, 1, 2]


@pytest.mark.parametrize(("kind", "name"), LOGGERS)
def test_a_training_that_goes_on_drops_the_lines_of_epochs_that_it_repeats(kind, name, tmp_path):
    """As it does where a checkpoint is older than the end of the file."""
    class Checkpoint(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                self.state = logger.state_dict()

    logger, checkpoint = kind(tmp_path / name), Checkpoint()
    trained(logger, checkpoint, epochs=4)
    again = kind(tmp_path / name, append=True)
    again.on_train_begin(None, None, 4)
    assert len(rows_of(tmp_path / name)) == 4
    again.load_state_dict(checkpoint.state)
    assert [row["epoch"] for row in rows_of(tmp_path / name)] == [1, 2]
    again.load_state_dict({"bytes": 10**6})  # a file that is shorter stays
    assert len(rows_of(tmp_path / name)) == 2
    for state in ({}, {"bytes": -1}, {"bytes": "3"}, {"bytes": 3, "more": 1}):
        with pytest.raises(ValueError, match="expected bytes, got"):
            again.load_state_dict(state)


@pytest.mark.parametrize(("kind", "name"), LOGGERS)
def test_each_epoch_is_in_the_file_when_it_ends(kind, name, tmp_path):
    class Look(Callback):
        seen = ()

        def on_epoch_end(self, epoch, logs):
            self.seen = (*self.seen, len(rows_of(tmp_path / name)))

    look = Look()
    trained(kind(tmp_path / name), look)
    assert look.seen == (1, 2, 3)


def test_csv_with_other_columns_is_not_continued(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,accuracy\r\n1,0.5\r\n")
    with pytest.raises(ValueError, match=r"CSVLogger: expected .* to begin with 'epoch,loss"):
        trained(CSVLogger(path, append=True))
    assert path.read_text() == "epoch,accuracy\n1,0.5\n"


def test_json_lines_are_strict_json(tmp_path):
    logger = JSONLinesLogger(tmp_path / "log.jsonl")
    logger.on_train_begin(None, None, 1)
    logger.on_epoch_end(1, dict.fromkeys(EPOCH_COLUMNS, float("nan")) | {"error": float("-inf"), "lr": None})
    row = json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=pytest.fail)
    assert row == {"epoch": 1} | dict.fromkeys(EPOCH_COLUMNS, "NaN") | {"error": "-Infinity", "lr": None}


@pytest.mark.parametrize(("kind", "name"), LOGGERS)
def test_a_file_that_cannot_be_written_is_an_error_before_the_first_step(kind, name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(OSError):
        trained(kind(tmp_path / name))


def test_tensorboard_reads_what_was_measured(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from minidl.training.loggers import TAGS

    history = trained(callbacks.TensorBoard(tmp_path / "run"))
    read = EventAccumulator(str(tmp_path / "run"))
    read.Reload()
    assert sorted(read.Tags()["scalars"]) == sorted(TAGS.values()) and TAGS.keys() == set(EPOCH_COLUMNS)
    for name, tag in TAGS.items():
        events = read.Scalars(tag)
        assert [event.step for event in events] == [1, 2, 3]
        np.testing.assert_array_equal([event.value for event in events], np.float32(getattr(history, name)))
    trained(callbacks.TensorBoard(tmp_path / "other"), validation=None)
    read = EventAccumulator(str(tmp_path / "other"))
    read.Reload()
    assert sorted(read.Tags()["scalars"]) == ["error/training", "learning rate", "loss/training", "seconds"]


def test_optuna_prunes_what_is_worse_than_the_median():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=2))
    rates = iter([0.5, 0.4, 1e-6])

    def objective(trial):
        history = trained(callbacks.OptunaPruning(trial), epochs=6, lr=next(rates))
        return history.validation_loss[-1]

    study.optimize(objective, n_trials=3)
    good, other, bad = study.trials
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert list(good.intermediate_values) == [0, 1, 2, 3, 4, 5] and list(bad.intermediate_values) == [0, 1, 2]
    assert good.intermediate_values[5] == good.value and other.value != good.value


def test_optuna_pruning_refuses_what_would_prune_the_best():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for study in (optuna.create_study(direction="maximize"), optuna.create_study(directions=["minimize"] * 2)):
        with pytest.raises(ValueError, match="expected a study of direction minimize, since validation_loss"):
            callbacks.OptunaPruning(study.ask())
    trial = optuna.create_study().ask()
    with pytest.raises(ValueError, match=r"expected monitor to be one of loss, .*, got 'accuracy'"):
        callbacks.OptunaPruning(trial, "accuracy")
    with pytest.raises(ValueError, match="OptunaPruning needs 'validation_loss'"):
        trained(callbacks.OptunaPruning(trial), validation=None)
    with pytest.raises(ValueError, match="this run has no 'error'"):
        trained(callbacks.OptunaPruning(trial, "error"), validation=None, target=X.copy())


class Display:
    """What stands for a notebook: what was displayed, and what that was updated to."""

    def __init__(self):
        self.pictures, self.updates = [], []

    def __call__(self, picture, display_id=None):
        assert display_id is True
        self.pictures.append(picture)
        return types.SimpleNamespace(update=self.updates.append)


@pytest.fixture
def display(monkeypatch):
    pytest.importorskip("matplotlib")
    stub, module, package = Display(), types.ModuleType("IPython.display"), types.ModuleType("IPython")
    module.display, package.version_info = stub, (9, 0)  # matplotlib looks at the version
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return stub


def test_a_live_plot_is_displayed_once_and_updated_each_epoch(display):
    history = trained(callbacks.LivePlot(interval=0))
    assert len(display.pictures) == 1 and len(display.updates) == 2
    for count, picture in enumerate([*display.pictures, *display.updates], 1):
        assert picture._repr_png_().startswith(b"\x89PNG") and f"{count} epoch" in repr(picture)
    assert "validation loss" in repr(display.updates[-1]) and len(history) == 3


def test_a_live_plot_is_not_redrawn_too_often_but_at_the_end(display):
    trained(callbacks.LivePlot(interval=1000), epochs=5)
    assert len(display.pictures) == 1 and len(display.updates) == 1
    assert "5 epochs" in repr(display.updates[0])
    display.updates.clear()
    trained(callbacks.LivePlot(interval=1000), epochs=1)
    assert not display.updates  # the only epoch was drawn


def test_a_live_plot_without_classes_has_the_loss_alone(display):
    trained(callbacks.LivePlot(interval=0), validation=None, target=X.copy())
    wide = trained(callbacks.LivePlot(interval=0))
    assert len(wide) == 3

    def width(png):
        return int.from_bytes(png[16:20], "big")

    assert width(display.pictures[0].png) < width(display.pictures[1].png)
    with pytest.raises(ValueError, match="expected interval >= 0"):
        callbacks.LivePlot(-1)


NEEDS = {"TensorBoard": ("tensorboard", lambda: callbacks.TensorBoard("runs")),
         "OptunaPruning": ("optuna", lambda: callbacks.OptunaPruning(None)),
         "LivePlot": ("IPython", lambda: callbacks.LivePlot())}


@pytest.mark.parametrize("name", NEEDS)
def test_without_its_library_a_callback_says_what_to_install(name, monkeypatch):
    library, make = NEEDS[name]
    for module in [module for module in sys.modules if module.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"{name}: .*"):
        make()


def test_the_callbacks_elsewhere_are_found_where_the_others_are():
    for name in callbacks.ELSEWHERE:
        found = getattr(callbacks, name)
        assert issubclass(found, Callback) and found.__name__ == name and getattr(training, name) is found
        assert name in dir(callbacks) and name in dir(training)
    assert issubclass(EarlyStopping, Callback) and "lr_find" in dir(training)
    for module in (callbacks, training):
        with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
            module.Nonsense  # noqa: B018


def test_they_are_not_read_with_the_package():
    names = [f"minidl.{name}" for name in ("plot", "training.live_plot", "training.loggers", "training.optuna_pruning",
                                           "training.range_test")]
    code = f"import sys, minidl; sys.exit(bool({{*{names}}} & {{*sys.modules}}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
