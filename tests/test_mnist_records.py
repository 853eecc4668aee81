"""``minidl reproduce mnist-records`` and ``minidl train --network``, on small files laid out like MNIST."""
import functools
import hashlib
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from test_mnist_grid import digits, one_line

from minidl import checkpoint, cli, data, get_num_threads
from minidl.commands import mnist_network
from minidl.commands import mnist_records as mnist_records_command
from minidl.data.idx import idx_bytes, write_idx
from minidl.data.mnist import SHA256, mnist
from minidl.papers import mnist_records
from minidl.papers.mnist_networks import NETWORKS
from minidl.papers.mnist_recipe import OPTIMIZERS, BatchShift, ImageRecipe
from minidl.papers.mnist_records import RECORDS, Record, measured, parameters_of

REAL = pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="MINIDL_DATA names no folder with MNIST")
COMMAND = ["reproduce", "mnist-records"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of 60 images to train on and 40 to test on; mnist() takes them for the original."""
    place = tmp_path / "data"
    place.mkdir()
    digests = {}
    for name, array in zip(SHA256, (*digits(60, 0), *digits(40, 1)), strict=True):
        write_idx(place / name, array)
        digests[name] = hashlib.sha256(idx_bytes(array)).hexdigest()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "mnist", functools.partial(mnist, digests=digests))
    return place


@pytest.fixture
def undrawn(monkeypatch):
    """No pictures, which take longer than the rest."""
    for command in (mnist_network, mnist_records_command):
        monkeypatch.setattr(command, "can_plot", lambda skipped: False)


@pytest.fixture
def short(folder, monkeypatch):
    """All records, with short trainings of at most two networks and two seeds; the folder of their images."""
    for name, record in list(RECORDS.items()):
        recipe = replace(record.recipe, epochs=2, batch_size=16, members=min(2, record.recipe.members))
        monkeypatch.setitem(RECORDS, name, replace(record, recipe=recipe, seeds=2))
    return folder


# Recipes

@pytest.mark.parametrize("name", RECORDS)
def test_every_record_trains_compiled_and_its_seed_gives_its_bits(name):
    images, labels = digits(20, 0)
    recipe = replace(RECORDS[name].recipe, epochs=1, batch_size=8, members=min(2, RECORDS[name].recipe.members))
    first, again, other = (recipe.train(images, labels, seed) for seed in (1, 1, 2))
    assert [history.path for history in first.histories] == ["compiled"] * recipe.members
    answers = [recipe.probabilities(trained.models, images) for trained in (first, again, other)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    np.testing.assert_allclose(answers[0].sum(axis=1), 1, rtol=1e-6)
    assert first.seconds > 0 and not first.stopped


def test_the_last_epoch_ends_the_cycle_of_the_rate():
    images, labels = digits(20, 0)
    history, = ImageRecipe("quick", epochs=5, batch_size=4, lr=0.1, cut=2).train(images, labels, 0).histories
    rates = history.iteration_lr
    assert len(rates) == 25 and rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(0.1, rel=0.05)
    assert rates[-1] < 0.006 and np.argmax(rates) in (4, 5)


def test_the_networks_have_the_parameters_that_are_told():
    for name, make in NETWORKS.items():
        for told in re.findall(r"([\d,]+) parameters", make.__doc__):
            assert told == f"{parameters_of(name):,}"
    assert parameters_of("small") < 8000
    assert parameters_of("lenet") == 44426  # as SimpleChains.jl's
    assert {record.recipe.network for record in RECORDS.values()} == set(NETWORKS)
    for record in RECORDS.values():
        assert record.parameters is None or parameters_of(record.recipe.network) <= record.parameters


def test_several_networks_and_shifts_vote_with_their_mean():
    images, labels = digits(20, 0)
    recipe = ImageRecipe("quick", epochs=1, batch_size=8, cut=2, members=2)
    trained = recipe.train(images, labels, 0)
    each = [recipe.probabilities([model], images) for model in trained.models]
    np.testing.assert_allclose(recipe.probabilities(trained.models, images), np.mean(each, axis=0))
    assert not np.array_equal(*each)
    shifted = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            moved = np.zeros((20, 26, 26), np.uint8)
            moved[:, 1 + down:25 + down, 1 + right:25 + right] = images[:, 2:26, 2:26]
            inner = np.zeros_like(images)
            inner[:, 2:26, 2:26] = moved[:, 1:25, 1:25]
            shifted.append(recipe.probabilities(trained.models, inner))
    np.testing.assert_allclose(replace(recipe, votes=1).probabilities(trained.models, images), np.mean(shifted, axis=0),
                               rtol=1e-5)


def test_inputs_are_the_middle_of_the_images_between_0_and_1():
    images = np.arange(2 * 28 * 28).astype(np.uint8).reshape(2, 28, 28)
    x = ImageRecipe("quick", cut=2).inputs(images)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[:, 0], (images[:, 2:-2, 2:-2] / 255).astype(np.float32))


def test_a_batch_is_shifted_by_whole_pixels():
    images = digits(3, 0)[0][:, None].astype(np.float32)
    wide = np.pad(images, [(0, 0), (0, 0), (2, 2), (2, 2)])
    shifts = {(down, right): wide[:, :, 2 - down:30 - down, 2 - right:30 - right]
              for down in range(-2, 3) for right in range(-2, 3)}
    shift, seen = BatchShift(2, 0), set()
    for _ in range(300):
        moved = shift(images)
        seen.add(next(key for key, wanted in shifts.items() if np.array_equal(moved, wanted)))
        assert moved.dtype == images.dtype
    assert seen == set(shifts)


@pytest.mark.parametrize("change", [{"shift": 1}, {"degrees": 9.0}, {"translate": 0.1}, {"zoom": 0.1}, {"shear": 5.0},
                                    {"label_smoothing": 0.1}])
def test_each_setting_changes_the_training(change):
    images, labels = digits(20, 0)
    recipe = ImageRecipe("quick", batch_size=8, cut=2)
    plain, changed = (of.train(images, labels, 0).histories[0].loss for of in (recipe, replace(recipe, **change)))
    assert plain != changed


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_optimizer_takes_the_settings(optimizer):
    _, made = replace(RECORDS["quick"].recipe, optimizer=optimizer, lr=0.5, weight_decay=0.25).built(0)
    assert type(made) is OPTIMIZERS[optimizer] and made.lr == 0.5 and made.param_groups[0]["weight_decay"] == 0.25


# The command

def test_the_command_writes_a_folder_and_a_page(short, undrawn, capsys, tmp_path):
    assert cli.main([*COMMAND, "--data", str(short), "--page", "docs", "--threads", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out[2:-2]] == list(RECORDS) and out[-1].endswith("runs/mnist-records")
    rows = json.loads((tmp_path / "runs/mnist-records/rows.json").read_text())
    assert [row["record"] for row in rows] == list(RECORDS) and {row["seeds"] for row in rows} == {2}
    for folder in ("runs/mnist-records", "docs"):
        page = (tmp_path / folder / "mnist.md").read_text()
        for name, record in RECORDS.items():
            assert f"| `{name}`: {record.title} |" in page and f"- `{name}`: network `{record.recipe.network}`" in page
    log = (tmp_path / "runs/mnist-records/committee.jsonl").read_text().splitlines()
    result = json.loads(log[1])["result"]
    assert len(log) == 3 and len(result["members"]) == 2 and result["path"] == "compiled"
    assert len(result["wrong"]) == round(40 * (1 - result["accuracy"] / 100)) and len(result["error"]) == 2


def test_pictures_are_drawn(short, tmp_path):
    pytest.importorskip("matplotlib")
    rivals = {"record": "quick", "versions": {"minidl": "0", "PyTorch": "2"}, "rows": [
        {"name": name, "accuracy": 99.0, "seconds": seconds, "threads": 2, "seeds": 3}
        for name, seconds in (("minidl", 1.5), ("PyTorch", 7.5))]}
    command = [*COMMAND, "--data", str(short), "--records", "quick", "--seeds", "1", "--page", "docs"]
    assert cli.main(command) == 0
    (tmp_path / "runs/mnist-records/pytorch.json").write_text(json.dumps(rivals))  # as bench.mnist_records does
    assert cli.main(command) == 0
    for folder in ("runs/mnist-records", "docs"):
        page = (tmp_path / folder / "mnist.md").read_text()
        pictures = {path.name for path in (tmp_path / folder).glob("*.png")}
        assert pictures == {"mnist_curves.png", "mnist_times.png", "mnist_wrong_quick.png"}
        assert all(f"]({picture})" in page for picture in pictures)
        assert "| PyTorch | 99.00 | 7.50 | 5.0 | 2 | 3 |" in page


def test_the_same_command_goes_on_where_it_stopped(short, undrawn, capsys, monkeypatch):
    command = [*COMMAND, "--data", str(short), "--records", "quick", "lenet", "--json"]
    assert cli.main([*command, "--seeds", "1"]) == 0
    first, _ = json.loads(capsys.readouterr().out)
    done = []
    train = mnist_records.train_and_test
    monkeypatch.setattr(ImageRecipe, "train", lambda self, *_, **__: done.append(self.network) or _interrupted())
    assert cli.main([*command, "--seeds", "1"]) == 0 and not done  # nothing is left to train
    capsys.readouterr()
    assert cli.main([*command, "--seeds", "2"]) == 130 and done == ["quick"]
    assert "the same command goes on" in one_line(capsys)
    monkeypatch.undo()
    assert train is mnist_records.train_and_test and first["seeds"] == 1 and first["accuracy_sd"] is None


def _interrupted():
    raise KeyboardInterrupt


def test_the_number_of_threads_is_put_back(short, undrawn, monkeypatch):
    seen, train = [], ImageRecipe.train
    monkeypatch.setattr(ImageRecipe, "train", lambda *args, **options: seen.append(get_num_threads())
                        or train(*args, **options))
    before = get_num_threads()
    assert cli.main([*COMMAND, "--data", str(short), "--records", "quick", "--seeds", "1", "--threads", "3"]) == 0
    assert seen == [3] and get_num_threads() == before


def test_a_training_that_diverges_is_told(short, capsys, monkeypatch):
    record = replace(RECORDS["lenet"], recipe=replace(RECORDS["lenet"].recipe, lr=1e30))
    monkeypatch.setitem(RECORDS, "lenet", record)
    assert cli.main([*COMMAND, "--data", str(short), "--records", "lenet"]) == 1
    assert "minidl: mnist-records: lenet with seed 0 failed: fit: the loss became" in capsys.readouterr().err


def test_rows_say_what_was_reached():
    def row(accuracies, took, **wanted):
        record = Record("t", RECORDS["lenet"].recipe, seeds=2, **wanted)
        results = [{"accuracy": value, "seconds": took, "parameters": 100} for value in accuracies]
        return mnist_records._row("lenet", record, results)

    found = row([99.0, 99.2], 2.0, accuracy=99.1, seconds=2.0, parameters=100)
    assert found["reached"] and found["accuracy"] == pytest.approx(99.1) and found["seconds_sd"] == 0
    assert found["accuracy_sd"] == pytest.approx(np.std([99.0, 99.2], ddof=1))
    assert not found["missed"]
    for missed in ({"accuracy": 99.2}, {"seconds": 1.9}, {"parameters": 99}):
        found = row([99.0, 99.2], 2.0, **missed)
        assert not found["reached"] and found["missed"] == next(iter(missed))
    assert measured({}) == []


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["mnist-records", "disk-2018"], 2, "mnist-records is reproduced by itself"),
    (["all", "--seeds", "1"], 2, "--records, --seeds, --threads and --page are options of mnist-records"),
    (["mnist-grid", "--records", "quick"], 2, "--records, --seeds, --threads and --page are options of mnist-records"),
    (["mnist-records", "--batch-size", "1"], 2, "takes no --batch-size and no --executor"),
    (["mnist-records", "--executor", "serial"], 2, "takes no --batch-size and no --executor"),
    (["mnist-records", "--records", "slow"], 2, "invalid choice: 'slow'"),
    (["mnist-records", "--seeds", "0"], 2, "invalid int >= 1 value: '0'"),
    (["mnist-records", "--data", "nowhere"], 1, "expected train-images-idx3-ubyte"),
    (["mnist-records", "--data", "data", "--out", "data"], 1, "data holds files that are not of mnist-records")])
def test_wrong_use_is_one_line(folder, capsys, tmp_path, arguments, code, message):
    assert cli.main(["reproduce", *arguments]) == code
    assert message in one_line(capsys)
    assert not (tmp_path / "runs").exists()


# minidl train --network

@pytest.mark.parametrize("network", mnist_network.RECIPES)
def test_train_writes_the_network(folder, undrawn, capsys, tmp_path, network):
    arguments = ["train", "--dataset", "mnist", "--network", network, "--epochs", "1", "--batch-size", "16"]
    assert cli.main([*arguments, "--data", str(folder), "--seed", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    run = tmp_path / "runs" / "train"
    result = json.loads((run / "result.json").read_text())
    assert result["test_error"] == told["test_error"] and result["seed"] == 3
    recipe = ImageRecipe(**result["recipe"])
    assert recipe == replace(mnist_network.RECIPES[network], epochs=1, batch_size=16)
    dataset = data.mnist(folder)
    model, = recipe.train(dataset.train_images, dataset.train_labels, 3).models
    for name, array in checkpoint.load(run / "weights.npz").items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
    wrong = recipe.probabilities([model], dataset.test_images).argmax(axis=1) != dataset.test_labels
    assert told["test_error"] == pytest.approx(100 * np.mean(wrong))


def test_train_draws_the_misclassified_images(folder, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli.main(["train", "--dataset", "mnist", "--network", "quick", "--epochs", "1", "--data", str(folder)]) == 0
    assert "train error" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "runs/train").glob("*.png")} == {"loss.png", "misclassified.png"}


@pytest.mark.parametrize(("arguments", "message"), [
    (["--network", "lenet"], "--network is an option of --dataset mnist"),
    (["--dataset", "mnist", "--network", "resnet"], "invalid choice: 'resnet'"),
    (["--dataset", "mnist", "--network", "lenet", "--hidden", "9"], "--hidden is an option of a perceptron"),
    (["--dataset", "mnist", "--network", "lenet", "--dropout", "0.5"], "--dropout is an option of a perceptron"),
    (["--dataset", "mnist", "--network", "lenet", "--lr", "-1"], "expected lr >= 0"),
    (["--dataset", "mnist", "--network", "lenet", "--optimizer", "sgd"], "expected --optimizer adam or adamw")])
def test_wrong_use_of_networks_is_one_line(folder, capsys, tmp_path, arguments, message):
    assert cli.main(["train", "--data", "data", *arguments]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("network", ["quick", "lenet"])
def test_profile_takes_a_network(folder, capsys, network):
    command = ["profile", "--dataset", "mnist", "--network", network, "--data", str(folder), "--repeats", "1"]
    assert cli.main(command) == 0
    assert "convolution(" in capsys.readouterr().out
