"""Snapshot: the state of functions, models and optimizers, put back after a failed recording or a measurement."""
from __future__ import annotations

import random as python_random
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from .. import random
from ..autograd.parameter import Parameter
from ..autograd.tape import unseen
from ..autograd.tensor import Tensor
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .watch import FORGOTTEN, _file_of, _is_library, _names, _own_dict

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
        self._undo: list[Callable[[], None]] = []
        self._seen: dict[int, Any] = {}
        for generator in (random.generator(), np.random.mtrand._rand):
            self._visit(generator, 0)
        before = python_random.getstate()
        self._undo.append(lambda: python_random.setstate(before))
        for thing in things:
            self._visit(thing, 0)

    def put_back(self) -> None:
        for undo in self._undo:
            undo()

    def _visit(self, thing: Any, depth: int) -> None:
        if id(thing) in self._seen or depth > DEPTH:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Parameter):
            self._parameter(thing)
        elif isinstance(thing, Tensor):
            self._tensor(thing)
        elif isinstance(thing, np.ndarray):
            self._array(thing)
        elif isinstance(thing, np.random.Generator):
            self._bits(thing.bit_generator)
        elif isinstance(thing, np.random.RandomState):
            before = thing.get_state()
            self._undo.append(lambda: thing.set_state(before))
        elif isinstance(thing, (list, tuple)):
            self._items(thing, depth)
        elif isinstance(thing, dict):
            self._entries(thing, frozenset(), depth)
        elif isinstance(thing, Module):
            self._entries(vars(thing), FORGOTTEN, depth)
        elif isinstance(thing, Optimizer):
            self._undo.extend(flat.undo() for flat in thing.flats())
            self._entries(vars(thing), DERIVED, depth)
        elif isinstance(thing, MethodType):
            self._visit(thing.__self__, depth + 1)
            self._visit(thing.__func__, depth + 1)
        elif isinstance(thing, FunctionType):
            self._function(thing, depth)
        elif not isinstance(thing, type) and not _is_library(_file_of(type(thing))):
            self._entries(_own_dict(thing), frozenset(), depth)

    def _parameter(self, parameter: Parameter) -> None:
        values, gradients, has_grad = parameter._data.copy(), parameter._grad.copy(), parameter.status.has_grad

        def undo():
            if not (_equal(parameter._data, values) and _equal(parameter._grad, gradients)):
                parameter._data[...], parameter._grad[...] = values, gradients
                parameter.status.advance()
            parameter.status.has_grad = has_grad

        self._undo.append(undo)

    def _tensor(self, tensor: Tensor) -> None:
        data, values, grad = tensor._data, tensor._data.copy(), tensor.grad

        def undo():
            tensor._data, tensor.grad = data, grad
            if data.flags.writeable:
                data[...] = values

        self._undo.append(undo)

    def _array(self, array: np.ndarray) -> None:
        if array.flags.writeable and not array.dtype.hasobject:
            values = array.copy()
            self._undo.append(lambda: np.copyto(array, values))

    def _bits(self, generator: Any) -> None:
        before = generator.state

        def undo():
            generator.state = before

        self._undo.append(undo)

    def _items(self, things: list | tuple, depth: int) -> None:
        before = list(things)
        if isinstance(things, list):
            def undo():
                if not _same(things, before):
                    things[:] = before

            self._undo.append(undo)
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

        self._undo.append(undo)
        for value in before.values():
            self._visit(value, depth + 1)

    def _function(self, function: FunctionType, depth: int) -> None:
        """What a function of the user's names: its closure, its globals, the functions that it calls."""
        if _is_library(function.__code__.co_filename):
            return
        for cell in function.__closure__ or ():
            try:
                self._visit(cell.cell_contents, depth + 1)
            except ValueError:  # not yet assigned
                continue
        for name in _names(function):
            if name in function.__globals__:
                self._visit(function.__globals__[name], depth + 1)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(value, depth + 1)


def put_back_if_refused(recorder, *things: Any) -> None:
    """Put these back if the recording fails, so that the function can then run plain, with the same bits."""
    with unseen():  # this is not a part of the function
        recorder.undo.append(Snapshot(*things).put_back)


def _same(these, those) -> bool:
    """Whether two collections hold the same objects, in the same order."""
    these, those = list(these), list(those)
    return len(these) == len(those) and all(a is b for a, b in zip(these, those, strict=True))


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit by bit, so that NaN equals NaN and zeros differ by their sign."""
    return a.tobytes() == b.tobytes()
