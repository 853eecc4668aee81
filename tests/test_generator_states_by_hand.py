"""States of generators in a checkpoint: which numbers each kind of NumPy's takes, and where a generator is held."""
from __future__ import annotations

import copy

import numpy as np
import pytest

from minidl import nn, random
from minidl.training import streams

KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
U32, U128 = 4294967295, 340282366920938463463374607431768211455
LARGEST = [  # the kind, where the number is, the largest that fits
    *[(kind, path, most) for kind in (np.random.PCG64, np.random.PCG64DXSM)
      for path, most in ((("state", "state"), U128), (("state", "inc"), U128), (("has_uint32",), 1),
                         (("uinteger",), U32))],
    (np.random.MT19937, ("state", "pos"), 624), (np.random.Philox, ("buffer_pos",), 4),
    *[(kind, path, most) for kind in (np.random.Philox, np.random.SFC64)
      for path, most in ((("has_uint32",), 1), (("uinteger",), U32))]]


def generators(kind):
    return {"a": np.random.Generator(kind(1)), "b": np.random.Generator(kind(2))}


def with_number(saved, path, value):
    changed = copy.deepcopy(saved)
    place = changed["states"][1]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize("kind, path, most", LARGEST)
def test_the_range_of_a_number(kind, path, most):
    held = generators(kind)
    saved = streams.told(held)
    for value in (0, 1, most - 1, most):
        streams.check(with_number(saved, path, value), held)
    for value in (-1, most + 1, -most, 2 * most + 2, float(most), str(most), None, np.int64(1)):
        with pytest.raises(ValueError, match=rf"^{path[-1]} of a generator's state that is not as \d+, but "):
            streams.check(with_number(saved, path, value), held)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_goes_on_where_it_was(kind):
    held = generators(kind)
    held["c"] = held["a"]
    held["a"].random(3)
    held["b"].integers(9, size=5, dtype=np.int32)
    saved = streams.told(held)
    assert saved["places"] == {"a": 0, "b": 1, "c": 0} and len(saved["states"]) == 2
    expected = [held[name].random(4).tolist() for name in "abc"]
    other = generators(kind)
    other["c"] = other["a"]
    streams.check(saved, other)
    streams.put(saved, other)
    assert [other[name].random(4).tolist() for name in "abc"] == expected
    with pytest.raises(ValueError, match=r"^generators at \{'a': 0, 'b': 1, 'c': 0\}, where the training has "):
        streams.check(saved, generators(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_another_form(kind):
    held = generators(kind)
    saved = streams.told(held)
    state = saved["states"][0]
    more, fewer = state | {"more": 1}, {name: value for name, value in state.items() if name != "state"}
    for states in (state, [state], [state] * 3, None):
        with pytest.raises(ValueError, match=r"^states of 2 generators expected$"):
            streams.check(saved | {"states": states}, held)
    for wrong in (more, fewer, 3, None, [state]):
        with pytest.raises(ValueError, match=r"^a generator of a generator's state that is not as "):
            streams.check(saved | {"states": [wrong, state]}, held)
    with pytest.raises(ValueError, match=r"^bit_generator of a generator's state that is not as "):
        streams.check(saved | {"states": [state, state | {"bit_generator": "PCG65"}]}, held)
    for changed in ({"places": saved["places"]}, saved | {"more": 1}, saved | {"places": {"a": 0}}):
        with pytest.raises(ValueError, match=r"^generators at \{'a': 0"):
            streams.check(changed, held)
    for name, array in state["state"].items():
        if isinstance(array, np.ndarray):
            for wrong in (array[:-1], array.astype(np.float64), array.tolist(), array.reshape(1, -1)):
                with pytest.raises(ValueError, match=rf"^{name} of a generator's state that is not as "):
                    streams.check(saved | {"states": [state, state | {"state": state["state"] | {name: wrong}}]}, held)


def test_where_generators_are_held():
    own, drop = np.random.default_rng(0), nn.Dropout(0.5, generator=1)
    found = streams.held_by({"model": drop, "augment": None, "batches": own}, own)
    assert found == {"minidl": random.generator(None), "fit": own, "model.generator": drop.generator}


def test_bits_from_elsewhere_are_refused():
    class Own(np.random.PCG64):
        pass

    with pytest.raises(TypeError, match=r"^model.generator: expected one of NumPy's bit generators, .*, got Own$"):
        streams.told({"fit": np.random.default_rng(0), "model.generator": np.random.Generator(Own(0))})
