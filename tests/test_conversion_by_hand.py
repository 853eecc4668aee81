"""What array_of and its like give for each kind of thing: dtype, memory, message."""
from __future__ import annotations

import decimal
import fractions

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.compiled.conversion import array_of, as_floats, dtype_of, evaluating, inputs_of

F4, F8 = np.float32, np.float64


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "u1", "i8", "u8", "?"])
def test_a_plain_array_is_taken_as_it_is(dtype):
    array = np.zeros((3, 2), dtype)
    assert array_of("fit", "X", array) is array
    assert np.shares_memory(array_of("fit", "X", array[::2]), array)
    assert array_of("fit", "X", minidl.tensor(array)) is array


@pytest.mark.parametrize("given, dtype, values", [
    ([[1, 2], [3, 4]], np.int64, [[1, 2], [3, 4]]), ([0.5, 1], F8, [0.5, 1]), ((True, False), bool, [True, False]),
    ([decimal.Decimal("0.5"), 2], F8, [0.5, 2]), ([fractions.Fraction(1, 4)], F8, [0.25]),
    (np.array([1, 2], object), np.int64, [1, 2]), (np.array([1, 0.5], object), F8, [1, 0.5]),
    (np.array([1, 2], ">i4"), np.int32, [1, 2]), (np.array([0.5], ">f4"), F4, [0.5]),
    (np.ma.masked_array([1.0, 2.0], [False, False]), F8, [1, 2])])
def test_what_becomes_an_array(given, dtype, values):
    got = array_of("fit", "X", given)
    assert got.dtype == dtype and got.dtype.isnative and got.tolist() == values and type(got) is np.ndarray


def test_a_field_of_a_packed_record_is_copied_and_one_that_is_aligned_is_not():
    packed = np.zeros(4, [("tag", "u1"), ("x", "f4")])
    aligned = np.zeros(4, [("y", "f4"), ("x", "f4")])
    for records, shared in ((packed, False), (aligned, True)):
        got = array_of("fit", "X", records["x"])
        assert got.flags.aligned and not any(stride % 4 for stride in got.strides)
        assert np.shares_memory(got, records) == shared


class Unusual:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("of its own")


@pytest.mark.parametrize("given, error, message", [
    ([[1, 2], [3]], ValueError, "fit: expected X with rows of one length, got rows of several"),
    (Unusual(), ValueError, "of its own"),
    (["a", "b"], TypeError, "fit: expected X of numbers, got dtype <U1"),
    ([1j], TypeError, "fit: expected X of numbers, got dtype complex128"),
    (np.array([1j, None], object), TypeError, "fit: expected X of numbers, got objects of type NoneType, complex"),
    ([None, decimal.Decimal(1)], TypeError, "fit: expected X of numbers, got objects of type NoneType"),
    (None, TypeError, "fit: expected X as an array or a list of numbers, got NoneType"),
    (object(), TypeError, "fit: expected X as an array or a list of numbers, got object"),
    (np.ma.masked_array([1.0, 2, 3], [True, False, True]), ValueError,
     "fit: expected X without masked values, got 2: fill them or leave them out"),
    ([np.ma.masked_array([1.0], [True]), np.ma.masked_array([1.0], [True])], ValueError,
     "fit: expected X without masked values, got 2"),
    (np.zeros(2, "M8[s]"), TypeError, "fit: expected X of numbers"),
    (minidl.tensor([1.0], requires_grad=True), RuntimeError,
     r"fit: expected X without a gradient, got a Tensor that requires one: detach\(\) it"),
])
def test_what_is_refused(given, error, message):
    with pytest.raises(error, match=f"^{message}"):
        array_of("fit", "X", given)


def test_floats_are_cast_only_where_they_must_be():
    array = np.array([1.0, 1e300])
    assert as_floats(array, F8) is array
    assert as_floats(array, F4).tolist() == [1, np.inf]  # without a warning


def test_the_dtype_of_a_model():
    assert dtype_of(nn.Linear(2, 1)) == F4 and dtype_of(nn.Linear(2, 1, dtype=F8)) == F8
    assert dtype_of(nn.ReLU()) == F4
    assert dtype_of(nn.Sequential(nn.Linear(2, 1, dtype=F8), nn.Linear(1, 1))) == F8


class Embedding(nn.Module):
    def __init__(self, dtype=F4):
        self.table = nn.Parameter(np.arange(6, dtype=dtype).reshape(3, 2))
        self.seen = []

    def forward(self, i, *others):
        self.seen.append((len(i), self.training))
        return self.table[i.data if hasattr(i, "node") else i] * (others[0] if others else 1.0)


class Doubled(nn.Module):
    def forward(self, x):
        return 2.0 * x


@pytest.mark.parametrize("model, dtype, expected", [
    (nn.Linear(2, 1), "i8", F4), (nn.Linear(2, 1, dtype=F8), "u1", F8), (nn.Linear(2, 1), "f8", F4),
    (Embedding(), "i8", np.int64), (Embedding(), "u1", np.uint8), (Embedding(), "f4", F4), (Doubled(), "i8", F4)])
def test_inputs_in_the_dtype_that_a_model_takes(model, dtype, expected):
    taken, = inputs_of(model, [np.array([[0, 1], [2, 1]], dtype)])
    assert taken.dtype == expected and taken.tolist() == [[0, 1], [2, 1]]


def test_a_model_of_the_user_is_asked_with_one_row_in_evaluation():
    model = Embedding()
    first, second = inputs_of(model, [np.array([0, 1, 2]), np.ones((3, 1))])
    assert first.dtype == np.int64 and second.dtype == F4
    assert model.seen == [(1, False)] and model.training


def test_modes_are_put_back():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    model[1].eval()
    before = [module.training for module in model.modules()]
    with pytest.raises(KeyError), evaluating(model):
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == before and any(before)
