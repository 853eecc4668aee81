"""predict of a model over images replays its program directly, and sees at once what has changed in the model."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn

CALLS = 6  # of which the last replay without a check by Python


MODES = []  # that were set


class Watching(nn.Sequential):
    """A model that does more than to set its modules' modes."""

    def train(self, mode=True):
        MODES.append(mode)
        return super().train(mode)


def network(kind=nn.Sequential) -> nn.Sequential:
    minidl.manual_seed(0)
    return kind(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(),
                nn.Linear(48, 4))


def plain(model, x) -> np.ndarray:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    y = model(minidl.tensor(x)).detach().numpy()
    for module, mode in modes:
        module.training = mode
    return y


def insert(model):
    model[2] = nn.Sequential(nn.Tanh(), nn.Dropout(0.9))


def hook(model):
    model[3].register_forward_hook(lambda module, inputs, y: y * 2)


def weigh(model):
    model[0].weight.data[...] += 1


def renew(model):
    model[-1].weight = nn.Parameter(np.ones((4, 48), np.float32))


@pytest.mark.parametrize("change", [insert, hook, weigh, renew], ids=lambda change: change.__name__)
@pytest.mark.parametrize("training", [True, False])
def test_a_change_is_seen(change, training):
    model, rng = network(), np.random.default_rng(0)
    model.train(training)
    x = rng.standard_normal((5, 1, 10, 10)).astype(np.float32)
    for _ in range(CALLS):
        before = model.predict(x)
        np.testing.assert_array_equal(before, plain(model, x))
    change(model)
    model.train(training)
    for _ in range(CALLS):
        np.testing.assert_array_equal(model.predict(x), plain(model, x))
        assert {module.training for module in model.modules()} == {training}
    for rows in (3, 5, 3, 5):  # other shapes between
        np.testing.assert_array_equal(model.predict(x[:rows]), plain(model, x[:rows]))
        np.testing.assert_array_equal(model.predict(x[:rows]), plain(model, x[:rows]))


def test_what_a_model_does_when_its_mode_is_set_is_done():
    model = network(Watching)
    x = np.zeros((2, 1, 10, 10), np.float32)
    for calls in range(1, CALLS):
        model.predict(x)
        assert [False] * calls == MODES
