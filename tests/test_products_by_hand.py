"""matmul of each pair of ranks and linear of each rank against NumPy; operations as such: arguments, broadcasting."""
from __future__ import annotations

import re

import numpy as np
import pytest

import minidl
from minidl import functional
from minidl.functional.applied import unbroadcast
from minidl.functional.operation import Joining, Operation

RNG = np.random.default_rng(0)


def tensor(array):
    return minidl.tensor(array.copy(), requires_grad=True)


@pytest.mark.parametrize("a, b", [
    ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
    ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((6, 5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 1)),
    ((1, 3), (3, 1)), ((1,), (1,))])
def test_matmul(a, b):
    a, b = RNG.normal(size=a), RNG.normal(size=b)
    expected = np.matmul(a, b)
    got = functional.matmul(a, b)
    assert np.shape(got) == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    x, y = tensor(a), tensor(b)
    product = x @ y
    assert product.shape == expected.shape
    g = RNG.normal(size=expected.shape)
    product.backward(g)
    for operand, other, gradient in ((a, 0, x.grad), (b, 1, y.grad)):
        numeric = np.zeros_like(operand)
        for i in np.ndindex(operand.shape):  # the product is linear in each operand
            unit = np.zeros_like(operand)
            unit[i] = 1
            numeric[i] = (g * (np.matmul(unit, b) if other == 0 else np.matmul(a, unit))).sum()
        np.testing.assert_allclose(gradient, numeric, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("a, b, message", [
    (2.0, np.ones(2), "got float"), (np.ones(2), 3, "got int"), (np.float64(1), np.ones(2), "got a single number"),
    (minidl.tensor(1.0), np.ones(2), "got a single number"), ("x", np.ones(2), "got str")])
def test_matmul_of_numbers(a, b, message):
    with pytest.raises(ValueError, match=f"^matmul: expected arrays of at least one axis, {message}$"):
        functional.matmul(a, b)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (1, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    x, w, b = RNG.normal(size=shape), RNG.normal(size=(5, 3)), RNG.normal(size=5) if bias else None
    expected = x @ w.T + (b if bias else 0)
    given = (w, b) if bias else (w,)
    for got in (functional.linear(x, *given), functional.linear(x, w, bias=b)):
        assert got.shape == (*shape[:-1], 5)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    tensors = [tensor(part) for part in (x, *given)]
    y = functional.linear(*tensors)
    g = RNG.normal(size=y.shape)
    y.backward(g)
    rows, outs = x.reshape(-1, 3), g.reshape(-1, 5)
    for part, gradient in zip(tensors, (g @ w, outs.T @ rows, outs.sum(0)), strict=False):
        np.testing.assert_allclose(part.grad, gradient, rtol=1e-12, atol=1e-14)
        assert part.grad.shape == part.shape


@pytest.mark.parametrize("x, w, b, message", [
    ((2, 4), (5, 3), None, r"got \(2, 4\), \(5, 3\), None"), ((2, 5), (5, 3), None, r"got \(2, 5\)"),
    ((3,), (3,), None, r"got \(3,\), \(3,\)"), ((2, 3), (5, 3, 1), None, r"\(5, 3, 1\)"),
    ((3, 2), (5, 3), None, r"got \(3, 2\)"),
    ((2, 3), (5, 3), (3,), r"\(5, 3\), \(3,\)"), ((2, 3), (5, 3), (5, 3), r"\(5, 3\), \(5, 3\)"),
    ((2, 3), (5, 3), (), r"\(5, 3\), \(\)"), ((), (5, 3), None, r"got \(\), \(5, 3\), None"),
    ((2, 3), (3, 3), (2,), r"\(3, 3\), \(2,\)")])
def test_shapes_that_linear_refuses(x, w, b, message):
    with pytest.raises(ValueError, match=rf"^linear: expected x \(\.\.\., in\), weight \(out, in\), bias .*{message}"):
        functional.linear(np.ones(x), np.ones(w), None if b is None else np.ones(b))


@pytest.mark.parametrize("dtypes, message", [
    ("idd", "got int64 beside int64"), ("dfd", "got float32 beside float64"), ("fdf", "got float64 beside float32"),
    ("ddf", "got float32 beside float64"), ("eee", "got float16 beside float16"), ("ddi", "got int64 beside float64")])
def test_dtypes_that_linear_refuses(dtypes, message):
    x, w, b = (np.ones(s, "i8" if d == "i" else d) for s, d in zip(((2, 3), (5, 3), (5,)), dtypes, strict=True))
    with pytest.raises(TypeError, match=f"^linear: expected one float dtype, {message}$"):
        functional.linear(x, w, b)


# Operations as such

def test_an_operation_of_ones_own():
    scaled = Operation("scaled", lambda x, by=2.0: x * by, lambda g, y, x, by=2.0: g * by, settings=("by", "inplace"))
    x = tensor(np.array([1.0, 2.0]))
    assert (scaled.name, scaled.arity, scaled.settings, scaled.saves) == ("scaled", 1, ("by", "inplace"), False)
    for call, by in ((lambda: scaled(x), 2), (lambda: scaled(x, 3.0), 3), (lambda: scaled(x, by=4.0), 4),
                     (lambda: scaled(x, 5.0, True), 5), (lambda: scaled(x, inplace=True), 2)):
        x.grad = None
        y = call()
        assert y.tolist() == [by, 2 * by] and y.node.name == "scaled"
        y.sum().backward()
        assert x.grad.tolist() == [by, by]
    assert scaled(x.data).tolist() == [2, 4] and isinstance(scaled(x.data), np.ndarray)
    with pytest.raises(TypeError, match=r"^scaled: expected at most 3 arguments, got 4$"):
        scaled(x, 1.0, True, 2)
    with pytest.raises(TypeError, match="inplace"):
        Operation("f", lambda x: x, lambda g, y, x: g)(x, inplace=True)


def test_an_operation_that_keeps_something_and_one_without_a_derivative():
    kept = Operation("square", lambda x: (x * x, 2 * x), lambda g, y, x: g * y, saves=True)
    x = tensor(np.array([3.0]))
    y = kept(x)
    y.backward()
    assert y.tolist() == [9] and x.grad.tolist() == [6] and kept(x.data).tolist() == [9]
    assert kept.run(x.data)[1].tolist() == [6] and kept.derivative(0) is kept.derivatives[0]
    sign = Operation("sign", np.sign)
    assert sign.arity == float("inf") and not sign(x).requires_grad and sign(x).tolist() == [1]
    assert sign.run(np.array([-1.0]))[1].tolist() == [-1]
    with minidl.no_grad():
        assert not kept(x).requires_grad
    assert not kept(minidl.tensor([1.0])).requires_grad


def test_only_what_asks_is_given_a_gradient():
    asked = []
    pair = Operation("pair", lambda a, b: a + b, lambda g, y, a, b: asked.append("a") or g,
                     lambda g, y, a, b: asked.append("b") or g)
    a, b = tensor(np.ones(2)), tensor(np.ones(2))
    pair(a, np.ones(2)).sum().backward()
    assert asked == ["a"]
    pair(2.0, b).sum().backward()
    assert asked == ["a", "b"] and b.grad.tolist() == [1, 1]
    pair(minidl.tensor(np.ones(2)), b).sum().backward()
    assert asked == ["a", "b", "b"]


def test_joining():
    joined = Joining("join", lambda *x: sum(x), lambda i, g, y, *x: g * (i + 1))
    parts = [tensor(np.ones(2)) for _ in range(3)]
    joined(*parts).sum().backward()
    assert [part.grad.tolist() for part in parts] == [[1, 1], [2, 2], [3, 3]]
    assert joined.arity == float("inf") and not joined.saves


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (1, 1), (2, 3), (4, 2, 3), (1, 2, 3), (4, 1, 3)])
def test_a_gradient_of_what_was_broadcast(shape):
    g = np.arange(24.0).reshape(4, 2, 3)
    got, x = unbroadcast(g, np.zeros(shape, np.float32)), tensor(np.zeros(shape))
    extra = 3 - len(shape)
    expected = g.sum(axis=tuple(range(extra)))
    for axis, n in enumerate(shape):
        if n == 1:
            expected = expected.sum(axis=axis, keepdims=True)
    assert got.dtype == np.float32 and got.shape == shape
    np.testing.assert_array_equal(got, expected)
    (x * np.ones((4, 2, 3))).backward(g)
    np.testing.assert_array_equal(x.grad, expected)


