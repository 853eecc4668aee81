"""Random choices with given probabilities, and the code of a choice."""
from __future__ import annotations

import numpy as np

from .. import random
from ..autograd.tensor import Tensor, drawn
from .operation import Operation

__all__ = ["bernoulli", "multinomial", "one_hot"]


def _drawn(name: str, draw, x):
    """A Tensor of what is drawn for a Tensor, anew at each replay; an array for an array."""
    return drawn(name, draw, x) if isinstance(x, Tensor) else draw(x)


def bernoulli(input, *, generator=None):
    """1 with the probability of each element and 0 otherwise, in the dtype of the probabilities.

    ``generator`` : a seed or a Generator. ValueError for what is outside [0, 1].
    """
    def draw(p):
        if not ((p >= 0) & (p <= 1)).all():  # NaN neither
            raise ValueError("bernoulli: expected probabilities within [0, 1]")
        return (random.generator(generator).random(p.shape) < p).astype(p.dtype)

    return _drawn("bernoulli", draw, input)


def multinomial(input, num_samples: int, replacement: bool = False, *, generator=None):
    """Indices drawn with probabilities proportional to the weights (K,), or to each row of (N, K): int64, (N, samples).

    Without ``replacement`` no index twice in a row. ``generator`` : a seed or a Generator.
    ValueError for weights that are below zero or not finite, a row of zeros, and more samples than there are indices.
    """
    if input.ndim not in (1, 2) or num_samples < 1:
        raise ValueError(f"multinomial: expected weights of shape (K,) or (N, K) and 1 sample or more, got shape "
                         f"{tuple(input.shape)} and {num_samples}")

    def draw(weights):
        rows = np.atleast_2d(weights).astype(np.float64)
        if not (np.isfinite(rows) & (rows >= 0)).all():
            raise ValueError("multinomial: expected finite weights of at least 0")
        there = np.count_nonzero(rows, axis=1).min(initial=rows.shape[1])
        if there < (1 if replacement else num_samples):
            raise ValueError(f"multinomial: expected {1 if replacement else num_samples} weights above 0 in each row, "
                             f"got {there}")
        stream = random.generator(generator)
        if replacement or num_samples == 1:
            upto = np.cumsum(rows, axis=1)
            share = stream.random((len(rows), num_samples)) * upto[:, -1:]
            places = [np.searchsorted(ends, u, side="right") for ends, u in zip(upto, share, strict=True)]
            last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)  # u may round up to the whole sum
            found = np.minimum(np.array(places, np.int64).reshape(len(rows), num_samples), last[:, None])
        else:  # a race: the time of each is exponential with its weight as rate (Efraimidis and Spirakis 2006)
            with np.errstate(divide="ignore"):
                times = stream.exponential(size=rows.shape) / rows
            found = np.argsort(times, axis=1, kind="stable")[:, :num_samples].astype(np.int64)
        return found if weights.ndim == 2 else found[0]

    return _drawn("multinomial", draw, input)


def _one_hot_value(labels, num_classes):
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integers, got {labels.dtype}")
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ValueError(f"one_hot: expected labels from 0 to {num_classes - 1}, got {wrong.flat[0]}")
    return (labels[..., None] == np.arange(num_classes)).astype(np.int64)


_one_hot = Operation("one_hot", _one_hot_value)


def one_hot(tensor, num_classes: int = -1):
    """1 at the place of each label and 0 elsewhere, along a new last axis of length num_classes, as int64.

    By default one more than the largest label, for which the labels are looked at: a captured step needs the number.
    ValueError for labels outside, TypeError for what are no integers.
    """
    if num_classes == -1:
        labels = tensor._read("one_hot without num_classes") if isinstance(tensor, Tensor) else np.asarray(tensor)
        num_classes = int(labels.max()) + 1
    return _one_hot(tensor, num_classes=int(num_classes))
