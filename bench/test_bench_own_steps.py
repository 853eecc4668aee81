"""The steps that one writes oneself: every contestant's is right; and the judge of all is, by finite differences."""
from __future__ import annotations

import numpy as np
import own_by_hand
import own_networks
import pytest
from own_contestants import able, checked

UNITS = 32
CASES = [(network, name) for network in own_networks.NAMES for name in able(network)]


@pytest.mark.parametrize("network, name", CASES)
def test_own_step(timed, network, name):
    contestant = checked(name, network, UNITS)
    timed(contestant.step, group=f"own step, {network}, {UNITS} units", samples=own_networks.BATCH)


@pytest.mark.parametrize("network", [name for name in own_networks.NAMES if name != "gan"])
def test_the_judges_gradients(network):
    judge, rng = own_by_hand.ByHand(network, 5), np.random.default_rng(0)
    function, layers = getattr(own_by_hand, network), judge.layers
    _, gradients = function(layers, *judge.batch)
    for i, layer in enumerate(layers):
        for j, value in enumerate(layer):
            if value is None:
                continue
            direction = rng.standard_normal(value.shape)

            def loss(step, i=i, j=j, value=value, direction=direction, layer=layer):
                moved = list(layer)
                moved[j] = value + step * direction
                return function([*layers[:i], tuple(moved), *layers[i + 1:]], *judge.batch)[0]

            slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
            np.testing.assert_allclose((gradients[i][j] * direction).sum(), slope, rtol=1e-5, atol=1e-8)
