"""The parts of a sweep by themselves: what a setting may be, how data are parted, files, tables, the picture."""
from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from minidl import data
from minidl.data.mnist import Dataset
from minidl.sweep import attempt, sweep
from minidl.sweep import task as sweep_task
from minidl.sweep.log import Log, Run, identity
from minidl.sweep.table import by_configuration, summary, varying

# Settings

DEFAULTS = {"dataset": "mnist", "layers": 3, "hidden": 128, "activation": "relu", "init": "xavier_uniform", "lr": 0.1,
            "momentum": 0.0, "decay": None, "batch_size": 32, "epochs": 10, "samples": None, "split_seed": 0}
LEAST = {"layers": 1, "hidden": 1, "batch_size": 1, "epochs": 1, "samples": 1, "split_seed": 0, "lr": 0, "momentum": 0}
SMALL = {"dataset": "disk", "epochs": 2, "samples": 100, "hidden": 5, "lr": 0.5}


def test_the_defaults():
    assert sweep_task.complete({}) == DEFAULTS


@pytest.mark.parametrize("name", LEAST)
def test_the_least_is_taken_and_less_is_not(name):
    assert sweep_task.complete({name: LEAST[name]})[name] == LEAST[name]
    with pytest.raises(ValueError, match=f"^sweep: expected {name} "):
        sweep_task.complete({name: LEAST[name] - 1})


@pytest.mark.parametrize("dataset, most", [("mnist", 50_000), ("disk", 1_000)])
def test_the_most_samples(dataset, most):
    assert sweep_task.complete({"dataset": dataset, "samples": most})["samples"] == most
    with pytest.raises(ValueError, match=f"^sweep: expected at most {most} samples of {dataset}, got {most + 1}$"):
        sweep_task.complete({"dataset": dataset, "samples": most + 1})


@pytest.mark.parametrize("samples, trained", [(None, 1000), (100, 100)])
def test_the_parts_of_the_disk(samples, trained):
    settings = sweep_task.complete({"dataset": "disk", "samples": samples, "split_seed": 3})
    (X, y), (Xd, yd), transform = sweep_task.parts(settings, None)
    assert transform is None and len(X) == len(y) == trained and len(Xd) == len(yd) == 1000
    generator = np.random.default_rng(3)
    (A, a), (B, b) = data.split(*data.disk(2000, seed=generator), sizes=(trained, 1000), seed=generator)
    np.testing.assert_allclose(X, (A - A.mean(0)) / A.std(0), atol=1e-5)
    np.testing.assert_allclose(Xd, (B - A.mean(0)) / A.std(0), atol=1e-5)
    assert y.tolist() == a.tolist() and yd.tolist() == b.tolist()


def test_the_parts_of_mnist(monkeypatch):
    labels = (np.arange(60_000) % 10).astype(np.uint8)
    images = np.broadcast_to(labels[:, None, None], (60_000, 2, 2))
    folders = []
    monkeypatch.setattr(sweep_task.data, "mnist", lambda folder: folders.append(folder) or Dataset(
        images, labels, images[:7], labels[:7]))
    sweep_task._mnist.cache_clear()
    try:
        settings = sweep_task.complete({"samples": 30, "split_seed": 4})
        (X, y), (Xd, yd), transform = sweep_task.parts(settings, "there")
        assert (len(X), len(Xd)) == (30, 10_000) and transform is data.scaled and folders == ["there"]
        order = np.random.default_rng(4).permutation(60_000)
        assert y.tolist() == labels[order[:30]].tolist() and yd.tolist() == labels[order[30:10_030]].tolist()
        assert (X[:, 0, 0] == y).all() and (Xd[:, 1, 1] == yd).all()
        assert len(sweep_task.parts(sweep_task.complete({}), "there")[0][0]) == 50_000
        assert folders == ["there"]  # read once
    finally:
        sweep_task._mnist.cache_clear()


