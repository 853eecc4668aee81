"""Preprocessing: a table as inputs and target, as learned from the training rows, and as JSON."""
from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from . import values as read
from .columns import CLASSES, Column, as_kind, expected
from .kinds import Kind, chosen, kind_of
from .table import Table, TableError, Wrong
from .target import Amount, Classes, Target, as_json, fitted

VERSION = 1
KEYS = {"version", "target", "columns", "left_out"}


@dataclass
class Preprocessing:
    """The target, the columns in the order of the network's inputs, and why others are left out."""

    target: Target
    columns: list[Column]
    left_out: dict[str, str]

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs."""
        return [name for column in self.columns for name in column.inputs]

    @classmethod
    def fit(cls, table: Table, kinds: Mapping[str, Kind], target: Target) -> Preprocessing:
        """Learn from these rows: means, medians, categories."""
        columns: list[Column] = [CLASSES[kind.name].fit(name, table.column(name), kind.form)
                   for name, kind in kinds.items() if kind.name]
        return cls(fitted(target, table.column(target.name)), columns,
                   {name: kind.reason for name, kind in kinds.items() if not kind.name})

    def encode(self, table: Table) -> np.ndarray:
        """The inputs (N, width) of a table without wrong rows."""
        return np.concatenate([column.encode(table.column(column.name)) for column in self.columns], axis=1)

    def wrong(self, table: Table) -> list[Wrong]:
        """The rows with a value that cannot be read."""
        return wrong_values(table, self.columns)

    def missing_columns(self, table: Table) -> list[str]:
        """The columns that the network needs and the table lacks."""
        return [column.name for column in self.columns if column.name not in table.columns]

    def save(self, path: Path) -> None:
        """Write as strict JSON."""
        content = {"version": VERSION, "target": as_json(self.target),
                   "columns": [column.as_json() for column in self.columns], "left_out": self.left_out}
        path.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Preprocessing:
        """Read what ``save`` wrote. ValueError for anything else, with what is wrong; nothing in the file is run."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or set(content) != KEYS or content["version"] != VERSION:
                raise ValueError(f"expected the keys {', '.join(sorted(KEYS))}, of version {VERSION}")
            target = _target(content["target"])
            columns = [_made("kind", CLASSES, entry) for entry in _list(content["columns"])]
            left_out = content["left_out"]
            if not isinstance(left_out, dict) or not all(isinstance(why, str) for why in left_out.values()):
                raise ValueError("left_out: expected texts")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: expected the preprocessing of a run: {error}") from error
        names = [target.name, *(column.name for column in columns)]
        if not columns or len(set(names)) < len(names):
            raise ValueError(f"{path}: expected at least one column, and each once, got {names}")
        return cls(target, columns, left_out)


def kinds_of(table: Table, target: str, told: Mapping[str, str], drop: Sequence[str]) -> dict[str, Kind]:
    """The kind of each column but the target. told : kinds that the user names; drop : columns to leave out.

    Raises TableError for a column that is not there, and where none is left.
    """
    for name in [*told, *drop]:
        table.column(name)
    if target in told or target in drop:
        raise TableError(f"{table.name}, column {target!r}: it is the target, and cannot be an input")
    kinds = {}
    for name, values in table.columns.items():
        if name != target:
            kinds[name] = (Kind("", reason="you say so") if name in drop else
                           chosen(told[name], values) if name in told else kind_of(values))
    if not any(kind.name for kind in kinds.values()):
        reasons = "; ".join(f"{name}: {kind.reason}" for name, kind in kinds.items())
        raise TableError(f"{table.name}: expected a column beside the target to learn from, got {reasons or 'none'}")
    return kinds


def wrong_values(table: Table, columns: Sequence[Column | Target]) -> list[Wrong]:
    """The rows of a table with a value that cannot be read: where, what was expected and what came."""
    return sorted((one for column in columns
                   for one in _told(table, column.name, column.wrong(table.column(column.name)), column.expected)),
                  key=lambda one: one.row)


def as_kinds(table: Table, kinds: Mapping[str, Kind]) -> tuple[Table, list[Wrong]]:
    """The table with each column read, once, as what it is; and the rows with a value that cannot be."""
    columns, found = dict(table.columns), []
    for name, kind in kinds.items():
        columns[name], wrong = as_kind(table.column(name), kind)
        if wrong.any():
            found += _told(table, name, wrong, expected(kind))
    return replace(table, columns=columns), found


def _told(table: Table, name: str, wrong: np.ndarray, expected: str) -> list[Wrong]:
    values = table.column(name)
    return [table.at(index, name, f"expected {expected}, got {read.texts(values[index:index + 1])[0]!r}")
            for index in np.flatnonzero(wrong).tolist()]


def _list(value: Any) -> list:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value


def _target(entry: Any) -> Target:
    target = _made("task", {"classification": Classes, "regression": Amount}, entry)
    if isinstance(target, Classes) and (len(target.labels) < 2 or len(set(target.labels)) < len(target.labels)):
        raise ValueError(f"labels: expected two or more, each once, got {list(target.labels)}")
    return target


def _made(key: str, classes: Mapping[str, Any], entry: Any) -> Any:
    """The object that an entry stands for, each of its values of the type that its class names."""
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str) or entry[key] not in classes:
        raise ValueError(f"expected {key!r} to be one of {', '.join(classes)}")
    made = classes[entry[key]]
    hints = get_type_hints(made)
    given = {name: value for name, value in entry.items() if name != key}
    if set(given) != {field.name for field in fields(made) if field.default is MISSING}:
        raise ValueError(f"{entry[key]}: expected {', '.join(field.name for field in fields(made))}")
    return made(**{name: _typed(name, hints[name], value) for name, value in given.items()})


def _typed(name: str, kind: Any, value: Any) -> Any:
    """The value, which JSON must have as this type; the deviations above 0."""
    if kind is float:
        if type(value) not in (float, int) or not math.isfinite(value) or (name == "deviation" and not value > 0):
            raise ValueError(f"{name}: expected a number, got {value!r}")
        return float(value)
    if kind in (str, bool):
        if type(value) is not kind or (name == "form" and value not in read.DATE_FORMATS):
            raise ValueError(f"{name}: expected {'text' if kind is str else 'true or false'}, got {value!r}")
        return value
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"{name}: expected a list of texts, got {value!r}")
    return tuple(value)
