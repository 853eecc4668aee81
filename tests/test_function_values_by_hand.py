"""The values of functions by NumPy's own or by their formulas, on arrays and on Tensors.

A function that is neither here nor compared by hand elsewhere fails a test.
"""
from __future__ import annotations

import math

import numpy as np
import pytest
from module_cases import numbers

import minidl
from minidl import functional as F

A, B, C = (numbers((3, 4), np.float64, seed) for seed in range(3))
P, Q = np.exp(A), np.exp(B)
WHOLE, OTHER = np.array([[6, 3, 12], [-7, 0, 5]]), np.array([[3, 5, 10], [2, 1, -4]])
YES, NO = A > 0, B > 0.3
SHIFTED = np.array([np.nan, np.inf, -np.inf, 0.0, -1.5])
INDEX = np.array([[0, 2, 1, 1], [2, 2, 0, 1]])
LABELS = np.array([1.0, -1.0, 1.0])


def cosine(a, b, axis=1):
    return (a * b).sum(axis) / np.sqrt((a * a).sum(axis) * (b * b).sum(axis))


def distance(a, b, p=2.0, eps=1e-6):
    return (abs(a - b + eps) ** p).sum(-1) ** (1 / p)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


CASES = [  # name, arguments, named, what it gives
    *[(name, (x,), {}, getattr(np, name)(x)) for x in (A, A[0], 3 * A) for name in (
        "exp", "sin", "cos", "tan", "tanh", "square", "expm1", "floor", "ceil", "trunc", "sign")],
    *[(name, (P,), {}, getattr(np, name)(P)) for name in ("log", "log1p", "log2", "log10", "sqrt", "reciprocal")],
    ("abs", (A,), {}, abs(A)), ("absolute", (A,), {}, abs(A)), ("neg", (A,), {}, -A), ("rsqrt", (P,), {}, P ** -0.5),
    ("round", (3 * A,), {}, np.round(3 * A)),
    ("round", (np.array([0.5, 1.5, 2.5, -0.5]),), {}, np.array([0.0, 2, 2, 0])),
    ("erf", (A,), {}, np.vectorize(math.erf)(A)), ("sigmoid", (A,), {}, sigmoid(A)), ("relu", (A,), {}, A * (A > 0)),
    ("elu", (A,), {"alpha": 0.7}, np.where(A > 0, A, 0.7 * np.expm1(A))),
    ("elu", (A,), {}, np.where(A > 0, A, np.expm1(A))),
    ("selu", (A,), {}, 1.0507009873554805 * np.where(A > 0, A, 1.6732632423543772 * np.expm1(A))),
    ("leaky_relu", (A,), {}, np.where(A > 0, A, 0.01 * A)), ("leaky_relu", (A, 0.3), {}, np.where(A > 0, A, 0.3 * A)),
    ("softplus", (A,), {}, np.log1p(np.exp(A))), ("softplus", (A, 2.0), {}, np.log1p(np.exp(2 * A)) / 2),
    ("softplus", (A, 1.0, 0.5), {}, np.where(A > 0.5, A, np.log1p(np.exp(A)))),
    ("gelu", (A,), {}, gelu(A)),
    ("gelu", (A,), {"approximate": "tanh"}, A / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (A + 0.044715 * A ** 3)))),
    ("logsigmoid", (A,), {}, np.log(sigmoid(A))), ("silu", (A,), {}, A * sigmoid(A)),
    ("softsign", (A,), {}, A / (1 + abs(A))),
    ("mish", (A,), {}, A * np.tanh(np.log1p(np.exp(A)))), ("relu6", (9 * A,), {}, np.clip(9 * A, 0, 6)),
    ("hardtanh", (2 * A,), {}, np.clip(2 * A, -1, 1)), ("hardtanh", (A, -0.3, 0.8), {}, np.clip(A, -0.3, 0.8)),
    ("hardsigmoid", (4 * A,), {}, np.clip(4 * A + 3, 0, 6) / 6),
    ("hardswish", (4 * A,), {}, 4 * A * np.clip(4 * A + 3, 0, 6) / 6),
    ("threshold", (A, -0.2, 0.7), {}, np.where(A > -0.2, A, 0.7)),
    ("prelu", (A, np.array([0.3])), {}, np.where(A > 0, A, 0.3 * A)),
    ("prelu", (A, np.arange(4.0)), {}, np.where(A > 0, A, np.arange(4.0) * A)),
    *[("softmax", (A, dim), {}, np.exp(A) / np.exp(A).sum(dim, keepdims=True)) for dim in (0, 1, -1)],
    *[("softmin", (A, dim), {}, np.exp(-A) / np.exp(-A).sum(dim, keepdims=True)) for dim in (0, 1)],
    *[("log_softmax", (A, dim), {}, A - np.log(np.exp(A).sum(dim, keepdims=True))) for dim in (0, 1, -1)],
    *[("logsumexp", (A, dim), {}, np.log(np.exp(A).sum(dim))) for dim in (0, 1, (0, 1))],
    *[(name, (A, B), {}, function(A, B)) for name, function in (
        ("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide), ("maximum", np.maximum),
        ("minimum", np.minimum), ("remainder", np.mod), ("floor_divide", np.floor_divide), ("eq", np.equal),
        ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal))],
    *[(name, (A, A), {}, np.full(A.shape, name in ("eq", "le", "ge"))) for name in (
        "eq", "ne", "lt", "le", "gt", "ge")],
    ("pow", (P, B), {}, P ** B), ("pow", (A, 3), {}, A ** 3), ("lerp", (A, B, 0.3), {}, A + 0.3 * (B - A)),
    ("lerp", (A, B, C), {}, A + C * (B - A)), ("clamp", (A, -0.3, 0.5), {}, np.clip(A, -0.3, 0.5)),
    ("clamp", (A,), {"min": 0.1}, np.maximum(A, 0.1)), ("clip", (A,), {"max": 0.1}, np.minimum(A, 0.1)),
    ("where", (YES, A, B), {}, np.where(YES, A, B)), ("masked_fill", (A, YES, 0.5), {}, np.where(YES, 0.5, A)),
    ("masked_select", (A, YES), {}, A[YES]), ("isclose", (A, A + 1e-9), {}, np.full(A.shape, True)),
    ("isclose", (A, A + 1e-3), {"atol": 1e-4}, np.isclose(A, A + 1e-3, atol=1e-4)),
    *[(name, (SHIFTED,), {}, getattr(np, name)(SHIFTED)) for name in ("isfinite", "isinf", "isnan")],
    *[(f"logical_{name}", (YES, NO), {}, getattr(np, f"logical_{name}")(YES, NO)) for name in ("and", "or", "xor")],
    *[(f"bitwise_{name}", (WHOLE, OTHER), {}, getattr(np, f"bitwise_{name}")(WHOLE, OTHER)) for name in (
        "and", "or", "xor")],
    ("logical_not", (YES,), {}, ~YES), ("bitwise_not", (WHOLE,), {}, ~WHOLE),
    ("floor_divide", (WHOLE, OTHER), {}, WHOLE // OTHER), ("remainder", (WHOLE, OTHER), {}, WHOLE % OTHER),
    # Vectors and matrices
    ("mm", (A, B.T), {}, A @ B.T), ("mv", (A, B[0]), {}, A @ B[0]), ("dot", (A[0], B[0]), {}, A[0] @ B[0]),
    ("bmm", (A[None], B.T[None]), {}, (A @ B.T)[None]), ("matmul", (A, B.T), {}, A @ B.T),
    ("addmm", (C[:, :3], A, B.T), {"beta": 0.5, "alpha": 2}, 0.5 * C[:, :3] + 2 * A @ B.T),
    ("outer", (A[0], B[0]), {}, np.outer(A[0], B[0])), ("trace", (A,), {}, np.trace(A)), ("t", (A,), {}, A.T),
    ("linear", (A, B, C[:, 0]), {}, A @ B.T + C[:, 0]), ("linear", (A, B), {}, A @ B.T),
    *[("diag", (x, k), {}, np.diag(x, k)) for x in (A, A[0]) for k in (0, 1, -1)],
    *[(name, (A, k), {}, getattr(np, name)(A, k)) for name in ("tril", "triu") for k in (0, 1, -1)],
    *[("einsum", (text, *arrays), {}, np.einsum(text, *arrays)) for text, arrays in (
        ("ij,kj->ik", (A, B)), ("ij->ji", (A,)), ("ij->", (A,)), ("ij,ij->i", (A, B)), ("i,j", (A[0], B[0])),
        ("ij,kj,kl->il", (A, B, C)), ("ij,j", (A, B[0])))],
    *[("norm", (A, p), {}, np.linalg.norm(A.ravel(), p)) for p in (1, 2, 3, 0.5, np.inf)],
    ("norm", (A,), {}, np.linalg.norm(A)),
    *[("norm", (A, p, 1), {}, np.linalg.norm(A, p, 1)) for p in (1, 2, np.inf)],
    ("normalize", (A,), {}, A / np.linalg.norm(A, axis=1, keepdims=True)),
    ("normalize", (A, 1.0, 0), {}, A / abs(A).sum(0)),
    # Order, places and parts
    *[("cumsum", (A, dim), {}, np.cumsum(A, dim)) for dim in (0, 1)],
    *[("argsort", (A, dim), {}, np.argsort(A, dim)) for dim in (0, 1)],
    ("argsort", (A, 1, True), {}, np.argsort(-A, 1)),
    *[("diff", (A,), {"dim": dim}, np.diff(A, axis=dim)) for dim in (0, 1)],
    ("diff", (A, 2), {}, np.diff(A, 2)), ("gather", (A, 0, INDEX), {}, np.take_along_axis(A, INDEX, 0)),
    ("take_along_dim", (A, INDEX, 0), {}, np.take_along_axis(A, INDEX, 0)),
    ("index_select", (A, 1, INDEX[0]), {}, A[:, INDEX[0]]),
    ("scatter_add", (A, 0, INDEX, B[:2]), {}, A + sum(
        (INDEX[i, j] == np.arange(3))[:, None] * (np.arange(4) == j) * B[i, j] for i in range(2) for j in range(4))),
    ("flip", (A, 0), {}, A[::-1]), ("flip", (A, (0, 1)), {}, A[::-1, ::-1]), ("roll", (A, 1, 0), {}, np.roll(A, 1, 0)),
    ("roll", (A, (1, -2), (0, 1)), {}, np.roll(A, (1, -2), (0, 1))), ("roll", (A, 3), {}, np.roll(A, 3)),
    ("repeat", (A, 2, 3), {}, np.tile(A, (2, 3))), ("repeat", (A, 2, 1, 3), {}, np.tile(A, (2, 1, 3))),
    ("tile", (A, (2,)), {}, np.tile(A, (2,))), ("tile", (A, (2, 1, 3)), {}, np.tile(A, (2, 1, 3))),
    ("repeat_interleave", (A, 2, 0), {}, np.repeat(A, 2, 0)), ("repeat_interleave", (A, 2), {}, np.repeat(A, 2)),
    ("expand", (A, 2, -1, -1), {}, np.broadcast_to(A, (2, 3, 4))),
    ("expand", (A[:, :1], -1, 5), {}, np.repeat(A[:, :1], 5, 1)),
    ("broadcast_to", (A, (2, 3, 4)), {}, np.broadcast_to(A, (2, 3, 4))), ("swapaxes", (A, 0, 1), {}, A.T),
    ("movedim", (A[None], 0, 2), {}, np.moveaxis(A[None], 0, 2)), ("narrow", (A, 1, 1, 2), {}, A[:, 1:3]),
    ("select", (A, 1, 2), {}, A[:, 2]), ("select", (A, 0, -1), {}, A[-1]),
    ("clone", (A,), {}, A), ("numel", (A,), {}, 12),
    ("hstack", ([A, B],), {}, np.hstack([A, B])), ("vstack", ([A, B],), {}, np.vstack([A, B])),
    ("hstack", ([A[0], B[0]],), {}, np.hstack([A[0], B[0]])), ("vstack", ([A[0], B[0]],), {}, np.vstack([A[0], B[0]])),
    ("bincount", (INDEX[0],), {}, np.bincount(INDEX[0])),
    ("bincount", (INDEX[0],), {"minlength": 6}, np.bincount(INDEX[0], minlength=6)),
    ("count_nonzero", (WHOLE,), {}, 5), ("count_nonzero", (WHOLE, 0), {}, np.count_nonzero(WHOLE, 0)),
    ("nonzero", (WHOLE,), {}, np.argwhere(WHOLE)), ("unique", (INDEX,), {}, np.unique(INDEX)),
    *[(f"a{which}", (A, *dim), {}, getattr(np, f"a{which}")(A, *dim))
      for which in ("max", "min") for dim in ((), (0,), (1,))],
    ("zero_pad2d", (A[None, None], (1, 2, 0, 3)), {}, np.pad(A[None, None], ((0, 0), (0, 0), (0, 3), (1, 2)))),
    ("pad", (A, (1, 2)), {}, np.pad(A, ((0, 0), (1, 2)))), ("pad", (A, (1, 0, 2, 1), "constant", 0.5), {}, np.pad(
        A, ((2, 1), (1, 0)), constant_values=0.5)),
    *[("pad", (A[None], (2, 1), mode), {}, np.pad(A[None], ((0, 0), (0, 0), (2, 1)), how))
      for mode, how in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"))],
    # Losses, and distances
    ("l1_loss", (A, B), {}, abs(A - B).mean()), ("l1_loss", (A, B), {"reduction": "sum"}, abs(A - B).sum()),
    *[("smooth_l1_loss", (A, B), {"beta": beta}, np.where(
        abs(A - B) < beta, (A - B) ** 2 / (2 * beta or 1), abs(A - B) - beta / 2).mean()) for beta in (1.0, 0.3, 0.0)],
    ("kl_div", (A, Q), {}, (Q * (B - A)).mean()), ("kl_div", (A, B), {"log_target": True, "reduction": "batchmean"},
                                                   (Q * (B - A)).sum() / 3),
    ("binary_cross_entropy", (sigmoid(A), sigmoid(B)), {}, -(
        sigmoid(B) * np.log(sigmoid(A)) + sigmoid(-B) * np.log(sigmoid(-A))).mean()),
    ("binary_cross_entropy_with_logits", (A, sigmoid(B)), {"pos_weight": Q[0]}, -(
        Q[0] * sigmoid(B) * np.log(sigmoid(A)) + sigmoid(-B) * np.log(sigmoid(-A))).mean()),
    ("cosine_similarity", (A, B), {}, cosine(A, B)), ("cosine_similarity", (A, B, 0), {}, cosine(A, B, 0)),
    ("pairwise_distance", (A, B), {}, distance(A, B)),
    ("pairwise_distance", (A, B, 3.0, 0.01), {}, distance(A, B, 3.0, 0.01)),
    ("triplet_margin_loss", (A, B, C), {}, np.maximum(distance(A, B) - distance(A, C) + 1, 0).mean()),
    ("triplet_margin_loss", (A, B, C), {"swap": True, "margin": 0.4}, np.maximum(
        distance(A, B) - np.minimum(distance(A, C), distance(B, C)) + 0.4, 0).mean()),
    ("cosine_embedding_loss", (A, B, LABELS), {"margin": 0.2}, np.where(
        LABELS > 0, 1 - cosine(A, B), np.maximum(cosine(A, B) - 0.2, 0)).mean()),
]
ELSEWHERE = {  # the test file -> what it compares by hand
    "images": "adaptive_avg_pool1d adaptive_avg_pool2d avg_pool1d avg_pool2d conv1d conv2d max_pool1d max_pool2d",
    "attention, embedding": "scaled_dot_product_attention embedding embedding_bag",
    "normalization": "batch_norm group_norm instance_norm layer_norm rms_norm",
    "losses": "cross_entropy huber_loss mse_loss nll_loss",
    "reductions": "all any argmax argmin max min mean sum prod std var median",
    "shapes": "cat concat concatenate detach flatten permute reshape squeeze stack transpose unsqueeze",
    "below": "chunk split unbind sort topk", "distributions": "bernoulli multinomial one_hot",
    "functional": "Operation dropout"}


def plain(x):
    return x.data if isinstance(x, minidl.Tensor) else x


def test_every_function_is_compared_by_hand():
    assert {name for name, *_ in CASES} | set(" ".join(ELSEWHERE.values()).split()) == set(F.__all__)


@pytest.mark.parametrize("name, arguments, named, expected", CASES,
                         ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_values(name, arguments, named, expected):
    tensors = [[minidl.tensor(x) for x in a] if isinstance(a, list) else minidl.tensor(a) if isinstance(a, np.ndarray)
               else a for a in arguments]
    for given in (arguments, tensors):
        with np.errstate(invalid="ignore"):
            got = plain(getattr(F, name)(*given, **named))
        assert np.shape(got) == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)
        assert np.asarray(got).dtype.kind == np.asarray(expected).dtype.kind


def same_parts(found, expected) -> None:
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(plain(got), wanted)


@pytest.mark.parametrize("x", [A, minidl.tensor(A)], ids=["array", "Tensor"])
def test_several_outputs(x):
    for dim in (0, 1, -1):
        same_parts(F.unbind(x, dim), np.moveaxis(A, dim, 0))
        for size in (1, 2, 3, 9):
            same_parts(F.split(x, size, dim), np.split(A, range(size, A.shape[dim], size), dim))
            length = -(-A.shape[dim] // size)
            same_parts(F.chunk(x, size, dim), np.split(A, range(length, A.shape[dim], length), dim))
        for descending in (False, True):
            order = np.argsort(-A if descending else A, dim)
            same_parts(F.sort(x, dim, descending), (np.take_along_axis(A, order, dim), order))
            for k in (0, 1, 3):
                first = np.take(order, range(k), dim)
                same_parts(F.topk(x, k, dim, descending), (np.take_along_axis(A, first, dim), first))
    same_parts(F.split(x, [1, 2], 0), (A[:1], A[1:]))


def test_the_norm_of_order_0_counts_and_has_no_slope():
    x = minidl.tensor([3.0, 0.0, -0.7, 1e-30, -0.0], requires_grad=True)
    count = F.norm(x, 0)
    count.backward()
    assert count.item() == 3 and x.grad.tolist() == [0] * 5
    assert F.norm(minidl.tensor([np.nan, 0.0, np.inf]), 0).item() == 2
