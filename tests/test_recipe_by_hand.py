"""What each name of a recipe builds: the very objects, settings and first weights."""
from __future__ import annotations

import numpy as np
import pytest

from minidl import nn, optim, recipe
from minidl.nn import init
from minidl.optim import lr_scheduler
from minidl.recipe import Recipe


def build(samples=50, **choices):
    return Recipe(**choices).build(samples, np.random.default_rng(0))


def test_the_names():
    activations = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "sigmoid": nn.Sigmoid,
                   "tanh": nn.Tanh}
    optimizers = {"sgd": optim.SGD, "adadelta": optim.Adadelta, "adam": optim.Adam, "adamw": optim.AdamW}
    assert (activations, optimizers) == (recipe.ACTIVATIONS, recipe.OPTIMIZERS)
    assert recipe.LEARNING_RATES == {"sgd": 0.1, "adadelta": 1.0, "adam": 0.01, "adamw": 0.01}
    assert recipe.INIT_NAMES == ("default", "normal", "xavier_random_bias", "xavier_normal", "xavier_uniform",
                                 "kaiming_normal", "kaiming_uniform")
    assert recipe.SCHEDULER_NAMES == ("none", "step", "cyclic", "plateau", "decay_on_rise")
    assert (recipe.STEP_EPOCHS, recipe.CYCLE_EPOCHS, recipe.CYCLE_FLOOR) == (10, 5, 0.25)


@pytest.mark.parametrize("name, kind, reduction", [
    ("cross_entropy", nn.CrossEntropyLoss, "mean"), ("cross_entropy_sum", nn.CrossEntropyLoss, "sum"),
    ("mse", nn.MSELoss, "batchmean"), ("mse_mean", nn.MSELoss, "mean"), ("mse_sum", nn.MSELoss, "sum")])
def test_losses(name, kind, reduction):
    criterion = build(loss=name).criterion
    assert type(criterion) is kind and criterion.reduction == reduction


@pytest.mark.parametrize("name, weight, bias", [
    ("normal", lambda p, g: init.normal_(p, 0, 0.1, g), lambda p, g: init.normal_(p, 0, 0.1, g)),
    ("xavier_random_bias", lambda p, g: init.xavier_normal_(p, 1, g), lambda p, g: init.normal_(p, 0, 1, g)),
    ("xavier_normal", lambda p, g: init.xavier_normal_(p, 1, g), lambda p, g: init.zeros_(p)),
    ("xavier_uniform", lambda p, g: init.xavier_uniform_(p, 1, g), lambda p, g: init.zeros_(p)),
    ("kaiming_normal", lambda p, g: init.kaiming_normal_(p, generator=g), lambda p, g: init.zeros_(p)),
    ("kaiming_uniform", lambda p, g: init.kaiming_uniform_(p, generator=g), lambda p, g: init.zeros_(p)),
    ("default", lambda p, g: None, lambda p, g: None)])
def test_first_weights(name, weight, bias):
    generator = np.random.default_rng(0)
    for layer in [m for m in build(init=name, hidden=(4, 3)).model if isinstance(m, nn.Linear)]:
        expected = nn.Linear(layer.in_features, layer.out_features, generator=generator)
        weight(expected.weight, generator)
        bias(expected.bias, generator)
        np.testing.assert_array_equal(layer.weight.data, expected.weight.data)
        np.testing.assert_array_equal(layer.bias.data, expected.bias.data)


def test_the_default_recipe():
    built = build()
    assert [repr(m) for m in built.model] == [
        "Linear(2, 25)", "Tanh()", "Linear(25, 25)", "Tanh()", "Linear(25, 25)", "Tanh()", "Linear(25, 2)"]
    assert type(built.optimizer) is optim.SGD and built.optimizer.lr == 0.1 and built.scheduler is None
    assert built.optimizer.param_groups[0]["momentum"] == 0 and type(built.criterion) is nn.CrossEntropyLoss


def test_momentum_and_dropout():
    assert build(momentum=0.5).optimizer.param_groups[0]["momentum"] == 0.5
    assert [repr(m) for m in build(dropout=0.25, hidden=(3,), activation="relu").model] == [
        "Linear(2, 3)", "ReLU()", "Dropout(p=0.25)", "Linear(3, 2)"]
    assert [repr(m) for m in build(hidden=(), output_activation="sigmoid").model] == ["Linear(2, 2)", "Sigmoid()"]


@pytest.mark.parametrize("batch_size, steps", [(25, 2), (20, 3), (100, 1)])
def test_a_cycle_in_epochs(batch_size, steps):
    scheduler = build(scheduler="cyclic", lr=0.5, batch_size=batch_size).scheduler
    assert type(scheduler) is lr_scheduler.CyclicLR
    assert (scheduler.base_lrs, scheduler.max_lrs) == ([0.125], [0.5]) and not scheduler.cycle_momentum
    assert (scheduler.total_size, scheduler.step_ratio) == (10 * steps, 0.5)


def test_other_schedulers():
    assert type(build(scheduler="plateau").scheduler) is lr_scheduler.ReduceLROnPlateau
    assert type(build(scheduler="decay_on_rise").scheduler) is lr_scheduler.DecayOnRise
    step = build(scheduler="step").scheduler
    assert type(step) is lr_scheduler.StepLR and (step.step_size, step.gamma) == (10, 0.5)


@pytest.mark.parametrize("loss, outputs, target", [
    ("cross_entropy", 1, [0, 2]), ("mse", 3, [[1, 0, 0], [0, 0, 1]]), ("mse", 1, [[0], [2]])])
def test_targets(loss, outputs, target):
    assert Recipe(loss=loss, outputs=outputs).targets(np.array([0, 2])).tolist() == target


def test_what_fit_hands_on(monkeypatch):
    chosen, seen = Recipe(epochs=7, batch_size=3, scheduler="step"), {}
    monkeypatch.setattr(recipe, "fit", lambda *given, **named: seen.update(given=given, **named) or "history")
    built = chosen.build(9, np.random.default_rng(0))
    arguments = {"validation": 1, "seed": 2, "callbacks": [3], "transform": 4, "progress": True, "resume": 5}
    assert chosen.fit(built, "train", **arguments) == "history"
    assert seen == {"given": (built.model, built.criterion, built.optimizer, "train"), "epochs": 7, "batch_size": 3,
                    "scheduler": built.scheduler, **arguments}
    chosen.fit(built, "train")
    assert {name: seen[name] for name in arguments} == {
        "validation": None, "seed": None, "callbacks": (), "transform": None, "progress": False,
        "resume": None}


@pytest.mark.parametrize("activation", [(), [], {"x": 1}, 3, None])
def test_an_activation_that_is_no_name(activation):
    with pytest.raises(TypeError, match="expected activation to be a name or several, got"):
        Recipe(activation=activation).network(np.random.default_rng(0))
