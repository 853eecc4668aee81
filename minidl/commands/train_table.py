"""``minidl train data.csv --target NAME``: trains on a table, and writes a run folder from which to predict."""
from __future__ import annotations

import argparse
import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..recipe import Recipe
from .common import INTERRUPTED, USAGE, CommandError, announced_folder, at_least, can_plot

OF_OTHERS = ("data", "loss", "network", "resume", "save_every")  # options of train that a table has not


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The table, and the options that only a table has."""
    parser.add_argument("table", nargs="?", type=Path, metavar="TABLE",
                        help="a file of your own to learn from, in place of --dataset: .csv, .tsv, .npz, .npy; "
                             ".parquet and .xlsx through pandas")
    group = parser.add_argument_group(
        "of a TABLE", "By default it trains 64 and 64 relu units by adamw, lr 0.002, dropout 0.1, batches of 32, "
        "at most 300 epochs")
    group.add_argument("--target", metavar="COLUMN", help="the column to predict")
    group.add_argument("--task", choices=("classification", "regression"), metavar="TASK",
                       help="classification or regression (default: as the target's values tell)")
    for kind in ("numeric", "categorical", "boolean", "date"):
        group.add_argument(f"--{kind}", nargs="+", default=[], metavar="COLUMN",
                           help=f"columns that are {kind}, whatever their values tell")
    group.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    group.add_argument("--skip-wrong-rows", action="store_true",
                       help="leave out rows that cannot be read, and list them, where else they are an error")
    group.add_argument("--patience", type=at_least(1), metavar="N",
                       help="epochs without a lower loss of the validation rows that end the training (default: 30)")


def refuse_options(args: argparse.Namespace) -> None:
    """CommandError for options of a TABLE where none is given."""
    given = [name for name in ("target", "task", "numeric", "categorical", "boolean", "date", "drop",
                               "skip_wrong_rows", "patience") if getattr(args, name)]
    if given:
        raise CommandError(f"--{given[0].replace('_', '-')} is an option of minidl train TABLE", USAGE)


def run(args: argparse.Namespace) -> int:
    """Read, train, print the report, write the run folder."""
    from ..tables import read, report
    from ..tables.training import PATIENCE, Choice, prepare, train

    if args.dataset != "disk":
        raise CommandError("--dataset cannot be given with a TABLE", USAGE)
    for name in OF_OTHERS:
        if getattr(args, name, None) not in (None, False):
            raise CommandError(f"--{name.replace('_', '-')} is no option of minidl train TABLE", USAGE)
    with errors():
        table = read(args.table, skip_wrong=args.skip_wrong_rows)
        if args.target is None:
            known = ", ".join(list(table.columns)[:20]) + (", ..." if len(table.columns) > 20 else "")
            raise CommandError(f"expected --target with the column to predict, one of {known}", USAGE)
        told = {name: kind for kind in ("numeric", "categorical", "boolean", "date") for name in getattr(args, kind)}
        choice = Choice(args.target, args.task, told, args.drop, args.skip_wrong_rows)
        prepared = prepare(table, choice)  # what is wrong with the table is told before a folder is made
    chosen = recipe_of(args)
    with announced_folder(args.out) as keep:
        with errors():
            outcome = train(prepared, chosen, patience=args.patience or PATIENCE, seed=args.seed, progress=True)
        written: dict = {}
        keep(partial(_write, outcome, args.seed, can_plot("no pictures"), written))
    if args.json:
        print(json.dumps(written | {"out": str(args.out)}, allow_nan=False))
    else:
        print(f"{report.text(outcome.preprocessing, written)}\nrun folder: {args.out}")
    return INTERRUPTED if outcome.history.stopped == "interrupted" else 0


@contextmanager
def errors():
    """What is wrong with a table or a run folder as one line; a library that is missing, a loss that diverged."""
    try:
        yield
    except (ValueError, ImportError, FloatingPointError) as error:
        raise CommandError(str(error)) from error


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The table's recipe, replaced by what was chosen; another optimizer has its own learning rate.

    CommandError for one that cannot be built.
    """
    from ..tables.training import RECIPE
    given = {name: value for name, value in vars(args).items() if name in asdict(RECIPE) and value is not None}
    if args.hidden:
        given["hidden"] = tuple(args.hidden)
    if args.optimizer is not None and args.lr is None:
        given["lr"] = None
    chosen = replace(RECIPE, **given)
    try:
        chosen.build(100, np.random.default_rng(0))
    except (ValueError, TypeError) as error:
        raise CommandError(str(error), USAGE) from error
    return chosen


def _write(outcome, seed: int, figures: bool, written: dict, folder: Path) -> None:
    from ..tables import folder as run_folder
    written.update(run_folder.save(outcome, seed, folder))
    if figures:
        run_folder.draw(folder, folder)
