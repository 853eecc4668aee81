"""The losses: modules around the operations that compare an output with a target."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import arrays, functional
from ..autograd.tape import active_recorder, recording, unseen
from ..autograd.tensor import Tensor, record
from ..functional.loss_sums import check_reduction
from .module import Module

__all__ = ["CrossEntropyLoss", "HuberLoss", "Loss", "MSELoss", "NLLLoss"]


class _Recorded(NamedTuple):
    """What a loss that is differentiated by the tape saves: the output that it was given, and its value."""

    output: Tensor
    loss: Tensor


def _with_text(run: Callable, method: Callable) -> Callable:
    """``run``, with the user's method as its text."""
    vars(run)["text"] = vars(method).get("text", method)
    return run


def _by_tape(method: Callable) -> Callable:
    """``method``, a forward or __call__ without a backward of its own, run on Tensors for arrays, too."""
    @functools.wraps(method)
    def run(self, output, *others, **named):
        recorded = isinstance(output, Tensor)
        if not recorded:
            self.check_arrays(output, *others[:1])
        z = output if recorded else Tensor(output, requires_grad=recording())
        loss = method(self, z, *others, **named)
        if recorded:
            return loss
        self.saved = None
        if not isinstance(loss, Tensor):
            return loss
        if loss.requires_grad:
            self.saved = _Recorded(z, loss)
        return loss.data if loss.ndim else loss.item()

    return _with_text(run, method)


def _backward_by_tape(backward: Callable) -> Callable:
    """The derivative of what ``_by_tape`` ran last; ``backward`` where it did not run."""
    @functools.wraps(backward)
    def run(self, gradient=1.0):
        if self.saved is None:
            raise RuntimeError(
                f"{self}: backward called before forward, or after one that the tape did not record: its own "
                "forward must give a Tensor, outside no_grad(), or define backward, too")
        if not isinstance(self.saved, _Recorded):
            return backward(self, gradient)
        z, loss = self.saved
        self.check_share(gradient, loss.shape)
        before, z.grad = z.grad, None
        loss.backward(np.asarray(gradient, loss.dtype), retain_graph=True)
        dz, z.grad = z.grad, before
        return np.zeros(z.shape, z.dtype) if dz is None else dz

    return run


def _as_node(method: Callable, backward: Callable) -> Callable:
    """``method``, a forward or __call__ with a backward of its own: for a Tensor one node of the tape."""
    @functools.wraps(method)
    def run(self, output, *others, **named):
        if not isinstance(output, Tensor):
            return method(self, output, *others, **named)
        saved: list = [None]  # what the last forward left, for the node's backward

        def compute(*arrays):
            rest = iter(arrays)
            values = [next(rest) if isinstance(x, Tensor) else x for x in (output, *others)]
            value = np.asarray(method(self, *values, **named), values[0].dtype)
            saved[0] = self.saved
            return value

        def gradients(g):
            before, self.saved = self.saved, saved[0]
            try:
                return [backward(self, g.item() if g.ndim == 0 else g)]
            finally:
                self.saved = before

        given = [x for x in (output, *others) if isinstance(x, Tensor)]
        with unseen():
            value = compute(*[x._data for x in given])
        if output.requires_grad and recording():
            loss = record(type(self).__name__, value, [output], gradients)
        else:
            loss = Tensor(value)
        recorder = active_recorder()
        if recorder is not None:
            recorder.call(self.title(), compute, given, (loss,))
        return loss

    return _with_text(run, method)


