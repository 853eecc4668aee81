"""cross_val_score and folds: every sample held out once; the scores of networks that fit alone trains."""
import copy

import numpy as np
import pytest

import minidl
from minidl import data, nn, optim
from minidl.training.cross_validation import accuracy, r2

RNG = np.random.default_rng(3)
X = RNG.standard_normal((61, 4), np.float32)
TARGETS = {
    "labels": RNG.integers(0, 3, 61), "one-hot rows": data.one_hot(RNG.integers(0, 3, 61), 3),
    "a column of two values": (X[:, :1] > 0).astype(np.float32), "numbers": X[:, :1] * 2 + X[:, 1:2],
    "rows of numbers": X[:, :2] * np.float32(0.5),
}
LOSSES = {"labels": nn.CrossEntropyLoss(), "a column of two values": nn.BCEWithLogitsLoss()}


def parts_of(name):
    y = TARGETS[name]
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, y.shape[1] if y.ndim > 1 else 3))
    return model, LOSSES.get(name, nn.MSELoss()), y


def sgd(parameters):
    return optim.SGD(parameters, lr=0.2, momentum=0.5)


@pytest.mark.parametrize("count", [2, 5, 61])
@pytest.mark.parametrize("name", TARGETS)
def test_folds_hold_every_sample_once_and_as_many_of_each_class(name, count):
    y = TARGETS[name]
    found = data.folds(y, count, seed=1)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(61))
    assert {len(part) for part in found} <= {61 // count, -(-61 // count)}
    kinds = minidl.metrics.classes(y)
    for kind in set() if kinds is None else set(kinds.tolist()):
        numbers = [int((kinds[part] == kind).sum()) for part in found]
        assert max(numbers) - min(numbers) <= 1
    again, other = data.folds(y, count, seed=1), data.folds(y, count, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert count == 61 or not all(np.array_equal(a, b) for a, b in zip(found, other, strict=True))


@pytest.mark.parametrize("name", TARGETS)
def test_the_scores_are_those_of_single_trainings(name):
    model, criterion, y = parts_of(name)
    before = {key: value.copy() for key, value in model.state_dict().items()}
    scores = minidl.cross_val_score(model, criterion, sgd, (X, y), epochs=3, batch_size=8, cv=4, seed=5,
                                    progress=False)
    assert scores.shape == (4,)
    generator = np.random.default_rng(5)
    parts = data.folds(y, 4, seed=generator)
    seeds = generator.integers(2**63 - 1, size=4)
    for part, seed, score in zip(parts, seeds, scores, strict=True):
        rest = np.setdiff1d(np.arange(61), part)
        alone = copy.deepcopy(model)
        minidl.fit(alone, criterion, sgd(alone.parameters()), (X[rest], y[rest]), epochs=3, batch_size=8,
                   seed=int(seed), progress=False)
        output = alone.predict(X[part])
        if minidl.metrics.classes(y) is None:
            right = 1 - ((output - y[part]) ** 2).sum() / ((y[part] - y[part].mean(axis=0)) ** 2).sum()
        elif output.shape[1] == 1:
            right = ((output > 0.5) == (y[part] > 0.5)).mean()
        else:
            right = (output.argmax(axis=1) == minidl.metrics.classes(y)[part]).mean()
        assert score == pytest.approx(right)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_a_function_that_makes_networks_rows_of_one_s_own_and_a_score_of_one_s_own():
    made, seen = [], []

    def network():
        made.append(nn.Sequential(nn.Linear(4, 1)))
        return made[-1]

    def score(output, target):
        seen.append((output.shape, target.shape))
        return -float(((output - target) ** 2).mean())

    rows = [(np.arange(50), np.arange(50, 61)), (np.arange(20, 61), np.arange(20))]
    scores = minidl.cross_val_score(network, nn.MSELoss(), sgd, (X, TARGETS["numbers"]), cv=rows, scoring=score,
                                    progress=False, seed=0,
                                    scheduler=lambda optimizer: optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
    assert len(made) == 2 and seen == [((11, 1), (11, 1)), ((20, 1), (20, 1))]
    for one, (_, held_out), found in zip(made, rows, scores, strict=True):
        right = -((one.predict(X[held_out]) - TARGETS["numbers"][held_out]) ** 2).mean()
        assert found == pytest.approx(float(right))


def test_several_inputs():
    class Both(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 3), nn.Linear(2, 3)

        def forward(self, a, b):
            return self.a(a) + self.b(b)

    scores = minidl.cross_val_score(Both(), nn.CrossEntropyLoss(), sgd, (X[:, :2], X[:, 2:], TARGETS["labels"]), cv=3,
                                    seed=0, progress=False)
    assert scores.shape == (3,) and ((scores >= 0) & (scores <= 1)).all()


def test_a_fold_of_ones_alone_is_of_the_whole_target_s_coding():
    y = np.where(np.arange(61) < 40, 1.0, -1.0).astype(np.float32)[:, None]
    rows = [(np.arange(61), np.arange(40))]
    model = nn.Sequential(nn.Linear(4, 1))
    score, = minidl.cross_val_score(model, nn.MSELoss(), lambda p: optim.SGD(p, lr=0.0), (X, y), cv=rows, seed=0,
                                    progress=False)
    assert score == pytest.approx(float((model.predict(X[:40]) > 0).mean()))


def test_scores_by_hand():
    assert accuracy(np.array([[1.0, 2], [3, 0], [0, 1]]), np.array([1, 1, 1])) == pytest.approx(2 / 3)
    assert r2(np.array([[1.0], [2], [4]]), np.array([1.0, 2, 3])) == pytest.approx(0.5)
    assert np.isnan(r2(np.ones((3, 1)), np.ones(3)))


@pytest.mark.parametrize("change, kind, match", [
    ({"data": X}, TypeError, r"expected data as \(X, y\), got ndarray"),
    ({"data": (X, TARGETS["labels"][:5])}, ValueError, "one length"),
    ({"cv": 1}, ValueError, "from 2 folds"), ({"cv": 62}, ValueError, "got 62 of 61 samples"),
    ({"cv": []}, ValueError, "at least one fold"), ({"cv": True}, TypeError, "int"),
    ({"epochs": 0}, ValueError, "epochs >= 1"),
    ({"optimizer": sgd(nn.Linear(4, 3).parameters())}, TypeError, "optimizer as a function of a list .*, got SGD"),
    ({"scheduler": 0.5}, TypeError, "scheduler as a function of an optimizer, or None, got float"),
    ({"cv": [np.arange(9)]}, TypeError, r"pairs \(rows to train on, rows to hold out\), got ndarray as fold 0"),
    ({"cv": [(np.arange(9), [60, 61])]}, IndexError, "cross_val_score: fold 0: index 61 is out of bounds"),
    ({"cv": [(np.arange(9), np.array([0.5]))]}, IndexError, "cross_val_score: fold 0: arrays used as indices"),
    ({"model": lambda: 3}, TypeError, r"expected model\(\) to make a Module, got int"),
    ({"model": [nn.Linear(4, 3)]}, TypeError, "model as a Module, or a function that makes one, got list"),
    ({"optimizer": lambda p: optim.SGD(p, lr=1e30)}, FloatingPointError, "fold 0: the loss became"),
])
def test_what_it_refuses(change, kind, match):
    model, criterion, y = parts_of("numbers" if kind is FloatingPointError else "labels")
    given = {"model": model, "criterion": criterion, "optimizer": sgd, "data": (X, y), "epochs": 3} | change
    with pytest.raises(kind, match=match):
        minidl.cross_val_score(**given, progress=False, seed=0)
