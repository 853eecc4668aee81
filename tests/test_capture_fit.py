"""fit, evaluate and predict are compiled where the parts allow, and give what the modules give."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from twins import Huber, Mine, bits, mixed

import minidl
from minidl import nn, optim
from minidl.compiled.capture import CapturedStep
from minidl.compiled.model_step import ModelStep
from minidl.training import steps


def fitted(make, captured, data, **options):
    minidl.manual_seed(5)
    model, criterion, optimizer = make()
    history = minidl.fit(model, criterion, optimizer, data, seed=1, epochs=3, batch_size=7, progress=False,
                         captured=captured, **options)
    history.seconds.clear()
    return bits(model, optimizer), history


FITS = {
    "labels": (mixed, nn.NLLLoss, numbers((40, 7)), np.arange(40, dtype=np.int32) % 3),
    "rows": (mixed, nn.MSELoss, numbers((40, 7)), numbers((40, 3), seed=1)),
    "one class": (lambda: nn.Linear(7, 1), nn.CrossEntropyLoss, numbers((40, 7)), np.zeros(40, int)),
    "images": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.CrossEntropyLoss, numbers((40, 3, 4)),
               np.arange(40) % 3),
    "strided images": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.CrossEntropyLoss,
                       numbers((40, 3, 8))[:, :, ::2], np.arange(40) % 3),
    "a stack": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.MSELoss, numbers((40, 2, 4)),
                numbers((40, 2, 3))),
    "a user's loss": (mixed, Huber, numbers((40, 7)), numbers((40, 3), seed=1)),
    "a user's module": (lambda: nn.Sequential(nn.Linear(7, 3), Mine()), nn.MSELoss, numbers((40, 7)),
                        numbers((40, 3))),
}


@pytest.mark.parametrize("case", FITS)
@pytest.mark.parametrize("validated", [False, True])
def test_fit_captured_and_plain(case, validated):
    make_model, criterion, x, y = FITS[case]

    def make():
        model = make_model()
        return model, criterion(), optim.Adam(model.parameters())

    options = {"validation": (x[:11], y[:11])} if validated else {}
    assert fitted(make, True, (x, y), **options) == fitted(make, False, (x, y), **options)


def test_fit_with_a_transform():
    def make():
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    data = (numbers((40, 3, 4)) * 50).astype(np.int8), np.arange(40) % 3
    options = {"transform": lambda x: x.astype(np.float32) / 255}
    assert fitted(make, True, data, **options) == fitted(make, False, data, **options)


@pytest.mark.parametrize("case", FITS)
def test_evaluate_gives_what_the_modules_give(case):
    make_model, criterion, x, y = FITS[case]
    model, criterion = make_model(), criterion()
    result = minidl.evaluate(model, criterion, (x, y), batch_size=1000)
    assert result.loss == float(criterion(model.eval()(x), y))


@pytest.mark.parametrize("make", [
    lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)),
    lambda: nn.Sequential(nn.Linear(4, 3), Mine()),
    lambda: nn.Sequential(nn.Linear(4, 8), nn.ELU(), nn.Dropout(0.5), nn.Linear(8, 3), nn.Tanh(), nn.LogSoftmax()),
    lambda: nn.Sequential(nn.Tanh(), nn.Linear(4, 3), nn.Sigmoid()),
], ids=["looks at other rows", "a user's module", "activations in place", "an activation first"])
def test_predict_gives_what_forward_gives(make):
    model, x = make(), numbers((600, 4))
    expected = model.eval()(x)
    given = x.copy()
    np.testing.assert_array_equal(model.predict(given), expected)
    np.testing.assert_array_equal(given, x)
    model.append(Mine())
    np.testing.assert_array_equal(model.predict(x), expected * 2)


@pytest.mark.parametrize("kind", ["labels", "rows", "rows of integers", "images", "two inputs"])
def test_fit_takes_the_step_of_the_layers_for_one_input_and_labels_or_rows_and_else_a_recorded_one(monkeypatch, kind):
    called = []
    monkeypatch.setattr(steps, "CapturedStep", lambda *parts: called.append("layers") or CapturedStep(*parts))
    monkeypatch.setattr(steps, "ModelStep", lambda *parts: called.append("recorded") or ModelStep(*parts))

    class Two(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(4, 2, generator=0)

        def forward(self, x, z):
            return self.layer(x) + self.layer(z)

    class Image(nn.Module):  # (N, 2) -> (N, 1, 2)
        def forward(self, x):
            return x.reshape(-1, 1, 2)

    x, layer = numbers((10, 4)), nn.Linear(4, 2, generator=0)
    rows, labels = numbers((10, 2)), np.arange(10) % 2
    model, criterion, data = {
        "labels": (layer, nn.CrossEntropyLoss(), (x, labels)), "rows": (layer, nn.MSELoss(), (x, rows)),
        "rows of integers": (layer, nn.MSELoss(), (x, np.eye(2, dtype=int)[labels])),
        "images": (nn.Sequential(layer, Image()), nn.MSELoss(), (x, rows.reshape(10, 1, 2))),
        "two inputs": (Two(), nn.CrossEntropyLoss(), (x, x, labels)),
    }[kind]
    history = minidl.fit(model, criterion, optim.SGD(model.parameters(), lr=0.1), data, epochs=1, progress=False)
    assert called == ["recorded" if kind in ("images", "two inputs") else "layers"]
    assert history.path == "compiled"
