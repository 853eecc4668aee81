"""The checkpoint of a run that is not finished, in the run folder; ``minidl train --resume`` goes on from it.

It is there after the process was killed, Ctrl-C was pressed, or the training has diverged; a run that ends has none.
"""
from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint, runs
from ..recipe import Recipe
from ..training.model_checkpoint import ModelCheckpoint
from ..training.progress import say
from .common import USAGE, CommandError

NAME = "unfinished.safetensors"
SECONDS = 5.0  # between two checkpoints
DATASETS = ["disk", "mnist"]
GIVEN = {"dataset": "disk", "seed": 0}  # defaults that are not None


class Unfinished(ModelCheckpoint):
    """The callback that writes it; the folder is made when it is first needed.

    told : {"dataset": ..., "seed": ..., "recipe": ...}, of which the run is made again. ours : whether the file that
        is there already is that of this run.
    """

    def __init__(self, out: Path, seconds: float | None, told: dict[str, Any], ours: bool):
        self.folder, self.ours = runs.resolved(out), ours
        super().__init__(self.folder / NAME, seconds=SECONDS if seconds is None else seconds, note=told)

    def _named(self, epoch: int) -> str:
        return self.path  # a folder may have braces in its name

    def prepare(self, path: Path) -> None:
        if self.folder.is_dir():
            super().prepare(path)

    def on_checkpoint(self, epoch, logs, state):
        if epoch < self.epochs:  # after the last one the run is finished
            super().on_checkpoint(epoch, logs, state)

    def write(self, path, content):
        runs.mark(self.folder)
        super().write(path, content)
        self.ours = True

    def keep(self, folder: Path) -> None:
        """Put it into the folder of the results, too, if there is one: Ctrl-C has ended the training."""
        if self.ours:
            shutil.copyfile(self.path, folder / NAME)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true",
                        help="go on with the run in --out that was killed or interrupted; other options are those of "
                             "the run, but for --epochs and --data")
    parser.add_argument("--save-every", type=_seconds, metavar="SECONDS",
                        help=f"least time between two checkpoints, at the ends of epochs (default: {SECONDS:g})")


def _seconds(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds >= 0"  # argparse: "invalid number of seconds >= 0 value: '-1'"


def restored(args: argparse.Namespace) -> tuple[Recipe, Path]:
    """The recipe of the unfinished run in --out, and its checkpoint; data set and seed are put into ``args``.

    CommandError where there is none, or for options that contradict it.
    """
    path = runs.resolved(args.out) / NAME
    names = {"dataset", "network", "seed", *(field.name for field in fields(Recipe))} - {"epochs"}
    if any(getattr(args, name, None) != GIVEN.get(name) for name in names):
        raise CommandError("--resume: expected no other options than --out, --epochs, --data and --json: the run has "
                           "its own", USAGE)
    if not path.exists():
        raise CommandError(f"{args.out} holds no unfinished run, which would be {NAME}", USAGE)
    try:
        state = checkpoint.load(path)
        recipe, args.dataset, args.seed = _told(state)
        epoch = len(state["history"]["loss"])
    except (ValueError, TypeError, LookupError) as error:
        raise CommandError(f"{path}: expected the checkpoint of an unfinished run of minidl train, got: "
                           f"{str(error) or type(error).__name__}") from error
    say(f"going on with the run in {args.out} after epoch {epoch}")
    return recipe if args.epochs is None else Recipe(**asdict(recipe) | {"epochs": args.epochs}), path


def _told(state: Any) -> tuple[Recipe, str, int]:
    """(recipe, dataset, seed) of a checkpoint; what raises is no such file."""
    told, weights = state["note"], state["model"]
    if not isinstance(told, dict) or told.keys() != {"dataset", "seed", "recipe"} or told["dataset"] not in DATASETS:
        raise ValueError(f"the note {str(told)[:80]}")
    if type(told["seed"]) is not int or not 0 <= told["seed"] < 2**64:
        raise ValueError(f"the seed {told['seed']!r}")
    recipe = Recipe(**told["recipe"])
    for field in fields(Recipe):  # others have been checked by whoever made the run, and are again by build
        if type(getattr(recipe, field.name)) not in (type(field.default), str, float, tuple, type(None)):
            raise ValueError(f"{field.name} {getattr(recipe, field.name)!r}")
    widths = (recipe.inputs, *recipe.hidden, recipe.outputs)
    counts = (recipe.epochs, recipe.batch_size, *widths)
    if any(type(count) is not int or not 1 <= count < 2**31 for count in counts):
        raise ValueError(f"numbers {str(counts)[:80]}")
    # so that no more memory is asked for than the file has weights for
    size = sum(np.asarray(array).size for array in dict(weights).values())
    if sum(a * b + b for a, b in pairwise(widths)) != size:
        raise ValueError(f"{size} weights, for layers of {str(widths)[:80]}")
    return recipe, told["dataset"], told["seed"]
