"""One step of fit, three ways with the same bits: compiled from the model's layers, recorded, or plain Python."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from ..compiled.batch import flattens
from ..compiled.capture import CapturedStep
from ..compiled.errors import CaptureError
from ..compiled.layers import NotCapturable, leaves
from ..compiled.model_step import ModelStep
from ..kernels import Refusal
from .criterion import Criterion
from .epoch_mean import EpochMean
from .inputs import gathered

REFUSALS = (NotCapturable, CaptureError)


class Plain:
    """The step as the modules write it."""

    def __init__(self, model, criterion, optimizer, reason: str):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.path = f"plain: {reason}"

    def __call__(self, inputs: Sequence[np.ndarray], target: np.ndarray) -> tuple[float, np.ndarray]:
        """(loss, output). Nothing is updated if the loss is not finite."""
        if self.optimizer.needs_closure:
            return self._by_closure(inputs, target)
        output = self.model(*inputs)
        loss = float(self.criterion(output, target))
        if math.isfinite(loss):
            self.optimizer.zero_grad()
            self.model.accumulate(self.criterion.backward())
            self.optimizer.step()
        return loss, output

    def many(self, *_) -> list[float]:
        """None: steps that Python makes are made one by one."""
        return []

    def _by_closure(self, inputs: Sequence[np.ndarray], target: np.ndarray) -> tuple[float, np.ndarray]:
        first: list[tuple[float, np.ndarray]] = []

        def closure() -> float:
            self.optimizer.zero_grad()
            output = self.model(*inputs)
            loss = float(self.criterion(output, target))
            if not first:
                first.append((loss, output))
                if not math.isfinite(loss):
                    raise _NotFinite
            self.model.accumulate(self.criterion.backward())
            return loss

        with suppress(_NotFinite):
            self.optimizer.step(closure)
        return first[0]


class _NotFinite(Exception):
    """The first loss of a step is not: nothing is updated."""


class Recorded:
    """The step that was recorded while Python ran it: any model, criterion and optimizer."""

    def __init__(self, model, criterion, optimizer, target: np.ndarray):
        if target.dtype == np.uint64 and target.max() >= 2**63:
            raise NotCapturable("capture: expected labels below 2**63")
        function = criterion.function if isinstance(criterion, Criterion) else None
        self.step = ModelStep(model, criterion, optimizer, function)

    def __call__(self, inputs: Sequence[np.ndarray], target: np.ndarray) -> tuple[float, np.ndarray]:
        return self.step.run(*inputs, target), self.step.output

    def many(self, arrays: Sequence[np.ndarray], order: np.ndarray, size: int, mean: EpochMean, interrupt,
             settings: np.ndarray | None) -> list[float]:
        """Steps on batches of these rows in one call, their losses and errors added to the mean: see stretches.py."""
        found = self.step.recent()
        if found is None or settings is not None:
            return []
        program, loss, output = found
        if loss.shape or output.ndim > 2 or output.dtype.kind != "f" or not output.flags.c_contiguous:
            return []
        losses, mean.loss, wrong = program.steps(
            tuple(arrays), order, min(size, len(order)), mean.loss, loss, interrupt,
            *mean.compared(output.reshape(len(output), -1)))
        mean.wrong += wrong
        return losses

    @property
    def path(self) -> str:
        return self.step.path


class ByLayers:
    """The step that was written from the layers of a Sequential: it takes the rows from the data itself."""

    def __init__(self, model, criterion, optimizer, arrays, transformed: bool):
        if len(arrays) != 2 or arrays[1].ndim > 2 or (arrays[1].ndim == 2 and arrays[1].dtype.kind in "iub"):
            raise NotCapturable("capture: expected one input, and as target labels or rows")
        self.step = CapturedStep(model, criterion, optimizer)
        self.take(model, arrays, transformed)

    def take(self, model, arrays, transformed: bool) -> None:
        """Train on these arrays from now on."""
        x, y = arrays
        if x.ndim > 2 and x.flags.c_contiguous and not transformed and flattens(leaves(model)):
            x = x.reshape(len(x), -1)  # once, not at each step
        if y.ndim == 1 and y.dtype.kind in "iu" and y.max() < 2**63:  # larger labels are refused, and named
            y = y.astype(np.int64, copy=False)
        self.arrays = x, y

    def rows(self, rows: np.ndarray) -> tuple[float, np.ndarray, int | None]:
        """(loss, output, wrong) of a step on these rows; wrong is None where there are no labels."""
        return self.step.run(*self.arrays, rows), self.step.output[:len(rows)], self.step.wrong

    def many(self, arrays: Sequence[np.ndarray], order: np.ndarray, size: int, mean: EpochMean, interrupt,
             settings: np.ndarray | None) -> list[float]:
        """As Recorded.many, with the settings of the optimizer in each step."""
        step, program = self.step, self.step.program
        if not program.compiled_throughout:
            return []
        compared = mean.compared(step.output) if step.wrong is None else ()
        try:
            losses, mean.loss, wrong = program.steps(*self.arrays, order, size, mean.loss, *compared, settings=settings)
        except Refusal:
            return []
        mean.wrong += wrong
        return losses

    def __call__(self, inputs: Sequence[np.ndarray], target: np.ndarray) -> tuple[float, np.ndarray]:
        return self.step.run(*inputs, target), self.step.output[:len(target)]

    @property
    def path(self) -> str:
        return self.step.path


Way = Plain | Recorded | ByLayers


class TrainingStep:
    """``loss, wrong = step(rows)``: one step on these rows of the data. ``path`` says how it runs, and why if plain.

    A way that refuses has changed nothing; the next one takes its place, also within a training.
    """

    def __init__(self, model, criterion, optimizer, arrays, transform: Callable | None, mean: EpochMean,
                 captured: bool, weight: np.ndarray | None = None):
        """weight : of each sample, for a criterion of (target, weight); see ``weighted.py``."""
        self.parts = model, criterion, optimizer
        self.arrays, self.transform, self.mean, self.weight = arrays, transform, mean, weight
        self.untried: list[Callable] = [self._by_layers, self._recorded] if captured else []
        if isinstance(criterion, Criterion):  # a function, which is recorded; the layers' step calls it in its place
            self.untried.reverse()
        self.reason = "" if captured else "captured=False"
        with capture_errors_as("fit"):
            self.way = self._next()

    @property
    def path(self) -> str:
        """"compiled", with what is called in its place, or "plain" and why."""
        return self.way.path

    def __call__(self, rows: np.ndarray) -> tuple[float, int]:
        with capture_errors_as("fit"):
            if self.transform is None and isinstance(self.way, ByLayers):
                try:
                    loss, output, wrong = self.way.rows(rows)
                    return loss, self.mean.count_wrong(output, rows) if wrong is None else wrong
                except NotCapturable as refusal:
                    self._refused(refusal)
            inputs, target = gathered(self.arrays, rows, self.transform, self.weight)
            while True:
                try:
                    loss, output = self.way(inputs, target)
                    return loss, self.mean.count_wrong(output, rows)
                except REFUSALS as refusal:
                    if isinstance(self.way, Plain):
                        raise
                    self._refused(refusal)

    def many(self, order: np.ndarray, size: int, interrupt, settings: np.ndarray | None = None) -> list[float]:
        """Steps on the first batches of these rows in one call, as many as can be: their losses."""
        if self.transform is not None or self.weight is not None:
            return []
        try:
            return self.way.many(self.arrays, order, size, self.mean, interrupt, settings)
        except Exception:
            with capture_errors_as("fit"):
                raise

    def take(self, arrays, weight: np.ndarray | None = None) -> None:
        """Train on these arrays from now on: of the shapes of samples, the dtypes and the kind of the earlier ones."""
        self.arrays, self.weight = arrays, weight
        if isinstance(self.way, ByLayers):
            self.way.take(self.parts[0], arrays, self.transform is not None)

    def _refused(self, refusal: Exception) -> None:
        self.reason = str(refusal).removeprefix("capture: ")
        self.way = self._next()

    def _next(self) -> Way:
        """The first of the remaining ways that takes these parts."""
        while self.untried:
            make = self.untried.pop(0)
            try:
                return make()
            except NotCapturable as refusal:
                self.reason = self.reason or str(refusal).removeprefix("capture: ")
        return Plain(*self.parts, self.reason)

    def _by_layers(self) -> ByLayers:
        if self.weight is not None:
            raise NotCapturable("capture: samples that weigh differently are for a recorded step")
        return ByLayers(*self.parts, self.arrays, self.transform is not None)

    def _recorded(self) -> Recorded:
        return Recorded(*self.parts, self.arrays[-1])


class capture_errors_as:
    """Within it errors name the function that the user called, where they would begin with "capture:"."""

    def __init__(self, who: str):
        self.who = who

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if kind in (TypeError, ValueError, IndexError, RuntimeError) and str(error).startswith("capture: "):
            raise kind(f"{self.who}: {str(error).removeprefix('capture: ')}") from None
