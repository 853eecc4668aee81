"""What changes a Tensor in place, method by method and index by index: the values, against NumPy's own assignment; that
backward notices the change; what is refused; and the bits of a recorded step."""
from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn
from minidl import functional as F
from minidl.autograd.named_methods import IN_PLACE

A = np.arange(-6.0, 6.0).reshape(3, 4) / 4
B = np.linspace(0.5, 2.0, 12).reshape(3, 4)

# name -> (the change, with a value v of shape (3, 4) or its like; what NumPy makes of a and v)
VALUED = {
    "copy_": (lambda x, v: x.copy_(v), lambda a, v: v),
    "add_": (lambda x, v: x.add_(v), lambda a, v: a + v),
    **{f"add_ {c}": (lambda x, v, c=c: x.add_(v, alpha=c), lambda a, v, c=c: a + c * v) for c in (0.5, 2, 0, -1)},
    "sub_": (lambda x, v: x.sub_(v), lambda a, v: a - v),
    **{f"sub_ {c}": (lambda x, v, c=c: x.sub_(v, alpha=c), lambda a, v, c=c: a - c * v) for c in (0.5, 2, 0, -1)},
    "mul_": (lambda x, v: x.mul_(v), lambda a, v: a * v),
    "div_": (lambda x, v: x.div_(v), lambda a, v: a / v),
}
PLAIN = {
    "fill_": (lambda x: x.fill_(1.5), lambda a: np.full_like(a, 1.5)),
    "zero_": (lambda x: x.zero_(), np.zeros_like),
    "clamp_": (lambda x: x.clamp_(-0.5, 0.75), lambda a: np.clip(a, -0.5, 0.75)),
    "masked_fill_": (lambda x: x.masked_fill_(x > 0, 2.0), lambda a: np.where(a > 0, 2.0, a)),
}
# f_ of f; the functions themselves are compared with NumPy elsewhere.
OF_FUNCTIONS = {f"{name}_": (lambda x, name=name, more=more: getattr(x, f"{name}_")(*more),
                             lambda a, name=name, more=more: getattr(F, name)(a, *more))
                for name in IN_PLACE for more in [{"pow": (2,), "remainder": (0.7,)}.get(name, ())]}
DRAWN = {
    "normal_": (lambda x: x.normal_(1.0, 2.0, generator=7),
                lambda shape: np.random.default_rng(7).normal(1.0, 2.0, shape)),
    "uniform_": (lambda x: x.uniform_(1.0, 3.0, generator=7),
                 lambda shape: np.random.default_rng(7).uniform(1.0, 3.0, shape)),
    "bernoulli_": (lambda x: x.bernoulli_(0.25, generator=7),
                   lambda shape: np.random.default_rng(7).random(shape) < 0.25),
    "normal_ by default": (lambda x: x.normal_(generator=7),
                           lambda shape: np.random.default_rng(7).standard_normal(shape)),
    "uniform_ by default": (lambda x: x.uniform_(generator=7), lambda shape: np.random.default_rng(7).random(shape)),
    "bernoulli_ by default": (lambda x: x.bernoulli_(generator=7),
                              lambda shape: np.random.default_rng(7).random(shape) < 0.5),
}
OF_THEIR_OWN = {"requires_grad_", "squeeze_", "unsqueeze_"}  # no values change
MASK = A > 0
# The index as NumPy takes it, and a value of the shape that it selects.
PLACES = {
    "a number": (1, B[0]), "a negative number": (-1, B[0]), "two numbers": ((1, 2), 5.0),
    "a slice": (slice(1, None), B[1:]),
    "slices": ((slice(None), slice(1, 3)), B[:, 1:3]), "steps": (slice(None, None, 2), B[::2]), "...": (..., B),
    "... and a number": ((..., 3), B[:, 0]), "a new axis": ((None, 0), B[:1]), "a list": ([0, 2], B[:2]),
    "an array": (np.array([2, 0]), B[:2]), "pairs": ((np.array([0, 2]), np.array([3, 1])), B[0, :2]),
    "an array and a slice": ((np.array([0, 2]), slice(1, 3)), B[:2, :2]), "a mask": (MASK, B[MASK]),
    "a mask of rows": (np.array([True, False, True]), B[:2]), "no mask has it": (A > 9, 1.0),
}


