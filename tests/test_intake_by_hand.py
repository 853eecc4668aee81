"""What fit asks of its parts, and in which dtype and shape inputs and targets reach the model and the loss."""
from __future__ import annotations

import numpy as np
import pytest

from minidl import nn, optim
from minidl.optim.lr_scheduler import DecayOnRise, ReduceLROnPlateau, StepLR
from minidl.training.callbacks import Callback, EarlyStopping
from minidl.training.inputs import arrays_of, check_monitors, check_parts, transformed

F4, F8 = np.float32, np.float64
X = np.arange(12.0).reshape(4, 3)


def parts():
    model = nn.Linear(3, 2)
    return model, optim.SGD(model.parameters())


def test_parts_that_fit():
    model, optimizer = parts()
    check_parts(model, optimizer, None, [])
    check_parts(model, optimizer, StepLR(optimizer, 1), [Callback(), EarlyStopping()])
    check_parts(nn.Sequential(model, nn.Linear(2, 2)), optimizer, None, ())


def test_parts_that_do_not_fit():
    model, optimizer = parts()
    for arguments, error, message in [
            ((np.tanh, optimizer, None, []), TypeError, "fit: expected a Module as the model, got ufunc"),
            ((model, "sgd", None, []), TypeError, "fit: expected an Optimizer, got str"),
            ((nn.Linear(3, 2), optimizer, None, []), ValueError, "the optimizer holds Parameter.* not the model's"),
            ((model, optimizer, StepLR(parts()[1], 1), []), ValueError, "fit: expected a scheduler of this optimizer"),
            ((model, optimizer, object(), []), ValueError, "fit: expected a scheduler of this optimizer"),
            ((model, optimizer, None, [Callback(), print]), TypeError,
             "fit: expected callbacks to be Callbacks, got builtin_function_or_method")]:
        with pytest.raises(error, match=message):
            check_parts(*arguments)


def test_what_needs_validation_data():
    optimizer = parts()[1]
    check_monitors(None, [])
    check_monitors(StepLR(optimizer, 1), [Callback(), EarlyStopping(monitor="loss")])
    check_monitors(DecayOnRise(optimizer), [EarlyStopping(monitor="lr")])
    for scheduler, callbacks, who, column in [
            (ReduceLROnPlateau(optimizer), [], "ReduceLROnPlateau", "validation_loss"),
            (None, [Callback(), EarlyStopping()], "EarlyStopping", "validation_loss"),
            (None, [EarlyStopping(monitor="validation_error")], "EarlyStopping", "validation_error")]:
        with pytest.raises(ValueError, match=f"^fit: {who} needs '{column}': expected validation data, got None$"):
            check_monitors(scheduler, callbacks)


LINEAR, DOUBLE = nn.Linear(3, 2), nn.Linear(3, 2, dtype=F8)
ROWS = np.array([[0, 1], [1, 0], [1, 0], [0, 1]])


