"""Distributions by their formulas in NumPy, and random choices where a draw falls on an edge."""
from __future__ import annotations

import math

import numpy as np
import pytest
from test_distributions import CASES, made

import minidl
from minidl import distributions
from minidl import functional as F


class Normal:
    def __init__(self, loc, scale):
        self.mean, self.stddev, self.variance = loc + 0 * scale, scale + 0 * loc, scale ** 2 + 0 * loc

    def log_prob(self, x):
        return np.log(np.exp(-(x - self.mean) ** 2 / (2 * self.variance)) / np.sqrt(2 * np.pi * self.variance))

    def cdf(self, x):
        return np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2)((x - self.mean) / self.stddev)

    def entropy(self):
        return 0.5 * np.log(2 * np.pi * np.e * self.variance)

    def kl(self, q):
        """∫ p (log p - log q), by the trapezoidal rule over twenty deviations."""
        z = np.linspace(-10, 10, 20001)[:, None, None]
        x = self.mean + self.stddev * z
        p = np.exp(-z ** 2 / 2) / math.sqrt(2 * np.pi)
        log_p, log_q = (-(x - d.mean) ** 2 / (2 * d.variance) - np.log(d.stddev) for d in (self, q))
        return (p * (log_p - log_q)).sum(0) * 1e-3


class Categorical:
    def __init__(self, probs=None, logits=None):
        weights = np.exp(logits) if probs is None else probs
        self.probs = weights / weights.sum(-1, keepdims=True)
        self.logits, self.mode = np.log(self.probs), self.probs.argmax(-1)

    def log_prob(self, value):
        log_p = np.broadcast_to(self.logits, (*np.broadcast_shapes(value.shape, self.probs.shape[:-1]),
                                              self.probs.shape[-1]))
        return np.take_along_axis(log_p, np.broadcast_to(value, log_p.shape[:-1])[..., None], -1)[..., 0]

    def entropy(self):
        return -(self.probs * self.logits).sum(-1)

    def kl(self, q):
        return (self.probs * np.log(self.probs / q.probs)).sum(-1)


class Bernoulli:
    def __init__(self, probs=None, logits=None):
        self.probs = self.mean = 1 / (1 + np.exp(-logits)) if probs is None else probs
        self.logits, self.variance = np.log(self.probs / (1 - self.probs)), self.probs - self.probs ** 2

    def log_prob(self, value):
        return np.log(np.where(value == 1, self.probs, 1 - self.probs))

    def entropy(self):
        return -(self.probs * np.log(self.probs) + (1 - self.probs) * np.log(1 - self.probs))

    def kl(self, q):
        return self.probs * np.log(self.probs / q.probs) + (1 - self.probs) * np.log((1 - self.probs) / (1 - q.probs))


FORMULAS = {"Normal": Normal, "Categorical": Categorical, "Bernoulli": Bernoulli}
KEYS = ("mean", "variance", "stddev", "probs", "logits", "mode")


@pytest.mark.parametrize("name, settings, value", CASES, ids=str)
def test_the_formulas(name, settings, value):
    mine, _ = made(name, settings, distributions, minidl.tensor)
    wanted = FORMULAS[name](**settings)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(mine.log_prob(minidl.tensor(value)).data, wanted.log_prob(value), **close)
    np.testing.assert_allclose(mine.log_prob(value).data, wanted.log_prob(value), **close)
    np.testing.assert_allclose(mine.entropy().data, wanted.entropy(), **close)
    assert mine.batch_shape == wanted.entropy().shape and repr(mine) == f"{name}(batch_shape: {mine.batch_shape})"
    for key in KEYS:
        if hasattr(wanted, key):
            np.testing.assert_allclose(getattr(mine, key).data, getattr(wanted, key), **close, err_msg=key)
    if name == "Normal":
        np.testing.assert_allclose(mine.cdf(minidl.tensor(value)).data, wanted.cdf(value), **close)


@pytest.mark.parametrize("name, settings, value", [CASES[0], CASES[2], CASES[4], CASES[6]], ids=str)
def test_divergences(name, settings, value):
    other = {key: array[::-1].copy() for key, array in settings.items()}
    p, q = (made(name, one, distributions, minidl.tensor)[0] for one in (settings, other))
    expected = FORMULAS[name](**settings).kl(FORMULAS[name](**other))
    np.testing.assert_allclose(distributions.kl_divergence(p, q).data, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(distributions.kl_divergence(p, p).data, 0, atol=1e-12)


@pytest.mark.parametrize("kind, arguments", [
    (distributions.Normal, (0.0, -1.0)), (distributions.Bernoulli, (1.5,)), (distributions.Bernoulli, (-0.5,)),
    (distributions.Categorical, ([-1.0, 2.0],)), (distributions.Categorical, ([np.inf, 2.0],))])
def test_parameters_are_looked_at_unless_that_is_switched_off(kind, arguments):
    for settings in ({}, {"validate_args": True}, {"validate_args": None}):
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected "):
            kind(*arguments, **settings)
    with np.errstate(all="ignore"):
        kind(*arguments, validate_args=False)


class Edges(np.random.Generator):
    """Draws that are all the least, or the largest, that there can be."""

    def __init__(self, value: float):
        super().__init__(np.random.PCG64(0))
        self.value = value

    def random(self, size=None, *_, **__):
        return np.full(size, self.value)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("weights, first, last", [
    ([1.0, 2.0, 3.0], 0, 2), ([0.0, 2.0, 3.0, 0.0, 0.0], 1, 2), ([0.0, 0.0, 0.1], 2, 2), ([0.1] * 10, 0, 9),
    ([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [1, 0], [1, 1])])
def test_a_draw_at_an_edge_has_a_weight(weights, first, last, replacement):
    weights = minidl.tensor(weights, dtype=np.float64)
    for value, place in ((0.0, first), (1 - 2.0 ** -53, last), (1.0, last)):
        found = F.multinomial(weights, 1, replacement, generator=Edges(value))
        assert found.shape == (*weights.shape[:-1], 1) and found.data[..., 0].tolist() == place


@pytest.mark.parametrize("many", [0, -1])
def test_no_draw_at_all(many):
    with pytest.raises(ValueError, match=rf"1 sample or more, got shape \(2,\) and {many}"):
        F.multinomial(minidl.tensor([1.0, 1.0]), many)


def test_a_coin_at_its_edges():
    p = minidl.tensor([0.0, 0.25, 1.0], dtype=np.float64)
    assert F.bernoulli(p, generator=Edges(0.0)).tolist() == [0, 1, 1]
    assert F.bernoulli(p, generator=Edges(0.25)).tolist() == [0, 0, 1]
    assert F.bernoulli(p, generator=Edges(1 - 2.0 ** -53)).tolist() == [0, 0, 1]
