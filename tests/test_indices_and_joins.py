"""Indices of every kind and joins along every axis, of arrays and Tensors: values, gradients, whose memory it is."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.functional import shapes

X = np.arange(24.0).reshape(2, 3, 4)
V = np.arange(24.0) * 10 + 1


def leaf(data=X):
    return minidl.tensor(np.array(data), requires_grad=True)


INDICES = {
    "a list": [1, 0, 1], "a list of truth": [True, False], "a list in a tuple": (slice(None), [2, 0]),
    "a tuple of lists": ([0, 1], [2, 0]), "truth beside a slice": (slice(1, 2), np.array([True, False, True])),
    "an array and a new axis": (None, np.array([1, 1])), "an array after an ellipsis": (..., np.array([3, 3, 0])),
    "two arrays around a slice": (np.array([1, 0]), slice(None), np.array([0, 3])),
    "rows of an array": np.array([[0, 1], [1, 1]]),
    "numbers of NumPy": (np.int64(1), np.uint8(2)), "a slice": slice(None, None, -1), "an ellipsis": ..., "None": None,
    "nothing": (), "an empty array": np.array([], np.int64), "a number": -1, "no truth": np.zeros((2, 3), bool)}


def wrapped(where):
    """With Tensors in place of arrays."""
    if isinstance(where, tuple):
        return tuple([wrapped(part) for part in where])
    return minidl.tensor(where) if isinstance(where, np.ndarray) else where


@pytest.mark.parametrize("name", INDICES)
def test_what_an_index_picks(name):
    where = INDICES[name]
    expected = X[where]
    v = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    back = np.zeros_like(X)
    np.add.at(back, where, v)
    np.testing.assert_array_equal(shapes.index(X, where), expected)
    np.testing.assert_array_equal(shapes.index(X, wrapped(where)), expected)
    for given in (where, wrapped(where)):
        x = leaf()
        y = x[given]
        np.testing.assert_array_equal(y.data, expected)
        dx, = minidl.autograd.grad(y, x, minidl.tensor(v), create_graph=True, retain_graph=True)
        np.testing.assert_array_equal(dx.data, back)
        y.backward(v)
        np.testing.assert_array_equal(x.grad, back)
        start = leaf(v)
        dx, = minidl.autograd.grad(x[given], x, start, create_graph=True)
        back_again, of_x = minidl.autograd.grad(dx, [start, x], X, allow_unused=True)
        np.testing.assert_array_equal(back_again.data, expected)
        assert of_x is None


@pytest.mark.parametrize("where", [np.array([1, 1]), (slice(None), np.array([0, 2])), np.array([True, False])])
def test_an_index_is_copied(where):
    """Its owner may write into it before the derivative."""
    for given in (where, wrapped(where)):
        x = leaf()
        y = x[given]
        part = next(part for part in (given if isinstance(given, tuple) else (given,)) if not isinstance(part, slice))
        array = part.data if isinstance(part, minidl.Tensor) else part
        before = array.copy()
        back = np.zeros_like(X)
        np.add.at(back, where, 1.0)
        array[...] = ~array if array.dtype == bool else 0
        y.sum().backward()
        array[...] = before
        np.testing.assert_array_equal(x.grad, back)


@pytest.mark.parametrize("name", [name for name in INDICES if name not in ("nothing",)])
def test_what_is_put(name):
    where = INDICES[name]
    expected = X.copy()
    expected[where] = -1.0
    for given in (where, wrapped(where)):
        for x in (X, minidl.tensor(X)):
            got = shapes.index_put(x, given, -1.0)
            assert isinstance(got, minidl.Tensor) is isinstance(x, minidl.Tensor)
            np.testing.assert_array_equal(np.asarray(got), expected)
    assert X.min() == 0


def test_nothing_with_a_gradient_is_put():
    value = leaf(2.0)
    with pytest.raises(RuntimeError, match=r"changes in place within no_grad\(\) alone"):
        shapes.index_put(minidl.tensor(X), 0, value)
    with minidl.no_grad():
        assert shapes.index_put(minidl.tensor(X), 0, value)[0].tolist() == np.full((3, 4), 2.0).tolist()
    assert not shapes.index_put(leaf(), 0, 1.0).requires_grad


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_joins_along_every_axis(dim):
    parts = [np.take(X, range(n), dim) + n for n in (1, 2, 1)]
    expected = np.concatenate(parts, dim)
    v = np.arange(expected.size, dtype=np.float64).reshape(expected.shape)
    ends = np.split(v, [1, 3], dim)
    for call in (lambda x: F.cat(x, dim), lambda x: F.cat(x, axis=dim), lambda x: F.cat(iter(x), dim=dim)):
        np.testing.assert_array_equal(call(parts), expected)
        for which in ((0, 1, 2), (1,), (0, 2)):
            given = [leaf(part) if i in which else part for i, part in enumerate(parts)]
            y = call(given)
            np.testing.assert_array_equal(y.data, expected)
            y.backward(v)
            for i in which:
                np.testing.assert_array_equal(given[i].grad, ends[i])


@pytest.mark.parametrize("dim", [0, 1, 2, 3, -1, -2, -3, -4])
def test_stacks_along_every_axis(dim):
    parts = [X, X + 1]
    expected = np.stack(parts, dim)
    v = np.arange(expected.size, dtype=np.float64).reshape(expected.shape)
    for call in (lambda x: F.stack(x, dim), lambda x: F.stack(x, axis=dim), lambda x: F.stack(iter(x), dim=dim)):
        np.testing.assert_array_equal(call(parts), expected)
        for which in ((0, 1), (1,), (0,)):
            given = [leaf(part) if i in which else part for i, part in enumerate(parts)]
            y = call(given)
            np.testing.assert_array_equal(y.data, expected)
            y.backward(v)
            for i in which:
                np.testing.assert_array_equal(given[i].grad, np.take(v, i, dim))
    for call in (lambda: F.stack([leaf(), leaf()], 4), lambda: F.stack([leaf(), leaf()], -5),
                 lambda: F.cat([leaf(), leaf()], 3), lambda: F.cat([leaf(), leaf()], -4)):
        with pytest.raises(ValueError, match="out of bounds"):
            call()


@pytest.mark.parametrize("start, end, shape", [(0, -1, (24,)), (0, 0, (2, 3, 4)), (0, 1, (6, 4)), (1, 2, (2, 12)),
                                               (-2, -1, (2, 12)), (1, 1, (2, 3, 4)), (2, 2, (2, 3, 4)),
                                               (-3, 1, (6, 4))])
def test_axes_as_one(start, end, shape):
    x = leaf()
    y = F.flatten(x, start, end)
    assert y.shape == shape and F.flatten(X, start_dim=start, end_dim=end).shape == shape
    y.backward(V.reshape(shape))
    np.testing.assert_array_equal(x.grad, V.reshape(X.shape))


def test_shapes_are_given_in_any_way():
    for shape in ((4, 6), [4, 6], np.array([4, 6])):
        assert F.reshape(X, shape).shape == F.reshape(leaf(), shape).shape == (4, 6)
    assert F.reshape(X, -1).shape == F.reshape(X, np.int64(24)).shape == (24,) and F.reshape(X, 4, -1).shape == (4, 6)
    assert F.permute(X, [2, 0, 1]).shape == F.permute(X, 2, 0, 1).shape == (4, 2, 3)
    assert F.permute(X, range(2, -1, -1)).shape == (4, 3, 2)
    assert F.flatten(leaf(3.0)).shape == (1,) and F.squeeze(np.ones((1, 2, 1)), 0).shape == (2, 1)
    assert F.squeeze(np.ones((1, 2, 1)), 1).shape == (1, 2, 1) and F.reshape(np.ones(1), ()).shape == ()
