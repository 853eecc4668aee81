"""Reshaping, exchanging axes, indexing and joining against NumPy, with the gradients moved back by hand."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional

X = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
G = np.arange(24, dtype=np.float64) * 10 + 1  # the gradient of the output, in its order


def check(call, expected, gradient=None):
    """Value of arrays and of Tensors; the gradient of the input where that of the output is G, in its shape."""
    got = call(X)
    np.testing.assert_array_equal(got, expected)
    x = minidl.tensor(X.copy(), requires_grad=True)
    y = call(x)
    assert y.shape == expected.shape and y.requires_grad
    np.testing.assert_array_equal(y.data, expected)
    if gradient is not None:
        y.backward(G[:y.numel()].reshape(y.shape))
        np.testing.assert_array_equal(x.grad, gradient(G[:y.numel()].reshape(y.shape)))


@pytest.mark.parametrize("dim0", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("dim1", [0, 1, 2, -1, -2, -3])
def test_two_axes_exchanged(dim0, dim1):
    check(lambda x: functional.transpose(x, dim0, dim1), np.swapaxes(X, dim0, dim1),
          lambda g: np.swapaxes(g, dim0, dim1))
    assert minidl.tensor(X).transpose(dim0, dim1).shape == np.swapaxes(X, dim0, dim1).shape


@pytest.mark.parametrize("dims", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (-1, 0, 1), (2, 1, 0)])
def test_axes_in_another_order(dims):
    back = np.argsort([dim % 3 for dim in dims])
    check(lambda x: functional.permute(x, *dims), X.transpose(dims), lambda g: g.transpose(back))
    check(lambda x: functional.permute(x, dims), X.transpose(dims), lambda g: g.transpose(back))
    check(lambda x: functional.permute(x, list(dims)), X.transpose(dims), lambda g: g.transpose(back))


def test_all_axes_turned():
    assert minidl.tensor(X).T.shape == (4, 3, 2)
    np.testing.assert_array_equal(minidl.tensor(X).T.data, X.T)


@pytest.mark.parametrize("dims", [(0, 1), (0, 1, 1), (0, 1, 3)])
def test_not_all_axes(dims):
    with pytest.raises(ValueError, match=r"permute"):
        functional.permute(X, *dims)


def test_the_axes_of_permute_are_counted():
    with pytest.raises(ValueError, match=r"permute: expected 3 axes, got \(0, 1\)"):
        functional.permute(X, 0, 1)


@pytest.mark.parametrize("name, arguments", [("transpose", (0, 3)), ("flatten", (0, 3)), ("squeeze", (3,)),
                                             ("unsqueeze", (4,)), ("permute", (0, 1, 3))])
def test_an_axis_that_is_not_there(name, arguments):
    with pytest.raises(ValueError, match=f"^{name}: axis"):
        getattr(functional, name)(X, *arguments)


@pytest.mark.parametrize("shape", [(-2,), (-2, 4), (4, -3)])
def test_another_negative_length_is_no_length(shape):
    with pytest.raises(ValueError, match=r"^reshape: expected lengths from -1 on, got "):
        functional.reshape(X, shape)


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, -1), (-1,), (2, 1, 12)])
def test_another_shape(shape):
    back = lambda g: g.reshape(X.shape)  # noqa: E731
    check(lambda x: functional.reshape(x, *shape), X.reshape(shape), back)
    check(lambda x: functional.reshape(x, shape), X.reshape(shape), back)
    assert minidl.tensor(X).view(*shape).shape == X.reshape(shape).shape
    assert minidl.tensor(X).view_as(minidl.tensor(X.reshape(shape))).shape == X.reshape(shape).shape


@pytest.mark.parametrize("arguments, shape", [
    ((), (24,)), ((0,), (24,)), ((1,), (2, 12)), ((2,), (2, 3, 4)), ((0, 1), (6, 4)), ((0, 0), (2, 3, 4)),
    ((1, 2), (2, 12)), ((-2,), (2, 12)), ((0, -2), (6, 4)), ((1, 1), (2, 3, 4))])
def test_axes_as_one(arguments, shape):
    check(lambda x: functional.flatten(x, *arguments), X.reshape(shape), lambda g: g.reshape(X.shape))


def test_axes_as_one_in_the_wrong_order():
    with pytest.raises(ValueError, match="flatten: expected start_dim <= end_dim, got 2 and 1"):
        functional.flatten(X, 2, 1)


@pytest.mark.parametrize("dim, shape", [
    (None, (3, 2)), (0, (3, 1, 2)), (2, (1, 3, 2)), (-2, (1, 3, 2)), (1, (1, 3, 1, 2)), (3, (1, 3, 1, 2))])
def test_axes_of_length_one_left_out(dim, shape):
    x = np.arange(6.0).reshape(1, 3, 1, 2)
    arguments = () if dim is None else (dim,)
    assert functional.squeeze(x, *arguments).shape == shape
    assert minidl.tensor(x).squeeze(*arguments).shape == shape


@pytest.mark.parametrize("dim, shape", [(0, (1, 2, 3, 4)), (1, (2, 1, 3, 4)), (3, (2, 3, 4, 1)), (-1, (2, 3, 4, 1)),
                                        (-4, (1, 2, 3, 4))])
def test_a_new_axis(dim, shape):
    check(lambda x: functional.unsqueeze(x, dim), X.reshape(shape), lambda g: g.reshape(X.shape))


# Joining

A, B = np.arange(6.0).reshape(2, 3), np.arange(6.0, 12.0).reshape(2, 3)


@pytest.mark.parametrize("name", ["cat", "concat", "concatenate", "stack"])
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
def test_joined(name, dim):
    function, numpy = getattr(functional, name), np.stack if name == "stack" else np.concatenate
    expected = numpy([A, B], axis=dim or 0)
    ways = [lambda x: function(x)] if dim is None else [
        lambda x: function(x, dim), lambda x: function(x, dim=dim), lambda x: function(x, axis=dim)]
    for way in ways:
        np.testing.assert_array_equal(way([A, B]), expected)
        a, b = (minidl.tensor(x.copy(), requires_grad=True) for x in (A, B))
        y = way([a, b])
        np.testing.assert_array_equal(y.data, expected)
        y.backward(2 * expected + 1)  # so that each element's gradient tells where it went
        np.testing.assert_array_equal(a.grad, 2 * A + 1)
        np.testing.assert_array_equal(b.grad, 2 * B + 1)


def test_joined_in_unequal_parts():
    a, b, c = (minidl.tensor(np.zeros((2, n)), requires_grad=True) for n in (1, 3, 2))
    g = np.arange(12.0).reshape(2, 6)
    functional.cat([a, b, c], dim=1).backward(g)
    for x, part in ((a, g[:, :1]), (b, g[:, 1:4]), (c, g[:, 4:])):
        np.testing.assert_array_equal(x.grad, part)


# Indexing

@pytest.mark.parametrize("index", [
    1, -1, np.int64(1), slice(1, None), (0, 1), (slice(None), 2), (Ellipsis, 0), (None, 1), np.array([1, 1]),
    (slice(None), np.array([2, 2])), (np.array([0, 0]), np.array([1, 1])), X > 7])
def test_an_index_and_its_gradient(index):
    expected = np.zeros_like(X)
    g = G[:X[index].size].reshape(X[index].shape)
    np.add.at(expected, index, g)  # an element may be picked more than once
    check(lambda x: x[index], X[index], lambda g: expected)


def test_tensors_as_an_index():
    x, rows = minidl.tensor(X), minidl.tensor(np.array([1, 0]))
    np.testing.assert_array_equal(x[rows].data, X[[1, 0]])
    np.testing.assert_array_equal(x[rows, minidl.tensor(np.array([2, 1]))].data, X[[1, 0], [2, 1]])
    np.testing.assert_array_equal(x[x > 7].data, X[X > 7])
