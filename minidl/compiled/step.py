"""A function of one's own as a compiled step: recorded, replayed, and checked against Python.

The first call with arguments of a kind (shapes, dtypes, the values of static arguments) runs the function as
Python and records it. Later ones replay the recording, as long as nothing that the function reads has changed. At
replays 1, 2, 4, 8 and so on Python runs it again, and the new recording is compared with the old one.
"""
from __future__ import annotations

import functools
import inspect
import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np

from ..autograd import storage
from ..autograd.tape import active_recorder, recording, recording_into, thread
from ..autograd.tensor import Tensor
from ..collector import without_collector
from ..kernels.replay import UNFIT, ReplayedCall, recording_begins, recording_ends, set_tensor_type
from ..table import folded
from .errors import CaptureError, PlainOnly
from .listing import Names, argument_names, shown
from .nesting import Place, arrays_of, rebuilt, told
from .profile import Profile, profile
from .program import Builder
from .watch import Watch

set_tensor_type(Tensor)

KEPT = 8      # programs of one step
PATIENCE = 3  # checks that find a difference before the step runs plain
MOVES = 0     # the number of the guard of where parameters lie
RUNNING = "capture: this step is running already: it was called again from within it, or by another thread"


class Recording:
    """One run of the function by Python, and the program made of it: ``replay``, and ``result()`` for its output.

    nesting : the arguments, with a Place for each array. arrays : those, of which copies are taken.
    earlier : a run that this one is to be compared with, or None. ignoring : whether earlier batches had labels that
    a loss is to ignore.
    """

    def __init__(self, function: Callable, nesting: tuple, arrays: list[np.ndarray], earlier: Recording | None = None,
                 ignoring: bool = False):
        self.arrays = [np.array(array, order="C") for array in arrays]
        self.nesting = nesting
        watch = None if earlier is None else earlier.watch  # it has looked up what the function names
        if watch is None or not watch.renewed():
            statics: list[Any] = []
            told(nesting, statics)
            watch = Watch(function, statics)
        self.watch = watch
        with without_collector(), watch:
            self.recorder = recorder = watch.recorder
            recorder.earlier = None if earlier is None else earlier.recorder
            recorder.ignoring = ignoring
            for array in self.arrays:
                recorder.argument(array)
            recording_begins()
            try:
                args, named = rebuilt(nesting, [Tensor(array) for array in self.arrays])
                with recording_into(recorder):
                    output = function(*args, **named)
                recorder.finish()
                self.watch.end()
                self.tensors: list[np.ndarray] = []
                self.shape = arrays_of(output, self.tensors, given=False)
                self.signature = self._told()
            except CaptureError:  # another is the function's own, which leaves what plain Python leaves
                recorder.roll_back()
                raise
            finally:
                recording_ends()
        recorder.close()

    def _told(self) -> tuple:
        """A key to compare recordings by."""
        recorder = self.recorder
        outputs = tuple([recorder.told(recorder.operand(array, "the step's output")) for array in self.tensors])
        return tuple(recorder.signature), outputs, repr(self.shape)

    def build(self) -> None:
        """Make the program."""
        builder = Builder(self.recorder, self.tensors)
        self.replay = builder.build()
        self.listing = builder.listing
        self.replay.guards.name(vars(storage), "_moves", "where parameters lie")  # guard MOVES
        self.replay.guards.attribute(thread, "depth", "whether operations are put on the tape")
        self.replay.guards.take(self.watch.guards)
        self.replay.guards.take(self.watch.settled())
        self.results = [builder.array(array) for array in self.tensors]
        args, named = self.nesting
        self.flat = not named and all(type(x) is Place or not isinstance(x, (tuple, list, dict)) for x in args)
        if self.flat:
            for x in args:
                self.replay.argument(builder.array(self.arrays[x]) if type(x) is Place else (x,))
        else:
            for array in self.arrays:
                self.replay.argument(builder.array(array))

    def recorded_output(self):
        """The output of the recorded run, as new Tensors."""
        return rebuilt(self.shape, [Tensor(array.copy()) for array in self.tensors])

    def result(self):
        """The output of the last replay, as new Tensors."""
        return rebuilt(self.shape, [Tensor(array.copy()) for array in self.results])


