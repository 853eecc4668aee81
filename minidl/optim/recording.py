"""record: runs an update rule once on symbols, for the operations of a chain and for what the rule depends on.

A rule may depend on its operands, its settings and the number of the step, all of which are symbols; and on its
code, on names of its module and on attributes of its optimizer. These are noted with their values, as guards that
are compared before the chain runs. A rule that reads anything else (a module, a list, an array of its own, a clock,
a generator of random numbers) is refused, and runs as Python.
"""
from __future__ import annotations

import builtins
import dis
import math
import sys
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, NamedTuple

from ..collector import without_collector
from ..kernels.memory import ABSENT
from . import functions, symbols
from .symbols import Array, NotRecordable, Number, Symbol, Trace

BUILTINS = {abs, len, min, max, sum, range, enumerate, zip, super, reversed, float, int, bool, tuple}
OURS = (vars(functions), vars(symbols), globals())  # namespaces whose functions need no guards
ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"}
REFUSED = {"IMPORT_NAME", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_SUBSCR", "DELETE_SUBSCR", "YIELD_VALUE",
           "PUSH_EXC_INFO"}  # of try and with
NOTHING = object()


class Recording(NamedTuple):
    """The recording of a rule."""

    trace: Trace
    outputs: dict[int, tuple[str, int]]  # index of an array (w, g, the state) -> the operand that is its new value
    kinds: tuple                         # the settings that are not numbers
    names: list[tuple[dict | None, str, Any]]  # (namespace, or None for the optimizer's own; name; value or ABSENT)


def numbers(settings: dict[str, Any]) -> list[float]:
    """The floats among the settings, in order."""
    flat = [value if type(value) is tuple else (value,) for value in settings.values()]
    return [x for values in flat for x in values if type(x) is float]


def kinds(settings: dict[str, Any]) -> tuple:
    """The settings without their floats, in order: where two are equal, so is the position of each float."""
    def kind(value: Any) -> Any:
        if type(value) is tuple:
            return tuple(map(kind, value))
        return float if type(value) is float else (type(value), value)

    return tuple((name, kind(value)) for name, value in settings.items() if name != "params")


def constant(value: Any) -> bool:
    """Whether this never changes."""
    if type(value) is tuple:
        return all(map(constant, value))
    return value is None or type(value) in (int, float, bool, str)


class Settings:
    """The settings of a group as symbols, and ``step``."""

    def __init__(self, trace: Trace, settings: dict[str, Any], step: int):
        places = iter(range(len(numbers(settings))))

        def symbol(value: Any) -> Any:
            if type(value) is tuple:
                return tuple(map(symbol, value))
            return trace.number(("setting", next(places)), value) if type(value) is float else value

        for name, value in settings.items():
            if name != "params":
                vars(self)[name] = symbol(value)
        vars(self)["step"] = trace.number(("step",), float(step))

    def __setattr__(self, name: str, value: Any) -> None:
        raise NotRecordable(f"the setting {name} is written")


class State:
    """The state as symbols; what is written there is the state after the update."""

    def __init__(self, trace: Trace, names: tuple[str, ...]):
        vars(self).update({name: trace.array("place", 2 + i) for i, name in enumerate(names)})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self):
            raise NotRecordable(f"the state has no {name}")
        vars(self)[name] = value


class Self:
    """The optimizer as its rule sees it: its methods run on it, and other attributes that are read are noted."""

    def __init__(self, optimizer: Any, watch: Watch):
        vars(self).update(_optimizer=optimizer, _watch=watch)

    @property  # type: ignore[misc]
    def __class__(self):
        return type(vars(self)["_optimizer"])  # for super()

    def __getattr__(self, name: str) -> Any:
        optimizer, watch = vars(self)["_optimizer"], vars(self)["_watch"]
        own = vars(optimizer)
        if name in own:
            watch.note(None, name, own[name])
            return own[name]
        watch.note(None, name, NOTHING)
        for kind in type(optimizer).__mro__:
            found = vars(kind).get(name, NOTHING)
            if isinstance(found, FunctionType):
                return MethodType(found, self)
            if isinstance(found, staticmethod) and isinstance(found.__func__, FunctionType):
                return found.__func__
            if constant(found):
                return found
            if found is not NOTHING:
                break
        raise NotRecordable(f"the attribute {name} of the optimizer")

    def __setattr__(self, name: str, value: Any) -> None:
        raise NotRecordable(f"the attribute {name} of the optimizer is written")