def with_tensors(where):
    """The same index, of Tensors in place of arrays."""
    if isinstance(where, tuple):
        return tuple([with_tensors(part) for part in where])
    return minidl.tensor(where) if isinstance(where, np.ndarray) else where


def changes(x, change, expected: np.ndarray, returned: bool = True) -> None:
    """That ``change`` writes these values into the array that is there, and counts it."""
    array, version = x.data, x._version
    answer = change(x)
    assert (answer is x) if returned else answer is None
    assert x.data is array and x._version > version and x.dtype == array.dtype
    np.testing.assert_array_equal(array, expected)


def test_every_method_that_changes_in_place_is_tested():
    found = {name for name, method in inspect.getmembers(Tensor, inspect.isfunction)
             if name.endswith("_") and not name.startswith("_")}
    assert found == {name.split()[0] for name in (*VALUED, *PLAIN, *OF_FUNCTIONS, *DRAWN)} | OF_THEIR_OWN


@pytest.mark.parametrize("value", [B, B[0], B[:, :1], 3.0, minidl.tensor(B), minidl.tensor(2.0, dtype=np.float64)],
                         ids=["array", "row", "column", "number", "Tensor", "Tensor of no axes"])
@pytest.mark.parametrize("name", VALUED)
def test_the_values_that_a_method_writes(name, value):
    change, expected = VALUED[name]
    wanted = np.broadcast_to(expected(A, np.asarray(value)), A.shape)
    changes(minidl.tensor(A.copy()), lambda x: change(x, value), wanted)


@pytest.mark.parametrize("name", PLAIN | OF_FUNCTIONS)
def test_the_values_that_a_method_sets(name):
    change, expected = (PLAIN | OF_FUNCTIONS)[name]
    for a in (A, B):  # roots and logarithms of A are not all numbers
        with np.errstate(all="ignore"):
            changes(minidl.tensor(a.copy()), change, expected(a))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DRAWN)
def test_the_values_that_a_method_draws(name, dtype):
    change, expected = DRAWN[name]
    changes(minidl.tensor(np.full((3, 4), -9, dtype)), change, expected((3, 4)).astype(dtype))


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_elements_are_assigned_to(place, wrapped):
    where, value = PLACES[place]
    for given in (value, 7, minidl.tensor(value, dtype=np.float64)):
        expected = A.copy()
        expected[where] = np.asarray(given)
        changes(minidl.tensor(A.copy()), lambda x, given=given: x.__setitem__(
            with_tensors(where) if wrapped else where, given), expected, returned=False)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.bool_])
def test_what_is_assigned_is_cast(dtype):
    for value in (B, minidl.tensor(B), 1.75, True):
        changes(minidl.tensor(np.zeros((3, 4), dtype)), lambda x, value=value: x.copy_(value),
                np.broadcast_to(np.asarray(value).astype(dtype), (3, 4)))
        changes(minidl.tensor(np.zeros((3, 4), dtype)), lambda x, value=value: x.__setitem__(slice(None), value),
                np.broadcast_to(np.asarray(value).astype(dtype), (3, 4)), returned=False)


EVERY = {
    **{name: lambda x, v, change=change: change(x, v) for name, (change, _) in VALUED.items()},
    **{name: lambda x, v, change=change: change(x) for name, (change, _) in (PLAIN | OF_FUNCTIONS | DRAWN).items()},
    "assignment": lambda x, v: x.__setitem__(slice(None), v)}


@pytest.mark.parametrize("name", EVERY)
def test_backward_notices_a_change_of_what_it_reads(name):
    w, x = minidl.tensor(A, requires_grad=True), minidl.tensor(B.copy())
    y = (w * x).sum()
    EVERY[name](x, B)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert w.grad is None


