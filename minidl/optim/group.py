"""A parameter group: its parameters, and settings that are checked when they are written."""
from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..autograd.parameter import Parameter

if TYPE_CHECKING:
    from .optimizer import Optimizer


def number(what: str, value: Any) -> float:
    """``value`` as a Python float; TypeError unless it is a real number. "SGD: expected lr" is a ``what``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} to be a real number, got {type(value).__name__}")
    return float(value)


def at_least_zero(what: str, value: Any) -> float:
    """A finite number >= 0."""
    if not 0 <= number(what, value) < math.inf:
        raise ValueError(f"{what} >= 0 and finite, got {value}")
    return float(value)


def fraction(what: str, value: Any) -> float:
    """A number in [0, 1)."""
    if not 0 <= number(what, value) < 1:
        raise ValueError(f"{what} in [0, 1), got {value}")
    return float(value)


def parameters(owner: str, members: Any) -> list[Parameter]:
    """The Parameters of one group: at least one, all of one dtype."""
    wanted = f"{owner}: expected Parameters, such as model.parameters(), or dicts with 'params', got "
    if isinstance(members, Parameter) or not isinstance(members, Iterable):
        raise TypeError(wanted + type(members).__name__)
    members = list(members)
    for member in members:
        if not isinstance(member, Parameter):
            raise TypeError(wanted + type(member).__name__)
    if not members:
        raise ValueError(f"{owner}: expected at least one parameter, got none")
    dtypes = sorted({str(member.dtype) for member in members})
    if len(dtypes) > 1:
        raise ValueError(f"{owner}: expected one dtype in a parameter group, got {' and '.join(dtypes)}")
    return members


def check_groups(owner: str, groups: Any) -> None:
    """Raise unless the groups are a list of dicts, with each parameter once."""
    if type(groups) is not list:
        raise TypeError(f"{owner}: expected param_groups to be a list, got {type(groups).__name__}")
    for group in groups:
        if not isinstance(group, dict) or type(group.get("params")) is not list:
            raise TypeError(f"{owner}: expected groups to be dicts with a list of 'params', got {group!r}")
        parameters(owner, group["params"])
    every = [id(parameter) for group in groups for parameter in group["params"]]
    if len(set(every)) < len(every):
        raise ValueError(f"{owner}: expected each parameter once, got one twice or more")


class Group(dict):
    """A parameter group: "params", and settings that are checked when they are written.

    Settings can't be removed (TypeError). ``update`` and ``|=`` write all that they are given or, where
    a setting is refused, nothing.
    """

    def __init__(self, kind: type[Optimizer], members: Mapping[str, Any]):
        self.kind = kind
        super().__init__(params=parameters(kind.__name__, members.get("params")))
        for name, value in members.items():
            if name != "params":
                super().__setitem__(name, kind.checked(name, value))
        kind.check_together(self)
        self.checked = dict(self)

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, *given, **settings) -> None:  # type: ignore[override]
        new = {name: parameters(self.kind.__name__, value) if name == "params" else self.kind.checked(name, value)
               for name, value in dict(*given, **settings).items()}
        super().update(new)
        self.checked.update(new)

    def __ior__(self, other):  # type: ignore[override, misc]
        self.update(other)
        return self

    def setdefault(self, name, default=None):
        if name not in self:
            self[name] = default
        return self[name]

    def _kept(self, *_):
        raise TypeError(f"{self.kind.__name__}: expected the settings of a group to stay; they can be changed only")

    __delitem__ = pop = popitem = clear = _kept  # type: ignore[assignment]

    def __reduce__(self):
        return Group, (self.kind, dict(self))
