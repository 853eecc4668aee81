"""Table: columns of one length, which know the rows and the lines of the file that they come from."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


class TableError(ValueError):
    """What is wrong with a table, with its row and its column where there is one."""


@dataclass(frozen=True)
class Wrong:
    """A row that cannot be read: its place in the table and in the file, both counted from 1, and why.

    line : of a text file, where the row ends; None for files that have no lines. column : None for the whole row.
    """

    row: int
    line: int | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        column = "" if self.column is None else f", column {self.column!r}"
        return f"row {self.row}{line}{column}: {self.reason}"


@dataclass
class Table:
    """Named columns of one length.

    name : the file, for messages. columns : arrays (N,) of float64 (NaN where a value is missing), bool,
    datetime64[us] (NaT), or objects, which are text (None). rows : where each row stands in the file, from 1.
    lines : the same in lines, or None. wrong : the rows that were left out, since they could not be read.
    """

    name: str
    columns: dict[str, np.ndarray]
    rows: np.ndarray
    lines: np.ndarray | None = None
    wrong: list[Wrong] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> np.ndarray:
        """The values of a column; TableError with the names that there are."""
        if name not in self.columns:
            known = list(self.columns)
            told = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise TableError(f"{self.name}: expected a column {name!r}, got the columns {told}")
        return self.columns[name]

    def take(self, rows: np.ndarray) -> Table:
        """The rows of these indices, or where a mask is true."""
        lines = None if self.lines is None else self.lines[rows]
        return Table(self.name, {name: values[rows] for name, values in self.columns.items()}, self.rows[rows], lines,
                     self.wrong)

    def at(self, index: int, column: str | None, reason: str) -> Wrong:
        """What is wrong with the row of this index."""
        line = None if self.lines is None else int(self.lines[index])
        return Wrong(int(self.rows[index]), line, column, reason)

    def without(self, wrong: Sequence[Wrong]) -> Table:
        """The table without these rows, which it remembers."""
        if not wrong:
            return self
        left = self.take(~np.isin(self.rows, [one.row for one in wrong]))
        left.wrong = sorted([*self.wrong, *wrong], key=lambda one: one.row)
        return left


def refuse(name: str, wrong: Sequence[Wrong]) -> TableError:
    """The error for rows that cannot be read: the first of them, and how many there are."""
    first = min(wrong, key=lambda one: one.row)
    others = len({one.row for one in wrong}) - 1
    more = f" (and {others} more such row{'' if others == 1 else 's'})" if others else ""
    return TableError(f"{name}, {first}{more}")
