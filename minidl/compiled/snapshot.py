"""Snapshot: the state of functions, models and optimizers, put back after a failed recording or a measurement."""
from __future__ import annotations

import random as python_random
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np

from .. import random
from ..autograd.parameter import Parameter
from ..autograd.tape import unseen
from ..autograd.tensor import Tensor
from ..kernels.replay import Guards
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .streams import global_stream
from .watch import FORGOTTEN, _file_of, _is_library, _names, _own_dict, is_assigned

# What an optimizer computes anew from its groups
DERIVED = frozenset(("_compiler", "_flats", "_followed", "_moves", "_plan", "_seen", "_steps"))
DEPTH = 8  # of objects within objects


class Snapshot:
    """``snapshot = Snapshot(model, optimizer, ...)``; ``snapshot.put_back()`` undoes what has happened to them since.

    It copies the values and gradients of parameters, the values of Tensors and arrays, the state of optimizers, the
    attributes of modules and of users' objects, the items of lists and dictionaries, the states of random generators
    (minidl's own stream, NumPy's and Python's global generators among them), and what functions name. Objects of
    libraries are left as they are.
    """

    def __init__(self, *things: Any):
        self.things = things
        self.parameters: list[Parameter] = []
        self.optimizers: list[Optimizer] = []
        self._structure = Guards()  # that lists, dictionaries and objects hold what they held
        self._fixed: list[Callable[[], None]] = []  # puts that back
        self._keep: list[Callable[[], Callable[[], None]]] = [_generators]  # keep values; give what restores them
        self._seen: dict[int, Any] = {}
        for thing in things:
            self._visit(thing, 0)
        self._undo = self._fixed + [keep() for keep in self._keep]

    def renewed(self, *things: Any) -> Snapshot:
        """A snapshot of now: where the things hold the same objects, this one with the values of now."""
        same = len(things) == len(self.things) and all(a is b for a, b in zip(things, self.things, strict=True))
        if not same or self._structure.changed() >= 0:
            return Snapshot(*things)
        self._undo = self._fixed + [keep() for keep in self._keep]
        return self

    def put_back(self) -> None:
        for undo in self._undo:
            undo()

    def forget(self) -> None:
        """Let go of the values, until it is renewed."""
        self._undo = []

    def _visit(self, thing: Any, depth: int) -> None:
        if id(thing) in self._seen or depth > DEPTH:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Parameter):
            self.parameters.append(thing)
            self._keep.append(partial(_parameter, thing))
        elif isinstance(thing, Tensor):
            self._keep.append(partial(_tensor, thing))
        elif isinstance(thing, np.ndarray):
            self._keep.append(partial(_array, thing))
        elif isinstance(thing, np.random.Generator):
            self._keep.append(partial(_bits, thing.bit_generator))
        elif isinstance(thing, np.random.RandomState):
            self._keep.append(lambda: partial(thing.set_state, thing.get_state()))
        elif isinstance(thing, (list, tuple)):
            self._items(thing, depth)
        elif isinstance(thing, dict):
            self._entries(thing, frozenset(), depth)
        elif isinstance(thing, Module):
            self._entries(vars(thing), FORGOTTEN, depth)
        elif isinstance(thing, Optimizer):
            self.optimizers.append(thing)
            self._keep.append(partial(_state, thing))
            self._entries(vars(thing), DERIVED, depth)
        elif isinstance(thing, MethodType):
            self._visit(thing.__self__, depth + 1)
            self._visit(thing.__func__, depth + 1)
        elif isinstance(thing, FunctionType):
            self._function(thing, depth)
        elif isinstance(thing, SimpleNamespace) or not (isinstance(thing, type) or _is_library(_file_of(type(thing)))):
            self._entries(_own_dict(thing), frozenset(), depth)

    def _items(self, things: list | tuple, depth: int) -> None:
        before = list(things)
        if isinstance(things, list):
            def undo():
                if not _same(things, before):
                    things[:] = before

            self._fixed.append(undo)
            self._structure.items(things, "items")
        for thing in before:
            self._visit(thing, depth + 1)

    def _entries(self, entries: dict, others: frozenset[str], depth: int) -> None:
        """Of a dictionary, or of the attributes of an object: all but those of other names."""
        before = {name: value for name, value in entries.items() if name not in others}

        def undo():
            now = {name: value for name, value in entries.items() if name not in others}
            if not (_same(now, before) and _same(now.values(), before.values())):
                for name in now.keys() - before.keys():
                    del entries[name]
                entries.update(before)

        self._fixed.append(undo)
        self._structure.size(entries, "entries")
        for name, value in before.items():
            self._structure.name(entries, name, "an entry")
            self._visit(value, depth + 1)

    def _function(self, function: FunctionType, depth: int) -> None:
        """What a function of the user's names: its closure, its globals, the functions that it calls."""
        if _is_library(function.__code__.co_filename):
            return
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            self._structure.attribute(function, name, name)
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:  # not yet assigned
                self._structure.value(partial(is_assigned, cell), "a variable")
                continue
            self._structure.cell(cell, "a variable")
            self._visit(value, depth + 1)
        for name in _names(function):
            self._structure.name(function.__globals__, name, "a global")
            if name in function.__globals__:
                self._visit(function.__globals__[name], depth + 1)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(value, depth + 1)


def put_back_if_refused(recorder, *things: Any) -> None:
    """Put these back if the recording fails, so that the function can then run plain, with the same bits."""
    with unseen():  # this is not a part of the function
        before = recorder.snapshot
        now = recorder.snapshot = Snapshot(*things) if before is None else before.renewed(*things)
        recorder.undo.append(now.put_back)
        recorder.covered.update(id(parameter.status) for parameter in now.parameters)
        recorder.covered.update(id(flat) for optimizer in now.optimizers for flat in optimizer.flats())


# What keeps the values of one thing, and gives the function that puts them back


def _generators() -> Callable[[], None]:
    """NumPy's and Python's global generators, and minidl's own."""
    undo = global_stream.undo(), _bits(random.generator().bit_generator), partial(
        python_random.setstate, python_random.getstate())

    def put_back():
        for each in undo:
            each()

    return put_back


def _bits(generator: Any) -> Callable[[], None]:
    return partial(setattr, generator, "state", generator.state)


def _state(optimizer: Optimizer) -> Callable[[], None]:
    undo = [flat.undo() for flat in optimizer.flats()]

    def put_back():
        for each in undo:
            each()

    return put_back


def _parameter(parameter: Parameter) -> Callable[[], None]:
    values, gradients, has_grad = parameter._data.copy(), parameter._grad.copy(), parameter.status.has_grad

    def undo():
        if not (_equal(parameter._data, values) and _equal(parameter._grad, gradients)):
            parameter._data[...], parameter._grad[...] = values, gradients
            parameter.status.advance()
        parameter.status.has_grad = has_grad

    return undo


def _tensor(tensor: Tensor) -> Callable[[], None]:
    data, values, grad = tensor._data, tensor._data.copy(), tensor.grad

    def undo():
        tensor._data, tensor.grad = data, grad
        if data.flags.writeable:
            data[...] = values

    return undo


def _array(array: np.ndarray) -> Callable[[], None]:
    if array.flags.writeable and not array.dtype.hasobject:
        return partial(np.copyto, array, array.copy())
    return lambda: None


def _same(these, those) -> bool:
    """Whether two collections hold the same objects, in the same order."""
    these, those = list(these), list(those)
    return len(these) == len(those) and all(a is b for a, b in zip(these, those, strict=True))


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit by bit, so that NaN equals NaN and zeros differ by their sign."""
    return a.tobytes() == b.tobytes()
