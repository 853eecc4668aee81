"""The activations written with operations: how exact erf is, and that steps run all of them compiled."""
from __future__ import annotations

import math

import numpy as np
import pytest
from enumerated import operations_of

import minidl
from minidl import functional as F
from minidl import nn, optim

TRUE = np.vectorize(math.erf)


def test_single_precision_within_two_units_in_the_last_place():
    x = np.arange(0, 2**32, 40_001, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    true = TRUE(x.astype(np.float64))
    spacing = np.spacing(np.maximum(abs(true).astype(np.float32), np.finfo(np.float32).tiny)).astype(np.float64)
    assert (abs(F.erf(x) - true) <= 2 * spacing).all()


def test_double_precision_to_one_in_ten_to_the_fifteen():
    x = np.concatenate([np.linspace(-7, 7, 20_001), 10.0 ** np.linspace(-300, 0, 301)])
    np.testing.assert_allclose(F.erf(x), TRUE(x), rtol=1e-15, atol=0)
    assert F.erf(np.array([np.inf, -np.inf, -0.0])).tolist() == [1, -1, 0]
    assert math.copysign(1, F.erf(np.array([-0.0]))[0]) == -1 and np.isnan(F.erf(np.array([np.nan]))[0])


@pytest.mark.parametrize("make", [
    lambda: nn.GELU(), lambda: nn.GELU("tanh"), lambda: nn.SiLU(), lambda: nn.Mish(), lambda: nn.Softsign(),
    lambda: nn.LogSigmoid(), lambda: nn.Hardtanh(-0.3, 0.7), lambda: nn.ReLU6(), lambda: nn.Hardsigmoid(),
    lambda: nn.Hardswish(), lambda: nn.PReLU(), lambda: nn.PReLU(9), lambda: nn.Threshold(0.2, -0.4)],
    ids=["gelu", "gelu tanh", "silu", "mish", "softsign", "logsigmoid", "hardtanh", "relu6", "hardsigmoid", "hardswish",
         "prelu", "prelu channels", "threshold"])
def test_a_step_runs_compiled_with_the_bits_of_a_plain_one(make):
    """Nothing in it is called as Python, whichever way it is captured."""
    def build():
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 9), make(), nn.Linear(9, 3))
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01)

    (plain, loss, ours), parts = build(), build()
    model, criterion, optimizer = build()
    step, whole = minidl.capture(lambda x, y: trained(model, criterion, optimizer, x, y)), minidl.capture(*parts)
    rng = np.random.default_rng(1)
    for _ in range(6):
        x, y = rng.standard_normal((7, 4)).astype(np.float32), rng.integers(0, 3, 7)
        expected = trained(plain, loss, ours, minidl.tensor(x), minidl.tensor(y)).item()
        assert step(x, y).item() == expected and whole(x, y) == expected
    assert step.path == whole.path == "compiled"
    assert operations_of(step, compiled=False) == set()
    for other in (model, parts[0]):
        np.testing.assert_array_equal(other.flat_parameters, plain.flat_parameters)
        np.testing.assert_array_equal(other.predict(x), plain.eval()(x))
    plain.train()


def trained(model, criterion, optimizer, x, y):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
