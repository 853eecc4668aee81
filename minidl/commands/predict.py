"""``minidl predict RUN data.csv``: the predictions of a network that ``minidl train`` trained on a table."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..table import as_csv, as_text
from ..training.progress import say
from .common import USAGE, CommandError, whole
from .train_table import errors

HELP = "predict a column of a table with a network trained on another"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the run folder that minidl train TABLE wrote")
    parser.add_argument("table", type=Path, metavar="TABLE", help="a table with the columns that were trained on")
    parser.add_argument("--out", metavar="FILE",
                        help="a CSV file for the predictions, - for standard output (default: TABLE.predictions.csv, "
                             "in the current folder)")
    parser.add_argument("--fill-missing-columns", action="store_true",
                        help="take all values of a column that is not there as missing, where else it is an error")
    parser.add_argument("--skip-wrong-rows", action="store_true",
                        help="leave out rows that cannot be read, and list them, where else they are an error")
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Read both, predict, write the predictions, and score them where the table has the target."""
    from ..tables import Run, read
    from ..tables.folder import fill_missing, rows_of

    out = args.out if args.out is not None else f"{args.table.stem}.predictions.csv"
    if out != "-" and Path(out).resolve() == args.table.resolve():
        raise CommandError(f"--out {out} would replace the table", USAGE)
    if out == "-" and args.json:
        raise CommandError("--json needs a file for the predictions: --out FILE", USAGE)
    with errors():
        trained = Run.load(args.run_folder)
        table = read(args.table, skip_wrong=args.skip_wrong_rows)
        filled = trained.preprocessing.missing_columns(table) if args.fill_missing_columns else []
        table = fill_missing(table, filled)
        if args.skip_wrong_rows and not trained.preprocessing.missing_columns(table):
            table = table.without(trained.preprocessing.wrong(table))
        predicted = trained.predict(table)
        scores = trained.scores(table, predicted)
    for wrong in table.wrong:
        say(f"left out: {wrong}")
    unknown = {column.name: found for column in trained.preprocessing.columns
               if (found := column.unknown(table.columns[column.name]))}
    for name, words in unknown.items():
        rows = sum(words.values())
        say(f"column {name!r}: {rows} row{'' if rows == 1 else 's'} with {', '.join(map(repr, list(words)[:5]))}"
            f"{', ...' if len(words) > 5 else ''}, which training did not see: taken as none of the known categories")
    for name in filled:
        say(f"column {name!r} is not there: all its values are taken as missing")
    text = as_csv(rows_of(trained.preprocessing.target, table, predicted))
    if out == "-":
        sys.stdout.write(text.replace("\r\n", "\n"))
        return 0
    with whole(Path(out)) as part:
        part.write_text(text, newline="", encoding="utf-8")
    if args.json:
        print(json.dumps({"rows": len(table), "left_out": len(table.wrong), "filled": filled, "unknown": unknown,
                          "scores": scores, "out": out}, allow_nan=False))
    else:
        print(f"{len(table)} predictions of {trained.preprocessing.target.name!r}: {out}")
        if scores is not None:
            print(as_text([{"score of the rows with a target": "network"} | scores]))
    return 0
