"""The target as the network takes it: classes, or a number; and the network's outputs as predictions."""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from . import values as read
from .columns import moments
from .kinds import COUNTS, FEW, kind_of
from .table import Table, TableError

TASKS = ("classification", "regression")


@dataclass(frozen=True)
class Classes:
    """A label each. The network has an output each; their softmax is the probability."""

    name: str
    labels: tuple[str, ...]
    numeric: bool
    reason: str

    task: ClassVar[str] = "classification"
    loss: ClassVar[str] = "cross_entropy"

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The index (N,) of each value's label, of values that are not wrong."""
        place = {label: i for i, label in enumerate(self.labels)}
        return np.array([place[word] for word in self.words(values)], np.int64)

    def words(self, values: np.ndarray) -> np.ndarray:
        """The values as labels are written: of numbers one way, whichever the file has."""
        return read.texts(read.numbers(values)[0] if self.numeric else values)

    def wrong(self, values: np.ndarray) -> np.ndarray:
        """Where a value is none of the labels; a missing one is not wrong."""
        words, unread = self.words(values), read.numbers(values)[1] & self.numeric
        return np.array([word is not None and word not in self.labels for word in words], bool) | unread

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.labels)}"

    @staticmethod
    def probabilities(outputs: np.ndarray) -> np.ndarray:
        """softmax of each row of (N, classes), in float64."""
        z = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
        return z / z.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Amount:
    """A number y. The network's one output is (y - mean) / deviation."""

    name: str
    mean: float
    deviation: float
    reason: str

    task: ClassVar[str] = "regression"
    loss: ClassVar[str] = "mse_mean"
    outputs: ClassVar[int] = 1
    expected: ClassVar[str] = "a number"

    def encode(self, values: np.ndarray) -> np.ndarray:
        """(N, 1), scaled; cut at a million deviations, which no training row reaches, so that float32 holds it."""
        z = (read.numbers(values)[0] - self.mean) / self.deviation
        return np.clip(z, -1e6, 1e6).astype(np.float32)[:, None]

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return read.numbers(values)[1]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The numbers (N,) that the outputs (N, 1) stand for, in float64."""
        return outputs[:, 0].astype(np.float64) * self.deviation + self.mean


Target = Classes | Amount


def as_json(target: Target) -> dict[str, Any]:
    return {"task": target.task} | asdict(target)


def target_of(table: Table, name: str, task: str | None = None) -> Target:
    """What the column tells: classes or a number, and by which reason.

    Text, truth values and at most FEW different whole numbers are classes; other numbers are a number.
    task : one of TASKS, to say it. Raises TableError for a column that can be neither. The mean and deviation of a
    number are set by ``fitted``.
    """
    values = table.column(name)
    kind, place = kind_of(values), f"{table.name}, column {name!r}: expected"
    numeric = kind.name == "numeric" or kind.reason == COUNTS
    x, _ = read.numbers(values)
    different = np.unique(x[~np.isnan(x)])
    few = len(different) <= FEW and bool((different % 1 == 0).all())
    if numeric and (task == "regression" or (task is None and not few)):
        return Amount(name, 0.0, 1.0, "you say so" if task else f"{len(different)} different numbers")
    if task == "regression":
        raise TableError(f"{place} numbers for a regression, but {kind.reason or f'it is {kind.name}'}")
    if not numeric and kind.name not in ("boolean", "categorical"):
        raise TableError(f"{place} numbers or classes as the target, but {kind.reason or 'it has dates'}")
    good = values[~read.booleans(values)[1]] if kind.name == "boolean" else values
    words = read.texts(x if numeric else good)
    labels = tuple(sorted({word for word in words if word is not None}, key=_order))
    if len(labels) > len(table) / 2 and len(labels) > FEW:
        raise TableError(f"{place} classes as the target, got {len(labels)} different values in {len(table)} rows")
    told = f"{len(labels)} different {'whole numbers' if numeric else 'words'}"
    return Classes(name, labels, numeric, "you say so" if task else told)


def _order(label: str) -> tuple[bool, float, str]:
    """Numbers by their value, before text."""
    try:
        return False, float(label), label
    except ValueError:
        return True, 0.0, label


def fitted(target: Target, values: np.ndarray) -> Target:
    """The target, its number scaled by these values, those of the training rows."""
    if isinstance(target, Classes):
        return target
    return Amount(target.name, *moments(read.numbers(values)[0]), target.reason)