class RecordedStep(ReplayedCall):
    """``step(*arguments)``: the function, compiled.

    Arrays and Tensors among the arguments, also in lists, tuples and dictionaries, come to the function as
    Tensors without a graph. Numbers, strings and all else are static: each value has a program of its own, and the
    last KEPT programs are kept. Tensors in the output are new ones at each call.

    ``recordings`` counts the recordings that became programs. ``path`` says how the step runs.

    Raises CaptureError, while recording, for what a replay could not repeat: the message names the ways
    out. RuntimeError for a step that is called from within itself or by two threads at once.
    """

    program: Any
    result: Any

    def __init__(self, function: Callable):
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.recordings = 0
        self.reason = ""
        self.busy = False
        self.ignoring = False  # whether a batch had labels that a loss is to ignore
        self.recent: Recording | None = None  # whose program ``program`` is
        self._kept: OrderedDict[tuple, Recording] = OrderedDict()
        self._differed = 0
        self._bound: dict[int, tuple] = {}

    def __get__(self, instance, owner=None):
        """The step of one object, of a class whose method it is."""
        if instance is None:
            return self
        found = self._bound.get(id(instance))
        if found is None or found[0]() is not instance:
            key, bound = id(instance), self._bound
            there = weakref.ref(instance, lambda _: bound.pop(key, None))
            found = self._bound[key] = there, _BoundStep(self.function, there)
        return _Access(found[1], instance)

    @property
    def path(self) -> str:
        """"compiled", with what is called in its place; or "plain" and why."""
        if self.reason:
            return f"plain: {self.reason}"
        if not self._kept:
            return "not yet recorded"
        names = sorted({name for recording in self._kept.values() for name in recording.recorder.in_place})
        return f"compiled; in place: {', '.join(names)}" if names else "compiled"

    def called(self) -> Callable:
        """The function that Python calls."""
        return self.function

    def slow(self, args: tuple, named: dict):
        """A call that the last program does not take: other arguments, a check, or a failed guard."""
        if self.busy or (self.program is not None and self.program.running):
            raise RuntimeError(RUNNING)
        if active_recorder() is not None:  # a step within a step is a part of it
            return self.called()(*args, **named)
        self.busy = True
        try:
            arrays: list[np.ndarray] = []
            nesting = arrays_of((args, named), arrays)
            if self.reason:
                args, named = rebuilt(nesting, [Tensor(array) for array in arrays])
                return self.called()(*args, **named)
            statics: list[Any] = []
            key = (told(nesting, statics), tuple([(array.shape, array.dtype) for array in arrays]), recording())
            kept = self._kept.get(key)
            stands = kept is not None and self._stands(kept)
            if kept is not None and stands:
                self._kept.move_to_end(key)
                given = args if kept.flat else arrays
                if not kept.replay.due():
                    output = kept.replay.replayed(_plain_arguments(given), kept.result)
                    if output is not UNFIT:
                        self._shortcut(kept)
                        return output
            return self._record(key, nesting, arrays, kept if stands else None)
        finally:
            self.busy = False

    def _shortcut(self, kept: Recording) -> None:
        """Let the next call use this program directly."""
        self.program, self.result = (kept.replay, kept.result) if kept.flat else (None, None)
        self.recent = kept

    def _stands(self, kept: Recording) -> bool:
        """Whether all guards hold; numbers and strings may be other objects of the same value."""
        guards = kept.replay.guards
        while (i := guards.changed()) >= 0:
            lies = i == MOVES and kept.recorder.lies_where_it_lay()  # other models' parameters moved
            if not guards.renew(i, lies):
                return False
        return True

    def _record(self, key: tuple, nesting, arrays: list[np.ndarray], kept: Recording | None):
        """Run the function as Python and record it; kept: the recording to compare with, or None."""
        self.program = None
        try:
            new = Recording(self.called(), nesting, arrays, kept, self.ignoring)
        except PlainOnly as refusal:
            self.reason = str(refusal)
            self._kept.clear()
            args, named = rebuilt(nesting, [Tensor(array) for array in arrays])
            return self.called()(*args, **named)
        self.ignoring = new.recorder.ignoring
        if kept is not None and new.signature == kept.signature:
            kept.watch.recorder, kept.recorder.snapshot = kept.recorder, new.recorder.snapshot
            kept.replay.replays += 1
            kept.replay.next_check *= 2
            self._shortcut(kept)
            return new.recorded_output()
        if kept is not None:
            self._differed += 1
            if self._differed == PATIENCE:
                self.reason = ("the function does not do the same at each call, though nothing that it is seen to read "
                               f"has changed: {_difference(kept.signature[0], new.signature[0])}")
                self._kept.clear()
                return new.recorded_output()
            if new.recorder.foreseen:  # some of its lines are those of the earlier run, on other arrays
                self._kept.pop(key)
                return new.recorded_output()
        new.build()
        self._kept[key] = new
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        self.recordings += 1
        self._shortcut(new)
        return new.recorded_output()

    def arguments(self) -> list[str]:
        """The names of the function's arguments, without those of *args."""
        try:
            parameters = inspect.signature(self.called()).parameters.values()
        except (TypeError, ValueError):
            return []
        return [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]

    def listing(self, names: list[str] | None = None) -> str:
        """The programs, one line an instruction. names : of the arguments."""
        parts = [repr(self)]
        for kept in self._kept.values():
            called = argument_names(kept.nesting, self.arguments() if names is None else names)
            known = Names(kept.recorder, called)
            parts += ["", f"for {', '.join(map(known.of, kept.arrays)) or 'no arrays'}:", shown(kept.listing, known)]
        return "\n".join(parts)

    def __str__(self) -> str:
        return self.listing()

    def _repr_html_(self) -> str:
        return folded(str(self))

    def profile(self, *args, repeats: int = 100, **named) -> Profile:
        """Where the time of a call with these arguments goes; printed, a table, a line an instruction.

        Each time is the median of so many runs. The models, optimizers and generators that the function names are
        put back to what they were. RuntimeError for a step that runs plain.
        """
        return profile(self, args, named, repeats, (self.called(),), self.arguments())

    def __repr__(self) -> str:
        count = sum(len(recording.replay) for recording in self._kept.values())
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"<step {name}: {self.path}{f', {count} instructions' if count else ''}>"

    def __reduce__(self):
        raise TypeError("capture: a captured step can't be pickled or copied, since it holds the addresses of arrays: "
                        "pickle what it is made of, and capture that")


class _BoundStep(RecordedStep):
    """The step of one object, which it does not keep alive."""

    def __init__(self, function: Callable, instance: Callable):
        super().__init__(function)
        self.instance = instance

    def called(self) -> Callable:
        return MethodType(self.function, self.instance())


class _Access:
    """The step of an object, as its attribute: it keeps the object alive while it is referred to."""

    def __init__(self, step: RecordedStep, instance):
        self._step, self._instance = step, instance

    def __call__(self, *args, **named):
        return self._step(*args, **named)

    def __getattr__(self, name: str):
        return getattr(self._step, name)

    def __repr__(self) -> str:
        return repr(self._step)

    def __str__(self) -> str:
        return str(self._step)

    def _repr_html_(self) -> str:
        return folded(str(self))


def _plain_arguments(given) -> tuple:
    return tuple([x._data if isinstance(x, Tensor) else x for x in given])


def _difference(old: tuple, new: tuple) -> str:
    for before, now in zip(old, new, strict=False):
        if before != now:
            return f"{before[:2]} became {now[:2]}"
    return f"{len(old)} operations became {len(new)}"
