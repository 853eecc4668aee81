"""The memory of programs: which bytes are shared, and arrays as matrices, which pair elements as NumPy does."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

from minidl.compiled.arena import Arena, as_matrices, in_memory_order, rows_of, strided

F4 = np.float32


def test_places_are_whole_cache_lines_and_begin_at_once():
    arena = Arena()
    assert [arena.place(size) for size in (1, 64, 65, 0, 128)] == [0, 64, 128, 256, 320] and arena.end == 448


def test_the_smallest_hole_that_fits_is_taken_and_its_rest_is_left():
    arena = Arena()
    a, b, c, d, e = (arena.place(64 * n) for n in (3, 1, 2, 1, 1))
    arena.free(a)
    arena.free(c)
    assert arena.place(128) == c  # 128 bytes exactly, not the 192 at the beginning
    assert arena.place(100) == a and arena.place(64) == a + 128  # the rest of the 192
    assert arena.place(64) == arena.end - 64 == e + 64  # no hole is left
    assert (b, d) == (192, 384)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_neighbouring_holes_are_one_hole(order):
    arena = Arena()
    places = [arena.place(64) for _ in range(4)]
    for i in order:
        arena.free(places[i])
    assert arena.place(192) == 0 and arena.place(64) == 256 and arena.end == 320


def test_holes_that_do_not_touch_stay_apart():
    arena = Arena()
    places = [arena.place(64) for _ in range(5)]
    for i in (0, 2, 4):
        arena.free(places[i])
    assert arena.place(128) == 320
    assert sorted(arena.place(64) for _ in range(3)) == [0, 128, 256] and arena.end == 448


def test_arrays_that_are_alive_together_share_no_byte():
    arena, rng, alive = Arena(), np.random.default_rng(0), {}
    most = 0
    for _ in range(400):
        if alive and rng.random() < 0.5:
            arena.free(key := list(alive)[rng.integers(len(alive))])
            del alive[key]
        else:
            size = int(rng.integers(1, 500))
            offset = arena.place(size)
            end = offset + -(-size // 64) * 64
            assert offset % 64 == 0 and end <= arena.end
            assert all(end <= other or other_end <= offset for other, other_end in alive.items())
            alive[offset] = end
            most = max(most, sum(end - begin for begin, end in alive.items()))
    assert most <= arena.end < 2 * most
    for offset in list(alive):
        arena.free(offset)
    end = arena.end
    assert arena.place(end) == 0 and arena.end == end  # all holes have become one


def test_arrays_lie_at_their_offsets():
    arena = Arena()
    arena.place(64)
    offset = arena.place(64)
    arena.allocate()
    array = arena.array(offset, (2, 3), F4)
    array[...] = np.arange(6).reshape(2, 3)
    assert arena.array(offset, (3, 2), F4, (4, 12)).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert arena.memory.size == 128 and array.ctypes.data - arena.memory.ctypes.data == 64
    assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_axes_in_the_order_of_memory(axes):
    array = np.arange(24).reshape(2, 3, 4)
    turned = in_memory_order(array.transpose(axes))
    assert turned.shape == (2, 3, 4) and turned.strides == array.strides
    assert in_memory_order(array) is array


def test_a_view_with_other_strides_begins_at_the_first_element():
    array = np.arange(12, dtype=F4).reshape(3, 4)
    assert strided(array[1:], (4, 2), (4, 16)).tolist() == array[1:].T.tolist()
    assert strided(array.T, (3, 4), (16, 4)).tolist() == array.tolist()
    assert strided(array[1:, 2:], (1, 2), (16, 4)).tolist() == [[6, 7]]
    assert strided(array, (3, 4), (16, 4)) is array
    assert strided(array, (0, 4), (16, 4)) is None
    fixed = array.view()
    fixed.flags.writeable = False
    assert strided(fixed, (3, 4), (16, 4)).flags.writeable  # the program's own view of the same memory
    assert np.shares_memory(strided(fixed, (3, 4), (16, 4)), array)
    gaps = np.ndarray((2, 2), F4, bytearray(64), 0, (32, 4))
    assert strided(gaps, (2, 2), (32, 4)) is None
    assert type(strided(array.view(np.matrix), (3, 4), (16, 4))) is np.ndarray


LAYOUTS = {
    "as it lies": lambda a: a, "turned": lambda a: np.array(a, order="F"),
    "with gaps": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "a part": lambda a: np.pad(a, [(0, 1)] * a.ndim)[tuple(slice(n) for n in a.shape)],
    "the first axis last": lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy("C"), -1, 0)}


def laid(layout: str, shape: tuple[int, ...], begin: int, dtype) -> np.ndarray:
    """begin, begin + 1, ... in an array of this shape."""
    array = (begin + np.arange(np.prod(shape))).astype(dtype).reshape(shape)
    return LAYOUTS[layout](array) if shape else array


def merged(views) -> int:
    """How many axes are left, when neighbours that lie one behind the other in all views are one."""
    axes = [axis for axis, n in enumerate(views[0].shape) if n != 1]
    axes.sort(key=lambda axis: -views[0].strides[axis])
    count = 0
    for i, axis in enumerate(axes):
        joins = i > 0 and all(v.strides[axes[i - 1]] == v.strides[axis] * v.shape[axis] for v in views)
        count += not joins
    return count


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape, second", [
    ((), ()), ((5,), (5,)), ((5,), ()), ((5,), (1,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), (2, 1)),
    ((1, 3), (1, 3)), ((3, 1), (3, 1)), ((3, 1), (1, 1)), ((1, 1), (1, 1)), ((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)),
    ((2, 3, 4), (2, 1, 1)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (2, 1, 4)), ((2, 1, 4), (1, 4)),
    ((1, 3, 4), (3, 4)), ((2, 3, 1), (2, 1, 1)),
    ((2, 3, 4, 5), (3, 4, 5)), ((2, 3, 4, 5), (3, 1, 1)), ((1, 1, 4, 1), (1, 1, 4, 1))])
def test_matrices_pair_the_elements_that_broadcasting_pairs(layout, shape, second):
    for other in LAYOUTS:
        output, given = laid(layout, shape, 0, F4), laid(other, second, 100, np.float64)
        views = [output, np.broadcast_to(given, shape)]
        found = as_matrices(shape, [output, given])
        columns = min([abs(s) for s, n in zip(output.strides, shape, strict=True) if n != 1], default=4)
        assert (found is not None) == (merged(views) <= 2 and columns == 4), other
        if found is None:
            continue
        first, mine = found
        assert first.ndim == mine.ndim == 2 and first.shape == mine.shape and first.size == output.size
        assert first.strides[1] == 4 and first.dtype == F4 and mine.dtype == np.float64
        assert np.shares_memory(first, output) and np.shares_memory(mine, given)
        pairs = dict(zip(output.ravel(), np.broadcast_to(given, shape).ravel(), strict=True))
        assert dict(zip(first.ravel(), mine.ravel(), strict=True)) == pairs


def test_arrays_that_all_lie_in_order_are_one_row():
    arrays = [np.zeros((2, 3, 4), dtype) for dtype in (F4, np.float64, bool)]
    found = as_matrices((2, 3, 4), arrays)
    assert [(a.shape, a.strides) for a in found] == [((1, 24), (96, 4)), ((1, 24), (192, 8)), ((1, 24), (24, 1))]
    gaps = np.ndarray((2, 2), F4, bytearray(64), 0, (32, 4))
    assert as_matrices((2, 2), [np.zeros((2, 2), F4), gaps]) is None
    assert as_matrices((0, 2), [np.zeros((0, 2), F4)]) is None


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 4), (2, 1, 4), (1, 3, 4), (1, 1, 4), (2, 3, 1),
                                   (2, 3, 4, 5), (2, 1, 3, 2), (1, 1, 1), (5, 1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_what_a_reshape_without_a_copy_gives(shape, layout):
    array = laid(layout, shape, 0, F4)
    rows = rows_of(array)
    wanted = array.reshape(-1, array.shape[-1] if shape else 1)
    if array.ndim < 2 or np.shares_memory(wanted, array):
        assert rows.shape == wanted.shape and rows.tolist() == wanted.tolist()
        assert np.shares_memory(rows, array)
    else:
        assert rows is None


def test_the_strides_of_rows():
    assert rows_of(np.zeros((), F4)).strides == (4, 4) and rows_of(np.zeros(3, F4)).strides == (12, 4)
    assert rows_of(np.zeros((1, 1, 3), F4)).strides == (12, 4) and rows_of(np.zeros((2, 1, 3), F4)).strides == (12, 4)
    assert rows_of(np.zeros((2, 6), F4)[:, ::2]).strides == (24, 8)
