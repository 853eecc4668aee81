"""The tape: what was computed, along which walk.py goes back for the derivatives.

Every recorded operation is a Node: its inputs, and the function that turns the gradient of its output
into theirs. Nodes are numbered when they are made, so that the order of the walk is a sort, and a chain
of any length needs no recursion.

A thread may have a recorder. It is told, in the order of time, what the thread computes with Tensors:

    operation(operation, inputs, settings, output)   an Operation gave the Tensor ``output``
    call(name, function, inputs, outputs)            a Python function on arrays did: function(*arrays) gives one
                                                     array, or as many as there are outputs (None: no output there)
    drawing()                                        random numbers are about to be drawn, which a call() will tell
    constant(array)                                  an array was made of numbers in the text of the function
    accumulate(tensor, gradient)                     the Tensor ``gradient`` was added to the leaf's gradient
    accumulate_by(operation, inputs, parameter)      an operation's result was added to it in place, term by term
    zero_grad(parameter, set_to_none)                its gradient was cleared
    set_grad(parameter, values)                      its gradient was assigned to (not None)
    overwrite(tensor, values)                        the values (a Tensor, an array, a number) were copied into it
    leaf(tensor, gradient)                           a leaf that is no Parameter is about to gather this gradient;
                                                     True: in an array of its own, in which it adds it itself
    read(tensor, how)                                its values are about to be read by Python
    asked_for_gradient(parameter)                    Python asks whether it has a gradient

It may also have ``walking(tensor)``, a context manager around a backward() that begins at this Tensor with 1 and makes
no graph. Where that gives True, the recorder knows what will be done: the walk computes with arrays, and tells nothing.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .tensor import Tensor

GENERATOR = 0x20  # the flag of a generator function's code
serial = count()


class _Thread(threading.local):
    depth = 0            # how many no_grad() this thread is within
    recorder: Any = None  # what takes down the operations of this thread


thread = _Thread()


def recording() -> bool:
    """Whether operations of this thread are put on the tape."""
    return thread.depth == 0


class recording_on_tape(ContextDecorator):
    """Within it operations are put on the tape, or are not, whatever no_grad() the thread is within."""

    def __init__(self, on: bool):
        self.on = on

    def __enter__(self) -> None:
        self.before, thread.depth = thread.depth, 0 if self.on else 1

    def __exit__(self, *exception) -> None:
        thread.depth = self.before


class no_grad(ContextDecorator):
    """Within ``with no_grad():``, or in a function decorated with ``@no_grad()``, nothing is recorded.

    It may be nested, and holds for the thread that entered it. In a generator it holds while its body runs,
    and not for the caller between two values.
    """

    def __enter__(self) -> None:
        thread.depth += 1

    def __exit__(self, *exception) -> None:
        thread.depth -= 1

    def __call__(self, function):
        code = getattr(function, "__code__", None)  # the module inspect takes long to import
        if code is not None and code.co_flags & GENERATOR:
            return _unrecorded(function)
        return super().__call__(function)


def _unrecorded(function: Callable) -> Callable:
    """A generator function whose body runs within no_grad(), from each value that it is asked for to the next."""
    @functools.wraps(function)
    def run(*args, **named):
        generator = function(*args, **named)
        resume, given = generator.send, None
        try:
            while True:
                try:
                    with no_grad():
                        value = resume(given)
                except StopIteration as end:
                    return end.value
                try:
                    given, resume = (yield value), generator.send
                except GeneratorExit:
                    raise
                except BaseException as error:  # thrown in by the caller, for the body to catch
                    given, resume = error, generator.throw
        finally:
            with no_grad():
                generator.close()

    return run


def active_recorder():
    """What takes down the operations of this thread, or None."""
    return thread.recorder


@contextmanager
def recording_into(recorder):
    """Within it this thread's operations on Tensors are told to ``recorder``; see above how. It may not be nested."""
    if thread.recorder is not None:
        raise RuntimeError("this thread is being recorded already")
    thread.recorder = recorder
    try:
        yield recorder
    finally:
        thread.recorder = None


def constant(array: np.ndarray) -> None:
    """Tell the recorder of an array that was made of numbers in a function's text: it is the same at each call."""
    if thread.recorder is not None:
        thread.recorder.constant(array)


class unseen:
    """Within it this thread has no recorder: what a Python function does that is called in its place."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before, thread.recorder = thread.recorder, None

    def __exit__(self, *exception) -> None:
        thread.recorder = self.before


def modified(what: str, now: int, expected: int) -> RuntimeError:
    """The error for a value that a derivative reads and that is no longer what it was."""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{what} is at version {now}; expected version {expected} instead")


class Node:
    """One recorded function on arrays: ``gradients(g)`` gives the gradient of each input, or None.

    ``read``: the Tensors whose values the derivative reads, and the Status of its output if it reads that,
    each with the version that it had. ``parameters()``: those to whose gradients the function itself adds.
    """

    __slots__ = ("function", "inputs", "name", "parameters", "read", "serial")

    def __init__(self, name: str, inputs: Sequence[Tensor], function: Callable, read: Sequence[tuple] = (),
                 parameters: Callable[[], Sequence[Tensor]] = list):
        self.name, self.serial = name, next(serial)
        self.inputs: Any = inputs
        self.function: Any = function
        self.read: Any = read
        self.parameters = parameters

    def gradients(self, g: np.ndarray, wanted: Sequence[bool] | None) -> Sequence:
        """The gradients of the inputs, arrays or None, for that of the output.

        wanted : None if all are, and parameters are added to in place; or which are, and nothing else is touched.
        """
        return [None if dx is None else self._checked(np.asarray(dx), x)
                for dx, x in zip(self.function(g), self.inputs, strict=True)]

    def _checked(self, dx: np.ndarray, x: Tensor) -> np.ndarray:
        """dx, if it has the shape and the dtype of the input that it is the gradient of."""
        if dx.shape != x._data.shape:
            raise ValueError(f"{self.name}: its backward gave shape {dx.shape} for an input of shape {x.shape}")
        if dx.dtype != x._data.dtype:
            raise TypeError(f"{self.name}: its backward gave {dx.dtype} for an input of {x.dtype}")
        return dx

    def gradients_of_tensors(self, g: Tensor, output: Tensor, wanted: Sequence[bool] | None, add: bool) -> Sequence:
        """The same in Tensors; add: parameters may be added to in place.

        RuntimeError where they must be differentiated again, since the function is one on arrays.
        """
        if recording():
            raise RuntimeError(
                f"{self.name}: its backward is written with arrays and cannot be differentiated again "
                "(create_graph=True); write its forward with operations, and leave the backward out")
        made = type(g)
        with unseen():
            found = [None if dx is None else made(dx) for dx in self.gradients(g._data, wanted)]
        if thread.recorder is not None:
            thread.recorder.call(f"{self.name} backward", self.function, (g,), found)
        return found

    def free(self) -> None:
        """Let go of what the derivative needs."""
        self.inputs = self.function = self.read = None
