"""A function of one's own as a compiled step: recorded, replayed, and checked against Python.

The first call with arguments of a kind (shapes, dtypes, the values of static arguments) runs the function as
Python and records it. Later ones replay the recording, as long as what the function reads stands as it did. At
replays 1, 2, 4, 8 and so on Python runs it again, and the new recording is compared with the old one.
"""
from __future__ import annotations

import functools
import gc
from collections import OrderedDict
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import storage
from ..kernels.replay import ReplayedCall
from ..autograd.tape import recording_into
from ..autograd.tensor import Tensor
from .errors import CaptureError
from .program import Builder
from .recorder import Line, Recorder
from .watch import Watch

KEPT = 8   # programs of one step
PATIENCE = 3  # times that a check may find another step than was recorded; then it runs plain
MOVES = 0  # the number of the guard of where parameters lie


class Recording:
    """One run of the function by Python, and the program made of it: ``replay``, and ``result()`` for its output."""

    def __init__(self, function: Callable, given: tuple):
        self.arguments = tuple([_copied(x) for x in given])
        with _without_gc(), Watch(function) as watch:
            self.recorder = Recorder(watch.knows)
            for x in self.arguments:
                self.recorder.argument(x._data if isinstance(x, Tensor) else None)
            try:
                with recording_into(self.recorder):
                    output = function(*self.arguments)
                self.recorder.finish()
                watch.check_unchanged()
                self.tensors: list[Tensor] = []
                self.shape = _shape_of(output, self.tensors)
                self.told = self._told()
            except BaseException:
                self.recorder.roll_back()
                raise
        self.output = output
        self.watch = watch

    def _told(self) -> tuple:
        """What two recordings are compared by."""
        recorder = self.recorder
        outputs = tuple([recorder._told(recorder._operand(tensor, "the step's output")) for tensor in self.tensors])
        return tuple(recorder.signature), outputs, repr(self.shape)

    def build(self) -> None:
        """Make the program."""
        builder = Builder(self.recorder, [tensor._data for tensor in self.tensors])
        self.replay = builder.build()
        self.listing = builder.listing
        for i, x in enumerate(self.arguments):
            if not isinstance(x, Tensor):
                self.replay.inputs[i] = (x,)
        self.replay.guards.name(vars(storage), "_moves", "where parameters lie")  # guard MOVES
        self.replay.guards.take(self.watch.guards)
        self.results = [builder.array(tensor._data) for tensor in self.tensors]

    def fresh(self):
        """The output of the recorded run, as its own Tensors."""
        return _rebuilt(self.shape, iter([tensor._data.copy() for tensor in self.tensors]))

    def result(self):
        """The output of the last replay, in arrays of its own."""
        return _rebuilt(self.shape, iter([array.copy() for array in self.results]))


