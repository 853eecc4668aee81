"""Of which kind a column is, from its values: numeric, boolean, date, categorical, or of no use.

A column is of the first kind as which nine tenths of its values can be read; a value that then cannot be is wrong, and
is told with its row, rather than making text of a column of numbers.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from . import values as read

MOSTLY = 0.9  # of the values that are there
FEW = 10  # so many different texts are categories, whatever the number of rows
OFTEN = 5  # times that a text must stand in the column on average, where there are more
COUNTS = "it counts the rows"
SAMPLE = 1000  # values
KINDS = ("numeric", "boolean", "date", "categorical")


class Kind(NamedTuple):
    """A kind of KINDS, of a date its format; or "" and the reason why the column is of no use."""

    name: str
    form: str = ""
    reason: str = ""


def kind_of(values: np.ndarray) -> Kind:
    """The kind that the values tell."""
    there = values[~read.missing(values)]
    if not len(there):
        return Kind("", reason="it has no values")
    if values.dtype.kind == "M":
        return _useful(Kind("date", read.ISO), there)
    if values.dtype.kind == "b":
        return _useful(Kind("boolean"), there)
    if _fits(there, read.numbers):
        return _useful(Kind("numeric"), there)
    if _fits(there, read.booleans):
        return _useful(Kind("boolean"), there)
    forms = [form for form in read.DATE_FORMATS if _fits(there, partial(read.dates, form=form))]
    if forms:
        return _useful(Kind("date", _best(there, forms)), there)
    return _useful(Kind("categorical"), there)


def chosen(name: str, values: np.ndarray) -> Kind:
    """The kind of this name, as the user says, for values that may tell another."""
    if name != "date":
        return Kind(name)
    return Kind("date", _best(values[~read.missing(values)], read.DATE_FORMATS))


def _best(there: np.ndarray, forms: Sequence[str]) -> str:
    """The format with the fewest wrong dates, the first of them."""
    return forms[0] if len(forms) == 1 else min(forms, key=lambda form: np.count_nonzero(read.dates(there, form)[1]))


def _fits(there: np.ndarray, reader: Callable[[np.ndarray], read.Read]) -> bool:
    """Whether nine tenths can be read so. Where the first values mostly cannot, the others are not tried."""
    if np.count_nonzero(reader(there[:SAMPLE])[1]) > len(there[:SAMPLE]) / 2:
        return False
    return bool(np.count_nonzero(reader(there)[1]) <= (1 - MOSTLY) * len(there))


def _useful(kind: Kind, there: np.ndarray) -> Kind:
    """The kind, unless the values say nothing about the target."""
    different = len(set(there.tolist()))
    if different == 1 and len(there) > 1:
        return Kind("", reason=f"all its values are {read.texts(there)[0]}")
    if kind.name == "categorical" and different > FEW and different * OFTEN > len(there):
        return Kind("", reason=f"it is text with {different} different values in {len(there)} rows")
    if kind.name == "numeric" and len(there) > FEW:
        steps = np.diff(read.numbers(there)[0])
        if (steps == 1).all():
            return Kind("", reason=COUNTS)
    return kind
