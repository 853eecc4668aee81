"""Values and slopes where a function bends, at ties, at zero and at infinity, by hand."""
from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import functional as F

INF, NAN = math.inf, math.nan
CASES = [  # the function; x -> (value, slope)
    ("relu6", F.relu6, {-1: (0, 0), 0: (0, 0), 1e-9: (1e-9, 1), 3: (3, 1), 6: (6, 0), 6.5: (6, 0), INF: (6, 0),
                        -INF: (0, 0), NAN: (NAN, 1)}),
    ("hardtanh", F.hardtanh, {-1.5: (-1, 0), -1: (-1, 0), -0.5: (-0.5, 1), 0.5: (0.5, 1), 1: (1, 0), INF: (1, 0),
                              -INF: (-1, 0)}),
    ("hardtanh, other ends", lambda x: F.hardtanh(x, -2.0, 0.5), {-2.5: (-2, 0), -2: (-2, 0), -1.5: (-1.5, 1),
                                                                  0.25: (0.25, 1), 0.5: (0.5, 0), 1: (0.5, 0)}),
    ("hardsigmoid", F.hardsigmoid, {-4: (0, 0), -3: (0, 0), -1.5: (0.25, 1 / 6), 0: (0.5, 1 / 6), 1.5: (0.75, 1 / 6),
                                    3: (1, 0), 4: (1, 0), INF: (1, 0), -INF: (0, 0)}),
    ("hardswish", F.hardswish, {-4: (0, 0), -3: (0, 0), -1.5: (-0.375, 0), 0: (0, 0.5), 1.5: (1.125, 1), 3: (3, 1),
                                2.4: (2.16, 1.3), 5: (5, 1), INF: (INF, 1)}),
    ("threshold", lambda x: F.threshold(x, 0.5, -2.0), {0.4: (-2, 0), 0.5: (-2, 0), 0.6: (0.6, 1), INF: (INF, 1),
                                                        -INF: (-2, 0), NAN: (NAN, 1)}),
    ("threshold by name", lambda x: F.threshold(x, threshold=-1.0, value=7.0, inplace=True),
     {-1: (7, 0), -0.5: (-0.5, 1)}),
    ("prelu", lambda x: F.prelu(x, np.array([0.25])), {-2: (-0.5, 0.25), 0: (0, 0.25), 2: (2, 1), -INF: (-INF, 0.25)}),
    ("softsign", F.softsign, {-3: (-0.75, 1 / 16), 0: (0, 1), 1: (0.5, 0.25)}),
    ("logsigmoid", F.logsigmoid, {0: (-math.log(2), 0.5), -1000: (-1000, 1), 1000: (0, 0), -INF: (-INF, 1), INF: (0, 0),
                                  25: (-math.log1p(math.exp(-25)), math.exp(-25) / (1 + math.exp(-25)))}),
    ("silu", F.silu, {0: (0, 0.5), 1: (1 / (1 + math.exp(-1)), 0.9276705118714869), 1000: (1000, 1), -1000: (0, 0)}),
    ("mish", F.mish, {0: (0, 0.6), 1000: (1000, 1), -1000: (0, 0),
                      25: (25 * math.tanh(math.log1p(math.exp(25))), 1)}),
    ("gelu", F.gelu,
     {0: (0, 0.5), 1: (0.8413447460685429, 1.0833154705876864), -1: (-0.15865525393145707, -0.0833154705876864),
                      40: (40, 1), -40: (0, 0)}),
    ("gelu, tanh", lambda x: F.gelu(x, "tanh"), {0: (0, 0.5), 1: (0.8411919906082768, 1.0829640838457826), 40: (40, 1),
                                                 -40: (0, 0)}),
    ("erf", F.erf,
     {0: (0, 2 / math.sqrt(math.pi)), 1: (math.erf(1), 2 / math.sqrt(math.pi) * math.exp(-1)), INF: (1, 0),
                    -INF: (-1, 0)}),
    ("clamp", lambda x: F.clamp(x, -1.0, 2.0),
     {-1.5: (-1, 0), -1: (-1, 1), 0: (0, 1), 2: (2, 1), 2.5: (2, 0), NAN: (NAN, 1)}),
    ("maximum", lambda x: F.maximum(x, np.array([1.0])), {0: (1, 0), 1: (1, 0.5), 2: (2, 1)}),
    ("minimum", lambda x: F.minimum(x, np.array([1.0])), {0: (0, 1), 1: (1, 0.5), 2: (1, 0)}),
    ("log1p", F.log1p, {0: (0, 1), 1e-12: (1e-12, 1), 1: (math.log(2), 0.5)}),
    ("expm1", F.expm1, {0: (0, 1), 1e-12: (1e-12, 1), 1: (math.e - 1, math.e)}),
    ("square", F.square, {0: (0, 0), -3: (9, -6)}),
    ("reciprocal", F.reciprocal, {4: (0.25, -1 / 16), -2: (-0.5, -0.25)}),
    ("rsqrt", F.rsqrt, {4: (0.5, -1 / 16)}), ("log2", F.log2, {8: (3, 1 / (8 * math.log(2)))}),
    ("log10", F.log10, {100: (2, 1 / (100 * math.log(10)))}),
    ("floor", F.floor, {1.5: (1, 0), -1.5: (-2, 0)}), ("ceil", F.ceil, {1.5: (2, 0), -1.5: (-1, 0)}),
    ("round", F.round, {0.5: (0, 0), 1.5: (2, 0)}), ("trunc", F.trunc, {1.7: (1, 0), -1.7: (-1, 0)}),
    ("remainder", lambda x: F.remainder(x, np.array([3.0])), {7: (1, 1), -1: (2, 1)}),
    ("remainder by", lambda x: F.remainder(np.array([7.0]), x), {3: (1, -2), -3: (-2, 3), 2: (1, -3)}),
    ("sin", F.sin, {0: (0, 1), math.pi / 6: (0.5, math.sqrt(0.75))}),
    ("cos", F.cos, {0: (1, 0), math.pi / 3: (0.5, -math.sqrt(0.75))}),
]