def test_numbers_of_numpy_count_as_pythons():
    x = minidl.tensor([1.0, 2.0])
    for number in (np.float64(2), 2, 2.0, np.int64(2), True, np.bool_(True)):
        assert (x * number).dtype == np.float32 and (number * x).dtype == np.float32


@pytest.mark.parametrize("call, gradient", [
    (lambda x: functional.elu(x), np.exp(-1.0)), (lambda x: functional.elu(x, 2.0), 2 * np.exp(-1.0)),
    (lambda x: functional.leaky_relu(x), 0.01), (lambda x: functional.leaky_relu(x, 0.5), 0.5),
    (lambda x: functional.relu(x), 0), (lambda x: functional.abs(x), -1), (lambda x: -x, -1), (lambda x: x ** 3, 3),
    (lambda x: x / 4, 0.25), (lambda x: 4 / x, -4), (lambda x: 3 - x, -1), (lambda x: x - 3, 1), (lambda x: 5 * x, 5),
    (lambda x: functional.exp(x), np.exp(-1.0)), (lambda x: functional.sqrt(-x), -0.5),
    (lambda x: functional.log(-x), -1), (lambda x: functional.tanh(x), 1 - np.tanh(-1.0) ** 2),
    (lambda x: functional.where(np.array([True]), x, 0.0), 1),
    (lambda x: functional.where(np.array([False]), x, 0.0), 0),
    (lambda x: functional.where(np.array([False]), 0.0, x), 1),
    (lambda x: functional.where(np.array([True]), 7.0, x), 0)])
def test_derivatives_at_minus_one(call, gradient):
    x = tensor(np.array([-1.0]))
    call(x).backward(np.array([2.0]))
    np.testing.assert_allclose(x.grad, [2 * gradient], rtol=1e-12, atol=1e-15)


def test_powers():
    a, b = tensor(np.array([0.0, 0.0, 0.0, 2.0, 3.0])), tensor(np.array([0.0, 1.0, 2.0, 3.0, 0.0]))
    (a ** b).backward(np.full(5, 2.0))
    np.testing.assert_allclose(a.grad, [0, 2, 0, 24, 0])
    np.testing.assert_allclose(b.grad, [0, 0, 0, 16 * np.log(2), 2 * np.log(3)], rtol=1e-14)


def test_where_takes_a_condition_of_truth_values():
    with pytest.raises(TypeError, match=re.escape("where: expected a condition of bool, got float64")):
        functional.where(np.ones(2), 1.0, 2.0)
    assert functional.where(np.array([True, False]), 1.0, 2.0).tolist() == [1, 2]
