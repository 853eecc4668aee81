"""What all optimizers share: parameter groups, state kept flat, and the walk over both in blocks.

An optimizer is an update rule written for flat arrays. The base class finds the flat arrays behind the
parameters and cuts them into blocks that stay in cache; the rule sees one block at a time. Since every
rule is elementwise, neither the blocks nor the place of a parameter in memory changes a bit.
"""
from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from .. import storage
from ..kernels.memory import forget
from ..tensor import Parameter

BLOCK = 16 * 1024  # elements: five float32 arrays of one block fit a 512 KiB cache


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


def penalized(g: np.ndarray, w: np.ndarray, weight_decay: float, out: np.ndarray) -> np.ndarray:
    """g + λ w in ``out``: the gradient of the loss plus λ/2 |w|². For λ = 0 it is ``g`` itself."""
    if weight_decay == 0:
        return g
    np.multiply(w, weight_decay, out=out)
    return np.add(g, out, out=out)


class Group(dict):
    """A parameter group: "params", and settings that are checked when they are written."""

    def __init__(self, kind: type[Optimizer], members: dict[str, Any]):
        super().__init__(params=parameters(kind.__name__, members.get("params")))
        self.kind = kind
        for name, value in members.items():
            if name != "params":
                self[name] = value
        kind.check_together(self)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, self.kind.checked(name, value))

    def __reduce__(self):
        return Group, (self.kind, dict(self))


class Flat:
    """The parameters of one group seen as flat arrays, and the optimizer's state for them.

    The arrays of the state follow the order of the group's parameters, wherever these live in memory.
    ``step`` counts the updates.
    """

    def __init__(self, parameters: list[Parameter]):
        self.parameters, self.statuses = parameters, [parameter.status for parameter in parameters]
        self.shapes, self.dtype = [parameter.shape for parameter in parameters], parameters[0].dtype
        self.size, self.step = sum(parameter.numel() for parameter in parameters), 0
        self.state: dict[str, np.ndarray] = {}
        self._scratch = [storage.aligned(min(self.size, BLOCK), self.dtype) for _ in range(2)]
        self.look_up()

    def number(self, value: float) -> np.ndarray:
        """The value rounded to the parameters' dtype, as what NumPy multiplies them with soonest."""
        return np.asarray(value, self.dtype)

    def look_up(self) -> None:
        """Find the memory of the parameters (again)."""
        self.runs = storage.runs(self.parameters)
        self._blocks: dict[tuple[str, ...], list[tuple]] = {}

    def blocks(self, *names: str) -> list[tuple]:
        """(values, gradients, the state arrays of these names, scratch, scratch), block by block.

        A state array that does not exist yet begins as zeros.
        """
        if names not in self._blocks:
            for name in names:
                self.state.setdefault(name, storage.aligned(self.size, self.dtype))
            self._blocks[names] = list(self._cut([self.state[name] for name in names]))
        return self._blocks[names]

    def _cut(self, state: list[np.ndarray]) -> Iterator[tuple]:
        start = 0  # of the run, in the state arrays
        for values, gradients in self.runs:
            for a in range(0, values.size, BLOCK):
                b = min(a + BLOCK, values.size)
                yield (values[a:b], gradients[a:b], [array[start + a:start + b] for array in state],
                       *(scratch[:b - a] for scratch in self._scratch))
            start += values.size


