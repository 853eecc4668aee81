"""Operations as instructions of a program: their numbers are those of NumPy, and what has no kernel is left alone."""
from __future__ import annotations

import numpy as np
import pytest
from lowered import F4, F8, I8, Maker, gives, is_left, numbers, run

from minidl.compiled.lower import MOST, lower

every_dtype = pytest.mark.parametrize("dtype", [F4, F8], ids=str)
A, B = numbers(3, 4), numbers(3, 4, seed=1)


@every_dtype
def test_arithmetic(dtype):
    a, b = numbers(3, 4, dtype=dtype), numbers(3, 4, dtype=dtype, seed=1)
    gives("add", [a, b], a + b)
    gives("sub", [a, b], a - b)
    gives("sub", [2, b], 2 - b)
    gives("mul", [a, 0.1], a * dtype.type(0.1))
    gives("div", [a, b[0]], a / b[0])
    gives("div", [a, b[:, :1]], a / b[:, :1])
    gives("neg", [a], -a)
    gives("pow", [a, 2], a * a)
    gives("pow", [a, 2.0], a * a)
    gives("pow_base_gradient", [b, a, 2], 2 * b * a, instructions=2)
    gives("dropout", [a, b], a * b)
    gives("leaky_relu", [a], np.where(a > 0, a, a * dtype.type(0.25)), {"negative_slope": 0.25})
    for name, function in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
                           "ne": np.not_equal}.items():
        gives(name, [np.round(a), np.round(b)], function(np.round(a), np.round(b)))
        gives(name, [np.round(a), 0.0], function(np.round(a), 0))


def test_arithmetic_that_is_left_to_numpy():
    is_left("add", [A, B.astype(F8)], np.zeros((3, 4)))
    is_left("add", [A, A > 0], np.zeros((3, 4), F4))
    is_left("add", [2, 3], np.zeros((3, 4), F4))
    is_left("add", [A, [1, 2]], np.zeros((3, 4), F4))
    is_left("add", [A, B], np.zeros((3, 4), np.float16))
    is_left("add", [A[:0], B[:0]], np.zeros((0, 4), F4))
    is_left("lt", [A.astype(int), A.astype(int)], np.zeros((3, 4), bool))
    is_left("log1p", [A], np.zeros((3, 4), F4))  # no kernel
    is_left("pow", [A, 3], np.zeros((3, 4), F4))
    is_left("pow", [A, B], np.zeros((3, 4), F4))
    is_left("pow", [2, 2], np.zeros((3, 4), F4))
    is_left("pow_base_gradient", [A, B, 3], np.zeros((3, 4), F4))
    is_left("pow_base_gradient", [A, B, A], np.zeros((3, 4), F4))
    is_left("pow_base_gradient", [A, B, 2], np.zeros((3, 4), int))


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_an_operation_of_any_layout_is_cut_into_few_parts(axes):
    a, b = numbers(2, 3, 4), numbers(*[(2, 3, 4)[axis] for axis in axes], seed=1).transpose(np.argsort(axes))
    parts = {(0, 1, 2): 1, (0, 2, 1): 2, (1, 0, 2): 2, (1, 2, 0): 1, (2, 0, 1): 1, (2, 1, 0): 2}[axes]
    gives("add", [a, b], a + b, instructions=parts)


def test_parts_along_the_shortest_axis_and_no_more_than_are_worth_it():
    a, b = numbers(5, 3, 4), numbers(3, 5, 4, seed=1).transpose(1, 0, 2)
    gives("add", [a, b], a + b, instructions=3)
    c, d = numbers(2, 3, 4, 5), numbers(5, 4, 3, 2, seed=1).T
    gives("add", [c, d], c + d, instructions=2 * 3)
    for rows, parts in ((MOST, MOST), (MOST + 1, None)):
        many, turned = np.ones((rows, MOST + 2, 2), F4), np.ones((MOST + 2, rows, 2), F4).transpose(1, 0, 2)
        output = np.zeros((rows, MOST + 2, 2), F4)
        assert run("add", [many, turned], {}, output) == parts
        assert (output == (2 if parts else 0)).all()


def test_an_axis_that_is_repeated():
    a, row = numbers(2, 3, 4), numbers(3, 1, seed=1)
    gives("mul", [a, row], a * row, instructions=2)
    gives("mul", [a, numbers(2, 1, 1)], a * numbers(2, 1, 1))


