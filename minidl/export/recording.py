"""The recorded lines of a model's prediction: what is computed of the input, without what is the same at each call."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..autograd.tape import no_grad
from ..compiled.conversion import array_of, as_floats, dtype_of, evaluating, inputs_of
from ..compiled.errors import CaptureError, PlainOnly
from ..compiled.forward import _modes
from ..compiled.layers import leaves, widths
from ..compiled.nesting import arrays_of
from ..compiled.snapshot import Snapshot
from ..compiled.step import Recording
from ..kernels.ledger import Line, Root, owner_of
from ..nn.module import Module

LASTING = ("values", "outside", "constant")  # kinds of memory that hold the same at each call
OF_SHAPES = ("zeros_like", "ones_like", "zeros_of", "lower_triangle")  # whose operands count by their shapes alone


class ExportError(ValueError):
    """A model cannot be written in another form: the message says what of it, and why."""


def example_of(who: str, model: Module, example) -> list[np.ndarray]:
    """The inputs as the model takes them; without an example a row of zeros, as wide as its first Linear says."""
    if example is None:
        try:
            width, _ = widths(leaves(model))
        except (TypeError, ValueError):
            raise ExportError(f"{who}: expected an example of the input, such as X[:1], since {type(model).__name__} "
                              "does not tell its shape") from None
        example = np.zeros((1, width), dtype_of(model))
    given = example if isinstance(example, tuple) else (example,)
    inputs = [array_of(who, "example", x) for x in given]
    if len(inputs) == 1:
        inputs = inputs_of(model, inputs)  # as predict takes it
    inputs = [_cast(x, dtype_of(model)) for x in inputs]
    if not all(x.size for x in inputs):
        raise ExportError(f"{who}: expected an example with something in it, got {[x.shape for x in inputs]}")
    return inputs


def _cast(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return as_floats(x, dtype) if x.dtype.kind == "f" else x if x.dtype == bool else x.astype(np.int64)


@contextmanager
def evaluated(model: Module) -> Iterator[None]:
    """In evaluation mode; modes, and what forward saved for backward, are put back. Nobody predicts meanwhile."""
    with _modes:
        saved = [(module, module.saved) for module in model.modules()]
        try:
            with evaluating(model):
                yield
        finally:
            for module, before in saved:
                module.saved = before


def recorded(who: str, model: Module, inputs: list[np.ndarray]) -> Recording:
    """One run in evaluation mode, with constants in place of what does not depend on the input.

    ExportError for what runs as Python, and for a model that changes its state, which is put back.
    """
    arrays: list[np.ndarray] = []
    nesting = arrays_of((tuple(inputs), {}), arrays)
    before = Snapshot(model)

    def forward(*inputs):
        return model(*inputs)

    try:
        with evaluated(model), no_grad():
            recording = Recording(forward, nesting, arrays)
        _refuse(who, recording.recorder)
    except (CaptureError, PlainOnly) as refusal:
        before.put_back()
        raise ExportError(f"{who}: {str(refusal).removeprefix('capture: ')}") from None
    except Exception:
        before.put_back()
        raise
    _fold(recording.recorder)
    return recording


def _refuse(who: str, recorder) -> None:
    """Raise for lines that are no operations."""
    for line in recorder.lines:
        if line.what in ("function", "call", "draw"):
            name = next(iter(recorder.in_place), "a function")
            raise ExportError(f"{who}: {name} runs as Python on arrays: write it with operations on Tensors")
        if line.what != "operation":
            raise ExportError(f"{who}: expected a model that changes nothing while it predicts, got one that writes "
                              f"to an array of shape {line.outputs[0].shape if line.outputs else ()}")


def _fold(recorder) -> None:
    """Make constants of the outputs of lines that read nothing else, and drop these lines."""
    def lasts(array: np.ndarray) -> bool:
        return recorder.roots[id(owner_of(array))].key[0] in LASTING

    kept: list[Line] = []
    for line in recorder.lines:
        output = line.outputs[0]
        owner = owner_of(output)
        read = [] if line.operation.name in OF_SHAPES else [x for x in line.arrays if x is not output]
        if output.size == owner.size and all(lasts(x) for x in read):
            recorder.roots[id(owner)] = Root(owner, ("constant", owner.dtype.str, owner.shape, owner.tobytes()))
        else:
            kept.append(line)
    recorder.lines[:] = kept


def names_of(model: Module) -> list[tuple[str, np.ndarray]]:
    """The arrays of parameters and buffers by name."""
    found = [*model.named_parameters(), *model.named_buffers()]
    return [(name, value._data) for name, value in found if value is not None]
