"""The parts of losses: their sums, in double, how a reduction divides them, and the gradients of labels."""
from __future__ import annotations

import numpy as np

from .. import arrays
from ..autograd.tensor import Tensor
from .applied import summed
from .casts import to
from .elementwise import exp
from .operation import Operation, no_derivative
from .shapes import expand_as, unsqueeze

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, allowed=REDUCTIONS) -> None:
    if reduction not in allowed:
        raise ValueError(f"{name}: expected reduction {', '.join(map(repr, allowed))}, got {reduction!r}")


total = Operation(
    "total", arrays.total, lambda g, y, x: expand_as(to(g, x.dtype), x), reads=("",))
gather_labels_total = Operation(  # Σ_n z[n, t_n]
    "gather_labels_total", arrays.gather_labels_total,
    lambda g, y, z, t: minus_one_hot_like(z, t) * -to(g, z.dtype), no_derivative, reads=("1", ""))
minus_one_hot = Operation("minus_one_hot", lambda t, classes, dtype: _minus_one_hot(t, classes, dtype), arity=1)
gather_labels = Operation(  # z[n, t_n]
    "gather_labels", lambda z, t: z[np.arange(len(t)), t],
    lambda g, y, z, t: minus_one_hot_like(z, t) * -unsqueeze(g, 1), no_derivative, reads=("1", ""))
row_total = Operation(  # Σ_c t[n, c], in the order of c: (N, C) -> (N, 1)
    "row_total", lambda t: arrays.matmul(t, np.ones((t.shape[1], 1), t.dtype)),
    lambda g, y, t: expand_as(g, t), reads=("",))
label_gradient = Operation(  # factor (e^log_p - onehot(t))
    "cross_entropy_gradient", arrays.cross_entropy_gradient,
    lambda u, d, log_p, t, factor: u * factor * exp(log_p),
    no_derivative,
    lambda u, d, log_p, t, factor: summed(u * label_gradient(log_p, t, 1.0)),
    reads=("02", "", "01"))


def minus_one_hot_like(z, t):
    """-1 at the label of each row of z (N, C), 0 elsewhere."""
    _, classes = z.shape
    return minus_one_hot(t, classes=classes, dtype=z.dtype)


def _minus_one_hot(t, classes: int, dtype):
    found = np.zeros((len(t), classes), dtype)
    arrays.add_at_labels(found, t, -1)
    return found


COUNTS = {"rows": len, "elements": lambda z: z.size}
over = Operation(  # x over the number of "rows", or "elements", of z
    "over", lambda x, z, by: x / COUNTS[by](z), lambda g, y, x, z, by: over(g, z, by=by), no_derivative,
    reads=("", ""))


def divided(x, z, reduction: str, mean: str):
    """x over what the reduction divides by: "mean" by the number of ``mean`` (rows or elements), "batchmean" rows."""
    if reduction == "sum":
        return x
    by = mean if reduction == "mean" else "rows"
    return over(x, z, by=by) if isinstance(x, Tensor) else over.value(x, z, by)


def reduced(name: str, z, reduction: str, mean: str, total):
    """The loss in z's dtype: the total, divided as the reduction says."""
    if reduction != "mean":
        check_reduction(name, reduction, (*REDUCTIONS, "batchmean"))
    loss = divided(total, z, reduction, mean)
    return to(loss, z.dtype) if isinstance(loss, Tensor) else z.dtype.type(loss)


def gradient_factor(g, z, reduction: str, mean: str):
    """The gradient that each element's, or each row's, loss receives, to be broadcast against z."""
    if reduction == "none":
        g = g if isinstance(g, Tensor) else np.asarray(g)
        return unsqueeze(g, -1) if g.ndim < z.ndim else g
    factor = divided(g, z, reduction, mean)
    return factor if isinstance(factor, Tensor) else z.dtype.type(factor)


