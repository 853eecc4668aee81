"""Training with L-BFGS: all samples in each evaluation, of the loss with its penalty, which is compiled."""
from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..autograd.tensor import Tensor
from ..compiled.capture import capture
from ..functional.loss_sums import total
from ..optim import LBFGS
from .losses import objective
from .stochastic import NOT_FINITE, Samples

HISTORY, CHANGE = 10, 2e-9  # SciPy's: differences kept, and about its least change of the loss


def fit_lbfgs(estimator, samples: Samples) -> None:
    """Until no gradient exceeds ``tol``, the loss stands still, or after ``max_iter`` iterations."""
    model, weight = estimator.module_, samples.weight
    x = samples.x.toarray() if hasattr(samples.x, "toarray") else samples.x
    wanted = objective(estimator._loss, estimator.out_activation_, estimator.n_outputs_, weight is not None)
    mass = len(samples.target) if weight is None else float(weight.sum())
    share = 0.5 * float(estimator.alpha) / mass
    weights = [p for p in model.parameters() if p.ndim > 1]
    optimizer = LBFGS(model.parameters(), max_iter=int(estimator.max_iter), max_eval=int(estimator.max_fun),
                      tolerance_grad=float(estimator.tol), tolerance_change=CHANGE, history_size=HISTORY,
                      line_search_fn="strong_wolfe")
    function = wanted.function

    def evaluate(x, target):
        optimizer.zero_grad()
        loss = function(model(x), target)
        if share:
            loss = loss + share * sum(total(w * w) for w in weights).to(loss.dtype)
        loss.backward()
        return loss

    step = capture(evaluate)
    target = samples.target if weight is None else (samples.target, weight)
    losses: list[float] = []

    def closure() -> float:
        loss = step(x, target)
        losses.append(float(loss.item() if isinstance(loss, Tensor) else loss))
        if not math.isfinite(losses[0]):
            raise ValueError(NOT_FINITE)
        return losses[-1]

    model.train()
    with np.errstate(over="ignore", invalid="ignore"):
        optimizer.step(closure)
        loss = float(step(x, target).item())
    penalty = share * float(sum(np.vdot(w.data, w.data) for w in weights))
    estimator.loss_ = (loss - penalty) * wanted.reported + penalty
    model.eval()
    estimator.n_iter_ = optimizer.state["n_iter"]
    for limit, name in ((estimator.n_iter_ >= estimator.max_iter, f"max_iter={estimator.max_iter}"),
                        (len(losses) >= estimator.max_fun, f"max_fun={estimator.max_fun}")):
        if limit:
            warnings.warn(f"lbfgs failed to converge: it stopped at {name}. Increase it, or scale the data.",
                          ConvergenceWarning, stacklevel=4)
            break
