"""evaluate and cross_val_score: what is asked of the model, by which formulas, and what is said of wrong data."""
from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, Subset, TensorDataset
from minidl.training import evaluate
from minidl.training.cross_validation import accuracy, r2

RNG = np.random.default_rng(0)
N = 6
X, Y, LABELS = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2)), np.array([0, 1, 1, 0, 1, 0])
WEIGHT = np.array([1, 0, 2, 0.5, 1, 3])


def linear():
    return nn.Linear(3, 2, dtype=np.float64, generator=4)


def sgd(parameters):
    return optim.SGD(parameters, lr=0.1)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_the_outputs_are_those_of_the_compiled_prediction(monkeypatch, weight):
    asked, real = [], evaluate.__globals__["outputs"]

    def outputs(model, inputs):
        asked.append((model, [array.shape for array in inputs]))
        return real(model, inputs)

    monkeypatch.setitem(evaluate.__globals__, "outputs", outputs)
    layer = linear()
    result = evaluate(layer, nn.MSELoss(), (X, Y), batch_size=4, sample_weight=weight)
    assert asked == [(layer, [(4, 3)]), (layer, [(2, 3)])]
    d = ((X @ layer.weight.data.T + layer.bias.data - Y) ** 2).mean(1)
    assert result.loss == pytest.approx(np.average(d, weights=weight), rel=1e-12)


def test_nothing_is_recorded():
    """The model is called in evaluation mode, without gradients, and is put back."""
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(3, 2, generator=0)

        def forward(self, x):
            seen.append((self.training, minidl.is_grad_enabled()))
            return self.inner(x)

    for captured in (True, False):
        model = Watched()
        evaluate(model, nn.MSELoss(), (X, Y))
        assert seen and set(seen) == {(False, False)} and model.training and minidl.is_grad_enabled()
        seen.clear()
        minidl.fit(model, nn.MSELoss(), sgd(model.parameters()), (X, Y), validation=(X, Y), progress=False,
                   captured=captured)
        assert seen[-1] == (False, False) and minidl.is_grad_enabled()
        seen.clear()
    minidl.cross_val_score(Watched, nn.MSELoss(), sgd, (X, Y), cv=2, seed=0, progress=False)
    assert seen[-1] == (False, False)


def test_a_loss_that_is_too_large_is_infinite_without_a_warning():
    assert evaluate(linear(), nn.MSELoss(), (X * 1e200, Y)).loss == np.inf


def test_the_words_on_a_transform_and_an_augmentation():
    layer = linear()
    with pytest.raises(TypeError, match=r"^transform: expected a function of the arrays of a batch, got int$"):
        evaluate(layer, nn.MSELoss(), (X, Y), transform=3)
    for name in ("transform", "augment"):
        with pytest.raises(TypeError, match=rf"^{name}: expected a function of the arrays of a batch, got int$"):
            minidl.fit(layer, nn.MSELoss(), sgd(layer.parameters()), (X, Y), **{name: 3})
        with pytest.raises(TypeError, match=rf"^{name}: expected as the result "):
            minidl.fit(layer, nn.MSELoss(), sgd(layer.parameters()), (X, Y), **{name: lambda x: None}, progress=False)
    with pytest.raises(TypeError, match=r"^transform: expected as the result "):
        evaluate(layer, nn.MSELoss(), (X, Y), transform=lambda x: None)


class Two(nn.Module):
    def __init__(self):
        self.a, self.b = nn.Linear(3, 2, generator=0), nn.Linear(2, 2, generator=1)

    def forward(self, x, z):
        return self.a(x) + self.b(z)


def of_two(model, x, z):
    """The outputs of Two."""
    return x @ model.a.weight.data.T + model.a.bias.data + z @ model.b.weight.data.T + model.b.bias.data


def test_a_transform_of_the_first_of_two_inputs():
    model, seen = Two(), []

    def halved(x):
        seen.append(x.dtype)
        return x / 2

    whole = (10 * X).astype(np.int16)
    found = evaluate(model, nn.MSELoss(), (whole, Y.astype(np.float64), X[:, :2]), transform=halved)
    expected = ((of_two(model, whole / 2, Y) - X[:, :2]) ** 2).mean()
    assert found.loss == pytest.approx(expected, rel=1e-5) and set(seen) == {np.dtype(np.int16)}
    history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0), (whole, Y, X[:, :2]), batch_size=N,
                         transform=halved, augment=lambda x: 3 * x, progress=False, validation=(whole, Y, X[:, :2]))
    assert history.validation_loss == [pytest.approx(expected, rel=1e-5)]
    assert history.loss == [pytest.approx(((of_two(model, whole * 1.5, Y) - X[:, :2]) ** 2).mean(), rel=1e-5)]