class RecordedStep(ReplayedCall):
    """``step(*arguments)``: see ``capture``."""

    def __init__(self, function: Callable):
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.recordings = 0
        self.reason = ""
        self._kept: OrderedDict[tuple, Recording] = OrderedDict()
        self._differed = 0

    @property
    def path(self) -> str:
        """"compiled", with what is called in its place; or "plain" and why."""
        if self.reason:
            return f"plain: {self.reason}"
        if not self._kept:
            return "not yet recorded"
        names = sorted({name for recording in self._kept.values() for name in recording.recorder.in_place})
        return f"compiled; in place: {', '.join(names)}" if names else "compiled"

    def slow(self, args: tuple):
        """A call that the last program does not take: another kind of arguments, a check, a change outside."""
        if self.program is not None and self.program.running:
            raise RuntimeError("capture: this step is running already: it was called again from within it, or by "
                               "another thread")
        given = tuple([x._data if isinstance(x, Tensor) else x for x in args])
        for x in given:
            _check_argument(x)
        if self.reason:
            return self.function(*[Tensor(x) if isinstance(x, np.ndarray) else x for x in given])
        key = tuple([(x.shape, x.dtype) if isinstance(x, np.ndarray) else (type(x), x) for x in given])
        kept = self._kept.get(key)
        if kept is not None and self._stands(kept):
            self._kept.move_to_end(key)
            if not kept.replay.due() and kept.replay.take(given):
                self.program, self.result = kept.replay, kept.result
                kept.replay.run()
                return kept.result()
        return self._record(key, given, kept)

    def _stands(self, kept: Recording) -> bool:
        """Whether what the function reads is as it was; numbers and strings may be other objects of the same value."""
        replay = kept.replay
        while (i := replay.guards.changed()) >= 0:
            lies = i == MOVES and kept.recorder.lies_where_it_lay()  # other models' parameters moved
            if not replay.guards.renew(i, lies):
                return False
        return True

    def _record(self, key: tuple, given: tuple, kept: Recording | None):
        """Let Python run the function, recorded, in place of a replay."""
        self.program = None
        checking = kept is not None and self._stands(kept)
        new = Recording(self.function, given)
        if checking and new.told == kept.told:
            kept.replay.replays += 1
            kept.replay.next_check *= 2
            self.program, self.result = kept.replay, kept.result
            return new.fresh()
        if checking:
            self._differed += 1
            if self._differed == PATIENCE:
                self.reason = self._difference(kept, new)
                self._kept.clear()
                return new.fresh()
        new.build()
        self._kept[key] = new
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        self.recordings += 1
        self.program, self.result = new.replay, new.result
        return new.fresh()

    def _difference(self, old: Recording, new: Recording) -> str:
        for before, now in zip(old.told[0], new.told[0], strict=False):
            if before != now:
                return f"the function did not do the same at another call, though nothing that it reads had changed: " \
                       f"{before[:2]} became {now[:2]}"
        return "the function did not do the same at another call, though nothing that it reads had changed"

    def __repr__(self) -> str:
        count = sum(len(recording.replay) for recording in self._kept.values())
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"<step {name}: {self.path}{f', {count} instructions' if count else ''}>"

    def __reduce__(self):
        raise TypeError("capture: a captured step can't be pickled or copied, since it holds the addresses of arrays: "
                        "pickle what it is made of, and capture that")


@contextmanager
def _without_gc():
    """No collection begins in it, which would call functions of others that watch it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_argument(x) -> None:
    if isinstance(x, np.ndarray):
        if type(x) is not np.ndarray:
            raise TypeError(f"capture: expected plain arrays, got {type(x).__name__}")
        if x.dtype.kind not in "fiub":
            raise TypeError(f"capture: expected arrays of numbers, got {x.dtype}")
        return
    if not isinstance(x, (int, float, str, bool, bytes, type(None))):
        raise TypeError(f"capture: expected arrays, Tensors, numbers, strings or None as arguments, "
                        f"got {type(x).__name__}")


def _copied(x):
    return Tensor(np.array(x, order="C")) if isinstance(x, np.ndarray) else x


def _shape_of(value, tensors: list[Tensor]) -> Any:
    """The nesting of an output, its Tensors by their number; they are collected in the list."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Place(len(tensors) - 1)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_shape_of(item, tensors) for item in value])
    if isinstance(value, (tuple, list)):
        return type(value)([_shape_of(item, tensors) for item in value])
    if isinstance(value, dict):
        return {name: _shape_of(item, tensors) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        raise CaptureError("capture: the function returns an array, which would stay the same at each later call: "
                           "return the Tensor")
    return value


class _Place(int):
    """Where an output has a Tensor: its number."""


def _rebuilt(shape, arrays):
    if type(shape) is _Place:
        return Tensor(next(arrays))
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return type(shape)(*[_rebuilt(item, arrays) for item in shape])
    if isinstance(shape, (tuple, list)):
        return type(shape)([_rebuilt(item, arrays) for item in shape])
    if isinstance(shape, dict):
        return {name: _rebuilt(item, arrays) for name, item in shape.items()}
    return shape
