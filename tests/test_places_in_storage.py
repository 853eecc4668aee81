"""Where parameters are placed: one after the other, large ones on cache lines, models apart, and what moves."""
from __future__ import annotations

import copy
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minidl import nn
from minidl.autograd import storage
from minidl.autograd.parameter import Parameter

needs_room = pytest.mark.skipif(storage.EXACT, reason="each store is as large as its parameter")


def in_a_thread(test):
    """The test in a thread of its own: the stores of new parameters are the thread's."""
    @functools.wraps(test)
    def run(*args, **named):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test, *args, **named).result()

    return run


def places(*sizes, dtype=np.float32) -> list[int]:
    return [storage.place(size, dtype)[1] for size in sizes]


@needs_room
@in_a_thread
def test_small_ones_lie_side_by_side_and_large_ones_on_lines():
    assert (storage.ROOM, storage.LARGE, storage.LINE) == (65536, 1024, 64)
    assert places(3, 1, 0, 1023, 1, 1024, 5, 2000) == [0, 3, 4, 4, 1027, 1040, 2064, 2080]
    assert places(1, 1024, 1, 1024, dtype=np.float64) == [0, 8, 1032, 1040]
    assert places(1) == [4080]  # of float32, again


@needs_room
@in_a_thread
def test_a_full_store_is_left():
    first, start = storage.place(10, np.float32)
    assert (start, first.values.size, first.gradients.size, first.used) == (0, 65546, 65546, 10)
    assert storage.place(65536, np.float32)[0] is not first  # on a line, so that six are missing
    second = storage.place(4, np.float32)[0]
    assert second.values.size == 65536 + 65536


@needs_room
@in_a_thread
def test_a_store_that_is_used_up():
    first = storage.place(16, np.float32)[0]
    assert storage.place(65536, np.float32) == (first, 16) and first.used == first.values.size
    assert storage.place(0, np.float32) == (first, 65552)
    third, start = storage.place(1, np.float32)
    assert third is not first and start == 0
    assert not third.values.any() and not third.gradients.any()


@needs_room
@in_a_thread
def test_the_end_of_a_model():
    places(3, dtype=np.float32)
    places(3, dtype=np.float64)
    storage.end_model()
    assert places(1, dtype=np.float32) == [16] and places(1, dtype=np.float64) == [8]
    storage.end_model()
    storage.end_model()
    assert places(1, dtype=np.float32) == [32]
    store = storage.place(65552 - 33 - 13, np.float32)[0]
    storage.end_model()
    assert store.used <= store.values.size


@needs_room
@in_a_thread
def test_a_store_that_ends_within_a_line():
    store = storage.place(10, np.float32)[0]
    storage.place(1000, np.float32)
    for _ in range(64):
        storage.place(1000, np.float32)
    assert store.used == 65010
    storage.place(530, np.float32)
    assert store.used == 65540
    storage.end_model()
    assert store.used == 65546 == store.values.size


@in_a_thread
def test_spans_of_neighbours():
    members = [Parameter(np.full(n, float(n), np.float32)) for n in (2, 3, 4)]
    other = Parameter(np.ones(2))
    for parameter in members:
        parameter.grad = np.full(parameter.shape, 10 + parameter.size(0), np.float32)
    found = storage.spans([*members, other])
    if not storage.EXACT:
        assert [(v.tolist(), g.tolist()) for v, g in found] == [
            ([2, 2, 3, 3, 3, 4, 4, 4, 4], [12, 12, 13, 13, 13, 14, 14, 14, 14]), ([1, 1], [0, 0])]
    found[0][0][0] = 7
    found[-1][1][1] = 5
    assert members[0].data[0] == 7 and other.grad.tolist() == [0, 5]


@pytest.mark.parametrize("order", ["C", "F", (1, 0)])
def test_what_flatten_moves(order):
    members = [Parameter(np.arange(6.0).reshape(2, 3) + i, order=order) for i in range(3)]
    for parameter in members[::2]:
        parameter.grad = parameter.data * 10
    apart, before = members[::2], storage.moves()
    old = [parameter.data for parameter in apart]
    values, gradients = storage.flatten(iter(apart))
    assert storage.moves() == before + 2 and values.shape == gradients.shape == (12,)
    for i, parameter in enumerate(apart):
        assert parameter.start == 6 * i and parameter.store is apart[0].store
        expected = np.arange(6.0).reshape(2, 3) + 2 * i
        assert parameter.data.tolist() == expected.tolist() and parameter.grad.tolist() == (10 * expected).tolist()
        lies = expected.ravel() if order == "C" else expected.T.ravel()
        assert values[6 * i:6 * i + 6].tolist() == lies.tolist()
        assert gradients[6 * i:6 * i + 6].tolist() == (10 * lies).tolist()
        assert not np.shares_memory(old[i], values) and parameter.data is not old[i]
    assert apart[0].store.used == 12 == apart[0].store.values.size
    assert storage.flatten(apart)[0] is not None and storage.moves() == before + 2


def test_no_parameters_make_two_empty_arrays():
    for part in storage.flatten([]):
        assert part.shape == (0,) and part.dtype == np.float32


def test_another_dtype():
    w = Parameter(np.array([1.5, 2.0]), "w")
    w.grad = np.array([1.0, 3.0])
    shown, version, moves = w.data, w._version, storage.moves()
    w.convert(np.float32)
    assert w.dtype == np.float32 and w.data.tolist() == [1.5, 2] and w.grad.tolist() == [1, 3]
    assert w.grad.dtype == np.float32 and w.data is not shown
    assert w._version == version + 1 and storage.moves() == moves + 1
    with pytest.raises(TypeError, match=r"Parameter 'w' of shape \(2,\): expected float32 or float64, got int64"):
        w.convert(np.dtype(np.int64))
    with pytest.raises(TypeError, match="Parameter 'parameter': expected float32 or float64, got int64"):
        Parameter(np.array([1]))


@pytest.mark.parametrize("order, lies", [("C", (0, 1, 2, 3)), ("F", (3, 2, 1, 0)), ((2, 3, 1, 0), (2, 3, 1, 0)),
                                         ((1, 0, 3, 2), (1, 0, 3, 2))])
def test_the_order_of_axes(order, lies):
    values = np.arange(24.0).reshape(2, 3, 4, 1)
    w = Parameter(values, order=order)
    w.grad = values + 1
    assert w.shape == (2, 3, 4, 1) and w.data.tolist() == values.tolist()
    assert w.store.values[w.start:w.start + 24].tolist() == values.transpose(lies).ravel().tolist()
    assert w.store.gradients[w.start:w.start + 24].tolist() == (values + 1).transpose(lies).ravel().tolist()
    for other in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert other.order == order and other.data.strides == w.data.strides
        assert other.grad.tolist() == (values + 1).tolist() and not np.shares_memory(other.data, w.data)


@needs_room
@in_a_thread
def test_a_model_lies_in_one_piece():
    layer, moves = nn.Linear(3, 2, generator=0), storage.moves()
    assert len(storage.spans(layer.parameters())) == 1
    assert layer.flat_parameters.size == 8 and storage.moves() == moves
