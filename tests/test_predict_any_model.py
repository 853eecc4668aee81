"""predict and evaluate of any model: recorded from the second batch of a shape on, with the bits of the modules."""
from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from test_fit_any_model import LABELS, Chain, Doubled, Draws, Noisy, Normed, Residual, T, TwoInputs, X, Z
from twins import Huber

import minidl
from minidl import nn
from minidl.compiled.forward import LARGEST, RecordedForward

TIMES = 12  # Python runs again at replays 1, 2, 4 and 8


class Peeks(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(4, 3, generator=1)

    def forward(self, x):
        y = self.layer(x)
        return y * 2 if y.sum().item() > 0 else y


class Table(nn.Module):
    """Looks rows up: it wants integers."""

    def __init__(self):
        self.rows = nn.Parameter(np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32))
        self.last = nn.Linear(4, 2, generator=1)

    def forward(self, x):
        return self.last(self.rows[x])


class Pair(nn.Module):
    """Two outputs."""

    def __init__(self):
        self.layer = nn.Linear(4, 3, generator=1)

    def forward(self, x):
        return self.layer(x), minidl.tanh(x)


MODELS = {"dropout": Residual, "a module in NumPy": lambda: Chain(Doubled()), "a buffer": lambda: Chain(Normed()),
          "random numbers in place": lambda: Chain(Draws()), "noise": lambda: Chain(Noisy()), "a value read": Peeks}


def forward(model: RecordedForward):
    """What predicts with the model."""
    found, = vars(model)["_predictors"]
    return found


def seed(number):
    np.random.seed(number)
    random.seed(number)


@pytest.mark.parametrize("case", MODELS)
def test_the_bits_of_the_modules(case):
    model, twin = MODELS[case](), MODELS[case]()
    twin.eval()
    for number in range(TIMES):
        for x in (X, X[:1], X * number, np.asfortranarray(X[:5])):
            seed(number)
            y = minidl.predict(model, x)
            seed(number)
            np.testing.assert_array_equal(y, twin(x), strict=True)
    assert all(module.training for module in model.modules())
    found = forward(model)
    if case in ("noise", "a value read"):
        assert found.reason and found.step.recordings == 0
    else:
        assert not found.reason and found.step.recordings == 3


def test_what_is_returned_is_nobody_elses():
    model = Residual()
    first = [minidl.predict(model, X) for _ in range(4)]
    kept = [y.copy() for y in first]
    minidl.predict(model, X * 2)
    np.testing.assert_array_equal(first, kept)


def test_a_model_that_changes():
    model = Residual()
    for _ in range(4):
        minidl.predict(model, X)
    for change in (lambda: model.first.weight.data.fill(0.25), lambda: model.train(), lambda: model.eval(),
                   lambda: setattr(model, "last", nn.Linear(4, 2, generator=7)),
                   lambda: setattr(model, "drop", nn.Sequential(nn.Tanh(), nn.Dropout(0.9)))):
        change()
        modes = [module.training for module in model.modules()]
        for _ in range(4):
            y = minidl.predict(model, X)
        assert [module.training for module in model.modules()] == modes
        expected = model.eval()(X)
        np.testing.assert_array_equal(y, expected)
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode


def test_a_prediction_between_forward_and_backward():
    model, twin = Residual().eval(), Residual().eval()
    for each in (model, twin):
        each(X)
        for _ in range(TIMES if each is model else 0):
            minidl.predict(each, X)
            minidl.predict(each, X[:3])
        each.backward(T)
    for (mine, my_gradient), (theirs, their_gradient) in zip(model.param(), twin.param(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(my_gradient, their_gradient)


def test_integers_that_are_looked_up_and_numbers_of_any_kind():
    model, rows = Table(), np.arange(9)[::2]
    residual = Residual()
    for _ in range(5):
        np.testing.assert_array_equal(minidl.predict(model, rows), model(rows))
        np.testing.assert_array_equal(minidl.predict(residual, X.tolist()), residual.eval()(X))
        np.testing.assert_array_equal(minidl.predict(residual, X.astype(float)), residual.eval()(X))
        np.testing.assert_array_equal(residual.predict(np.ones((2, 4), int)), residual(np.ones((2, 4), np.float32)))


def test_two_outputs():
    model = Pair()
    for _ in range(5):
        y, z = minidl.predict(model, X)
        expected = model(X)
        np.testing.assert_array_equal(y.data, expected[0].data)
        np.testing.assert_array_equal(z.data, expected[1].data)


def test_large_inputs_are_not_recorded():
    model, x = Residual(), np.zeros((LARGEST // 4 + 1, 4), np.float32)
    for _ in range(3):
        minidl.predict(model, x)
    assert forward(model).step.recordings == 0


@pytest.mark.parametrize("batch_size", [5, 7, 1000])
@pytest.mark.parametrize("make, criterion, data", [
    (TwoInputs, nn.MSELoss(), (X, Z, T)), (Residual, nn.CrossEntropyLoss(), (X, LABELS)),
    (Residual, Huber(), (X, T)), (lambda: Chain(Noisy()), nn.MSELoss(), (X, T)), (Peeks, nn.MSELoss(), (X, T))])
def test_evaluate(make, criterion, data, batch_size):
    model, twin = make(), make().eval()
    for _ in range(4):
        losses = [(float(criterion(twin(*inputs), target)), len(target)) for *inputs, target in
                  ([array[i:i + batch_size] for array in data] for i in range(0, len(X), batch_size))]
        result = minidl.evaluate(model, criterion, data, batch_size=batch_size)
        assert result.loss == sum(loss * count for loss, count in losses) / len(X)
    assert model.training


def test_several_threads_with_one_model():
    model = Residual()
    expected = {n: Residual().eval()(X[:n]) for n in range(1, 5)}
    wrong = []

    def work(n):
        for _ in range(60):
            if not np.array_equal(minidl.predict(model, X[:n]), expected[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(module.training for module in model.modules())


def test_errors_are_those_of_the_modules():
    model = Residual()
    for _ in range(4):
        minidl.predict(model, X)
        with pytest.raises(ValueError, match=r"^Linear\(4, 4\): expected input of shape"):
            minidl.predict(model, X[:, :3])
        with pytest.raises(ValueError, match=r"^Linear\(4, 4\): expected input of shape"):
            minidl.evaluate(model, nn.MSELoss(), (X[:, :3], T))


def test_what_the_modules_refuse_is_refused_at_each_call():
    model = nn.Sequential(nn.Linear(4, 3))
    model[0].bias = minidl.zeros(3)
    for _ in range(4):
        with pytest.raises(TypeError, match="cannot use 'Tensor' as parameter 'bias'"):
            minidl.predict(model, X)
        with pytest.raises(TypeError, match=r"^fit: Linear.*: expected bias to be a Parameter, got Tensor"):
            minidl.fit(model, nn.MSELoss(), minidl.optim.SGD(model.parameters(), lr=0.1), (X, T), progress=False)
