"""The layers of a captured model: each writes the kernel calls that its Python text makes.

A model is the list of its leaves, the modules that nested Sequentials run one after the other.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

import numpy as np

from .. import nn, random
from ..autograd import storage
from ..autograd.parameter import Parameter
from ..nn.activations import Activation, is_activation
from ..nn.module import Module

T = TypeVar("T")


class NotCapturable(TypeError):
    """A model, loss or optimizer that has no program of this kind: it is recorded, or runs as plain Python."""


class Builder:
    """Writes a program: it makes the layers' arrays, and knows which gradients are written already.

    capacity : the rows of the largest batch.
    updated : the parameters whose gradients begin at zero in each step, the optimizer's.
    added : whether gradients are added to those zeros, since a Python function may have written there.
    training : whether a backward pass will follow, and Dropouts drop as their modes say; without it the
        program evaluates, and needs no arrays that only a backward reads.
    """

    def __init__(self, program, dtype, capacity: int, updated=(), training: bool = True, added: bool = False):
        self.program, self.dtype, self.capacity, self.training = program, dtype, capacity, training
        self.added = added
        program.guard(vars(storage), ["_moves"])
        self.updated = {id(parameter) for parameter in updated}
        self.written: set[int] = set()
        self.later: list[Callable[[], None]] = []  # write the parameters' gradients, after the backward calls
        self.product: np.ndarray | None = None  # the output of a Linear that no call has read yet

    def rows(self, width: int) -> np.ndarray:
        """A new array of ``width`` columns for the largest batch."""
        return storage.aligned(self.capacity * width, self.dtype).reshape(self.capacity, width)

    def output(self, x, width: int, reads_input: bool) -> np.ndarray:
        """The array for the output of an elementwise or row function: its input's, if no call reads that again.

        reads_input : whether the function's derivative reads its input.
        """
        over = x is not None and (not self.training or (x is self.product and not reads_input))
        self.product = None
        return x if over else self.rows(width)

    def overwrites(self, parameter: Parameter) -> bool:
        """Whether its gradient is written, not added to: the optimizer's, the first time in a step."""
        first = id(parameter) not in self.written and id(parameter) in self.updated
        if id(parameter) not in self.written:
            self.written.add(id(parameter))
            self.program.reaches(parameter.status)
        return first and not self.added

    def zero_gradient(self, parameter: Parameter) -> None:
        self.program.zero(flat_gradient(parameter))


def flat_gradient(parameter: Parameter) -> np.ndarray:
    """The gradient as it lies in memory."""
    return parameter.store.gradients[parameter.start:parameter.start + parameter.numel()]


# Each function below writes a module's forward calls for the input x of ``width`` columns, None where it
# is the batch itself, and returns the output, its columns, and a function that writes the backward calls:
# backward(dy, needs_dx) returns dx, which may overwrite dy, or None where it is not needed.


def _linear(builder: Builder, module: nn.Linear, x, width: int):
    program = builder.program
    _check_linear(builder, module, width)
    weight, bias = module.weight, module.bias
    program.guard(vars(module), ["weight", "bias"])
    trained = [parameter for parameter in (weight, bias) if parameter is not None and parameter.requires_grad]
    for parameter in (weight, bias):
        if parameter is not None and builder.training:
            program.guard_parameter(parameter.status)
    y = builder.product = builder.rows(module.out_features)
    program.linear(x, weight._data, None if bias is None else bias._data, y)

    def gradients(dy):
        overwrites = {parameter: builder.overwrites(parameter) for parameter in trained}
        if not all(overwrites.values()) and not builder.added:  # both are added to: these begin at zero
            for parameter in (p for p in overwrites if overwrites[p]):
                builder.zero_gradient(parameter)
        dw, db = (parameter.gradient if parameter in overwrites else None for parameter in (weight, bias))
        program.parameter_gradients(x, dy, dw, db, all(overwrites.values()))

    def backward(dy, needs_dx):
        if trained:
            builder.later.append(lambda: gradients(dy))
        if not needs_dx:
            return None
        dx = builder.rows(width)
        program.backward_reads(weight.status)
        program.input_gradient(dy, weight._data, dx)
        return dx

    return y, module.out_features, backward


def _check_linear(builder: Builder, module: nn.Linear, width: int) -> None:
    """Raise unless the kernels can read its parameters in place: they may have been replaced."""
    for name in ("weight", "bias"):
        parameter = vars(module).get(name)
        if not isinstance(parameter, Parameter) and not (name == "bias" and parameter is None and name in vars(module)):
            came = type(parameter).__name__ if name in vars(module) else "nothing"
            raise TypeError(f"capture: {module.title()}: expected {name} to be a Parameter, got {came}")
    if width != module.in_features:
        expected = f"expected input of shape (N, {module.in_features})"
        raise ValueError(f"capture: {module}: {expected}, got (N, {width})")
    shapes = {"weight": (module.out_features, module.in_features), "bias": (module.out_features,)}
    for name, shape in shapes.items():
        parameter = getattr(module, name)
        if parameter is None:
            continue
        if parameter.dtype != builder.dtype:
            expected = f"expected {name} of dtype {builder.dtype}"
            raise TypeError(f"capture: {module}: {expected}, got {parameter.dtype}")
        if parameter.shape != shape:
            raise ValueError(f"capture: {module}: expected {name} of shape {shape}, got {parameter.shape}")
    if not module.weight.data.flags.f_contiguous:
        raise NotCapturable(
            f"capture: {module}: expected a weight that lies as (in, out), Parameter(..., order='F')")


