"""lr_find by its formulas: the smoothed loss, where it ends, the steepest fall by least squares."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.training import LRFind, lr_find

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def smoothed(losses):
    """The mean of the losses up to each, weighted by 0.9 for each step back."""
    weights = [0.9 ** np.arange(n)[::-1] for n in range(1, len(losses) + 1)]
    return [float(w @ losses[:len(w)] / w.sum()) for w in weights]


def found_of(losses, rates=None):
    rates = np.geomspace(1e-4, 1, len(losses)) if rates is None else rates
    return LRFind([float(rate) for rate in rates], [float(loss) for loss in losses], smoothed(losses))


def steepest(found):
    """By the covariance of log(lr) and the loss over the variance of log(lr)."""
    n, x, y = len(found.lr), np.log(found.lr), np.array(found.loss)
    reach, least = max(2, n // 10), int(np.argmin(found.smoothed))
    best = (0.0, None)
    for i in range(n):
        if i - reach < 0 or i + reach >= n or i > least:
            continue
        a, b = x[i - reach:i + reach + 1], y[i - reach:i + reach + 1]
        slope = ((a - a.mean()) * (b - b.mean())).sum() / ((a - a.mean()) ** 2).sum()
        if slope < best[0] - 1e-12:
            best = slope, found.lr[i]
    return best[1]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 6, 7, 12, 19, 20, 29, 30, 31, 40, 50, 90, 100, 101, 130])
def test_the_steepest_fall(count):
    rng = np.random.default_rng(count)
    for kind in range(8):
        losses = rng.normal(size=count) + (kind - 4) * np.linspace(0, 1, count)
        found = found_of(losses)
        assert found.suggestion() == steepest(found)


@pytest.mark.parametrize("slope, falls", [(-1e-3, True), (-0.5, True), (0.0, False), (1e-3, False), (0.5, False)])
def test_a_fall_of_any_size(slope, falls):
    found = found_of(slope * np.log(np.geomspace(1e-4, 1, 30)))
    found.smoothed[-1] = -1e9  # all steps count
    assert (found.suggestion() is not None) == falls


def test_at_the_end_of_the_steps_that_count():
    found = LRFind([0.1, 0.2, 0.4, 0.8, 1.6], [9, 8, 5, 2, 1], [9.0, 8, 5, 6, 7])
    assert found.suggestion() == 0.4  # the step of the least one counts, and those behind it do not
    found.smoothed = [9.0, 4, 5, 6, 7]
    assert found.suggestion() is None


class Told(nn.Module):
    """A loss whose values are given, and whose gradient is zero."""

    def __init__(self, values):
        self.left = iter(values)

    def forward(self, output, target):
        self.shape = output
        return next(self.left)

    def backward(self, gradient=1.0):
        return 0 * self.shape


def tried(values, **settings):
    model = nn.Linear(3, 2, generator=0)
    return lr_find(model, Told(values), optim.SGD(model.parameters(), lr=0.5), (X, X[:, :2]), batch_size=5, seed=0,
                   captured=False, **settings)


@pytest.mark.parametrize("values, threshold, steps", [
    ([1, 1, 1, 50, 1, 1], 4.0, 4), ([1, 1, 1, 50, 1, 1], None, 6), ([1, 1, 1, 5, 1, 1], 1.5, 4),
    ([1, 1, 1, 5, 1, 1], 2.5, 6), ([1, 1, 1, 5, 1, 1], 1.01, 4), ([8, 2, 1, 1, 30, 1], 2.5, 5),
    ([9, 1, 1, 1, 1, 9], 1.01, 6)])
def test_where_it_ends(values, threshold, steps):
    found = tried(values, num_training=6, early_stop_threshold=threshold, min_lr=1e-3, max_lr=1.0)
    assert found.loss == values[:steps]
    np.testing.assert_allclose(found.smoothed, smoothed(np.array(values[:steps], float)), rtol=1e-12)
    np.testing.assert_allclose(found.lr, np.geomspace(1e-3, 1, 6)[:steps], rtol=1e-12)
    expected = smoothed(np.array(values, float))
    ends = [n for n in range(6) if threshold and expected[n] > threshold * min(expected[:n + 1])]
    assert found.diverged == bool(ends) and steps == (ends[0] + 1 if ends else 6)


def test_two_steps_and_a_number_that_is_none():
    assert tried([3.0, 2.0], num_training=2).loss == [3.0, 2.0]
    found = tried([3.0, 2.0, float("nan"), 1.0], num_training=4)
    assert found.loss == [3.0, 2.0] and found.diverged
    with pytest.raises(FloatingPointError, match=r"^fit: the loss became inf at epoch 1, step 1 \(learning rate 1e-06"):
        tried([float("inf")], num_training=4)


@pytest.mark.parametrize("settings", [
    {"early_stop_threshold": 1}, {"early_stop_threshold": 0.5}, {"early_stop_threshold": -2.0},
    {"early_stop_threshold": float("nan")}, {"min_lr": -1e-3}, {"min_lr": 0}, {"min_lr": 10.0},
    {"max_lr": float("nan")}, {"mode": "linear_"}, {"mode": ""}, {"num_training": 1}])
def test_settings_that_are_refused(settings):
    with pytest.raises(ValueError, match=r"^lr_find: expected "):
        tried([1.0] * 200, **settings)


def test_a_bar_or_a_line_is_not_shown(capsys):
    tried([3.0, 2.0, 1.0], num_training=3, mode="linear")
    assert capsys.readouterr() == ("", "")
    assert minidl.training.LRFind().lr == [] and not LRFind().diverged
