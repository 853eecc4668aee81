"""Recipes: the names build what they say."""
import numpy as np
import pytest

from minidl import nn, optim, recipe
from minidl.recipe import Recipe

SAMPLES = 50


def build(**choices):
    return Recipe(**choices).build(SAMPLES, np.random.default_rng(0))


def test_activations_take_turns_and_dropout_follows_each():
    model = build(activation=("tanh", "relu"), dropout=0.2, outputs=1, output_activation="sigmoid").model
    kinds = [type(module).__name__ for module in model.children()]
    assert kinds == ["Linear", "Tanh", "Dropout", "Linear", "ReLU", "Dropout", "Linear", "Tanh", "Dropout",
                     "Linear", "Sigmoid"]
    assert model[-2].weight.shape == (1, 25)


@pytest.mark.parametrize("name", recipe.ACTIVATIONS)
def test_every_activation(name):
    assert type(build(activation=name).model[1]).__name__.lower() == name.replace("_", "")


@pytest.mark.parametrize(("name", "weight_std", "bias_std"), [
    ("normal", 0.1, 0.1), ("xavier_random_bias", np.sqrt(2 / 600), 1.0),
    ("xavier_normal", np.sqrt(2 / 600), 0),
    ("xavier_uniform", np.sqrt(2 / 600), 0), ("kaiming_normal", np.sqrt(2 / 300), 0),
    ("kaiming_uniform", np.sqrt(2 / 300), 0), ("default", 1 / np.sqrt(900), 1 / np.sqrt(900))])
def test_initial_spread(name, weight_std, bias_std):
    layer = build(init=name, hidden=(300, 300)).model[2]
    assert layer.weight.data.std() == pytest.approx(weight_std, rel=0.02)
    assert layer.bias.data.std() == pytest.approx(bias_std, rel=0.2)


def test_every_init_draws_from_the_generator_alone():
    for name in recipe.INIT_NAMES:
        one, other = build(init=name).model, build(init=name).model
        np.testing.assert_array_equal(one.flat_parameters, other.flat_parameters)


@pytest.mark.parametrize(("name", "kind", "rate"), [
    ("sgd", optim.SGD, 0.1), ("adadelta", optim.Adadelta, 1.0), ("adam", optim.Adam, 0.01),
    ("adamw", optim.AdamW, 0.01)])
def test_optimizers_and_their_rates(name, kind, rate):
    assert type(build(optimizer=name).optimizer) is kind
    assert build(optimizer=name).optimizer.lr == rate
    assert build(optimizer=name, lr=0.5).optimizer.lr == 0.5


@pytest.mark.parametrize("name", recipe.SCHEDULER_NAMES)
def test_every_scheduler_trains(name):
    chosen = Recipe(scheduler=name, epochs=12, batch_size=25, hidden=(4,))
    built = chosen.build(SAMPLES, np.random.default_rng(0))
    X = np.random.default_rng(1).normal(size=(SAMPLES, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    rates = chosen.fit(built, (X, y), validation=(X, y), seed=0).iteration_lr
    expected = {"none": [0.1] * 24, "step": [0.1] * 20 + [0.05] * 4,
                "cyclic": [0.025 + 0.0075 * min(i % 20, 20 - i % 20) for i in range(24)]}
    if name in expected:
        assert rates == pytest.approx(expected[name])


@pytest.mark.parametrize(("loss", "outputs", "expected"), [
    ("cross_entropy", 2, [0, 1]), ("cross_entropy_sum", 2, [0, 1]), ("mse", 2, [[1, 0], [0, 1]]),
    ("mse_sum", 1, [[0], [1]])])
def test_targets(loss, outputs, expected):
    target = Recipe(loss=loss, outputs=outputs).targets(np.array([0, 1]))
    np.testing.assert_array_equal(target, expected)
    assert target.dtype == (np.int64 if loss.startswith("cross") else np.float32)


@pytest.mark.parametrize(("loss", "value"), [("mse", 25 / 2), ("mse_mean", 25 / 4), ("mse_sum", 25)])
def test_what_squared_errors_are_divided_by(loss, value):
    criterion = build(loss=loss).criterion
    assert isinstance(criterion, nn.MSELoss)
    assert criterion(np.array([[3, 0], [0, 4]], np.float32), np.zeros((2, 2), np.float32)) == value


@pytest.mark.parametrize(("choices", "message"), [
    ({"activation": "gelu"}, "expected activation to be one of relu, .*, got 'gelu'"),
    ({"output_activation": "x"}, "expected output_activation to be one of"),
    ({"loss": "x"}, "expected loss to be one of"), ({"optimizer": "x"}, "expected optimizer to be one of"),
    ({"init": "x"}, "expected init to be one of"), ({"scheduler": "x"}, "expected scheduler to be one of"),
    ({"lr": -1.0}, "SGD: expected lr >= 0 and finite, got -1"), ({"hidden": (0,)}, "Linear: expected"),
    ({"dropout": 1.5}, "Dropout: expected"), ({"batch_size": 0}, "Batches: expected"),
    ({"optimizer": "adam", "momentum": 0.9}, "expected momentum with the optimizer sgd alone, got adam")])
def test_wrong_choices_are_refused_by_build(choices, message):
    with pytest.raises(ValueError, match=message):
        build(**choices)