@pytest.mark.parametrize("name, call, expected", CASES, ids=[case[0] for case in CASES])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_values_and_slopes(name, call, expected):
    x = minidl.tensor(np.array([float(at) for at in expected]), requires_grad=True)
    y = call(x)
    y.backward(np.full(x.shape, 2.0))
    np.testing.assert_allclose(y.data, [value for value, _ in expected.values()], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(x.grad, [2 * slope for _, slope in expected.values()], rtol=1e-7, atol=1e-15)
    np.testing.assert_allclose(call(x.data), y.data, rtol=1e-15)


def gradient(call, data, v=None):
    x = minidl.tensor(np.array(data), requires_grad=True)
    y = call(x)
    y.backward(v)
    return np.asarray(y.data).tolist(), x.grad.tolist()


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, "fro", INF, -INF, -1])
def test_the_norm_of_zeros_has_no_slope(p):
    value, slopes = gradient(lambda x: F.norm(x, p), [0.0, 0.0, 0.0])
    assert (value, slopes) == (0, [0, 0, 0])


@pytest.mark.parametrize("p, value, slopes", [
    (2, 5, [0.6, 0, -0.8]), ("fro", 5, [0.6, 0, -0.8]), (1, 7, [1, 0, -1]), (INF, 4, [0, 0, -1]), (-INF, 0, [0, 0, 0]),
    (3, 91 ** (1 / 3), [9 / 91 ** (2 / 3), 0, -16 / 91 ** (2 / 3)]), (0, 2, [0, 0, 0]),
    (0.5, (math.sqrt(3) + 2) ** 2, [(math.sqrt(3) + 2) / math.sqrt(3), 0, -(math.sqrt(3) + 2) / 2])])
