"""capture: a model, a loss and an optimizer as one compiled step.

The Python objects are walked once. Each module writes its kernel calls into a Program, over arrays that
are laid out here for the largest batch seen; the loss and the optimizer follow. Running the program does
what the Python text says, call by call, with the same bits. What has no kernels (a user's own module,
loss or optimizer) is called in its place as the Python object that it is.
"""
from __future__ import annotations

import numpy as np

from . import kernels, nn, optim, random, storage
from .nn.module import Module
from .tensor import Parameter


class NotCapturable(TypeError):
    """What was given has no program; ``fit`` then takes the plain path."""


class Builder:
    """The program as it grows: where the layers' arrays are, and which gradients are written already."""

    def __init__(self, program, dtype, capacity: int, parameters=(), training: bool = True):
        self.program, self.dtype, self.capacity, self.training = program, dtype, capacity, training
        program.watch(vars(storage), ["_moves"])
        self.updated = {id(parameter) for parameter in parameters}
        self.written: set[int] = set()
        self.backwards: list = []  # functions of dy, the last layer's first

    def rows(self, width: int) -> np.ndarray:
        """A new array of ``width`` columns for the largest batch."""
        return storage.aligned(self.capacity * width, self.dtype).reshape(self.capacity, width)

    def flat_gradient(self, parameter: Parameter) -> np.ndarray:
        return parameter.store.gradients[parameter.start:parameter.start + parameter.numel()]

    def fresh(self, parameter: Parameter) -> bool:
        """Whether its gradient is written, not added to: the optimizer's, the first time in a step."""
        first = id(parameter) not in self.written and id(parameter) in self.updated
        self.written.add(id(parameter))
        return first


# Each function below writes a module's forward calls for input x of ``width`` columns, leaves what
# writes its backward calls in builder.backwards, and returns the output and its columns. The input is
# None where it is the batch itself. backward(dy, wanted) returns dx, or None where it is not wanted.


def _linear(builder: Builder, module: nn.Linear, x, width: int):
    y, program = builder.rows(module.out_features), builder.program
    weight, bias = module.weight, module.bias
    program.watch(vars(module), ["weight", "bias"])
    if width != module.in_features:
        raise ValueError(f"capture: {module}: expected input of shape (N, {module.in_features}), got (N, {width})")
    program.linear(x, weight.data, None if bias is None else bias.data, y)

    def backward(dy, wanted):
        fresh = {p: builder.fresh(p) for p in (weight, bias) if p is not None}
        if not all(fresh.values()):  # added to, those that begin here from zero
            for parameter in (p for p in fresh if fresh[p]):
                program.zero(builder.flat_gradient(parameter))
        program.parameter_gradients(x, dy, weight.grad, None if bias is None else bias.grad, all(fresh.values()))
        if not wanted:
            return None
        dx = builder.rows(width)
        program.input_gradient(dy, weight.data, dx)
        return dx

    builder.backwards.append((True, backward))
    return y, module.out_features


_FROM_INPUT = {nn.ReLU: "relu", nn.LeakyReLU: "leaky_relu", nn.ELU: "elu", nn.SELU: "selu"}
_FROM_OUTPUT = {nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.Softmax: "softmax", nn.LogSoftmax: "log_softmax"}


def _activation(builder: Builder, module: nn.activations.Activation, x, width: int):
    y, program = builder.rows(width), builder.program
    program.watch(vars(module), ["settings"])
    name = _FROM_INPUT.get(type(module)) or _FROM_OUTPUT[type(module)]
    setting = next(iter(module.settings.values()), 0.0)
    program.apply(name, x, y, setting=setting)

    def backward(dy, wanted):
        if not wanted:
            return None
        dx, written_in = builder.rows(width), x if type(module) in _FROM_INPUT else y
        program.apply(f"{name}_backward", dy, dx, written_in, setting=setting, has_b=True)
        return dx

    builder.backwards.append((False, backward))
    return y, width


