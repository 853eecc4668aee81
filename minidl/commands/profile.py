"""``minidl profile``: where the time of a training step goes, for the options of ``minidl train``."""
from __future__ import annotations

import argparse
import json

import numpy as np

from .. import data
from ..compiled.capture import capture
from ..compiled.profile import Profile
from ..nn import CrossEntropyLoss
from ..papers.mnist_trial import MnistTrial
from . import mnist_network
from .common import at_least
from .train import add_options, recipe_of, trial_of

HELP = "show where the time of a training step goes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--repeats", type=at_least(1), default=200, metavar="N",
                        help="runs of which each time is the median (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Build the network of the recipe, and time one of its batches."""
    model, criterion, optimizer, x, target = _parts(args) if args.network is None else _network(args)
    found = capture(model, criterion, optimizer).profile(x, target, repeats=args.repeats)
    print(json.dumps(_result(found)) if args.json else found)
    return 0


def _parts(args: argparse.Namespace) -> tuple:
    """Model, loss, optimizer, and a batch."""
    chosen = recipe_of(args)
    trial = trial_of(chosen, args)
    generator = np.random.default_rng(args.seed)
    if isinstance(trial, MnistTrial):
        x, labels = data.scaled(trial.dataset[0][:chosen.batch_size]), trial.dataset[1][:chosen.batch_size]
    else:
        points, labels = data.disk(chosen.batch_size, seed=generator)
        x = data.Normalizer().fit(points)(points) if trial.normalize else points
    built = chosen.build(len(x), generator)
    return built.model, built.criterion, built.optimizer, x, chosen.targets(labels)


def _network(args: argparse.Namespace) -> tuple:
    """The same of a convolutional network."""
    chosen, dataset = mnist_network.recipe_of(args), mnist_network.dataset_of(args)
    model, optimizer = chosen.built(args.seed)
    images, labels = dataset.train_images[:chosen.batch_size], dataset.train_labels[:chosen.batch_size]
    return model, CrossEntropyLoss(), optimizer, chosen.inputs(images), labels.astype(np.int64)


def _result(found: Profile) -> dict:
    """Each line of the listing with its microseconds, and whether a kernel runs it; the core's peak in GFLOP/s."""
    return {"peak": found.peak / 1e9, "microseconds": 1e6 * found.seconds,
            "instructions": [{"text": text, "microseconds": 1e6 * seconds, "compiled": compiled}
                             for text, seconds, compiled in found.rows]}