def test_integers_are_counted_on():
    n = np.array([[1, -5], [7, 2 ** 40]])
    gives("add", [n, 3], n + 3)
    gives("add", [n, -3], n - 3)
    gives("add", [n, 2 ** 31 - 1], n + 2 ** 31 - 1)
    gives("add", [n, 1 - 2 ** 31], n + 1 - 2 ** 31)
    gives("copy", [n], n)
    gives("clone", [n.T], n.T)
    gives("contiguous", [n], n)
    for other in (2 ** 31, -2 ** 31, 1.0, True, n):
        is_left("add", [n, other], np.zeros((2, 2), I8))
    is_left("add", [n.astype(np.int32), 1], np.zeros((2, 2), I8))
    is_left("add", [3, 1], np.zeros((2, 2), I8))
    is_left("sub", [n, 1], np.zeros((2, 2), I8))
    is_left("add", [np.zeros((2, 3, 2), int).transpose(2, 1, 0), 1], np.zeros((2, 3, 2), I8))


@every_dtype
def test_copies_and_casts(dtype):
    a = numbers(3, 4, dtype=dtype)
    other = F8 if dtype == F4 else F4
    for name in ("clone", "copy", "contiguous"):
        gives(name, [a], a)
        gives(name, [a.T], a.T, output=np.zeros((4, 3), dtype))
        is_left(name, [a], np.zeros((3, 4), other))
    gives("ones_like", [a], np.ones_like(a))
    gives("zeros_like", [a], np.zeros_like(a))
    gives("zeros_of", [a], np.zeros_like(a), {"shape": (3, 4)})
    for name in ("ones_like", "zeros_like", "zeros_of"):
        is_left(name, [a], np.full((3, 4), 7), {})
    gives("to", [a], a, {"dtype": dtype})
    gives("to", [a.T], a.T.astype(other), {"dtype": other})
    gives("to", [a[:, :2]], a[:, :2], {"dtype": dtype})
    is_left("to", [a], np.zeros((3, 4), int), {"dtype": int})
    is_left("to", [a.astype(int)], np.zeros((3, 4), dtype), {"dtype": dtype})
    is_left("to", [numbers(2, 3, 4, dtype=dtype).transpose(2, 1, 0)], np.zeros((4, 3, 2), other), {"dtype": other})


@every_dtype
def test_where_and_masks(dtype):
    a, b, condition = numbers(3, 4, dtype=dtype), numbers(3, 4, dtype=dtype, seed=1), numbers(3, 4, seed=2) > 0
    gives("where", [condition, a, b], np.where(condition, a, b))
    gives("where", [condition[0], a, 0.5], np.where(condition[0], a, dtype.type(0.5)))
    gives("where", [condition, 1.0, b[:, :1]], np.where(condition, dtype.type(1), b[:, :1]))
    gives("hiding", [condition, a], np.where(condition, dtype.type(-np.inf), dtype.type(0)))
    deep = numbers(2, 3, 4, seed=3) > 0
    gives("where", [deep.transpose(1, 0, 2), 1.0, 0.0], np.where(deep.transpose(1, 0, 2), dtype.type(1), 0),
          output=np.zeros((3, 2, 4), dtype), instructions=2)
    is_left("where", [condition.astype(int), a, b], np.zeros((3, 4), dtype))
    is_left("where", [True, a, b], np.zeros((3, 4), dtype))
    is_left("where", [condition, a, b], np.zeros((3, 4), int))
    is_left("where", [condition, a.astype(int), b], np.zeros((3, 4), dtype))


def product(a, b):
    """As the kernels add up: in float64 it is near enough."""
    return a.astype(F8) @ b.astype(F8)


