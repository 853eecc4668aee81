"""Symbols: the arguments of an update rule while it is recorded. Each operation on them is written to a trace.

A Number stands for a setting, the number of the step, or what is computed from them. It has a value, so that the
rule may branch on it; the branch is traced, too. An Array stands for the values, the gradients or an array of the
state, or what is computed from them, and has no value. An operation that symbols do not have raises, and the rule
then runs as Python.
"""
from __future__ import annotations

import math
from typing import Any

Node = tuple  # (operation, operand, ...)


class NotRecordable(TypeError):
    """The rule does something that a chain cannot do."""


class Trace:
    """The trace of a rule: numbers and arrays, each once, and the comparisons that the rule branched on."""

    def __init__(self) -> None:
        self.numbers: dict[Node, int] = {}   # (rule, operands) -> its place; operands are places of numbers
        self.arrays: dict[Node, int] = {}    # (operation, operands); operands are ("number" | "array", place)
        self.guards: dict[tuple[str, int, int], bool] = {}

    def constant(self, value: float) -> Number:
        # repr, since 0.0 and -0.0 are equal, and NaN is not
        return self.number(("constant", repr(float(value))), float(value))

    def number(self, node: Node, value: float) -> Number:
        return Number(self, self.numbers.setdefault(node, len(self.numbers)), value)

    def array(self, *node: Any) -> Array:
        return Array(self, self.arrays.setdefault(node, len(self.arrays)))

    def condition(self, *node: Any) -> Condition:
        return Condition(self, self.arrays.setdefault(node, len(self.arrays)))


def _plain(x: Any) -> bool:
    """Whether this is a Python number."""
    return type(x) in (int, float, bool)


class Symbol:
    """The base of all symbols."""

    __slots__ = ("place", "trace")
    __array_ufunc__ = None  # NumPy leaves operators to us
    __hash__ = None  # type: ignore[assignment]
    is_number = False

    def __init__(self, trace: Trace, place: int):
        self.trace, self.place = trace, place

    def operand(self, x: Any) -> tuple[str, int]:
        """x as an operand of an operation on arrays."""
        if _plain(x):
            x = self.trace.constant(x)
        if not isinstance(x, Symbol) or x.trace is not self.trace:
            raise NotRecordable(f"an operand of type {type(x).__name__}")
        return ("number" if x.is_number else "array"), x.place

    def apply(self, name: str, *operands: Any) -> Any:
        """The operation of this name on arrays and numbers."""
        return self.trace.array(name, *map(self.operand, operands))

    def refuse(self, *_: Any) -> Any:
        raise NotRecordable(f"a value is read out of a symbol, or a {type(self).__name__} is changed in place")

    __array__ = __bool__ = __float__ = __int__ = __complex__ = __index__ = __round__ = __format__ = __str__ = refuse
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __iand__ = __ior__ = __ixor__ = refuse
    __eq__ = __ne__ = __reduce__ = __copy__ = __deepcopy__ = __iter__ = __len__ = __contains__ = refuse


