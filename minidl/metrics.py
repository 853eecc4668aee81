"""How often a classifier is wrong."""
from __future__ import annotations

import numpy as np


def classes(target: np.ndarray) -> np.ndarray | None:
    """The class of each sample where the target tells one, else None.

    Integer labels (N,) are classes; rows (N, C) of one 1 and zeros are one-hot; a column (N, 1) or
    (N,) of the values 0 and 1, or -1 and 1, is a class of two.
    """
    if target.ndim == 1 and target.dtype.kind in "iub":
        return target
    if target.ndim == 2 and target.shape[1] > 1:
        one_hot = ((target == 0) | (target == 1)).all() and (target.sum(axis=1) == 1).all()
        return target.argmax(axis=1) if one_hot else None
    values = target.reshape(-1)
    binary = ((values == 1) | (values == 0)).all() or ((values == 1) | (values == -1)).all()
    return (values > 0).astype(np.intp) if binary and target.ndim <= 2 else None


def predicted(output: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The class that each output names: the largest of a row, or for one unit the nearer target."""
    if output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(axis=1)
    threshold = 0.0 if target.size and target.min() < 0 else 0.5
    return (output.reshape(-1) > threshold).astype(np.intp)


def wrong(output: np.ndarray, target: np.ndarray) -> int | None:
    """The number of samples whose predicted class is not the target's; None where there are no classes."""
    truth = classes(target)
    return None if truth is None else int(np.count_nonzero(predicted(output, target) != truth))


def error_rate(output: np.ndarray, target: np.ndarray) -> float:
    """Misclassified samples in percent: 100 wrong / N.

    output (N, C) or (N, 1); target as in ``classes``. Raises ValueError for a target without classes.
    """
    count = wrong(output, target)
    if count is None:
        raise ValueError("error_rate: expected labels or one-hot rows as target, got other numbers")
    return 100 * count / len(target)
