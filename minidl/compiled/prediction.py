"""predict: the forward pass in evaluation mode, compiled, over any number of rows.

A Sequential has a program that takes any number of rows, in blocks. Another model is recorded, for each shape of
its inputs.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import kernels
from ..autograd.tape import no_grad
from ..nn.module import Module
from .conversion import array_of, as_floats, dtype_of, evaluating, inputs_of
from .forward import RecordedForward
from .layers import Builder, leaves, widths, write_forward

BLOCK = 256  # rows that pass through the network together, so that what is between layers stays in cache


def predictor(model: Module) -> Callable:
    """The forward pass of a model as a program, which serves one thread at a time: X -> y, or None if a guard fails."""
    width, _ = widths(leaves(model))
    dtype = dtype_of(model)
    program = kernels.of(dtype).Program(BLOCK, width, 0, 0)
    write_forward(Builder(program, dtype, BLOCK, training=False), model)
    return program.forward


def predict(model: Module, X) -> np.ndarray:
    """The outputs for the rows of X (N, in), in evaluation mode, compiled: (N, out).

    X : an array in the model's dtype; or other numbers, in lists, Tensors or whatever NumPy makes an array
        of, which are cast to it (integers as fit does).

    The same bits as ``forward`` in evaluation mode; a row's result does not depend on its neighbours.
    Neither the mode nor what forward saved for backward changes, and several threads may predict with one
    model at once. Raises TypeError for what are no numbers, ValueError for rows of several lengths and
    masked values, RuntimeError for a Tensor that requires a gradient, and what the modules raise.
    """
    return Module.predict(model, X)  # it holds the programs, and calls predicted() for a new one


def predicted(model: Module, forward: Callable | None, X) -> tuple[np.ndarray, Callable]:
    """The outputs, and the function that computes them from now on, where ``forward`` cannot.

    Called for the first input, after a change of the model, and for an input that must be cast.
    """
    X = array_of("predict", "X", X)
    y = _or_none(forward, as_floats(X, dtype_of(model)))
    if y is not None and forward is not None:
        return y, forward
    X, = inputs_of(model, [X])
    try:
        program = predictor(model)
    except (TypeError, ValueError):  # no kernels, so that it may read other rows; or no fit
        recorded = forward if isinstance(forward, RecordedForward) else RecordedForward(model)
        return recorded.run([X]), recorded
    y = _or_none(program, X)
    return _plainly(model, X) if y is None else y, program


def outputs(model: Module, inputs: list[np.ndarray]) -> np.ndarray:
    """The outputs for one batch of one input or several, as the model takes them: see predict."""
    if len(inputs) == 1:
        return Module.predict(model, inputs[0])
    idle = model.__dict__.setdefault("_predictors", [])
    forward = idle.pop() if idle else None
    if not isinstance(forward, RecordedForward):
        forward = RecordedForward(model)
    y = forward.run(inputs)
    idle.append(forward)
    return y


def _or_none(forward: Callable | None, X: np.ndarray) -> np.ndarray | None:
    """The outputs, or None for a program that is none, has a guard that fails, or refuses X."""
    try:
        return None if forward is None else forward(X)
    except (IndexError, TypeError, ValueError):
        return None


@no_grad()
def _plainly(model: Module, X: np.ndarray) -> np.ndarray:
    """The same with the modules themselves, block by block."""
    with evaluating(model):
        if X.ndim < 2 or len(X) <= BLOCK:
            return model(X)
        return np.concatenate([model(X[i:i + BLOCK]) for i in range(0, len(X), BLOCK)])
