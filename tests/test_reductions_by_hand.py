"""Sums, means, extremes and their like against numbers by hand and NumPy: axes, kept axes, names, gradients."""
from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import functional

X = np.array([[[3.0, 1, 2], [6, 5, 4]], [[7, 9, 8], [12, 10, 11]]], np.float32)
FUNCTIONS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "argmax": np.argmax, "argmin": np.argmin,
             "all": np.all, "any": np.any}
PAIRS = {"max": np.argmax, "min": np.argmin}  # with an axis


def ways(name):
    """The function of arrays, that of Tensors, and the method."""
    function = getattr(functional, name)
    return [function, lambda x, *a, **k: function(minidl.tensor(x), *a, **k),
            lambda x, *a, **k: getattr(minidl.tensor(x), name)(*a, **k)]


def same(got, expected, dtype=None):
    got = np.asarray(got)
    assert got.shape == np.shape(expected)
    np.testing.assert_array_equal(got, expected)
    if dtype is not None:
        assert got.dtype == dtype


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_along_an_axis(name, dim, way):
    call, numpy = ways(name)[way], FUNCTIONS[name]
    x = X > 5 if name in ("all", "any") else X
    calls = [(False, [call(x, dim), call(x, dim, False), call(x, dim=dim), call(x, axis=dim),
                      call(x, axis=dim, keepdims=False)]),
             (True, [call(x, dim, True), call(x, dim, keepdim=True), call(x, axis=dim, keepdims=True),
                     call(x, dim, keepdims=True)])]
    for keep, results in calls:
        expected = numpy(x, axis=dim, keepdims=keep)
        for result in results:
            if name in PAIRS:
                same(result.values, expected, np.float32)
                same(result.indices, PAIRS[name](x, axis=dim, keepdims=keep), np.intp)
                same(result[0], expected)
            else:
                same(result, expected)


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_over_all(name, way):
    call, numpy = ways(name)[way], FUNCTIONS[name]
    x = X > 5 if name in ("all", "any") else X
    same(call(x), numpy(x))
    same(call(x, None), numpy(x))
    if name not in PAIRS:
        same(call(x, keepdim=True), numpy(x, keepdims=True))
        same(call(x, keepdims=True), numpy(x, keepdims=True))


@pytest.mark.parametrize("dim", [(0, 2), [0, 2], (1,), [-1, 0]])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_along_several_axes(name, dim):
    for keep in (False, True):
        expected = FUNCTIONS[name](X, axis=tuple(dim), keepdims=keep)
        for call in ways(name):
            same(call(X, dim, keep), expected, np.float32)
            same(call(X, axis=dim, keepdims=keep), expected)


def test_by_hand():
    x = minidl.tensor([[1.0, 5, 3], [4, 2, 6]])
    assert x.sum().item() == 21 and x.mean().item() == 3.5
    assert x.sum(0).tolist() == [5, 7, 9] and x.mean(1).tolist() == [3, 4]
    assert x.argmax().item() == 5 and x.argmax(1).tolist() == [1, 2]
    assert x.argmax(0, keepdim=True).tolist() == [[1, 0, 1]]
    assert x.argmin().item() == 0 and x.argmin(1).tolist() == [0, 1]
    assert x.max(1).values.tolist() == [5, 6] and x.min(1, keepdim=True).indices.tolist() == [[0], [1]]


@pytest.mark.parametrize("name, call, gradient", [
    ("sum", lambda x: x.sum(1), [[1, 1, 1], [2, 2, 2]]),
    ("sum, kept", lambda x: x.sum(1, keepdim=True), [[1, 1, 1], [2, 2, 2]]),
    ("mean", lambda x: x.mean(1), [[1 / 3] * 3, [2 / 3] * 3]),
    ("mean, kept", lambda x: x.mean(axis=1, keepdims=True), [[1 / 3] * 3, [2 / 3] * 3]),
    ("max", lambda x: x.max(1).values, [[0, 1, 0], [2, 0, 0]]),
    ("max, kept", lambda x: x.max(1, keepdim=True).values, [[0, 1, 0], [2, 0, 0]]),
    ("min", lambda x: x.min(1).values, [[1, 0, 0], [0, 2, 0]]),
    ("min, kept", lambda x: x.min(axis=1, keepdims=True)[0], [[1, 0, 0], [0, 2, 0]]),
])
def test_gradients_along_an_axis(name, call, gradient):
    # In the second row 6 stands twice: the first of them receives the gradient.
    x = minidl.tensor(np.array([[1, 5, 3], [6, 2, 6]], np.float64), requires_grad=True)
    y = call(x)
    y.backward(np.array([1.0, 2.0]).reshape(y.shape))
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-15)


@pytest.mark.parametrize("call, gradient", [
    (lambda x: x.sum(), [[2, 2, 2], [2, 2, 2]]), (lambda x: x.mean(), [[1 / 3] * 3] * 2),
    (lambda x: x.max(), [[0, 0, 0], [1, 0, 1]]), (lambda x: x.min(), [[2, 0, 0], [0, 0, 0]])])
def test_gradients_over_all(call, gradient):
    x = minidl.tensor(np.array([[1, 5, 3], [6, 2, 6]], np.float64), requires_grad=True)
    call(x).backward(2.0)
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_name_of_the_axis_alone(name):
    with pytest.raises(TypeError, match="dim or axis, not both"):
        getattr(functional, name)(X, 0, axis=1)


@pytest.mark.parametrize("name", PAIRS)
def test_extremes_take_one_axis(name):
    with pytest.raises(TypeError, match=f"{name}: expected one axis as dim, got tuple"):
        getattr(functional, name)(X, (0, 1))


def test_the_mean_of_integers():
    with pytest.raises(TypeError, match="mean: expected floats, got int64"):
        functional.mean(np.arange(3, dtype=np.int64))


@pytest.mark.parametrize("name", ["argmax", "argmin", "all", "any"])
def test_what_has_no_derivative_is_off_the_tape(name):
    x = minidl.tensor(X, requires_grad=True)
    assert not getattr(x, name)().requires_grad


REDUCTIONS = [name for name in functional.__all__ if inspect.isfunction(getattr(functional, name))
              and "keepdim" in inspect.signature(getattr(functional, name)).parameters]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_an_axis_is_dropped_unless_it_is_asked_for(name):
    x = minidl.tensor(np.arange(1.0, 13.0).reshape(3, 4))
    arguments = {"pairwise_distance": (x, x + 1), "norm": (x, 2, 1)}.get(name, (x, 1))
    shapes = []
    for options in ({}, {"keepdim": False}, {"keepdim": True}):
        found = getattr(functional, name)(*arguments, **options)
        shapes += [part.shape for part in (found if isinstance(found, tuple) else (found,))][:1]
    assert shapes == [(3,), (3,), (3, 1)]
