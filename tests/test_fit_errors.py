"""fit and evaluate name themselves in their errors, not the step that they compile."""
from __future__ import annotations

import numpy as np
import pytest
from test_fit_any_model import LABELS, Chain, Doubled, Residual, T, TwoInputs, X, Z, squared
from twins import Huber

import minidl
from minidl import nn, optim
from minidl.training import Callback


def layers():
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


MODELS = [layers, Residual, lambda: Chain(Doubled()), TwoInputs]


def rise_of(call):
    """The error that a call raises: it says nothing of capture."""
    with pytest.raises((TypeError, ValueError, IndexError, RuntimeError)) as caught:
        call()
    error, seen = caught.value, []
    while error is not None:
        seen.append(str(error))
        error = error.__cause__
    assert not any("capture" in text for text in seen), seen
    return str(caught.value)


def fitted(model, criterion, data, **options):
    minidl.fit(model, criterion, optim.SGD(model.parameters(), lr=0.1), data, progress=False,
               **{"batch_size": 7} | options)


WRONG = [  # the criterion, X, y
    (nn.CrossEntropyLoss(), X[:, :3], LABELS), (nn.CrossEntropyLoss(), X[:, 0], LABELS),
    (nn.CrossEntropyLoss(), X[:, :, None], LABELS), (nn.CrossEntropyLoss(), X, LABELS + 3),
    (nn.CrossEntropyLoss(), X, LABELS - 1), (nn.CrossEntropyLoss(), X, T[:, :2]), (nn.CrossEntropyLoss(), X, T[:, 0]),
    (nn.MSELoss(), X, T[:, :2]), (nn.MSELoss(), X, T[:, 0]), (nn.NLLLoss(), X, T), (nn.NLLLoss(), X, LABELS + 1),
    (nn.MSELoss(), X.astype(complex), T), (Huber(), X, T[:, :2]), (squared, X, T[:, :2]),
    (nn.CrossEntropyLoss(), X, LABELS[:3]), (nn.CrossEntropyLoss(), X[:0], LABELS[:0]),
    (nn.CrossEntropyLoss(reduction="none"), X, LABELS), (nn.CrossEntropyLoss(), X * np.nan, LABELS),
]


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("make", MODELS, ids=["layers", "residual", "NumPy", "two inputs"])
@pytest.mark.parametrize("case", range(len(WRONG)))
def test_data_that_do_not_fit(case, make, captured):
    criterion, x, y = WRONG[case]
    model = make()
    data = (x, Z[:len(x)], y) if isinstance(model, TwoInputs) else (x, y)
    before = [(value.copy(), gradient.copy()) for value, gradient in model.param()]
    rise_of(lambda: fitted(model, criterion, data, captured=captured, batch_size=len(X)))
    rise_of(lambda: minidl.evaluate(model, criterion, data))
    for (value, gradient), (was, its) in zip(model.param(), before, strict=True):
        np.testing.assert_array_equal(value, was)
        np.testing.assert_array_equal(gradient, its)


@pytest.mark.parametrize("transform", [
    lambda x: x[:, :2], lambda x: x[:-1], lambda x: x.astype(complex), lambda x: x[0, 0], lambda x: "x",
    lambda x: x[:, :, None]])
@pytest.mark.parametrize("make", MODELS[:3], ids=["layers", "residual", "NumPy"])
def test_what_a_transform_gives_does_not_fit(make, transform):
    rise_of(lambda: fitted(make(), nn.CrossEntropyLoss(), (X, LABELS), transform=transform))
    rise_of(lambda: minidl.evaluate(make(), nn.CrossEntropyLoss(), (X, LABELS), transform=transform))


def test_the_words_of_the_layers_step_are_fits():
    assert rise_of(lambda: fitted(layers(), nn.CrossEntropyLoss(), (X[:, :3], LABELS))) == \
        "fit: Linear(4, 5): expected input of shape (N, 4), got (7, 3)"
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(6, 3))
    assert rise_of(lambda: fitted(model, nn.CrossEntropyLoss(), (X, LABELS))).startswith(
        "fit: Linear(6, 3): expected input of shape (N, 6), got (N, 5)")


class Halves(Callback):
    """Gives the model a layer that does not fit, after an epoch."""

    def __init__(self, model):
        self.model = model

    def on_epoch_end(self, epoch, logs):
        self.model.append(nn.Linear(9, 2))


def test_a_model_that_is_changed_between_epochs():
    model = layers()
    text = rise_of(lambda: fitted(model, nn.CrossEntropyLoss(), (X, LABELS), epochs=2, callbacks=[Halves(model)]))
    assert text.startswith("fit: Linear(9, 2): expected input of shape (N, 9), got (N, 3)")


def test_a_module_of_ones_own_that_comes_between_epochs():
    class Appends(Callback):
        def on_train_begin(self, model, optimizer, epochs):
            self.model = model

        def on_epoch_end(self, epoch, logs):
            if epoch == 1:
                self.model.append(Doubled())

    model = layers()
    history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01), (X, T), epochs=3, batch_size=7,
                         callbacks=[Appends()], progress=False)
    assert history.path == "compiled; in place: Doubled backward, Doubled()"


def test_a_loss_that_changes_the_model_or_trains_it():
    model = layers()

    class Changes(nn.MSELoss):
        def forward(self, z, t):
            model[0].weight.requires_grad = not model[0].weight.requires_grad
            return super().forward(z, t)

        def backward(self, gradient=1.0):
            return super().backward(gradient)

    assert rise_of(lambda: fitted(model, Changes(), (X, T))).startswith("fit: the model or its training was changed")
