"""grad: derivatives as values, which can be differentiated again."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .backward import gradients_at
from .tape import active_recorder, recording_on_tape
from .tensor import Tensor


def grad(outputs, inputs, grad_outputs=None, retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Tensor | None, ...]:
    """The derivatives Σ_k grad_outputs[k] ∂outputs[k]/∂input, a Tensor for each of the inputs.

    outputs, inputs : a Tensor or several. An input is a leaf, a Parameter, or an intermediate result.
    grad_outputs : for each output an array or Tensor of its shape and dtype, or None, which stands
        for 1 and is allowed for an output of one element.
    retain_graph : keep what the derivatives need for another pass; by default as create_graph says.
    create_graph : record the derivatives, so that they can be differentiated again.
    allow_unused : give None for an input that no output depends on.

    No ``grad`` is changed. Raises RuntimeError for an output or input that does not require a gradient, for
    an input that is not used (without allow_unused), for a graph that was freed, and what backward() raises; ValueError
    and TypeError for a grad_output of another shape or dtype.
    """
    outputs, inputs = _several("outputs", outputs), _several("inputs", inputs)
    given = [None] * len(outputs) if grad_outputs is None else _listed(grad_outputs)
    if len(given) != len(outputs):
        raise RuntimeError(f"grad: got {len(outputs)} outputs and {len(given)} grad_outputs")
    for i, output in enumerate(outputs):
        if not output.requires_grad:
            raise RuntimeError(f"grad: element {i} of outputs does not require grad and was not recorded")
        if given[i] is None and output.numel() != 1:
            raise RuntimeError(f"grad: expected a gradient for output {i} of shape {output.shape}: "
                               "it can be left out for a single element alone")
    if not all(x.requires_grad for x in inputs):
        raise RuntimeError("grad: one of the differentiated Tensors does not require grad")
    tensors = create_graph or active_recorder() is not None
    with recording_on_tape(create_graph):
        roots = [(y, y.first_gradient(g) if tensors else y.first_gradient(g)._data)
                 for y, g in zip(outputs, given, strict=True)]
        found = gradients_at(roots, inputs, create_graph if retain_graph is None else retain_graph, tensors)
    if not allow_unused and any(dx is None for dx in found):
        raise RuntimeError("grad: one of the differentiated Tensors appears to not have been used in the graph; "
                           "set allow_unused=True if this is the desired behavior")
    return tuple(dx if dx is None or tensors else Tensor(np.array(dx)) for dx in found)


def _listed(given) -> list:
    return list(given) if isinstance(given, (tuple, list)) else [given]


def _several(name: str, given) -> Sequence[Tensor]:
    """A Tensor or several as a list."""
    found = _listed(given)
    for x in found:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected {name} to be Tensors, got {type(x).__name__}")
    return found