@every_dtype
def test_products(dtype):
    x, w, bias = numbers(5, 3, dtype=dtype), numbers(4, 3, dtype=dtype, seed=1), numbers(4, dtype=dtype, seed=2)
    fortran = np.asfortranarray(w)
    for weight in (w, fortran):
        y = np.zeros((5, 4), dtype)
        gives("linear", [x, weight], product(x, w.T), output=y, exact=False)
        gives("linear", [x, weight, bias], product(x, w.T) + bias, output=y, exact=False)
        gives("linear", [x.reshape(5, 1, 3), weight, bias], (product(x, w.T) + bias).reshape(5, 1, 4),
              output=y.reshape(5, 1, 4), exact=False)
        g, dx = numbers(5, 4, dtype=dtype, seed=3), np.zeros((5, 3), dtype)
        gives("linear_input_gradient", [g, weight], product(g, w), output=dx, exact=False)
        for lies in (np.zeros((4, 3), dtype), np.zeros((4, 3), dtype, order="F")):
            gives("linear_weight_gradient", [g, x], product(g.T, x), output=lies, exact=False)
            gives("linear_weight_gradient", [g, x], 2 * product(g.T, x), output=lies, exact=False, accumulates=True)
            gives("linear_weight_gradient", [g, x], product(g.T, x), output=lies, exact=False, accumulates=False)
    db = np.zeros(4, dtype)
    gives("linear_bias_gradient", [g], g.sum(0), output=db, exact=False)
    gives("linear_bias_gradient", [g], 2 * g.sum(0), output=db, exact=False, accumulates=True)
    a, b = numbers(3, 4, dtype=dtype), numbers(4, 2, dtype=dtype, seed=1)
    gives("matmul", [a, b], product(a, b), output=np.zeros((3, 2), dtype), exact=False)
    gives("matmul", [a, b], product(a, b), output=np.zeros((3, 2), dtype, order="F"), exact=False)
    gives("matmul", [np.asfortranarray(a), b.copy("F")], product(a, b), output=np.zeros((3, 2), dtype), exact=False)
    other = F8 if dtype == F4 else F4
    is_left("linear", [x.astype(other), w], np.zeros((5, 4), dtype))
    is_left("linear", [x, w, bias], np.zeros((5, 4), dtype, order="F"))  # where sums begin lies by rows
    is_left("linear", [x, w, np.repeat(bias, 2)[::2]], np.zeros((5, 4), dtype))
    is_left("linear", [x, w], np.zeros((5, 8), dtype)[:, ::2])
    is_left("linear_bias_gradient", [g.astype(other)], np.zeros(4, dtype))
    is_left("matmul", [a.astype(other), b], np.zeros((3, 2), dtype))


@every_dtype
def test_products_of_stacks(dtype):
    a, b = numbers(2, 3, 4, dtype=dtype), numbers(2, 4, 5, dtype=dtype, seed=1)
    y = np.zeros((2, 3, 5), dtype)
    gives("matmul", [a, b], product(a, b), output=y, exact=False)
    gives("matmul", [a, b[0]], product(a, b[0]), output=y, exact=False)
    gives("matmul", [a[0], b], product(a[0], b), output=y, exact=False)
    gives("matmul", [a, b[:1]], product(a, b[:1]), output=y, exact=False)
    deep, wide = numbers(3, 2, 3, 4, dtype=dtype), numbers(2, 3, 4, 5, dtype=dtype, seed=1).transpose(1, 0, 2, 3)
    y = np.zeros((3, 2, 3, 5), dtype)
    gives("matmul", [deep, wide], product(deep, wide), output=y, exact=False, instructions=3)
    many = numbers(2, MOST + 1, 1, 1, dtype=dtype).transpose(1, 0, 2, 3)
    is_left("matmul", [many, np.ones((MOST + 1, 2, 1, 1), dtype)], np.zeros((MOST + 1, 2, 1, 1), dtype))
    gives("matmul", [many[:MOST], np.ones((MOST, 2, 1, 1), dtype)], many[:MOST], instructions=MOST)
    is_left("matmul", [a, b], np.zeros((2, 3, 5), F8 if dtype == F4 else F4))


@every_dtype
def test_rows(dtype):
    x = numbers(3, 4, dtype=dtype)
    e = np.exp(x - x.max(1, keepdims=True))
    p, y = e / e.sum(1, keepdims=True), np.zeros((3, 4), dtype)
    for dim in (-1, 1):
        gives("softmax", [x], p, {"dim": dim}, y, exact=False)
        gives("log_softmax", [x], np.log(p), {"dim": dim}, y, exact=False)
    deep = numbers(2, 3, 4, dtype=dtype)
    e = np.exp(deep)
    gives("softmax", [deep], e / e.sum(-1, keepdims=True), {"dim": 2}, np.zeros((2, 3, 4), dtype), exact=False)
    is_left("softmax", [deep], np.zeros((2, 3, 4), dtype), {"dim": 1})
    is_left("softmax", [x], np.zeros((3, 4), dtype), {"dim": 0})
    is_left("softmax", [np.zeros((), dtype)], np.zeros((), dtype), {"dim": -1})
    is_left("softmax", [deep.transpose(1, 0, 2)], np.zeros((3, 2, 4), dtype), {"dim": -1})
    is_left("softmax", [x], np.zeros((3, 4), F8 if dtype == F4 else F4), {"dim": -1})


@every_dtype
@pytest.mark.parametrize("dim, kept", [(None, ()), (0, (3, 4)), (2, (2, 3)), (-1, (2, 3)), ((1, 2), (2,)),
                                       ((0, 1), (4,)), ((0, 1, 2), ()), ((-1, 0, 1), ()), ((2, 1), (2,))])