class Own(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize("model, criterion, target, dtype", [
    (LINEAR, nn.MSELoss(), ROWS, F4), (LINEAR, nn.MSELoss(), ROWS.astype(bool), F4),
    (LINEAR, nn.MSELoss(), ROWS.astype(F8), F4), (DOUBLE, nn.MSELoss(), ROWS, F8),
    (DOUBLE, nn.MSELoss(), ROWS.astype(F4), F8),
    (LINEAR, nn.CrossEntropyLoss(), ROWS[:, 0], np.int64), (LINEAR, nn.CrossEntropyLoss(), ROWS, F4),
    (LINEAR, nn.CrossEntropyLoss(), ROWS[:, 0].astype(np.uint8), np.uint8),
    (LINEAR, nn.CrossEntropyLoss(), ROWS[:, 0].astype(bool), np.int64),
    (LINEAR, nn.CrossEntropyLoss(), ROWS.astype(bool), F4), (DOUBLE, nn.CrossEntropyLoss(), ROWS.astype(F4), F8),
    (LINEAR, nn.CrossEntropyLoss(), ROWS[:, :1], np.int64),
    (Own(), nn.CrossEntropyLoss(), ROWS, np.int64), (Own(), nn.CrossEntropyLoss(), ROWS.astype(bool), np.int64),
    (LINEAR, nn.NLLLoss(), ROWS[:, 0], np.int64), (LINEAR, nn.NLLLoss(), ROWS, np.int64),
    (LINEAR, nn.NLLLoss(), ROWS[:, 0].astype(bool), np.int64), (LINEAR, nn.ReLU(), ROWS, np.int64),
    (LINEAR, nn.ReLU(), ROWS.astype(bool), bool)])
def test_targets_as_the_loss_takes_them(model, criterion, target, dtype):
    x, y = arrays_of("fit", (X, target), model, criterion)
    assert x.dtype == (F8 if model is DOUBLE else F4) and x.tolist() == X.tolist()
    assert y.dtype == dtype and y.tolist() == target.tolist()


def test_a_label_at_each_place_is_no_row():
    """Of inputs (N, 4, 3) a Linear gives (N, 4, 2), of which integers (N, 2) are no rows; behind a Flatten they are."""
    x = np.ones((4, 1, 3))
    flat = nn.Sequential(nn.Flatten(), LINEAR)
    assert arrays_of("fit", (x, ROWS), LINEAR, nn.CrossEntropyLoss())[1].dtype == np.int64
    assert arrays_of("fit", (x, ROWS), flat, nn.CrossEntropyLoss())[1].dtype == F4
    assert arrays_of("fit", (x, ROWS), LINEAR, nn.CrossEntropyLoss(), lambda x: x[:, 0])[1].dtype == F4


def test_inputs_that_a_transform_will_see_stay_as_they_are():
    images, more = np.ones((4, 2), np.uint8), np.ones((4, 2), np.int64)
    taken = arrays_of("fit", (images, more, ROWS[:, 0]), LINEAR, nn.CrossEntropyLoss(), lambda x: x)
    assert taken[0] is images and taken[1].dtype == F4 and taken[2].dtype == np.int64
    halves = np.ones((4, 2), np.float16)
    assert arrays_of("fit", (halves, ROWS[:, 0]), LINEAR, nn.CrossEntropyLoss(), lambda x: x)[0] is halves
    assert arrays_of("fit", (halves, ROWS[:, 0]), LINEAR, nn.CrossEntropyLoss())[0].dtype == F4


@pytest.mark.parametrize("data, error, message", [
    ((X,), TypeError, r"fit: expected a tuple \(X, y\), got 1 arrays"), (X, TypeError, r"\(X, y\), got ndarray"),
    ((X, X[:3]), ValueError, r"fit: expected arrays of one length, got \[4, 3\]"),
    ((X, X, X[:3]), ValueError, r"fit: expected arrays of one length, got \[4, 4, 3\]"),
    ((X[:0], X[:0]), ValueError, r"fit: expected X with at least one sample, got shape \(0, 3\)"),
    ((X, np.float64(1)), ValueError, r"fit: expected y with at least one sample, got shape \(\)"),
    ((X, X[:, :0], X), ValueError, r"fit: expected X2 with at least one sample, got shape \(4, 0\)"),
    ((X * np.nan, X), ValueError, "fit: X holds NaN or infinity, as float32"),
    ((X * 1e300, X), ValueError, "fit: X holds NaN or infinity, as float32"),
    ((X, -np.inf * np.ones(4)), ValueError, "fit: y holds NaN or infinity, as float32"),
    ((X, np.inf * np.ones(4)), ValueError, "fit: y holds NaN or infinity, as float32"),
    ((X, X * np.nan, X), ValueError, "fit: X2 holds NaN"), (([["a"]], X), TypeError, "fit: expected X of numbers")])
def test_data_that_do_not_fit(data, error, message):
    with pytest.raises(error, match=message):
        arrays_of("fit", data, LINEAR, nn.MSELoss())


def test_the_result_of_a_transform():
    same = np.ones((2, 3), F4)
    assert transformed("transform", lambda x: same, LINEAR, True)(X) is same
    for alone in (True, False):
        for result in (X, X.tolist(), X.astype(np.int64)):
            got = transformed("transform", lambda x, result=result: result, LINEAR, alone)(X)
            assert got.dtype == F4 and got.tolist() == X.tolist()

    class Table(nn.Module):
        def forward(self, i):
            raise IndexError

    assert transformed("transform", lambda x: np.arange(3), Table(), True)(X).dtype == np.int64
    assert transformed("transform", lambda x: np.arange(3), Table(), False)(X).dtype == F4
    with pytest.raises(TypeError, match="transform: expected as the result of numbers, got dtype <U1"):
        transformed("transform", lambda x: np.array(["a"]), LINEAR, True)(X)
