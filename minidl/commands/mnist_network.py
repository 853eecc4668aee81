"""``minidl train --dataset mnist --network NAME``: the recipe of a record, for one network, on all training images."""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import checkpoint, data, runs
from ..data.mnist import Dataset
from ..metrics import error_rate
from ..papers.mnist_recipe import OPTIMIZERS, ImageRecipe, Trained
from ..papers.mnist_records import RECORDS
from ..recipe import Recipe
from .common import INTERRUPTED, USAGE, CommandError, announced_folder, can_plot

RECIPES = {
    "quick": RECORDS["quick"].recipe,
    "lenet": RECORDS["lenet"].recipe,
    "small": RECORDS["small"].recipe,
    "best": replace(RECORDS["committee"].recipe, members=1, votes=0),
}
OURS = ("epochs", "batch_size", "lr", "optimizer")  # what may be chosen otherwise, as for a perceptron


def recipe_of(args: argparse.Namespace) -> ImageRecipe:
    """The network's recipe, replaced by what was chosen; CommandError for options of the perceptron."""
    if args.dataset != "mnist":
        raise CommandError("--network is an option of --dataset mnist", USAGE)
    for field in fields(Recipe):
        if field.name not in OURS and getattr(args, field.name, None) is not None:
            option = f"--{field.name.replace('_', '-')}"
            raise CommandError(f"{option} is an option of a perceptron, without --network", USAGE)
    if args.optimizer not in (None, *OPTIMIZERS):
        raise CommandError(f"--network: expected --optimizer {' or '.join(OPTIMIZERS)}, got {args.optimizer}", USAGE)
    given = {name: value for name in OURS if (value := getattr(args, name)) is not None}
    chosen = replace(RECIPES[args.network], **given)
    try:
        chosen.built(0)
    except (ValueError, TypeError) as error:
        raise CommandError(str(error), USAGE) from error
    return chosen


def dataset_of(args: argparse.Namespace) -> Dataset:
    try:
        return data.mnist(args.data)
    except ValueError as error:  # files that are not the original's
        raise CommandError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    """Train, print the errors, write the run folder."""
    chosen = recipe_of(args)
    images, labels, test_images, test_labels = dataset_of(args)
    with announced_folder(args.out) as keep:
        try:
            trained = chosen.train(images, labels, args.seed, progress=True)
        except FloatingPointError as error:
            raise CommandError(str(error)) from error
        answers = chosen.probabilities(trained.models, test_images)
        train_error = error_rate(chosen.probabilities(trained.models, images), labels)
        test_error = error_rate(answers, test_labels)
        history, = trained.histories
        result = {"train_error": train_error, "test_error": test_error, "epochs": len(history),
                  "seconds": trained.seconds, "stopped": trained.stopped}
        told = result | {"dataset": args.dataset, "seed": args.seed, "recipe": asdict(chosen)}
        tested = test_images, test_labels, answers.argmax(axis=1)
        keep(partial(_write, trained, told, tested, can_plot("no figures")))
    if args.json:
        print(json.dumps(result | {"out": str(args.out)}, allow_nan=False))
    else:
        print(f"train error {train_error:.2f} %  test error {test_error:.2f} %  "
              f"{result['epochs']} epochs, {result['seconds']:.1f} s  {args.out}")
    return INTERRUPTED if trained.stopped else 0


def _write(trained: Trained, told: dict, tested: tuple[np.ndarray, np.ndarray, np.ndarray], figures: bool,
           folder: Path) -> None:
    """result.json, history.json, weights.npz, and with matplotlib loss.png and misclassified.png."""
    history, = trained.histories
    runs.write_json(folder / "result.json", told)
    history.save(folder / "history.json")
    checkpoint.save(folder / "weights.npz", trained.models[0])
    if figures:
        from .. import plot
        plot.save(plot.loss_curves({"training": history.loss}, title="Loss"), folder / "loss.png")
        title = f"Test images: {told['test_error']:.2f} % misclassified (label > prediction)"
        plot.save(plot.misclassified(*tested, title=title), folder / "misclassified.png")
