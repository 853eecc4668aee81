"""The tape: a graph of what was computed, which backward.py goes through in reverse for the derivatives.

Every recorded operation is a Node: its inputs, and the function that turns the gradient of its output
into theirs. Nodes are numbered when they are made, so that the order of the backward pass is a sort, and a chain
of any length needs no recursion.

A thread may have a recorder. Its methods are called, in order of time, for what the thread does to Tensors:

    operation(operation, inputs, settings, output)   an Operation gave the Tensor ``output``
    call(name, function, inputs, outputs)            a Python function on arrays did: function(*arrays) gives one
                                                     array, or one for each output (None: not a Tensor)
    drawing()                                        random numbers are about to be drawn, which a call() will tell
    constant(array)                                  an array was made of numbers in the text of the function
    accumulate(tensor, gradient)                     the Tensor ``gradient`` was added to the leaf's gradient
    accumulate_by(operation, inputs, parameter, settings)  an operation's result was added in place, term by term
    zero_grad(parameter, set_to_none)                its gradient was cleared
    set_grad(parameter, values)                      its gradient was assigned to (not None)
    overwrite(tensor, values)                        the values (a Tensor, an array, a number) were copied into it
    overwrite_array(array, values)                   they were copied over gradients that lie side by side
    leaf(tensor, gradient)                           a leaf that is no Parameter is about to gather this gradient;
                                                     True: in an array of its own, in which it adds it itself
    read(tensor, how)                                its values are about to be read by Python
    only_plain(why)                                  what comes next is no part of a recorded step, which runs plain
    ignoring                                         an attribute: whether labels that a loss is to ignore were met
    gradient_queried(parameter)                    Python asks whether it has a gradient

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
    recorder: Any = None  # receives the operations of this thread


thread = _Thread()


def recording() -> bool:
    """Whether the tape records operations of this thread."""
    return thread.depth == 0


class recording_on_tape(ContextDecorator):
    """Within it operations are recorded on the tape, or are not, regardless of no_grad() around it."""

    def __init__(self, on: bool):
        self.on = on

    def __enter__(self) -> None:
        self.before, thread.depth = thread.depth, int(not self.on)

    def __exit__(self, *exception) -> None:
        thread.depth = self.before

    def _recreate_cm(self):  # one for each call of a function that it decorates, which may call itself
        return recording_on_tape(self.on)


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


class inference_mode(no_grad):
    """no_grad() by another name, or nothing with mode=False; PyTorch's also makes Tensors that cannot be recorded."""

    def __init__(self, mode: bool = True):
        self.mode = mode

    def __enter__(self) -> None:
        thread.depth += self.mode

    def __exit__(self, *exception) -> None:
        thread.depth -= self.mode


class enable_grad(recording_on_tape):
    """Within it, or in a function decorated with ``@enable_grad()``, operations are recorded, also in a no_grad()."""

    def __init__(self):
        super().__init__(True)


class set_grad_enabled:
    """``set_grad_enabled(on)``: from now on this thread records operations, or not; in ``with``, within the block."""

    def __init__(self, mode: bool):
        self.before, thread.depth = thread.depth, int(not mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception) -> None:
        thread.depth = self.before


def is_grad_enabled() -> bool:
    """Whether this thread records operations, as it does outside no_grad()."""
    return recording()


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
    """The recorder of this thread, or None."""
    return thread.recorder


@contextmanager
def recording_into(recorder):
    """Within it ``recorder`` receives this thread's operations on Tensors; see above. It may not be nested."""
    if thread.recorder is not None:
        raise RuntimeError("this thread is being recorded already")
    thread.recorder = recorder
    try:
        yield recorder
    finally:
        thread.recorder = None


def constant(array: np.ndarray) -> None:
    """Tell the recorder that an array was made of numbers in a function's text: it is the same at each call."""
    if thread.recorder is not None:
        thread.recorder.constant(array)


class unseen:
    """Within it this thread has no recorder, since a Python function runs that is called in its place."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before, thread.recorder = thread.recorder, None

    def __exit__(self, *exception) -> None:
        thread.recorder = self.before


def modified(what: str, now: int, expected: int) -> RuntimeError:
    """The error for a value that a derivative reads and that has changed since."""
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

    def gradients(self, g: np.ndarray, needs_grad: Sequence[bool] | None) -> Sequence:
        """The gradients of the inputs, arrays or None, for that of the output.

        needs_grad : None for all, those of parameters added in place; or one flag an input, and nothing is changed.
        """
        return [None if dx is None else self._checked(np.asarray(dx), x)
                for dx, x in zip(self.function(g), self.inputs, strict=True)]

    def _checked(self, dx: np.ndarray, x: Tensor) -> np.ndarray:
        """dx; an error unless it has the shape and the dtype of its input."""
        if dx.shape != x._data.shape:
            raise ValueError(f"{self.name}: its backward gave shape {dx.shape} for an input of shape {x.shape}")
        if dx.dtype != x._data.dtype:
            raise TypeError(f"{self.name}: its backward gave {dx.dtype} for an input of {x.dtype}")
        return dx

    def gradients_of_tensors(self, g: Tensor, output: Tensor, needs_grad: Sequence[bool] | None, add: bool) -> Sequence:
        """The same in Tensors; add: parameters may be added to in place.

        RuntimeError where they must be differentiated again, since the function is one on arrays.
        """
        if recording():
            raise RuntimeError(
                f"{self.name}: its backward is written with arrays and cannot be differentiated again "
                "(create_graph=True); write its forward with operations, and leave the backward out")
        made = type(g)
        with unseen():
            found = [None if dx is None else made(dx) for dx in self.gradients(g._data, needs_grad)]
        if thread.recorder is not None:
            thread.recorder.call(f"{self.name} backward", self.function, (g,), found)
        return found

    def free(self) -> None:
        """Release what the derivative needs."""
        self.inputs = self.function = self.read = None
