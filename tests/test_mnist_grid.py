"""``minidl reproduce mnist-grid`` and ``minidl train --dataset mnist``, on small files laid out like MNIST."""
import functools
import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from minidl import checkpoint, cli, data, nn
from minidl.commands import train as train_command
from minidl.data.idx import idx_bytes, write_idx
from minidl.data.mnist import SHA256, mnist
from minidl.papers import mnist_grid, mnist_grid_tables
from minidl.papers.mnist_trial import MnistTrial
from minidl.recipe import Recipe
from minidl.sweep import task as sweep_task
from minidl.sweep.log import Run

REAL = pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="MINIDL_DATA names no folder with MNIST")
GRID = ["reproduce", "mnist-grid", "--executor", "serial"]


def digits(count, seed):
    """Noisy images, each with a bright row where its label says."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, count).astype(np.uint8)
    images = generator.integers(0, 100, (count, 28, 28)).astype(np.uint8)
    images[np.arange(count), 2 * labels] = 255
    return images, labels


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of 120 images to train on and 40 to test on; mnist() takes them for the original."""
    place = tmp_path / "data"
    place.mkdir()
    digests = {}
    for name, array in zip(SHA256, (*digits(120, 0), *digits(40, 1)), strict=True):
        write_idx(place / name, array)
        digests[name] = hashlib.sha256(idx_bytes(array)).hexdigest()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "mnist", functools.partial(mnist, digests=digests))
    monkeypatch.setitem(sweep_task.DATASETS, "mnist", (120, 20))
    sweep_task._mnist.cache_clear()
    yield place
    sweep_task._mnist.cache_clear()


@pytest.fixture
def quick(folder, monkeypatch):
    """A grid of small networks; the folder of their images."""
    for name, value in {"HIDDEN": 6, "EPOCHS": 2, "FINAL_EPOCHS": 3}.items():
        monkeypatch.setattr(mnist_grid, name, value)
    return folder


