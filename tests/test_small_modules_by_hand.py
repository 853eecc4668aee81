"""Modules at their edges: lengths, axes, shapes, and from which numbers truncated values are drawn."""
import math
import re

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn.activations import Activation, is_activation

ACTIVATIONS = [kind for kind in vars(nn).values()
               if isinstance(kind, type) and issubclass(kind, Activation) and kind is not Activation]
WITH_PARAMETERS = [
    nn.Linear(2, 2), nn.Embedding(2, 2), nn.EmbeddingBag(2, 2), nn.PReLU(), nn.Conv1d(1, 1, 1), nn.Conv2d(1, 1, 1),
    nn.BatchNorm1d(2), nn.GroupNorm(1, 2), nn.InstanceNorm1d(2, affine=True), nn.LayerNorm(2), nn.RMSNorm(2),
    nn.RNNCell(2, 2), nn.LSTMCell(2, 2), nn.GRUCell(2, 2), nn.RNN(2, 2), nn.GRU(2, 2, 2, bidirectional=True),
    nn.LSTM(2, 3, proj_size=1), nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True),
    nn.TransformerEncoderLayer(4, 2, 3)]


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("lengths", [3, [3, 2], np.array([3.0, 2.0]), np.array([[3, 2]]), np.array([3, 5]),
                                     np.array([0, 3])])
def test_lengths_that_are_none(kind, lengths):
    layer = kind(2, 2)
    x = minidl.tensor(np.zeros((4, 2, 2), np.float32))
    with pytest.raises((TypeError, ValueError), match=r"expected (lengths|Tensors)"):
        layer(x, lengths=lengths)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("shape", [(2, 4), (4,), (1, 2, 3), ()])
def test_a_cell_names_what_it_expected(kind, shape):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\(3, 2\): expected input of shape \(N, 3\), got \("):
        kind(3, 2)(minidl.tensor(np.zeros(shape, np.float32)))


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_an_activation_is_one_until_a_method_is_overridden(kind):
    own = type("Own", (kind,), {"forward": lambda self, x: x})
    assert is_activation(kind()) and not is_activation(own())


def test_the_first_axis_as_several():
    x = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    np.testing.assert_array_equal(nn.Unflatten(0, (2, 3))(x), x.reshape(2, 3, 2))
    np.testing.assert_array_equal(nn.Unflatten(-2, (3, -1))(x), x.reshape(3, 2, 2))
    for axis in (2, -3):
        with pytest.raises(ValueError, match="expected an input that has this axis"):
            nn.Unflatten(axis, (2, 3))(x)


@pytest.mark.parametrize("a, b", [(-2.0, 2.0), (-0.4, 0.4), (0.6, 3.0), (-0.1, 0.1), (-0.05, 0.06)])
def test_truncated_values_are_those_of_the_normal_draws_that_lie_between(a, b):
    """Where more than a tenth of all do; else uniform ones are taken as often as they are likely."""
    parameter = nn.Parameter(np.zeros(50))
    nn.init.trunc_normal_(parameter, a=a, b=b, generator=np.random.default_rng(3))
    rng, found = np.random.default_rng(3), np.empty(0)
    share = 0.5 * (math.erf(b / 2**0.5) - math.erf(a / 2**0.5))
    while len(found) < 50:
        tries = max(2 * (50 - len(found)), 64)
        if share > 0.1:
            z = rng.standard_normal(tries)
            kept = z[(z >= a) & (z <= b)]
        else:
            z = rng.uniform(a, b, tries)
            nearest = 0.0 if a < 0 < b else min(abs(a), abs(b))
            kept = z[rng.uniform(size=tries) < np.exp((nearest**2 - z**2) / 2)]
        found = np.concatenate([found, kept])
    np.testing.assert_array_equal(parameter.data, found[:50])


@pytest.mark.parametrize("length, centre", [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)])
def test_the_dirac_kernel_is_one_at_its_middle(length, centre):
    parameter = nn.Parameter(np.ones((2, 2, length)))
    nn.init.dirac_(parameter)
    expected = np.zeros((2, 2, length))
    expected[0, 0, centre] = expected[1, 1, centre] = 1
    np.testing.assert_array_equal(parameter.data, expected)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("pattern", [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 1, 2)])
def test_attention_to_inputs_some_of_which_are_one_object(pattern, batch_first):
    attention = nn.MultiheadAttention(4, 2, batch_first=batch_first, generator=0)
    rng = np.random.default_rng(1)
    given = [minidl.tensor(rng.standard_normal((3, 3, 4)).astype(np.float32)) for _ in range(3)]
    y, weights = attention(*[given[i] for i in pattern])
    apart, apart_weights = attention(*[given[i].clone() for i in pattern])
    np.testing.assert_allclose(y.data, apart.data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights.data, apart_weights.data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [(0, 1), (4, 0), (4, -1), (4, 3), (-4, 2)])
def test_attention_of_no_heads_or_of_parts_of_them(sizes):
    with pytest.raises(ValueError, match=r"^MultiheadAttention: expected"):
        nn.MultiheadAttention(*sizes)


@pytest.mark.parametrize("module", WITH_PARAMETERS, ids=lambda module: type(module).__name__)
def test_a_parameter_has_the_name_that_its_module_gives_it(module):
    own = [(name, value.name) for one in module.modules() for name, value in vars(one).items()
           if isinstance(value, nn.Parameter)]
    assert own and all([name == inner for name, inner in own])


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_a_size_that_is_none_is_named(kind, name, value):
    sizes = {"input_size": 2, "hidden_size": 3, "num_layers": 1, name: value}
    told = f"{kind.__name__}: expected {name} to be a positive integer, got {value!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        kind(**sizes)
