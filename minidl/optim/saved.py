"""Whether a saved state fits an optimizer."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .flat import Flat
from .group import Group

if TYPE_CHECKING:
    from .optimizer import Optimizer


def fitting(
    optimizer: Optimizer, group: dict[str, Any], flat: Flat, saved: dict, state: dict
) -> tuple[dict, list[int], dict]:
    """(settings, counts, arrays) of one group, from a saved state that must fit it."""
    arrays = {name: np.array(array) for name, array in state.items() if name != "step"}
    shapes, steps = [tuple(shape) for shape in saved.get("params", ())], state.get("step", ())
    counted = isinstance(steps, list) and len(steps) == len(flat.parameters) and all(
        isinstance(step, (int, np.integer)) and not isinstance(step, bool) and 0 <= step < 1 << 62 for step in steps)
    # There are no arrays before the first step.
    names = optimizer.state_names if arrays or (counted and any(steps)) else ()
    if arrays and all(name in arrays for name in optimizer.state_of({**group, **saved})):
        names = tuple(name for name in names if name in arrays)
    expected = group.keys(), flat.shapes, {name: (flat.dtype, (flat.size,)) for name in names}
    got = saved.keys(), shapes, {name: (array.dtype, array.shape) for name, array in arrays.items()}
    if got != expected or not counted:
        raise ValueError(f"{type(optimizer).__name__}.load_state_dict: expected a state of {expected} and a step for "
                         f"each of {len(flat.parameters)} parameters, got {got} at step {steps}")
    checked = Group(type(optimizer), {**saved, "params": group["params"]})
    return {name: value for name, value in checked.items() if name != "params"}, list(map(int, steps)), arrays
