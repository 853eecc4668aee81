"""What a captured step takes as a batch, and what it refuses, with nothing updated."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import FLOATS, numbers
from twins import Twins, batches, refused, small, state

import minidl
from minidl import nn, optim

# What a batch may be


def rows_of(x: np.ndarray) -> list[np.ndarray]:
    """The same numbers, lying differently."""
    spread = np.zeros((2 * len(x), 3 * x.shape[1]), x.dtype)
    spread[::2, ::3] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return [spread[::2, ::3], np.asfortranarray(x), x[::-1].copy()[::-1], read_only]


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.CrossEntropyLoss])
@pytest.mark.parametrize("lies", range(4), ids=["strided", "Fortran", "reversed", "read-only"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("picked", [False, True])
def test_how_a_batch_lies(lies, kind, dtype, picked):
    twins = Twins(lambda: (model := small(dtype), kind(), optim.Adam(model.parameters())))
    index = np.array([3, 1, 1, 0]) if picked else None
    for soft in (False, True):
        for x, y in batches(twins.plain[1], (4, 3), [9, 17], dtype, soft=soft):
            y = rows_of(y)[lies] if y.ndim == 2 else rows_of(y[:, None])[lies][:, 0]
            twins.train(rows_of(x)[lies], y, index)
    twins.check()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, ">i8"])
def test_labels_of_any_integers(dtype):
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    for x, y in batches(twins.plain[1], (4, 3), [9, 33]):
        twins.train(x, y.astype(dtype))
    twins.check()


@pytest.mark.parametrize("index", [
    np.array([5, 2, 9, 0]), np.array([3, 3, 3]), np.array([19]), np.arange(20)[::-3],
    np.array([4, 1], np.int8), np.array([4, 1], np.uint32), np.arange(0, 20, 2, dtype=">i4"),
], ids=["out of order", "repeated", "the last", "reversed", "int8", "uint32", "big-endian"])
@pytest.mark.parametrize("kind", [nn.MSELoss, nn.CrossEntropyLoss])
def test_an_index(index, kind):
    twins = Twins(lambda: (model := small(), kind(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [20])
    for _ in range(2):
        twins.train(x, y, index)
    twins.check()


def test_labels_and_rows_in_turn():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    for soft in (False, True, False, True):
        for x, y in batches(twins.plain[1], (4, 3), [9], soft=soft):
            twins.train(x, y)
    twins.check()


@pytest.mark.parametrize("picked", [None, np.array([3, 0, 7, 7])])
@pytest.mark.parametrize("strided", [False, True])
def test_images(picked, strided):
    def make():
        model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(12, 3))
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    twins = Twins(make)
    images, labels = numbers((9, 3, 8))[:, :, ::2] if strided else numbers((9, 3, 4)), np.arange(9) % 3
    for _ in range(2):
        twins.train(images, labels, picked)
    twins.check()


def test_the_output_and_the_wrong_ones_of_the_last_batch():
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    for x, y in batches(step.criterion, (4, 3), [40, 9]):
        output = model(x)
        step(x, y)
        np.testing.assert_array_equal(step.output[:len(x)], output)
        assert step.wrong == np.count_nonzero(output.argmax(axis=1) != y)
    step(x, np.eye(3, dtype=np.float32)[y])
    assert step.wrong is None


# What does not fit


X, LABELS, ROWS = numbers((6, 4)), np.array([0, 1, 2, 0, 1, 2]), numbers((6, 3), seed=2)


@pytest.mark.parametrize("x, error, message", [
    (X[:, :3], ValueError, r"Linear\(4, 5\): expected input of shape \(N, 4\), got \(6, 3\)"),
    (X[0], ValueError, "expected x and y of one length, got 4 and 6"),
    (X.reshape(6, 2, 2), ValueError, r"Linear\(4, 5\): expected input of shape \(N, 4\), got \(6, 2, 2\)"),
    (X.ravel()[:6], ValueError, r"Linear\(4, 5\): expected input of shape \(N, 4\), got \(6,\)"),
    (np.zeros((), np.float32), ValueError, "expected x with an axis of samples, got a single number"),
    (X[:5], ValueError, "expected x and y of one length, got 5 and 6"),
    (X.astype(np.float64), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got float64"),
    (X.astype(np.int64), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got int64"),
    (X.astype(np.float16), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got float16"),
    (X.astype(">f4"), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got >f4"),
    (X.tolist(), TypeError, "expected x as a NumPy array, got list"),
    (minidl.tensor(X, requires_grad=True), TypeError, "expected x as a NumPy array, got Tensor"),
    (None, TypeError, "expected x as a NumPy array, got NoneType"),
])
def test_an_input_that_does_not_fit(x, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, error, message, x, LABELS)
    step(X, LABELS)
    refused(step, error, message, x, LABELS)


@pytest.mark.parametrize("kind, y, error, message", [
    ("CrossEntropyLoss", LABELS + 1, ValueError, "expected labels from 0 to 2, got 3"),
    ("CrossEntropyLoss", LABELS - 1, ValueError, "expected labels from 0 to 2, got -1"),
    ("CrossEntropyLoss", (LABELS - 1).astype(np.int8), ValueError, "expected labels from 0 to 2, got -1"),
    ("CrossEntropyLoss", LABELS.astype(np.float32), TypeError, "expected labels of an integer dtype, got float32"),
    ("CrossEntropyLoss", LABELS > 0, TypeError, "expected labels of an integer dtype, got bool"),
    ("CrossEntropyLoss", ROWS[:, :2], ValueError, r"expected rows of probabilities \(6, 3\), got \(6, 2\)"),
    ("CrossEntropyLoss", ROWS.astype(np.float64), TypeError, "expected probabilities of float32, got float64"),
    ("CrossEntropyLoss", ROWS[:, :, None], ValueError, r"expected labels of shape \(6,\), got \(6, 3, 1\)"),
    ("NLLLoss", ROWS, ValueError, r"expected labels of shape \(6,\), got \(6, 3\)"),
    ("NLLLoss", LABELS + 5, ValueError, "expected labels from 0 to 2, got 5"),
    ("MSELoss", LABELS, ValueError, r"expected a target of the output's shape \(6, 3\), got \(6,\)"),
    ("MSELoss", ROWS[:, 0], ValueError, r"expected a target of the output's shape \(6, 3\), got \(6,\)"),
    ("MSELoss", ROWS.astype(np.float64), TypeError, "expected a target of the output's dtype float32, got float64"),
    ("MSELoss", ROWS.astype(int), TypeError, "expected a target of the output's dtype float32, got int64"),
])
def test_a_target_that_does_not_fit(kind, y, error, message):
    model = small()
    step = minidl.capture(model, getattr(nn, kind)(), optim.Adam(model.parameters()))
    refused(step, error, f"{kind}: {message}", X, y)
    refused(step, error, f"{kind}: {message.replace('(6,', '(2,')}", X, y, np.array([0, 5]))


@pytest.mark.parametrize("y, error, message", [
    (LABELS[:5], ValueError, "expected x and y of one length, got 6 and 5"),
    (LABELS.tolist(), TypeError, "expected y as a NumPy array, got list"),
    (np.zeros((), int), ValueError, "expected y with an axis of samples, got a single number"),
])
def test_a_target_that_is_none(y, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, error, message, X, y)
    refused(step, error, message, X, y, np.array([0, 1]))


@pytest.mark.parametrize("index, error, message", [
    (np.array([0, 6]), IndexError, "expected an index from 0 to 5, got 0 to 6"),
    (np.array([-1, 2]), IndexError, "expected an index from 0 to 5, got -1 to 2"),
    (np.array([0.0, 1.0]), TypeError, r"expected index as integers of shape \(N,\), got float64 of shape \(2,\)"),
    (np.ones(6, bool), TypeError, r"expected index as integers of shape \(N,\), got bool of shape \(6,\)"),
    (np.zeros((2, 2), int), TypeError, r"expected index as integers of shape \(N,\), got int64 of shape \(2, 2\)"),
    ([0, 1], TypeError, "expected index as a NumPy array, got list"),
    (slice(0, 2), TypeError, "expected index as a NumPy array, got slice"),
    (np.zeros(0, int), ValueError, "expected at least one sample, got none"),
])
def test_an_index_that_does_not_fit(index, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, error, message, X, LABELS, index)


def test_an_empty_batch():
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, ValueError, "expected at least one sample, got none", X[:0], LABELS[:0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["MSELoss", "CrossEntropyLoss"])
def test_a_loss_that_is_not_finite(kind, value):
    model = small()
    step = minidl.capture(model, getattr(nn, kind)(), optim.Adam(model.parameters()))
    y = ROWS if kind == "MSELoss" else LABELS
    step(X, y)
    model[2].bias.data = np.array([0, value, 0], np.float32)
    before = state(step)
    with pytest.raises(FloatingPointError, match=r"^capture: the loss became (nan|inf); the weights are those before"):
        step(X, y)
    assert state(step) == before
    assert not np.isfinite(step.run(X, y))
    assert state(step) == before


@pytest.mark.parametrize("name", ["x", "y"])
def test_masked_values_are_refused_by_the_name_of_what_has_them(name):
    layer = nn.Linear(2, 2, generator=0)
    step = minidl.capture(layer, nn.CrossEntropyLoss(), optim.SGD(layer.parameters(), lr=0.1))
    batch = {"x": np.ones((3, 2), np.float32), "y": np.zeros(3, np.int64)}
    batch[name] = np.ma.masked_array(batch[name], np.ones(batch[name].shape))
    with pytest.raises(ValueError, match=f"^capture: expected {name} without masked values, got"):
        step(**batch)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_parameter_that_was_deleted_is_named(name):
    layer = nn.Linear(2, 2, generator=0)
    x = np.ones((3, 2), np.float32)
    layer(x)
    delattr(layer, name)
    with pytest.raises(AttributeError, match=rf"^Linear\(2, 2.*\): has no parameter '{name}' any more$"):
        layer(x)


def test_images_of_no_axes_are_no_rows():
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()))
    with pytest.raises(ValueError, match=r"expected input of shape \(N, 1\), got \(3,\)"):
        step(np.zeros(3, np.float32), np.array([0, 1, 0]))
