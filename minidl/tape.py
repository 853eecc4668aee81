"""The tape: what was computed, and the walk back along it that gives the derivatives.

Every recorded operation is a Node: its inputs, and the function that turns the gradient of its output
into theirs. Nodes are numbered when they are made, so that the order of the walk is a sort, and a chain
of any length needs no recursion.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .tensor import Tensor

_serial = count()


class _Paused(threading.local):
    depth = 0  # how many no_grad() this thread is within


_paused = _Paused()


def recording() -> bool:
    """Whether operations of this thread are put on the tape."""
    return _paused.depth == 0


class no_grad(ContextDecorator):
    """Within ``with no_grad():``, or in a function decorated with ``@no_grad()``, nothing is recorded.

    It may be nested, and holds for the thread that entered it.
    """

    def __enter__(self) -> None:
        _paused.depth += 1

    def __exit__(self, *exception) -> None:
        _paused.depth -= 1


class Node:
    """One recorded operation: ``gradients(g)`` gives the gradient of each input, or None."""

    __slots__ = ("gradients", "inputs", "name", "serial")

    def __init__(self, name: str, inputs: Sequence[Tensor], gradients: Callable):
        self.name, self.serial = name, next(_serial)
        self.inputs: Any = inputs
        self.gradients: Any = gradients

    def free(self) -> None:
        """Let go of what the derivative needs."""
        self.inputs = self.gradients = None


def walk_back(last: Node, gradient: np.ndarray, retain_graph: bool) -> None:
    """Add to every leaf that ``last`` came from its derivative, for the gradient of last's output.

    A gradient is never written to once it is made: several inputs may have received the same array.
    """
    waiting = {last: gradient}
    for node in _order(last):
        g = waiting.pop(node, None)  # None: no operation gave it a gradient
        if g is not None:
            for tensor, dx in zip(node.inputs, node.gradients(g), strict=True):
                if dx is None or not tensor.requires_grad:
                    continue
                dx = _checked(node, np.asarray(dx), tensor)
                if tensor.node is None:
                    tensor.accumulate(dx)
                else:
                    waiting[tensor.node] = waiting[tensor.node] + dx if tensor.node in waiting else dx
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
