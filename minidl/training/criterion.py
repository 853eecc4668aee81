"""The losses that fit and evaluate take: a loss module, or a function of two Tensors."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..autograd.tensor import Tensor
from ..nn.module import Module


class Criterion(Module):
    """A loss written on Tensors, function(output, target), as a loss module."""

    def __init__(self, function: Callable):
        self.function = function

    def forward(self, output: np.ndarray, target: np.ndarray) -> float:
        z = Tensor(output, requires_grad=True)
        loss = self.function(z, self.given(target))
        if not isinstance(loss, Tensor):
            raise TypeError(f"criterion: expected a function that gives a Tensor, got {type(loss).__name__}")
        self.saved = z, loss
        return loss.item()

    def given(self, target):
        """The target as the function takes it."""
        return Tensor(target)

    def backward(self, gradient: float = 1.0) -> np.ndarray:
        output, loss = self.require_saved()
        loss.backward(np.full(loss.shape, gradient, loss.dtype))
        return output.grad


def as_criterion(who: str, criterion) -> Module:
    """The criterion with a forward and a backward on arrays; TypeError or ValueError for what is no loss."""
    if getattr(criterion, "reduction", None) == "none":
        raise ValueError(f"{who}: expected a criterion that reduces to one number, got {criterion}")
    if isinstance(criterion, Module) and criterion.defines_backward:
        return criterion
    if callable(criterion) and not isinstance(criterion, type):
        return Criterion(criterion)
    came = f"the class {criterion.__name__}" if isinstance(criterion, type) else type(criterion).__name__
    raise TypeError(f"{who}: expected a loss module or a function of output and target as criterion, got {came}")
