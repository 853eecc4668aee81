"""The compiled steps of an optimizer: its formula as chains, made anew when what they were made from has changed."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import kernels
from ..autograd import storage
from ..kernels.memory import ABSENT, class_version
from .chains import chain
from .flat import Flat
from .group import Group
from .recording import Recording, constant, kinds, numbers, record
from .symbols import NotRecordable

if TYPE_CHECKING:
    from .optimizer import Optimizer

MOST = 16  # recordings of one rule: for its branches, and for what it reads of its optimizer and its module
METHODS = ("keeps_state", "settings", "state_of", "update")  # methods that the instance must not have of its own

Plan = Sequence[tuple[dict[str, Any], bool, Flat]]


class Compiler:
    """Makes the steps of one optimizer from the recordings of its formula."""

    recorded: list[tuple[Recording, tuple[str, ...], dict[Any, Any]]]

    def __init__(self, checks: Any) -> None:
        self.checks = checks  # Optimizer.settings, which does not change the group's settings
        self.of: tuple = ()  # the state of the optimizer's class when its formula was recorded
        self.layouts: list[tuple] = []
        self.reason: str | None = None  # why the formula runs as Python
        self._failures = self._pause = 0

    def renewed(self, optimizer: Optimizer, plan: Plan, steps: list) -> bool:
        """Whether these steps are valid after reading the present settings."""
        layouts = [(kinds(settings), optimizer.state_of(settings), stateful) for settings, stateful, _ in plan]
        if layouts != self.layouts or not all(map(_known, optimizer.param_groups)):
            return False
        for step, group, (settings, _, _) in zip(steps, optimizer.param_groups, plan, strict=True):
            step.renew(_raw(group), numbers(settings))
        return not any(step.ready(optimizer) for step in steps)

    def adopted(self, optimizer: Optimizer, steps: list) -> bool:
        """The same where only floats have changed, as by a schedule: the fastest case."""
        if type(optimizer).settings is not self.checks:
            return False
        for step, group, (_, names, stateful) in zip(steps, optimizer.param_groups, self.layouts, strict=True):
            if type(group) is not Group or not step.adopt() or optimizer.state_of(group) != names \
                    or optimizer.keeps_state(group) != stateful:
                return False
        return not any(step.ready(optimizer) for step in steps)

    def steps(self, optimizer: Optimizer, plan: Plan) -> list:
        """A step for each group; none where the formula runs as Python."""
        if self._pause > 0:
            self._pause -= 1
            return []
        try:
            steps = [self._step(optimizer, group, *planned)
                     for group, planned in zip(optimizer.param_groups, plan, strict=True)]
        except MemoryError:
            raise
        except Exception as error:  # the formula raises it again, as Python, if it is its own
            self.reason = f"{type(error).__name__}: {error}"
            self._failures += 1
            self._pause = min(2 ** self._failures, 1 << 16) - 1  # recording takes longer than a step
            return []
        self.layouts = [(kinds(settings), optimizer.state_of(settings), stateful) for settings, stateful, _ in plan]
        self.reason, self._failures = None, 0
        return steps

    def _step(self, optimizer: Optimizer, group: dict[str, Any], settings: dict[str, Any], stateful: bool,
              flat: Flat) -> Any:
        if not _known(group) or overridden(optimizer):
            raise NotRecordable("a group, or an update, of one's own")
        names, parts = optimizer.state_of(settings), flat.parts()
        arrays = flat.arrays(names) if parts else []
        own = vars(optimizer)
        guards: list[tuple] = [
            (None, "param_groups", own["param_groups"]), (None, "_flats", own["_flats"]),
            (group, "params", group["params"]), (vars(storage), "_moves", storage.moves())]
        guards += [(None, name, ABSENT) for name in METHODS] + [(None, "compiled", own.get("compiled", ABSENT))]
        guards += [(flat.state, name, array) for name, array in zip(names, arrays, strict=False)]
        described = []
        for part in parts:
            recording, its_chain = self._chain(optimizer, settings, names, part.step, flat.dtype)
            guards += recording.names
            spans = [[w, g, *state] for w, g, state in part.spans(*names)]
            described.append((list(part.indices), its_chain, spans))
        members = [(parameter.status, parameter.store.gradients[parameter.start:parameter.start + parameter.numel()])
                   for parameter in flat.parameters]
        return kernels.of(flat.dtype).GroupStep(
            type(optimizer), guards, [own["param_groups"], group["params"]], group, _raw(group), numbers(settings),
            flat.counts, members, described, arrays, [gradients for _, gradients in flat.spans], stateful)

    def _chain(self, optimizer: Optimizer, settings: dict[str, Any], names: tuple[str, ...], step: int,
               dtype: np.dtype) -> tuple[Recording, Any]:
        of = type(optimizer), type(optimizer).formula, class_version(type(optimizer))
        if of != self.of:
            self.of, self.recorded = of, []
        self.recorded = [entry for entry in self.recorded if _stands(entry[0], vars(optimizer))]
        mine, values = kinds(settings), numbers(settings)
        for recording, of_names, chains in self.recorded:
            if recording.kinds == mine and of_names == names:
                if dtype not in chains:
                    chains[dtype] = chain(recording, settings, 2 + len(names), dtype)
                if chains[dtype].fits(values, step):
                    return recording, chains[dtype]
        if len(self.recorded) >= MOST:
            self.recorded.clear()
            raise NotRecordable("the formula takes another branch time and again")
        recording = record(optimizer, settings, names, step)
        made = chain(recording, settings, 2 + len(names), dtype)
        if not made.fits(values, step):
            raise NotRecordable("numbers that a chain cannot compute")
        self.recorded.append((recording, names, {dtype: made}))
        return recording, made


def overridden(optimizer: Optimizer) -> bool:
    """Whether a subclass defines an update of its own, which does not use the formula."""
    from .optimizer import BY_FORMULA
    return type(optimizer).update is not BY_FORMULA or any(name in vars(optimizer) for name in METHODS)


def _known(group: dict[str, Any]) -> bool:
    """Whether the settings of the group can only change by being replaced."""
    return type(group) in (Group, dict) and all(
        constant(value) or isinstance(value, np.generic) for name, value in group.items() if name != "params")


def _raw(group: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in group.items() if name != "params"]


def _stands(recording: Recording, own: dict[str, Any]) -> bool:
    return all((own if space is None else space).get(name, ABSENT) is value for space, name, value in recording.names)
