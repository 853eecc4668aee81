"""The training step of any model, loss and optimizer, recorded: ``zero_grad, forward, loss, backward, step``."""
from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.tape import active_recorder, no_grad, unseen
from ..autograd.tensor import Tensor
from ..nn.losses import Loss
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..table import folded
from .by_closure import ByClosure
from .conversion import checked_index
from .errors import CaptureError
from .profile import Profile, profile
from .snapshot import put_back_if_refused
from .step import RecordedStep


class NotFinite(FloatingPointError):
    """The loss of a step that is being recorded is not finite: nothing is trained, and nothing recorded."""

    def __init__(self, loss: float, output: np.ndarray):
        super().__init__(f"the loss became {loss}")
        self.loss, self.output = loss, output


class ModelStep:
    """``loss = step(x, y)``, with several inputs ``step(x1, x2, y)``: one training step on the batch.

    An array more than the model's forward and the target take is the index, which can also be given by name.
    ``run`` returns a loss that is not finite, too; ``output`` is the model's output for the last batch.
    """

    wrong = None  # misclassified samples are not counted

    def __init__(self, model: Module, criterion: Module | Callable, optimizer: Optimizer,
                 function: Callable | None = None):
        """function : the loss as a function of two Tensors, where the criterion is one, or wraps one."""
        self.model, self.criterion, self.optimizer, self.function = model, criterion, optimizer, function
        self.output: np.ndarray = np.empty(0)
        self._inputs = _most_arguments(model.forward)
        loss_of = _loss_of(criterion, function)

        def train(*batch):
            recorder = active_recorder()
            if recorder is not None:
                put_back_if_refused(recorder, model, criterion, function, optimizer)
            *inputs, target = batch
            output = model(*inputs)
            if not isinstance(output, Tensor):
                raise CaptureError(f"capture: expected a model that gives a Tensor, got {type(output).__name__}")
            loss, backward = loss_of(output, target)
            _stop_unless_finite(loss, output)
            optimizer.zero_grad()
            backward()
            optimizer.step()
            return loss, output

        def evaluate(*batch):
            *inputs, target = batch
            optimizer.zero_grad()
            output = model(*inputs)
            loss, backward = loss_of(output, target)
            backward()
            return loss, output

        if optimizer.needs_closure:
            self.step: Any = ByClosure(evaluate, optimizer, _check_finite)
        else:
            self.step = RecordedStep(train)

    def __call__(self, *batch, index=None) -> float:
        """One step; FloatingPointError for a loss that is not finite. Nothing was updated then."""
        loss = self.run(*batch, index=index)
        if not math.isfinite(loss):
            raise FloatingPointError(f"capture: the loss became {loss}; the weights are those before this step")
        return loss

    def run(self, *batch, index=None) -> float:
        """One step; a loss that is not finite is returned, and nothing was updated."""
        if index is None and len(batch) > self._inputs + 1:
            batch, index = batch[:-1], batch[-1]
        if index is not None:
            index = checked_index("capture", index, len(batch[0]))
            batch = tuple([(x._data if isinstance(x, Tensor) else x)[index] for x in batch])
        try:
            loss, output = self.step(*batch)
        except NotFinite as stopped:
            self.output = stopped.output
            return stopped.loss
        self.output = output._data
        return loss._data.item()

    def recent(self) -> tuple[Any, np.ndarray, np.ndarray] | None:
        """(program, loss, output) of the recording that the last step used, if no Python is called in its place."""
        step = self.step
        if not isinstance(step, RecordedStep) or step.program is None or step.recent is None or step.path != "compiled":
            return None
        return step.program, *step.recent.results

    @property
    def _recorded(self) -> RecordedStep:
        """What is recorded of it."""
        return self.step.evaluation if isinstance(self.step, ByClosure) else self.step

    @property
    def path(self) -> str:
        """How it runs: see RecordedStep."""
        return self.step.path

    def profile(self, *batch, repeats: int = 100) -> Profile:
        """Where the time of a step on this batch goes: see RecordedStep.profile. Nothing is trained."""
        return profile(self._recorded, batch, {}, repeats, (self.model, self.criterion, self.function, self.optimizer),
                       _names(len(batch)))

    def __repr__(self) -> str:
        return f"<step of {type(self.model).__name__}: {self.path}>"

    def __str__(self) -> str:
        counts = [len(recording.arrays) for recording in self._recorded._kept.values()]
        return "\n".join([repr(self), *self._recorded.listing(_names(max(counts, default=2))).splitlines()[1:]])

    def _repr_html_(self) -> str:
        return folded(str(self))


def _names(count: int) -> list[str]:
    """The names of the arrays of a batch: x, y or x1, x2, ..., y."""
    return [*(["x"] if count == 2 else [f"x{i + 1}" for i in range(count - 1)]), "y"]


def _most_arguments(function: Callable) -> float:
    """How many arguments a function takes by their places."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return math.inf
    return sum(kind is not inspect.Parameter.KEYWORD_ONLY and kind is not inspect.Parameter.VAR_KEYWORD
               for kind in kinds)


def _stop_unless_finite(loss: Tensor, output: Tensor) -> None:
    recorder = active_recorder()
    if recorder is not None:
        recorder.finite(loss)
    _check_finite(loss, output)


def _check_finite(loss: Tensor, output: Tensor) -> None:
    value = float(loss._data)
    if not math.isfinite(value):
        raise NotFinite(value, output._data)


def _loss_of(criterion, function: Callable | None) -> Callable:
    """(output, target) -> the loss as a Tensor, and the function that runs the backward pass."""
    if function is None and not isinstance(criterion, Loss) and criterion.defines_backward:
        return _by_its_own_backward(criterion)

    def on_tensors(output, target):
        loss = (criterion if function is None else function)(output, target)
        if not isinstance(loss, Tensor):
            raise TypeError(f"criterion: expected a function that gives a Tensor, got {type(loss).__name__}")
        return loss, loss.backward

    return on_tensors


def _by_its_own_backward(criterion: Module) -> Callable:
    """A loss on arrays: its forward and its backward are called in their place."""
    def on_arrays(output, target):
        def value(z, t):
            with no_grad():
                return np.asarray(float(criterion(z, t)))  # in double, as the loss gave it

        def derivative(z):
            given = criterion.backward()
            criterion.check_gradient(given, z.shape, z.dtype)
            return given

        name = type(criterion).__name__
        loss = _called(f"{name}.forward", value, output, target)
        return loss, lambda: output.backward(_called(f"{name}.backward", derivative, output))

    return on_arrays


def _called(name: str, function: Callable, *tensors: Tensor) -> Tensor:
    """The result of a function on arrays, which a replay calls in its place."""
    recorder = active_recorder()
    with unseen():
        made = Tensor(function(*[x._data for x in tensors]))
    if recorder is not None:
        recorder.call(name, function, tensors, (made,))
    return made