def one_line(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    line, = err.splitlines()
    return line


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# The grid of report 003

def test_the_configurations_stand_in_the_order_of_the_reports_table():
    titles = [mnist_grid.title(settings) for settings in mnist_grid.configurations()]
    reported = dict(zip(titles, mnist_grid.FIGURE_2, strict=True))
    assert len(reported) == 24
    assert reported["2 layers, decay, momentum, tanh"] == (0.9771, 7)  # its row 0
    assert reported["3 layers, decay, no momentum, relu"] == (0.9790, 9) == max(mnist_grid.FIGURE_2)  # 11
    assert reported["3 layers, no decay, no momentum, relu"] == (0.9789, 8)  # 15
    assert reported["5 layers, decay, momentum, relu"] == (0.9743, 5)  # 17
    assert reported["5 layers, no decay, momentum, relu"] == (0.9746, 7)  # 21
    assert reported["5 layers, no decay, no momentum, relu"] == (0.9760, 6)  # 23


def test_what_is_chosen_is_chosen_once_for_all_configurations():
    varied = {"layers", "decay", "momentum", "activation"}
    fixed = [{name: value for name, value in settings.items() if name not in varied}
             for settings in mnist_grid.configurations()]
    assert all(settings == fixed[0] for settings in fixed)
    assert fixed[0]["init"] == "xavier_uniform" and fixed[0]["epochs"] == 10 and fixed[0]["dataset"] == "mnist"


def test_the_rate_is_proportional_to_the_batch():
    rates = {size: mnist_grid.configurations(size)[0]["lr"] for size in (1, 32)}
    assert rates == pytest.approx({1: 0.2 / 32, 32: 0.2})


def test_json_is_an_array_of_errors_in_percent(quick, capsys, tmp_path):
    assert cli.main([*GRID, "--data", str(quick), "--out", "out", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {tuple(row) for row in rows} == {
        ("experiment", "table", "row", "paper_mean", "paper_sd", "mean", "sd", "rounds")}
    assert [row["table"] for row in rows] == ["2, development error"] * 24 + ["1, 20 epochs"] * 2
    assert rows[11]["paper_mean"] == 2.1 and rows[24]["paper_mean"] == 1.82 and rows[25]["paper_mean"] == 1.84
    runs = lines(tmp_path / "out" / "sweep.jsonl")[1:]
    assert [row["mean"] for row in rows[:24]] == pytest.approx(
        [100 - 100 * run["result"]["best_dev_accuracy"] for run in runs])
    assert json.loads((tmp_path / "out" / "rows.json").read_text()) == rows
    assert (tmp_path / "out" / "rows.csv").read_text().splitlines()[0] == ",".join(rows[0])


def test_the_table_stands_beside_the_reports(quick, capsys):
    assert cli.main([*GRID, "--data", str(quick), "--seed", "3"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "mnist-grid: report 003, section 4, highest development accuracies"
    assert out[2].split()[:6] == ["2", "yes", "yes", "tanh", "0.9771", "7"] and len(out[2].split()) == 8
    assert "report: 7.17 with momentum, 8.17 without" in out[26]
    assert out[27].startswith("best: ") and "after 3 epochs" in out[27] and "(report: 0.9816)" in out[27]
    assert out[-1] == "tables and figures: runs/mnist-grid"


def test_the_figures_are_drawn(quick, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli.main([*GRID, "--data", str(quick)]) == 0
    names = {path.name for path in (tmp_path / "runs" / "mnist-grid").glob("*.png")}
    assert names == {"figure_1_loss.png", "figure_1_accuracy.png", "figure_2_grid.png"}


def test_an_interrupted_reproduction_goes_on(quick, capsys, tmp_path, monkeypatch):
    calls = []

    def counted(settings, seed, folder=None, **options):
        calls.append(settings)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(settings, seed, folder, **options)

    whole = sweep_task.trained
    monkeypatch.setattr(sweep_task, "trained", counted)
    assert cli.main([*GRID, "--data", str(quick)]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    out = tmp_path / "runs" / "mnist-grid"
    assert {path.name for path in out.iterdir()} == {"sweep.jsonl"} and len(lines(out / "sweep.jsonl")) == 5
    assert cli.main([*GRID, "--data", str(quick), "--json"]) == 0
    assert len(calls) == 5 + 20
    rows = capsys.readouterr().out
    assert cli.main([*GRID, "--data", str(quick), "--json"]) == 0  # all there: nothing is trained
    assert capsys.readouterr().out == rows and len(calls) == 25


def test_the_best_is_trained_for_longer_and_tested_once(quick, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    reproduction = mnist_grid.reproduce(out, folder=str(quick), executor="serial")
    accuracies = [run.result["best_dev_accuracy"] for run in reproduction.runs]
    first_best = reproduction.runs[accuracies.index(max(accuracies))]
    assert reproduction.final.settings == first_best.settings | {"epochs": 3}
    model, result = sweep_task.trained(reproduction.final.settings, 0, str(quick))
    assert reproduction.final.result["history"] == result["history"]
    dataset = data.mnist(quick)
    found = model.eval()(data.scaled(dataset.test_images)).argmax(axis=1)
    assert reproduction.final.result["test_accuracy"] == pytest.approx(np.mean(found == dataset.test_labels))
    header, test = lines(out / "final.jsonl")
    assert header["sweep of"].endswith("train_and_test") and test["settings"]["epochs"] == 3


def test_the_seed_decides_everything(quick, tmp_path):
    def errors(seed, name):
        (tmp_path / name).mkdir()
        reproduction = mnist_grid.reproduce(tmp_path / name, seed=seed, folder=str(quick), executor="serial")
        return [result.mean for result in mnist_grid_tables.measured(reproduction)]

    first = errors(0, "a")
    assert errors(0, "b") == first != errors(1, "c")


def test_the_best_of_equals_is_the_first():
    runs = [Run({"layers": i}, 0, {"best_dev_accuracy": accuracy}, None, 0.0)
            for i, accuracy in enumerate([0.5, 0.9, 0.9])]
    assert mnist_grid.best(runs) is runs[1]


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["mnist-grid", "disk-2018"], 2, "mnist-grid is reproduced by itself"),
    (["all", "mnist-grid"], 2, "mnist-grid is reproduced by itself"),
    (["all", "--batch-size", "1"], 2, "--data and --batch-size are options of mnist-grid"),
    (["disk-2018", "--data", "x"], 2, "--data and --batch-size are options of mnist-grid"),
    (["mnist-grid", "--batch-size", "0"], 2, "invalid int >= 1 value: '0'"),
    (["mnist-grid", "--data", "data", "--executor", "cloud"], 2, "got 'cloud'"),
    (["mnist-grid", "--data", "nowhere"], 1, "expected train-images-idx3-ubyte"),
    (["mnist-grid", "--data", "data", "--out", "data"], 1, "data holds files that are not of mnist-grid")])
def test_wrong_use_is_one_line(quick, capsys, tmp_path, arguments, code, message):
    def files():
        return sorted(path for path in tmp_path.rglob("*") if path.is_file())

    before = files()
    assert cli.main(["reproduce", *arguments]) == code
    assert message in one_line(capsys)
    assert files() == before


def test_a_folder_of_another_grid_is_refused(quick, capsys, tmp_path):
    assert cli.main([*GRID, "--data", str(quick), "--json"]) == 0
    before = (tmp_path / "runs" / "mnist-grid" / "rows.json").read_text()
    capsys.readouterr()
    assert cli.main([*GRID, "--data", str(quick), "--batch-size", "16"]) == 2
    assert "expected runs of this sweep" in one_line(capsys)
    assert (tmp_path / "runs" / "mnist-grid" / "rows.json").read_text() == before


def test_a_training_that_diverges_is_told_and_tried_again(quick, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sweep_task, "fit", diverging)
        assert cli.main([*GRID, "--data", str(quick)]) == 1
    assert "minidl: mnist-grid: 2 layers, decay, momentum, tanh failed: the loss became nan" in capsys.readouterr().err
    assert cli.main([*GRID, "--data", str(quick)]) == 0


def diverging(*_, **__):
    raise FloatingPointError("the loss became nan")


# minidl train --dataset mnist

SMALL = ["train", "--dataset", "mnist", "--epochs", "3", "--hidden", "8"]


def test_train_writes_a_run_folder(folder, capsys, tmp_path):
    assert cli.main([*SMALL, "--data", str(folder), "--seed", "2"]) == 0
    out, err = capsys.readouterr()
    assert "train error" in out and "test error" in out and "epoch 3/3" in err
    run = tmp_path / "runs" / "train"
    result = json.loads((run / "result.json").read_text())
    assert result["dataset"] == "mnist" and result["recipe"]["hidden"] == [8] and result["seed"] == 2
    outcome = MnistTrial(replace(train_command.DEFAULTS["mnist"], epochs=3, hidden=(8,)), data.mnist(folder)).train(2)
    assert result["train_error"] == outcome.train_error and result["test_error"] == outcome.test_error
    for name, array in checkpoint.load(run / "weights.npz").items():
        np.testing.assert_array_equal(array, outcome.weights[name])


def test_train_draws_the_misclassified_images(folder, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli.main([*SMALL, "--data", str(folder)]) == 0
    names = {path.name for path in (tmp_path / "runs" / "train").glob("*.png")}
    assert names == {"loss.png", "misclassified.png"}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_network_learns_what_the_images_show(folder, loss):
    recipe = Recipe(inputs=784, hidden=(16,), outputs=10, activation="relu", init="xavier_uniform", loss=loss, lr=0.02,
                    epochs=30, batch_size=10)
    outcome = MnistTrial(recipe, data.mnist(folder)).train(0)
    assert outcome.train_error == 0 and outcome.test_error < 20
    assert outcome.test_error == pytest.approx(100 * np.mean(outcome.predicted != outcome.labels))
    assert [len(outcome.history), len(outcome.points)] == [30, 40]


def test_a_sheet_of_misclassified_images_may_be_short_or_empty():
    pytest.importorskip("matplotlib")
    from minidl import plot
    images, labels = digits(5, 0)
    for predicted, titles in ((labels, []), (np.r_[9 - labels[:1], labels[1:]], [f"{labels[0]} > {9 - labels[0]}"])):
        axes = plot.misclassified(images, labels, predicted, title="t", columns=2, rows=1)
        assert [text.get_text() for text in axes.texts] == (titles or ["none"])
        assert len(axes.images) == bool(titles)


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--dataset", "cifar"], 2, "argument --dataset: invalid choice: 'cifar'"),
    (["--dataset", "mnist", "--data", "nowhere"], 1, "expected train-images-idx3-ubyte"),
    (["--dataset", "mnist", "--data", "data", "--lr", "-1"], 2, "SGD: expected lr >= 0"),
    (["--data", "data"], 2, "--data is an option of --dataset mnist")])
def test_train_wrong_use_is_one_line(folder, capsys, tmp_path, arguments, code, message):
    assert cli.main(["train", *arguments]) == code
    assert message in one_line(capsys)
    assert not (tmp_path / "runs").exists()


def test_files_that_are_not_the_original_are_told_in_one_line(folder, capsys):
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(40, np.uint8))
    assert cli.main([*SMALL, "--data", str(folder)]) == 1
    assert "is not the original file" in one_line(capsys)
    assert cli.main([*GRID, "--data", str(folder)]) == 2
    assert "is not the original file" in one_line(capsys)


def test_defaults_by_data_set(folder, tmp_path):
    assert cli.main(["train", "--epochs", "1"]) == 0
    assert cli.main(["train", "--dataset", "mnist", "--data", str(folder), "--epochs", "1", "--out", "mnist"]) == 0
    disk, images = (json.loads((tmp_path / name / "result.json").read_text())["recipe"]
                    for name in ("runs/train", "mnist"))
    assert disk["hidden"] == [25, 25, 25] and disk["scheduler"] == "cyclic" and disk["activation"] == "tanh"
    assert images["hidden"] == [256, 256] and images["scheduler"] == "none" and images["activation"] == "relu"


# With the real files

@REAL
@pytest.mark.slow
def test_one_configuration_reaches_the_reports_accuracy():
    settings = mnist_grid.configurations()[11]
    model, result = sweep_task.trained(settings, 0)
    assert result["best_dev_accuracy"] >= 0.9790 - 0.003
    assert [layer.out_features for layer in model if isinstance(layer, nn.Linear)] == [384, 384, 10]
