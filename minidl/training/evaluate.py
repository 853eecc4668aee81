"""evaluate: the loss and the error of a model on a data set."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..autograd.tape import no_grad
from ..compiled.conversion import dtype_of, evaluating
from ..compiled.prediction import outputs
from ..data.batches import Batches, positive_int
from ..nn.module import Module
from .criterion import as_criterion
from .epoch_mean import EpochMean, Evaluation
from .inputs import arrays_of, gathered, transformed
from .weighted import as_weighted, weights_of


def evaluate(model: Module, criterion, data: Sequence, *, batch_size: int = 1024,
             transform: Callable | None = None, coding: tuple[int, int] | None = None,
             sample_weight=None) -> Evaluation:
    """(loss, error) of the model, in evaluation mode, on (X, y) or (X1, X2, ..., y); the mode is put back.

    The loss is the mean of the batches' losses, weighted by their sizes. Arguments and errors as in fit.

    coding : for an output of one unit, the two values of the target, (0, 1) or (-1, 1); the error is counted
        at half way between them. By default those that the target shows. Ones alone are in both codings:
        then that of fit's last training of this model object is used, and without one ValueError asks for
        ``coding``. ValueError, too, for a target that shows another coding.
    sample_weight : as in fit; the loss is then the mean of the batches' losses, weighted by the sums of their weights.
        The error is that of the samples, which count alike.
    """
    if not isinstance(model, Module):
        raise TypeError(f"evaluate: expected a Module as the model, got {type(model).__name__}")
    positive_int(batch_size, "evaluate", "batch_size")
    criterion = as_criterion("evaluate", criterion)
    arrays = arrays_of("evaluate: data", data, model, criterion, transform)
    mean = EpochMean("evaluate", arrays[-1], coding, asks=True)
    mean.coding = mean.coding or vars(model).get("_coding")
    if transform is not None:
        transform = transformed("transform", transform, model, alone=len(arrays) == 2)
    if sample_weight is None:
        return evaluated(model, criterion, arrays, mean, batch_size, transform, captured=True)
    weight = weights_of("evaluate", sample_weight, len(arrays[0]), dtype_of(model))
    return evaluated(model, as_weighted("evaluate", criterion), arrays, mean, batch_size, transform, True, weight)


@no_grad()
@np.errstate(over="ignore", invalid="ignore")
def evaluated(model: Module, criterion: Module, arrays, mean: EpochMean, batch_size: int, transform,
              captured: bool, weight: np.ndarray | None = None) -> Evaluation:
    """The mean over the batches of these arrays, as ``arrays_of`` gives them."""
    mean.clear()
    with evaluating(model):
        for rows in Batches(len(arrays[0]), batch_size, shuffle=False):
            inputs, target = gathered(arrays, rows, transform, weight)
            output = outputs(model, inputs) if captured else model(*inputs)
            mean.add(float(criterion(output, target)), mean.count_wrong(output, rows), len(rows),
                     None if weight is None else float(weight[rows].sum()))
    return mean.result()
