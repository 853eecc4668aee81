"""The networks of the estimators: their layers, the first weights by scikit-learn's formula, what is refused."""
from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")

import minidl
from minidl import nn
from minidl.estimators import MLPClassifier, MLPRegressor
from minidl.estimators.networks import (
    activation,
    for_each_layer,
    layer_sizes,
    lend_generator,
    linears,
    module_of,
    perceptron,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3


def test_sizes_of_hidden_layers():
    assert layer_sizes(7) == [7] and layer_sizes((3, np.int64(1))) == [3, 1] and layer_sizes([]) == []
    assert layer_sizes(np.array([2, 5])) == [2, 5] and {type(size) for size in layer_sizes(np.array([2, 5]))} == {int}
    for given in (0, -1, (3, 0), (True,), (np.True_,), (2.0,), "5", (None,)):
        with pytest.raises(ValueError, match=r"^hidden_layer_sizes must be > 0, got \["):
            layer_sizes(given)


def test_one_for_each_layer():
    assert for_each_layer("dropout", 0.5, 3) == [0.5] * 3 and for_each_layer("dropout", (1, 2), 2) == [1, 2]
    with pytest.raises(ValueError, match=r"^dropout: expected one for each of the 2 hidden layers, got 3$"):
        for_each_layer("dropout", [1, 2, 3], 2)
    for name, given in (("activation", ["relu"]), ("dropout", [0.1] * 3), ("normalization", [None])):
        with pytest.raises(ValueError, match=f"^{name}: expected one for each of the 2 hidden layers, got"):
            MLPClassifier((3, 2), **{name: given}).fit(X, Y)


def test_an_activation_is_new():
    given = nn.LeakyReLU(0.25)
    made = activation(given)
    assert made is not given and made(np.float32([-4, 8])).tolist() == [-1, 8]
    assert type(activation("logistic")) is nn.Sigmoid and type(activation(nn.Tanh)) is nn.Tanh
    with pytest.raises(ValueError, match=r"^activation: expected one of identity, logistic, tanh, .*, got 'r'$"):
        activation("r")
    for wrong in (3, list, None):
        with pytest.raises(ValueError, match=r"^activation: expected a name, a module or its class, got "):
            activation(wrong)


@pytest.mark.parametrize("names, factors", [
    (["relu", "tanh"], [6, 6, 6]), (["logistic", "logistic"], [2, 2, 2]), (["sigmoid", "relu"], [2, 6, 6]),
    (["relu", "sigmoid"], [6, 2, 2])])
def test_first_weights(names, factors):
    """Uniform in ±√(factor / (in + out)), the weights (in, out) of a layer before its biases."""
    network = perceptron([4, 3, 5, 2], names, [0, 0], [None, None], np.float64, np.random.RandomState(7))
    drawn = np.random.RandomState(7)
    for layer, width, out, factor in zip(linears(network), (4, 3, 5), (3, 5, 2), factors, strict=True):
        bound = math.sqrt(factor / (width + out))
        np.testing.assert_array_equal(layer.weight.data.T, drawn.uniform(-bound, bound, (width, out)))
        np.testing.assert_array_equal(layer.bias.data, drawn.uniform(-bound, bound, out))


def test_without_hidden_layers():
    network = perceptron([4, 2], [], [], [], np.float32, np.random.RandomState(7))
    assert len(network) == 1 and network[0].weight.dtype == np.float32
    np.testing.assert_array_equal(network[0].weight.data.T,
                                  np.random.RandomState(7).uniform(-1, 1, (4, 2)).astype(np.float32))


def test_minidls_own_stream_is_not_drawn_from():
    minidl.manual_seed(3)
    expected = minidl.random.generator(None).random()
    minidl.manual_seed(3)
    MLPClassifier((3,), dropout=0.5, max_iter=1, random_state=0).fit(X, Y)
    assert minidl.random.generator(None).random() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_follows_a_linear(dtype):
    network = perceptron([4, 3, 5, 6, 2], ["identity", "prelu", nn.ReLU], [0.0, 0.25, 0], [None, "batch", "layer"],
                         dtype, np.random.RandomState(0))
    assert [type(layer) for layer in network] == [
        nn.Linear, nn.Linear, nn.BatchNorm1d, nn.PReLU, nn.Dropout, nn.Linear, nn.LayerNorm, nn.ReLU, nn.Linear]
    assert network[4].p == 0.25 and network[2].weight.shape == (5,) and network[6].weight.shape == (6,)
    assert {parameter.dtype for parameter in network.parameters()} == {np.dtype(dtype)}
    with pytest.raises(ValueError, match=r"^normalization: expected None, 'batch' or 'layer', got 'group'$"):
        perceptron([4, 3, 2], ["relu"], [0], ["group"], dtype, np.random.RandomState(0))


def test_a_module_is_copied_or_made():
    given = nn.Linear(4, 3, generator=0)
    assert module_of(given, 4, 3) is not given
    sizes = []

    def make(features, outputs):
        sizes.append((features, outputs))
        return nn.Linear(features, outputs, generator=0)

    estimator = MLPClassifier(module=make, max_iter=1).fit(X, Y)
    assert sizes == [(4, 3)] and isinstance(estimator.module_, nn.Linear) and estimator.n_layers_ == 2
    for wrong in (3, lambda features, outputs: 3):
        with pytest.raises(ValueError, match=r"^module: expected a Module, or a function of the numbers of"):
            module_of(wrong, 4, 3)


def test_a_linear_without_a_bias_has_zeros():
    estimator = MLPRegressor(module=nn.Linear(4, 1, bias=False, generator=0), max_iter=1).fit(X, Y)
    assert estimator.intercepts_[0].tolist() == [0.0] and estimator.intercepts_[0].dtype == np.float32
    assert estimator.coefs_[0].shape == (4, 1)


def test_a_generator_is_lent_to_dropouts_that_have_none():
    own = nn.Dropout(0.5, generator=1)
    network = nn.Sequential(nn.Dropout(0.5), own, nn.Dropout(0.5))
    before, drawn = own.generator, np.random.RandomState(5)
    lend_generator(network, drawn)
    assert network[0].generator is network[2].generator is not before is own.generator
    first = np.random.default_rng(np.random.RandomState(5).randint(2147483647))
    assert network[0].generator.bit_generator.state == first.bit_generator.state
    state = drawn.get_state()[1].tolist(), drawn.get_state()[2]
    lend_generator(network, drawn)  # all have one: nothing is drawn
    assert (drawn.get_state()[1].tolist(), drawn.get_state()[2]) == state


def test_data_are_taken_in_the_dtype_and_the_order_of_the_network():
    """Whatever the data's own: the losses are those of the same numbers in rows of float32."""
    x, weight = X.astype(np.float32), np.linspace(0.5, 2, 30).astype(np.float32)

    def losses(x, weight, solver):
        network = nn.Sequential(nn.Linear(4, 5, generator=1), nn.Tanh(), nn.Linear(5, 1, generator=2))
        estimator = MLPRegressor(module=network, max_iter=4, random_state=0, solver=solver).fit(x, Y, weight)
        assert {parameter.dtype for parameter in estimator.module_.parameters()} == {np.dtype(np.float32)}
        return estimator.loss_curve_ if solver != "lbfgs" else estimator.loss_

    for solver in ("adam", "lbfgs"):
        expected = losses(x, weight, solver)
        assert losses(x.astype(np.float64), weight, solver) == losses(np.asfortranarray(x), weight, solver) == expected
        assert losses(x, weight.astype(np.float64), solver) == losses(x, weight.tolist(), solver) == expected