def _activation(builder: Builder, module: Activation, x, width: int):
    program, operation = builder.program, module.operation
    program.guard(vars(module), ["settings"])
    program.guard(module.settings, list(module.settings))
    if module.settings.get("dim", -1) not in (-1, 1):
        raise NotCapturable(f"capture: {module}: expected dim -1 or 1, along the rows of a batch")
    call = operation.kernel_call(module.settings)
    if call is None:
        raise NotCapturable(f"capture: {module}: with these settings no kernel alone computes it")
    name, setting = call
    serves = operation.output_serves
    from_output = "y" in operation.reads[0] or (serves(setting) if callable(serves) else serves)
    y = builder.output(x, width, reads_input=not from_output)
    program.apply(name, x, y, setting=setting)

    def backward(dy, needs_dx):
        if needs_dx:
            written_in = y if from_output else x
            program.apply(f"{name}_backward", dy, dy, written_in, setting=setting)
        return dy

    return y, width, backward


def _dropout(builder: Builder, module: nn.Dropout, x, width: int):
    program = builder.program
    if not builder.training:
        return x, width, _same
    module.training = module.training  # as an attribute of the instance, which can be guarded
    program.guard(vars(module), ["p", "training"])
    if module.p == 0 or not module.training:
        return x, width, _same
    scale, y = builder.rows(width), builder.rows(width)

    def draw(rows):
        random.generator(module.generator).random(out=scale[:rows], dtype=scale.dtype)

    program.python(draw)
    program.apply("dropout_mask", scale, scale, setting=module.p)
    program.apply("multiply", x, y, scale)

    def backward(dy, needs_dx):
        if needs_dx:
            program.apply("multiply", dy, dy, scale)
        return dy

    return y, width, backward


def _identity(builder: Builder, module: nn.Identity, x, width: int):
    return x, width, _same


def _same(dy, needs_dx):
    """The backward of what changes nothing."""
    return dy


def _flatten(builder: Builder, module: nn.Flatten, x, width: int):
    builder.program.guard(vars(module), ["start_dim", "end_dim"])
    if (module.start_dim, module.end_dim) != (1, -1):
        raise NotCapturable(f"capture: {module}: expected start_dim=1 and end_dim=-1, which give rows")
    return x, width, _same


def exactly(thing: object, kind: type[T] | None) -> TypeGuard[T]:
    """Whether it is of this class itself: a subclass may have methods that compute something else."""
    return type(thing) is kind


_WRITERS: dict[type[Module], Callable] = {
    nn.Linear: _linear, nn.Dropout: _dropout, nn.Identity: _identity, nn.Flatten: _flatten,
}


def _writer(module: Module) -> Callable | None:
    """The function that writes this module's calls; None for one without kernels."""
    if is_activation(module) and module.operation.kernel is not None:  # type: ignore[attr-defined]
        return _activation
    return _WRITERS.get(type(module))


def leaves(model: Module) -> list[Module]:
    """The modules that the model runs, in their order. NotCapturable for a user's, or without a Linear."""
    found = _leaves(model)
    for module in found:
        if _writer(module) is None:
            raise NotCapturable(f"capture: {type(module).__name__} has no kernels of its own")
    if not linears(found):
        raise NotCapturable(f"capture: expected a model with a Linear, got {model}")
    return found


def _leaves(module: Module) -> list[Module]:
    if not exactly(module, nn.Sequential):
        return [module]
    return [leaf for child in module for leaf in _leaves(child)]


def linears(modules: list[Module]) -> list[nn.Linear]:
    """Those of the modules that are Linears."""
    return [module for module in modules if exactly(module, nn.Linear)]


def widths(modules: list[Module]) -> tuple[int, int]:
    """The columns of a model's input and of its output."""
    found = linears(modules)
    return found[0].in_features, found[-1].out_features


def write_forward(builder: Builder, model: Module) -> tuple[Any, list[tuple[Module, Callable]]]:
    """Write the forward pass; the output, and for each layer the function that writes its backward pass."""
    modules = leaves(model)
    for container in model.modules():
        if exactly(container, nn.Sequential):
            builder.program.guard_list(container._modules)
    x, width = None, widths(modules)[0]
    backwards = []
    for module in modules:
        write = _writer(module)
        assert write is not None  # leaves() has looked
        x, width, backward = write(builder, module, x, width)
        backwards.append((module, backward))
    builder.program.forward_ends(x)
    return x, backwards


def is_trained(module: Module) -> bool:
    """Whether one of its own parameters is trained."""
    return any(isinstance(value, Parameter) and value.requires_grad for value in vars(module).values())


def write_backward(builder: Builder, backwards: list[tuple[Module, Callable]], dy: np.ndarray) -> None:
    """Write the backward pass, down to the first layer that is trained."""
    first = next((i for i, (module, _) in enumerate(backwards) if is_trained(module)), len(backwards))
    for i in range(len(backwards) - 1, first - 1, -1):
        dy = backwards[i][1](dy, i > first)
    for write in builder.later:
        write()
