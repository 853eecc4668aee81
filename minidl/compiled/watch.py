"""What a recorded function reads besides its arguments: found while it runs, and guarded afterwards.

While the function is recorded, a profiler notes which Python functions run. The names in their code are
looked up: globals, variables of enclosing functions, attributes of the objects found so, items of
lists and dictionaries. Each becomes a guard: if another object is there at a later call, the step is
recorded anew. An array found so is read where it lies, if an operation reads it; one that only Python
reads is guarded by its content. An array that is not found anywhere was made by the function itself, outside
minidl, and would stay what it was at the recording.
"""
from __future__ import annotations

import collections
import contextvars
import functools
import gc
import os
import random as python_random
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from .. import random as own_random
from ..autograd.parameter import Parameter
from ..autograd.tape import active_recorder
from ..autograd.tensor import Tensor
from ..kernels.ledger import owner_of
from ..kernels.replay import Guards, Profiler, ReplayedCall
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .errors import CaptureError
from .recorder import Recorder
from .streams import global_stream, told_state

OWN = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
NN = f"{OWN}{os.sep}nn{os.sep}"
FORGOTTEN = frozenset(("saved", "_predictors", "_kernels", "_coding"))  # attributes of modules that steer nothing
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype)
SETTINGS = frozenset(("param_groups", "lr", "defaults", "state", "state_dict", "flats", "get_last_lr"))
OF_GLOBALS = frozenset((  # the instructions that name one; in a class body it may be a name of the class
    "LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "STORE_NAME", "DELETE_NAME",
    "LOAD_FROM_DICT_OR_GLOBALS"))
DEPTH = 12  # of objects within objects that are looked through


