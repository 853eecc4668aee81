"""The operations of a model's prediction on Tensors, views among them, in the order in which Python calls them."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd.tape import no_grad, recording_into
from ..autograd.tensor import Tensor
from ..nn.module import Module
from .recording import ExportError, evaluated


class Step(NamedTuple):
    """An operation, its inputs (Tensors, arrays, numbers), its settings and its output."""

    name: str
    inputs: tuple
    settings: dict[str, Any]
    output: Tensor


class Trace:
    """One run in evaluation mode, standing where a recorder does: ``steps``, ``inputs`` and ``outputs`` as Tensors.

    Raises ExportError for what is more than operations: Python on arrays, a value that is read, a write.
    """

    def __init__(self, who: str, model: Module, arrays: list[np.ndarray]):
        self.who, self.steps = who, list[Step]()
        self.inputs = [Tensor(x) for x in arrays]
        with evaluated(model), no_grad(), recording_into(self):
            output = model(*self.inputs)
        self.outputs: list[Tensor] = []
        self._collect(output)

    def _collect(self, output) -> None:
        if isinstance(output, Tensor):
            self.outputs.append(output)
        elif isinstance(output, (tuple, list)):
            for part in output:
                self._collect(part)
        elif output is not None:
            raise ExportError(f"{self.who}: expected a model that gives Tensors, got {type(output).__name__}")

    def operation(self, operation, inputs: tuple, settings: dict, output: Tensor) -> None:
        self.steps.append(Step(operation.name, inputs, settings, output))

    def constant(self, array: np.ndarray) -> None:
        """An array of numbers in the function's text."""

    def call(self, name: str, *rest, **more) -> None:
        raise ExportError(f"{self.who}: {name} runs as Python on arrays: write it with operations on Tensors")

    def read(self, tensor, how: str) -> None:
        raise ExportError(f"{self.who}: the model takes a value out of a Tensor ({how}), which would stay the same at "
                          "each later call")

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        raise ExportError(f"{self.who}: expected a model that changes nothing while it predicts")
