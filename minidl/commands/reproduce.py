"""``minidl reproduce``: the reports' experiments again, each table beside the report's own figures.

Those on the disk are run together, as `all`; mnist-grid and mnist-records are each run by themselves (see
commands/mnist_grid.py and commands/mnist_records.py).
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from .. import runs
from ..papers import EXPERIMENTS, Experiment, Result, available, measured, reproduce
from ..papers.mnist_grid import BATCH_SIZE, NAME, SOURCE
from ..sweep import executors
from ..table import as_csv, as_text
from ..training.progress import say
from . import mnist_grid, mnist_records
from .common import USAGE, CommandError, announced_folder, at_least, can_plot

OUT = Path("runs/reproduce")
ALONE = {NAME: mnist_grid, mnist_records.NAME: mnist_records}
HELP = "run the reports' experiments and print their tables beside the reports' own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options: which experiments, and where their tables and figures go."""
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"{', '.join(EXPERIMENTS)}, all for these, or {' or '.join(ALONE)} by itself")
    parser.add_argument("--list", action="store_true", help="list the experiments")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help=f"folder of the tables and figures (default: {OUT}, or {mnist_grid.OUT} or "
                             f"{mnist_records.OUT}, which the same command continues when it was interrupted)")
    parser.add_argument("--json", action="store_true", help="print all rows as one JSON array")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N",
                        help="of all randomness (default: %(default)s)")
    parser.add_argument("--executor", default="processes", metavar="WHERE",
                        help="serial, processes, processes:N, dask:ADDRESS or mpi (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR",
                        help=f"folder of MNIST, of {' and '.join(ALONE)} (default: MINIDL_DATA or the cache)")
    of_grid = parser.add_argument_group(NAME)
    of_grid.add_argument("--batch-size", type=at_least(1), metavar="N",
                         help=f"samples a step; 1 is the report's, and takes long (default: {BATCH_SIZE})")
    mnist_records.add_options(parser)


def run(args: argparse.Namespace, rounds: int | None = None) -> int:
    """Run, print and write; ``rounds`` other than the reports' are for tests."""
    if args.list:
        print("\n".join([*(f"{name:<16}  {EXPERIMENTS[name].source}" for name in EXPERIMENTS),
                         f"{NAME:<16}  {SOURCE}; not of all: it needs MNIST, and minutes",
                         f"{mnist_records.NAME:<16}  {mnist_records.SOURCE}; not of all: it needs MNIST, and an hour"]))
        return 0
    if mnist_records.given(args) and set(args.names) != {mnist_records.NAME}:
        raise CommandError(f"--records, --seeds, --threads and --page are options of {mnist_records.NAME} by itself",
                           USAGE)
    if len(set(args.names)) == 1 and args.names[0] in ALONE:
        return ALONE[args.names[0]].run(args)
    if args.data is not None or args.batch_size is not None:
        raise CommandError(f"--data and --batch-size are options of {NAME} by itself", USAGE)
    out = OUT if args.out is None else args.out
    chosen = [EXPERIMENTS[name] for name in _names(args.names)]
    try:
        executors.opened(args.executor)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    with announced_folder(out) as keep:
        try:
            outcomes = reproduce(chosen, seed=args.seed, rounds=rounds, executor=args.executor)
        except (ImportError, RuntimeError, FloatingPointError) as error:
            raise CommandError(str(error)) from error
        results = [result for experiment in chosen
                   for result in measured(experiment, outcomes[experiment.name])]
        rows = [result.as_dict() for result in results]
        drawn = chosen if can_plot("no figures") else []
        keep(partial(_write, rows, [(experiment, outcomes[experiment.name]) for experiment in drawn]))
    for experiment in chosen:
        for trial in experiment.trials.keys() - available(experiment).keys():
            library = experiment.needs[trial]
            say(f"{experiment.name}: no rows for {trial}: {library} is not installed; "
                f"pip install 'minidl[{library}]' brings it")
    if args.json:
        print(json.dumps(rows, allow_nan=False))
    else:
        print("\n\n".join(_text(experiment, results) for experiment in chosen))
        print(f"\ntables and figures: {out}")
    return 0


def _write(rows: list[dict], drawn: list[tuple[Experiment, Any]], folder: Path) -> None:
    """rows.json, rows.csv, and a folder of figures for each experiment that is drawn."""
    runs.write_json(folder / "rows.json", rows)
    (folder / "rows.csv").write_text(as_csv(rows), newline="")
    for experiment, outcomes in drawn:
        (folder / experiment.name).mkdir()
        experiment.figures(outcomes, folder / experiment.name)


def _names(names: list[str]) -> Iterable[str]:
    """The chosen experiments on the disk, each once."""
    for name in ALONE:
        if name in names:
            raise CommandError(f"{name} is reproduced by itself: minidl reproduce {name}", USAGE)
    unknown = [name for name in names if name not in EXPERIMENTS and name != "all"]
    if unknown or not names:
        came = f"unknown experiment {unknown[0]!r}" if unknown else "no experiment named"
        raise CommandError(f"{came}; known are {', '.join(EXPERIMENTS)}, all, {' and '.join(ALONE)}", USAGE)
    return EXPERIMENTS if "all" in names else dict.fromkeys(names)


def _text(experiment: Experiment, results: list[Result]) -> str:
    """The experiment's tables, our errors beside the report's, in percent."""
    rows = [{"table": result.table, "row": result.row, "report": _spread(result.paper_mean, result.paper_sd),
             "minidl": _spread(result.mean, result.sd), "rounds": result.rounds}
            for result in results if result.experiment == experiment.name]
    return "\n".join([f"{experiment.name}: {experiment.source}, errors in %", as_text(rows),
                      *(f"({note})" for note in experiment.notes)])


def _spread(mean: float, sd: float | None) -> str:
    return f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}"
