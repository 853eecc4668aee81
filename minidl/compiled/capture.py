"""capture: a model, a loss and an optimizer as one compiled step.

Each module writes its kernel calls into a Program, over arrays for the largest batch seen; then the loss and the
optimizer do. The program does what the Python text says, call by call, with the same bits. A user's own loss or
optimizer has no kernels: the Python object is called in its place.
"""
from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .. import kernels, optim
from ..autograd import storage
from ..autograd.tensor import Tensor
from ..nn.module import Module
from ..table import folded
from .batch import Batch, taken
from .layers import Builder, NotCapturable, exactly, flat_gradient, leaves, widths, write_backward, write_forward
from .layers_listing import Listed
from .losses import call_loss, has_kernels, is_recorded, takes_labels, write_loss
from .model_step import ModelStep
from .profile import Profile
from .snapshot import Snapshot
from .step import RecordedStep

FIRST_CAPACITY = 16  # rows of the arrays before the first batch is seen


class CapturedStep(kernels.Shortcut):
    """``loss = step(x, y)``, or ``step(X, y, index)`` for the batch X[index], y[index]: see ``capture``."""

    def __init__(self, model: Module, criterion: Module, optimizer: optim.Optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self._build(FIRST_CAPACITY, labels=_expects_labels(criterion))  # raises now for what cannot be captured

    @property
    def output(self) -> np.ndarray:
        """The model's output for the last batch; rows beyond the batch are of earlier ones."""
        return self._output

    @property
    def path(self) -> str:
        """"compiled", with the names of what is called in its place, if any."""
        names = []
        if not has_kernels(self.criterion):
            names = [f"{loss_name(self.criterion)}.forward", f"{loss_name(self.criterion)}.backward"]
        if not is_ours(self.optimizer):
            names.append(f"{type(self.optimizer).__name__}.step")
        return f"compiled; in place: {', '.join(names)}" if names else "compiled"

    @property
    def wrong(self) -> int | None:
        """How many of the last batch's labels were not the largest output; None where there are no labels."""
        return self._program.wrong if self._counts_wrong else None

    @property
    def program(self):
        """The program as it is now, which also makes many steps in one call: see Program.steps."""
        return self._program

    def fallback(self, name: str, *given) -> float:
        """Adapt the program to the model, and the batch to the program, and make the step. Tensors become arrays."""
        arrays = tuple([x._data if isinstance(x, Tensor) and not x.requires_grad else x for x in given])
        if any([isinstance(x, Tensor) for x in given]):
            try:
                return getattr(self, "compiled" if name == "step" else "tolerant")(*arrays)
            except kernels.Refusal:
                given = arrays
        refusing = self._program
        refusing.enter()  # no other thread runs or adapts the program meanwhile
        try:
            batch = self._adapt(Batch(*given))
        except NotCapturable as refusal:
            return self._otherwise(refusal, name, *given)
        finally:
            refusing.leave()
        try:
            return getattr(self._program, name)(*batch)
        except kernels.Refusal as refusal:
            raise ValueError(f"capture: {refusal}") from None

    def _otherwise(self, refusal: NotCapturable, name: str, x, y, index) -> float:
        """Make the step where the model can no longer be written from its layers."""
        raise refusal

    def _adapt(self, given: Batch) -> Batch:
        """Build the program anew, if the model or the batch require it; the batch as the program takes it."""
        if self._program.guard_failed():
            self._build(self._program.capacity, self._labels)
        batch = taken(given, leaves(self.model), self.criterion)
        labels = has_kernels(self.criterion) and takes_labels(self.criterion, batch.y)
        if labels and (batch.y == self.criterion.ignore_index).any():  # type: ignore[attr-defined]
            raise NotCapturable("capture: labels that are to be ignored are for a recorded step")
        if batch.rows > self._program.capacity or labels != self._labels:
            self._build(max(batch.rows, self._program.capacity), labels)
        return batch

    def __reduce__(self):
        raise TypeError("capture: a captured step can't be pickled or copied, since it holds the addresses of arrays: "
                        "pickle the model, the criterion and the optimizer, and capture those")

    def __repr__(self) -> str:
        return f"<step of {type(self.model).__name__}: {self.path}>"

    def __str__(self) -> str:
        """The calls of the program, one a line; N is the number of rows."""
        return "\n".join([repr(self), "", *self._build(self._program.capacity, self._labels, listed=True)])

    def _repr_html_(self) -> str:
        return folded(str(self))

    def profile(self, x: np.ndarray, y: np.ndarray, repeats: int = 100) -> Profile:
        """Where the time of a step on this batch goes, operation by operation; see RecordedStep.profile.

        The operations are timed one by one, as a recorded step runs them; the last line is the time of the step as
        one program. Nothing is trained.
        """
        function = getattr(self.criterion, "function", None)
        single = ModelStep(self.model, self.criterion, self.optimizer, function).profile(x, y, repeats=repeats)
        before = Snapshot(self.model, self.criterion, self.optimizer)
        try:
            seconds = []
            for _ in range(repeats + 1):
                begin = time.perf_counter()
                self.run(x, y)
                seconds.append(time.perf_counter() - begin)
        finally:
            before.put_back()
        whole = f"the step as one program: {1e6 * float(np.median(seconds[1:])):.2f} µs"
        return Profile(single.rows, single.peak, f"{single}\n{whole}")

    def _build(self, capacity: int, labels: bool, listed: bool = False) -> list[str]:
        """Write the whole program anew; or, if listed, only return its lines."""
        model, criterion, optimizer = self.model, self.criterion, self.optimizer
        _check_parts(model, criterion, optimizer)
        modules, own_loss = leaves(model), not has_kernels(criterion)
        optimizer.flats()  # raises for groups that do not fit
        own_code = own_loss or not has_rule(optimizer)
        updated = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        parameters = model.parameters()
        if not parameters:
            raise NotCapturable(f"capture: expected a model with parameters, got {model}")
        dtype = parameters[0].dtype
        _check_dtypes(updated, dtype)
        width, out = widths(modules)
        target_width = 0 if labels or own_loss else out
        if own_code:  # it may read flat_parameters: they must not move then, within a step
            _check_dtypes(parameters, dtype)
            storage.flatten(parameters)
        program = kernels.of(dtype).Program(capacity, width, out if labels else 0, target_width)
        if listed:
            program = Listed(program, width, parameters)
        builder = Builder(program, dtype, capacity, updated, added=own_loss)
        z, backwards = write_forward(builder, model)
        _check_owner(updated, model)
        self._counts_wrong = labels and out > 1
        if self._counts_wrong:
            program.apply("wrong", z, z)
        gradient = call_loss(builder, criterion, z) if own_loss else write_loss(builder, criterion, z, labels)
        program.loss_ends()
        write_backward(builder, backwards, gradient())
        for parameter in updated:
            if id(parameter) not in builder.written and not own_code:
                builder.zero_gradient(parameter)
        others = [parameter for parameter in parameters if id(parameter) not in builder.updated]
        program.marks(*([(parameter.status, flat_gradient(parameter)) for parameter in members]
                        for members in (updated, others)), own_code)
        program.gather_into(builder.rows(width), builder.rows(target_width) if target_width else None)
        _write_update(program, optimizer)
        if listed:
            return program.lines
        self._program, self._labels, self._output = program, labels, z
        self.compiled, self.tolerant = program.step, program.run
        return []


def loss_name(criterion: Module) -> str:
    """The name of a criterion: its class, or the function that it wraps."""
    loss = getattr(criterion, "function", criterion)
    return getattr(loss, "__name__", type(loss).__name__)


class ChangingStep(CapturedStep):
    """A captured step whose model may get modules without kernels: while it has them, the step is recorded."""

    _recorded: ModelStep | None = None  # makes the steps while the model has such modules

    @property
    def output(self) -> np.ndarray:
        return self._output if self._recorded is None else self._recorded.output

    @property
    def wrong(self) -> int | None:
        return super().wrong if self._recorded is None else None

    def _adapt(self, given: Batch) -> Batch:
        if self._recorded is not None:
            if self._recorded.step.ignoring:
                raise NotCapturable("capture: the step is recorded, since there are labels to be ignored")
            self._build(self._program.capacity, self._labels)  # NotCapturable while there are such modules
            self._recorded = None
        return super()._adapt(given)

    def _otherwise(self, refusal: NotCapturable, name: str, x, y, index) -> float:
        if self._recorded is None:
            self._recorded = recorded_step(self.model, self.criterion, self.optimizer)
            self.compiled = self.tolerant = _refuse  # so that each step first checks whether they are gone
        step = self._recorded.run if name == "run" else self._recorded
        return step(x, y, index=index)


def _refuse(x, y, index):
    raise kernels.Refusal


def recorded_step(model: Module, criterion: Module | Callable, optimizer: optim.Optimizer) -> ModelStep:
    """The recorded step of any model and criterion, a module or a function."""
    updated = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if isinstance(criterion, Module):
        _check_owner(updated, model, criterion)
        return ModelStep(model, criterion, optimizer)
    _check_owner(updated, model)
    return ModelStep(model, criterion, optimizer, criterion)


def has_rule(optimizer: optim.Optimizer) -> bool:
    """Whether a kernel is the optimizer's whole update: it is one of minidl's, with settings that the kernel has."""
    name = type(optimizer).__name__
    return (name in kernels.of(np.float32).RULES and exactly(optimizer, getattr(optim, name, None))
            and _as_it_is(optimizer)
            and not any(optimizer.settings(group)[setting] for setting in optimizer.beyond_kernel
                        for group in optimizer.param_groups))


def _as_it_is(optimizer: optim.Optimizer) -> bool:
    """Whether the object has no methods of its own."""
    return not {"step", "update", "formula", "zero_grad", "decay"} & vars(optimizer).keys()


def is_ours(optimizer: optim.Optimizer) -> bool:
    """Whether it is one of minidl.optim's, which check all that a step needs before they write."""
    return type(optimizer).__module__.startswith(optim.__name__) and _as_it_is(optimizer)


def _write_update(program, optimizer: optim.Optimizer) -> None:
    program.guard(vars(optimizer), ["param_groups"])
    program.guard_list(optimizer.param_groups)
    for group in optimizer.param_groups:
        program.guard(group, ["params", *optimizer.beyond_kernel])
        program.guard_list(group["params"])
    if has_rule(optimizer):
        program.update(optimizer)
    elif is_ours(optimizer):
        program.python(lambda rows: optimizer.step())  # compiled itself, as chains
    else:
        def update(rows):
            undo = [flat.undo() for flat in optimizer.flats()]
            try:
                optimizer.step()
            except BaseException:
                for put_back in undo:
                    put_back()
                raise

        program.python(update)


def _expects_labels(criterion: Module) -> bool:
    """Whether the first batch is likely to have labels; for rows another program is written."""
    return has_kernels(criterion) and takes_labels(criterion, np.zeros(1, np.int64))


def _check_model_and_optimizer(model, optimizer) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"capture: expected a Module as the model, got {type(model).__name__}")
    if not isinstance(optimizer, optim.Optimizer):
        raise TypeError(f"capture: expected an Optimizer, got {type(optimizer).__name__}")


