"""``minidl sweep``: train a network for every configuration of a grid and every seed, and compare them."""
from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import table
from ..data import mnist
from ..files.strict_json import parsed
from ..runs import writable_folder
from ..sweep import executors
from ..sweep.log import LOG, Run
from ..sweep.sweeping import grid, sweep
from ..sweep.table import summary, varying
from ..sweep.task import NUMBERS, SETTINGS, complete, train
from ..sweep.together import together
from ..training.progress import say
from .common import INTERRUPTED, USAGE, CommandError, beside_runs, can_plot, whole

HELP = "train a network for every configuration of a grid and every seed"
EXAMPLE = "example: minidl sweep --grid layers=2,3,5 activation=relu,tanh --seeds 3 --executor processes:2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``minidl sweep``: those below, and one for each of SETTINGS."""
    parser.epilog = EXAMPLE
    parser.add_argument("--grid", metavar="KEY=V1,V2", nargs="+", action="extend", default=[],
                        help="values to combine, as JSON or plain text; KEY is a setting, as in layers=2,3,5")
    parser.add_argument("--list", metavar="FILE.json", type=Path,
                        help="configurations instead of a grid: a JSON array of objects of settings")
    parser.add_argument("--seeds", metavar="SEED", nargs="+", type=int, default=[1],
                        help="seeds of each configuration; one number N stands for 0 .. N-1 (default: 1)")
    parser.add_argument("--executor", default="processes",
                        help="serial, processes[:N], dask:ADDRESS or mpi (default: processes, one a core)")
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST (default: MINIDL_DATA or the cache)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/sweep"),
                        help="folder of sweep.jsonl, table.csv and sweep.png (default: runs/sweep); "
                             "the same command continues what is there")
    parser.add_argument("--sort", metavar="COLUMN", help="sort the table by this column (default: as given)")
    parser.add_argument("--descending", action="store_true", help="sort from the largest")
    parser.add_argument("--retry-failed", action="store_true", help="repeat the runs that failed before")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    settings = parser.add_argument_group("settings", "of every configuration that does not give its own")
    for name, setting in SETTINGS.items():
        option = "--" + name.replace("_", "-")
        settings.add_argument(option, type=_value, default=setting.default, metavar="VALUE",
                              help=f"{setting.meaning} (default: {json.dumps(setting.default)})")


def run(args: argparse.Namespace) -> int:
    """0, or 1 when a run failed.

    Raises CommandError, for input that cannot be used before any training, and OSError.
    """
    try:
        runs = _sweep(args)
    except (ValueError, TypeError, ImportError, ConnectionError) as error:
        raise CommandError(str(error), USAGE) from error
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        raise CommandError("sweep: interrupted; the same command goes on from here", INTERRUPTED) from None
    rows = summary(runs)
    if args.sort in table.columns(rows):  # it does not exist if every run failed
        rows = table.ordered(rows, args.sort, args.descending)
    failures = [run for run in runs if run.error is not None]
    print(_json(rows, failures, args.out) if args.json else _text(rows, varying(runs)))
    for failure in failures:
        say(f"failed: {_message(failure)}")
    with beside_runs(args.out / LOG):
        folder = writable_folder(args.out)  # with links followed and "x/.." resolved
        with whole(folder / "table.csv") as part:
            part.write_bytes(table.as_csv(rows).encode())
        _draw(runs, folder / "sweep.png")
    return 1 if failures else 0


def _sweep(args: argparse.Namespace) -> list[Run]:
    configurations, seeds = _configurations(args), _seeds(args.seeds)
    _check_column(args.sort, seeds)
    folder = os.path.abspath(args.data) if args.data else None
    if any(settings["dataset"] == "mnist" for settings in configurations):
        mnist(folder)  # found or downloaded once, not by every worker at the same time
    executors.opened(args.executor)  # a wrong name is an error before a folder is made
    return sweep(functools.partial(train, folder=folder), configurations, seeds, executor=args.executor,
                 path=writable_folder(args.out) / LOG, retry_failed=args.retry_failed, together=together(folder))


def _configurations(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Those of --grid or --list, each with all settings."""
    if bool(args.grid) == bool(args.list):
        raise ValueError("sweep: expected either --grid or --list")
    given = _listed(args.list) if args.list else grid(**_axes(args.grid))
    fixed = {name: getattr(args, name) for name in SETTINGS}
    return [complete(fixed | settings) for settings in given]


def _listed(path: Path) -> list[dict[str, Any]]:
    try:
        given = parsed(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"sweep: expected JSON in {path}, got: {error}") from error
    if not isinstance(given, list) or not all(isinstance(settings, dict) for settings in given):
        raise ValueError(f"sweep: expected an array of objects of settings in {path}")
    return given


def _axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """["layers=2,3", "activation=relu"] as {"layers": [2, 3], "activation": ["relu"]}."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.replace("-", "_")
        if not equals or not values or name in axes:
            raise ValueError(f"sweep: expected each --grid as KEY=V1,V2, a KEY once, got {text!r}")
        axes[name] = [_value(value) for value in values.split(",")]
    return axes


def _value(text: str) -> Any:
    """JSON if it is, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _seeds(given: Sequence[int]) -> Sequence[int]:
    return range(given[0]) if len(given) == 1 else given


def _check_column(name: str | None, seeds: Sequence[int]) -> None:
    deviations = [f"{number}_sd" for number in NUMBERS] if len(seeds) > 1 else []
    known = [*SETTINGS, "runs", "failed", *NUMBERS, *deviations]
    if name is not None and name not in known:
        raise ValueError(f"sweep: expected to sort by one of {', '.join(known)}, got {name!r}")


def _text(rows: Sequence[dict[str, Any]], chosen: Sequence[str]) -> str:
    """The table without the settings that are the same in all runs."""
    hidden = set(SETTINGS) - set(chosen)
    return table.as_text([{name: row[name] for name in row if name not in hidden} for row in rows])


def _json(rows: Sequence[dict[str, Any]], failures: Sequence[Run], out: Path) -> str:
    return json.dumps({"rows": rows, "out": str(out),
                       "failures": [{"settings": run.settings, "seed": run.seed, "error": run.error}
                                    for run in failures]})


def _message(failure: Run) -> str:
    error = failure.error or {}
    return f"{json.dumps(failure.settings)} seed {failure.seed}: {error.get('type')}: {error.get('message')}"


def _draw(runs: Sequence[Run], path: Path) -> None:
    if any(run.result is not None for run in runs) and can_plot("no picture"):
        from .. import plot
        with whole(path) as part:
            plot.save(plot.sweep(runs), part)
