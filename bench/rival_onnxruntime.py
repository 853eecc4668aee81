"""onnxruntime: inference of a model that is written here, byte by byte, since its format is so small.

A protobuf message is a row of fields: the field's number and kind, then a varint or a length and bytes.
The numbers below are those of onnx.proto3.
"""
from __future__ import annotations

from itertools import pairwise

import machine
import numpy as np
import onnxruntime
from networks import WIDTHS, batch, is_tanh, weights

FLOAT = 1


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, array: np.ndarray) -> bytes:
    dimensions = b"".join(field(1, n) for n in array.shape)
    return dimensions + field(2, FLOAT) + field(8, name) + field(9, array.tobytes())


def port(name: str, columns: int) -> bytes:
    """An input or output of floats (N, columns)."""
    shape = field(1, field(2, "N")) + field(1, field(1, columns))
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape)))


def node(operation: str, inputs: list[str], output: str) -> bytes:
    return b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operation)


def model(network: str) -> bytes:
    """Gemm and activation by turns; the tensors are h0 (the input), h1, h2, ..."""
    widths, values, nodes, tensors = WIDTHS[network], weights(network), [], []
    for i, _ in enumerate(pairwise(widths)):
        last = i == len(widths) - 2
        tensors += [tensor(f"w{i}", values[2 * i]), tensor(f"b{i}", values[2 * i + 1])]
        nodes.append(node("Gemm", [f"h{i}", f"w{i}", f"b{i}"], f"h{i + 1}" if last else f"z{i}"))
        if not last:
            nodes.append(node("Tanh" if is_tanh(network) else "Relu", [f"z{i}"], f"h{i + 1}"))
    graph = (b"".join(field(1, n) for n in nodes) + field(2, network) + b"".join(field(5, t) for t in tensors)
             + field(11, port("h0", widths[0])) + field(12, port(f"h{len(widths) - 1}", widths[-1])))
    return field(1, 8) + field(8, field(1, "") + field(2, 17)) + field(7, graph)


class Session:
    """A session with as many threads as all rivals."""

    def __init__(self, network: str, size: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = machine.COUNT, 1
        self.session = onnxruntime.InferenceSession(model(network), options, ["CPUExecutionProvider"])
        self.feed, self.output = {"h0": batch(network, size)[0]}, [f"h{len(WIDTHS[network]) - 1}"]

    def predict(self) -> np.ndarray:
        return self.session.run(self.output, self.feed)[0]
