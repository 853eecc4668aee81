"""Softplus: how exact its kernels are, and that recorded steps and predictions run them."""
from __future__ import annotations

import numpy as np
import pytest
from enumerated import operations_of

import minidl
from minidl import functional as F
from minidl import nn, optim


def test_at_most_two_units_in_the_last_place_over_the_whole_range():
    x = np.arange(0, 2**32, 40_001, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    true = np.logaddexp(0, x.astype(np.float64))
    spacing = np.spacing(np.maximum(true.astype(np.float32), np.finfo(np.float32).tiny)).astype(np.float64)
    assert (abs(F.softplus(x) - true) <= 2 * spacing).all()


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.5}, {"beta": 2.0}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_and_a_prediction_run_compiled_with_the_bits_of_plain_ones(settings, dtype):
    def make():
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 9, dtype=dtype), nn.Softplus(**settings), nn.Linear(9, 3, dtype=dtype))
        return model, optim.Adam(model.parameters(), lr=0.01)

    (plain, ours), (model, theirs) = make(), make()
    rng = np.random.default_rng(1)

    def written(model, optimizer):
        def step(x, y):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss
        return step

    step, reference = minidl.capture(written(model, theirs)), written(plain, ours)
    for _ in range(6):
        x, y = rng.standard_normal((7, 4)).astype(dtype), rng.integers(0, 3, 7)
        assert step(x, y).item() == reference(minidl.tensor(x), minidl.tensor(y)).item()
    assert step.path == "compiled"
    assert {"unit_softplus", "unit_softplus_backward"} <= operations_of(step)
    np.testing.assert_array_equal(model.flat_parameters, plain.flat_parameters)
    np.testing.assert_array_equal(model.predict(x), model.eval()(x))
