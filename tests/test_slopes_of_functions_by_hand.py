"""First and second derivatives of powers, activations and functions of rows by their formulas, at kinks and zeros."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.autograd import grad
from minidl.functional import elementwise

X = np.array([-3.0, -1.0, -0.5, 0.25, 1.0, 2.0, 25.0])
G = np.array([1.0, -2.0, 3.0, 0.5, 2.0, -1.0, 4.0])
U = np.array([2.0, 1.0, -1.0, 3.0, 0.5, 1.5, -2.0])
NEAR = {"rtol": 1e-9, "atol": 1e-12}
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def twice(function, x, g=G, u=U):
    """dx for g, and the slopes of <u, dx> for g and for x."""
    leaf, start = minidl.tensor(x.copy(), requires_grad=True), minidl.tensor(g.copy(), requires_grad=True)
    dx, = grad(function(leaf), leaf, start, create_graph=True)
    dg, ddx = grad(dx, [start, leaf], minidl.tensor(u), allow_unused=True)
    return dx, dg.data, np.zeros_like(x) if ddx is None else ddx.data


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


S, TH = sigmoid(X), np.tanh(X)
ELEMENTWISE = {  # the function, its slope, its second derivative
    "relu": (F.relu, X > 0, 0 * X), "leaky_relu": (F.leaky_relu, np.where(X > 0, 1, 0.01), 0 * X),
    "leaky_relu, slope": (lambda x: F.leaky_relu(x, -0.5), np.where(X > 0, 1, -0.5), 0 * X),
    "elu": (F.elu, np.where(X > 0, 1, np.exp(X)), np.where(X > 0, 0, np.exp(X))),
    "elu, alpha": (lambda x: F.elu(x, 0.3), np.where(X > 0, 1, 0.3 * np.exp(X)), np.where(X > 0, 0, 0.3 * np.exp(X))),
    "selu": (F.selu, SCALE * np.where(X > 0, 1, ALPHA * np.exp(X)), SCALE * np.where(X > 0, 0, ALPHA * np.exp(X))),
    "tanh": (F.tanh, 1 - TH ** 2, -2 * TH * (1 - TH ** 2)),
    "sigmoid": (F.sigmoid, S * (1 - S), S * (1 - S) * (1 - 2 * S)),
    "softplus": (F.softplus, np.where(X > 20, 1, S), np.where(X > 20, 0, S * (1 - S))),
    "softplus, beta": (lambda x: F.softplus(x, 2.0), np.where(X > 10, 1, sigmoid(2 * X)),
                       np.where(X > 10, 0, 2 * sigmoid(2 * X) * sigmoid(-2 * X))),
    "softplus, threshold": (lambda x: F.softplus(x, 1.0, 0.5), np.where(X > 0.5, 1, S),
                            np.where(X > 0.5, 0, S * (1 - S))),
    "softplus, both": (lambda x: F.softplus(x, 0.5, 0.2), np.where(X > 0.4, 1, sigmoid(X / 2)),
                       np.where(X > 0.4, 0, sigmoid(X / 2) * sigmoid(-X / 2) / 2)),
    "exp": (lambda x: F.exp(x / 5), np.exp(X / 5) / 5, np.exp(X / 5) / 25), "neg": (F.neg, -1 + 0 * X, 0 * X),
    "abs": (F.abs, np.sign(X), 0 * X),
    "log": (lambda x: F.log(x * x), 2 / X, -2 / X ** 2), "square": (lambda x: x * x, 2 * X, 2 + 0 * X),
    "sqrt": (lambda x: F.sqrt(x * x + 1), X / np.sqrt(X * X + 1), (X * X + 1) ** -1.5),
    "over": (lambda x: 3 / x, -3 / X ** 2, 6 / X ** 3), "quotient": (lambda x: x / (x * x + 1), (1 - X * X) / (
        X * X + 1) ** 2, 2 * X * (X * X - 3) / (X * X + 1) ** 3),
    **{f"power {n}": (lambda x, n=n: x ** n, n * X ** max(n - 1, 0), n * (n - 1) * X ** max(n - 2, 0)) for n in (
        0, 1, 2, 3)},
    **{f"power -{n}": (lambda x, n=n: x ** -n, -n * X ** (-n - 1.0), n * (n + 1) * X ** (-n - 2.0)) for n in (1, 2)},
    "2 to the": (lambda x: 2.0 ** x, 2 ** X * np.log(2), 2 ** X * np.log(2) ** 2),
    "where": (lambda x: F.where(x > 0, x * x, x), np.where(X > 0, 2 * X, 1), np.where(X > 0, 2, 0)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_slopes(name):
    function, slope, second = ELEMENTWISE[name]
    dx, dg, ddx = twice(function, X)
    np.testing.assert_allclose(dx.data, G * slope, **NEAR)
    np.testing.assert_allclose(dg, U * slope, **NEAR)
    np.testing.assert_allclose(ddx, U * G * second, **NEAR)


@pytest.mark.parametrize("name, slope, second", [
    ("relu", 0, 0), ("leaky_relu", 0.01, 0), ("elu", 1, 1), ("selu", SCALE * ALPHA, SCALE * ALPHA), ("abs", 0, 0)])
def test_on_the_kink_they_are_those_of_the_left_side(name, slope, second):
    zero, one = np.zeros(1), np.ones(1)
    dx, _, ddx = twice(getattr(F, name), zero, one, one)
    np.testing.assert_allclose([dx.item(), ddx[0]], [slope, second], rtol=1e-12)


def test_on_its_threshold_softplus_is_not_yet_the_line():
    at, one = np.array([0.5]), np.ones(1)
    dx, _, ddx = twice(lambda x: F.softplus(x, 1.0, 0.5), at, one, one)
    s = sigmoid(0.5)
    np.testing.assert_allclose([dx.item(), ddx[0]], [s, s * (1 - s)], rtol=1e-12)
    assert F.softplus(at, 1.0, 0.5) == pytest.approx(np.log1p(np.exp(0.5))) and F.softplus(at, 1.0, 0.25) == 0.5


@pytest.mark.parametrize("kind", [int, np.int64, np.float16, bool])
def test_softplus_refuses_what_is_not_of_floats(kind):
    for beta in (1.0, 2.0):
        for x in (np.ones(2).astype(kind), kind(1), [1.0]):
            with pytest.raises(TypeError, match="softplus: expected a float32 or float64 array, got"):
                F.softplus(x, beta)


def test_the_slope_of_a_sign_is_zero():
    x = minidl.tensor(X.copy(), requires_grad=True)
    F.sign(x).backward(G)
    np.testing.assert_array_equal(x.grad, 0 * X)


# a^b and its derivatives where both vary

BASES = np.array([0.5, 1.0, 2.0, 3.0])


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_powers_in_both(exponent):
    a, b = BASES, np.full(4, exponent)
    leaves = [minidl.tensor(x.copy(), requires_grad=True) for x in (a, b)]
    start = minidl.tensor(G[:4], requires_grad=True)
    log, g, u, v = np.log(a), G[:4], U[:4], U[2:6]
    da, db = grad(leaves[0] ** leaves[1], leaves, start, create_graph=True)
    np.testing.assert_allclose(da.data, g * b * a ** (b - 1), **NEAR)
    np.testing.assert_allclose(db.data, g * a ** b * log, **NEAR)
    dg, daa, dab = grad(da, [start, *leaves], minidl.tensor(u), retain_graph=True)
    np.testing.assert_allclose(dg.data, u * b * a ** (b - 1), **NEAR)
    np.testing.assert_allclose(daa.data, u * g * b * (b - 1) * a ** (b - 2), **NEAR)
    np.testing.assert_allclose(dab.data, u * g * (a ** (b - 1) + b * a ** (b - 1) * log), **NEAR)
    dg, dba, dbb = grad(db, [start, *leaves], minidl.tensor(v))
    np.testing.assert_allclose(dg.data, v * a ** b * log, **NEAR)
    np.testing.assert_allclose(dba.data, v * g * (b * a ** (b - 1) * log + a ** (b - 1)), **NEAR)
    np.testing.assert_allclose(dbb.data, v * g * a ** b * log ** 2, **NEAR)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("a, b, da, db", [
    (0, 0, 0, 0), (0, 0.5, np.inf, 0), (0, 1, 1, 0), (0, 2, 0, 0), (0, -1, -np.inf, -np.inf), (-1, 2, -2, np.nan),
    (-1, 1, 1, np.nan), (-1, 0, 0, np.nan), (1, -1, -1, 0), (1, 5, 5, 0), (2, 0, 0, np.log(2)),
    (2, -1, -0.25, np.log(2) / 2)])
def test_slopes_of_powers_at_zero_and_below(a, b, da, db):
    leaves = [minidl.tensor(np.array([float(x)]), requires_grad=True) for x in (a, b)]
    (leaves[0] ** leaves[1]).backward(np.array([1.0]))
    np.testing.assert_allclose([leaf.grad[0] for leaf in leaves], [da, db], rtol=1e-12)
    base = minidl.tensor(np.array([float(a)]), requires_grad=True)
    (base ** b).backward(np.array([1.0]))
    np.testing.assert_allclose(base.grad, [da], rtol=1e-12)


@pytest.mark.parametrize("b, second", [(0, 0), (1, 0), (2, 2), (3, 0), (4, 0)])
def test_second_derivatives_of_powers_at_zero(b, second):
    for exponent in (b, float(b), np.array([float(b)]), minidl.tensor(np.array([float(b)]))):
        a = minidl.tensor(np.zeros(1), requires_grad=True)
        da, = grad((a ** exponent).sum(), a, create_graph=True)
        found, = grad(da.sum(), a, allow_unused=True)
        assert (0 if found is None else found.item()) == second


def test_mixed_derivatives_of_powers_of_zero():
    """Of a^b log a for a, and of its slope: where a is 0 what vanishes counts as 0."""
    a, b = (minidl.tensor(np.array(x), requires_grad=True) for x in ([0.0, 0.0, 1.0, 0.0], [2.0, 3.0, 2.0, 0.0]))
    _, db = grad((a ** b).sum(), [a, b], create_graph=True)
    dba, dbb = grad(db.sum(), [a, b])
    np.testing.assert_allclose(db.data, [0, 0, 0, 0])
    np.testing.assert_allclose(dba.data, [0, 0, 1, 0])
    np.testing.assert_allclose(dbb.data, [0, 0, 0, 0])
    a, b = (minidl.tensor(np.array(x), requires_grad=True) for x in ([0.0, 0.0], [1.5, 2.0]))
    da, = grad((a ** b).sum(), a, create_graph=True)
    np.testing.assert_allclose(grad(da.sum(), b)[0].data, [0, 0])


def test_powers_keep_their_dtype():
    x = minidl.tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    for y in (x ** 2, x ** 0.5, 2 ** x, x ** x, x ** np.array([1, 2], np.float32)):
        x.grad = None
        y.sum().backward()
        assert y.dtype == np.float32 and x.grad.dtype == np.float32


def test_slopes_of_powers_have_the_dtype_of_the_gradient():
    g = np.array([1.0, 2.0], np.float32)
    for b in (3, 0, 2.5, True, np.array([1, 2])):
        assert elementwise.pow_base_gradient(g, g, b).dtype == np.float32
    for a in (2, 0, 2.5, np.array([1, 2])):
        assert elementwise.pow_exponent_gradient(g, g, a, g).dtype == np.float32


# Rows

@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_rows(dim):
    rng = np.random.default_rng(0)
    x, g, u = (rng.normal(size=(2, 3, 4)) for _ in range(3))
    p = np.exp(x) / np.exp(x).sum(dim, keepdims=True)

    def s(z):
        return z.sum(dim, keepdims=True)

    dx, dg, ddx = twice(lambda x: F.softmax(x, dim), x, g, u)
    np.testing.assert_allclose(dx.data, p * (g - s(g * p)), **NEAR)
    np.testing.assert_allclose(dg, p * (u - s(u * p)), **NEAR)
    outer = u * (g - s(g * p)) - g * s(u * p)
    np.testing.assert_allclose(ddx, p * (outer - s(outer * p)), **NEAR)
    dx, dg, ddx = twice(lambda x: F.log_softmax(x, dim=dim), x, g, u)
    np.testing.assert_allclose(dx.data, g - p * s(g), **NEAR)
    np.testing.assert_allclose(dg, u - s(u * p), **NEAR)
    inner = -u * s(g)
    np.testing.assert_allclose(ddx, p * (inner - s(inner * p)), **NEAR)
    if dim == -1:
        np.testing.assert_array_equal(F.softmax(x), F.softmax(x, -1))
        np.testing.assert_array_equal(F.log_softmax(x), F.log_softmax(x, -1))
        for function in (F.softmax, F.log_softmax):
            leaves = [minidl.tensor(x.copy(), requires_grad=True) for _ in range(2)]
            for leaf, how in zip(leaves, ({}, {"dim": -1}), strict=True):
                function(leaf, **how).backward(g)
            np.testing.assert_array_equal(leaves[0].grad, leaves[1].grad)


def test_a_single_number_as_a_row():
    x, one = np.array(3.0), np.array(2.0)
    assert F.softmax(x) == 1 and F.log_softmax(x) == 0
    for function in (F.softmax, F.log_softmax):
        dx, dg, ddx = twice(function, x, one, one)
        assert dx.item() == 0 and dg == 0 and ddx == 0