@pytest.mark.parametrize("who, call", [("evaluate: data", evaluate), ("fit: data", None)])
def test_wrong_arrays_are_named(who, call):
    def told(data, error):
        model = Two()
        with pytest.raises(error) as caught:
            if call is None:
                minidl.fit(model, nn.MSELoss(), sgd(model.parameters()), data, progress=False)
            else:
                call(model, nn.MSELoss(), data)
        return str(caught.value)

    wrong = np.full((N, 2), np.inf)
    assert told((X, wrong, Y), ValueError) == f"{who}: X2 holds NaN or infinity, as float32"
    assert told((X, Y, wrong), ValueError) == f"{who}: y holds NaN or infinity, as float32"
    assert told((wrong, Y), ValueError) == f"{who}: X holds NaN or infinity, as float32"
    assert told((X, np.float64(3), Y), ValueError) == f"{who}: expected X2 with at least one sample, got shape ()"
    assert told((X, Y, Y[:, :0]), ValueError) == f"{who}: expected y with at least one sample, got shape (6, 0)"
    assert told((X, None, Y), TypeError).startswith(f"{who}: expected X2 as an array or a list of numbers")
    assert told((X, Y, None), TypeError).startswith(f"{who}: expected y as an array or a list of numbers")
    assert told([X], TypeError) == f"{who}: expected a tuple (X, y), got 1 arrays"
    assert told((), TypeError) == f"{who}: expected a tuple (X, y), got 0 arrays"
    assert told(X, TypeError) == f"{who}: expected a tuple (X, y), got ndarray"
    assert told((X, Y[:4], Y), ValueError) == f"{who}: expected arrays of one length, got [6, 4, 6]"


def test_data_sets_and_loaders():
    layer, whole = linear(), TensorDataset(X, Y)
    d = ((X @ layer.weight.data.T + layer.bias.data - Y) ** 2).mean(1)
    for data, rows in ((whole, range(N)), (DataLoader(whole, batch_size=2), range(N)),
                       (Subset(whole, [4, 1]), [4, 1]), (DataLoader(Subset(whole, [0, 5, 3])), [0, 5, 3])):
        assert evaluate(layer, nn.MSELoss(), data).loss == pytest.approx(d[list(rows)].mean(), rel=1e-12)
    for data in (DataLoader(whole, collate_fn=lambda pairs: pairs), DataLoader([(1, 2)]),
                 DataLoader(whole, batch_sampler=[[0, 1]])):
        with pytest.raises(TypeError, match=r"^evaluate: data: expected arrays, a TensorDataset or a Subset of one"):
            evaluate(layer, nn.MSELoss(), data)


@pytest.mark.parametrize("settings, sizes", [
    ({}, [1] * 6), ({"batch_size": 4}, [4, 2]), ({"batch_size": 4, "drop_last": True}, [4]),
    ({"batch_size": None}, [1] * 6), ({"batch_size": 6}, [6])])
def test_a_loader_says_how_large_the_batches_are(settings, sizes):
    layer = linear()
    history = minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters(), lr=0), DataLoader(
        TensorDataset(X, Y), shuffle=False, **settings), batch_size=3, progress=False)
    d, begins = ((X @ layer.weight.data.T + layer.bias.data - Y) ** 2).mean(1), np.cumsum([0, *sizes])
    np.testing.assert_allclose(history.iteration_loss, [
        d[begin:begin + size].mean() for begin, size in zip(begins, sizes, strict=False)], rtol=1e-12)


# cross_val_score

def test_scores():
    target, output = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2))
    expected = 1 - ((target - output) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()
    assert r2(output, target) == pytest.approx(expected, rel=1e-12)
    assert r2(output[:, :1], target[:, 0]) == pytest.approx(r2(output[:, :1], target[:, :1]), rel=1e-12)
    assert r2(target.astype(np.float32), target.astype(np.float32)) == 1 and np.isnan(r2(output, np.ones((5, 2))))
    assert accuracy(np.array([[0.25], [0.75], [-1], [0.5]]), np.array([0, 1, 1, 0])) == 0.75
    ones = np.ones(2, int)
    assert accuracy(np.array([[0.25], [0.75]]), ones, (0, 1)) == 0.5
    assert accuracy(np.array([[0.25], [0.75]]), ones, (-1, 1)) == 1
    assert accuracy(np.array([[0, 3.0], [1, 0]]), ones, (-1, 1)) == 0.5  # a coding is of one unit


def test_the_seeds_of_the_folds():
    generator = np.random.default_rng(9)
    parts = minidl.data.folds(LABELS, 3, seed=generator)
    seeds = generator.integers(9223372036854775807, size=3)
    seen = []

    def score(output, target):
        seen.append(output)
        return 0.25

    found = minidl.cross_val_score(linear(), nn.CrossEntropyLoss(), sgd, (X, LABELS), cv=np.int64(3), scoring=score,
                                   epochs=3, batch_size=2, seed=9, progress=False, scheduler=lambda optimizer:
                                   optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5))
    assert found.tolist() == [0.25] * 3 and found.dtype == np.float64
    for part, seed, output in zip(parts, seeds, seen, strict=True):
        layer, rest = linear(), np.setdiff1d(np.arange(N), part)
        optimizer = sgd(layer.parameters())
        minidl.fit(layer, nn.CrossEntropyLoss(), optimizer, (X[rest], LABELS[rest]), epochs=3, batch_size=2,
                   seed=int(seed), scheduler=optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5), progress=False)
        np.testing.assert_array_equal(output, layer.predict(X[part]))


