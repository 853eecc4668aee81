"""Report 003 (Doncenco, Huang, Maudet, 2023): a grid of perceptrons on MNIST, and the best one tested.

What it says: 2, 3 or 5 linear layers, tanh or ReLU between them, Glorot's uniform weights, cross-entropy,
momentum m ← β m + (1 - β) g or none, the rate multiplied by a factor after an epoch whose training loss
rose or not, one sample a step, 10 epochs. The configuration of the highest accuracy on the development
samples is trained again for 20 epochs, and then the test set is looked at, once.

With batches of 32 the training loss seldom rises within 10 epochs. Where it does not, decay changes
nothing, and two rows are alike, since they share the initial weights and the order of the samples.

What it leaves open ("were not investigated") is chosen below, once for all configurations. Its test
accuracy is 0.9816 in section 4 and 0.9818, that of the development samples, in the conclusion: we take
the former.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

from .. import data, nn
from ..sweep.log import Run
from ..sweep.sweeping import grid, sweep
from ..sweep.task import complete, train, trained
from ..training import evaluate

NAME = "mnist-grid"
LOG = "sweep.jsonl"  # the runs of the grid, in the folder of the results
SOURCE = "report 003, section 4"

HIDDEN = 384  # units of each hidden layer
BATCH_SIZE = 32  # the report's is 1; batches are what it wished for, since its steps took 7 hours
RATE_PER_SAMPLE = 1 / 160  # learning rate / batch size: 0.2 for 32; at 0.3, 5 layers of tanh may saturate
BETA = 0.9
DECAY = 0.5
EPOCHS, FINAL_EPOCHS = 10, 20  # the report's
# 10,000 of the 60,000 training images are for development: the report's accuracies have odd fourth
# decimals, which 5,000 samples cannot give.

# Figure 2 of the report: highest development accuracy and its epoch, in the order of configurations().
FIGURE_2 = (
    # decay and momentum: tanh, ReLU; decay alone; momentum alone; neither
    (0.9771, 7), (0.9782, 8), (0.9759, 9), (0.9762, 9),  # 2 layers
    (0.9759, 7), (0.9762, 8), (0.9761, 7), (0.9781, 9),
    (0.9778, 7), (0.9738, 5), (0.9761, 9), (0.9790, 9),  # 3 layers
    (0.9767, 8), (0.9771, 7), (0.9770, 9), (0.9789, 8),
    (0.9752, 8), (0.9743, 5), (0.9725, 7), (0.9770, 9),  # 5 layers
    (0.9732, 9), (0.9746, 7), (0.9725, 7), (0.9760, 6),
)
FINAL_DEVELOPMENT, FINAL_TEST = 0.9818, 0.9816


class Reproduction(NamedTuple):
    """The runs of the grid, in the order of FIGURE_2, and that of the best configuration's long training."""

    runs: Sequence[Run]
    final: Run


def configurations(batch_size: int = BATCH_SIZE, seed: int = 0) -> list[dict[str, Any]]:
    """The 24 configurations, as settings of minidl.sweep.task; ``seed`` parts the development samples."""
    fixed = {"hidden": HIDDEN, "batch_size": batch_size, "lr": RATE_PER_SAMPLE * batch_size, "epochs": EPOCHS,
             "split_seed": seed}
    return [complete(fixed | settings) for settings in grid(
        layers=[2, 3, 5], decay=[DECAY, None], momentum=[BETA, 0.0], activation=["tanh", "relu"])]


def reproduce(out: Path, *, batch_size: int = BATCH_SIZE, seed: int = 0, folder: str | None = None,
              executor: Executor | str = "processes") -> Reproduction:
    """Train all configurations, then the best one for longer; what has ended is kept in the folder ``out``.

    seed : of the initial values, of the order of the samples and of the split.
    folder : where MNIST is, see minidl.data.mnist. executor : see minidl.sweep.executors.

    Raises RuntimeError when a training failed, ValueError when ``out`` holds runs of other settings, and
    as ``sweep``. The same call goes on from there, failed trainings included.
    """
    def swept(task, settings: list[dict[str, Any]], name: str, **options) -> list[Run]:
        return succeeded(sweep(functools.partial(task, folder=folder), settings, [seed], path=out / name,
                               retry_failed=True, **options))

    runs = swept(train, configurations(batch_size, seed), LOG, executor=executor)
    chosen = best(runs).settings | {"epochs": FINAL_EPOCHS}
    final, = swept(train_and_test, [chosen], "final.jsonl", executor="serial", progress=False)
    return Reproduction(runs, final)


def best(runs: Sequence[Run]) -> Run:
    """The run of the highest development accuracy, of several the first."""
    return max(runs, key=lambda run: result_of(run)["best_dev_accuracy"])


def train_and_test(settings: dict[str, Any], seed: int, folder: str | None = None) -> dict[str, Any]:
    """minidl.sweep.task.train, with a progress bar, and the accuracy on the test set as test_accuracy."""
    model, result = trained(settings, seed, folder, progress=True)
    dataset = data.mnist(folder)
    test = evaluate(model, nn.CrossEntropyLoss(), (dataset.test_images, dataset.test_labels),
                    transform=data.scaled)
    return result | {"test_accuracy": 1 - (test.error or 0.0) / 100}


def succeeded(runs: list[Run]) -> list[Run]:
    """The runs themselves; RuntimeError with the first that failed."""
    for run in runs:
        if run.error is not None:
            raise RuntimeError(f"{NAME}: {title(run.settings)} failed: {run.error['message']}")
    return runs


def title(settings: dict[str, Any]) -> str:
    """ "3 layers, decay, no momentum, relu" """
    return (f"{settings['layers']} layers, {'decay' if settings['decay'] else 'no decay'}, "
            f"{'momentum' if settings['momentum'] else 'no momentum'}, {settings['activation']}")


def result_of(run: Run) -> dict[str, Any]:
    """The result of a run that did not fail."""
    assert run.result is not None
    return run.result
