"""capture: a model, a loss and an optimizer as one compiled step.

The Python objects are walked once. Each module writes its kernel calls into a Program, over arrays that
are laid out here for the largest batch seen; the loss and the optimizer follow. Running the program does
what the Python text says, call by call, with the same bits. A user's own loss or optimizer, which has no
kernels, is called in its place as the Python object that it is.
"""
from __future__ import annotations

import numpy as np

from . import kernels, optim
from .autograd import storage
from .capture_batch import Batch, taken
from .capture_layers import Builder, NotCapturable, flat_gradient, leaves, widths, write_backward, write_forward
from .capture_losses import call_loss, descends_from_kernels, has_kernels, takes_labels, write_loss
from .compiled.model_step import ModelStep
from .compiled.step import RecordedStep
from .nn.losses import is_composed
from .nn.module import Module

FIRST_CAPACITY = 16  # rows that there is room for before the first batch is seen
RULES = (optim.SGD, optim.Adam, optim.AdamW, optim.Adadelta)


class CapturedStep(kernels.Shortcut):
    """``loss = step(x, y)``, or ``step(X, y, index)`` for the batch X[index], y[index]: see ``capture``."""

    def __init__(self, model: Module, criterion: Module, optimizer: optim.Optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self._build(FIRST_CAPACITY, labels=_expects_labels(criterion))  # says now what cannot be taken

    @property
    def output(self) -> np.ndarray:
        """The model's output for the last batch; its rows beyond the batch are left from earlier ones."""
        return self._output

    @property
    def wrong(self) -> int | None:
        """How many of the last batch's labels were not the largest output; None where there are no labels."""
        return self._program.wrong if self._counts_wrong else None

    def refused(self, name: str, *given) -> float:
        """A step after a refusal: for a program or a batch that is made to fit, if it did not."""
        refusing = self._program
        refusing.enter()  # nobody else steps, or adapts, while this one is adapted
        try:
            batch = self._adapt(Batch(*given))
        finally:
            refusing.leave()
        try:
            return getattr(self._program, name)(*batch)
        except kernels.Refusal as refusal:
            raise ValueError(f"capture: {refusal}") from None

    def _adapt(self, given: Batch) -> Batch:
        """Make the program fit the model and the batch as they are now, and the batch the program."""
        if self._program.stale():
            self._build(self._program.capacity, self._labels)
        batch = taken(given, leaves(self.model), self.criterion)
        labels = has_kernels(self.criterion) and takes_labels(self.criterion, batch.y)
        if batch.rows > self._program.capacity or labels != self._labels:
            self._build(max(batch.rows, self._program.capacity), labels)
        return batch

    def __reduce__(self):
        raise TypeError("capture: a captured step can't be pickled or copied, since it holds the addresses of arrays: "
                        "pickle the model, the criterion and the optimizer, and capture those")

    def _build(self, capacity: int, labels: bool) -> None:
        """Write the whole program anew."""
        model, criterion, optimizer = self.model, self.criterion, self.optimizer
        _check_parts(model, criterion, optimizer)
        modules, own_loss = leaves(model), not has_kernels(criterion)
        own_code = own_loss or not has_rule(optimizer)
        optimizer.flats()  # which refuses groups that do not fit
        updated = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        parameters = model.parameters()
        if not parameters:
            raise NotCapturable(f"capture: expected a model with parameters, got {model}")
        dtype = parameters[0].dtype
        _check_dtypes(updated, dtype)
        width, out = widths(modules)
        target_width = 0 if labels or own_loss else out
        if own_code:  # which may ask for flat_parameters: they are not to move then, in the middle of a step
            _check_dtypes(parameters, dtype)
            storage.flatten(parameters)
        program = kernels.of(dtype).Program(capacity, width, out if labels else 0, target_width)
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
        self._program, self._labels, self._output = program, labels, z
        self.compiled, self.tolerant = program.step, program.run


def has_rule(optimizer: optim.Optimizer) -> bool:
    """Whether the optimizer's update can be compiled: it is one of minidl's, with no method of its own."""
    return type(optimizer) in RULES and not {"step", "update", "formula", "zero_grad", "decay"} & vars(optimizer).keys()


def _write_update(program, optimizer: optim.Optimizer) -> None:
    program.watch(vars(optimizer), ["param_groups"])
    program.watch_list(optimizer.param_groups)
    for group in optimizer.param_groups:
        program.watch(group, ["params"])
        program.watch_list(group["params"])
    if has_rule(optimizer):
        program.update(optimizer)
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
    """Whether the first batch is likely to have labels; a program for rows is written when they come."""
    return has_kernels(criterion) and takes_labels(criterion, np.zeros(1, np.int64))


def _check_parts(model, criterion, optimizer) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"capture: expected a Module as the model, got {type(model).__name__}")
    if not isinstance(criterion, Module):
        raise TypeError(f"capture: expected a loss module as the criterion, got {type(criterion).__name__}")
    if not isinstance(optimizer, optim.Optimizer):
        raise TypeError(f"capture: expected an Optimizer, got {type(optimizer).__name__}")
    if getattr(criterion, "reduction", None) == "none":
        raise ValueError(f"capture: expected a criterion that reduces to one number, got {criterion}")
    if is_composed(criterion) and not descends_from_kernels(criterion):
        raise NotCapturable(f"capture: {criterion} is recorded, as the operations that it is written with")
    if not criterion.explicit or criterion.has_parameters():
        raise NotCapturable(
            f"capture: expected a criterion with a backward and without parameters, got {criterion}")


def _check_owner(parameters, model: Module) -> None:
    own = {id(parameter) for parameter in model.parameters()}
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

    ``capture(model, criterion, optimizer)``: the training step ``zero_grad, forward, loss, backward, step`` as one compiled call.

    step(x, y) trains on the batch x (N, in), or images (N, ...) where the model begins with a Flatten, and
    y: labels (N,), or rows (N, out); step(X, y, index) on the rows that index picks. It returns the loss
    before the update, and leaves the bits that the same step written with the modules leaves: parameters,
    gradients, optimizer state. What the modules saved for backward stays as it was. Learning rates and
    other settings of the optimizer are read at each step; N may change from step to step, and the model
    too. It allocates nothing once it has seen the largest batch, if x has the model's dtype and labels and
    index are of int64; others are converted first. A step serves one thread at a time.

    model : a Sequential, nested at will, of the modules of minidl.nn; its Dropouts drop in training mode.
    criterion : MSELoss, CrossEntropyLoss or NLLLoss, or a Module of yours with forward and backward, which
        are called in their place. Its reduction is not "none".
    optimizer : any; those of minidl.optim run compiled, the step() of another is called in its place.

    Raises TypeError (NotCapturable) for a model with a module of your own, which has no kernels, and for a
    criterion without a backward; ``fit`` then takes the plain path. A step raises TypeError, ValueError or
    IndexError for a batch that does not fit, and FloatingPointError for a loss that is not finite. Nothing
    has been updated then.
    """
    if criterion is None and optimizer is None:
        if not callable(model):
            raise TypeError(f"capture: expected a function, or a model, a loss and an optimizer, "
                            f"got {type(model).__name__}")
        return RecordedStep(model)
    try:
        return CapturedStep(model, criterion, optimizer)
    except NotCapturable:
        return ModelStep(model, criterion, optimizer)