def _check_parts(model, criterion, optimizer) -> None:
    _check_model_and_optimizer(model, optimizer)
    if not isinstance(criterion, Module):
        came = f"the class {criterion.__name__}" if isinstance(criterion, type) else type(criterion).__name__
        raise TypeError(
            f"capture: expected a loss module or a function of output and target as criterion, got {came}")
    if getattr(criterion, "reduction", None) == "none":
        raise ValueError(f"capture: expected a criterion that reduces to one number, got {criterion}")
    if optimizer.needs_closure:
        raise NotCapturable(f"capture: {type(optimizer).__name__} calls a closure, which is recorded")
    if is_recorded(criterion) and not has_kernels(criterion):
        raise NotCapturable(f"capture: {criterion} is recorded, as the operations that it is written with")
    if not criterion.defines_backward or criterion.has_parameters():
        raise NotCapturable(
            f"capture: expected a criterion with a backward and without parameters, got {criterion}")


def _check_owner(parameters, *modules: Module) -> None:
    own = {id(parameter) for module in modules for parameter in module.parameters()}
    if not any(id(parameter) in own for parameter in parameters):
        raise ValueError("capture: expected an optimizer of this model's parameters, got another model's")


def _check_dtypes(parameters, dtype) -> None:
    for parameter in parameters:
        if parameter.dtype != dtype:
            raise TypeError(f"capture: expected parameters of the model's dtype {dtype} in the optimizer, "
                            f"got {parameter!r}")