class Watch:
    """Run as ``with Watch(function, arguments) as watch:`` around the recording, which ``recorder`` receives.

    guards : what must be unchanged before a replay. effects : what the function must not change, besides.
    """

    def __init__(self, function, objects=()):
        self.function, self.arguments = function, objects
        self.recorder = Recorder(self.knows, self._resting)
        self.codes: dict[CodeType, dict] = {}  # with their globals
        self.functions: set[CodeType] = set()
        self.nested: set[CodeType] = set()  # of functions that are made anew at each call
        self.modules: list[tuple[Module, set]] = []  # with the names of their attributes
        self.seen: dict[int, Any] = {}  # all that was found, by its id
        self.arrays: dict[int, tuple[np.ndarray, tuple]] = {}  # arrays among it, with what they held
        self.caches: list = []
        self.guards, self.effects = Guards(), Guards()
        self.streams: dict[Any, Callable[[], Any]] = {}  # of random numbers: where they are
        self.again = False  # it ran before: what the same code names need not be looked up
        self._guarded: set[tuple] = set()
        self._profiler = Profiler(_interest, self._called, self._called_in_c)

    def renewed(self) -> bool:
        """Get ready to watch the function once more; False, if what was found has changed since, of whatever kind."""
        for guards, whatever in ((self.guards, False), (self.effects, True)):
            while (i := guards.changed()) >= 0:
                if not guards.renew(i, whatever):
                    return False
        if any(vars(module).keys() - names - FORGOTTEN for module, names in self.modules):
            return False
        self.arrays = {key: (array, _content(array)) for key, (array, _) in self.arrays.items()}
        snapshot, self.recorder, self.again = self.recorder.snapshot, Recorder(self.knows, self._resting), True
        self.recorder.snapshot = snapshot
        for key, state in self.streams.items():
            self.recorder.stream(key, state)
        return True

    def __enter__(self) -> Watch:
        if not self.again:
            self._stream("numpy", global_stream)
            self.effects.name(vars(own_random), "_stream", "minidl's own stream of random numbers (manual_seed)")
            self._stream("own", lambda: told_state(own_random.generator()))
            self._visit_entry()
        self._before, self._caller = sys.getprofile(), sys._getframe(1).f_code
        self._profiler.begin(self.again)
        return self

    def __exit__(self, *exception) -> None:
        if self._before is None or callable(self._before):
            sys.setprofile(self._before)
        else:
            self._before.enable()  # cProfile's, which is no function

    @contextmanager
    def _resting(self):
        """Within it nobody is told of calls: of what is called in its place, or does what it did before."""
        sys.setprofile(None)
        try:
            yield
        finally:
            self._profiler.begin(self.again)

    def _stream(self, key, state: Callable[[], Any]) -> None:
        self.streams[key] = state
        self.recorder.stream(key, state)

    def _visit_entry(self) -> None:
        """Look up what the function that is recorded names, and what its arguments are."""
        function = self.function
        while isinstance(function, (MethodType, functools.partial)):
            if isinstance(function, functools.partial):
                self._visit_object((*function.args, *function.keywords.values()), frozenset())
                function = function.func
            else:
                names = _names(function.__func__) if isinstance(function.__func__, FunctionType) else ()
                self._visit_object(function.__self__, frozenset(names))
                self._visit_class(type(function.__self__), frozenset(names), 0)
                function = function.__func__
        if isinstance(function, FunctionType):
            self._visit_function(function)
        else:
            self._visit_object(function, frozenset(("forward", "__call__")))
        names = _names(function) if isinstance(function, FunctionType) else frozenset()
        for value in self.arguments:
            self._visit_object(value, names)

    # While it runs

    def _called(self, frame: FrameType) -> bool:
        """Look up what the code of a function that begins names; whether it did."""
        if active_recorder() is None:  # within a function that is called in its place
            return False
        code = frame.f_code
        own = code.co_filename.startswith(OWN)
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        made = code.co_name == "__init__"  # by the function itself: no call finds it
        if own:  # minidl's own: only the settings of its modules matter
            if isinstance(first, Module) and not made:
                self._visit_object(first, frozenset())
            return True
        self.recorder.own = False
        self._visit_code(code, frame.f_globals)
        if code.co_freevars and code not in self.functions and code not in self.nested:
            for function in gc.get_referrers(code):
                if isinstance(function, FunctionType) and function.__code__ is code:
                    self._visit_function(function)
        names = _code_names(code)
        if not made and (isinstance(first, Module) or id(first) in self.seen):
            self._visit_object(first, names)
        if not isinstance(first, (*PLAIN, Tensor, np.ndarray)):  # a class is read through what was just made of it, too
            kind = first if isinstance(first, type) else type(first)
            if self._new("class", id(kind), names):
                self.seen[id(kind)] = kind
                self._visit_class(kind, names, 0)
        return True

    def _called_in_c(self, frame: FrameType, function) -> None:
        if active_recorder() is None:
            return
        owner = getattr(function, "__self__", None)
        if isinstance(owner, contextvars.ContextVar):
            if self._new("value", id(owner)):
                self.guards.value(owner.get, f"the variable {owner.name!r} of the context")
            return
        kind = type(owner).__module__ or ""
        impure = (owner is time or getattr(function, "__module__", "") == "time"
                  or isinstance(owner, python_random.Random) or kind.startswith("numpy.random"))
        if impure and not frame.f_code.co_filename.startswith(OWN):
            name = f"{owner.__name__ if isinstance(owner, ModuleType) else kind}.{function.__name__}"
            raise CaptureError(
                f"capture: the function asks {name} for a value, which would stay the same at each later call: give "
                "it as an argument, or draw with minidl (minidl.randn, Dropout)")

    # What the text names

    def _visit_function(self, function: FunctionType) -> None:
        code = function.__code__
        if code in self.functions:
            return
        self.functions.add(code)
        names = _names(function)
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            self.guards.attribute(function, name, f"the {name.strip('_')} of {function.__qualname__}")
        self._visit_code(code, function.__globals__)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit_object(value, names)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            text = f"the variable {name!r} of an enclosing function"
            try:
                value = cell.cell_contents
            except ValueError:  # not yet assigned
                if self._new("cell", id(cell)):
                    self.guards.value(functools.partial(is_assigned, cell), text)
                continue
            if self._new("cell", id(cell)):
                self.guards.cell(cell, text)
            self._visit_object(value, names)

    def _visit_code(self, code: CodeType, namespace: dict) -> None:
        if code in self.codes:
            return
        self.codes[code] = namespace
        self.nested.update(_inside(code))
        names = _code_names(code)
        for name in _global_names(code):
            if self._new("name", id(namespace), name):
                self.guards.name(namespace, name, f"the global {name!r}")
            if name in namespace:
                self._visit_object(namespace[name], names)
        if names & {"environ", "getenv"} and self._new("value", "environ"):
            self.guards.value(lambda: dict(os.environ), "the environment")

    def _visit_object(self, value, names: frozenset, depth: int = 0) -> None:
        """Guard what is read through an object by code that uses these names."""
        if isinstance(value, PLAIN) or depth > DEPTH:
            return
        if not self._new("visit", id(value), names if not isinstance(value, (list, tuple, np.ndarray)) else None):
            return
        self.seen[id(value)] = value
        text = type(value).__name__
        if isinstance(value, Tensor):
            self._visit_tensor(value)
        elif isinstance(value, np.ndarray):
            self.arrays.setdefault(id(value), (value, _content(value)))
        elif isinstance(value, (tuple, list)):
            if type(value) is list:
                self.guards.items(value, f"the items of a {text}")
            elif isinstance(value, list):  # whose class may iterate otherwise
                items = list(value)
                self.guards.value(lambda: [id(item) for item in value], f"the items of a {text}")
                self.seen[id(items)] = items  # which keeps them alive, and their ids theirs
            for item in value:
                self._visit_object(item, names, depth + 1)
            if hasattr(value, "_fields"):
                self._visit_class(type(value), names, depth)
        elif isinstance(value, dict):
            self._visit_dict(value, names, depth, f"an item of a {text}")
        elif isinstance(value, (set, frozenset, collections.deque)):
            items = list(value)
            self.guards.value(lambda: [id(item) for item in value], f"the items of a {text}")
            self.seen[id(items)] = items  # which keeps them alive, and their ids theirs
            for item in items:
                self._visit_object(item, names, depth + 1)
        elif isinstance(value, FunctionType):
            if not _is_library(value.__code__.co_filename):
                self._visit_function(value)
                for name in (names | _names(value)) & vars(value).keys():
                    self._visit_name(vars(value), name, names, depth, f"{value.__qualname__}.{name}")
        elif isinstance(value, MethodType):
            self._visit_object(value.__self__, names | _names(value.__func__), depth + 1)
            self._visit_object(value.__func__, names, depth + 1)
        elif isinstance(value, functools.partial):
            self._visit_object((value.func, *value.args, *value.keywords.values()), names, depth + 1)
        elif isinstance(value, Optimizer):
            self._visit_optimizer(value, names)
        elif isinstance(value, ModuleType):
            self._visit_python_module(value, names, depth)
        elif isinstance(value, type):
            self._visit_class(value, names, depth)
            self._visit_class(type(value), names, depth)
        elif isinstance(value, (np.random.Generator, np.random.RandomState)):
            self._stream(id(value), lambda: told_state(value))
        elif isinstance(value, (BuiltinFunctionType, np.ufunc, ReplayedCall, contextvars.ContextVar)):
            pass
        elif hasattr(type(value), "__next__"):
            raise CaptureError(f"capture: the function uses a {text} from outside, which each call moves on: give "
                               "what it yields as an argument")
        else:
            if isinstance(value, functools._lru_cache_wrapper):
                self.caches.append(value)
            wrapped = _own_dict(value).get("__wrapped__")
            if wrapped is not None:
                self._visit_object(wrapped, names, depth + 1)
            self._visit_instance(value, names, depth)

    def _visit_instance(self, value, names: frozenset, depth: int) -> None:
        text, own = type(value).__name__, _own_dict(value)
        if self._new("class of", id(value)):
            self.guards.kind(value, f"the class of a {text}")
        if isinstance(value, Module):
            self._visit_module(value, names, depth)
        elif isinstance(value, SimpleNamespace) or not _is_library(_file_of(type(value))):
            self._visit_dict(own, names, depth, text)
        else:  # a library's: what the function names of it
            for name in names & own.keys():
                self._visit_name(own, name, names, depth, f"{text}.{name}")
            if "get_last_lr" in names and isinstance(own.get("optimizer"), Optimizer):  # whose rates a schedule tells
                self._visit_object(own["optimizer"], names, depth + 1)
        slots = [name for kind in type(value).__mro__ for name in _slots_of(kind)] if not isinstance(
            value, Module) else ()
        for name in slots:
            if name not in ("__dict__", "__weakref__"):
                if self._new("slot", id(value), name):
                    self.guards.attribute(value, name, f"{text}.{name}")
                if _has_slot(value, name):
                    self._visit_object(getattr(value, name), names, depth + 1)
        self._visit_class(type(value), names, depth)

    def _visit_module(self, module: Module, names: frozenset, depth: int) -> None:
        own, text = vars(module), type(module).__name__
        in_place = module.defines_backward and not module.by_operations and not _is_library(_file_of(type(module)))
        for name in ("training", "forward", "backward", *sorted(names)):  # also those that are not there yet
            if name not in own and self._new("name", id(own), name):
                self.guards.name(own, name, f"{text}.{name}")
        if in_place:  # it is called in its place: only its parameters must be known
            for parameter in module.parameters():
                self._visit_object(parameter, frozenset())
            return
        steering = [name for name in own if name not in FORGOTTEN]
        if self._new("attributes", id(module)):
            self.modules.append((module, set(steering)))
        for name in steering:
            self._visit_name(own, name, names, depth, f"{text}.{name}")
        self._visit_class(type(module), names | {"forward", "backward", "__call__", "training"}, depth)

    def _visit_class(self, kind: type, names: frozenset, depth: int) -> None:
        for base in kind.__mro__:
            if base.__module__ != "__main__" and (_is_library(_file_of(base)) or base is object):
                continue
            own = _dict_of(base)
            if own is not None and self._new("size", id(own)):  # also those that are not there yet
                self.guards.size(own, f"the attributes of the class {base.__name__}")
            for name in names & vars(base).keys():
                member = vars(base)[name]
                if name in _slots_of(base):
                    continue
                for above in kind.__mro__[:kind.__mro__.index(base) + 1]:  # one above might come to hide it
                    own = _dict_of(above)
                    if own is not None and self._new("name", id(own), name):
                        self.guards.name(own, name, f"{above.__name__}.{name}")
                if not isinstance(member, (FunctionType, property, staticmethod, classmethod)):
                    self._visit_object(member, names, depth + 1)

    def _visit_dict(self, value: dict, names: frozenset, depth: int, text: str) -> None:
        if self._new("size", id(value)):
            self.guards.size(value, f"the keys of {text}")
            if isinstance(value, collections.OrderedDict):
                self.guards.value(lambda: list(value), f"the order of {text}")
        for key in list(value):
            self._visit_object(key, names, depth + 1)
            self._visit_name(value, key, names, depth, f"{text}[{key!r}]")

    def _visit_name(self, namespace: dict, name, names: frozenset, depth: int, text: str) -> None:
        if self._new("name", id(namespace), name):
            self.guards.name(namespace, name, text)
        self._visit_object(namespace[name], names, depth + 1)

    def _visit_python_module(self, module: ModuleType, names: frozenset, depth: int) -> None:
        own = vars(module)
        if own.get("__name__", "").split(".")[0] == own_random.__name__.split(".")[0]:
            if "get_num_threads" in names and "get_num_threads" in own and self._new("value", "threads"):
                self.guards.value(own["get_num_threads"], "the number of threads")
            return
        if _is_library(getattr(module, "__file__", None) or "") or module.__name__ in sys.builtin_module_names:
            return
        for name in names:
            if name in own:
                self._visit_name(own, name, names, depth, f"{module.__name__}.{name}")
            elif self._new("name", id(own), name):
                self.guards.name(own, name, f"{module.__name__}.{name}")

    def _visit_tensor(self, value: Tensor) -> None:
        if isinstance(value, Parameter):
            self.seen[id(value.store.values)] = value.store.values
            self.seen[id(value.store.gradients)] = value.store.gradients
            self.guards.trained(value.status, f"whether {value.described()} is trained")
        else:
            self.guards.attribute(value, "_data", "the array of a Tensor")
            self.guards.attribute(value, "requires_grad", "whether a Tensor requires a gradient")
            self.seen[id(value._data)] = value._data

    def _visit_optimizer(self, value: Optimizer, names: frozenset) -> None:
        self.guards.name(vars(value), "param_groups", "the groups of an optimizer")
        self.guards.items(value.param_groups, "the groups of an optimizer")
        if "defaults" in names:
            self._visit_dict(value.defaults, names, 0, f"{type(value).__name__}'s defaults")
        for group in value.param_groups:
            self.guards.name(group, "params", "the parameters of a group")
            self.guards.items(group["params"], "the parameters of a group")
            settings = self.guards if names & SETTINGS else self.effects
            for name in group:
                if name != "params":
                    settings.name(group, name, f"{type(value).__name__}'s {name}")
            for parameter in group["params"]:
                self._visit_object(parameter, frozenset())

    def _new(self, *key) -> bool:
        if key in self._guarded:
            return False
        self._guarded.add(key)
        return True

    # Afterwards

    def knows(self, array: np.ndarray) -> bool:
        """Whether the function finds the array, or one whose memory it views, at each call."""
        if self._found(array):
            return True
        if self.again:  # the same code may have found other objects: look up anew all that it names
            self._look_again()
        return self.again and self._found(array)

    def _found(self, array: np.ndarray) -> bool:
        owner: Any = array
        while isinstance(owner, np.ndarray):
            if id(owner) in self.seen:
                return True
            owner = owner.base
        return False

    def _look_again(self) -> None:
        codes = self.codes
        self._guarded, self.codes, self.functions, self.nested = set(), {}, set(), set()
        self._visit_entry()
        for code, namespace in codes.items():
            self._visit_code(code, namespace)
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code is not self._caller:
            if _interest(frame.f_code) & 1:
                self._called(frame)
            frame = frame.f_back

    def end(self) -> None:
        """CaptureError if the function itself changed what it reads."""
        for guards in (self.guards, self.effects):
            i = guards.changed()
            if i >= 0:
                self._refuse(guards.text(i))
        for module, names in self.modules:
            new = vars(module).keys() - names - FORGOTTEN
            if new:
                self._refuse(f"{type(module).__name__}.{min(new)}")
        used = self.recorder.roots
        for array, content in self.arrays.values():
            if id(owner_of(array)) not in used and _content(array) != content:
                self._refuse("the elements of an array")

    def settled(self) -> Guards:
        """Guards of what only the end of the recording tells: the arrays that were found, gradients, caches."""
        guards, used = Guards(), self.recorder.roots
        for cache in self.caches:
            guards.value(lambda cache=cache: cache.cache_info()[1::2], f"the cache of {cache.__name__}")
        for array, _ in self.arrays.values():
            if id(owner_of(array)) not in used and type(array) is np.ndarray and array.dtype != object:
                guards.content(array, "the elements of an array")
        for root in used.values():
            if root.key[0] == "outside" and type(root.array) is np.ndarray:
                guards.place(root.array, "where an array lies")
        for parameter, flag in self.recorder.queried.values():
            guards.reached(parameter.status, flag, f"whether {parameter.described()} has a gradient")
        return guards

    def _refuse(self, text: str) -> None:
        raise CaptureError(
            f"capture: the function changes {text}, which it reads: a later call would not do so. Keep such state in "
            "a Tensor that it changes in place, return it, or change it outside the step")


