"""The backward pass along the tape.

It computes with arrays, which is fastest; or with Tensors, so that the derivatives are operations themselves: the
tape records them where derivatives of derivatives are needed, and the thread's recorder where a step is recorded.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.memory import Status
from .tape import Node, modified, recording

if TYPE_CHECKING:
    from .tensor import Tensor

_number = attrgetter("serial")


def run_backward(last: Tensor, gradient, retain_graph: bool, tensors: bool = False) -> None:
    """Add to the gradient of every leaf that ``last`` was computed from, given the gradient of last.

    tensors : gradients are Tensors, and so are the derivatives; they are recorded if recording() says so.

    A gradient is never written to after it is made, since several inputs may have received the same array.
    """
    outputs = _outputs([last])
    order = _order(outputs)
    _check(order)
    waiting = {last.node: gradient}
    pop = waiting.pop
    add = not (tensors and recording())
    for node in order:
        g = pop(node, None)  # None: no operation gave it a gradient
        if g is not None:
            found = (node.gradients_of_tensors(g, outputs[node], None, add) if tensors
                     else node.gradients(g, None))
            for i, dx in enumerate(found):
                if dx is None:
                    continue
                tensor = node.inputs[i]
                before = tensor.node
                if before is None:
                    if tensor.requires_grad:  # it may have been frozen since
                        tensor.accumulate(dx)
                elif before in waiting:
                    waiting[before] = _sum(waiting[before], dx)
                else:
                    waiting[before] = dx
        if not retain_graph:
            node.free()


def gradients_at(roots: Sequence[tuple[Tensor, Any]], targets: Sequence[Tensor], retain_graph: bool,
                 tensors: bool) -> list:
    """The gradients of the targets, given those of the roots; None for one that no root depends on.

    Nothing is added to a leaf, and gradients that do not lead to a target are not computed.
    """
    outputs = _outputs([root for root, _ in roots])
    order = _order(outputs)
    leads = _leads(order, targets)
    _check(leads)
    waiting: dict = {}  # by the node, or the leaf's id
    for root, gradient in roots:
        key = root.node or id(root)
        before = waiting.get(key)
        waiting[key] = gradient if before is None else _sum(before, gradient)
    keys: list = [target.node or id(target) for target in targets]
    targeted, found = set(keys), {}
    for node in order:
        g = waiting.pop(node, None)
        if g is None:
            continue
        if node in targeted:
            found[node] = g
        if node in leads:
            needs_grad = leads[node]
            given = (node.gradients_of_tensors(g, outputs[node], needs_grad, False) if tensors
                     else _untouched(node, g, needs_grad, waiting))
            for tensor, dx, needed in zip(node.inputs, given, needs_grad, strict=True):
                if dx is None or not needed:
                    continue
                key = tensor.node or id(tensor)
                before = waiting.get(key)
                waiting[key] = dx if before is None else _sum(before, dx)
            if not retain_graph:
                node.free()
    return [found.get(key, waiting.get(key)) for key in keys]


def _untouched(node: Node, g: np.ndarray, needs_grad: Sequence[bool], waiting: dict) -> Sequence:
    """The node's gradients; what its function adds to parameters goes to ``waiting``, and their gradients stay."""
    before = [(parameter, parameter.grad) for parameter in node.parameters()]
    before = [(parameter, None if grad is None else np.array(grad)) for parameter, grad in before]
    for parameter, _ in before:
        parameter.grad = None
    try:
        given = node.gradients(g, needs_grad)
        for parameter, _ in before:
            if parameter.grad is not None:
                key, mine = id(parameter), np.array(parameter.grad)
                waiting[key] = mine if key not in waiting else _sum(waiting[key], mine)
    finally:
        for parameter, grad in before:
            parameter.grad = grad
    return given


def _leads(order: list[Node], targets: Sequence[Tensor]) -> dict[Node, list[bool]]:
    """The nodes through which gradients reach the targets, each with whether they do through each of its inputs."""
    keys = {target.node or id(target) for target in targets}
    leads: dict[Node, list[bool]] = {}
    for node in reversed(order):
        needs_grad = [tensor.requires_grad and (tensor.node in leads or (tensor.node or id(tensor)) in keys)
                  for tensor in node.inputs]
        if any(needs_grad) or any([id(parameter) in keys for parameter in node.parameters()]):
            leads[node] = needs_grad
    return leads


def _sum(before, dx):
    total = before + dx
    return np.asarray(total) if type(before) is np.ndarray else total  # NumPy gives a scalar for arrays without axes


def _outputs(roots: Sequence[Tensor]) -> dict[Node, Tensor]:
    """The nodes from which the roots were computed, each with its output."""
    found = {root.node: root for root in roots if root.node is not None}
    stack = list(found)
    while stack:
        node = stack.pop()
        if node.inputs is None:
            raise RuntimeError(
                f"backward: the graph was freed by an earlier backward (at {node.name}); "
                "pass retain_graph=True to the first one to go through it again")
        for tensor in node.inputs:
            before = tensor.node
            if before is not None and before not in found:
                found[before] = tensor
                stack.append(before)
    return found


def _order(nodes: Iterable[Node]) -> list[Node]:
    """The nodes, each after those that use its output."""
    return sorted(nodes, key=_number, reverse=True)


def _check(nodes: Iterable[Node]) -> None:
    """RuntimeError if a value that a derivative reads has changed since."""
    for node in nodes:
        for value, expected in node.read:
            status = value if type(value) is Status else value.status
            if status is not None and status.version != expected:
                what = "its output" if value is status else value.described()
                raise modified(f"{what} (in {node.name})", status.version, expected)
