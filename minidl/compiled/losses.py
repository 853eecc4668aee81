"""The losses of a captured step: each writes the calls that compute the number, then those of its gradient.

A function takes the output z, whether the target is labels, and what the sum is divided by. It returns a function
that writes the calls of the gradient and returns the gradient's array.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..nn.module import Module
from .layers import Builder


def _cross_entropy(builder: Builder, z: np.ndarray, labels: bool, count: str) -> Callable:
    log_p, program = builder.rows(z.shape[1]), builder.program
    program.apply("log_softmax", z, log_p)
    program.apply("negative_log_likelihood" if labels else "soft_cross_entropy", log_p, log_p,
                  reduction=count, against_target=not labels)

    def gradient() -> np.ndarray:
        program.apply("cross_entropy_gradient" if labels else "soft_cross_entropy_gradient", log_p, log_p,
                      setting=1.0, reduction=count, against_target=not labels)
        return log_p

    return gradient


def _nll(builder: Builder, z: np.ndarray, labels: bool, count: str) -> Callable:
    dz, program = builder.rows(z.shape[1]), builder.program
    program.apply("negative_log_likelihood", z, dz, reduction=count)

    def gradient() -> np.ndarray:
        program.apply("add_at_labels", dz, dz, setting=-1.0, reduction=count, overwrite=True)
        return dz

    return gradient


def _mse(builder: Builder, z: np.ndarray, labels: bool, count: str) -> Callable:
    difference, program = builder.rows(z.shape[1]), builder.program
    program.apply("squared_error", z, difference, reduction=count, against_target=True)

    def gradient() -> np.ndarray:
        program.apply("scale", difference, difference, setting=2.0, reduction=count)
        return difference

    return gradient


_LOSSES: dict[type[Module], Callable] = {
    nn.CrossEntropyLoss: _cross_entropy, nn.NLLLoss: _nll, nn.MSELoss: _mse}


def has_kernels(criterion: Module) -> bool:
    """Whether its class itself has kernels: a subclass may compute something else."""
    return type(criterion) in _LOSSES


def descends_from_kernels(criterion: Module) -> bool:
    """Whether its class, or one above it, has kernels."""
    return isinstance(criterion, tuple(_LOSSES))


def takes_labels(criterion: Any, target: np.ndarray) -> bool:
    """Whether this target is labels to the criterion, one with kernels, rather than rows."""
    return criterion.takes_labels and target.ndim == 1 and target.dtype.kind in "iu"


def write_loss(builder: Builder, criterion: Any, z: np.ndarray, labels: bool) -> Callable:
    """Write the calls of the loss; return the function that writes those of its gradient."""
    builder.program.guard(vars(criterion), ["reduction"])
    count = {"mean": criterion.mean_over, "batchmean": "rows", "sum": "sum"}[criterion.reduction]
    return _LOSSES[type(criterion)](builder, z, labels, count)


def call_loss(builder: Builder, criterion: Module, z: np.ndarray) -> Callable:
    """The same for a user's own loss, whose methods are called in its place."""
    dz, program = builder.rows(z.shape[1]), builder.program

    def value(rows):
        return float(criterion(z[:rows], program.target))

    def derivative(rows):
        given = criterion.backward()
        criterion.check_gradient(given, (rows, z.shape[1]), z.dtype)
        dz[:rows] = given

    def gradient() -> np.ndarray:
        program.python(derivative)
        return dz

    program.ask_target()
    program.python(value)
    return gradient