def capture(model, criterion=None, optimizer=None):
    """A step as one compiled call: of a function that one writes oneself, or of a model, a loss and an optimizer.

    ``capture(function)``, also as a decorator @minidl.capture: see RecordedStep.

    ``capture(model, criterion, optimizer)``: the training step ``zero_grad, forward, loss, backward, step``.

    step(x, y) trains on the batch x and its target y, for a model of several inputs step(x1, x2, y);
    step(X, y, index) trains on the rows that index selects. It returns the loss before the update, and leaves the
    bits that the same step written with the modules leaves: parameters, gradients, optimizer state. Learning
    rates and other settings of the optimizer are read at each step; the number of rows may change from step to
    step, and the model too. A step serves one thread at a time.

    A Sequential (also nested) of the modules of minidl.nn, with MSELoss, CrossEntropyLoss, NLLLoss or a loss of
    yours on arrays, is written from its layers: the step allocates nothing once it has seen the largest batch, if
    x has the model's dtype and labels and index are of int64 (others are converted first), and what the modules
    saved for backward does not change. Any other model and criterion is recorded while Python runs it, see
    RecordedStep.

    model : any Module; its Dropouts drop in training mode.
    criterion : a Module with forward and backward on arrays, which are called in their place, or with a forward on
        Tensors, or a function of two Tensors, output and target. Its reduction is not "none".
    optimizer : any; those of minidl.optim run compiled, the step() of another is called in its place.

    Raises TypeError or ValueError for parts that do not fit each other. A step raises TypeError, ValueError or
    IndexError for a batch that does not fit, FloatingPointError for a loss that is not finite, and CaptureError
    for code that a recorded step could not do again. Nothing has been updated then.
    """
    if criterion is None and optimizer is None:
        if not callable(model):
            raise TypeError(f"capture: expected a function, or a model, a loss and an optimizer, "
                            f"got {type(model).__name__}")
        return RecordedStep(model)
    if callable(criterion) and not isinstance(criterion, (Module, type)):
        _check_model_and_optimizer(model, optimizer)
        return recorded_step(model, criterion, optimizer)
    try:
        return ChangingStep(model, criterion, optimizer)
    except NotCapturable:
        return recorded_step(model, criterion, optimizer)
