"""``minidl show RUN``: prints what a run folder holds, and draws its pictures anew."""
from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from .. import runs
from ..table import as_text
from ..training.history import History
from .common import USAGE, CommandError, can_plot
from .train_table import errors

HELP = "print and draw what a run folder holds"
KEPT = ("result.json", "rows.json", "table.csv")  # what commands write, and what is shown as text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a run folder that minidl wrote")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the pictures (default: RUN)")
    parser.add_argument("--no-pictures", action="store_true", help="print alone")


def run(args: argparse.Namespace) -> int:
    """The report of a table; of other runs the results, the epochs and the rows."""
    folder = args.run_folder
    if not any((folder / name).is_file() for name in (runs.MARKER, *KEPT)):  # a sweep's folder has no marker
        raise CommandError(f"{folder} is no run folder of minidl", USAGE)
    out = folder if args.out is None else args.out
    with errors():
        pictures = (_table if (folder / "preprocessing.json").is_file() else _other)(folder, out, args.no_pictures)
    kept = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != runs.MARKER)
    files = [str(path) for path in dict.fromkeys([*kept, *pictures])]
    print("\n".join(["", "files:", *(f"  {name}" for name in files)]))
    return 0


def _table(folder: Path, out: Path, silent: bool) -> list[Path]:
    from ..tables import Preprocessing, report
    from ..tables import folder as run_folder
    print(report.text(Preprocessing.load(folder / run_folder.PREPROCESSING), run_folder.result_in(folder)))
    return [] if silent or not can_plot("no pictures") else run_folder.draw(folder, _made(out))


def _other(folder: Path, out: Path, silent: bool) -> list[Path]:
    """What the other commands write: result.json, history.json, rows.json, table.csv."""
    pictures = []
    for name in KEPT:
        path = folder / name
        if path.is_file():
            print(f"{name}:\n{_text(path)}\n")
    if (folder / "history.json").is_file():
        history = History.load(folder / "history.json")
        print(history)
        if not silent and can_plot("no pictures"):
            from .. import plot
            losses = {"training": history.loss, "validation": history.validation_loss}
            plot.save(plot.loss_curves(losses, title="Loss"), _made(out) / "loss.png")  # type: ignore[arg-type]
            pictures.append(out / "loss.png")
    return pictures


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _text(path: Path) -> str:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return as_text(list(csv.DictReader(file)))
    content = json.loads(path.read_text(encoding="utf-8"))
    return as_text(content) if isinstance(content, list) else "\n".join(f"{key}: {_line(value)}"
                                                                       for key, value in content.items())


def _line(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
