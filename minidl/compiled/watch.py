"""What a recorded function reads besides its arguments: found while it runs, and guarded afterwards.

While the function is recorded, a profiler notes which Python functions run. What their text names is looked
up where it stands: globals, variables of enclosing functions, attributes of the objects that they were given,
items of lists and dictionaries. Each becomes a guard: should another object stand there at a later call, the
program is recorded anew. An array found so is read where it lies; one that is not found anywhere was made by
the function itself, outside minidl, and would stay what it was at the recording.
"""
from __future__ import annotations

import gc
import random as python_random
import sys
import sysconfig
import time
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .. import __path__ as _own_path
from ..kernels.replay import Guards
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..autograd.tape import is_in_place
from .errors import CaptureError

OWN = str(Path(next(iter(_own_path))).resolve())
LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
FORGOTTEN = ("saved", "_predictors", "_kernels", "_coding")  # attributes of modules that steer nothing
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype)
DEPTH = 12  # of objects within objects that are looked through


class Watch:
    """Run as ``with Watch(function) as watch:`` around the recording; then ``watch.guard(guards)``."""

    def __init__(self, function):
        self.function = function
        self.codes: dict[CodeType, dict] = {}
        self.functions: dict[CodeType, FunctionType] = {}
        self.nested: set[CodeType] = set()  # of functions that are made anew at each call
        self.modules: list[tuple[Module, set]] = []  # with the names of their attributes
        self.impure: list[str] = []
        self.seen: dict[int, Any] = {}  # ids of all that was found, with what it was: arrays, Tensors, containers
        self.guards = Guards()
        self._guarded: set[tuple] = set()
        self._looked: set[int] = set()

    def __enter__(self) -> Watch:
        function = self.function
        while isinstance(function, MethodType):
            self._visit_object(function.__self__, frozenset(function.__func__.__code__.co_names))
            function = function.__func__
        if isinstance(function, FunctionType):
            self._visit_function(function)
        elif not isinstance(function, MethodType):
            self._visit_object(function, frozenset())
        self._before = sys.getprofile()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *exception) -> None:
        sys.setprofile(self._before)

    # While it runs

    def _event(self, frame: FrameType, event: str, arg) -> None:
        if is_in_place():
            return
        if event == "call":
            self._called(frame)
        elif event == "c_call" and not self.impure:
            self._called_in_c(frame, arg)

    def _called(self, frame: FrameType) -> None:
        code = frame.f_code
        own = code.co_filename.startswith(OWN)
        if not own and code.co_filename.startswith(LIBRARIES):
            return
        values = frame.f_locals
        if own:  # minidl's own: only the settings of its modules matter
            first = values.get("self")
            if isinstance(first, Module):
                self._visit_object(first, frozenset())
            return
        if code not in self.codes:
            self._visit_code(code, frame.f_globals)
        if code.co_freevars and code not in self.functions and code not in self.nested:
            self._find_function(code)
        first = values.get(code.co_varnames[0]) if code.co_argcount else None
        if first is not None and not isinstance(first, (*PLAIN, Tensor, np.ndarray, list, tuple, dict)):
            if isinstance(first, Module):
                self._visit_object(first, frozenset())
            self._visit_class(type(first), frozenset(_names(code)), 0)

    def _called_in_c(self, frame: FrameType, function) -> None:
        owner = getattr(function, "__self__", None)
        kind = type(owner).__module__ or ""
        impure = (owner is time or getattr(function, "__module__", "") == "time"
                  or isinstance(owner, python_random.Random) or kind.startswith("numpy.random"))
        if impure and not frame.f_code.co_filename.startswith(OWN):
            self.impure.append(f"{kind if kind != 'module' else owner.__name__}.{function.__name__}")
            raise CaptureError(
                f"capture: the function asked {self.impure[0]} for a value, which would stay the same at each later "
                "call: give it as an argument, or draw with minidl (minidl.randn, Dropout)")

    def _find_function(self, code: CodeType) -> None:
        """The function of a piece of code, whose cells hold the variables of the functions around it."""
        for function in gc.get_referrers(code):
            if isinstance(function, FunctionType) and function.__code__ is code:
                self._visit_function(function)

    # What the text names

    def _visit_function(self, function: FunctionType) -> None:
        code = function.__code__
        self.functions[code] = function
        self._visit_code(code, function.__globals__)
        names = frozenset(_names(code))
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit_object(value, names)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not yet assigned
                continue
            if self._new("cell", id(cell)):
                self.guards.cell(cell, f"the variable {name!r} of an enclosing function")
            self._visit_object(value, names)

    def _visit_code(self, code: CodeType, namespace: dict) -> None:
        self.codes[code] = namespace
        self.nested.update(_inside(code))
        names = frozenset(_names(code))
        for name in names & namespace.keys():
            if self._new("name", id(namespace), name):
                self.guards.name(namespace, name, f"the global {name!r}")
            self._visit_object(namespace[name], names)

    def _visit_object(self, value, names: frozenset, depth: int = 0) -> None:
        """Guard what is read through an object by code that uses these names."""
        if isinstance(value, PLAIN) or depth > DEPTH:
            return
        key = (id(value), names if not isinstance(value, (Module, list, dict, tuple, np.ndarray)) else None)
        if key in self._looked:
            return
        self._looked.add(key)
        self.seen[id(value)] = value
        text = f"{type(value).__name__}"
        if isinstance(value, Tensor):
            self._visit_tensor(value)
        elif isinstance(value, np.ndarray):
            pass  # read where it lies
        elif isinstance(value, (tuple, set, frozenset)):
            for item in value:
                self._visit_object(item, names, depth + 1)
        elif isinstance(value, list):
            self.guards.items(value, f"the items of a {text}")
            for item in value:
                self._visit_object(item, names, depth + 1)
        elif isinstance(value, dict):
            self._visit_dict(value, names, depth, f"an item of a {text}")
        elif isinstance(value, FunctionType):
            if value.__code__ not in self.functions and not _is_library(value.__code__.co_filename):
                self._visit_function(value)
        elif isinstance(value, MethodType):
            self._visit_object(value.__self__, names | frozenset(_names_of(value.__func__)), depth + 1)
        elif isinstance(value, Optimizer):
            self._visit_optimizer(value)
        elif isinstance(value, ModuleType):
            if not _is_library(getattr(value, "__file__", None) or OWN):
                for name in names & vars(value).keys():
                    self._visit_name(vars(value), name, names, depth, f"{value.__name__}.{name}")
        elif isinstance(value, type):
            self._visit_class(value, names, depth)
        elif isinstance(value, (BuiltinFunctionType, np.ufunc, np.random.Generator)):
            pass
        else:
            self._visit_instance(value, names, depth)

    def _visit_instance(self, value, names: frozenset, depth: int) -> None:
        own = vars(value) if hasattr(value, "__dict__") else None
        text = type(value).__name__
        if isinstance(value, Module):
            self.guards.name(own, "training", f"the mode of a {text}")  # which may stand in the class alone
            steering = [name for name in own if name not in FORGOTTEN]
            self.modules.append((value, set(steering)))
            for name in steering:
                self._visit_name(own, name, names, depth, f"{text}.{name}")
        elif isinstance(own, dict) and not _is_library(getattr(sys.modules.get(type(value).__module__), "__file__", "")
                                                       or ""):
            self._visit_dict(own, names, depth, text)
        for name in getattr(type(value), "__slots__", ()) if own is None else ():
            if isinstance(name, str) and hasattr(value, name):
                self.guards.attribute(value, name, f"{text}.{name}")
                self._visit_object(getattr(value, name), names, depth + 1)
        self._visit_class(type(value), names, depth)

    def _visit_class(self, kind: type, names: frozenset, depth: int) -> None:
        for base in kind.__mro__:
            file = getattr(sys.modules.get(base.__module__), "__file__", None)
            if file is None or file.startswith(OWN) or _is_library(file):
                if base.__module__ != "__main__":
                    continue
            for name in names & vars(base).keys():
                member = vars(base)[name]
                if isinstance(member, (FunctionType, property, staticmethod, classmethod)):
                    continue  # a function is looked at when it runs
                if self._new("class", id(kind), name):
                    self.guards.attribute(kind, name, f"{kind.__name__}.{name}")
                self._visit_object(member, names, depth + 1)

    def _visit_dict(self, value: dict, names: frozenset, depth: int, text: str) -> None:
        if self._new("size", id(value)):
            self.guards.size(value, f"the keys of {text}")
        for key in list(value):
            self._visit_name(value, key, names, depth, f"{text}[{key!r}]")

    def _visit_name(self, namespace: dict, name, names: frozenset, depth: int, text: str) -> None:
        if self._new("name", id(namespace), name):
            self.guards.name(namespace, name, text)
        self._visit_object(namespace[name], names, depth + 1)

    def _visit_tensor(self, value: Tensor) -> None:
        if isinstance(value, Parameter):
            self.seen[id(value.store.values)] = value.store.values
            self.seen[id(value.store.gradients)] = value.store.gradients
            self.guards.trained(value.status, f"whether {value.described()} is trained")
        else:
            self.guards.attribute(value, "_data", "the array of a Tensor")
            self.guards.attribute(value, "requires_grad", "whether a Tensor requires a gradient")
        self.seen[id(value._data)] = value._data

    def _visit_optimizer(self, value: Optimizer) -> None:
        self.guards.name(vars(value), "param_groups", "the groups of an optimizer")
        self.guards.items(value.param_groups, "the groups of an optimizer")
        for group in value.param_groups:
            self.guards.name(group, "params", "the parameters of a group")
            self.guards.items(group["params"], "the parameters of a group")
            for parameter in group["params"]:
                self._visit_object(parameter, frozenset())

    def _new(self, *key) -> bool:
        if key in self._guarded:
            return False
        self._guarded.add(key)
        return True

    # Afterwards

    def knows(self, array: np.ndarray) -> bool:
        """Whether an array, or one whose memory it views, stands where the function finds it at each call."""
        while isinstance(array, np.ndarray):
            if id(array) in self.seen:
                return True
            array = array.base
        return False

    def check_unchanged(self) -> None:
        """CaptureError if the function itself changed what it reads."""
        i = self.guards.changed()
        text = self.guards.text(i) if i >= 0 else ""
        for module, names in self.modules:
            new = vars(module).keys() - names - set(FORGOTTEN)
            text = text or (f"{type(module).__name__}.{min(new)}" if new else "")
        if text:
            raise CaptureError(
                f"capture: the function changes {text}, which it reads: a later call would not do so. "
                "Keep such state in a Tensor that it changes in place, return it, or change it outside the step")


def _is_library(file: str) -> bool:
    return file.startswith(LIBRARIES) or file.startswith(OWN)


def _names_of(function) -> list[str]:
    return _names(function.__code__) if isinstance(function, FunctionType) else []


def _inside(code: CodeType) -> list[CodeType]:
    """The pieces of code that stand inside another: its own functions and comprehensions."""
    found = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return found + [inner for constant in found for inner in _inside(constant)]


def _names(code: CodeType) -> list[str]:
    """What a piece of code names, and the functions that stand inside it."""
    found = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _names(constant)
    return found