def test_what_a_training_gives():
    model, result = sweep_task.trained(SMALL | {"layers": 3}, 0)
    assert list(result) == ["best_dev_accuracy", "best_epoch", "last_dev_accuracy", "history"]
    assert list(result["history"]) == ["loss", "error", "validation_loss", "validation_error", "lr"]
    errors = result["history"]["validation_error"]
    assert [len(column) for column in result["history"].values()] == [2] * 5
    assert result["best_dev_accuracy"] == (100 - min(errors)) / 100
    assert result["last_dev_accuracy"] == (100 - errors[-1]) / 100
    assert result["best_epoch"] == 1 + errors.index(min(errors))
    assert result["history"]["lr"] == [0.5, 0.5]
    assert [m.weight.shape for m in model if hasattr(m, "weight")] == [(5, 2), (5, 5), (2, 5)]
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert sweep_task.train(SMALL, 0) == sweep_task.trained(SMALL, 0)[1]
    halved = sweep_task.train(SMALL | {"momentum": 0.5}, 0)["history"]["lr"]
    assert halved == [0.25, 0.25]


def test_progress_is_shown_when_asked(capsys):
    sweep_task.trained(SMALL, 0)
    assert capsys.readouterr().err == ""
    sweep_task.trained(SMALL, 0, progress=True)
    assert "epoch 2/2" in capsys.readouterr().err


