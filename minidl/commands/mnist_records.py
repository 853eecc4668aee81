"""``minidl reproduce mnist-records``: kept in its folder after each training, so that the same command goes on."""
from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import data, runs
from ..papers import mnist_records, mnist_records_page
from ..papers.mnist_records import NAME, RECORDS, SOURCE, measured
from ..papers.mnist_records_page import reached, spread
from ..sweep.log import Run
from ..table import as_csv, as_text
from .common import INTERRUPTED, USAGE, CommandError, at_least, beside_runs, can_plot, whole

OUT = Path("runs/mnist-records")
PAGE = "mnist.md"
RIVALS = "pytorch.json"  # which bench.mnist_records writes to this folder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of these records alone."""
    of_records = parser.add_argument_group(NAME)
    of_records.add_argument("--records", nargs="+", choices=list(RECORDS), metavar="RECORD",
                            help=f"{', '.join(RECORDS)} (default: all)")
    of_records.add_argument("--seeds", type=at_least(1), metavar="N",
                            help="so many of each record, from --seed on (default: "
                                 f"{', '.join(f'{record.seeds} of {name}' for name, record in RECORDS.items())})")
    of_records.add_argument("--threads", type=at_least(1), metavar="N", help="that share a step (default: 2)")
    of_records.add_argument("--page", type=Path, metavar="DIR",
                            help="write the page mnist.md and its pictures to this folder, too")


def given(args: argparse.Namespace) -> bool:
    """Whether one of these options was."""
    return any(value is not None for value in (args.records, args.seeds, args.threads, args.page))


def run(args: argparse.Namespace) -> int:
    """Run or continue, print and write."""
    out = OUT if args.out is None else args.out
    if args.batch_size is not None or args.executor != "processes":
        raise CommandError(f"{NAME} takes no --batch-size and no --executor: its trainings run one after the other, "
                           "as they were chosen", USAGE)
    try:
        found = _reproduced(args, out)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        raise CommandError("interrupted; the same command goes on from here", INTERRUPTED) from None
    rows = measured(found)
    print(json.dumps(rows, allow_nan=False) if args.json else _text(rows, out))
    figures = can_plot("no figures")
    with beside_runs(out / f"{next(iter(found))}.jsonl"):
        with whole(out / "rows.json") as part:
            runs.write_json(part, rows)
        with whole(out / "rows.csv") as part:
            part.write_text(as_csv(rows), newline="")
        files = _write_page(found, rows, out, args.data, figures)
    if args.page is not None:
        args.page.mkdir(parents=True, exist_ok=True)
        for name in files:
            with whole(args.page / name) as part:
                shutil.copyfile(out / name, part)
    return 0


def _write_page(found: Mapping[str, Sequence[Run]], rows: list[dict], folder: Path, place: str | None,
                figures: bool) -> list[str]:
    """mnist.md and, with matplotlib, its pictures; their names."""
    rivals = json.loads((folder / RIVALS).read_text()) if (folder / RIVALS).exists() else None
    pictures: dict = {}
    if figures:
        from .. import plot
        dataset = data.mnist(place)
        pictures = mnist_records_page.figures(found, dataset.test_images, dataset.test_labels)
        for name, figure in pictures.items():
            with whole(folder / name) as part:
                plot.save(figure, part)
    with whole(folder / PAGE) as part:
        part.write_text(mnist_records_page.page(found, rows, list(pictures), rivals))
    return [PAGE, *pictures]


def _reproduced(args: argparse.Namespace, out: Path) -> dict[str, list[Run]]:
    folder = os.path.abspath(args.data) if args.data else None
    names = list(dict.fromkeys(args.records or RECORDS))
    kept = {f"{name}.jsonl" for name in RECORDS}
    if runs.content(out) and not any(entry.name in kept for entry in runs.content(out)):
        raise FileExistsError(f"{out} holds files that are not of {NAME}; choose another folder")
    data.mnist(folder)  # found or downloaded before a folder is made
    return mnist_records.reproduce(runs.writable_folder(out), names, seeds=args.seeds, first=args.seed,
                                   threads=args.threads or mnist_records.THREADS, folder=folder)


def _text(rows: list[dict], out: Path) -> str:
    """A line a record."""
    shown = [{"record": row["record"], "accuracy %": spread(row["accuracy"], row["accuracy_sd"]),
              "seconds": spread(row["seconds"], row["seconds_sd"]), "parameters": row["parameters"],
              "networks": row["networks"], "seeds": row["seeds"], "shall reach": row["title"],
              "reached": reached(row)} for row in rows]
    return f"{NAME}: {SOURCE}\n{as_text(shown)}\n\npage and figures: {out}"
