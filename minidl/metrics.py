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


def halfway(target: np.ndarray) -> float:
    """Between the two values of a target for one unit: 0 for -1 and 1, 1/2 for 0 and 1."""
    return 0.0 if target.min(initial=0) < 0 else 0.5


def predicted(output: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The class that each output names: the largest of a row, or for one unit the side of the threshold."""
    if output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(axis=1)
    return (output.reshape(-1) > threshold).astype(np.intp)


def error_rate(output: np.ndarray, target: np.ndarray) -> float:
    """Misclassified samples in percent: 100 wrong / N.

    output (N, C) or (N, 1); target as in ``classes``. Raises ValueError for a target without classes.
    """
    truth = classes(target)
    if truth is None:
        raise ValueError("error_rate: expected labels or one-hot rows as target, got other numbers")
    return 100 * int(np.count_nonzero(predicted(output, halfway(target)) != truth)) / len(target)
