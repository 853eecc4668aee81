"""minidl.sweep.task: one training as a function of its settings and its seed."""
import itertools

import numpy as np
import pytest

from minidl.data.mnist import Dataset
from minidl.sweep import task as sweep_task

SMALL = {"dataset": "disk", "epochs": 2, "samples": 100, "hidden": 5}


def test_train_is_a_function_of_settings_and_seed():
    one, same, other = (sweep_task.train(SMALL, seed) for seed in (3, 3, 4))
    assert one == same != other
    assert 0 <= one["best_dev_accuracy"] <= 1 and 1 <= one["best_epoch"] <= 2
    errors = one["history"]["validation_error"]
    assert one["best_dev_accuracy"] == pytest.approx(1 - min(errors) / 100)
    assert one["best_epoch"] == 1 + errors.index(min(errors))
    assert one["last_dev_accuracy"] == pytest.approx(1 - errors[-1] / 100)


def test_train_leaves_numpys_generator_alone():
    state = np.random.get_state()[1].copy()
    sweep_task.train(SMALL, 0)
    np.testing.assert_array_equal(state, np.random.get_state()[1])


def test_every_setting_changes_the_result():
    other = {"layers": 2, "hidden": 6, "activation": "tanh", "init": "default", "lr": 0.2, "momentum": 0.9,
             "batch_size": 7, "epochs": 3, "samples": 99, "split_seed": 1}
    assert other.keys() | {"dataset", "decay"} == sweep_task.SETTINGS.keys()
    base = sweep_task.train(SMALL, 0)
    for name, value in other.items():
        assert sweep_task.train(SMALL | {name: value}, 0) != base, name


def test_decay_multiplies_the_rate_when_the_loss_rose():
    history = sweep_task.train(SMALL | {"lr": 3.0, "epochs": 12, "decay": 0.5, "batch_size": 5}, 0)["history"]
    loss, lr = history["loss"], history["lr"]
    rose = [now > before for before, now in itertools.pairwise(loss)]
    assert any(rose) and not all(rose)
    assert lr[:2] == [3.0, 3.0]
    assert lr[2:] == [rate * (0.5 if up else 1) for rate, up in zip(lr[1:-1], rose, strict=False)]


def test_momentum_is_that_of_report_003():
    # w ← w - lr m with m = (1 - β) g in the first step: plain descent at lr (1 - β) takes the same one step.
    one_step = SMALL | {"batch_size": 100, "epochs": 1}
    plain = sweep_task.train(one_step | {"lr": 0.025}, 0)
    assert sweep_task.train(one_step | {"lr": 0.1, "momentum": 0.75}, 0)["history"]["validation_loss"] == \
        pytest.approx(plain["history"]["validation_loss"])


@pytest.mark.parametrize("settings, kind, match", [
    ({"layer": 2}, ValueError, "expected settings of dataset, layers.*, got layer"),
    ({"dataset": "cifar"}, ValueError, "dataset to be one of mnist, disk, got 'cifar'"),
    ({"layers": 0}, ValueError, "layers >= 1, got 0"),
    ({"layers": 2.0}, TypeError, "layers to be an int, got 2.0"),
    ({"hidden": True}, TypeError, "hidden to be an int"),
    ({"activation": "relu6"}, ValueError, "activation to be one of relu"),
    ({"init": None}, ValueError, "init to be one of default"),
    ({"lr": -0.1}, ValueError, "lr >= 0 and finite, got -0.1"),
    ({"lr": "fast"}, TypeError, "lr to be a real number, got str"),
    ({"momentum": 1.0}, ValueError, "momentum in .0, 1., got 1.0"),
    ({"decay": 1.0}, ValueError, "decay between 0 and 1"),
    ({"batch_size": 0}, ValueError, "batch_size >= 1"),
    ({"epochs": 0}, ValueError, "epochs >= 1"),
    ({"dataset": "disk", "samples": 1001}, ValueError, "at most 1000 samples of disk, got 1001"),
    ({"samples": 0}, ValueError, "samples >= 1"),
    ({"split_seed": -1}, ValueError, "split_seed >= 0"),
])
def test_bad_settings(settings, kind, match):
    with pytest.raises(kind, match=match):
        sweep_task.complete(settings)


def test_complete_settings_are_known_however_they_were_written():
    assert sweep_task.complete({"lr": 1}) == sweep_task.complete({"lr": 1.0})
    assert isinstance(sweep_task.complete({"lr": 1})["lr"], float)


@pytest.fixture
def digits(monkeypatch):
    """Instead of MNIST, as many images whose brightness tells the class."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 60_000).astype(np.uint8)
    images = np.broadcast_to(25 * labels[:, None, None], (60_000, 28, 28)).astype(np.uint8)
    dataset = Dataset(images, labels, images[:0], labels[:0])
    monkeypatch.setattr(sweep_task.data, "mnist", lambda folder: dataset)
    sweep_task._mnist.cache_clear()
    yield
    sweep_task._mnist.cache_clear()


def test_train_on_mnist(digits):
    result = sweep_task.train({"dataset": "mnist", "hidden": 16, "epochs": 1, "samples": 3000}, 0)
    assert result["best_dev_accuracy"] > 0.2 and result["best_epoch"] == 1
