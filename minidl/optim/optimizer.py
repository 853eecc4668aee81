"""Optimizer: the base of all optimizers: parameter groups, flat arrays of state, and the step over both.

An optimizer is a formula for flat arrays. The base class finds the flat arrays behind the parameters; the
formula is recorded, and runs compiled over them, block by block in the cache. Since it is elementwise,
neither the blocks nor the address of a parameter changes a bit of the result.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from ..autograd import storage
from ..autograd.parameter import Parameter
from ..autograd.tape import active_recorder, recording_on_tape
from ..kernels.memory import advance, followed, forget, same_items
from . import plain
from .compiled import Compiler
from .flat import Flat, Part
from .group import Group, check_groups
from .saved import fitting


def penalized(g: Any, w: Any, weight_decay: Any) -> Any:
    """g + λ w: the gradient of the loss plus λ/2 |w|². For λ = 0 it is ``g`` itself."""
    return g + weight_decay * w if weight_decay else g


def descended(g: Any, w: Any, s: Any) -> Any:
    """The gradient of what is made small: of the loss, or of minus the loss with ``maximize``, plus λ/2 |w|²."""
    return penalized(-g if s.maximize else g, w, s.weight_decay)


def decayed(w: Any, g: Any, s: Any) -> tuple[Any, Any]:
    """The values and the gradients after the weight decay, which with ``decoupled_weight_decay`` leaves g alone."""
    if not s.decoupled_weight_decay:
        return w, descended(g, w, s)
    return (1 - s.lr * s.weight_decay) * w, -g if s.maximize else g


def _in_place(method: Callable) -> Callable:
    """A step() of a user's own: a recorded step calls it in its place."""
    @functools.wraps(method)
    def step(self, *args, **named):
        if active_recorder() is None:
            return method(self, *args, **named)
        return self._recorded_step(functools.partial(method, self, *args, **named))

    return step


