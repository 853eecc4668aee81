"""minidl.arrays: products, what layers are made of, and images, on arrays of every layout, against NumPy."""
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from test_arrays import CLOSE, DTYPES, layouts

from minidl import arrays


@DTYPES
@pytest.mark.parametrize("a, b", [
    ((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
    ((2, 3, 3, 4), (2, 3, 4, 1)), ((1, 3, 3, 4), (2, 3, 4, 2)), ((2, 1, 3, 4), (2, 3, 4, 2)), ((0, 3, 4), (0, 4, 5)),
    ((2, 0, 4), (2, 4, 5)), ((2, 3, 0), (2, 0, 5)), ((2, 1, 2, 3, 4), (3, 1, 4, 2))], ids=str)
def test_products(a, b, dtype):
    for x, y in itertools.product(layouts(a, dtype, 1), layouts(b, dtype, 2)):
        got, expected = arrays.matmul(x, y), np.matmul(x, y)
        assert got.shape == expected.shape and got.dtype == dtype
        np.testing.assert_allclose(got, expected, **CLOSE[dtype])


def test_products_that_do_not_fit():
    x = np.ones((3, 4), np.float32)
    for a, b in ((x, x), (x[0], x.T), (x, x[0]), (np.ones((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32))):
        with pytest.raises(ValueError, match=r"matmul: expected shapes \(..., M, K\) and \(..., K, N\), got"):
            arrays.matmul(a, b)
    for a, b in ((x, x.T.astype(np.float64)), (x.astype(int), x.T.astype(int)), (x, x.T.astype(int))):
        with pytest.raises(TypeError, match="matmul: expected two arrays of one float dtype, got"):
            arrays.matmul(a, b)


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 2, 3, 4), (2, 1, 3, 4), (1, 2, 3, 4), (2, 2, 2, 3, 4),
                                   (2, 1, 2, 3, 4), (1, 1, 1, 3, 4)], ids=str)
def test_stacks_are_merged_where_they_lie_in_order(shape):
    whole = np.arange(2.0 * math.prod(shape)).reshape(2 * shape[0], *shape[1:])
    one = math.prod(shape[1:-2]) == 1 or shape[0] == 1
    for x, merged in [(whole[:shape[0]], True), (whole[::2], one), (np.broadcast_to(whole[0], shape), one)]:
        y = np.zeros(shape)
        parts = arrays.stacked(x, y)
        assert (len(parts) == 1) == merged
        assert all(np.shares_memory(part, x) for part, _ in parts)
        for part, out in parts:
            out[...] = part
        np.testing.assert_array_equal(y, x)


@DTYPES
def test_the_functions_of_a_linear_layer(dtype):
    x, dy, w, b = (np.random.default_rng(i).standard_normal(shape).astype(dtype)
                   for i, shape in enumerate([(6, 4), (6, 3), (3, 4), (3,)]))
    np.testing.assert_allclose(arrays.linear(x, w, b), x @ w.T + b, **CLOSE[dtype])
    np.testing.assert_allclose(arrays.linear(x, w, None), x @ w.T, **CLOSE[dtype])
    np.testing.assert_allclose(arrays.linear_input_gradient(dy, w), dy @ w, **CLOSE[dtype])
    dw, db, alone, sums = w.copy(), b.copy(), w.copy(), b.copy()
    arrays.add_linear_gradients(x, dy, dw, db)
    arrays.add_linear_gradients(x, dy, alone, None)
    arrays.add_column_sum(dy, sums)
    np.testing.assert_allclose(dw, w + dy.T @ x, **CLOSE[dtype])
    np.testing.assert_allclose(db, b + dy.sum(0), **CLOSE[dtype])
    np.testing.assert_array_equal(alone, dw)
    np.testing.assert_array_equal(sums, db)


# Normalisation

@DTYPES
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_normalisation(name, dtype):
    axis = 1 if name == "layer_norm" else 0
    for x in layouts((6, 5), dtype):
        mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
        plain = (x - mean) / np.sqrt(variance + 0.01)
        for weight, bias in itertools.product([None, np.arange(10, dtype=dtype)[::2]], repeat=2):
            y = arrays.normalized(name, x, weight, bias, 0.01)
            expected = plain * (1 if weight is None else weight) + (0 if bias is None else bias)
            np.testing.assert_allclose(y[:6], expected, rtol=1e-5, atol=1e-5)
            assert len(y) == (6 if axis else 8) and y.dtype == dtype
        g = np.random.default_rng(3).standard_normal((6, 5)).astype(dtype)
        for weight in (None, np.arange(10, dtype=dtype)[::2]):
            out = arrays.normalized_backward(name, g, x, weight, 0.01)
            v = g * (1 if weight is None else weight)
            slope = (v - v.mean(axis, keepdims=True) - plain * (v * plain).mean(axis, keepdims=True)) / np.sqrt(
                variance + 0.01)
            np.testing.assert_allclose(out[:6], slope, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(out[6], (g * plain).sum(0), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(out[7], g.sum(0), rtol=1e-4, atol=1e-5)
    for wrong in (np.ones((2, 3), int), np.ones((2, 3), np.float16)):
        with pytest.raises(TypeError, match=f"{name}: expected a float32 or float64 array, got {wrong.dtype}"):
            arrays.normalized(name, wrong, None, None, 0.01)


# Images

def seen_through(image: np.ndarray, m: np.ndarray, fill: float) -> np.ndarray:
    """affine_sample of one image, pixel by pixel."""
    height, width = image.shape
    y = np.empty_like(image)
    for i, j in np.ndindex(height, width):
        u, v = m @ np.array([j - (width - 1) / 2, i - (height - 1) / 2, 1.0])
        u, v = u + (width - 1) / 2, v + (height - 1) / 2
        left, above = math.floor(u), math.floor(v)
        parts = [((1 - abs(u - column)) * (1 - abs(v - row)),
                  image[row, column] if 0 <= row < height and 0 <= column < width else fill)
                 for row in (above, above + 1) for column in (left, left + 1)]
        y[i, j] = sum(share * value for share, value in parts)
    return y


@DTYPES
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (1, 1, 6, 2), (0, 4, 5)], ids=str)
def test_images_through_maps(shape, dtype):
    rng = np.random.default_rng(2)
    maps = np.tile(np.eye(2, 3), (shape[0], 1, 1)) + rng.uniform(-0.4, 0.4, (shape[0], 2, 3)) * [1, 1, 3]
    for images, fill, kind in itertools.product(layouts(shape, dtype), (0.0, -2.0), (np.float32, np.float64)):
        got = arrays.affine_sample(images, maps.astype(kind), fill)
        assert got.shape == shape and got.dtype == dtype
        for index in np.ndindex(*shape[:-2]):
            np.testing.assert_allclose(got[index], seen_through(images[index], maps[index[0]], fill),
                                       rtol=1e-4, atol=1e-4)
    if shape[0]:
        np.testing.assert_array_equal(arrays.affine_sample(images, np.tile(np.eye(2, 3), (shape[0], 1, 1))), images)
        far = np.tile([[1.0, 0, 99], [0, 1, 0]], (shape[0], 1, 1))
        assert (arrays.affine_sample(images, far, 3.0) == 3).all() and not arrays.affine_sample(images, far).any()
    with pytest.raises(TypeError, match="affine_sample: expected a float32 or float64 array, got uint8"):
        arrays.affine_sample(np.ones(shape, np.uint8), maps)
