"""The forward pass of any model, in evaluation mode, recorded for each shape of its inputs."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..autograd.tape import active_recorder, no_grad
from ..autograd.tensor import Tensor
from ..nn.module import Module
from .errors import CaptureError
from .snapshot import put_back_if_refused
from .step import RecordedStep

LARGEST = 1 << 20  # elements of an input; above it a recording costs memory and saves nothing
SHAPES = 64  # number of shapes that are remembered as seen once

_modes = threading.RLock()  # all threads share a model's modes: one at a time may change them


class RecordedForward:
    """``forward.run(inputs)``: the outputs, with the bits of the modules. It serves one thread at a time.

    Inputs of a shape run plain at the first time, are recorded at the second, and are replayed from the third on.
    ``reason`` says why they are not recorded any more, or "".
    """

    def __init__(self, model: Module):
        self.model = model
        self.reason = ""
        self.step = RecordedStep(_forward_of(model))
        self._seen: set[tuple] = set()

    def __call__(self, X: np.ndarray) -> np.ndarray | None:
        """The outputs for an input whose kind has been seen before, or None."""
        return self.run([X]) if ((X.shape, X.dtype),) in self._seen else None

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The outputs for inputs as the model takes them."""
        kind = tuple([(x.shape, x.dtype) for x in inputs])
        with _undisturbed(self.model), no_grad():
            if kind in self._seen and not self.reason:
                try:
                    return _array(self.step(*inputs))
                except CaptureError as refusal:
                    self.reason = str(refusal).removeprefix("capture: ")
            y = self.model(*inputs)
            if not self.reason and max(x.size for x in inputs) <= LARGEST:  # seen, since the modules take it
                if len(self._seen) == SHAPES:
                    self._seen.clear()
                self._seen.add(kind)
            return y


def _forward_of(model: Module) -> Callable:
    def forward(*inputs):
        recorder = active_recorder()
        if recorder is not None:
            put_back_if_refused(recorder, model)
        return model(*inputs)

    return forward


@contextmanager
def _undisturbed(model: Module) -> Iterator[None]:
    """In evaluation mode; modes, and what forward saved for backward, are put back."""
    with _modes:
        before = [(module, module.training, module.saved) for module in model.modules()]
        model.eval()
        try:
            yield
        finally:
            for module, training, saved in before:
                module.training, module.saved = training, saved


def _array(output):
    """A model's output as an array."""
    return output._data if isinstance(output, Tensor) else output
