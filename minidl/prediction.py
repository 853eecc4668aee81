"""predict: the forward pass in evaluation mode, compiled, over any number of rows."""
from __future__ import annotations

import sys

import numpy as np

from . import kernels
from .capture_layers import Builder, leaves, widths, write_forward
from .nn.module import Module
from .tape import no_grad

BLOCK = 256  # rows that pass through the network together, so that what is between layers stays in cache


class Predictor:
    """The forward pass of a model as a program, which serves one thread at a time."""

    def __init__(self, model: Module):
        width, _ = widths(leaves(model))
        dtype = next(parameter.dtype for parameter in model.parameters())
        program = kernels.of(dtype).Program(BLOCK, width, 0, 0)
        write_forward(Builder(program, dtype, BLOCK, training=False), model)
        self.forward = program.forward


def predict(model: Module, X: np.ndarray) -> np.ndarray:
    """The outputs for the rows of X (N, in), in evaluation mode, compiled and in blocks: (N, out).

    The same bits as ``forward`` in evaluation mode; a row's result does not depend on its neighbours.
    Neither the mode nor what forward left for backward changes, and several threads may predict with one
    model at once. Raises what the modules raise.
    """
    try:
        idle = model._predictors
        predictor = idle.pop()  # of this thread alone, until it is put back
    except (AttributeError, IndexError):
        idle = model.__dict__.setdefault("_predictors", [])
        predictor = None
    try:
        y = predictor.forward(X)
    except (AttributeError, IndexError, TypeError, ValueError):
        y = None
    if y is None:  # the first call, another model, a vector, images, or a mistake
        y, predictor = _anew(model, X)
    if predictor is not None:
        idle.append(predictor)
    return y


def _anew(model: Module, X: np.ndarray) -> tuple[np.ndarray, Predictor | None]:
    """The outputs and a new predictor, or None for what has no program; then as the modules compute them."""
    try:
        predictor = Predictor(model)
    except (TypeError, ValueError):  # a module that may look at other rows, too, or one that does not fit
        return _plainly(model, X, sys.maxsize), None
    try:
        y = predictor.forward(X)
    except (AttributeError, IndexError, TypeError, ValueError):
        y = _plainly(model, X, BLOCK)  # which names the mistake
    return y, predictor


@no_grad()
def _plainly(model: Module, X: np.ndarray, block: int) -> np.ndarray:
    """The same with the modules themselves, block by block."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        if not isinstance(X, np.ndarray) or X.ndim < 2 or len(X) <= block:
            return model(X)
        return np.concatenate([model(X[i:i + block]) for i in range(0, len(X), block)])
    finally:
        for module, mode in modes:
            module.training = mode


Module.predict = predict  # type: ignore[assignment]  # here, since a Module cannot know who stands above it
