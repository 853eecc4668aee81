"""``minidl reproduce mnist-grid``: saved in its folder after each run, so that the same command continues it."""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from .. import data, runs
from ..papers import mnist_grid
from ..papers.mnist_grid import Reproduction
from ..papers.mnist_grid_tables import conclusions, figures, measured, table
from ..sweep import executors
from ..table import as_csv, as_text
from .common import INTERRUPTED, USAGE, CommandError, beside_runs, can_plot, whole

OUT = Path("runs/mnist-grid")


def run(args: argparse.Namespace) -> int:
    """Run or continue, print and write."""
    out = OUT if args.out is None else args.out
    try:
        reproduction = _reproduced(args, out)
    except (ValueError, ImportError, ConnectionError) as error:
        raise CommandError(str(error), USAGE) from error
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        raise CommandError("interrupted; the same command goes on from here", INTERRUPTED) from None
    rows = [result.as_dict() for result in measured(reproduction)]
    print(json.dumps(rows, allow_nan=False) if args.json else _text(reproduction, out))
    with beside_runs(out / mnist_grid.LOG):
        _write(reproduction, rows, out)
    return 0


def _write(reproduction: Reproduction, rows: list[dict], out: Path) -> None:
    """rows.json, rows.csv and the figures."""
    with whole(out / "rows.json") as part:
        runs.write_json(part, rows)
    with whole(out / "rows.csv") as part:
        part.write_text(as_csv(rows), newline="")
    if can_plot("no figures"):
        from .. import plot
        for name, figure in figures(reproduction).items():
            with whole(out / name) as part:
                plot.save(figure, part)


def _reproduced(args: argparse.Namespace, out: Path) -> Reproduction:
    folder = os.path.abspath(args.data) if args.data else None
    data.mnist(folder)  # found or downloaded once, before any process looks for it
    executors.opened(args.executor)  # a wrong name is an error before a folder is made
    if runs.content(out) and not (out / mnist_grid.LOG).exists():
        raise FileExistsError(f"{out} holds files that are not of {mnist_grid.NAME}; choose another folder")
    return mnist_grid.reproduce(runs.writable_folder(out), batch_size=args.batch_size or mnist_grid.BATCH_SIZE,
                                seed=args.seed, folder=folder, executor=args.executor)


def _text(reproduction: Reproduction, out: Path) -> str:
    """The report's table and its conclusions, with our numbers beside them."""
    return "\n".join([f"{mnist_grid.NAME}: {mnist_grid.SOURCE}, highest development accuracies",
                      as_text(table(reproduction)), *conclusions(reproduction), "",
                      f"tables and figures: {out}"])
