"""The error of one output unit: counted by the coding of the training targets, or the one that is told."""
from __future__ import annotations

import copy

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.metrics import decision_threshold, error_rate

CODINGS = [(0, 1), (-1, 1)]
N = 40
X = np.random.default_rng(0).standard_normal((N, 2)).astype(np.float32)
ON = X[:, 0] > 0.2


def columnwise(output, target):
    """Squared error of one unit against (N,)."""
    difference = output.reshape(-1) - target
    return (difference * difference).mean()


FORMS = {  # the target as given, and a loss for it
    "column": (lambda y: y[:, None].astype(np.float32), nn.MSELoss()),
    "column of integers": (lambda y: y[:, None], nn.MSELoss()),
    "vector": (lambda y: y.astype(np.float64), columnwise),
    "vector of integers": (lambda y: y, columnwise),
    "list": (lambda y: y[:, None].tolist(), nn.MSELoss()),
}
PARTS = {"both": np.full(N, True), "on": ON, "off": ~ON, "one on": np.arange(N) == np.flatnonzero(ON)[0],
         "one off": np.arange(N) == np.flatnonzero(~ON)[0]}


def target_of(coding, part=slice(None)):
    return np.where(ON, coding[1], coding[0])[part]


def halves(coding):
    """A model whose outputs lie on both sides of both thresholds, wrong for some rows."""
    model = nn.Linear(2, 1, generator=0)
    model.weight.data = np.array([[0.3, 0.25]], np.float32)
    model.bias.data = np.array([0.25 + sum(coding) / 4], np.float32)
    return model


def expected(model, coding, part):
    return 100 * np.mean((model(X[part])[:, 0] > sum(coding) / 2) != ON[part])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("coding", CODINGS)
class TestOneUnit:
    def test_told(self, coding, form, part):
        (make, criterion), model, part = FORMS[form], halves(coding), PARTS[part]
        data = X[part], make(target_of(coding, part))
        error = expected(model, coding, part)
        assert minidl.evaluate(model, criterion, data, coding=coding).error == pytest.approx(error)
        assert minidl.evaluate(model, criterion, data, coding=list(coding), batch_size=3).error == pytest.approx(error)
        assert error_rate(model(X[part]), np.asarray(data[1]), coding) == pytest.approx(error)

    def test_not_told(self, coding, form, part):
        """What the target shows is used, and ones alone show nothing."""
        (make, criterion), model, rows = FORMS[form], halves(coding), PARTS[part]
        data = X[rows], make(target_of(coding, rows))
        if "on" in part.split():
            message = r": a target of ones alone may .*: expected coding=\(0, 1\) or \(-1, 1\)"
            with pytest.raises(ValueError, match=f"^evaluate{message}"):
                minidl.evaluate(model, criterion, data)
            with pytest.raises(ValueError, match=f"^error_rate{message}"):
                error_rate(model(data[0]), np.asarray(data[1]))
        else:
            assert minidl.evaluate(model, criterion, data).error == pytest.approx(expected(model, coding, rows))
            assert error_rate(model(data[0]), np.asarray(data[1])) == pytest.approx(expected(model, coding, rows))

    @pytest.mark.parametrize("captured", [True, False])
    def test_after_fit(self, coding, form, part, captured):
        (make, criterion), model, part = FORMS[form], halves(coding), PARTS[part]
        held_out = X[part], make(target_of(coding, part))
        history = minidl.fit(model, criterion, optim.SGD(model.parameters(), lr=1e-3), (X, make(target_of(coding))),
                             validation=held_out, progress=False, captured=captured)
        error = expected(model, coding, part)
        assert history.validation_error[-1] == pytest.approx(error)
        assert minidl.evaluate(model, criterion, held_out).error == pytest.approx(error)
        assert minidl.evaluate(copy.deepcopy(model), criterion, held_out).error == pytest.approx(error)


def test_the_error_of_each_class_adds_up():
    coding, model, errors = (-1, 1), halves((-1, 1)), []
    for part in (ON, ~ON):
        data = X[part], target_of(coding, part)[:, None]
        errors.append(minidl.evaluate(model, nn.MSELoss(), data, coding=coding).error * part.sum())
    whole = minidl.evaluate(model, nn.MSELoss(), (X, target_of(coding)[:, None])).error
    assert 0 < whole == pytest.approx(sum(errors) / N)


@pytest.mark.parametrize("captured", [True, False])
def test_training_on_ones_alone_has_no_error(captured):
    model, y = halves((0, 1)), np.ones((N, 1), np.float32)
    history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters()), (X, y), validation=(X, y), progress=False,
                         captured=captured)
    assert history.error == history.validation_error == [None]


def test_what_is_no_class_in_training_is_none_in_the_validation():
    model = halves((0, 1))
    history = minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters()), (X, X[:, :1]), progress=False,
                         validation=(X, np.ones((N, 1))))
    assert history.error == history.validation_error == [None]


def test_labels_of_several_units_need_no_coding():
    output = np.eye(3, dtype=np.float32)
    model = nn.Linear(2, 3, generator=0)
    labels = np.ones(N, int)
    wrong = 100 * np.mean(model(X).argmax(axis=1) != 1)
    assert minidl.evaluate(model, nn.CrossEntropyLoss(), (X, labels)).error == pytest.approx(wrong)
    assert error_rate(output, np.ones(3, int)) == pytest.approx(200 / 3)


@pytest.mark.parametrize("told, other", [((0, 1), -1), ((-1, 1), 0)])
def test_a_target_of_another_coding(told, other):
    y = np.where(ON, 1, other)[:, None]
    model = halves(told)
    message = rf"expected a target of {told[0]} and 1, got one of {other} and 1"
    with pytest.raises(ValueError, match=f"^evaluate: {message}"):
        minidl.evaluate(model, nn.MSELoss(), (X, y), coding=told)
    with pytest.raises(ValueError, match=f"^error_rate: {message}"):
        error_rate(model(X), y, told)
    before = model.flat_parameters.tobytes()
    with pytest.raises(ValueError, match=f"^fit: validation: {message}"):
        minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters()), (X, target_of(told)[:, None]),
                   validation=(X, y), progress=False)
    assert model.flat_parameters.tobytes() == before


@pytest.mark.parametrize("coding", [(1, 0), (0, 2), 1, "01", (0, 1, 2)])
def test_what_is_no_coding(coding):
    with pytest.raises(ValueError, match=r"^evaluate: expected coding \(0, 1\) or \(-1, 1\), got"):
        minidl.evaluate(halves((0, 1)), nn.MSELoss(), (X, target_of((0, 1))[:, None]), coding=coding)


def test_decision_threshold():
    assert decision_threshold(np.array([0.0, 1])) == decision_threshold(np.array([0])) == 0.5
    assert decision_threshold(np.array([-1.0, 1])) == decision_threshold(np.array([-1])) == 0
    assert decision_threshold(np.array([1]), (-1, 1)) == 0
    with pytest.raises(ValueError, match="decision_threshold: a target of ones alone"):
        decision_threshold(np.array([1]))
