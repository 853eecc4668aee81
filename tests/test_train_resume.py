"""``minidl train --resume``: a run that was killed or interrupted goes on, and ends with the same bits."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import minidl
from minidl import cli
from minidl.commands.unfinished import NAME
from minidl.runs import MARKER
from minidl.training.callbacks import Progress
from minidl.training.history import History

QUICK = ["train", "--epochs", "6", "--hidden", "8", "--dropout", "0.2", "--optimizer", "adam", "--save-every", "0"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights(out):
    return {name: array.tobytes() for name, array in minidl.load(f"{out}/weights.npz").items()}


def stop_after(monkeypatch, epochs, how=lambda: signal.raise_signal(signal.SIGINT)):
    def press(self, epoch, logs):
        if epoch == epochs:
            how()

    monkeypatch.setattr(Progress, "on_epoch_end", press)


def whole_and_interrupted(monkeypatch, options=QUICK, epochs=3):
    assert cli.main([*options, "--out", "whole"]) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, epochs)
        assert cli.main([*options, "--out", "run"]) == 130


def test_after_ctrl_c(tmp_path, monkeypatch, capsys):
    whole_and_interrupted(monkeypatch)
    assert {NAME, "result.json", "weights.npz"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert weights("run") != weights("whole") and not (tmp_path / "whole" / NAME).exists()
    capsys.readouterr()
    assert cli.main(["train", "--resume", "--out", "run"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == "going on with the run in run after epoch 3" and "6 epochs" in out
    assert weights("run") == weights("whole")
    one, other = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("run", "whole"))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    histories = [History.load(tmp_path / name / "history.json") for name in ("run", "whole")]
    assert histories[0].loss == histories[1].loss and histories[0].iteration_lr == histories[1].iteration_lr
    assert set(os.listdir("run")) == set(os.listdir("whole"))


@pytest.mark.parametrize("seed", [1, 2**32, 2**64 - 1])
def test_any_seed(monkeypatch, seed):
    whole_and_interrupted(monkeypatch, [*QUICK, "--seed", str(seed)])
    assert cli.main(["train", "--resume", "--out", "run"]) == 0
    assert weights("run") == weights("whole")


def test_more_epochs(monkeypatch):
    whole_and_interrupted(monkeypatch, [*QUICK[:2], "8", *QUICK[3:]])
    assert cli.main(["train", "--resume", "--out", "run", "--epochs", "8"]) == 0
    assert weights("run") == weights("whole")


def test_after_a_kill_the_earlier_run_stands_until_the_new_one_is_finished(tmp_path):
    """The process is killed from outside, while it trains."""
    assert cli.main([*QUICK, "--out", "whole"]) == 0
    assert cli.main(["train", "--epochs", "1", "--out", "run"]) == 0
    before = (tmp_path / "run" / "result.json").read_text()
    code = ("import os, signal; from minidl import cli; from minidl.training.callbacks import Progress\n"
            "Progress.on_epoch_end = lambda self, epoch, logs: epoch == 4 and os.kill(os.getpid(), signal.SIGKILL)\n"
            f"cli.main({[*QUICK, '--out', 'run']})")
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(minidl.__file__))}
    killed = subprocess.run([sys.executable, "-P", "-c", code], timeout=60, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / "result.json").read_text() == before and (tmp_path / "run" / NAME).exists()
    assert len(list((tmp_path / "run").glob("*.part"))) == 1
    assert cli.main(["train", "--resume", "--out", "run"]) == 0
    assert weights("run") == weights("whole")
    assert set(os.listdir("run")) == set(os.listdir("whole"))


def test_a_run_that_ends_within_the_time_writes_none(tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.commands.unfinished.Unfinished.write", None)
    assert cli.main(["train", "--epochs", "2"]) == 0
    assert cli.main([*QUICK[:-2], "--epochs", "1", "--save-every", "0"]) == 0


def test_ctrl_c_keeps_no_checkpoint_of_another_run(tmp_path, monkeypatch):
    whole_and_interrupted(monkeypatch)
    stop_after(monkeypatch, 1)
    assert cli.main(["train", "--epochs", "3", "--out", "run"]) == 130  # within five seconds
    assert not (tmp_path / "run" / NAME).exists()


def test_a_training_that_diverges_keeps_its_last_checkpoint(tmp_path, monkeypatch, capsys):
    def fail():
        raise FloatingPointError("the loss became nan")

    stop_after(monkeypatch, 3, fail)
    assert cli.main([*QUICK, "--out", "{epoch} {x}"]) == 1
    assert capsys.readouterr().err == "minidl: the loss became nan\n"
    folder = tmp_path / "{epoch} {x}"
    assert {path.name for path in folder.iterdir()} == {NAME, MARKER}
    assert minidl.load(folder / NAME)["epoch"] == 2


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--out", "none"], 2, f"none holds no unfinished run, which would be {NAME}"),
    (["--out", "run", "--lr", "0.1"], 2, "expected no other options than --out, --epochs, --data and --json"),
    (["--out", "run", "--dataset", "mnist"], 2, "expected no other options"),
    (["--out", "run", "--seed", "3"], 2, "expected no other options"),
    (["--out", "run", "--data", "x"], 2, "--data is an option of --dataset mnist"),
    (["--out", "run", "--save-every", "-1"], 2, "argument --save-every: invalid number of seconds >= 0 value: '-1'")])
def test_wrong_use_is_one_line(monkeypatch, capsys, arguments, code, message):
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        cli.main([*QUICK, "--out", "run"])
    capsys.readouterr()
    assert cli.main(["train", "--resume", *arguments]) == code
    assert message in capsys.readouterr().err


def put(*path, value):
    def change(state):
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value
    return change


RECIPE = "note", "recipe"


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: state.pop("note"), "'note'"), (put("note", value=3), "the note 3"),
    (put("note", "dataset", value="cifar"), "the note"), (put("note", "seed", value=-1), "the seed -1"),
    (put("note", "seed", value=True), "the seed True"), (put(*RECIPE, value={"speed": 9}), "unexpected keyword"),
    (put(*RECIPE, "hidden", value=(10**9, 10**9)), "42 weights, for layers of"),
    (put(*RECIPE, "hidden", value=(8.0,)), "numbers"), (put(*RECIPE, "hidden", value=8), "int"),
    (put(*RECIPE, "epochs", value=0), "numbers"), (put(*RECIPE, "batch_size", value=10**12), "numbers"),
    (put(*RECIPE, "lr", value=[1]), r"lr \[1\]"), (put("model", value={}), "0 weights"),
    (put(*RECIPE, "activation", value="gelu"), "expected activation to be one of"),
    (put(*RECIPE, "optimizer", value="sgd"), "one with the optimizer Adam, .* has the optimizer SGD"),
    (put("epoch", value=17), "epoch 17 with a history of")])
def test_a_checkpoint_of_something_else_is_one_line(tmp_path, monkeypatch, capsys, change, message):
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        cli.main([*QUICK, "--out", "run"])
    state = minidl.load(tmp_path / "run" / NAME)
    change(state)
    minidl.save(tmp_path / "run" / NAME, state)
    capsys.readouterr()
    begin = time.monotonic()
    assert cli.main(["train", "--resume", "--out", str(tmp_path / "run")]) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert re.search(message, lines[-1]) and lines[-1].startswith("minidl: ")
    assert len(lines) <= 2 and time.monotonic() - begin < 30
