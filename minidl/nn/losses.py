"""The losses: modules around the operations that compare an output with a target."""
from __future__ import annotations

import numpy as np

from .. import arrays, functional
from ..functional.losses import check_reduction
from ..tensor import Tensor
from .module import Module


class Loss(Module):
    """loss = f(output, target): value and derivative are the operation's.

    ``forward`` gives a float for arrays; ``backward(1.0)`` the gradient of the output. Called with a
    Tensor as output, the loss is a Tensor on the tape.
    """

    keeps_backward = True
    operation: functional.Operation
    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean"):
        check_reduction(type(self).__name__, reduction, self.reductions)
        self.reduction = reduction

    def __call__(self, output, target):
        if isinstance(output, Tensor):
            return self.operation(output, target, reduction=self.reduction)
        return self.forward(output, target)

    def forward(self, output: np.ndarray, target: np.ndarray):
        """The loss: a float, or with reduction "none" an array."""
        if not (isinstance(output, np.ndarray) and isinstance(target, np.ndarray)):
            came = type(output).__name__, type(target).__name__
            raise TypeError(f"{self}: expected output and target as arrays, got {came[0]} and {came[1]}")
        if output.dtype not in arrays.FLOATS:
            raise TypeError(f"{self}: expected an output of float32 or float64, got {output.dtype}")
        loss, kept = self.operation.value(output, target, reduction=self.reduction)
        self.saved = output, target, kept
        return loss if self.reduction == "none" else float(loss)

    def backward(self, gradient=1.0) -> np.ndarray:
        """The gradient of the output. RuntimeError before a forward."""
        output, target, kept = self.require_saved()
        if not isinstance(gradient, float) or self.reduction == "none":
            self._check_share(gradient, output)
        return self.operation.derivatives[0](gradient, kept, output, target, reduction=self.reduction)

    def _check_share(self, gradient, output: np.ndarray) -> None:
        """That there is a gradient for each loss that forward gave."""
        shape = () if self.reduction != "none" else output.shape if isinstance(self, MSELoss) else output.shape[:1]
        if np.shape(gradient) != shape:
            raise ValueError(f"{self}: expected gradient of shape {shape}, got {np.shape(gradient)}")

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(Loss):
    """Squared error Σ (z - t)² over outputs z and targets t of one shape (N, ...), reduced by

    "mean": divided by the number of elements, as in PyTorch; gradient 2 (z - t) / elements.
    "sum": as it is, report 000; gradient 2 (z - t).
    "batchmean": divided by N, reports 001 and 002; gradient 2 (z - t) / N.
    "none": a loss for each element.

    Raises ValueError for differing shapes, TypeError for differing dtypes.
    """

    operation = functional.mse_loss
    reductions = ("mean", "sum", "batchmean", "none")


class CrossEntropyLoss(Loss):
    """-Σ log softmax(z)[n, t_n] over logits z (N, C), divided by N ("mean") or not ("sum", "none").

    Targets are integer labels (N,) or rows of probabilities (N, C), of which one-hot rows are a case:
    -Σ t log softmax(z). Gradient: softmax(z) - onehot(t), over N for the mean.

    Raises ValueError for other shapes and labels outside 0..C-1, TypeError for labels that are no
    integers.
    """

    operation = functional.cross_entropy


class NLLLoss(Loss):
    """-Σ z[n, t_n] over log-probabilities z (N, C) and integer labels t (N,); report 003, equation 2,
    after LogSoftmax. Gradient: -1 at [n, t_n], over N for the mean.

    Raises as CrossEntropyLoss.
    """

    operation = functional.nll_loss