def test_a_training_that_ctrl_c_ended_is_no_result(monkeypatch):
    whole = sweep_task.fit

    def stopped(*arguments, **settings):
        history = whole(*arguments, **settings)
        history.stopped = "Ctrl-C"
        return history

    monkeypatch.setattr(sweep_task, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep_task.trained(SMALL, 0)


# Runs and their file

def run(settings, seed=0, result=None):
    error = None if result is not None else {"type": "E", "message": "m", "traceback": "t"}
    return Run(settings, seed, result, error, 1.5)


def test_identities():
    assert identity({"b": 1, "a": 2}, 3) == identity({"a": 2, "b": 1}, 3) == '[{"a": 2, "b": 1}, 3]'
    assert len({identity({"a": a}, 0) for a in (1, 1.0, True)}) == 3
    assert run({"a": 1}, 2).identity == identity({"a": 1}, 2)


def test_an_attempt():
    made = attempt(lambda settings, seed: {"sum": settings["a"] + seed, "pair": (1, 2)}, {"a": 1}, 5)
    assert (made.settings, made.seed, made.result, made.error) == ({"a": 1}, 5, {"sum": 6, "pair": [1, 2]}, None)
    assert 0 <= made.seconds < 60
    failed = attempt(lambda settings, seed: settings["b"], {"a": 1}, 5)
    assert failed.result is None and (failed.error["type"], failed.error["message"]) == ("KeyError", "'b'")
    assert failed.error["traceback"].startswith("Traceback") and "KeyError: 'b'" in failed.error["traceback"]
    assert attempt(lambda settings, seed: 3, {}, 0).error["message"] == (
        "sweep: expected the task to return a dict, got int")


def test_one_seed_is_the_default(capsys):
    runs = sweep(sweep_task.train, [SMALL], executor="serial")
    assert [r.seed for r in runs] == [0] and runs[0].result == sweep_task.train(SMALL, 0)
    assert "1/1" in capsys.readouterr().err  # progress is shown


def test_the_file_line_by_line(tmp_path):
    path = tmp_path / "runs.jsonl"
    with Log(path, "task") as log:
        assert log.runs == {} and path.read_bytes() == b'{"sweep of": "task"}\n'
        log.append(run({"a": 1}, 0, {"x": 2}))
        assert len(path.read_bytes().splitlines()) == 2  # at once
    assert json.loads(path.read_text().splitlines()[1]) == {
        "settings": {"a": 1}, "seed": 0, "result": {"x": 2}, "error": None, "seconds": 1.5}
    with Log(path, "task") as log:
        log.append(run({"a": 1}, 0, {"x": 3}))
        log.append(run({"a": 1}, 1))
    with Log(str(path), "task") as log:
        assert [r.result for r in log.runs.values()] == [{"x": 3}, None]  # the last one counts
        assert [r.error for r in log.runs.values()] == [None, {"type": "E", "message": "m", "traceback": "t"}]
    whole = path.read_bytes()
    assert whole.count(b"sweep of") == 1
    path.write_bytes(whole + b'{"settings": {"a": 9}')
    with Log(path, "task") as log:
        assert len(log.runs) == 2
    assert path.read_bytes() == whole
    path.write_bytes(whole[:10])
    with Log(path, "task") as log:
        assert log.runs == {}
    assert path.read_bytes() == b'{"sweep of": "task"}\n'


@pytest.mark.parametrize("content, message", [
    (b"another\n", "runs.jsonl: expected the file of a sweep of task, got one that begins with 'another.n'"),
    (b'{"sweep of": "task"}\nwhat\n{}\n', r"runs.jsonl, line 2: expected a run of a sweep, got 'what'"),
    (b'{"sweep of": "task"}\n{"settings": {}, "seed": 0, "result": {}, "error": null, "seconds": 1}\n{"a": 1}\n',
     r"runs.jsonl, line 3: expected a run of a sweep, got '{\"a\": 1}'")])
def test_what_is_no_file_of_runs(content, message, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Log(path, "task")
    assert path.read_bytes() == content


def test_a_result_that_is_no_number_is_refused_by_the_file(tmp_path):
    with Log(tmp_path / "runs.jsonl", "task") as log, pytest.raises(ValueError, match="JSON"):
        log.append(run({"a": 1}, 0, {"x": float("nan")}))


# Tables

def test_runs_by_configuration():
    runs = [run({"a": 1}, 0, {}), run({"a": 2}, 0, {}), run({"a": 1}, 1, {}), run({"a": True}, 0, {})]
    assert by_configuration(runs) == [[runs[0], runs[2]], [runs[1]], [runs[3]]]
    assert varying(runs) == ["a"] and varying(runs[:1]) == [] and varying([]) == []


def test_a_summary():
    runs = [run({"a": 1}, 0, {"x": 1.0, "n": 3, "t": "text", "l": [1]}), run({"a": 1}, 1, {"x": 2.0, "n": 3}),
            run({"a": 1}, 2, {"x": 6.0}), run({"a": 2}, 0)]
    assert summary(runs) == [
        {"a": 1, "runs": 3, "failed": 0, "x": 3.0, "x_sd": statistics.stdev([1, 2, 6]), "n": 3, "n_sd": 0},
        {"a": 2, "runs": 1, "failed": 1, "x": None, "x_sd": None, "n": None, "n_sd": None}]
    assert summary([run({"a": 1}, 0, {"x": 1.0})]) == [{"a": 1, "runs": 1, "failed": 0, "x": 1.0}]


# The picture

def test_the_picture_of_a_sweep():
    pytest.importorskip("matplotlib")
    from minidl import plot

    def result(best, epoch):
        return {"best_dev_accuracy": best, "best_epoch": epoch}

    runs = [run({"a": 1, "b": 0}, 0, result(0.75, 2)), run({"a": 2, "b": 0}, 0, result(0.25, 4)),
            run({"a": 1, "b": 0}, 1, result(0.5, 3)), run({"a": 3, "b": 0})]
    figure = plot.sweep(runs).figure
    axes, bar = figure.axes
    assert figure.get_size_inches().tolist() == [9, 1.8 + 0.24 * 2] and figure.get_dpi() == 120
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a 2", "a 1"]  # the best on top
    assert axes.get_yticks().tolist() == [0, 1] and axes.get_ylim() == (-0.7, 1.7)
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0.25, 0], [0.25, 0]], [[0.5, 1], [0.75, 1]]]
    dots, = axes.collections
    assert dots.get_offsets().tolist() == [[0.25, 0], [0.75, 1], [0.5, 1]]
    assert dots.get_array().tolist() == [4, 2, 3]
    assert dots.get_zorder() == 2 and [line.get_zorder() for line in axes.lines] == [1, 1]  # dots above lines
    assert [line.get_linewidth() for line in axes.lines] == [2, 2]
    assert [label.get_fontsize() for label in axes.get_yticklabels()] == [8, 8]
    assert axes.get_title() == "2 configurations, a dot for each of 3 runs"
    assert axes.get_xlabel() == "best accuracy on the development samples"
    assert bar.get_ylabel() == "epoch of the best accuracy"
    axes.set_xlim(0, 1)
    figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()][::5] == ["0%", "100%"]
    assert not axes.spines["top"].get_visible() and not axes.spines["right"].get_visible()
    assert axes.spines["left"].get_visible() and axes.spines["bottom"].get_visible()
    assert all(line.get_visible() for line in axes.get_xgridlines())
    assert not any(line.get_visible() for line in axes.get_ygridlines())
    figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in bar.get_yticks())
