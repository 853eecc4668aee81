"""Where streams of random numbers are, and arguments as something to compare, to take apart and to put together."""
from __future__ import annotations

import collections

import numpy as np
import pytest

import minidl
from minidl import CaptureError
from minidl.compiled.nesting import Place, arrays_of, rebuilt, told
from minidl.compiled.streams import GlobalStream, global_stream, told_state

KINDS = [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM]


@pytest.mark.parametrize("bits", KINDS)
def test_a_state_is_equal_until_somebody_draws(bits):
    generator = np.random.Generator(bits(0))
    before = told_state(generator)
    assert told_state(generator) == before == told_state(np.random.Generator(bits(0))) and hash(before) is not None
    generator.random()
    assert told_state(generator) != before
    generator.bit_generator.state = bits(0).state
    assert told_state(generator) == before
    assert told_state(np.random.Generator(bits(1))) != before


def test_the_state_of_an_older_generator_has_the_normal_number_that_waits():
    generator = np.random.RandomState(0)
    told = [told_state(generator), told_state(generator)]
    assert told[0] == told[1] == told_state(np.random.RandomState(0))
    for _ in range(3):
        generator.standard_normal()
        told.append(told_state(generator))
    assert len(set(told)) == 4


def draws():
    return [np.random.random_sample, np.random.standard_normal, lambda: np.random.randint(9),
            lambda: np.random.shuffle([1, 2])]


@pytest.mark.parametrize("number", range(4))
def test_any_draw_from_the_global_generator_is_seen(number):
    np.random.seed(0)
    stream = GlobalStream()
    told = [stream(), stream()]
    assert told[0] == told[1]
    for _ in range(3):
        draws()[number]()
        told.append(stream())
        assert told[-1] == stream() and told[-1] != told[-2]
    np.random.seed(0)
    assert stream() == told[0]


def test_a_normal_number_that_waits_is_a_part_of_the_state():
    """The second of a pair is given out without a move of the twister."""
    np.random.seed(0)
    stream = GlobalStream()
    at_first = stream()
    np.random.standard_normal()
    waiting = stream()
    np.random.standard_normal()
    after = stream()
    assert len({at_first, waiting, after}) == 3 and waiting[0] == after[0]
    assert (at_first[1:], after[1:]) == ((0, 0.0), (0, 0.0)) and waiting[1] == 1 and waiting[2] != 0
    assert GlobalStream()() == after and stream.without == after[0]


@pytest.mark.parametrize("drawn", [0, 1, 2, 5])
def test_the_global_generator_is_set_back(drawn):
    np.random.seed(3)
    for _ in range(drawn):
        np.random.standard_normal()
    undo = global_stream.undo()
    told, first = global_stream(), np.random.standard_normal(4).tolist()
    for _ in range(2):
        undo()
        assert global_stream() == told and np.random.standard_normal(4).tolist() == first
    undo()


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.Philox])
def test_another_global_generator(bits):
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(bits(1))
    try:
        stream = GlobalStream()
        told, undo = stream(), stream.undo()
        assert told[0] == bits.__name__ and stream() == told
        first = np.random.random_sample()
        assert stream() != told
        undo()
        assert np.random.random_sample() == first
        with pytest.raises(CaptureError, match="draws random numbers outside minidl"):
            minidl.capture(lambda x: x * float(np.random.mtrand._rand._bit_generator.random_raw() % 7 + 2))(A)
    finally:
        np.random.set_bit_generator(before)


Pair = collections.namedtuple("Pair", "a b")
A, B = np.ones(2, np.float32), np.zeros(3)


@pytest.mark.parametrize("value, nesting", [
    (A, 0), ((A, 3, B), (0, 3, 1)), ([A, [B, A]], [0, [1, 2]]), ({"a": A, "b": {"c": B}}, {"a": 0, "b": {"c": 1}}),
    (Pair(A, [B]), Pair(0, [1])), (5, 5), ("text", "text"), (None, None), ((), ()), ([{}], [{}])])
@pytest.mark.parametrize("given", [True, False])
def test_arrays_are_replaced_by_places_and_put_back(value, nesting, given):
    def tensors(x):
        if isinstance(x, np.ndarray):
            return minidl.tensor(x)
        if isinstance(x, Pair):
            return Pair(*map(tensors, x))
        if isinstance(x, (list, tuple)):
            return type(x)(map(tensors, x))
        return {name: tensors(item) for name, item in x.items()} if isinstance(x, dict) else x

    arrays = []
    found = arrays_of(value if given else tensors(value), arrays, given)
    assert found == nesting and type(found) in (type(nesting), Place)
    assert all(type(place) is Place for place in ([found] if nesting == 0 and type(found) is Place else []))
    again = rebuilt(found, arrays)
    assert type(again) is type(value) and repr(again) == repr(value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "i4", "u1", "?"])
def test_arrays_of_numbers_are_arguments(dtype):
    arrays = []
    assert type(arrays_of(np.zeros(2, dtype), arrays)) is Place and len(arrays) == 1


@pytest.mark.parametrize("value", [np.zeros(2, complex), np.array(["a"]), np.array([None]), np.ma.zeros(2),
                                   np.zeros(2, "M8[s]"), np.zeros((2, 2)).view(np.matrix)])
def test_other_arrays_are_refused_as_arguments(value):
    with pytest.raises(CaptureError, match=r"^capture: expected plain arrays of numbers as arguments, got "):
        arrays_of([value], [])


def test_an_array_as_an_output_is_refused():
    with pytest.raises(CaptureError, match=r"^capture: the function returns an array, .*: return the Tensor$"):
        arrays_of({"a": A}, [], given=False)


def key(value):
    statics = []
    return told(arrays_of(value, []), statics), statics


SAME = [(1, 1), (1.5, 1.5), ("a", "a"), ([1, 2], [1, 2]), ({"a": 1}, {"a": 1}), (A, B), ([A, 1], [B, 1]),
        (np.float32(2), np.float32(2)), (True, True), (None, None), (b"a", b"a"), (float("nan"), float("nan"))]
OTHERS = [(1, 1.0), (1, True), (0.0, -0.0), ("a", b"a"), ([1], (1,)), ({"a": 1}, {"b": 1}), ({"a": 1, "b": 2}, {
    "b": 2, "a": 1}), ([A], [1]), (Place(0), 0), (np.float32(2), 2.0), (np.float32(2), np.float64(2)), ([1, 2], [2, 1]),
    (None, 0), (Pair(1, 2), (1, 2)), (1j, 1), ([A, A], [A])]


@pytest.mark.parametrize("a, b", SAME)
def test_keys_of_equal_arguments_are_equal(a, b):
    assert key(a) == key(b) and hash(key(a)[0]) == hash(key(b)[0]) and key(a)[1] == []


@pytest.mark.parametrize("a, b", OTHERS)
def test_keys_of_other_arguments_differ(a, b):
    assert key(a)[0] != key(b)[0]


def test_other_objects_count_by_identity_and_are_kept():
    thing, other = object(), object()
    assert key([thing, (other, 1)]) == key([thing, (other, 1)]) and key(thing)[0] != key(other)[0]
    assert key([thing, {"a": other}])[1] == [thing, other]
