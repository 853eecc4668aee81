"""Weights of samples: a loss in which each sample counts as often as its weight says.

With weights w (N,) and the losses l (N, ...) that ``reduction="none"`` gives, the reductions are

    mean         Σ_n w_n Σ l_n / Σ_n w_n c_n     c_n: what sample n adds to the divisor of the unweighted mean,
                                                 its elements, or its labels' class weights
    batchmean    Σ_n w_n Σ l_n / Σ_n w_n
    sum          Σ_n w_n Σ l_n

so that a weight of 2 is that of a sample which occurs twice, and a weight of 0 that of one which does not occur, as in
scikit-learn. (Keras divides by N instead.) The divisor is the batch's own; where it is 0, so is the loss.
"""
from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..compiled.conversion import array_of, as_floats
from ..functional.activations import log_softmax
from ..functional.casts import to
from ..functional.elementwise import where
from ..functional.loss_sums import gather_labels_total, label_gradient, total
from ..functional.losses import cross_entropy
from ..functional.operation import Operation, no_derivative
from ..functional.shapes import expand_as, reshape, unsqueeze
from ..functional.weighted_labels import ignores, label_weights
from ..nn.losses import LabelLoss, is_composed
from ..nn.module import Module
from .criterion import Criterion


class Weighted(Criterion):
    """A loss of the output and (target, weight): ``function`` takes these as Tensors."""

    def __init__(self, criterion, function: Callable):
        super().__init__(lambda output, pair: function(output, *pair))
        self.criterion = criterion

    def given(self, target: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, ...]:
        return tuple(Tensor(array) for array in target)


def as_weighted(who: str, criterion) -> Weighted:
    """The criterion with weights. TypeError for a function of output and target alone, which cannot be weighted."""
    if type(criterion) is Criterion:
        criterion = criterion.function
    if isinstance(criterion, Module) and hasattr(criterion, "reduction"):
        return Weighted(criterion, _by_reduction(who, criterion))
    if callable(criterion) and not isinstance(criterion, type):
        entry = criterion.forward if isinstance(criterion, Module) else criterion
        kinds = [p for p in inspect.signature(entry).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
                 or p.kind is p.POSITIONAL_ONLY]
        if len(kinds) >= 3:
            return Weighted(criterion, criterion)
    raise TypeError(f"{who}: with sample_weight expected a loss with a reduction, or a function of output, target and "
                    f"weight, as criterion, got {criterion!r}")


def weights_of(who: str, given, count: int, dtype: np.dtype) -> np.ndarray:
    """The weights, one for each of ``count`` samples, finite, none below zero, one above."""
    weight = array_of(who, "sample_weight", given)
    if weight.shape != (count,):
        raise ValueError(f"{who}: expected sample_weight of shape ({count},), got {weight.shape}")
    weight = as_floats(weight, dtype)
    wrong = weight[~(np.isfinite(weight) & (weight >= 0))]
    if wrong.size:
        raise ValueError(f"{who}: expected sample_weight finite and >= 0, got {wrong[0]}")
    if not weight.any():
        raise ValueError(f"{who}: expected a sample_weight above 0, got zeros alone")
    return weight


def _by_reduction(who: str, criterion: Any) -> Callable:
    """(output, target, weight) -> the loss, as the criterion's ``reduction`` says."""
    composed = is_composed(criterion)
    each = None if composed else copy.copy(criterion)
    if each is not None:
        each.reduction = "none"

    def weighted(output, target, weight):
        if composed and criterion.operation is cross_entropy and criterion.reduction in ("mean", "sum"):
            loss = _of_labels(criterion, output, target, weight)
            if loss is not None and criterion.reduction == "sum":
                return to(loss, output.dtype)
            if loss is not None:
                return over(loss, total(weight), output.dtype)
        if composed:
            given, settings = criterion.arguments()
            losses = criterion.operation.of_tensors((output, target, *given), {**settings, "reduction": "none"})
        else:
            losses = each(output, target)
        if losses.ndim == 0 or losses.shape[0] != weight.shape[0]:
            raise ValueError(f"{who}: with sample_weight expected a loss for each of {weight.shape[0]} samples with "
                             f"reduction 'none', got shape {losses.shape}")
        heavy = expand_as(reshape(weight, (-1, *[1] * (losses.ndim - 1))), losses)
        loss = total(losses * heavy)
        if criterion.reduction == "sum":
            return to(loss, output.dtype)
        if criterion.reduction == "batchmean":
            return over(loss, total(weight), output.dtype)
        counted = _class_weights(criterion, output, target)
        return over(loss, total(heavy if counted is None else heavy * counted), output.dtype)

    return weighted


def _of_labels(criterion, output, target, weight):
    """Σ_n w_n l_n of labels that weigh alike, by kernels alone; None for other targets, and for wrong labels."""
    plain = criterion.is_plain() and target.dtype.kind in "iu" and target.ndim == 1 and output.ndim == 2
    if not plain or len(target) != len(output) or ignores(target, criterion.ignore_index):
        return None
    try:
        return cross_entropy_total(output, target, weight)
    except ValueError:
        return None


def _total_value(z, t, weight):
    log_p, heavy = log_softmax(z), unsqueeze(weight, 1)
    return -gather_labels_total(log_p * heavy, t), (log_p, heavy)


def _total_gradient(g, saved, z, t, weight):
    log_p, heavy = saved
    return label_gradient(log_p, t, 1.0) * (heavy * to(g, z.dtype))  # in this order: the bits of _by_reduction's


cross_entropy_total = Operation(  # -Σ_n w_n log softmax(z)[n, t_n], in double
    "cross_entropy_total", _total_value, _total_gradient, no_derivative, no_derivative, saves=True)


def _class_weights(criterion, output, target):
    """How much each label adds to the divisor of the mean; None where this is 1 for all."""
    if not isinstance(criterion, LabelLoss) or target.dtype.kind not in "iu":
        return None
    if criterion.weight is None and not ignores(target, criterion.ignore_index):
        return None
    found = label_weights(reshape(target, -1), 1.0 if criterion.weight is None else to(criterion.weight, output.dtype),
                          who=type(criterion).__name__, classes=output.shape[min(1, output.ndim - 1)],
                          dtype=output.dtype, ignore_index=criterion.ignore_index)
    return reshape(found, target.shape)


def over(loss, divisor, dtype):
    """loss / divisor in this dtype, and 0 / 1 where the divisor is 0."""
    return to(loss / where(divisor == 0, 1, divisor), dtype)

