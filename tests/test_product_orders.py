"""Products take their tiles in several orders, and pack B or not, by their sizes and by how their operands lie.

Each element is one chain of multiply-adds all the same. So a product of any size has the bits of the product of one
row and eight columns that lie side by side, which has one order.
"""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import kernels, nn

# rows of A: a few, one tile and more, tiles of all heights, enough for rows of tiles; terms: fewer than a vector, one
# panel, several; columns: around the widths of tiles, of panels, and of the strides at which rows lie far apart
SIZES = [(1, 40, 129), (2, 300, 128), (3, 40, 200), (4, 300, 131), (2, 0, 150), (4, 9, 640),
         (5, 20, 1025), (8, 300, 1024), (12, 257, 520), (16, 600, 1024), (23, 33, 1031), (64, 270, 1056), (11, 5, 1030),
         (96, 16, 1024), (97, 1, 1030), (107, 256, 515), (200, 100, 1100), (96, 257, 1024), (130, 0, 600),
         (16, 1024, 1024), (16, 300, 1030), (8, 1024, 544), (23, 1024, 1024),
         # few rows, whose columns are passed a thousand at a time; many rows, in blocks that are as high as each other
         (1, 43, 2060), (2, 27, 1100), (3, 19, 2053), (4, 23, 1031), (1, 7, 1024), (1, 8, 17), (2, 4, 33),
         (400, 130, 100), (261, 128, 70), (140, 300, 70), (600, 257, 40), (127, 64, 33),
         # columns behind whole vectors, along which vectors may lie: few, many, alone and beside others
         (64, 25, 2), (100, 84, 2), (33, 300, 4), (130, 25, 25), (40, 16, 84), (25, 100, 25), (25, 100, 2),
         (300, 20, 10), (16, 300, 1), (95, 0, 3), (32, 600, 9), (4, 30, 1), (257, 1, 5)]
LAYOUTS = {"side by side": lambda b: b, "transposed": lambda b: np.asfortranarray(b),
           "part of wider rows": lambda b: wider(b)[:, 3:-4]}


def wider(b):
    """The same columns, with others before and behind them."""
    return np.pad(b, ((0, 0), (3, 4)), "wrap")


def by_small_products(kernel, a, b, start):
    """start + a b, a row and eight columns at a time."""
    c = start.copy()
    for j in range(0, b.shape[1], 8):
        panel = np.ascontiguousarray(b[:, j:j + 8])
        for i in range(len(a)):
            part = np.ascontiguousarray(c[i:i + 1, j:j + 8])
            kernel.linear_weight_gradient(np.ascontiguousarray(a[i:i + 1]).T, panel, part.T)
            c[i, j:j + 8] = part
    return c


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("target", kernels.targets())
def test_any_size_and_layout_gives_the_bits_of_small_products(target, dtype, layout):
    kernel, rng = kernels.load(target, dtype), np.random.default_rng(0)
    for m, depth, n in SIZES:
        a, b = rng.standard_normal((m, depth)).astype(dtype), rng.standard_normal((depth, n)).astype(dtype)
        bias, start = rng.standard_normal(n).astype(dtype), rng.standard_normal((m, n)).astype(dtype)
        lying, rows = LAYOUTS[layout](b), sorted({0, m // 2, m - 1})
        y = np.empty((m, n), dtype)
        kernel.linear(a, lying.T, bias, y)
        begun = np.broadcast_to(bias, (len(rows), n))
        np.testing.assert_array_equal(y[rows], by_small_products(kernel, a[rows], b, begun), f"y {m} {depth} {n}")
        dx = np.empty((m, n), dtype)
        kernel.linear_input_gradient(a, lying, dx)
        zeros = np.zeros((len(rows), n), dtype)
        np.testing.assert_array_equal(dx[rows], by_small_products(kernel, a[rows], b, zeros), f"dx {m} {depth} {n}")
        for lying_a in (a.T, np.ascontiguousarray(a.T)):
            dw = start.copy()
            kernel.linear_weight_gradient(lying_a, lying, dw.T)
            right = by_small_products(kernel, a[rows], b, start[rows])
            np.testing.assert_array_equal(dw[rows], right, f"dW {m} {depth} {n}")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 100])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_of_a_prediction_does_not_depend_on_its_batch(size, threads):
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 1100), nn.ReLU(), nn.Linear(1100, 600), nn.Tanh(), nn.Linear(600, 10))
    X = np.random.default_rng(1).standard_normal((100, 300)).astype(np.float32)
    alone = np.concatenate([model.predict(X[i:i + 1]) for i in range(size)])
    minidl.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(model.predict(X[:size]), alone)
        np.testing.assert_array_equal(model(X[:size]), alone)
    finally:
        minidl.set_num_threads(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("target", kernels.targets())
def test_column_sums_run_in_the_order_of_the_rows(target, dtype):
    kernel, rng = kernels.load(target, dtype), np.random.default_rng(0)
    for columns in (*range(1, 70), 130):
        dy = rng.standard_normal((37, columns)).astype(dtype)
        right = np.add.accumulate(np.vstack([np.ones((1, columns), dtype), dy]), axis=0)[-1]
        for lying in (dy, np.asfortranarray(dy), wider(dy)[:, 3:3 + columns]):
            db = np.ones(columns, dtype)
            kernel.column_sum(lying, db)
            np.testing.assert_array_equal(db, right, f"{columns} columns")
