"""The initialisers: moments, bounds, seeds, and bad input."""
from __future__ import annotations

import math

import numpy as np
import pytest
from module_cases import FLOATS, name_of
from theirs import torch

import minidl
from minidl import nn
from minidl.nn import init

FAN_OUT, FAN_IN = 200, 300
SIZE = FAN_OUT * FAN_IN


def weight(dtype=np.float32) -> nn.Parameter:
    return nn.Parameter(np.zeros((FAN_OUT, FAN_IN), dtype), "weight", order="F")


# name, settings, standard deviation; the uniform ones reach √3 of it on both sides
NORMAL = [
    ("normal_", {}, 1.0), ("normal_", {"std": 0.1}, 0.1),
    ("xavier_normal_", {}, math.sqrt(2 / 500)),
    ("xavier_normal_", {"gain": 5 / 3}, 5 / 3 * math.sqrt(2 / 500)),
    ("kaiming_normal_", {}, math.sqrt(2 / 300)), ("kaiming_normal_", {"mode": "fan_out"}, math.sqrt(2 / 200)),
    ("kaiming_normal_", {"nonlinearity": "relu"}, math.sqrt(2 / 300)),
    ("kaiming_normal_", {"a": 0.2}, math.sqrt(2 / 1.04 / 300)),
]
UNIFORM = [
    ("uniform_", {"a": -2.0, "b": 2.0}, 2 / math.sqrt(3)),
    ("xavier_uniform_", {}, math.sqrt(2 / 500)), ("xavier_uniform_", {"gain": 0.5}, 0.5 * math.sqrt(2 / 500)),
    ("kaiming_uniform_", {}, math.sqrt(2 / 300)),
    ("kaiming_uniform_", {"a": math.sqrt(5)}, 1 / math.sqrt(3 * 300)),  # what torch.nn.Linear uses
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3 / math.sqrt(200)),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("name, settings, std", NORMAL + UNIFORM)
def test_moments(name, settings, std, dtype):
    """Mean and standard deviation within four standard errors."""
    values = getattr(init, name)(weight(dtype), **settings, generator=0).data.astype(np.float64)
    assert abs(values.mean()) < 4 * std / math.sqrt(SIZE)
    assert abs(values.std() / std - 1) < 4 / math.sqrt(2 * SIZE)


@pytest.mark.parametrize("name, settings, std", UNIFORM)
def test_bounds_are_reached_and_kept(name, settings, std):
    values, bound = getattr(init, name)(weight(), **settings, generator=0).data, math.sqrt(3) * std
    assert 0.999 * bound < values.max() <= bound * (1 + 1e-6)
    assert 0.999 * bound < -values.min() <= bound * (1 + 1e-6)


def test_mean_of_normal():
    values = init.normal_(weight(), mean=3.0, std=0.5, generator=0).data
    assert abs(values.mean() - 3) < 4 * 0.5 / math.sqrt(SIZE)


@pytest.mark.parametrize("name, settings, std", NORMAL + UNIFORM)
def test_the_same_seed_gives_the_same_bits(name, settings, std):
    def draw(generator):
        return getattr(init, name)(weight(), **settings, generator=generator).data.tobytes()

    assert draw(7) == draw(7) == draw(np.random.default_rng(7)) != draw(8)
    minidl.manual_seed(7)
    assert draw(None) == draw(7)


def test_constants():
    parameter = weight()
    assert (init.constant_(parameter, 0.25).data == 0.25).all()
    assert (init.ones_(parameter).data == 1).all()
    assert not init.zeros_(parameter).data.any()


def test_the_place_in_memory_stays():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    flat = model.flat_parameters
    for parameter in model.parameters():
        assert init.ones_(parameter) is parameter
    assert (flat == 1).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_linear_begins_as_in_pytorch(dtype):
    """Weight and bias uniform in ±1/√in."""
    layer = nn.Linear(FAN_IN, FAN_OUT, dtype=dtype, generator=0)
    bound = 1 / math.sqrt(FAN_IN)
    for parameter in layer.parameters():
        assert abs(parameter.data).max() <= bound * (1 + 1e-6)
        assert abs(parameter.data.std() / bound * math.sqrt(3) - 1) < 4 / math.sqrt(2 * parameter.numel())
    assert (nn.Linear(3, 3, generator=1).weight.data == nn.Linear(3, 3, generator=1).weight.data).all()


@pytest.mark.parametrize("name, param", [
    ("linear", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("leaky_relu", None),
    ("leaky_relu", 0.3),
    ("selu", None),
])
def test_gains_are_pytorchs(name, param):
    expected = torch.nn.init.calculate_gain(name, param)
    assert init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-15)


def test_bad_input():
    vector = nn.Parameter(np.zeros(3, np.float32))
    for name in ("xavier_normal_", "xavier_uniform_", "kaiming_normal_", "kaiming_uniform_"):
        with pytest.raises(ValueError,
                           match=r"init: expected a weight of two axes \(out, in\), got shape \(3,\)"):
            getattr(init, name)(vector)
    with pytest.raises(ValueError, match="expected mode 'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_normal_(weight(), mode="fan")
    with pytest.raises(ValueError, match=r"calculate_gain: expected one of .*, got 'gelu'"):
        init.kaiming_uniform_(weight(), nonlinearity="gelu")
    with pytest.raises(ValueError, match="scale"):
        init.normal_(vector, std=-1.0)
    with pytest.raises(TypeError, match=r"expected a seed .* got str"):
        init.normal_(vector, generator="7")
    with pytest.raises(TypeError, match="init: expected a Parameter, got ndarray"):
        init.zeros_(np.ones(3, np.float32))
    assert not vector.data.any()
