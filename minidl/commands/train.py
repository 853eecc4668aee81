"""``minidl train``: the reports' network on the disk, and a run folder with what came of it."""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import checkpoint, recipe, runs
from ..papers.trial import SAMPLES, DiskTrial, Outcome
from ..recipe import Recipe
from .common import INTERRUPTED, USAGE, CommandError, announced_folder, at_least, can_plot

HELP = "train the reports' network on the disk"
DEFAULTS = Recipe(scheduler="cyclic")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the reports vary."""
    default = "(default: %(default)s)"
    for name, choices, text in (
            ("activation", recipe.ACTIVATIONS, "after each hidden layer"),
            ("loss", recipe.LOSSES, "mse is divided by the batch, mse_sum is not"),
            ("optimizer", recipe.OPTIMIZERS, "its update rule"),
            ("scheduler", recipe.SCHEDULER_NAMES, "of the learning rate"),
            ("init", recipe.INIT_NAMES, "of weights and biases")):
        parser.add_argument(f"--{name}", choices=list(choices), default=getattr(DEFAULTS, name),
                            help=f"{text}: {', '.join(choices)} {default}", metavar="NAME")
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in recipe.LEARNING_RATES.items())
    parser.add_argument("--lr", type=float, help=f"learning rate (default: {rates})")
    for name, kind, text in (
            ("momentum", float, "of sgd, 0 or more"),
            ("dropout", float, "probability after each hidden layer"),
            ("epochs", at_least(1), "passes over the training points"),
            ("batch_size", at_least(1), "points a step")):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(DEFAULTS, name),
                            metavar="N", help=f"{text} {default}")
    parser.add_argument("--hidden", type=at_least(1), nargs="+", default=list(DEFAULTS.hidden), metavar="N",
                        help="units of each hidden layer (default: 25 25 25)")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N",
                        help=f"of points, weights and batches {default}")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), metavar="DIR",
                        help=f"run folder {default}")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Train, tell the errors, write the run folder."""
    names = asdict(DEFAULTS).keys() & vars(args).keys()
    chosen = Recipe(**{name: getattr(args, name) for name in names} | {"hidden": tuple(args.hidden)})
    try:
        chosen.build(SAMPLES, np.random.default_rng(args.seed))
    except (ValueError, TypeError) as error:
        raise CommandError(str(error), USAGE) from error
    with announced_folder(args.out) as folder:
        try:
            outcome = DiskTrial(chosen).train(args.seed, progress=True)
        except FloatingPointError as error:
            raise CommandError(str(error)) from error
        result = _result(outcome)
        _write(folder, outcome, result | {"seed": args.seed, "recipe": asdict(chosen)})
    if args.json:
        print(json.dumps(result | {"out": str(args.out)}, allow_nan=False))
    else:
        print(f"train error {outcome.train_error:.2f} %  test error {outcome.test_error:.2f} %  "
              f"{result['epochs']} epochs, {result['seconds']:.1f} s  {args.out}")
    return INTERRUPTED if outcome.history.stopped else 0


def _result(outcome: Outcome) -> dict:
    """Errors in percent, completed epochs, seconds, and why it stopped early or ""."""
    history = outcome.history
    return {"train_error": outcome.train_error, "test_error": outcome.test_error, "epochs": len(history),
            "seconds": history.seconds[-1] if history.seconds else 0.0, "stopped": history.stopped}


def _write(folder: Path, outcome: Outcome, result: dict) -> None:
    """result.json, history.json, weights.npz, and with matplotlib loss.png and points.png."""
    runs.write_json(folder / "result.json", result)
    outcome.history.save(folder / "history.json")
    checkpoint.save(outcome.weights, folder / "weights.npz")
    if can_plot("no figures"):
        from .. import plot
        history = outcome.history
        losses = {"training": history.loss, "validation": history.validation_loss}
        plot.save(plot.loss_curves(losses, title="Loss"), folder / "loss.png")
        plot.save(plot.classified(outcome.points, outcome.labels, outcome.predicted,
                                  title=f"Test points: {outcome.test_error:.1f} % misclassified"),
                  folder / "points.png")