def test_two_inputs_and_rows_of_ones_own():
    pairs = [([0, 1, 2, 3], [4, 5]), (np.arange(3), (3,))]
    seen = []
    minidl.cross_val_score(Two, nn.MSELoss(), lambda parameters: optim.SGD(parameters, lr=0), (X, Y, X[:, :2]),
                           cv=pairs, scoring=lambda output, target: seen.append((output, target)) or 0,
                           seed=0, progress=False)
    for (output, target), (_, rows) in zip(seen, pairs, strict=True):
        np.testing.assert_allclose(output, of_two(Two(), X[list(rows)], Y[list(rows)]), rtol=1e-5)
        np.testing.assert_array_equal(target, X[list(rows), :2])


@pytest.mark.parametrize("change, error, text", [
    ({"model": 3}, TypeError, r"expected model as a Module, or a function that makes one, got int"),
    ({"model": None}, TypeError, r"expected model as a Module, or a function that makes one, got NoneType"),
    ({"optimizer": None}, TypeError, "expected optimizer as a function of a list of parameters, got NoneType"),
    ({"scheduler": 1}, TypeError, r"expected scheduler as a function of an optimizer, or None, got int"),
    ({"data": (X,)}, TypeError, r"expected data as \(X, y\), got tuple"),
    ({"data": (X, Y, LABELS[:5])}, ValueError, r"expected arrays of one length, got shapes \(6, 3\), \(6, 2\), \(5,\)"),
    ({"data": (3.0, np.ones(1))}, ValueError, r"expected arrays of one length, got shapes \(\), \(1,\)"),
    ({"data": (3.0, np.ones(0))}, ValueError, r"expected arrays of one length, got shapes \(\), \(0,\)"),
    ({"cv": [([0], [1]), ([0, 1], [9])]}, IndexError, "fold 1: index 9 is out of bounds"),
    ({"cv": [([0], [1]), ([7, 1], [2])]}, IndexError, "fold 1: index 7 is out of bounds"),
    ({"cv": [([0], [1]), ([0], [1], [2])]}, TypeError, "expected cv as a number of folds, .*, got tuple as fold 1"),
    ({"cv": [([0],)]}, TypeError, "expected cv as a number of folds, .*, got tuple as fold 0"),
    ({"cv": []}, ValueError, "expected at least one fold, got none"),
])
def test_what_cross_val_score_refuses(change, error, text):
    given = {"model": linear(), "criterion": nn.MSELoss(), "optimizer": sgd, "data": (X, Y)} | change
    with pytest.raises(error, match=f"^cross_val_score: {text}"):
        minidl.cross_val_score(**given, progress=False, seed=0)


def squares(z, t):
    return ((z.reshape(-1) - t) ** 2).mean()


def test_a_fold_that_diverges_is_named():
    data = np.ones((6, 3)), np.r_[np.zeros(3), np.full(3, 1e200)]
    with pytest.raises(FloatingPointError, match=r"^cross_val_score: fold 1: the loss became inf at epoch 1, step 1 "):
        minidl.cross_val_score(nn.Linear(3, 1, dtype=np.float64, generator=0), squares, sgd, data,
                               cv=[([0, 1], [2]), ([3, 4], [5])], progress=False, seed=0)


def test_ctrl_c_in_a_fold():
    class Pressed(optim.lr_scheduler.StepLR):
        def step(self):
            super().step()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        minidl.cross_val_score(linear(), nn.MSELoss(), sgd, (X, Y), cv=2, epochs=10**6, progress=False, seed=0,
                               scheduler=lambda optimizer: Pressed(optimizer, 1))


def test_progress_of_the_folds(capsys):
    for progress, expected in ((True, True), (False, False)):
        minidl.cross_val_score(linear(), nn.MSELoss(), sgd, (X, Y), cv=2, seed=0, progress=progress)
        assert ("network 2/2" in capsys.readouterr().err) == expected
