"""A run on a table as text: what was read, what was learned, and how good it is beside the baselines."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..table import as_text
from .columns import Categorical, Date
from .preprocessing import Preprocessing
from .scores import MAIN
from .values import ISO

SHOWN = 20  # columns in a table, at most


def text(preprocessing: Preprocessing, result: Mapping[str, Any]) -> str:
    """The whole report."""
    target, rows = preprocessing.target, result["rows"]
    counts = f"{rows['training']} training, {rows['validation']} validation, {rows['held_out']} held out"
    left_out = [f"{rows[name]} {why}" for name, why in (("without_target", "without target"), ("wrong", "wrong"))
                if rows[name]]
    if left_out:
        counts += f"; left out: {', '.join(left_out)}"
    parts = [f"{result['table']}: {target.task} of {target.name!r} ({target.reason})", f"rows: {counts}",
             *(f"  {one}" for one in result["wrong"][:SHOWN]), "", columns(preprocessing)]
    if preprocessing.left_out:
        parts += ["", "columns left out:", *_some([f"  {name}: {why}" for name, why in preprocessing.left_out.items()])]
    main = MAIN[target.task]
    parts += ["", "score of the held-out rows:", as_text(result["scores"]), *_advice(result["scores"], main), "",
              f"importance: the fall of {main} when a column of the held-out rows is shuffled",
              *_some(as_text(result["importance"]).splitlines(), header=1)]
    stopped = f", stopped: {result['stopped']}" if result["stopped"] else ""
    return "\n".join([*parts, "", f"{result['epochs']} epochs, {result['seconds']:.1f} s{stopped}"])


def _advice(scores: list[dict], main: str) -> list[str]:
    """A line where a baseline is as good as the network."""
    better = [row["model"] for row in scores[:-1] if row[main] >= scores[-1][main]]
    return [f"by {main}, the {better[-1]} is as good as the network or better"] if better else []


def columns(preprocessing: Preprocessing) -> str:
    """The columns that the network sees."""
    rows = []
    for column in preprocessing.columns:
        kind = f"date ({column.form})" if isinstance(column, Date) and column.form != ISO else column.kind
        kept = len(column.categories) if isinstance(column, Categorical) else None
        rows.append({"column": column.name, "kind": kind, "categories": kept, "inputs": len(column.inputs),
                     "missing values": "yes" if column.misses else "no"})
    return "\n".join(_some(as_text(rows).splitlines(), header=1))


def _some(lines: list[str], header: int = 0) -> list[str]:
    """At most SHOWN lines below the header, and how many more there are."""
    more = len(lines) - header - SHOWN
    return lines if more <= 0 else [*lines[:header + SHOWN], f"... and {more} more"]
