"""bernoulli and multinomial by the draws of their stream: which index each draw falls on, rows, dtypes, replays."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F

ROWS = np.array([[1.0, 0.0, 3.0, 4.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]])


def first_beyond(weights, share: float) -> int:
    """The index at which the running sum of the weights first exceeds this share of the whole."""
    total = 0.0
    for i, weight in enumerate(weights):
        total += weight
        if total > share * sum(weights):
            return i
    raise AssertionError("no share is the whole")


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_draws_that_are_put_back(number, dtype):
    weights = (2 * ROWS).astype(dtype)
    shares = np.random.default_rng(3).random((3, number))
    expected = [[first_beyond(row.tolist(), share) for share in line]
                for row, line in zip(weights, shares, strict=True)]
    for given in (weights, minidl.tensor(weights)):
        found = F.multinomial(given, number, True, generator=3)
        assert isinstance(found, minidl.Tensor) is isinstance(given, minidl.Tensor)
        assert found.dtype == np.int64 and found.tolist() == expected
        assert F.multinomial(given, number, replacement=True, generator=np.random.default_rng(3)).tolist() == expected
    line = F.multinomial(weights[0], number, True, generator=3)
    assert line.shape == (number,) and line.tolist() == expected[0]
    if number == 1:  # the same draw
        assert F.multinomial(weights, 1, generator=3).tolist() == expected


def test_draws_that_are_not_put_back():
    """A race of exponential times, each with its weight as rate."""
    weights = np.array([[1.0, 5.0, 3.0, 4.0], [0.5, 0.0, 2.0, 7.0]])
    with np.errstate(divide="ignore"):
        times = np.random.default_rng(5).exponential(size=(2, 4)) / weights
    for number in (2, 3):
        expected = [sorted(range(4), key=line.__getitem__)[:number] for line in times.tolist()]
        found = F.multinomial(weights, number, generator=5)
        assert found.dtype == np.int64 and found.tolist() == expected
        assert F.multinomial(minidl.tensor(weights), number, False, generator=5).tolist() == expected
    assert F.multinomial(weights[0], 4, generator=5).tolist() == sorted(
        range(4), key=(np.random.default_rng(5).exponential(size=(1, 4)) / weights[:1])[0].tolist().__getitem__)


def test_no_rows():
    for number, replacement in ((1, False), (2, True), (2, False)):
        assert F.multinomial(np.ones((0, 3)), number, replacement).shape == (0, number)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_coins(dtype):
    p = np.linspace(0, 1, 12).reshape(3, 4).astype(dtype)
    expected = np.random.default_rng(2).random((3, 4)) < p
    for given in (p, minidl.tensor(p)):
        found = F.bernoulli(given, generator=2)
        assert isinstance(found, minidl.Tensor) is isinstance(given, minidl.Tensor)
        assert found.dtype == dtype and found.tolist() == expected.astype(dtype).tolist()
    minidl.manual_seed(4)
    first = F.bernoulli(p).tolist(), F.multinomial(p, 2, True).tolist()
    minidl.manual_seed(4)
    assert first == (F.bernoulli(p).tolist(), F.multinomial(p, 2, True).tolist())


@pytest.mark.parametrize("name", ["bernoulli", "multinomial"])
def test_a_captured_step_draws_anew(name):
    p = np.full((2, 50), 0.5)
    call = F.bernoulli if name == "bernoulli" else lambda x: F.multinomial(x, 10, True)
    captured = minidl.capture(lambda x: call(x) * 1)
    minidl.manual_seed(1)
    found = [captured(p).tolist() for _ in range(5)]
    minidl.manual_seed(1)
    assert found == [call(minidl.tensor(p)).tolist() for _ in range(5)]
    assert len({str(draw) for draw in found}) == 5


@pytest.mark.parametrize("labels, number, length",
 [([0, 2], -1, 3), ([0, 2], 5, 5), ([2], np.int64(3), 3), ([0], -1, 1)])
def test_codes_of_labels(labels, number, length):
    expected = [[int(k == label) for k in range(length)] for label in labels]
    for given in (np.array(labels), minidl.tensor(labels), np.array(labels, np.uint8)):
        found = F.one_hot(given, number)
        assert found.dtype == np.int64 and found.tolist() == expected
    assert F.one_hot(np.array(labels[-1]), number).tolist() == expected[-1]
