"""MNIST beyond the reports: recipes for an accuracy within a time, or with few parameters.

The recipes were chosen by their accuracy on 5,000 of the training images, held out. Here each is trained on all 60,000
to the end of its last epoch, and then answers for the test images, once.

The times are of training alone, recording and compiling included: from the first batch to the last. Reading the data,
making floats of the bytes and answering come before and after.
"""
from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import data, kernels
from ..data.mnist import Dataset
from ..sweep.log import Run
from ..sweep.sweeping import sweep
from .mnist_networks import NETWORKS
from .mnist_recipe import ImageRecipe

NAME = "mnist-records"
SOURCE = "convolutional networks on MNIST, accuracy and seconds"
THREADS = 2  # that share a step
STRETCHES = 60  # of a curve


@dataclass(frozen=True)
class Record:
    """A recipe, and what the mean of its trainings shall reach: accuracy in percent, seconds, parameters."""

    title: str
    recipe: ImageRecipe
    seeds: int
    accuracy: float | None = None
    seconds: float | None = None
    parameters: int | None = None


RECORDS: dict[str, Record] = {
    "quick": Record(
        "99.0 % within 1.5 s", seeds=30, accuracy=99.0, seconds=1.5,
        recipe=ImageRecipe("quick", epochs=2, batch_size=192, lr=3e-2, cut=2)),
    "minute": Record(
        "99.5 % within a minute", seeds=10, accuracy=99.5, seconds=60,
        recipe=ImageRecipe("best", epochs=9, batch_size=128, lr=1e-2, cut=2, degrees=8, translate=0.06, zoom=0.1,
                           shear=8)),
    "committee": Record(
        "99.7 % within 10 minutes", seeds=3, accuracy=99.7, seconds=600,
        recipe=ImageRecipe("best", epochs=16, batch_size=128, lr=1e-2, cut=2, degrees=8, translate=0.06, zoom=0.1,
                           shear=8, members=5, votes=1)),
    "small": Record(
        "99.4 % with fewer than 8,000 parameters", seeds=10, accuracy=99.4, parameters=7999,
        recipe=ImageRecipe("small", epochs=20, batch_size=128, lr=1e-2, degrees=8, translate=0.06, zoom=0.1, shear=8)),
    "lenet": Record(
        "SimpleChains.jl's LeNet: 10 epochs of Adam within 5 s", seeds=3, seconds=5.0,
        recipe=ImageRecipe("lenet", epochs=10, batch_size=128, lr=3e-4, optimizer="adam", weight_decay=0.0, beta2=0.999,
                           one_cycle=False)),
}


def reproduce(out: Path, names: Sequence[str], *, seeds: int | None = None, first: int = 0, threads: int = THREADS,
              folder: str | None = None) -> dict[str, list[Run]]:
    """Train the records of these names; {name: its runs}. What has ended is kept in the folder ``out``.

    seeds : so many from ``first`` on, of each record; None for as many as it asks for.
    threads : that share a step. folder : where MNIST is, see minidl.data.mnist.

    Raises RuntimeError when a training failed, and as ``sweep``. The same call goes on from there.
    """
    found: dict[str, list[Run]] = {}
    dataset = data.mnist(folder)
    for name in names:
        record = RECORDS[name]
        settings = asdict(record.recipe) | {"threads": threads}
        wanted = range(first, first + (seeds or record.seeds))
        found[name] = sweep(functools.partial(train_and_test, dataset=dataset), [settings], wanted, executor="serial",
                            path=out / f"{name}.jsonl", retry_failed=True)
        for run in found[name]:
            if run.error is not None:
                raise RuntimeError(f"{NAME}: {name} with seed {run.seed} failed: {run.error['message']}")
    return found


def train_and_test(settings: Mapping[str, Any], seed: int, dataset: Dataset) -> dict[str, Any]:
    """Train the recipe of the settings on all training images, then count its errors on the test images.

    {accuracy in percent, seconds, parameters of all members, loss and error by epoch of the first member, members'
    accuracies, wrong: {test image: answer}, curve: its seconds and losses, in STRETCHES means}.
    """
    given = dict(settings)
    threads, before = given.pop("threads"), kernels.get_num_threads()
    recipe = ImageRecipe(**given)
    images, labels, test_images, test_labels = dataset
    kernels.set_num_threads(threads)
    try:
        trained = recipe.train(images, labels, seed)
    finally:
        kernels.set_num_threads(before)
    if trained.stopped:
        raise KeyboardInterrupt
    answers = [recipe.probabilities([model], test_images) for model in trained.models]
    digits = np.mean(answers, axis=0).argmax(axis=1)
    history = trained.histories[0]
    return {
        "accuracy": accuracy(digits, test_labels), "seconds": trained.seconds,
        "parameters": sum(parameter.numel() for model in trained.models for parameter in model.parameters()),
        "loss": history.loss, "error": history.error, "path": history.path,
        "curve": curve(history.iteration_loss, history.seconds[-1]),
        "members": [accuracy(each.argmax(axis=1), test_labels) for each in answers],
        "wrong": {str(i): int(digits[i]) for i in np.flatnonzero(digits != test_labels)},
    }


def curve(losses: Sequence[float], seconds: float) -> dict[str, list[float]]:
    """Means of the losses of consecutive steps, in stretches of (nearly) one length, with the seconds of their ends."""
    parts = np.array_split(np.asarray(losses), min(STRETCHES, len(losses)))
    ends = np.cumsum([len(part) for part in parts]) * seconds / len(losses)
    return {"seconds": ends.tolist(), "loss": [float(part.mean()) for part in parts]}


def result_of(run: Run) -> dict[str, Any]:
    """The result of a run that did not fail."""
    assert run.result is not None
    return run.result


def accuracy(digits: np.ndarray, labels: np.ndarray) -> float:
    """In percent."""
    return 100 * float(np.mean(digits == labels))


def measured(runs: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """A row for each record: means and sample standard deviations over its seeds, and whether it was reached."""
    return [_row(name, RECORDS[name], [result_of(run) for run in of]) for name, of in runs.items()]


def _row(name: str, record: Record, results: list[dict[str, Any]]) -> dict[str, Any]:
    def column(key: str) -> tuple[float, float | None]:
        values = [result[key] for result in results]
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None

    (mean, sd), (seconds, seconds_sd) = column("accuracy"), column("seconds")
    parameters = results[0]["parameters"]
    missed = [what for what, wanted, reached in (
        ("accuracy", record.accuracy, mean >= (record.accuracy or 0)),
        ("seconds", record.seconds, seconds <= (record.seconds or 0)),
        ("parameters", record.parameters, parameters <= (record.parameters or 0))) if wanted and not reached]
    return {
        "record": name, "title": record.title, "accuracy": mean, "accuracy_sd": sd, "seconds": seconds,
        "seconds_sd": seconds_sd, "parameters": parameters, "networks": record.recipe.members, "seeds": len(results),
        "reached": not missed, "missed": ", ".join(missed),
    }


def parameters_of(network: str) -> int:
    """How many numbers the network of this name learns."""
    return sum(parameter.numel() for parameter in NETWORKS[network](np.random.default_rng(0)).parameters())