class Optimizer:
    """The base of all optimizers. A subclass gives ``rules``, ``state_names`` and ``update``.

    ``params`` is an iterable of Parameters, or a list of dicts: parameter groups, each with its
    "params" and the settings in which it differs from the defaults. The settings live in
    ``param_groups``, a list of dicts, and may be written there at any time: ``group["lr"] = 0.01``.

    The parameters of a group are laid out in one store, unless some already share a larger one; then
    they stay where they are. They may move later (another call of ``storage.flatten``).

    Numbers of the update are computed in double and rounded to the dtype of the arrays; the rest is
    + - * / and the square root of that dtype. Overflow goes to inf and on, without a warning: whether
    training diverged is judged by the loss.

    Raises TypeError for what is not a Parameter or not a number, and ValueError for no parameters, a
    parameter given twice, several dtypes in a group, an unknown setting or one out of its range.
    """

    rules: ClassVar[dict[str, Callable[[str, Any], Any]]] = {}  # the check of each setting
    state_names: ClassVar[tuple[str, ...]] = ()  # the flat arrays that the update keeps

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], **settings: Any):
        grouped = isinstance(params, (list, tuple)) and params and all(isinstance(p, dict) for p in params)
        entries: Any = params if grouped else [{"params": params}]
        self.param_groups = [Group(type(self), {**settings, **members}) for members in entries]
        all_ids = [id(parameter) for group in self.param_groups for parameter in group["params"]]
        if len(set(all_ids)) < len(all_ids):
            raise ValueError(f"{type(self).__name__}: expected each parameter once, got one twice or more")
        self._flats = [Flat(group["params"]) for group in self.param_groups]
        self._moves = storage.moves()

    @classmethod
    def checked(cls, name: str, value: Any) -> Any:
        """``value`` as the setting ``name`` keeps it: a Python number, a pair of them, or a bool."""
        if name not in cls.rules:
            raise ValueError(f"{cls.__name__}: expected settings {', '.join(cls.rules)}, got {name!r}")
        return cls.rules[name](f"{cls.__name__}: expected {name}", value)

    @classmethod
    def check_together(cls, settings: dict[str, Any]) -> None:
        """Raise ValueError when settings that are right one by one contradict each other."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_moves": None}  # a copy's parameters live elsewhere

    @property
    def lr(self) -> float:
        """The learning rate of the first group; assigning sets it in all groups."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    def flats(self) -> list[Flat]:
        """The flat groups, looked up again if any parameter has moved since the last call."""
        if self._moves != storage.moves():
            for flat in self._flats:
                flat.look_up()
            self._moves = storage.moves()
        return self._flats

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Update every parameter from its gradient."""
        for group, flat in zip(self.param_groups, self.flats(), strict=True):
            flat.step += 1
            self.update(group, flat)

    def update(self, group: dict[str, Any], flat: Flat) -> None:
        """The update rule: one step of one group."""
        raise NotImplementedError(f"{type(self).__name__}.update: expected a subclass to define it")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """No parameter has a gradient any more; without ``set_to_none`` those that there are become zeros."""
        for flat in self.flats():
            if set_to_none:
                forget(flat.statuses)
                for _, gradients in flat.runs:
                    gradients.fill(0)
            else:
                for parameter in flat.parameters:
                    parameter.zero_grad(set_to_none=False)

    def state_dict(self) -> dict[str, list[dict[str, Any]]]:
        """A copy of all that a later run needs to go on: NumPy arrays, numbers and shapes.

        {"state": [{"step": 3, "exp_avg": flat array}], "param_groups": [{"params": shapes, "lr": 0.1}]},
        an entry per group. An array follows the order of the parameters, each as it lies in memory.
        """
        return {
            "state": [{"step": flat.step} | {name: array.copy() for name, array in flat.state.items()}
                      for flat in self._flats],
            "param_groups": [{**group, "params": flat.shapes}
                             for group, flat in zip(self.param_groups, self._flats, strict=True)],
        }

    def load_state_dict(self, state_dict: dict[str, list[dict[str, Any]]]) -> None:
        """Go on from what ``state_dict()`` gave: settings, arrays and counts are copied in.

        Raises ValueError when it does not fit: other groups, shapes, dtypes or names; and what a
        setting out of its range raises. Nothing has changed then.
        """
        saved, states = state_dict.get("param_groups", ()), state_dict.get("state", ())
        if not len(saved) == len(states) == len(self._flats):
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected param_groups and state of "
                             f"{len(self._flats)} groups, got {len(saved)} and {len(states)}")
        mine = list(zip(self.param_groups, self._flats, strict=True))
        fits = [self._fit(*pair, *theirs) for pair, *theirs in zip(mine, saved, states, strict=True)]
        for (group, flat), (settings, flat_step, flat_state) in zip(mine, fits, strict=True):
            group.update(settings)
            flat.step, flat.state = flat_step, flat_state
            flat.look_up()

    def _fit(self, group: Group, flat: Flat, saved: dict, state: dict) -> tuple[Group, int, dict]:
        """(settings, step, arrays) of one group, from a saved state that must fit it."""
        arrays = {name: np.array(array) for name, array in state.items() if name != "step"}
        shapes, step = [tuple(shape) for shape in saved.get("params", ())], state.get("step")
        names = self.state_names if arrays else ()  # there are none before the first step
        expected = group.keys(), flat.shapes, {name: (flat.dtype, (flat.size,)) for name in names}
        got = saved.keys(), shapes, {name: (array.dtype, array.shape) for name, array in arrays.items()}
        if got != expected or not isinstance(step, numbers.Integral) or step < 0:
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected a state of {expected}, "
                             f"got {got} at step {step}")
        return Group(type(self), {**saved, "params": group["params"]}), int(step), arrays
