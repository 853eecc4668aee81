"""Ensemble: mean, spread, probabilities and vote against NumPy on the single outputs."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn

X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)


def networks(outputs=4, count=5):
    return [nn.Sequential(nn.Linear(3, 6, generator=i), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, outputs, generator=i))
            for i in range(count)]


def test_of_numbers():
    models = networks()
    single = np.stack([model.predict(X) for model in models])
    ensemble = minidl.Ensemble(models)
    np.testing.assert_array_equal(ensemble.outputs(X), single)
    np.testing.assert_allclose(ensemble.mean(X), single.mean(0), rtol=1e-6)
    np.testing.assert_allclose(ensemble.spread(X), single.std(0), rtol=1e-5)
    assert len(ensemble) == 5 and repr(ensemble) == "Ensemble(5 networks)"


def test_of_classes():
    models = networks()
    single = np.stack([model.predict(X) for model in models]).astype(np.float64)
    likely = np.exp(single) / np.exp(single).sum(2, keepdims=True)
    ensemble = minidl.Ensemble(models)
    np.testing.assert_allclose(ensemble.probabilities(X), likely.mean(0), rtol=1e-5)
    found = ensemble.vote(X)
    for answer, answers, probabilities in zip(found, single.argmax(2).T, likely.mean(0), strict=True):
        votes = np.bincount(answers, minlength=4)
        tied = np.flatnonzero(votes == votes.max())
        assert answer == tied[probabilities[tied].argmax()]


def test_of_one_network():
    model, = networks(count=1)
    ensemble = minidl.Ensemble([model])
    np.testing.assert_array_equal(ensemble.mean(X), model.predict(X))
    np.testing.assert_array_equal(ensemble.vote(X), model.predict(X).argmax(1))
    assert not ensemble.spread(X).any()


def test_what_is_refused():
    with pytest.raises(ValueError, match="at least one network"):
        minidl.Ensemble([])
    with pytest.raises(TypeError, match="expected Modules, got int"):
        minidl.Ensemble([3])
    with pytest.raises(ValueError, match="same outputs"):
        minidl.Ensemble([*networks(2, 1), *networks(3, 1)]).mean(X)
    flat = minidl.Ensemble([nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)) for _ in range(2)])
    for method in (flat.probabilities, flat.vote):
        with pytest.raises(ValueError, match="for classes"):
            method(X)
