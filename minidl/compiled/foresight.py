"""What a backward() will do is known from the graph that it goes along, where all derivatives in it are minidl's own.

A recording notes each such graph and the lines that its walk became. A check that comes to the same graph after the
same lines need not take them down again: the walk then runs on arrays.
"""
from __future__ import annotations

import os
from typing import Any
from weakref import WeakKeyDictionary

from ..autograd.backward import _order, _outputs
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..functional.applied import Applied
from ..functional.operation import Operation
from ..kernels.ledger import owner_of

OWN = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_known: WeakKeyDictionary[Operation, bool] = WeakKeyDictionary()


def graph_behind(last: Tensor, recorder: Any) -> tuple | None:
    """A key of the graph, after whose lines the recorder is; None where a walk along it may do something else.

    Each node is told by its operation, its output's place, its settings, and the nodes or parameters of its inputs.
    """
    if last.node is None:
        return None
    outputs = _outputs([last])
    order = _order(outputs)
    numbers = {node: n for n, node in enumerate(order)}
    told = []
    for node in order:
        if type(node) is not Applied or not _is_own(node.applied[0]):
            return None
        data = outputs[node]._data
        root = recorder.roots.get(id(owner_of(data)))
        if root is None:
            return None
        sources: list[Any] = []
        for x in node.inputs:
            if x.node is not None:
                sources.append(numbers[x.node])
            elif isinstance(x, Parameter):
                sources.append((id(x), x.requires_grad))
            else:  # a leaf of the function's
                return None
        operation, _, _, settings, _, _ = node.applied
        told.append((id(operation), root.told(data), recorder.told(settings) if settings else (), tuple(node.positions),
                     tuple(sources)))
    return tuple(told)


def _is_own(operation: Operation) -> bool:
    """Whether the derivatives of an operation are written in minidl, and so do the same each time."""
    own = _known.get(operation)
    if own is None:
        functions = (operation.add_all, *operation.derivatives)
        own = _known[operation] = all([_is_written_here(function) for function in functions])
    return own


def _is_written_here(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(OWN)
