"""What a module's backward hooks are called with: its output's gradient, caught as it comes, and its input's.

Around the forward each input and each output passes a node of the tape that hands its gradient on. The node of an
output notes it; that of the first input, which is the last to be reached, calls the hooks.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tape import recording
from ..autograd.tensor import Tensor, as_array, record

if TYPE_CHECKING:
    from .module import Module


class Passage:
    """One forward of a module that has backward hooks."""

    def __init__(self, module: Module, hooks: dict[int, Callable]):
        self.module, self.hooks = module, hooks
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.tracked: list[int] = []  # the inputs that require a gradient
        self.first = 0  # the first output that does

    def enter(self, inputs: tuple) -> tuple:
        """The inputs to give to the forward."""
        self.inputs = [None] * len(inputs)
        if recording():
            self.tracked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        return tuple([self._passing(x, partial(self._at_input, i)) if i in self.tracked else x
                      for i, x in enumerate(inputs)])

    def leave(self, output):
        """The output to hand on: a Tensor, or a tuple of them."""
        given = output if isinstance(output, tuple) else (output,)
        self.outputs = [None] * len(given)
        caught = [i for i, y in enumerate(given) if isinstance(y, Tensor) and y.requires_grad and recording()]
        if not caught:
            return output
        self.first = caught[0]
        passed = [self._passing(y, partial(self._at_output, i)) if i in caught else y for i, y in enumerate(given)]
        return type(output)(*passed) if hasattr(output, "_fields") else (
            tuple(passed) if isinstance(output, tuple) else passed[0])

    def _passing(self, x: Tensor, gradients: Callable) -> Tensor:
        return record(f"{type(self.module).__name__} hook", x._data, [x], gradients)

    def _at_output(self, i: int, g: np.ndarray) -> tuple:
        self.outputs[i] = Tensor(g)
        if i == self.first and not self.tracked:
            self._call()
        return (g.copy(),)

    def _at_input(self, i: int, g: np.ndarray) -> tuple:
        self.inputs[i] = Tensor(g)
        return (self._call() if i == self.tracked[0] else g.copy(),)

    def _call(self) -> np.ndarray | None:
        """Call the hooks; the gradient that then goes on from the first input."""
        for hook in self.hooks.values():
            changed = hook(self.module, tuple(self.inputs), tuple(self.outputs))
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(self.tracked) != 1 or len(changed) != len(self.inputs):
                raise RuntimeError(f"{type(self.module).__name__}: a backward hook replaces the gradient of a single "
                                   f"input alone, got {len(changed)} gradients for {len(self.tracked)}")
            self.inputs = [x if x is None or isinstance(x, Tensor) else Tensor(as_array(x)) for x in changed]
        found = np.array(self.inputs[self.tracked[0]]._data) if self.tracked else None
        self.inputs, self.outputs = [None] * len(self.inputs), [None] * len(self.outputs)
        return found