class Loss(Module):
    """loss = f(output, target): value and derivative are the operation's.

    ``forward`` gives a float for arrays; ``backward(1.0)`` the gradient of the output. Called with a
    Tensor as output, the loss is a Tensor on the tape.

    A subclass with a ``forward`` (or ``__call__``) of its own writes it with Tensors and operations, like
    ``return 2 * super().forward(output, target)``: it is run on Tensors and differentiated by the tape,
    for arrays, too. One that also defines ``backward`` writes both on arrays and is differentiated by it,
    on the tape, too.
    """

    inherits_backward = True  # which of the two differentiates a subclass is decided below
    operation: functional.Operation
    takes_labels = False  # whether integers (N,) are labels to it
    mean_over = "elements"  # what "mean" divides by the number of: "elements" of the output, or its "rows"
    reductions: tuple[str, ...] = ("mean", "sum", "none")
    others: tuple[str, ...] = ()  # the operation's settings beside the reduction, each an attribute

    def __init__(self, reduction: str = "mean"):
        check_reduction(type(self).__name__, reduction, self.reductions)
        self.reduction = reduction

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        place = {name: next(i for i, c in enumerate(cls.__mro__) if name in vars(c))
                 for name in ("__call__", "forward", "backward")}
        newest = cls.__mro__[min(place.values())]
        if newest is not cls and issubclass(newest, Loss):
            return  # nothing new, or decided for the class above
        backward, entries = cls.backward, {"__call__": cls.__call__, "forward": cls.forward}
        first = min(place[name] for name in entries)
        if place["backward"] > first:
            # The text of a __call__, since its node would have the backward of the class above.
            entries["__call__"] = vars(cls.__call__).get("text", cls.__call__)
            new = {name: _by_tape(method) for name, method in entries.items()}
            new["backward"] = _backward_by_tape(backward)
        else:  # of two entries, backward is that of the newer
            new = {name: _as_node(method, backward) for name, method in entries.items() if place[name] == first}
        for name, method in new.items():
            setattr(cls, name, method)

    def __call__(self, output, target):
        return self.forward(output, target)

    def forward(self, output, target):
        """The loss: a float, or with reduction "none" an array; for a Tensor, a Tensor."""
        if not (isinstance(output, np.ndarray) and isinstance(target, np.ndarray) and output.dtype in arrays.FLOATS):
            if isinstance(output, Tensor):
                return self.operation(output, target, **self._settings())
            self.check_arrays(output, target)
            target = np.asarray(target)
        settings = self._settings()
        loss, saved = self.operation.value(output, target, **settings)
        self.saved = output, target, saved, settings, np.shape(loss)
        return loss if settings["reduction"] == "none" else float(loss)

    def _settings(self) -> dict:
        settings: dict = {"reduction": self.reduction}
        for name in self.others:
            settings[name] = getattr(self, name)
        return settings

    def backward(self, gradient=1.0) -> np.ndarray:
        """The gradient of the output. RuntimeError before a forward."""
        output, target, saved, settings, shape = self.require_saved()
        if not isinstance(gradient, float) or shape:
            self.check_share(gradient, shape)
        return self.operation.derivatives[0](gradient, saved, output, target, **settings)

    def check_arrays(self, output, target=0) -> None:
        """Raise TypeError unless both are arrays, the output of floats; the target may be one label."""
        if not isinstance(output, np.ndarray) or not isinstance(target, (np.ndarray, np.generic, int)):
            came = type(output).__name__, type(target).__name__
            raise TypeError(f"{self}: expected output and target as arrays, got {came[0]} and {came[1]}")
        if output.dtype not in arrays.FLOATS:
            raise TypeError(f"{self}: expected an output of float32 or float64, got {output.dtype}")

    def check_share(self, gradient, shape: tuple[int, ...]) -> None:
        """Raise ValueError unless there is a gradient for each loss that forward gave."""
        if np.shape(gradient) != shape:
            raise ValueError(f"{self}: expected gradient of shape {shape}, got {np.shape(gradient)}")

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self.others]
        return ", ".join([f"reduction={self.reduction!r}", *shown] if self.reduction != "mean" else shown)


def is_composed(criterion: Module) -> bool:
    """Whether it computes its class's operation and nothing else: no method of Loss is overridden."""
    kind = type(criterion)
    return isinstance(criterion, Loss) and hasattr(kind, "operation") and all(
        [getattr(kind, name) is getattr(Loss, name) for name in ("__call__", "forward", "backward")])


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


class HuberLoss(Loss):
    """Σ d²/2 where |d| <= delta and delta (|d| - delta/2) elsewhere, with d = z - t: squares near the target, and far
    from it a slope of delta (Huber 1964). Over outputs z and targets t of one shape (N, ...).

    "mean" divides by the number of elements, "sum" does not, "none" gives a loss for each. Gradient: d, or
    delta sign d, times the same. Raises ValueError for a delta that is not above 0 and for differing shapes,
    TypeError for differing dtypes.
    """

    operation = functional.huber_loss
    others = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: expected delta above 0, got {delta}")
        self.delta = delta


class CrossEntropyLoss(Loss):
    """-Σ log softmax(z)[n, t_n] over logits z (N, C), divided by N ("mean") or not ("sum", "none").

    Targets are integer labels (N,) or rows of probabilities (N, C), of which one-hot rows are a case:
    -Σ t log softmax(z). Gradient: softmax(z) - onehot(t), over N for the mean.

    Logits of one sample (C,) have one label or probabilities (C,); logits (N, C, d1, ...), a class at each
    place, labels (N, d1, ...) or probabilities (N, C, d1, ...), and the mean is over N d1 ... places.

    Raises ValueError for other shapes and labels outside 0..C-1, TypeError for labels that are no
    integers.
    """

    operation = functional.cross_entropy
    takes_labels, mean_over = True, "rows"


class NLLLoss(Loss):
    """-Σ z[n, t_n] over log-probabilities z (N, C) and integer labels t (N,); report 003, equation 2,
    after LogSoftmax. Gradient: -1 at [n, t_n], over N for the mean.

    Shapes of labels and errors are CrossEntropyLoss's.
    """

    operation = functional.nll_loss
    takes_labels, mean_over = True, "rows"