def _content(array: np.ndarray) -> tuple:
    return array.shape, array.dtype, array.tobytes()


def _dict_of(kind: type) -> dict | None:
    """The dictionary behind the attributes of a class, of which Python shows a proxy."""
    return next((found for found in gc.get_referents(vars(kind)) if type(found) is dict), None)


def _interest(code: CodeType) -> int:
    """What of a piece of code is looked at: 1 that it is called, 2 what it calls in C."""
    file = code.co_filename
    if file.startswith(OWN):  # of minidl's own: the methods of modules, for their settings
        return int(file.startswith(NN) and code.co_argcount > 0 and code.co_varnames[0] == "self")
    if file.startswith(_libraries()):
        return 2 if file == python_random.__file__ else 0
    return 3


@functools.cache
def _libraries() -> tuple[str, ...]:
    """The folders of Python's own modules and of installed ones."""
    import sysconfig  # here: it takes longer than many of minidl's modules together
    return tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_library(file: str) -> bool:
    return file.startswith(_libraries()) or file.startswith(OWN)


def _file_of(kind: type) -> str:
    """The file that a class comes from; for a built-in one minidl's folder, which counts as a library."""
    module = sys.modules.get(kind.__module__)
    if module is None:
        return ""
    return getattr(module, "__file__", None) or (OWN if kind.__module__ in sys.builtin_module_names else "")


