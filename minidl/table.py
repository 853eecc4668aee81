"""Tables: rows that are dicts, as text, as CSV, and in the order of a column."""
from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of all columns, in the order in which they first stand in a row."""
    return list(dict.fromkeys(name for row in rows for name in row))


def ordered(rows: Sequence[Row], column: str, descending: bool = False) -> list[Row]:
    """The rows by the value in ``column``; equal ones keep their order, rows without a value come last.

    Numbers stand before text. Raises ValueError for a column that no row has.
    """
    if column not in columns(rows):
        raise ValueError(f"table: expected a column of {', '.join(columns(rows))}, got {column!r}")
    filled = [row for row in rows if row.get(column) is not None]
    empty = [row for row in rows if row.get(column) is None]
    return sorted(filled, key=lambda row: _key(row[column]), reverse=descending) + empty


def _key(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, (int, float))
    return not number, value if number else 0, str(value)


def as_text(rows: Sequence[Row]) -> str:
    """A line a row under a line of names, numbers flush right, four significant digits."""
    names = columns(rows)
    cells = [[shown(row.get(name)) for name in names] for row in rows]
    right = [all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in names]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) if flush else cell.ljust(width)
                               for cell, width, flush in zip(line, widths, right, strict=True)).rstrip()
                     for line in [names, *cells])


def shown(value: Any) -> str:
    """A value of a cell, of a float four significant digits; - for none."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def as_csv(rows: Sequence[Row]) -> str:
    """RFC 4180 with every digit of the numbers; no value is an empty field."""
    import csv  # here, since few need it
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
