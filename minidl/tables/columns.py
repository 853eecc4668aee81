"""Columns as numbers: what is learned from the training rows, a class for each kind.

A column of the table becomes one or more inputs of the network. Each class has ``fit(name, values, form)``;
``encode(values)``, the inputs (N, width); ``inputs``, their names; and ``wrong(values)``, where a value cannot be read
and what was expected. A value that is missing has an input of its own, which is 1, where training rows missed one.
"""
from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from . import values as read
from .kinds import Kind

CATEGORIES = 30  # with an input each
RARE = 5  # training rows, below which a category shares an input with other rare ones
FAR = 10.0  # deviations
DAY = 86400.0  # seconds
YEAR = 365.2425  # days
OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True)
class Column:
    """What all kinds have: the column's name, and whether training rows missed a value."""

    name: str
    misses: bool

    kind: ClassVar[str]

    @property
    def expected(self) -> str:
        """What a value must be."""
        return expected(Kind(self.kind))

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs."""
        return [*self._inputs(), *([f"{self.name} {MISSING}"] if self.misses else [])]

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The inputs (N, width), float32, of values that are not wrong."""
        parts = self._encode(values)
        if self.misses:
            parts = [*parts, read.missing(values)]
        return np.stack(parts, axis=1).astype(np.float32)

    def wrong(self, values: np.ndarray) -> np.ndarray:
        """Where a value cannot be read."""
        raise NotImplementedError

    def unknown(self, values: np.ndarray) -> dict[str, int]:
        """Categories that training did not see, and in how many rows."""
        return {}

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind} | asdict(self)

    def _inputs(self) -> list[str]:
        raise NotImplementedError

    def _encode(self, values: np.ndarray) -> list[np.ndarray]:
        raise NotImplementedError


@dataclass(frozen=True)
class Numeric(Column):
    """(x - mean) / deviation, between ± FAR; a missing x counts as the median."""

    median: float
    mean: float
    deviation: float

    kind: ClassVar[str] = "numeric"

    @classmethod
    def fit(cls, name: str, values: np.ndarray, form: str = "") -> Numeric:
        x, _ = read.numbers(values)
        gone = np.isnan(x)
        median = float(np.median(x[~gone])) if not gone.all() else 0.0
        mean, deviation = moments(np.where(gone, median, x))
        return cls(name, bool(gone.any()), median, mean, deviation)

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return read.numbers(values)[1]

    def _inputs(self) -> list[str]:
        return [self.name]

    def _encode(self, values: np.ndarray) -> list[np.ndarray]:
        x, _ = read.numbers(values)
        return [scaled(np.where(np.isnan(x), self.median, x), self.mean, self.deviation)]


@dataclass(frozen=True)
class Boolean(Column):
    """1 for true, -1 for false, 0 where it is missing."""

    kind: ClassVar[str] = "boolean"

    @classmethod
    def fit(cls, name: str, values: np.ndarray, form: str = "") -> Boolean:
        return cls(name, bool(read.missing(values).any()))

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return read.booleans(values)[1]

    def _inputs(self) -> list[str]:
        return [self.name]

    def _encode(self, values: np.ndarray) -> list[np.ndarray]:
        x, _ = read.booleans(values)
        return [np.where(np.isnan(x), 0.0, 2 * x - 1)]


