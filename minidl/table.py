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


def escaped(text: str) -> str:
    """A text as HTML shows it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def as_html(names: Sequence[str], lines: Sequence[Sequence[str]], caption: str = "", left: int = 0) -> str:
    """A table for a notebook, of texts; the first ``left`` columns flush left, the others right."""
    def cells(kind: str, line: Sequence[str]) -> str:
        return "".join(f'<{kind} style="text-align: {"left" if i < left else "right"}">{escaped(text)}</{kind}>'
                       for i, text in enumerate(line))

    told = f'<caption style="caption-side: bottom; text-align: left">{escaped(caption)}</caption>' if caption else ""
    body = "".join(f"<tr>{cells('td', line)}</tr>" for line in lines)
    return f"<table>{told}<thead><tr>{cells('th', names)}</tr></thead><tbody>{body}</tbody></table>"


def folded(text: str, most: int = 40) -> str:
    """A text for a notebook: its first line, and the others below it, folded away if there are more than ``most``."""
    first, *rest = text.strip().splitlines()
    state = " open" if len(rest) <= most else ""
    body = "\n".join(rest).strip("\n")
    return f"<details{state}><summary><code>{escaped(first)}</code></summary><pre>{escaped(body)}</pre></details>"


def bytes_as_text(count: int) -> str:
    """A number of bytes in three digits: 0 B, 512 B, 1.5 kB, 12 MB."""
    if count < 1000:
        return f"{count} B"
    value, unit = float(count), "B"
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007
        value /= 1000
        if value < 999.5:
            break
    return f"{value:.3g} {unit}"


def as_csv(rows: Sequence[Row]) -> str:
    """RFC 4180 with every digit of the numbers; no value is an empty field."""
    import csv  # here, since few need it
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