def _dropout(builder: Builder, module: nn.Dropout, x, width: int):
    builder.program.watch(vars(module), ["p"])
    if module.p == 0 or not builder.training:
        return _unchanged(builder, module, x, width)
    scale, y, program = builder.rows(width), builder.rows(width), builder.program

    def draw(rows):
        random.generator(module.generator).random(out=scale[:rows], dtype=scale.dtype)

    program.python(draw)
    program.apply("dropout_scale", scale, scale, setting=module.p)
    program.apply("scaled", x, y, scale)

    def backward(dy, wanted):
        if not wanted:
            return None
        dx = builder.rows(width)
        program.apply("scaled", dy, dx, scale)
        return dx

    builder.backwards.append((False, backward))
    return y, width


def _unchanged(builder: Builder, module: Module, x, width: int):
    builder.backwards.append((False, lambda dy, wanted: dy))
    return x, width


def _sequential(builder: Builder, module: nn.Sequential, x, width: int):
    builder.program.watch_list(module._modules)
    for child in module:
        x, width = write(builder, child, x, width)
    return x, width


_WRITERS = {
    nn.Linear: _linear, nn.Dropout: _dropout, nn.Identity: _unchanged, nn.Sequential: _sequential,
    **dict.fromkeys([*_FROM_INPUT, *_FROM_OUTPUT], _activation),
}


def write(builder: Builder, module: Module, x, width: int):
    write = _WRITERS.get(type(module))
    if type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        write = _unchanged
    if write is None or (write is _activation and module.settings.get("dim", -1) not in (-1, 1)):
        raise NotCapturable(f"capture: {type(module).__name__} has no kernels of its own")
    return write(builder, module, x, width)




# The losses: the calls that compute the number, then those of its gradient

_COUNTS = {"mean": "rows", "batchmean": "rows", "sum": "sum"}


def _cross_entropy(builder, program, z, dz, labels: bool, count: str) -> None:
    log_p = builder.rows(z.shape[1])
    program.apply("log_softmax", z, log_p)
    program.apply(*(("picked", log_p, log_p) if labels else ("soft_loss", log_p, log_p)),
                  reduction=count, against_target=not labels)
    program.loss_ends()
    program.apply("exp", log_p, dz)
    program.apply("label_gradient" if labels else "soft_gradient", log_p, dz,
                  reduction=count, against_target=not labels)


def _nll(builder, program, z, dz, labels: bool, count: str) -> None:
    program.apply("picked", z, z, reduction=count)
    program.loss_ends()
    program.apply("label_gradient", z, dz, reduction=count, fresh=True)


def _mse(builder, program, z, dz, labels: bool, count: str) -> None:
    program.apply("squared_error", z, dz, reduction=count, against_target=True)
    program.loss_ends()
    program.apply("times_share", z, dz, setting=2.0, reduction=count)


_LOSSES = {nn.CrossEntropyLoss: _cross_entropy, nn.NLLLoss: _nll, nn.MSELoss: _mse}
_RULES = (optim.SGD, optim.Adam, optim.AdamW, optim.Adadelta)


