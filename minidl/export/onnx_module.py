"""from_onnx: an ONNX graph as a module, whose nodes are operations: it predicts, is trained, and runs compiled."""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays import FLOATS
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..functional.images import weight_axes
from ..nn.module import Module
from .recording import ExportError

OLDEST = 13  # of ONNX's opsets: since then axes are inputs, and Softmax is of one axis


class Node(NamedTuple):
    """A node of the graph; "" stands for an input or an output that is left out."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


def from_onnx(path: str | os.PathLike) -> OnnxModule:
    """The model in an ONNX file, as a module. Needs the package onnx (``pip install 'minidl[onnx]'``).

    Its weights are Parameters, the statistics of BatchNormalization buffers, under the names of the file, with "_" for
    what no Python name has; those of recurrent layers have their gates in minidl's order. It takes the graph's inputs
    in their order, and gives its output, or a tuple of them.

    Raises ExportError (a ValueError) that names the nodes for which minidl has no operation, and for a file that is no
    ONNX model; OSError for one that cannot be read; ModuleNotFoundError without onnx.
    """
    import onnx
    from google.protobuf.message import DecodeError

    content = Path(path).read_bytes()
    try:
        proto = onnx.load_model_from_string(content)
        if any(one.external_data for one in proto.graph.initializer):
            raise ExportError("from_onnx: expected weights within the file, got some in files beside it")
        onnx.checker.check_model(proto)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ExportError(f"from_onnx({os.fspath(path)!r}): expected an ONNX model: {error}") from None
    return OnnxModule(proto)


class OnnxModule(Module):
    """The graph of an onnx.ModelProto, run node by node; see from_onnx."""

    def __init__(self, proto):
        from onnx import helper, numpy_helper

        from .onnx_operations_layers import arrange_gates
        from .onnx_table import OPERATIONS

        opset = max([one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")], default=0)
        if opset < OLDEST:
            raise ExportError(f"from_onnx: expected opset {OLDEST} or newer, got {opset}: onnx.version_converter "
                              "converts it")
        graph = proto.graph
        nodes = [Node(one.op_type if one.domain in ("", "ai.onnx") else f"{one.domain}.{one.op_type}",
                      tuple(one.input), tuple(one.output),
                      {a.name: helper.get_attribute_value(a) for a in one.attribute}) for one in graph.node]
        unknown = sorted({node.kind for node in nodes} - OPERATIONS.keys())
        if unknown:
            raise ExportError(f"from_onnx: no operation for {', '.join(unknown)}")
        given = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        arrange_gates(nodes, given)
        self.nodes, self.title_of_graph = nodes, graph.name
        self.input_names = [one.name for one in graph.input if one.name not in given]
        self.output_names = [one.name for one in graph.output]
        self.constants: dict[str, np.ndarray] = {}
        self.held: dict[str, str] = {}  # the attributes that hold weights
        statistics = {name for node in nodes if node.kind == "BatchNormalization" for name in node.inputs[3:5]}
        orders = {node.inputs[1]: node for node in nodes if node.kind in ("Conv", "Gemm") and len(node.inputs) > 1}
        for name, array in given.items():
            if array.dtype not in FLOATS or array.ndim == 0:
                self.constants[name] = array
                continue
            attribute = self._attribute(name)
            self.held[name] = attribute
            if name in statistics:
                self.register_buffer(attribute, Tensor(array.copy()))
            else:
                setattr(self, attribute, Parameter(array, attribute, order=_order(array, orders.get(name))))

    def _attribute(self, name: str) -> str:
        """A name that Python allows and nobody has."""
        base = re.sub(r"\W", "_", name)
        base = base if base[:1].isalpha() else f"weight_{base}"
        found, i = base, 0
        while hasattr(self, found):
            i += 1
            found = f"{base}_{i}"
        return found

    def forward(self, *inputs):
        """The outputs, for the graph's inputs in their order."""
        from .onnx_table import OPERATIONS

        if len(inputs) != len(self.input_names):
            raise ValueError(f"{self.title_of_graph}: expected {len(self.input_names)} inputs, {self.input_names}, "
                             f"got {len(inputs)}")
        values: dict[str, Any] = {"": None, **self.constants}
        values.update({name: getattr(self, attribute) for name, attribute in self.held.items()})
        values.update({name: x if isinstance(x, Tensor) else Tensor(x)
                       for name, x in zip(self.input_names, inputs, strict=True)})
        for node in self.nodes:
            found = OPERATIONS[node.kind](node, *[values[name] for name in node.inputs])
            values.update(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False))
        outputs = [values[name] for name in self.output_names]
        outputs = [y if isinstance(y, Tensor) else Tensor(np.asarray(y)) for y in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def extra_repr(self) -> str:
        return f"{self.title_of_graph}, {len(self.nodes)} nodes"


def _order(array: np.ndarray, node: Node | None) -> Any:
    """How a weight lies so that its product reads it fast."""
    if node is not None and node.kind == "Conv" and array.ndim in (3, 4):
        return weight_axes(array.ndim)
    if node is not None and node.kind == "Gemm" and node.attributes.get("transB", 0):
        return "F"
    return "C"