def test_norms_beside_a_zero(p, value, slopes):
    got, found = gradient(lambda x: F.norm(x, p), [3.0, 0.0, -4.0])
    np.testing.assert_allclose(got, value, rtol=1e-12)
    np.testing.assert_allclose(found, slopes, rtol=1e-12)
    for keep, shape in ((False, (1,)), (True, (1, 1))):
        assert F.norm(np.array([[3.0, 0.0, -4.0]]), p, 1, keep).shape == shape
        np.testing.assert_allclose(F.norm(np.array([[3.0, 0.0, -4.0]]), p, 1, keep).ravel(), [value], rtol=1e-12)


def test_ties_share_the_gradient_of_extremes():
    for call, data, slopes in (
            (F.amax, [1.0, 3.0, 3.0], [0, 0.5, 0.5]), (F.amin, [1.0, 1.0, 3.0], [0.5, 0.5, 0]),
            (F.max, [1.0, 3.0, 3.0], [0, 0.5, 0.5]), (F.min, [1.0, 1.0, 3.0], [0.5, 0.5, 0])):
        assert gradient(call, data)[1] == slopes
    rows = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    for keep in (False, True):
        v = np.array([6.0, 12.0]).reshape((2, 1) if keep else 2)
        assert gradient(lambda x, keep=keep: F.amax(x, 1, keep), rows, v)[1] == [[0, 3, 3], [4, 4, 4]]
        assert gradient(lambda x, keep=keep: F.amin(x, axis=1, keepdims=keep), rows, v)[1] == [[6, 0, 0], [4, 4, 4]]
        assert gradient(lambda x, keep=keep: F.amax(x, (0, 1), keep), rows,
                        np.full((1, 1) if keep else (), 2.0))[1] == [[0, 1, 1], [0, 0, 0]]


def test_products_of_zeros():
    assert gradient(F.prod, [2.0, 0.0, 5.0]) == (0, [0, 10, 0]) and gradient(F.prod, [0.0, 0.0, 5.0]) == (0, [0, 0, 0])
    rows = [[2.0, 3.0, 4.0, 5.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0]]
    assert gradient(lambda x: F.prod(x, 1), rows, np.array([1.0, 2.0])) == (
        [0, 120], [[0, 0, 0, 0, 120], [240, 120, 80, 60, 48]])
    assert gradient(lambda x: F.prod(x, 0, True), [[2.0, 3.0]], np.array([[5.0, 7.0]])) == ([[2, 3]], [[5, 7]])


@pytest.mark.parametrize("x, dim, expected", [
    ([1000.0, 1000.0], 0, 1000 + math.log(2)), ([-1000.0, -1000.0], 0, -1000 + math.log(2)), ([-INF, -INF], 0, -INF),
    ([INF, 1.0], 0, INF), ([-INF, 2.0], 0, 2.0)])
def test_logarithms_of_sums_at_their_ends(x, dim, expected):
    with np.errstate(divide="ignore"):
        for given in (np.array(x), minidl.tensor(np.array(x))):
            assert float(F.logsumexp(given, dim)) == pytest.approx(expected)
            assert F.logsumexp(given, dim, True).shape == (1,) and F.logsumexp(given, [dim], keepdim=True).shape == (1,)
    assert gradient(lambda x: F.logsumexp(x, 0), [0.0, math.log(3)])[1] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("correction, expected",
 [(None, 5 / 3), (0, 1.25), (1, 5 / 3), (2, 2.5), (0.5, 5 / 3.5), (4, NAN), (5, NAN)])
def test_variances_by_what_is_subtracted(correction, expected):
    x = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(F.var(x, correction=correction), expected)
    np.testing.assert_allclose(F.std(minidl.tensor(x), 0, correction=correction).data, math.sqrt(expected))
    np.testing.assert_allclose(F.var(x, 0, False, correction=correction), 1.25 if correction is None else expected)
    np.testing.assert_allclose(F.var(x.reshape(2, 2), [0, 1], correction=correction), expected)
    np.testing.assert_allclose(F.var(x.reshape(2, 2), (0, -1), True, True, correction=correction), [[expected]])
    assert np.isnan(F.var(x[:1])) and F.var(x[:1], unbiased=False) == 0
