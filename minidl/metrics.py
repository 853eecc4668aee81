"""How often a classifier is wrong."""
from __future__ import annotations

import numpy as np


def classes(target: np.ndarray) -> np.ndarray | None:
    """The class of each sample where the target tells one, else None.

    Integer labels (N,) from 0 are classes; rows (N, C) of one 1 and zeros are one-hot; a column (N, 1)
    or (N,) of the values 0 and 1, or -1 and 1, is a class of two.
    """
    if target.ndim == 1 and target.dtype.kind in "iub" and target.min(initial=0) >= 0:
        return target
    if target.ndim == 2 and target.shape[1] > 1:
        one_hot = ((target == 0) | (target == 1)).all() and (target.sum(axis=1) == 1).all()
        return target.argmax(axis=1) if one_hot else None
    values = target.reshape(-1)
    binary = ((values == 1) | (values == 0)).all() or ((values == 1) | (values == -1)).all()
    return (values > 0).astype(np.intp) if binary and target.ndim <= 2 else None


CODINGS = ((0, 1), (-1, 1))  # of the two classes of a target for one unit


def coding(target: np.ndarray) -> tuple[int, int] | None:
    """The coding that a target of classes shows, (0, 1) or (-1, 1); None for ones alone, which are in both."""
    if target.min(initial=0) < 0:
        return CODINGS[1]
    return None if (target == 1).all() else CODINGS[0]


def checked_coding(who: str, target: np.ndarray, told) -> tuple[int, int] | None:
    """The coding of a target of classes: ``told`` or, if that is None, the one that the target shows.

    Raises ValueError for an invalid coding and for a target that shows another one.
    """
    shown = coding(target)
    if told is None:
        return shown
    told = tuple(told) if isinstance(told, (tuple, list)) else told
    if told not in CODINGS:
        raise ValueError(f"{who}: expected coding (0, 1) or (-1, 1), got {told!r}")
    if shown is not None and shown != told:
        raise ValueError(f"{who}: expected a target of {told[0]} and {told[1]}, got one of {shown[0]} and {shown[1]}")
    return told


def ambiguous(who: str) -> ValueError:
    return ValueError(
        f"{who}: a target of ones alone may be of 0 and 1 or of -1 and 1: expected coding=(0, 1) or (-1, 1)")


def decision_threshold(target: np.ndarray, told=None, who: str = "decision_threshold") -> float:
    """Half way between the two values of a target for one unit: 1/2 for 0 and 1, 0 for -1 and 1.

    told : the coding, (0, 1) or (-1, 1); by default the one that the target shows. ValueError for ones
    alone without it, and as checked_coding.
    """
    known = checked_coding(who, target, told)
    if known is None:
        raise ambiguous(who)
    return sum(known) / 2


def one_unit(output: np.ndarray) -> bool:
    """Whether the output has one unit, with a class on each side of a threshold, and not a column a class."""
    return output.ndim < 2 or output.shape[1] == 1


def predicted(output: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The class that each output names: the largest of (N, C, ...), or for one unit the side of the threshold."""
    return (output.reshape(-1) > threshold).astype(np.intp) if one_unit(output) else output.argmax(axis=1)


def error_rate(output: np.ndarray, target: np.ndarray, coding=None) -> float:
    """Misclassified samples in percent: 100 wrong / N.

    output (N, C) or (N, 1); target as in ``classes``. coding : for one unit, the two values that the
    target is of, (0, 1) or (-1, 1); by default those that it shows. Raises ValueError for a target without
    classes, for one that shows another coding, and for one unit and ones alone without ``coding``.
    """
    truth = classes(target)
    if truth is None:
        raise ValueError("error_rate: expected labels or one-hot rows as target, got other numbers")
    threshold = decision_threshold(target, coding, "error_rate") if one_unit(output) else 0.5
    return 100 * int(np.count_nonzero(predicted(output, threshold) != truth)) / len(target)
