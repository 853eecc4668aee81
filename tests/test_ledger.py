"""The memory that a recording's operands lie in: what is told of views, and that writes are seen."""
from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels.ledger import Gaps, Line, Root, address_of, owner_of, span_of

VIEWS = {
    "itself": lambda a: a, "rows": lambda a: a[1:3], "a column": lambda a: a[:, 2], "transposed": lambda a: a.T,
    "every second": lambda a: a[::2, ::3], "backwards": lambda a: a[::-1], "an element": lambda a: a[1, 1:2],
    "no element": lambda a: a[:0], "a row as a matrix": lambda a: a[2].reshape(2, -1),
    "broadcast": lambda a: np.broadcast_to(a[0], (3, a.shape[1])),
}


def arrays():
    return {"C": np.arange(24.0).reshape(4, 6), "F": np.asfortranarray(np.arange(24.0).reshape(4, 6)),
            "bytes": np.arange(24, dtype=np.int8).reshape(4, 6)}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("array", arrays())
def test_a_write_is_seen_where_it_is(array, view):
    array = arrays()[array]
    part, root = VIEWS[view](array), Root(array, ("x",))
    assert root.same(part)
    for index in np.ndindex(array.shape):
        before = array[index]
        touched = part.copy()
        array[index] = 100
        assert root.same(part) == np.array_equal(touched, part)
        array[index] = before
        assert root.same(part)
    array += 1
    root.take(part)
    assert root.same(part)
    assert root.same(array) == (part.size == array.size)


def test_bits_count_and_not_values():
    array = np.zeros(3)
    root = Root(array, ("x",))
    array[1] = -0.0
    assert not root.same(array)
    array[1] = np.nan
    root.take(array)
    assert root.same(array)


def test_one_that_begins_empty_has_what_was_taken():
    array = np.arange(6.0)
    root = Root(array, ("x",), True)
    root.take(array[2:4])
    assert root.same(array[2:4]) and not root.same(array)


def test_views_are_told_by_place_shape_strides_and_dtype():
    array = np.arange(24.0).reshape(4, 6)
    root = Root(array, ("x", 1))
    told = {root.told(view(array)) for view in VIEWS.values()}
    assert len(told) == len(VIEWS) and root.told(array) == root.told(array[:]) == (
        ("x", 1), 0, (4, 6), (48, 8), array.dtype)
    array.shape = 6, 4
    assert root.told(array)[2] == (6, 4)


def test_a_view_that_reaches_beyond_is_refused():
    array = np.arange(8.0)
    root = Root(array[:4].copy(), ("x",))
    for function in (root.same, root.take):
        with pytest.raises(Gaps):
            function(array)
    array = np.arange(8.0)
    root = Root(array, ("x",))
    array.resize(4, refcheck=False)
    assert not root.same(array)


def test_an_array_with_gaps_is_compared_as_a_whole():
    array = np.arange(24.0).reshape(4, 6)[:, ::2]
    root = Root(array, ("x",))
    assert root.same(array)
    array[1, 1] = 7
    assert not root.same(array)
    root.take(array)
    assert root.same(array)
    for function in (root.same, root.take):
        with pytest.raises(Gaps):
            function(array[:2])


def test_wrong_arguments():
    root = Root(np.zeros(2), ("x",))
    for function in (root.same, root.take, root.told, owner_of, address_of, span_of):
        with pytest.raises(TypeError, match="expected an array, got list"):
            function([0.0])
    with pytest.raises(TypeError):
        Root([0.0], ("x",))


@pytest.mark.parametrize("view", VIEWS)
def test_spans_are_numpys(view):
    part = VIEWS[view](np.arange(24.0).reshape(4, 6))
    if part.size:
        assert span_of(part) == np.lib.array_utils.byte_bounds(part)


def test_a_line_lists_its_arrays():
    a, b, c = np.zeros(2), np.zeros((2, 2)), np.zeros(1)
    line = Line("operation", None, (a, 1.0, b[0]), {"index": (c, [a])}, (b, None))
    assert [id(array) for array in line.arrays if array.base is None] == [id(a), id(c), id(a), id(b)]
    assert line.owners == [id(a), id(b), id(c), id(a), id(b)]


ASSIGNED = {
    "nothing": lambda a: None, "shape": lambda a: setattr(a, "shape", (8, 3)),
    "dtype": lambda a: setattr(a, "dtype", np.int64), "both": lambda a: (ASSIGNED["shape"](a), ASSIGNED["dtype"](a)),
    "and back": lambda a: (ASSIGNED["both"](a), setattr(a, "dtype", np.float64), setattr(a, "shape", (4, 6))),
}


@pytest.mark.parametrize("assigned", ASSIGNED)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_view_is_told_as_it_is_now(view, assigned):
    """Where it begins, its shape, strides and type; of the array itself also after these were assigned to."""
    array = arrays()["C"].copy()
    root, part = Root(array, ("x",)), VIEWS[view](array)
    for _ in range(2):
        told = root.told(part)
        assert told == root.told(part)
        assert told[0] == ("x",) and told[1] == address_of(part) - address_of(array)
        assert told[2:] == (part.shape, part.strides, part.dtype)
        ASSIGNED[assigned](array)
