"""Inputs and settings of every operation that has a derivative, for the tests that enumerate the operations."""
from __future__ import annotations

import gc

import numpy as np
from module_cases import numbers

import minidl  # noqa: F401  every row is made by then
from minidl.functional.operation import Operation
from minidl.functional.shapes import ARRAY

A, B, POSITIVE = numbers((3, 4)), numbers((3, 4), seed=1), np.abs(numbers((3, 4), seed=2)) + np.float32(0.5)
BASE = np.where(np.arange(4) == 1, 0, POSITIVE).astype(np.float32)  # the derivative of 0^b is of its own
BIAS, LABELS, ROW = numbers(3, seed=3), np.array([0, 1, 2]), {"dim": -1}
ALONG = {"dim": 1, "keepdim": False}
BOTH = (A, B)
CASES: dict[str, tuple[tuple, dict]] = {
    "add": (BOTH, {}), "sub": (BOTH, {}), "mul": (BOTH, {}), "div": (BOTH, {}), "pow": ((BASE, POSITIVE), {}),
    "pow_base_gradient": ((A, POSITIVE, B), {}), "pow_exponent_gradient": ((A, B, BASE, POSITIVE), {}),
    "neg": ((A,), {}), "abs": ((A,), {}), "sign": ((A,), {}), "sqrt": ((POSITIVE,), {}), "exp": ((A,), {}),
    "log": ((POSITIVE,), {}), "where": ((A > 0, A, B), {}),
    "relu": ((A,), {}), "tanh": ((A,), {}), "sigmoid": ((A,), {}), "selu": ((A,), {}), "elu": ((A,), {"alpha": 0.7}),
    "leaky_relu": ((A,), {"negative_slope": 0.1}), "softmax": ((A,), ROW), "log_softmax": ((A,), ROW),
    "relu_backward": (BOTH, {}), "tanh_backward": (BOTH, {}), "sigmoid_backward": (BOTH, {}),
    "selu_backward": (BOTH, {}), "elu_backward": (BOTH, {"alpha": 0.7}),
    "leaky_relu_backward": (BOTH, {"negative_slope": 0.1}),
    "softmax_backward": (BOTH, ROW), "log_softmax_backward": (BOTH, ROW),
    "matmul": ((A, B.T.copy()), {}), "transpose": ((A,), {}), "linear": ((A, B, BIAS), {}),
    "linear_input_gradient": ((numbers((5, 3), seed=4), B), {}),
    "linear_weight_gradient": ((numbers((3, 2), seed=4), B), {}), "linear_bias_gradient": ((A,), {}),
    "sum": ((A,), {}), "mean": ((A,), {}), "max": ((A,), {}), "min": ((A,), {}),
    "_pick": ((A, A.argmax(1)[:, None]), ALONG),
    "put": ((BIAS, A.argmax(1)[:, None]), {**ALONG, "shape": (3, 4)}),
    "reshape": ((A,), {"shape": (4, 3)}), "permute": ((A,), {"dims": (1, 0)}), "unsqueeze": ((A,), {"dim": 1}),
    "expand": ((A,), {"shape": (2, 3, 4)}), "index": ((A,), {"index": (1,)}),
    "scatter": ((A[1],), {"index": (1,), "shape": (3, 4)}),
    "index by arrays": ((A, np.array([0, 2, 2])), {"index": (ARRAY, slice(1, 3))}),
    "scatter by arrays": ((A[:, 1:3].copy(), np.array([0, 2, 2])), {"index": (ARRAY, slice(1, 3)), "shape": (3, 4)}),
    "cat": (BOTH, {"dim": 0, "ends": (0, 3, 6)}), "stack": (BOTH, {"dim": 0}), "to": ((A,), {"dtype": np.dtype("f8")}),
    "clone": ((A,), {}), "contiguous": ((A,), {}), "dropout": (BOTH, {}),
    "mse_loss": (BOTH, {}), "cross_entropy": ((A, LABELS), {}), "nll_loss": ((A, LABELS), {}),
    "total": ((A,), {}), "row_total": ((A,), {}), "picked": ((A, LABELS), {}), "picked_total": ((A, LABELS), {}),
    "cross_entropy_gradient": ((A, LABELS, np.array(0.3, np.float32)), {}),
}
OPERATIONS = [o for o in gc.get_objects() if issubclass(type(o), Operation) and o.derivatives]


def key(operation: Operation) -> str:
    return "_pick" if operation.value.__name__ == "_pick" else operation.name


def cases(operation: Operation) -> list[tuple[tuple, dict]]:
    """The inputs and settings to try it with."""
    return [case for name, case in CASES.items() if name.split(" by ")[0] == key(operation)]


def output_gradient(y, seed: int = 4):
    """A gradient for an output y."""
    return numbers(np.shape(y), np.result_type(y), seed) if np.ndim(y) else np.result_type(y).type(1.5)