class Arithmetic(Symbol):
    """The operators that numbers and arrays have in common; ``operated`` and ``compared`` say what they mean."""

    __slots__ = ()

    def operated(self, name: str, a: Any, b: Any) -> Any:
        return self.apply(name, a, b)

    def compared(self, relation: str, a: Any, b: Any) -> Any:
        raise NotImplementedError

    def __add__(self, x: Any) -> Any:
        return self.operated("add", self, x)

    def __radd__(self, x: Any) -> Any:
        return self.operated("add", x, self)

    def __sub__(self, x: Any) -> Any:
        return self.operated("subtract", self, x)

    def __rsub__(self, x: Any) -> Any:
        return self.operated("subtract", x, self)

    def __mul__(self, x: Any) -> Any:
        return self.operated("multiply", self, x)

    def __rmul__(self, x: Any) -> Any:
        return self.operated("multiply", x, self)

    def __truediv__(self, x: Any) -> Any:
        return self.operated("divide", self, x)

    def __rtruediv__(self, x: Any) -> Any:
        return self.operated("divide", x, self)

    def __neg__(self) -> Any:
        return self.apply("negative", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.apply("absolute", self)

    def __lt__(self, x: Any) -> Any:
        return self.compared("less", self, x)

    def __gt__(self, x: Any) -> Any:
        return self.compared("less", x, self)

    def __le__(self, x: Any) -> Any:
        return self.compared("at_most", self, x)

    def __ge__(self, x: Any) -> Any:
        return self.compared("at_most", x, self)

    def __eq__(self, x: Any) -> Any:
        return self.compared("equal", self, x)

    __hash__ = None  # type: ignore[assignment]


class Number(Arithmetic):
    """A Python float, with the expression that it came from."""

    __slots__ = ("value",)
    is_number = True

    def __init__(self, trace: Trace, place: int, value: float):
        super().__init__(trace, place)
        self.value = value

    def _of(self, x: Any) -> Number | None:
        """x as a Number; None for what is an array."""
        if isinstance(x, Number):
            return x
        if _plain(x):
            return self.trace.constant(x)
        if isinstance(x, Symbol):
            return None
        raise NotRecordable(f"a number of type {type(x).__name__}")

    def apply(self, name: str, *operands: Any) -> Any:
        numbers = [self.trace.constant(x) if _plain(x) else x for x in operands]
        if name not in COMPUTED or not all(isinstance(x, Number) for x in numbers):
            raise NotRecordable(f"{name} of numbers")
        node = (name, *(x.place for x in numbers))
        return self.trace.number(node, COMPUTED[name](*(x.value for x in numbers)))

    def operated(self, name: str, a: Any, b: Any) -> Any:
        return NotImplemented if self._of(a) is None or self._of(b) is None else self.apply(name, a, b)

    def compared(self, relation: str, a: Any, b: Any) -> Any:
        a, b = self._of(a), self._of(b)
        if a is None or b is None:
            return NotImplemented
        outcome = RELATIONS[relation](a.value, b.value)
        self.trace.guards[relation, a.place, b.place] = outcome
        return outcome

    def __bool__(self) -> bool:
        return not self.compared("equal", self, 0.0)

    def __ne__(self, x: Any) -> Any:
        equal = self.compared("equal", self, x)
        return equal if equal is NotImplemented else not equal

    def __pow__(self, x: Any) -> Any:
        return self.operated("power", self, x)

    def __rpow__(self, x: Any) -> Any:
        return self.operated("power", x, self)

    # Floats are immutable: += is + and =.
    __iadd__, __isub__, __imul__ = Arithmetic.__add__, Arithmetic.__sub__, Arithmetic.__mul__
    __itruediv__, __ipow__ = Arithmetic.__truediv__, __pow__


def _power(a: float, b: float) -> float:
    y = a ** b
    if isinstance(y, complex):
        raise NotRecordable("a power that is complex")
    return y


COMPUTED: dict[str, Any] = {
    "add": float.__add__, "subtract": float.__sub__, "multiply": float.__mul__, "divide": float.__truediv__,
    "power": _power, "negative": float.__neg__, "absolute": float.__abs__, "sqrt": math.sqrt}
CONVERSE = {"less": "greater", "at_most": "not_less"}  # with the operands exchanged
RELATIONS = {"less": float.__lt__, "at_most": float.__le__, "equal": float.__eq__}


class Condition(Symbol):
    """A comparison of arrays, element by element."""

    __slots__ = ()

    def _joined(self, name: str, x: Any) -> Condition:
        if not isinstance(x, Condition):
            raise NotRecordable(f"a condition joined with {type(x).__name__}")
        return self.trace.condition(name, self.operand(self), self.operand(x))

    def __and__(self, x: Any) -> Condition:
        return self._joined("and", x)

    def __or__(self, x: Any) -> Condition:
        return self._joined("or", x)

    def __invert__(self) -> Condition:
        return self.trace.condition("not", self.operand(self))


class Array(Arithmetic):
    """A flat array."""

    __slots__ = ()

    def operand(self, x: Any) -> tuple[str, int]:
        if isinstance(x, Condition):
            raise NotRecordable("arithmetic with a condition")
        return super().operand(x)

    def compared(self, relation: str, a: Any, b: Any) -> Condition:
        if relation == "equal":
            return self.trace.condition(relation, self.operand(a), self.operand(b))
        return self.trace.condition(CONVERSE[relation], self.operand(b), self.operand(a))

    def __ne__(self, x: Any) -> Any:
        return ~self.compared("equal", self, x)

    def __pow__(self, x: Any) -> Any:
        if not _plain(x) or x != 2:
            raise NotRecordable("a power of an array other than its square")
        return self.apply("multiply", self, self)