@lru_cache(maxsize=256)
def looked_up(code: CodeType) -> dict[str, bool]:
    """The global names that the code reads, and whether it reads an attribute of their values.

    Raises NotRecordable for code that is refused in any context.
    """
    names: dict[str, bool] = {}
    if set(code.co_freevars) - {"__class__"}:
        raise NotRecordable(f"{code.co_name} uses names of a function around it")
    for before, instruction in pairwise(dis.get_instructions(code)):
        if instruction.opname in REFUSED:
            raise NotRecordable(f"{code.co_name} does {instruction.opname}")
        if instruction.opname == "LOAD_GLOBAL":
            names.setdefault(instruction.argval, False)
        if instruction.opname in ATTRIBUTES:
            if instruction.argval.startswith("__"):
                raise NotRecordable(f"{code.co_name} reads {instruction.argval}")
            if before.opname == "LOAD_GLOBAL":
                names[before.argval] = True
    return names


class Watch:
    """Notes the names that a rule reads while it runs, and stops it before it does what cannot be guarded."""

    def __init__(self) -> None:
        self.names: list[tuple[dict | None, str, Any]] = []
        self.refusal: str | None = None

    def note(self, namespace: dict | None, name: str, value: Any) -> None:
        if not (value is NOTHING or constant(value) or isinstance(value, FunctionType) or value is math):
            raise NotRecordable(f"it looks at {name}, of type {type(value).__name__}")
        self.names.append((namespace, name, ABSENT if value is NOTHING else value))

    def event(self, frame: FrameType, event: str, what: Any) -> None:
        """Called by the interpreter for each call."""
        if self.refusal is not None or any(frame.f_globals is ours for ours in OURS):
            return
        try:
            if event == "call":
                self._entered(frame)
            elif event == "c_call" and what not in BUILTINS and getattr(what, "__module__", None) != "math":
                raise NotRecordable(f"{frame.f_code.co_name} calls {getattr(what, '__qualname__', what)}")
        except NotRecordable as error:
            self.refusal = str(error)  # in case the rule catches the error
            raise

    def _entered(self, frame: FrameType) -> None:
        for name in frame.f_code.co_varnames[:frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]:
            value = frame.f_locals.get(name)
            if not (name.startswith(".") or constant(value)
                    or isinstance(value, (Symbol, Settings, State, FunctionType))
                    or type(value) is Self or type(value) is tuple):
                raise NotRecordable(f"{frame.f_code.co_name} is given a {type(value).__name__}")
        for name, attribute_read in looked_up(frame.f_code).items():
            if name in frame.f_globals:
                value = frame.f_globals[name]
                if attribute_read and value is not math:
                    raise NotRecordable(f"{frame.f_code.co_name} reads an attribute of {name}")
                if isinstance(value, type) and value in BUILTINS:
                    self.names.append((frame.f_globals, name, value))
                else:
                    self.note(frame.f_globals, name, value)
            elif getattr(builtins, name, None) in BUILTINS:
                self.names.append((frame.f_globals, name, ABSENT))
                self.names.append((vars(builtins), name, getattr(builtins, name)))
            else:
                raise NotRecordable(f"{frame.f_code.co_name} names {name}")


def record(optimizer: Any, settings: dict[str, Any], names: tuple[str, ...], step: int) -> Recording:
    """The rule of this optimizer, with these settings and names of the state, at this step.

    Raises NotRecordable, or whatever the rule raises.
    """
    if not all(constant(value) for name, value in settings.items() if name != "params"):
        raise NotRecordable("a setting may change unseen")
    trace, watch = Trace(), Watch()
    rule = type(optimizer).formula
    if not isinstance(rule, FunctionType):
        raise NotRecordable("formula is not a method")
    if "formula" in vars(optimizer):
        raise NotRecordable("formula is an attribute of the optimizer")
    watch.note(None, "formula", NOTHING)
    me, state = Self(optimizer, watch), State(trace, names)
    given = trace.array("place", 0), trace.array("place", 1), state, Settings(trace, settings, step)
    with without_collector():
        before = sys.getprofile()
        sys.setprofile(watch.event)
        try:
            moved = rule(me, *given)
        finally:
            sys.setprofile(before)
    if watch.refusal is not None:
        raise NotRecordable(watch.refusal)
    outputs = {}
    for place, value in [(0, moved), *((2 + i, vars(state)[name]) for i, name in enumerate(names))]:
        if type(value) in (int, float):
            value = trace.constant(value)
        if not isinstance(value, (Array, Number)):
            raise NotRecordable(f"it gives a {type(value).__name__}")
        outputs[place] = given[0].operand(value)
    return Recording(trace, outputs, kinds(settings), watch.names)