class CapturedStep:
    """``loss = step(x, y)``, or ``step(X, y, index)`` for the batch X[index], y[index]: see ``capture``."""

    def __init__(self, model: Module, criterion: Module, optimizer: optim.Optimizer):
        if type(criterion) not in _LOSSES or criterion.reduction == "none":
            raise NotCapturable(f"capture: {criterion!r} has no kernels of its own")
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.guard = False  # whether a loss that is not finite leaves the parameters as they were
        linear = next((module for module in model.modules() if isinstance(module, nn.Linear)), None)
        if linear is None:
            raise NotCapturable("capture: a model without a Linear has nothing to train")
        self.width, self.dtype = linear.in_features, linear.weight.dtype
        self._capacity, self._program = 0, None
        self._build(16, labels=True)  # says now what cannot be taken

    def __call__(self, x: np.ndarray, y: np.ndarray, index: np.ndarray | None = None) -> float:
        """Train on the batch; the loss before the update."""
        rows = len(x) if index is None else len(index)
        program = self._program
        if rows > self._capacity or program.stale():
            program = self._rebuilt(rows, y)
        try:
            return program.run(x, y, index, self.guard)
        except ValueError:
            return self._run_other(x, y, index)

    @property
    def output(self) -> np.ndarray:
        """The model's output for the last batch; its rows beyond the batch are left from earlier ones."""
        return self._output

    @property
    def wrong(self) -> int:
        """How many of the last batch's labels were not the largest output."""
        return self._program.wrong

    def _rebuilt(self, rows: int, y: np.ndarray):
        self._build(max(rows, self._capacity), labels=y.ndim == 1 and y.dtype.kind in "iu")
        return self._program

    def _run_other(self, x, y, index) -> float:
        """A batch that the program did not take as it is: other labels, images, or a mistake."""
        labels = y.ndim == 1 and y.dtype.kind in "iu"
        if labels != self._labels:
            self._rebuilt(len(x) if index is None else len(index), y)
        if x.ndim > 2 and isinstance(self._first(), nn.Flatten):
            x = x.reshape(len(x), -1)
        try:
            return self._program.run(x, y.astype(np.int64, copy=False) if labels else y,
                                     None if index is None else np.asarray(index, np.intp), self.guard)
        except (IndexError, TypeError, ValueError):
            batch = slice(None) if index is None else index
            self.criterion(self.model(x[batch]), y[batch])  # the modules name the mistake
            raise

    def _first(self) -> Module:
        return next(module for module in self.model.modules() if not isinstance(module, nn.Sequential))

    def _build(self, capacity: int, labels: bool) -> None:
        """Write the whole program anew."""
        if labels and isinstance(self.criterion, nn.MSELoss):
            labels = False
        optimizer = self.optimizer
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        width, out = self.width, self._width_out()
        program = kernels.of(self.dtype).Program(capacity, width, out if labels else 0, 0 if labels else out)
        builder = Builder(program, self.dtype, capacity, trained)
        z, out = write(builder, self.model, None, width)
        program.forward_ends(z)
        if labels and out > 1:
            program.apply("wrong", z, z)
        dz = builder.rows(out)
        reduction = self.criterion.reduction
        count = "elements" if reduction == "mean" and type(self.criterion) is nn.MSELoss else _COUNTS[reduction]
        _LOSSES[type(self.criterion)](builder, program, z, dz, labels, count)
        self._write_backward(builder, dz)
        for parameter in trained:
            if id(parameter) not in builder.written:
                program.zero(builder.flat_gradient(parameter))
        if type(optimizer) in _RULES:
            for group, flat in zip(optimizer.param_groups, optimizer.flats(), strict=True):
                program.update(type(optimizer).__name__, group, flat, type(optimizer).state_names)
        else:
            program.python(lambda rows: optimizer.step())
        program.gather_into(builder.rows(width), None if labels else builder.rows(out),
                            np.zeros(capacity, np.int64) if labels else None)
        self._program, self._capacity, self._labels, self._output = program, capacity, labels, z

    def _width_out(self) -> int:
        return [module for module in self.model.modules() if isinstance(module, nn.Linear)][-1].out_features

    def _write_backward(self, builder: Builder, dz: np.ndarray) -> None:
        """The layers in reverse, down to the first that has parameters."""
        first = next((i for i, (trained, _) in enumerate(builder.backwards) if trained), len(builder.backwards))
        for i in range(len(builder.backwards) - 1, first - 1, -1):
            dz = builder.backwards[i][1](dz, i > first)


def capture(model: Module, criterion: Module, optimizer: optim.Optimizer) -> CapturedStep:
    """The training step ``zero_grad, forward, loss, backward, step`` as one compiled call.

    step(x, y) trains on the batch x (N, in), y: labels (N,), or rows (N, out); step(X, y, index) on the
    rows that index (of dtype np.intp) picks. It returns the loss before the update, and leaves the bits
    that the same step written with the modules leaves: parameters, gradients, optimizer state. Learning
    rates and other settings of the optimizer are read at each step; N may change from step to step.

    model : a Sequential, nested at will, of the modules of minidl.nn; its Dropouts drop.
    criterion : MSELoss, CrossEntropyLoss or NLLLoss, its reduction not "none".
    optimizer : any; those of minidl.optim run compiled, another's step() is called in its place.

    Raises TypeError (NotCapturable) for a module or loss without kernels of its own.
    """
    return CapturedStep(model, criterion, optimizer)
