"""Initial values: the very numbers that NumPy's generator gives, scaled by factors worked out by hand."""
from __future__ import annotations

import math

import numpy as np
import pytest

from minidl import nn
from minidl.nn import init

OUT, IN = 8, 2


def drawn(function, *arguments, dtype=np.float64, **settings):
    parameter = nn.Parameter(np.zeros((OUT, IN), dtype))
    assert function(parameter, *arguments, generator=5, **settings) is parameter
    return parameter.data


def numpy():
    return np.random.default_rng(5)


@pytest.mark.parametrize("function, arguments, settings, std", [
    (init.normal_, (), {}, 1), (init.normal_, (0, 0.25), {}, 0.25), (init.normal_, (), {"std": 0.25}, 0.25),
    # √(2 / (2 + 8))
    (init.xavier_normal_, (), {}, math.sqrt(0.2)), (init.xavier_normal_, (3,), {}, 3 * math.sqrt(0.2)),
    # gain √2 for a slope of 0, over √fan
    (init.kaiming_normal_, (), {}, 1), (init.kaiming_normal_, (), {"mode": "fan_out"}, 0.5),
    (init.kaiming_normal_, (1,), {}, 1 / math.sqrt(2)), (init.kaiming_normal_, (7,), {"nonlinearity": "relu"}, 1),
    (init.kaiming_normal_, (), {"nonlinearity": "linear", "mode": "fan_in"}, 1 / math.sqrt(2)),
])
def test_normal(function, arguments, settings, std):
    expected = std * numpy().normal(size=(OUT, IN))
    np.testing.assert_allclose(drawn(function, *arguments, **settings), expected, rtol=1e-14)


@pytest.mark.parametrize("function, arguments, settings, low, high", [
    (init.uniform_, (), {}, 0, 1), (init.uniform_, (2, 6), {}, 2, 6), (init.uniform_, (), {"b": 5}, 0, 5),
    # √(6 / (2 + 8))
    (init.xavier_uniform_, (), {}, -math.sqrt(0.6), math.sqrt(0.6)),
    (init.xavier_uniform_, (2,), {}, -2 * math.sqrt(0.6), 2 * math.sqrt(0.6)),
    # √3 times the deviations above
    (init.kaiming_uniform_, (), {}, -math.sqrt(3), math.sqrt(3)),
    (init.kaiming_uniform_, (), {"mode": "fan_out"}, -math.sqrt(3) / 2, math.sqrt(3) / 2),
    (init.kaiming_uniform_, (1,), {}, -math.sqrt(1.5), math.sqrt(1.5)),
    (init.kaiming_uniform_, (), {"nonlinearity": "selu"}, -0.75 * math.sqrt(1.5), 0.75 * math.sqrt(1.5)),
])
def test_uniform(function, arguments, settings, low, high):
    expected = numpy().uniform(low, high, (OUT, IN))
    np.testing.assert_allclose(drawn(function, *arguments, **settings), expected, rtol=1e-13, atol=1e-15)


def test_a_mean():
    np.testing.assert_allclose(drawn(init.normal_, 3.0), 3 + numpy().normal(size=(OUT, IN)), rtol=1e-14)


def test_constants_and_dtypes():
    parameter = nn.Parameter(np.full((2, 3), 7, np.float32))
    assert init.constant_(parameter, 0.5) is parameter and parameter.data.tolist() == [[0.5] * 3] * 2
    assert init.zeros_(parameter) is parameter and not parameter.data.any()
    assert init.ones_(parameter) is parameter and parameter.data.tolist() == [[1.0] * 3] * 2
    assert drawn(init.normal_, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("name, param, gain", [
    ("linear", None, 1), ("sigmoid", None, 1), ("tanh", None, 5 / 3), ("relu", None, math.sqrt(2)),
    ("selu", None, 0.75), ("leaky_relu", None, math.sqrt(2 / 1.0001)),
    ("leaky_relu", 0, math.sqrt(2)), ("leaky_relu", 2, math.sqrt(0.4)),
    ("relu", 2, math.sqrt(2))])
def test_gains(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-15)


@pytest.mark.parametrize("call, error, message", [
    (lambda p: init.calculate_gain("step"), ValueError, "calculate_gain: expected one of linear, .*, got 'step'"),
    (lambda p: init.kaiming_normal_(p, mode="fan"), ValueError, "init: expected mode 'fan_in' or 'fan_out', got 'fan'"),
    (lambda p: init.xavier_normal_(nn.Parameter(np.zeros(3))), ValueError, r"init: expected a weight of two axes"),
    (lambda p: init.zeros_(np.zeros(3)), TypeError, "init: expected a Parameter, got ndarray"),
])
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.Parameter(np.zeros((2, 3))))


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_begins_uniform_within_one_over_root_of_its_inputs(bias):
    layer = nn.Linear(16, 64, bias, np.float64, generator=5)
    for parameter in layer.parameters():
        assert 0.9 * 0.25 < np.abs(parameter.data).max() <= 0.25
    assert (layer.bias is None) == (not bias)