def is_assigned(cell) -> bool:
    """Whether a variable of an enclosing function has a value."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _has_slot(value, name: str) -> bool:
    try:
        object.__getattribute__(value, name)
    except AttributeError:
        return False
    return True


def _own_dict(value) -> dict:
    """The attributes of an object, without a call of its class's own __getattribute__."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return own if isinstance(own, dict) else {}


def _slots_of(kind: type) -> tuple:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _names(function) -> frozenset[str]:
    """The names in the code of a function."""
    code = getattr(function, "__code__", None)
    return frozenset() if code is None else _code_names(code)


def _inside(code: CodeType) -> list[CodeType]:
    """The pieces of code inside another: its functions and comprehensions."""
    found = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return found + [inner for constant in found for inner in _inside(constant)]


@functools.lru_cache(1024)
def _code_names(code: CodeType) -> frozenset[str]:
    """The names in a piece of code and in the functions inside it, and texts that might be names of attributes."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _code_names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            found.add(constant)
    return frozenset(found)


@functools.lru_cache(1024)
def _global_names(code: CodeType) -> frozenset[str]:
    """Those of the names in a piece of code that may be globals: not the attributes, ``values`` in ``x.max(1).values``.

    A text may be one, too, as in ``globals()["scale"]``.
    """
    import dis  # here: few need it

    found = {instruction.argval for instruction in dis.get_instructions(code) if instruction.opname in OF_GLOBALS}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _global_names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            found.add(constant)
    return frozenset(found)