class Optimizer:
    """The base of all optimizers. A subclass gives ``rules``, ``state_names`` and ``formula``.

        class Momentum(Optimizer):
            rules: ClassVar = {"lr": at_least_zero, "momentum": fraction}
            state_names: ClassVar = ("velocity",)

            def formula(self, w, g, state, s):
                state.velocity = s.momentum * state.velocity + g
                return w - s.lr * state.velocity

    ``formula`` is recorded, and runs compiled; ``reason`` says why, where it runs as Python instead, with the
    same bits. ``compiled = False`` makes it run as Python.

    ``params`` is an iterable of Parameters, or a list of dicts: parameter groups, each with its
    "params" and the settings in which it differs from the defaults. The settings live in
    ``param_groups``, a list of dicts, and may be written there at any time: ``group["lr"] = 0.01``. So may
    the lists of parameters and of groups; the state of a parameter goes with it.

    A parameter whose ``requires_grad`` is False, or which has no gradient, is left alone: no decay, no
    state, no step. The parameters stay where they lie in memory.

    Numbers of the formula are computed in double and rounded to the dtype of the arrays; the rest is
    + - * / and the square root of that dtype. Overflow gives inf without a warning: whether training
    diverged is judged by the loss.

    Raises TypeError for what is not a Parameter or not a number, and ValueError for no parameters, a
    parameter given twice, several dtypes in a group, an unknown setting or one out of its range; at a step,
    before anything has changed.
    """

    rules: ClassVar[dict[str, Callable[[str, Any], Any]]] = {}  # the check of each setting
    beyond_kernel: ClassVar[tuple[str, ...]] = ()  # the settings with which a kernel is not the whole update
    state_names: ClassVar[tuple[str, ...]] = ()  # the flat arrays of the state
    compiled: bool = True  # whether step() may run the formula compiled
    needs_closure: bool = False  # whether step() must be given a function that computes the loss and its gradients
    _plan: list[tuple[dict[str, Any], bool, Flat]]  # settings as they were checked last,
    _seen: tuple  # and the items of the groups then

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], **settings: Any):
        grouped = isinstance(params, (list, tuple)) and params and all(isinstance(p, dict) for p in params)
        entries: Any = params if grouped else [{"params": params}]
        self.defaults = settings
        self.param_groups: list[dict[str, Any]] = [
            Group(type(self), {**settings, **members}) for members in entries]
        self._flats: list[Flat] = []
        self._compiler = Compiler(Optimizer.settings)
        self._steps: list[Any] = []  # the compiled steps, one for each group
        self._follow()
        storage.end_model()

    @classmethod
    def checked(cls, name: str, value: Any) -> Any:
        """``value`` as the setting ``name`` stores it: a Python number, a pair of them, or a bool."""
        if name not in cls.rules:
            raise ValueError(f"{cls.__name__}: expected settings {', '.join(cls.rules)}, got {name!r}")
        return cls.rules[name](f"{cls.__name__}: expected {name}", value)

    @classmethod
    def check_together(cls, settings: dict[str, Any]) -> None:
        """Raise ValueError when settings that are right one by one contradict each other."""

    def settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """The group's checked settings: itself, or a copy where it was changed without a check."""
        if type(group) is Group and same_items([group], (tuple(group.checked.items()),)):
            return group
        missing = [name for name in self.rules if name not in group]
        if missing:
            raise ValueError(f"{type(self).__name__}: expected settings {', '.join(self.rules)} in a group, "
                             f"got none of {', '.join(missing)}")
        return Group(type(self), group)

    def keeps_state(self, group: dict[str, Any]) -> bool:
        """Whether an update with these settings reads and writes the state."""
        return True

    def state_of(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names of the state of an update with these settings."""
        return self.state_names if self.keeps_state(group) else ()

    @property
    def reason(self) -> str | None:
        """Why the last step() ran its formula as Python; None where it ran compiled."""
        if self._steps:
            return None
        return "compiled is False" if not self.compiled else self._compiler.reason

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train these parameters, too: "params", and the settings in which they differ from the defaults.

        Raises as the constructor does; the optimizer is then as it was.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"{type(self).__name__}: expected a dict as a parameter group, "
                            f"got {type(param_group).__name__}")
        self.param_groups.append(Group(type(self), {**self.defaults, **param_group}))
        try:
            self._follow()
        except Exception:
            self.param_groups.pop()
            raise

    def __getstate__(self) -> dict[str, Any]:
        # A copy has other parameters; its state is made anew from these arrays.
        made = ("_compiler", "_flats", "_followed", "_moves", "_plan", "_seen", "_steps")
        kept = {name: value for name, value in vars(self).items() if name not in made}
        return kept | {"saved": [(list(flat.counts), flat.state) for flat in self._flats]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("saved")
        vars(self).update(state)
        self._flats, self._compiler, self._steps = [], Compiler(Optimizer.settings), []
        self._follow()
        for flat, (counts, arrays) in zip(self._flats, saved, strict=True):
            flat.go_on(counts, arrays)

    @property
    def lr(self) -> float:
        """The learning rate of the first group; assigning sets it in all groups."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    def flats(self) -> list[Flat]:
        """The flat groups, made or bound anew if groups or parameters have changed or moved since."""
        if not followed(self.param_groups, self._followed):
            self._follow()
        elif self._moves != storage.moves():
            if any(flat.dtype != parameter.dtype for flat in self._flats for parameter in flat.parameters):
                self._follow()  # the model was cast
            for flat in self._flats:
                flat.rebind()
            self._moves = storage.moves()
        return self._flats

    def is_fresh(self) -> bool:
        """Whether it has no state: it has made no step, and continues none."""
        flats = self._flats if followed(self.param_groups, self._followed) else self.flats()
        return not any([flat.state or any(flat.counts) for flat in flats])

    def _follow(self) -> None:
        """Read the groups and their lists of parameters anew; nothing changes if they are refused."""
        groups = self.param_groups
        check_groups(type(self).__name__, groups)
        flats = [Flat(group["params"]) for group in groups]
        for flat in flats:
            flat.take_state(self._flats)
        self._flats, self._moves, self._seen, self._plan = flats, storage.moves(), (), []
        self._followed = tuple((group, group["params"], tuple(group["params"])) for group in groups)

    def __init_subclass__(cls, in_place: bool = True, **settings) -> None:
        super().__init_subclass__(**settings)
        if in_place and "step" in vars(cls):
            cls.step = _in_place(cls.step)  # type: ignore[method-assign]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that is trained from its gradient, where it has one.

        closure : called first; it computes the gradients, and returns the loss, which is returned.
        """
        loss = None
        if closure is not None:
            with recording_on_tape(True):
                loss = closure()
        if active_recorder() is None:
            self._step()
        else:
            self._recorded_step(self._step)
        return loss

    def _recorded_step(self, step: Callable):
        """The step while it is recorded: each replay calls it in its place; a user's own is listed."""
        recorder: Any = active_recorder()
        flats = self.flats()
        recorder.add_parameters(parameter for flat in flats for parameter in flat.parameters)
        undo = [flat.undo() for flat in flats if id(flat) not in recorder.covered]

        def put_back():
            for each in undo:
                each()

        own = type(self).__module__.split(".")[0] == __name__.split(".")[0]
        with recorder.calling(step, f"{type(self).__name__}.step", put_back, listed=not own):
            return step()

    def _step(self) -> None:
        steps = self._steps
        for one in steps:
            if changed := one.ready(self):
                if changed > 1 or not self._compiler.adopted(self, steps):
                    steps = []
                break
        steps = steps or self._prepared()
        for one in steps:
            one.run()
        if not steps:
            self._plain_step()

    def _prepared(self) -> list:
        """Check all that a step needs, before the first parameter is written; the compiled steps, if there are any."""
        flats = self.flats()
        if not same_items(self.param_groups, self._seen):
            self._read_settings(flats)
        for settings, stateful, flat in self._plan:
            if stateful and flat.parts():
                flat.arrays(self.state_of(settings))  # here, since this may raise, also for lack of memory
        steps, self._steps = self._steps, []
        if self.compiled:
            if not (steps and self._compiler.renewed(self, self._plan, steps)):
                steps = self._compiler.steps(self, self._plan)
            self._steps = steps
        return self._steps

    @np.errstate(all="ignore")
    def _plain_step(self) -> None:
        for settings, stateful, flat in self._plan:
            for part in flat.parts():
                advance(part.statuses)
                self.update(settings, part)
                if stateful:
                    flat.count(part)

    def _read_settings(self, flats: list[Flat]) -> None:
        """Check all settings, before the first parameter is written."""
        self._seen, settings = (), [self.settings(group) for group in self.param_groups]
        self._plan = [(checked, self.keeps_state(checked), flat) for checked, flat in zip(settings, flats, strict=True)]
        if all(type(group) is Group for group in self.param_groups):  # others may change without a check
            self._seen = tuple(tuple(group.items()) for group in self.param_groups)

    def formula(self, w: Any, g: Any, state: Any, s: Any) -> Any:
        """The new values, from the values w and the gradients g; what is assigned to ``state.name`` is the new state.

        ``s`` has the settings, and s.step = 1, 2, ... as a float. Arrays are flat, and operations on them give
        new arrays: + - * / **2, comparisons, abs, and minidl.optim.functions. A formula of these alone, which
        may branch on numbers, runs compiled. Any other NumPy may be used, too, element by element: the formula
        then runs as Python on one block of the arrays at a time.
        """
        raise NotImplementedError(
            f"{type(self).__name__}.update: expected a subclass to define it, or formula")

    def update(self, group: dict[str, Any], part: Part) -> None:
        """One step of the parameters of one group, or of a part of them: the formula, as Python.

        A subclass may define this in place of ``formula``, to write to the blocks of arrays itself.
        """
        plain.move(self, group, part)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients of all parameters; without ``set_to_none`` set those that exist to zero."""
        recorded = active_recorder() is not None
        if set_to_none and not recorded and self._steps and all([one.clear(self) for one in self._steps]):
            return
        for flat in self.flats():
            if set_to_none and not recorded:
                forget(flat.statuses)
                for _, gradients in flat.spans:
                    gradients.fill(0)
            else:
                for parameter in flat.parameters:
                    parameter.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, list[dict[str, Any]]]:
        """A copy of all that a later training needs to continue: NumPy arrays, numbers and shapes.

        {"state": [{"step": [3, 3], "exp_avg": flat array}], "param_groups": [{"params": shapes, "lr": 0.1}]},
        an entry per group. "step" has the number of updates that the state has seen of each parameter. An
        array follows the order of the parameters, each as it lies in memory.
        """
        flats = self.flats()
        return {
            "state": [{"step": list(flat.counts)} | {name: array.copy() for name, array in flat.state.items()}
                      for flat in flats],
            "param_groups": [{**group, "params": flat.shapes}
                             for group, flat in zip(self.param_groups, flats, strict=True)],
        }

    def load_state_dict(self, state_dict: dict[str, list[dict[str, Any]]]) -> None:
        """Continue from a ``state_dict()``: settings, arrays and counts are copied.

        Raises ValueError when it does not fit: other groups, shapes, dtypes or names; and what a
        setting out of its range raises. Nothing has changed then.
        """
        flats = self.flats()
        saved, states = state_dict.get("param_groups", ()), state_dict.get("state", ())
        if not len(saved) == len(states) == len(flats):
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected param_groups and state of "
                             f"{len(flats)} groups, got {len(saved)} and {len(states)}")
        mine = list(zip(self.param_groups, flats, strict=True))
        fits = [fitting(self, *pair, *theirs) for pair, *theirs in zip(mine, saved, states, strict=True)]
        for (group, flat), (settings, counts, arrays) in zip(mine, fits, strict=True):
            group.update(settings)
            flat.go_on(counts, arrays)
        self._seen = ()


BY_FORMULA = Optimizer.update  # the update that step() may run compiled
