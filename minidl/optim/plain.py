"""An update rule run as Python on NumPy arrays, block by block, with the bits of the compiled chain."""
from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .flat import Part

if TYPE_CHECKING:
    from .optimizer import Optimizer


class State:
    """The arrays of the state, to be read and to be replaced."""

    def __init__(self, names: tuple[str, ...], arrays: list[np.ndarray]):
        vars(self).update({name: fixed(array) for name, array in zip(names, arrays, strict=True)})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self):
            raise AttributeError(f"expected a state of {', '.join(vars(self)) or 'nothing'}, got {name!r}")
        vars(self)[name] = value


def fixed(array: np.ndarray) -> np.ndarray:
    """The array as a rule sees it, read-only, since a rule's operations give new arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


def settings(group: dict[str, Any], step: int) -> SimpleNamespace:
    """The settings of a group, and the number of the step."""
    return SimpleNamespace(**{**{name: value for name, value in group.items() if name != "params"},
                              "step": float(step)})


def move(optimizer: Optimizer, group: dict[str, Any], part: Part) -> None:
    """Update a part of the group by the optimizer's formula."""
    names, s = optimizer.state_of(group), settings(group, part.step)
    for w, g, arrays, *_ in part.blocks(*names):
        state = State(names, arrays)
        moved = optimizer.formula(fixed(w), fixed(g), state, s)
        values = [moved, *(vars(state)[name] for name in names)]
        for value in values:
            if not isinstance(value, (np.ndarray, np.number, int, float)):
                raise TypeError(f"{type(optimizer).__name__}.formula: expected new values, got {type(value).__name__}")
        # Copied first: a new state may be a view of an array that is written now.
        values = [np.array(value) if isinstance(value, np.ndarray) and value.base is not None else value
                  for value in values]
        for array, value in zip([w, *arrays], values, strict=True):
            array[...] = value