@pytest.mark.parametrize("name", EVERY)
def test_what_requires_grad_changes_within_no_grad_alone(name):
    if name == "zero_":  # as the gradients of a leaf are set to zero, and PyTorch's own initial values
        return
    change = EVERY[name]
    for x, value in ((minidl.tensor(B.copy(), requires_grad=True), B), (nn.Parameter(B), B),
                     *([(minidl.tensor(B.copy()), minidl.tensor(B, requires_grad=True))]
                       if name in VALUED or name == "assignment" else [])):
        with pytest.raises(RuntimeError, match=r"changes in place within no_grad\(\) alone"):
            change(x, value)
        assert x.tolist() == B.tolist() and x._version == 0
        expected = minidl.tensor(B.copy())
        change(expected, B)
        with minidl.no_grad():
            change(x, value)
        assert x.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["copy_", "add_", "sub_", "mul_", "div_"])
def test_a_value_that_does_not_fit(name):
    x = minidl.tensor(A.copy())
    with pytest.raises(ValueError, match=r"expected values that fit into a Tensor of shape \(3, 4\), got \(2, 3, 4\)"):
        getattr(x, name)(np.ones((2, 3, 4)))
    if name != "copy_":  # which casts
        single = minidl.tensor(A.astype(np.float32))
        with pytest.raises(TypeError, match="a result of float64 does not fit into a Tensor of float32 in place"):
            getattr(single, name)(B)
    assert x.tolist() == A.tolist() and x._version == 0


@pytest.mark.parametrize("change", [
    lambda x: x.clamp_(0.5, 1.5), lambda x: x.masked_fill_(np.array([True, False]), np.float64(0.5)),
    lambda x: x.add_(0.5), lambda x: x.sub_(0.5), lambda x: x.mul_(0.5), lambda x: x.div_(2), lambda x: x.sin_()])
def test_a_result_of_another_dtype_is_not_cast(change):
    x = minidl.tensor(np.array([1, 3]))
    with pytest.raises(TypeError, match="a result of float64 does not fit into a Tensor of int64 in place"):
        change(x)
    assert x.tolist() == [1, 3]


def test_fill_takes_a_number():
    x = minidl.tensor(A.copy())
    for number in (2, np.float64(2), np.array(2.0), minidl.tensor(2.0)):
        assert x.fill_(number).tolist() == np.full((3, 4), 2.0).tolist()
    for many in (B, minidl.tensor(B)):
        with pytest.raises(ValueError, match=r"fill_: expected a number, got an array of shape \(3, 4\)"):
            x.fill_(many)


# Recorded: the bits of plain Python, at each replay. An index is an argument: its arrays are read anew.

RECORDED = {"copy_ of another dtype": (lambda x, v: x.copy_(v > 1), None),
            **{name: (change, None) for name, change in EVERY.items() if name not in DRAWN and name != "assignment"},
            **{f"assignment: {place}": (None, where) for place, (where, _) in PLACES.items()}}


def recorded_change(name: str, x, v, where) -> None:
    change, _ = RECORDED[name]
    if change is None:
        x[where] = v.mean()
    else:
        change(x, v)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_change_has_the_bits_of_a_plain_one(name):
    def step(x, v, where):
        y = x * 2
        recorded_change(name, y, v, where)
        return y + 1

    captured, where = minidl.capture(step), RECORDED[name][1]
    for i in range(4):
        a, v = (B + i).astype(np.float32), (B * (i + 1)).astype(np.float32)
        got, expected = captured(a, v, where), step(minidl.tensor(a), minidl.tensor(v), where)
        np.testing.assert_array_equal(got.data, expected.data)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_change_of_what_stays(name):
    """A Tensor outside of the step keeps what its replays write."""
    state, twin = (minidl.tensor(B.astype(np.float32)) for _ in range(2))

    @minidl.capture
    def step(v, where):
        recorded_change(name, state, v, where)
        return state.sum()

    where = RECORDED[name][1]
    for i in range(4):
        v = (B * (i + 1)).astype(np.float32)
        version = state._version
        step(v, where)
        recorded_change(name, twin, minidl.tensor(v), where)
        np.testing.assert_array_equal(state.data, twin.data)
        assert state._version > version