@dataclass(frozen=True)
class Date(Column):
    """The days since 1970, scaled; the phase of the year and of the week, and of the day where it has hours.

    form : as which the text is read. mean, deviation : of the days. A missing date counts as the mean, without phases.
    """

    form: str
    mean: float
    deviation: float
    hours: bool

    kind: ClassVar[str] = "date"

    @property
    def expected(self) -> str:
        return expected(Kind(self.kind, self.form))

    @classmethod
    def fit(cls, name: str, values: np.ndarray, form: str = read.ISO) -> Date:
        days = cls._days(values, form)
        gone = np.isnan(days)
        mean, deviation = moments(days[~gone]) if not gone.all() else (0.0, 1.0)
        return cls(name, bool(gone.any()), form, mean, deviation, bool((days[~gone] % 1 != 0).any()))

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return read.dates(values, self.form)[1]

    @staticmethod
    def _days(values: np.ndarray, form: str) -> np.ndarray:
        """Days since 1970, with the part of the day; NaN where the date is missing."""
        moments, _ = read.dates(values, form)
        gone = np.isnat(moments)
        microseconds = np.where(gone, np.datetime64(0, "us"), moments).astype(np.int64)
        return np.where(gone, np.nan, microseconds / (1e6 * DAY))

    def _inputs(self) -> list[str]:
        periods = ["year", "week", *(["day"] if self.hours else [])]
        return [self.name, *(f"{self.name} {part} of {period}" for period in periods for part in ("sin", "cos"))]

    def _encode(self, values: np.ndarray) -> list[np.ndarray]:
        days = self._days(values, self.form)
        gone = np.isnan(days)
        parts = [np.where(gone, 0.0, scaled(days, self.mean, self.deviation))]
        for period in (YEAR, 7.0, *([1.0] if self.hours else [])):
            angle = 2 * math.pi * (np.where(gone, 0.0, days) / period)
            parts += [np.where(gone, 0.0, np.sin(angle)), np.where(gone, 0.0, np.cos(angle))]
        return parts


@dataclass(frozen=True)
class Categorical(Column):
    """An input for each of the most frequent categories: 1 in its rows, else 0. The rare ones share an input.

    A category that training did not see counts as a rare one, or, where there are none, as none of the known: all
    inputs are 0.
    """

    categories: tuple[str, ...]
    rare: tuple[str, ...]

    kind: ClassVar[str] = "categorical"

    @classmethod
    def fit(cls, name: str, values: np.ndarray, form: str = "") -> Categorical:
        words = read.texts(values)
        counts = Counter(word for word in words if word is not None)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        kept = sorted(word for word in ranked[:CATEGORIES] if counts[word] >= RARE)
        return cls(name, bool(read.missing(values).any()), tuple(kept), tuple(sorted(set(ranked) - set(kept))))

    def wrong(self, values: np.ndarray) -> np.ndarray:
        return np.zeros(len(values), bool)

    def unknown(self, values: np.ndarray) -> dict[str, int]:
        known = {*self.categories, *self.rare}
        return dict(Counter(word for word in read.texts(values) if word is not None and word not in known))

    def _inputs(self) -> list[str]:
        return [f"{self.name} = {word}" for word in (*self.categories, *([OTHER] if self.rare else []))]

    def _encode(self, values: np.ndarray) -> list[np.ndarray]:
        place = {word: i for i, word in enumerate(self.categories)}
        words = read.texts(values)
        found = np.array([-1 if word is None else place.get(word, len(place)) for word in words], np.int64)
        return [found == i for i in range(len(self.categories) + bool(self.rare))]


CLASSES: dict[str, type[Numeric] | type[Boolean] | type[Date] | type[Categorical]] = {
    "numeric": Numeric, "boolean": Boolean, "date": Date, "categorical": Categorical}


def scaled(x: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """(x - mean) / deviation, cut at ± FAR: no number of a later table drowns the others, or is infinite in float32."""
    return np.clip((x - mean) / deviation, -FAR, FAR)


def expected(kind: Kind) -> str:
    """What a value of a column of this kind must be."""
    if kind.name == "date":
        return f"a date as {'2024-01-31' if kind.form == read.ISO else kind.form}"
    return {"numeric": "a number", "boolean": "true or false, yes or no, 1 or 0", "categorical": "text"}[kind.name]


def as_kind(values: np.ndarray, kind: Kind) -> read.Read:
    """The values as a column of this kind has them, and which are wrong; text of categories as it is."""
    if kind.name == "date":
        return read.dates(values, kind.form)
    if kind.name in ("numeric", "boolean"):
        return (read.numbers if kind.name == "numeric" else read.booleans)(values)
    return values, np.zeros(len(values), bool)


def moments(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 1 in the place of a deviation that is 0 or within the mean's rounding.

    The sums are exact, so that the inputs, and with them the trained weights, are the same on every machine.
    """
    mean = math.fsum(x) / len(x)
    deviation = math.sqrt(math.fsum((x - mean) ** 2) / len(x))
    return mean, deviation if deviation > 1e-12 * abs(mean) else 1.0
