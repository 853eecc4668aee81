"""The task of ``minidl sweep``: train one multi-layer perceptron as the settings say.

The settings, their defaults and what they may be stand in SETTINGS; report 003 varied layers, momentum,
decay and activation.
"""
from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import data, nn, optim, random
from ..optim.group import at_least_zero, fraction
from ..optim.lr_scheduler.scheduler import between_0_and_1, count, one_of
from ..recipe import ACTIVATIONS, INIT_NAMES, Recipe
from ..training import fit
from ..training.history import History, encoded

DATASETS = {"mnist": (60_000, 10_000), "disk": (2_000, 1_000)}  # samples, of which for development
NUMBERS = ("best_dev_accuracy", "best_epoch", "last_dev_accuracy")
EPOCH_COLUMNS = ("loss", "error", "validation_loss", "validation_error", "lr")


class Setting(NamedTuple):
    """A default, a check that returns the value, and what the setting means."""

    default: Any
    check: Callable[[str, Any], Any]
    meaning: str


def _choice(*names: str) -> Callable[[str, Any], str]:
    return lambda what, value: one_of(what, value, names)


def _at_least(least: int) -> Callable[[str, Any], int]:
    return lambda what, value: count(what, value, least)


def _decay(what: str, value: Any) -> float | None:
    return None if value is None else between_0_and_1(what, value)


SETTINGS = {
    "dataset": Setting("mnist", _choice(*DATASETS), "mnist or disk"),
    "layers": Setting(3, _at_least(1), "linear layers, the last one included"),
    "hidden": Setting(128, _at_least(1), "units of each layer but the last"),
    "activation": Setting("relu", _choice(*ACTIVATIONS), "between the layers: " + ", ".join(ACTIVATIONS)),
    "init": Setting("xavier_uniform", _choice(*INIT_NAMES), "initial values: " + ", ".join(INIT_NAMES)),
    "lr": Setting(0.1, at_least_zero, "learning rate at the start"),
    "momentum": Setting(0.0, fraction, "β in m ← β m + (1 - β) g, w ← w - lr m (report 003)"),
    "decay": Setting(None, _decay, "factor of lr after an epoch whose training loss rose; null for none"),
    "batch_size": Setting(32, _at_least(1), "samples a step"),
    "epochs": Setting(10, _at_least(1), "passes over the training samples"),
    "samples": Setting(None, lambda what, value: None if value is None else count(what, value, 1),
                       "training samples; null for all but those for development"),
    "split_seed": Setting(0, _at_least(0), "seed that parts training from development samples"),
}


def complete(settings: dict[str, Any]) -> dict[str, Any]:
    """All settings: these, checked, and the defaults of the others.

    Raises ValueError for an unknown name or a value out of range, TypeError for one of another type.
    """
    unknown = [name for name in settings if name not in SETTINGS]
    if unknown:
        raise ValueError(f"sweep: expected settings of {', '.join(SETTINGS)}, got {', '.join(unknown)}")
    full = {name: setting.check(f"sweep: expected {name}", settings.get(name, setting.default))
            for name, setting in SETTINGS.items()}
    total, development = DATASETS[full["dataset"]]
    if full["samples"] is not None and full["samples"] > total - development:
        raise ValueError(f"sweep: expected at most {total - development} samples of {full['dataset']}, "
                         f"got {full['samples']}")
    return full


def train(settings: dict[str, Any], seed: int, folder: str | None = None) -> dict[str, Any]:
    """Train on the training samples, measure on the development samples after every epoch.

    settings : some or all of SETTINGS. seed : of the initial values and the order of the samples.
    folder : where MNIST is, see minidl.data.mnist.

    Returns best_dev_accuracy (0 to 1), best_epoch (the first to reach it, counted from 1),
    last_dev_accuracy, and history: {column: [value of each epoch]} for EPOCH_COLUMNS, see History;
    numbers that are not finite as strings, see minidl.training.history.encoded.
    Raises as ``complete`` and ``fit`` do, and as minidl.data.mnist for MNIST that is not there.
    """
    return trained(settings, seed, folder)[1]


def trained(settings: dict[str, Any], seed: int, folder: str | None = None, *,
            progress: bool = False) -> tuple[nn.Sequential, dict[str, Any]]:
    """The model after its last epoch, and what ``train`` returns; ``progress`` as in ``fit``."""
    chosen = complete(settings)
    training, development, transform = parts(chosen, folder)
    begun = made(chosen, training, seed)
    history = fit(begun.model, nn.CrossEntropyLoss(), begun.optimizer, training, validation=development,
                  seed=begun.generator, epochs=chosen["epochs"], batch_size=chosen["batch_size"],
                  scheduler=begun.scheduler, transform=transform, progress=progress)
    return begun.model, result(history)


class Made(NamedTuple):
    """What a training begins with."""

    model: nn.Sequential
    optimizer: optim.SGD
    scheduler: optim.lr_scheduler.DecayOnRise | None
    generator: np.random.Generator


def made(chosen: dict[str, Any], training: tuple, seed: int) -> Made:
    """The network, its optimizer and its schedule by complete settings, for these training samples."""
    generator = random.generator(seed)
    model = Recipe(inputs=math.prod(training[0].shape[1:]), outputs=10 if chosen["dataset"] == "mnist" else 2,
                   hidden=(chosen["hidden"],) * (chosen["layers"] - 1), activation=chosen["activation"],
                   init=chosen["init"]).network(generator)
    # Report 003's m is 1 - β times PyTorch's momentum buffer.
    beta = chosen["momentum"]
    optimizer = optim.SGD(model.parameters(), lr=chosen["lr"] * (1 - beta), momentum=beta)
    scheduler = optim.lr_scheduler.DecayOnRise(optimizer, chosen["decay"]) if chosen["decay"] else None
    return Made(model, optimizer, scheduler, generator)


def result(history: History) -> dict[str, Any]:
    """What ``train`` returns after a training with this history."""
    if history.stopped:  # by Ctrl-C: half a training is no result
        raise KeyboardInterrupt
    accuracies = [(100 - error) / 100 for error in history.validation_error if error is not None]
    best = max(accuracies)
    numbers = best, accuracies.index(best) + 1, accuracies[-1]
    return {**dict(zip(NUMBERS, numbers, strict=True)),
            "history": {name: encoded(getattr(history, name)) for name in EPOCH_COLUMNS}}


def parts(settings: dict[str, Any], folder: str | None) -> tuple[tuple, tuple, Callable | None]:
    """(X, y) to train on, (X, y) for development, and the transform of a batch of X."""
    total, development = DATASETS[settings["dataset"]]
    sizes = (settings["samples"] or total - development, development)
    if settings["dataset"] == "mnist":
        training, held_out = data.split(*_mnist(folder), sizes=sizes, seed=settings["split_seed"])
        return training, held_out, data.scaled
    generator = random.generator(settings["split_seed"])
    (X, y), (Xd, yd) = data.split(*data.disk(total, seed=generator), sizes=sizes, seed=generator)
    normalize = data.Normalizer().fit(X)
    return (normalize(X), y), (normalize(Xd), yd), None


@functools.lru_cache(maxsize=1)
def _mnist(folder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the 60,000 training samples, read once a process; the test set stays unseen."""
    dataset = data.mnist(folder)
    return dataset.train_images, dataset.train_labels
