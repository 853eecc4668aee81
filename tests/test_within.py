"""Results that a program writes where they would be copied to: heads beside one another, and the like."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F

N, HEADS, LENGTH, SIZE = 3, 2, 5, 4
WIDE = HEADS * SIZE


def heads_of(x):
    return x.reshape(N, LENGTH, HEADS, SIZE).transpose(1, 2)


def products(x, y):
    return F.matmul(heads_of(x), heads_of(y).transpose(-2, -1))


def side_by_side(x, y):
    return products(x, y).transpose(1, 2).reshape(N, LENGTH, -1)


def of_products_that_are_transposed(x, y):
    return products(x, y).transpose(-2, -1).reshape(N, -1)


def of_elementwise_operations(x, y):
    return (products(x, y) * 0.5 - 1.0).transpose(1, 2).reshape(N, LENGTH, -1)


def flattened(x, y):
    return (products(x, y) + 1.0).transpose(2, 3).flatten(1)


def axes_of_one(x, y):
    return F.matmul(x[:, None, :1], y[:1, None].transpose(-2, -1)).transpose(0, 3).reshape(-1)


def read_and_changed(x, y):
    """What is written in the place of the copy."""
    return F.relu((products(x, y) + 1.0).transpose(1, 2).reshape(N, LENGTH, -1)) * 2.0


# Those that are copied

def read_twice(x, y):
    z = products(x, y)
    return z.transpose(1, 2).reshape(N, LENGTH, -1) + z.mean()


def of_a_softmax(x, y):
    return F.softmax(products(x, y), dim=-1).transpose(1, 2).reshape(N, LENGTH, -1)


def of_matrices(x, y):
    return F.matmul(x[0], y[0].T).T.reshape(-1)


def a_part(x, y):
    return (products(x, y) + 1.0)[:, :, 1:].transpose(1, 2).reshape(N, -1)


PLACED = [side_by_side, of_products_that_are_transposed, of_elementwise_operations, flattened, axes_of_one,
          read_and_changed]
COPIED = [read_twice, of_a_softmax, of_matrices, a_part]


@pytest.mark.parametrize("function", PLACED + COPIED, ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_values_and_gradients_have_the_bits_of_plain_python(function, dtype):
    def step(x, y):
        x.requires_grad_()
        y.requires_grad_()
        z = function(x, y)
        return z, *minidl.autograd.grad((z * z).sum(), (x, y))

    rng, captured, alone = np.random.default_rng(0), minidl.capture(step), minidl.capture(minidl.no_grad()(function))
    for _ in range(4):
        x, y = (rng.standard_normal((N, LENGTH, WIDE)).astype(dtype) for _ in range(2))
        expected = step(minidl.tensor(x), minidl.tensor(y))
        for a, b in zip((*captured(x, y), alone(x, y)), (*expected, expected[0]), strict=True):
            assert a.shape == b.shape and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    assert captured.path == alone.path == "compiled"
    recording, = alone._kept.values()
    copies = [end - begin for line, begin, end, _ in recording.listing
              if line.what == "operation" and line.operation.name in ("reshape", "flatten")]
    assert copies and (min(copies) == 0) == (function in PLACED)


def test_what_is_returned_keeps_a_place_of_its_own():
    @minidl.capture
    @minidl.no_grad()
    def step(x, y):
        z = products(x, y)
        return z, z.transpose(1, 2).reshape(N, LENGTH, -1)

    x, y = (np.random.default_rng(i).standard_normal((N, LENGTH, WIDE), np.float32) for i in (0, 1))
    for _ in range(3):
        z, copy = step(x, y)
        np.testing.assert_array_equal(z.numpy(), products(minidl.tensor(x), minidl.tensor(y)).numpy())
        np.testing.assert_array_equal(copy.numpy(), z.numpy().transpose(0, 2, 1, 3).reshape(N, LENGTH, -1))
