"""Runs of ``minidl sweep`` that are trained together, by fit_many: small networks on the same points.

To hand such a run to a worker, and to write its step, costs as much as its training.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..training.many import fit_many
from . import task
from .sweeping import Item, Together

SHARED = ("dataset", "samples", "split_seed", "epochs", "batch_size")  # settings in which those of a chunk agree
MOST = 16        # runs of a chunk
SHARES = 8       # into which runs are parted at least, so that all workers have something to do
LARGEST = 10**9  # multiplications of a forward pass over all epochs; a larger run goes by itself


def together(folder: str | None = None) -> Together:
    """For ``sweep(task.train, ...)``. folder : where MNIST is."""
    return Together(chunks, functools.partial(results, folder=folder))


def chunks(items: Sequence[Item]) -> list[list[Item]]:
    """The runs, those that are trained together in one list."""
    alone: list[list[Item]] = []
    groups: dict[tuple, list[Item]] = {}
    for settings, seed in items:
        chosen = {name: setting.default for name, setting in task.SETTINGS.items()} | settings
        if _is_small(chosen):
            groups.setdefault(tuple([chosen[name] for name in SHARED]), []).append((settings, seed))
        else:
            alone.append([(settings, seed)])
    for group in groups.values():
        size = min(MOST, max(1, len(group) // SHARES))
        alone += [group[i:i + size] for i in range(0, len(group), size)]
    return alone


def _is_small(settings: dict[str, Any]) -> bool:
    """Whether the training costs about as much as what surrounds it; False for settings that task.train refuses."""
    numbers = [settings[name] for name in ("layers", "hidden", "epochs")]
    if settings["dataset"] != "disk" or any([type(number) is not int or number < 1 for number in numbers]):
        return False
    layers, hidden, epochs = numbers
    return layers * hidden**2 * epochs * task.DATASETS["disk"][0] <= LARGEST


def results(items: Sequence[Item], folder: str | None = None) -> list[dict[str, Any] | None]:
    """What task.train gives for each of a chunk; None for one whose training ended early, as by an error.

    Raises KeyboardInterrupt after Ctrl-C, and the errors of task.train.
    """
    chosen = [task.complete(settings) for settings, _ in items]
    training, development, _ = task.parts(chosen[0], folder)
    made = [task.made(one, training, seed) for one, (_, seed) in zip(chosen, items, strict=True)]
    histories = fit_many(
        [one.model for one in made], nn.CrossEntropyLoss(), [one.optimizer for one in made], training,
        validation=development, seed=[one.generator for one in made], schedulers=[one.scheduler for one in made],
        epochs=chosen[0]["epochs"], batch_size=chosen[0]["batch_size"], progress=False, n_threads=1)
    if any([history.stopped == "interrupted" for history in histories]):
        raise KeyboardInterrupt
    return [None if history.stopped else task.result(history) for history in histories]
