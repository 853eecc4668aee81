"""The tape: what was computed, and the walk back along it that gives the derivatives.

Every recorded operation is a Node: its inputs, and the function that turns the gradient of its output
into theirs. Nodes are numbered when they are made, so that the order of the walk is a sort, and a chain
of any length needs no recursion.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels.memory import Status

if TYPE_CHECKING:
    from .tensor import Tensor

GENERATOR = 0x20  # the flag of a generator function's code
_serial = count()


class _Paused(threading.local):
    depth = 0  # how many no_grad() this thread is within


_paused = _Paused()


def recording() -> bool:
    """Whether operations of this thread are put on the tape."""
    return _paused.depth == 0


class no_grad(ContextDecorator):
    """Within ``with no_grad():``, or in a function decorated with ``@no_grad()``, nothing is recorded.

    It may be nested, and holds for the thread that entered it. In a generator it holds while its body runs,
    and not for the caller between two values.
    """

    def __enter__(self) -> None:
        _paused.depth += 1

    def __exit__(self, *exception) -> None:
        _paused.depth -= 1

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


def modified(what: str, now: int, expected: int) -> RuntimeError:
    """The error for a value that a derivative reads and that is no longer what it was."""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{what} is at version {now}; expected version {expected} instead")


class Node:
    """One recorded operation: ``gradients(g)`` gives the gradient of each input, or None.

    ``read``: the Tensors whose values the derivative reads, and the Status of its output if it reads that,
    each with the version that it had.
    """

    __slots__ = ("gradients", "inputs", "name", "read", "serial")

    def __init__(self, name: str, inputs: Sequence[Tensor], gradients: Callable, read: Sequence[tuple] = ()):
        self.name, self.serial = name, next(_serial)
        self.inputs: Any = inputs
        self.gradients: Any = gradients
        self.read: Any = read

    def check(self) -> None:
        """RuntimeError if a value that the derivative reads has changed since."""
        for value, expected in self.read:
            status = value if type(value) is Status else value.status
            if status is not None and status.version != expected:
                what = f"its output (in {self.name})" if value is status else f"{value.described()} (in {self.name})"
                raise modified(what, status.version, expected)

    def free(self) -> None:
        """Let go of what the derivative needs."""
        self.inputs = self.gradients = self.read = None


def walk_back(last: Node, gradient: np.ndarray, retain_graph: bool) -> None:
    """Add to every leaf that ``last`` came from its derivative, for the gradient of last's output.

    A gradient is never written to once it is made: several inputs may have received the same array.
    """
    waiting = {last: gradient}
    order = _order(last)
    for node in order:
        node.check()
    for node in order:
        g = waiting.pop(node, None)  # None: no operation gave it a gradient
        if g is not None:
            for tensor, dx in zip(node.inputs, node.gradients(g), strict=True):
                if dx is None or not tensor.requires_grad:
                    continue
                dx = _checked(node, np.asarray(dx), tensor)
                if tensor.node is None:
                    tensor.accumulate(dx)
                else:
                    before = waiting.get(tensor.node)
                    # NumPy makes a scalar of a sum of arrays without axes.
                    waiting[tensor.node] = dx if before is None else np.asarray(before + dx)
        if not retain_graph:
            node.free()


def _order(last: Node) -> list[Node]:
    """The nodes that ``last`` came from, itself first, none before one that uses it."""
    seen, stack = {last}, [last]
    while stack:
        node = stack.pop()
        if node.inputs is None:
            raise RuntimeError(
                f"backward: the graph was freed by an earlier backward (at {node.name}); "
                "pass retain_graph=True to the first one to go through it again")
        for tensor in node.inputs:
            if tensor.node is not None and tensor.node not in seen:
                seen.add(tensor.node)
                stack.append(tensor.node)
    return sorted(seen, key=lambda node: -node.serial)


def _checked(node: Node, dx: np.ndarray, x: Tensor) -> np.ndarray:
    """dx, if it has the shape and the dtype of the input that it is the gradient of."""
    if dx.shape != x.shape:
        raise ValueError(f"{node.name}: its backward gave shape {dx.shape} for an input of shape {x.shape}")
    if dx.dtype != x.dtype:
        raise TypeError(f"{node.name}: its backward gave {dx.dtype} for an input of {x.dtype}")
    return dx
