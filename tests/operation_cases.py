"""Inputs and settings of every operation that has a derivative, for the tests that enumerate the operations."""
from __future__ import annotations

import gc

import numpy as np
from module_cases import numbers

import minidl  # noqa: F401  every row is made by then
from minidl.functional import recurrent
from minidl.functional.operation import Operation, no_derivative
from minidl.functional.shapes import ARRAY

A, B, POSITIVE = numbers((3, 4)), numbers((3, 4), seed=1), np.abs(numbers((3, 4), seed=2)) + np.float32(0.5)
BASE = np.where(np.arange(4) == 1, 0, POSITIVE).astype(np.float32)  # the derivative of 0^b is of its own
BIAS, LABELS, ROW = numbers(3, seed=3), np.array([0, 1, 2]), {"dim": -1}
COLUMNS = np.array([[0, 3, 3], [1, 1, 2], [2, 0, 1]])
ALONG = {"dim": 1, "keepdim": False}
BOTH = (A, B)
IMAGES, TAPS = numbers((2, 4, 5, 3), seed=5), numbers((6, 2, 3, 2), seed=6)  # for two groups
PASSED = {"stride": (2, 1), "before": (1, 0), "dilation": (1, 2), "groups": 2}
OUT = numbers((2, 6, 3, 1), seed=7)
POOLED = {"kernel": (2, 2), "stride": (1, 2), "before": (1, 0), "dilation": (2, 1)}
PLACES = np.array([[0, 2, 2], [1, 0, 1]])


def recurrent_cases() -> dict[str, tuple[tuple, dict]]:
    """Sequences of three steps, N = 2 and H = 2: the rows, what they are made of, and their derivatives."""
    found: dict[str, tuple[tuple, dict]] = {}
    for name, states, gates in (("rnn", 1, 1), ("lstm", 2, 4), ("gru", 1, 3)):
        sequence = getattr(recurrent, f"_{name}")
        inputs = (numbers((3, 2, 2 * gates)), *(numbers((2, 2), seed=k + 1) for k in range(states)),
                  np.asfortranarray(numbers((2 * gates, 2), seed=3)),
                  *([numbers(2 * gates, seed=4)] if name == "gru" else []))
        for number, settings in enumerate(({"reverse": False}, {"reverse": True})):
            settings |= {"nonlinearity": "tanh"} if name == "rnn" else {}
            work = sequence.forward(*inputs, **settings)
            g = numbers((states, 3, 2, 2) if states > 1 else (3, 2, 2), seed=5)
            for key, given in ((name, inputs), (f"{name}_backward", (g, work, *inputs)),
                               (f"{name}_before", (work, *inputs))):
                found[f"{key} by {number}"] = given, settings
    return found


SHARES = tuple(1 / (1 + np.exp(-x)) for x in BOTH)
CASES: dict[str, tuple[tuple, dict]] = {
    "add": (BOTH, {}), "sub": (BOTH, {}), "mul": (BOTH, {}), "div": (BOTH, {}), "pow": ((BASE, POSITIVE), {}),
    "pow_base_gradient": ((A, POSITIVE, B), {}), "pow_exponent_gradient": ((A, B, BASE, POSITIVE), {}),
    "neg": ((A,), {}), "abs": ((A,), {}), "sign": ((A,), {}), "sqrt": ((POSITIVE,), {}), "exp": ((A,), {}),
    "log": ((POSITIVE,), {}), "log1p": ((POSITIVE,), {}), "diagonal": ((A,), {"offset": 1}),
    "diagonal_in": ((BIAS, A), {"offset": 1}), "diag": ((BIAS,), {"offset": -1}), "where": ((A > 0, A, B), {}),
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
    "layer_norm": ((A, B[0]), {"eps": 0.1}), "layer_norm by all": ((A, B[0], B[1]), {"eps": 0.1}),
    "layer_norm by none": ((A,), {"eps": 0.1}), "layer_norm_backward": ((A, B, POSITIVE[0]), {"eps": 0.1}),
    "layer_norm_backward by none": (BOTH, {"eps": 0.1}),
    "batch_norm": ((numbers((5, 4), seed=6), A, B[0]), {"eps": 0.1}),
    "batch_norm by all": ((numbers((5, 4), seed=6), A, B[0], B[1]), {"eps": 0.1}),
    "batch_norm by none": ((numbers((5, 4), seed=6), A), {"eps": 0.1}),
    "batch_norm_backward": ((A, B, POSITIVE[0]), {"eps": 0.1}), "batch_norm_backward by none": (BOTH, {"eps": 0.1}),
    "embedding": ((A, PLACES, np.array(-1)), {}), "embedding by padding": ((A, PLACES, np.array(2)), {}),
    "embedding_rows": ((A, PLACES, np.array(2)), {}),
    "embedding_backward": ((numbers((2, 3, 4)), A, PLACES, np.array(2)), {}),
    **recurrent_cases(),
    "mse_loss": (BOTH, {}), "cross_entropy": ((A, LABELS), {}), "nll_loss": ((A, LABELS), {}),
    "total": ((A,), {}), "row_total": ((A,), {}), "gather_labels": ((A, LABELS), {}),
    "gather_labels_total": ((A, LABELS), {}),
    "convolution": ((IMAGES, TAPS, numbers(6, seed=8)), PASSED | {"size": (3, 1)}),
    "convolution_input_gradient": ((OUT, TAPS), PASSED | {"size": (5, 3)}),
    "convolution_weight_gradient": ((OUT, IMAGES), PASSED | {"kernel": (3, 2)}),
    "channels_last": ((IMAGES,), {}),
    "max_pool": ((IMAGES,), POOLED | {"size": (5, 1)}),
    "max_pool_backward": ((numbers((2, 4, 5, 1), seed=7), IMAGES), POOLED),
    "max_pool_pick": ((numbers((2, 4, 5, 3), seed=7), IMAGES), POOLED | {"size": (5, 1)}),
    "average_pool": ((IMAGES,), POOLED | {"size": (5, 1), "divisor": 0, "dilation": (1, 1)}),
    "average_pool_backward": (
        (numbers((2, 4, 5, 1), seed=7),), POOLED | {"size": (5, 3), "divisor": 3, "dilation": (1, 1)}),
    "cross_entropy by weights": ((A, LABELS, POSITIVE[0]), {"label_smoothing": 0.2}),
    "nll_loss by weights": ((A, LABELS, POSITIVE[0]), {"ignore_index": 1}),
    "binary_cross_entropy": (SHARES, {}), "binary_cross_entropy by weights": ((*SHARES, POSITIVE), {}),
    "kl_div": ((A, SHARES[1]), {}), "kl_div by logarithms": (BOTH, {"log_target": True}),
    "binary_cross_entropy_with_logits": (BOTH, {}),
    "binary_cross_entropy_with_logits by weights": ((A, SHARES[1], POSITIVE, POSITIVE[0]), {}),
    "gather": ((A, COLUMNS), {"dim": 1}), "gather_gradient": ((B[:, :3].copy(), A, COLUMNS), {"dim": 1}),
    "scatter_add": ((A, COLUMNS, B[:, :3].copy()), {"dim": 1}), "expand": ((A,), {"shape": (2, 3, 4)}),
    "tril": ((A,), {"diagonal": 0}), "triu": ((A,), {"diagonal": 0}), "cumsum": ((A,), {"dim": 1}),
    "amax": ((A,), {"dim": 1}), "amin": ((A,), {"dim": 0}),
    "over_weight": ((A, POSITIVE), {}),
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