def test_sums_and_means(dtype, dim, kept):
    x = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    total = np.asarray(x.sum(axis=dim))
    assert total.shape == kept
    gives("sum", [x], total, {"dim": dim})
    gives("mean", [x], x.mean(axis=dim, dtype=F8), {"dim": dim}, np.zeros(kept, dtype), instructions=2, exact=False)
    gives("over_count", [total, x], total / dtype.type(x.size // total.size), {"dim": dim})


@every_dtype
def test_sums_that_are_copies_or_left(dtype):
    x = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    gives("sum", [x[0, 0, :1].reshape(())], x[0, 0, 0], {"dim": None})
    gives("sum", [x], x, {"dim": ()})
    other = F8 if dtype == F4 else F4
    for given, dim, output in [(x, 1, np.zeros((2, 4), dtype)), (x, (0, 2), np.zeros(3, dtype)),
                               (x.T, 0, np.zeros((3, 2), dtype)), (x, 0, np.zeros((4, 3), dtype).T),
                               (x, 0, np.zeros((3, 4), other)), (x.astype(int), 0, np.zeros((3, 4), int)),
                               (x[:0], 0, np.zeros((3, 4), dtype))]:
        is_left("sum", [given], output, {"dim": dim})
        is_left("mean", [given], output, {"dim": dim})


@every_dtype
def test_numbers_of_all_elements(dtype):
    x, z = numbers(3, 4, dtype=dtype), numbers(5, 2, dtype=dtype)
    number = np.zeros(())
    gives("total", [x], x.sum(dtype=F8), output=number, exact=False)
    is_left("total", [x.astype(int)], number)
    is_left("total", [numbers(2, 3, 4, dtype=dtype).transpose(1, 0, 2)], number)
    gives("over", [x, z], x / dtype.type(5), {"by": "rows"})
    gives("over", [x, z], x / dtype.type(10), {"by": "elements"})
    is_left("over", [2.0, z], np.zeros((3, 4), dtype), {"by": "rows"})
    is_left("over", [x, z], np.zeros((3, 4), int), {"by": "rows"})
    is_left("over_count", [x, z], np.zeros((3, 4), int), {"dim": None})
    gives("row_total", [x], x.sum(1, keepdims=True), output=np.zeros((3, 1), dtype), exact=False)
    is_left("row_total", [x], np.zeros((3, 1), F8 if dtype == F4 else F4))
    is_left("row_total", [numbers(2, 3, 4, dtype=dtype).transpose(1, 0, 2)], np.zeros((3, 2, 1), dtype))


@every_dtype
def test_labels(dtype):
    z, labels = numbers(3, 4, dtype=dtype), np.array([2, 0, 3])
    total = z[range(3), labels].sum(dtype=F8)
    gives("gather_labels_total", [z, labels], total, output=np.zeros(()), exact=False, instructions=2)
    start = np.zeros((3, 4), dtype)
    minus = np.zeros((3, 4), dtype)
    minus[range(3), labels] = -1
    gives("minus_one_hot", [labels], minus, output=start, instructions=2)  # the first checks the labels
    log_p = np.log(np.full((3, 4), 0.25, dtype))
    for factor in (0.5, np.full((1,), 2, dtype)):
        gives("cross_entropy_gradient", [log_p, labels, factor], factor * (0.25 + minus),
              output=np.zeros((3, 4), dtype), exact=False, instructions=3)
    y = np.zeros((3, 4), dtype)
    apart = np.repeat(labels, 2)[::2]
    for given, mine in [(labels, False), (labels.astype(np.int32), True), (labels.reshape(3, 1), True), (apart, True),
                        (1, True)]:
        is_left("gather_labels_total", [z, given], np.zeros(()), mine=mine)
        is_left("minus_one_hot", [given], y, mine=mine)
        is_left("cross_entropy_gradient", [log_p, given, 1.0], y, mine=mine)
    is_left("gather_labels_total", [z.reshape(3, 2, 2), labels], np.zeros(()))
    is_left("gather_labels_total", [z.astype(int), labels], np.zeros(()))
    is_left("minus_one_hot", [labels], np.zeros((3, 4), int))
    is_left("cross_entropy_gradient", [log_p, labels, np.ones(3, dtype)], y)
    is_left("cross_entropy_gradient", [log_p, labels, np.ones((), F8 if dtype == F4 else F4)], y)
    is_left("cross_entropy_gradient", [log_p, labels, 1.0], np.zeros((3, 4), F8 if dtype == F4 else F4))


def test_labels_out_of_range_are_told_with_the_name_of_the_loss():
    maker = Maker()
    assert lower(maker, "cross_entropy_gradient", [A, np.array([0, 4, 1]), 1.0], {}, np.zeros((3, 4), F4))
    with pytest.raises(ValueError, match=r"^CrossEntropyLoss: expected labels from 0 to 3, got 4"):
        maker.program.replayed((), lambda: None)
