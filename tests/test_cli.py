"""The command line: results, exit codes, and one line on standard error for what goes wrong."""
import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from minidl import cli, papers
from minidl.checkpoint import load
from minidl.commands import reproduce
from minidl.papers.experiment import Experiment, Row
from minidl.papers.trial import DiskTrial
from minidl.recipe import Recipe
from minidl.training.callbacks import Progress
from minidl.training.history import History

QUICK = ["--epochs", "2"]


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def one_line(capsys):
    """Standard error, which must be one line; nothing may stand on standard output."""
    out, err = capsys.readouterr()
    assert out == ""
    line, = err.splitlines()
    return line


def test_train_writes_a_run_folder(tmp_path, capsys):
    assert cli.main(["train", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "train error" in out and "test error" in out and "epoch 2/2" in err
    folder = tmp_path / "runs" / "train"
    assert {"result.json", "history.json", "weights.npz"} <= {path.name for path in folder.iterdir()}
    history = History.load(folder / "history.json")
    assert len(history) == 2
    result = json.loads((folder / "result.json").read_text())
    assert result["recipe"]["epochs"] == 2 and result["seed"] == 0
    assert result["seconds"] == history.seconds[-1] and result["epochs"] == 2
    outcome = DiskTrial(Recipe(scheduler="cyclic", epochs=2)).train(0)
    assert result["test_error"] == outcome.test_error
    for name, array in load(folder / "weights.npz").items():
        np.testing.assert_array_equal(array, outcome.weights[name])


def test_train_draws_the_loss_and_the_points(tmp_path):
    pytest.importorskip("matplotlib")
    cli.main(["train", *QUICK, "--out", "x"])
    for name in ("loss.png", "points.png"):
        assert (tmp_path / "x" / name).read_bytes().startswith(b"\x89PNG")


def test_train_json_is_one_object(capsys):
    assert cli.main(["train", *QUICK, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["epochs"] == 2 and result["stopped"] == ""
    assert all(0 <= result[name] <= 100 for name in ("train_error", "test_error")) and result["seconds"] > 0


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_defaults_learn_the_disk_within_seconds(capsys, seed):
    cli.main(["train", "--json", "--seed", seed])
    result = json.loads(capsys.readouterr().out)
    assert result["test_error"] <= 3 and result["seconds"] < 30


def test_options_reach_the_recipe(tmp_path):
    options = {"activation": "relu", "loss": "mse", "optimizer": "sgd", "lr": 0.05, "momentum": 0.9,
               "scheduler": "step", "dropout": 0.1, "init": "kaiming_normal", "epochs": 1, "batch_size": 10}
    line = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert cli.main(["train", *line, "--hidden", "7", "8", "--seed", "3", "--out", "run"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {name: result["recipe"][name] for name in options} == options
    assert result["recipe"]["hidden"] == [7, 8] and result["seed"] == 3


@pytest.mark.parametrize(("options", "message"), [
    (["--lr", "-0.1"], "SGD: expected lr >= 0 and finite, got -0.1"),
    (["--lr", "nan"], "SGD: expected lr >= 0 and finite, got nan"),
    (["--lr", "fast"], "invalid float value: 'fast'"),
    (["--momentum", "-1"], "expected momentum >= 0"),
    (["--optimizer", "adam", "--momentum", "0.9"], "momentum with the optimizer sgd alone, got adam"),
    (["--dropout", "1.5"], "0 <= p <= 1, got 1.5"),
    (["--loss", "hinge"], "argument --loss: invalid choice: 'hinge'"),
    (["--activation", "gelu"], "invalid choice: 'gelu'"),
    (["--epochs", "0"], "invalid int >= 1 value: '0'"),
    (["--batch-size", "-4"], "invalid int >= 1 value: '-4'"),
    (["--hidden", "25", "0"], "invalid int >= 1 value: '0'"),
    (["--seed", "-1"], "invalid int >= 0 value: '-1'"),
    (["--speed", "9"], "unrecognized arguments: --speed")])
def test_wrong_options_are_one_line_and_exit_code_2(capsys, tmp_path, options, message):
    assert cli.main(["train", *options]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["dance"]])
def test_unknown_commands(capsys, arguments):
    assert cli.main(arguments) == 2
    assert "train" in one_line(capsys)


@pytest.mark.parametrize("command", [["train"], ["reproduce", "all"]])
def test_a_folder_that_cannot_be_made_is_told_before_any_training(capsys, tmp_path, monkeypatch, command):
    monkeypatch.setattr(DiskTrial, "train", None)
    (tmp_path / "file").touch()
    assert cli.main([*command, "--out", "file/below"]) == 1
    assert "cannot write to" in one_line(capsys)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    assert cli.main([*command, "--out", "mine"]) == 1
    assert "no run of minidl" in one_line(capsys)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_divergence_is_one_line_and_leaves_the_old_run(capsys, tmp_path):
    cli.main(["train", *QUICK])
    before = (tmp_path / "runs" / "train" / "result.json").read_text()
    capsys.readouterr()
    assert cli.main(["train", "--loss", "mse_sum", "--lr", "1e6"]) == 1
    announced, failed = capsys.readouterr().err.splitlines()
    assert announced == "the run in runs/train will be replaced" and "the loss became" in failed
    assert (tmp_path / "runs" / "train" / "result.json").read_text() == before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["train"]


def test_ctrl_c_saves_the_history_so_far(capsys, tmp_path, monkeypatch):
    def press(self, epoch, logs):
        if epoch == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "on_epoch_end", press)
    assert cli.main(["train", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["stopped"] == "interrupted"
    history = History.load(tmp_path / "runs" / "train" / "history.json")
    assert len(history) == 3 and history.stopped == "interrupted"


def test_without_matplotlib_figures_are_skipped_and_that_is_said_once(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["train", *QUICK]) == 0
    assert capsys.readouterr().err.count("pip install 'minidl[plot]'") == 1
    assert not list(tmp_path.rglob("*.png")) and (tmp_path / "runs" / "train" / "weights.npz").exists()


@pytest.fixture
def small(monkeypatch):
    """One quick experiment in the place of the reports'."""
    def figures(outcomes, folder):
        (folder / "figure.png").touch()

    experiment = Experiment(
        "small", "report 9", 2, {"a": DiskTrial(Recipe(epochs=2)), "b": DiskTrial(Recipe(epochs=1))},
        [Row("I", "row a", "a", "test_error", 50.0, 3.0), Row("I", "row b", "b", "train_error", 40.0)],
        figures, notes=("a note",))
    monkeypatch.setattr(reproduce, "EXPERIMENTS", {"small": experiment})
    return experiment


def test_reproduce_json_is_an_array_of_rows(capsys, small, tmp_path):
    assert cli.main(["reproduce", "all", "--json", "--executor", "serial"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [list(row) for row in rows] == [
        ["experiment", "table", "row", "paper_mean", "paper_sd", "mean", "sd", "rounds"]] * 2
    assert rows[0]["paper_sd"] == 3.0 and rows[1]["paper_sd"] is None and rows[0]["rounds"] == 2
    folder = tmp_path / "runs" / "reproduce"
    assert json.loads((folder / "rows.json").read_text()) == rows
    assert (folder / "rows.csv").read_text().splitlines()[0] == ",".join(rows[0])


def test_reproduce_prints_tables_beside_the_reports(capsys, small):
    assert cli.main(["reproduce", "small", "small", "--executor", "serial"]) == 0
    out = capsys.readouterr().out
    assert out.count("small: report 9") == 1 and "50.00 ± 3.00" in out and "(a note)" in out


def test_reproduce_draws_the_figures(small, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli.main(["reproduce", "small", "--out", "x", "--executor", "serial"]) == 0
    assert (tmp_path / "x" / "small" / "figure.png").exists()


def test_reproduce_says_which_library_is_missing(capsys, small, monkeypatch):
    monkeypatch.setattr(reproduce, "EXPERIMENTS", {"small": replace(small, needs={"b": "no_such_library"})})
    assert cli.main(["reproduce", "small", "--json", "--executor", "serial"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 1 and "no rows for b: no_such_library is not installed" in err


def test_reproduce_without_matplotlib(capsys, small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["reproduce", "small", "--executor", "serial"]) == 0
    assert capsys.readouterr().err.count("pip install 'minidl[plot]'") == 1
    assert not list(tmp_path.rglob("*.png"))


def test_reproduce_list(capsys):
    assert cli.main(["reproduce", "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [*papers.EXPERIMENTS, "mnist-grid", "mnist-records"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["disk-2017"], "unknown experiment 'disk-2017'; known are disk-2018, disk-modules"),
    ([], "no experiment named; known are disk-2018"),
    (["all", "--executor", "cloud"], "got 'cloud'"), (["all", "--executor", "processes:0"], "N >= 1")])
def test_reproduce_wrong_use(capsys, tmp_path, arguments, message):
    assert cli.main(["reproduce", *arguments]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_reproduce_interrupted(capsys, small, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "reproduce", interrupted)
    assert cli.main(["reproduce", "small"]) == 130
    assert one_line(capsys) == "minidl: interrupted"
    assert not list((tmp_path / "runs").iterdir())


def test_python_m_minidl_is_the_command():
    done = subprocess.run([sys.executable, "-m", "minidl", "train", "--epochs", "0"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
