"""``minidl train``: trains a network on the reports' disk, on MNIST or on a table, and writes a run folder."""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint, data, recipe, runs
from ..papers.mnist_trial import MnistTrial
from ..papers.trial import SAMPLES, DiskTrial, Outcome
from ..recipe import Recipe
from . import mnist_network, train_table, unfinished
from .common import INTERRUPTED, USAGE, CommandError, announced_folder, at_least, can_plot
from .unfinished import Unfinished

HELP = "train a network on the reports' disk, on MNIST, or on a table of your own"
DEFAULTS = {
    "disk": Recipe(scheduler="cyclic"),
    "mnist": Recipe(inputs=784, hidden=(256, 256), outputs=10, activation="relu", init="xavier_uniform",
                    epochs=10, batch_size=32),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    train_table.add_arguments(parser)
    add_options(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/train"), metavar="DIR",
                        help="run folder (default: %(default)s)")
    unfinished.add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options for everything that the reports vary."""
    parser.add_argument("--dataset", choices=list(DEFAULTS), default="disk", metavar="NAME",
                        help=f"{', '.join(DEFAULTS)} (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR",
                        help="folder of MNIST (default: MINIDL_DATA or the cache, to which it is downloaded)")
    parser.add_argument("--network", choices=list(mnist_network.RECIPES), metavar="NAME",
                        help=f"{', '.join(mnist_network.RECIPES)}: a convolutional network with its recipe, of "
                             "--dataset mnist (default: a perceptron)")
    for name, choices, text in (
            ("activation", recipe.ACTIVATIONS, "after each hidden layer"),
            ("loss", recipe.LOSSES, "mse is divided by the batch, mse_sum is not"),
            ("optimizer", recipe.OPTIMIZERS, "its update rule"),
            ("scheduler", recipe.SCHEDULER_NAMES, "of the learning rate"),
            ("init", recipe.INIT_NAMES, "of weights and biases")):
        parser.add_argument(f"--{name}", choices=list(choices), metavar="NAME",
                            help=f"{text}: {', '.join(choices)} {_default(name)}")
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in recipe.LEARNING_RATES.items())
    parser.add_argument("--lr", type=float, help=f"learning rate (default: {rates})")
    for name, kind, text in (
            ("momentum", float, "of sgd, 0 or more"),
            ("dropout", float, "probability after each hidden layer"),
            ("epochs", at_least(1), "passes over the training samples"),
            ("batch_size", at_least(1), "samples a step")):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N",
                            help=f"{text} {_default(name)}")
    parser.add_argument("--hidden", type=at_least(1), nargs="+", metavar="N",
                        help=f"units of each hidden layer {_default('hidden')}")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N",
                        help="of points, weights and batches (default: %(default)s)")


def _default(name: str) -> str:
    """The help of a setting whose default depends on the data set."""
    values = {dataset: str(getattr(defaults, name)).strip("()").replace(",", "")
              for dataset, defaults in DEFAULTS.items()}
    if len(set(values.values())) == 1:
        return f"(default: {values['disk']})"
    return f"(default: {', '.join(f'{value} for {dataset}' for dataset, value in values.items())})"


def run(args: argparse.Namespace) -> int:
    """Train, print the errors, write the run folder."""
    if args.table is not None:
        return train_table.run(args)
    train_table.refuse_options(args)
    if args.network is not None and not args.resume:
        return mnist_network.run(args)
    chosen, resume = unfinished.restored(args) if args.resume else (recipe_of(args), None)
    trial = trial_of(chosen, args)
    made_of = {"dataset": args.dataset, "seed": args.seed, "recipe": asdict(chosen)}
    with announced_folder(args.out, going_on=args.resume) as keep:
        saving = Unfinished(args.out, args.save_every, made_of, ours=args.resume)
        try:
            outcome = trial.train(args.seed, callbacks=[saving], progress=True, resume=resume)
        except FloatingPointError as error:
            raise CommandError(str(error)) from error
        except ValueError as error:
            if resume is None:
                raise
            raise CommandError(str(error)) from error  # the checkpoint does not fit
        result = _result(outcome)
        keep(partial(_write, outcome, result | made_of, can_plot("no figures"), saving))
    if args.json:
        print(json.dumps(result | {"out": str(args.out)}, allow_nan=False))
    else:
        print(f"train error {outcome.train_error:.2f} %  test error {outcome.test_error:.2f} %  "
              f"{result['epochs']} epochs, {result['seconds']:.1f} s  {args.out}")
    return INTERRUPTED if outcome.history.stopped else 0


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The data set's defaults, replaced by what was chosen."""
    defaults = DEFAULTS[args.dataset]
    given = {name: value for name, value in vars(args).items()
             if name in asdict(defaults) and value is not None}
    return replace(defaults, **given | {"hidden": tuple(args.hidden or defaults.hidden)})


def trial_of(chosen: Recipe, args: argparse.Namespace) -> DiskTrial | MnistTrial:
    """The trial to run; CommandError for a recipe or data that cannot be used."""
    try:
        chosen.build(SAMPLES, np.random.default_rng(args.seed))
    except (ValueError, TypeError) as error:
        raise CommandError(str(error), USAGE) from error
    if args.dataset == "mnist":
        try:
            return MnistTrial(chosen, data.mnist(args.data))
        except ValueError as error:  # files that are not the original's
            raise CommandError(str(error)) from error
    if args.data is not None:
        raise CommandError("--data is an option of --dataset mnist", USAGE)
    return DiskTrial(chosen)


def _result(outcome: Outcome) -> dict:
    """Errors in percent, completed epochs, seconds, and why it stopped early or ""."""
    history = outcome.history
    return {"train_error": outcome.train_error, "test_error": outcome.test_error, "epochs": len(history),
            "seconds": history.seconds[-1] if history.seconds else 0.0, "stopped": history.stopped}


def _write(outcome: Outcome, result: dict, figures: bool, saving: Unfinished, folder: Path) -> None:
    """result.json, history.json, weights.npz, and with matplotlib loss.png and a picture of the test set.

    And the checkpoint, if Ctrl-C has ended the training.
    """
    if outcome.history.stopped:
        saving.keep(folder)
    runs.write_json(folder / "result.json", result)
    outcome.history.save(folder / "history.json")
    checkpoint.save(folder / "weights.npz", outcome.weights)
    if figures:
        from .. import plot
        history = outcome.history
        losses: dict[str, Any] = {"training": history.loss, "validation": history.validation_loss}
        plot.save(plot.loss_curves(losses, title="Loss"), folder / "loss.png")
        what = outcome.points, outcome.labels, outcome.predicted
        if outcome.points.ndim == 2:
            plot.save(plot.classified(*what, title=f"Test points: {outcome.test_error:.1f} % misclassified"),
                      folder / "points.png")
        else:
            title = f"Test images: {outcome.test_error:.1f} % misclassified (label > prediction)"
            plot.save(plot.misclassified(*what, title=title), folder / "misclassified.png")
