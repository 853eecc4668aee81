"""Inputs and settings of every operation that has a derivative, for the tests that enumerate the operations."""
from __future__ import annotations

import gc

import numpy as np
from module_cases import numbers

import minidl  # noqa: F401  every row is made by then
from minidl.functional.operation import Operation, no_derivative
from minidl.functional.shapes import ARRAY

A, B, POSITIVE = numbers((3, 4)), numbers((3, 4), seed=1), np.abs(numbers((3, 4), seed=2)) + np.float32(0.5)
BASE = np.where(np.arange(4) == 1, 0, POSITIVE).astype(np.float32)  # the derivative of 0^b is of its own
BIAS, LABELS, ROW = numbers(3, seed=3), np.array([0, 1, 2]), {"dim": -1}
PLACES = np.array([[0, 3, 3], [1, 1, 2], [2, 0, 1]])
ALONG = {"dim": 1, "keepdim": False}
BOTH = (A, B)
SHARES = tuple(1 / (1 + np.exp(-x)) for x in BOTH)
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
    "hardtanh_backward": (BOTH, {"low": -0.7, "high": 0.9}), "threshold_backward": (BOTH, {"threshold": 0.2}),
    "hardsigmoid": ((3 * A,), {}), "hardswish": ((3 * A,), {}), "relu6": ((4 * A,), {}),
    "softmax_backward": (BOTH, ROW), "log_softmax_backward": (BOTH, ROW),
    "matmul": ((A, B.T.copy()), {}), "transpose": ((A,), {}), "linear": ((A, B, BIAS), {}),
    "linear_input_gradient": ((numbers((5, 3), seed=4), B), {}),
    "linear_weight_gradient": ((numbers((3, 2), seed=4), B), {}), "linear_bias_gradient": ((A,), {}),
    "sum": ((A,), {}), "mean": ((A,), {}), "max": ((A,), {}), "min": ((A,), {}),
    "_pick": ((A, A.argmax(1)[:, None]), ALONG),
    "put": ((BIAS, A, A.argmax(1)[:, None]), ALONG), "over_count": (BOTH, {"dim": 1}), "over": (BOTH, {"by": "rows"}),
    "reshape": ((A,), {"shape": (4, 3)}), "permute": ((A,), {"dims": (1, 0)}), "unsqueeze": ((A,), {"dim": 1}),
    "squeeze": ((A[:, None],), {"dims": (1,)}), "flatten": ((numbers((2, 3, 4)),), {"start": 1, "end": 2}),
    "reshape_as": ((A, B.reshape(6, 2)), {}), "expand_as": ((A, numbers((2, 3, 4))), {}),
    "index": ((A,), {"index": (1,)}), "scatter": ((A[1], A), {"index": (1,)}),
    "index by arrays": ((A, np.array([0, 2, 2])), {"index": (ARRAY, slice(1, 3))}),
    "scatter by arrays": ((A[:, 1:3].copy(), A, np.array([0, 2, 2])), {"index": (ARRAY, slice(1, 3))}),
    "cat": (BOTH, {"dim": 0, "ends": (0, 3, 6)}), "stack": (BOTH, {"dim": 0}), "to": ((A,), {"dtype": np.dtype("f8")}),
    "clone": ((A,), {}), "contiguous": ((A,), {}), "dropout": (BOTH, {}),
    "mse_loss": (BOTH, {}), "cross_entropy": ((A, LABELS), {}), "nll_loss": ((A, LABELS), {}),
    "cross_entropy by weights": ((A, LABELS, POSITIVE[0]), {"label_smoothing": 0.2}),
    "nll_loss by weights": ((A, LABELS, POSITIVE[0]), {"ignore_index": 1}),
    "binary_cross_entropy": (SHARES, {}), "binary_cross_entropy by weights": ((*SHARES, POSITIVE), {}),
    "kl_div": ((A, SHARES[1]), {}), "kl_div by logarithms": (BOTH, {"log_target": True}),
    "binary_cross_entropy_with_logits": (BOTH, {}),
    "binary_cross_entropy_with_logits by weights": ((A, SHARES[1], POSITIVE, POSITIVE[0]), {}),
    "gather": ((A, PLACES), {"dim": 1}), "gather_gradient": ((B[:, :3].copy(), A, PLACES), {"dim": 1}),
    "scatter_add": ((A, PLACES, B[:, :3].copy()), {"dim": 1}), "expand": ((A,), {"shape": (2, 3, 4)}),
    "tril": ((A,), {"diagonal": 0}), "triu": ((A,), {"diagonal": 0}), "cumsum": ((A,), {"dim": 1}),
    "amax": ((A,), {"dim": 1}), "amin": ((A,), {"dim": 0}),
    "over_weight": ((A, POSITIVE), {}),
    "total": ((A,), {}), "row_total": ((A,), {}), "picked": ((A, LABELS), {}), "picked_total": ((A, LABELS), {}),
    "cross_entropy_gradient": ((A, LABELS, np.array(0.3, np.float32)), {}),
}
OPERATIONS = [o for o in gc.get_objects() if issubclass(type(o), Operation) and o.derivatives]


def key(operation: Operation) -> str:
    return "_pick" if operation.value.__name__ == "_pick" else operation.name


def cases(operation: Operation) -> list[tuple[tuple, dict]]:
    """The inputs and settings to try it with; of an operation that is not listed, matrices and its defaults."""
    listed = [case for name, case in CASES.items() if name.split(" by ")[0] == key(operation)]
    return listed or [((A, B, POSITIVE)[:int(operation.arity)], {})]


def differentiable(operation: Operation, inputs) -> list[int]:
    """The inputs that have a derivative."""
    without = [1] if operation.name in ("cross_entropy", "nll_loss") else []  # whose derivative raises
    return [i for i, x in enumerate(inputs) if x.dtype.kind == "f" and i not in without
            and operation.derivative(i) is not no_derivative]


def output_gradient(y, seed: int = 4):
    """A gradient for an output y."""
    return numbers(np.shape(y), np.result_type(y), seed) if np.ndim(y) else np.result_type(y).type(1.5)
