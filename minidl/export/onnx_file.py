"""to_onnx: a model as an ONNX file."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..files import part_of
from ..nn.module import Module
from .onnx_graph import Graph
from .onnx_table import NODES
from .recording import ExportError, example_of, names_of
from .trace import Trace


def to_onnx(model: Module, path: str | os.PathLike, example=None, *, dynamic_rows: bool = True) -> None:
    """Write the model, in evaluation mode, as an ONNX file. Needs the package onnx (``pip install 'minidl[onnx]'``).

    Any model that is written with operations on Tensors; its results in another runtime are equal but for rounding.
    The inputs are named x, or x0, x1, ..., the outputs y; weights keep their names.

    example : an input as ``predict`` takes it, or a tuple of several; None for a Sequential that begins with a Linear.
    dynamic_rows : the first axis of every input may have any length N, as in a batch; False fixes all shapes.

    The file appears whole or not at all. Raises ExportError (a ValueError) that names what has no ONNX form;
    ModuleNotFoundError without onnx.
    """
    content = onnx_model(model, example, dynamic_rows).SerializeToString()
    with part_of(Path(path)) as part:
        part.write_bytes(content)
        os.replace(part, path)


def onnx_model(model: Module, example=None, dynamic_rows: bool = True):
    """The same as an onnx.ModelProto."""
    arrays = example_of("to_onnx", model, example)
    if dynamic_rows and any(x.ndim == 0 or len(x) != len(arrays[0]) for x in arrays):
        raise ExportError("to_onnx: expected inputs of as many rows, got "
                          f"{[x.shape for x in arrays]}: dynamic_rows=False fixes the shapes")
    trace = Trace("to_onnx", model, arrays)
    other = trace
    if dynamic_rows:
        try:
            other = Trace("to_onnx", model, [np.concatenate([x, x[:1]]) for x in arrays])
        except (IndexError, TypeError, ValueError) as error:
            if isinstance(error, ExportError):
                raise
            raise ExportError(f"to_onnx: the model does not take {len(arrays[0]) + 1} rows: dynamic_rows=False fixes "
                              f"the shapes ({error})") from error
    graph = Graph(trace, other, dict((id(array), name) for name, array in names_of(model)))
    for step, twin in zip(trace.steps, other.steps, strict=False):
        graph.add(step, twin, NODES)
    return graph.finished(type(model).__name__)
