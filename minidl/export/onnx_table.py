"""Both tables of ONNX's nodes, complete: how our operations are written, and what nodes are as operations."""
from __future__ import annotations

from . import (  # noqa: F401  they register what they have
    onnx_nodes_layers,
    onnx_nodes_shapes,
    onnx_operations_layers,
    onnx_operations_shapes,
)
from .onnx_nodes import NODES as NODES
from .onnx_operations import OPERATIONS as OPERATIONS
