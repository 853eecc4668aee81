"""predict: the forward pass in evaluation mode, compiled, over any number of rows."""
from __future__ import annotations

import numpy as np

from . import kernels
from .capture import Builder, NotCapturable, write
from .nn.linear import Linear
from .nn.module import Module
from .tape import no_grad

BLOCK = 256  # rows that pass through the network together, so that what is between layers stays in cache


class Predictor:
    """The forward pass of a model as a program, which serves one thread at a time."""

    def __init__(self, model: Module):
        linear = next((module for module in model.modules() if isinstance(module, Linear)), None)
        if linear is None:
            raise NotCapturable("predict: a model without a Linear has no program")
        self.dtype = linear.weight.dtype
        program = kernels.of(self.dtype).Program(BLOCK, linear.in_features, 0, 0)
        output, self.width = write(Builder(program, self.dtype, BLOCK, training=False), model, None, linear.in_features)
        program.forward_ends(output)
        self.stale, self.forward = program.stale, program.forward


def predict(model: Module, X: np.ndarray) -> np.ndarray:
    """The outputs for the rows of X (N, in), in evaluation mode, compiled and in blocks: (N, out).

    The same bits as ``forward`` in evaluation mode; a row's result does not depend on its neighbours.
    Neither the mode nor what forward left for backward changes, and several threads may predict with one
    model at once. Raises what the modules raise.
    """
    idle = model.__dict__.setdefault("_predictors", [])
    try:
        predictor = idle.pop()  # of this thread alone, until it is put back
        if predictor.stale():
            predictor = Predictor(model)
    except IndexError:
        try:
            predictor = Predictor(model)
        except NotCapturable:
            return _plainly(model, X)
    try:
        y = np.empty((X.shape[0], predictor.width), predictor.dtype)
        predictor.forward(X, y)
    except (AttributeError, IndexError, TypeError, ValueError):
        y = _plainly(model, X)  # a vector, images, or a mistake, which the modules name
    idle.append(predictor)
    return y


@no_grad()
def _plainly(model: Module, X: np.ndarray) -> np.ndarray:
    """The same with the modules themselves, block by block."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        if not isinstance(X, np.ndarray) or X.ndim < 2 or len(X) <= BLOCK:
            return model(X)
        return np.concatenate([model(X[i:i + BLOCK]) for i in range(0, len(X), BLOCK)])
    finally:
        for module, mode in modes:
            module.training = mode


Module.predict = predict  # type: ignore[attr-defined]  # here, since a Module cannot know who stands above it
