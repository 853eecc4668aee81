"""Gradients of slices, which a program writes each to its place: the bits are those of zeros and additions."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim


def heads(y, x):
    """Attention of two heads, without softmax."""
    q, k, v = (part.reshape(3, 4, 2, -1).transpose(1, 2) for part in (y[..., :8], y[..., 8:16], y[..., 16:]))
    return F.matmul(F.matmul(q, k.transpose(-2, -1)), v).transpose(1, 2).reshape(3, 4, 8)


def middle_is_not_read(y, x):
    return y[..., :8] * x[..., :8] + y[..., 16:] * x[..., 1:9]


def three_parts(y, x):
    a, b, c = y.split(8, -1)
    return a * x[..., :8] + F.tanh(b) * c


def of_rows(y, x):
    return y[:1] * y[2:] + y[1:2]


def of_rows_and_columns(y, x):
    return y[:2, :, :8] * y[:2, :, 8:16] + y[1:, :, 16:]


def one_after_another(y, x):
    """Slices of a slice."""
    part = y[..., 4:20]
    return part[..., :8] * part[..., 8:]


# Those that stay additions

def read_with_the_rest(y, x):
    return y[..., :12] * y[..., 12:] + y.mean()


def that_overlap(y, x):
    return y[..., :9] * y[..., 8:17]


def with_steps(y, x):
    return y[..., ::2] * y[..., 1::2]


def with_a_number(y, x):
    return y[..., 0] * y[..., 1] + y[..., 2]


MERGED = [heads, middle_is_not_read, three_parts, of_rows, one_after_another]
OTHERS = [of_rows_and_columns, that_overlap, read_with_the_rest, with_steps, with_a_number]


def step_of(function, dtype):
    minidl.manual_seed(3)
    layer = nn.Linear(10, 24, dtype=dtype)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = function(layer(x), x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, layer


@pytest.mark.parametrize("function", MERGED + OTHERS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_a_step_has_the_bits_of_plain_python(function, dtype):
    rng = np.random.default_rng(0)
    (step, mine), (plain, theirs) = step_of(function, dtype), step_of(function, dtype)
    captured = minidl.capture(step)
    for _ in range(5):
        x = rng.standard_normal((3, 4, 10)).astype(dtype)
        assert captured(x).item() == plain(minidl.tensor(x)).item()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert a.data.tobytes() == b.data.tobytes() and a.gradient.tobytes() == b.gradient.tobytes()
    assert captured.path == "compiled"
    assert (len(lines_without_an_instruction(captured, "scatter")) > 1) == (function in MERGED)


def lines_without_an_instruction(captured, name):
    recording, = captured._kept.values()
    return [line for line, begin, end, _ in recording.listing
            if line.what == "operation" and line.operation.name == name and begin == end]


@pytest.mark.parametrize("middle", [True, False])
def test_a_negative_zero_becomes_zero_where_it_is_added(middle):
    """The gradient of a slice alone keeps its sign."""
    def gradient(x, factor):
        parts = [x[..., :8] * factor, x[..., 8:] * factor] if middle else [x[..., :8] * factor]
        total = sum(part.sum() for part in parts)
        return minidl.autograd.grad(total, x)[0]

    x = np.ones((2, 3, 16), np.float32)
    factor = np.where(np.arange(8) % 2 == 0, -0.0, 2.0).astype(np.float32)

    def step(x, factor):
        y = x * 1.0
        y.requires_grad_()
        return gradient(y, factor)

    captured = minidl.capture(step)
    plain = step(minidl.tensor(x), minidl.tensor(factor)).numpy()
    for _ in range(3):
        assert captured(x, factor).numpy().tobytes() == plain.tobytes()
    assert np.signbit(plain).any() != middle


def test_what_is_written_to_meanwhile_is_added_before():
    """A gradient that is given is a part, and changes before the second is added."""
    def step_and_given():
        given = minidl.tensor(np.ones((2, 8), np.float32))

        @minidl.no_grad()
        def change():
            given.add_(1.0)

        def step(x):
            y = x * 1.0
            y.requires_grad_()
            first, = minidl.autograd.grad(y[:, :8], y, given)
            change()
            second, = minidl.autograd.grad(y[:, 8:], y, given)
            return first + second

        return step

    captured, plain, x = minidl.capture(step_and_given()), step_and_given(), np.ones((2, 16), np.float32)
    for _ in range(4):
        assert captured(x).numpy().tobytes() == plain(minidl.tensor(x)).numpy().tobytes()
    assert captured.path == "compiled"


@pytest.mark.parametrize("n, heads", [(16, 4), (3, 2), (2, 7), (1, 4)])
def test_a_copy_of_four_axes_has_few_instructions(n, heads):
    """It is cut along the shortest axes that leave matrices."""
    @minidl.capture
    @minidl.no_grad()
    def copied(x):
        return x.transpose(1, 2).reshape(n, 32, -1)

    x = np.random.default_rng(0).standard_normal((n, heads, 32, 16), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(copied(x).numpy(), x.transpose(0, 2, 1, 3).reshape(n, 32, -1))
    recording, = copied._kept.values()
    (_, begin, end, compiled), = recording.listing
    assert compiled and end - begin == n * heads


def test_what_no_slice_covers_is_zero_where_other_arrays_lay_before():
    def step(x):
        used = F.exp(x * 3.0)  # of the gradient's size, and of no use any more when that begins
        total = (used * used).sum()
        y = x * 1.0
        y.requires_grad_()
        loss = (y[..., :8] * 2.0).sum() + (y[..., 16:] * 3.0).sum()
        return minidl.autograd.grad(loss, y)[0], total

    captured, x = minidl.capture(step), np.ones((2, 3, 24), np.float32)
    for _ in range(6):
        gradient, _ = captured(x)
        np.testing.assert_array_equal(gradient.numpy()[0, 0], [2] * 8 + [0] * 8 + [3] * 8)
    assert len(lines_without_an_instruction(captured, "scatter")) == 2
