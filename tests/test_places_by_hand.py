"""Which lines of a recording share memory or are done together, for recordings that are written by hand."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from minidl.compiled.places import finishes, in_place
from minidl.compiled.products import LARGEST, joined, reordered, stacked
from minidl.compiled.slices import sliced
from minidl.functional.operation import WITH_KERNELS
from minidl.kernels.ledger import Line, owner_of

F4 = np.float32


class Written:
    """Lines, and the arrays that they read and make."""

    def __init__(self):
        self.lines, self.roots, self.kept = [], {}, []

    def given(self, *shape, kind="argument", order="C", dtype=F4):
        array = np.zeros(shape, dtype, order)
        self.roots[id(array)] = SimpleNamespace(key=(kind, len(self.roots)))
        self.kept.append(array)
        return array

    def line(self, name, *operands, shape=None, output=None, what="operation", order="C", dtype=F4, **settings):
        """The output of an operation."""
        if output is None and what in ("operation", "function"):
            output = self.given(*(operands[0].shape if shape is None else shape), kind="line", order=order, dtype=dtype)
        operation = WITH_KERNELS.get(name, SimpleNamespace(name=name, kernel=None, settings=()))
        outputs = () if output is None else (output,)
        self.lines.append(Line(what, operation, operands, settings, outputs))
        return output

    def last(self):
        return {key: n for n, line in enumerate(self.lines) for key in line.owners}

    def in_place(self, apart=()):
        """Pairs of arrays: of an output, and of the place that it takes."""
        found = in_place(self.lines, self.roots, self.last(), set(map(id, apart)))
        arrays = {id(array): array for array in self.kept}
        return [(arrays[made], arrays[place]) for made, place in found.items()]


def same(pairs, *wanted):
    return [(id(a), id(b)) for a, b in pairs] == [(id(a), id(b)) for a, b in wanted]


def test_an_output_lies_where_an_operand_ends():
    w = Written()
    x = w.given(3, 4)
    a = w.line("tanh", x)
    b = w.line("exp", a)
    c = w.line("add", b, w.given(3, 4))
    assert same(w.in_place(), (b, a), (c, a))  # not a in x: an argument is the caller's


@pytest.mark.parametrize("apart", [0, 1])
def test_arrays_that_are_to_stay_apart_do(apart):
    w = Written()
    a = w.line("tanh", w.given(3, 4))
    b = w.line("exp", a)
    assert same(w.in_place([(a, b)[apart]]))


def test_an_operand_that_is_read_afterwards_is_kept():
    w = Written()
    a = w.line("tanh", w.given(3, 4))
    b = w.line("exp", a)
    c = w.line("mul", a, b)
    assert same(w.in_place(), (c, a))


def test_the_second_operand_will_do():
    w = Written()
    x = w.given(3, 4)
    a = w.line("tanh", x)
    b = w.line("sub", x, a)
    c = w.line("sub", 2.0, b, shape=(3, 4))
    assert same(w.in_place(), (b, a), (c, a))


@pytest.mark.parametrize("other", [
    lambda w, a: w.line("exp", a[:2], shape=(2, 4)), lambda w, a: w.line("exp", a.T, shape=(4, 3)),
    lambda w, a: w.line("add", a, a[0]), lambda w, a: w.line("add", a[:, :], a[::-1]),
    lambda w, a: w.line("lt", a, 0.0, dtype=bool), lambda w, a: w.line("exp", a, order="F"),
    lambda w, a: w.line("softmax", a, dim=-1), lambda w, a: w.line("sum", a, shape=()),
    lambda w, a: w.line("exp", a, where=np.ones(3)), lambda w, a: w.line("exp", a, sizes=(1, 2)),
    lambda w, a: w.line("exp", a, what="function"),
    lambda w, a: w.line("exp", a, output=w.given(6, 4, kind="line")[:3]),
    lambda w, a: w.line("exp", a, output=a), lambda w, a: w.line("exp", a, output=w.given(3, 4, kind="outside")),
    lambda w, a: w.line("exp", 2.0, shape=(3, 4))])
def test_what_does_not_lie_like_the_operand_has_its_own_place(other):
    w = Written()
    a = w.line("tanh", w.given(3, 4))
    other(w, a)
    assert same(w.in_place())


def test_the_same_operand_twice_ends_where_it_is_read():
    w = Written()
    a = w.line("tanh", w.given(3, 4))
    b = w.line("mul", a, a[:, :])
    assert same(w.in_place(), (b, a))


def relu_and_its_derivative(change=None, first="relu"):
    w = Written()
    x = w.line("tanh", w.given(3, 4))
    y = w.line(first, x)
    g = w.line("exp", w.given(3, 4))
    operands = {"g": g, "x": x}
    if change is not None:
        change(w, operands)
    dx = w.line(f"{first}_backward", operands["g"], operands["x"])
    return w.in_place(), x, y, g, dx


def test_a_derivative_may_read_the_output_of_a_relu():
    pairs, x, y, g, dx = relu_and_its_derivative()
    assert same(pairs, (y, x), (dx, g))


@pytest.mark.parametrize("change", [
    lambda w, o: w.line("exp", o["x"]), lambda w, o: w.line("relu_backward", o["x"], o["x"]),
    lambda w, o: w.line("relu_backward", o["g"], 1.0, o["x"]), lambda w, o: w.line("tanh_backward", o["g"], o["x"]),
    lambda w, o: w.line("f", o["x"], what="function"), lambda w, o: o.update(x=o["x"][::-1])])
def test_a_relu_whose_input_is_read_otherwise_does_not_take_its_place(change):
    pairs, x, y, *_ = relu_and_its_derivative(change)
    assert (id(y), id(x)) not in [(id(a), id(b)) for a, b in pairs]


def test_what_was_read_before_the_relu_does_not_matter():
    w = Written()
    x = w.line("tanh", w.given(3, 4))
    w.line("exp", x, shape=(3, 4))
    y = w.line("relu", x)
    g = w.given(3, 4)
    w.line("relu_backward", g, x)
    assert (id(y), id(x)) in [(id(a), id(b)) for a, b in w.in_place()]


def test_a_relu_within_a_place_that_is_shared_waits_for_its_end():
    """Its input lies where another array lay: only that one's own input may be written over early."""
    w = Written()
    a = w.line("tanh", w.given(3, 4))
    b = w.line("exp", a)
    c = w.line("relu", b)
    w.line("relu_backward", w.given(3, 4), b)
    assert same(w.in_place()[:1], (b, a)) and (id(c), id(a)) not in [(id(x), id(y)) for x, y in w.in_place()]


def as_it_is(array):
    return array


def test_a_relu_is_finished_by_the_convolution_before_it():
    x, y = np.zeros((2, 3, 4, 4), F4), np.zeros((2, 3, 4, 4), F4)

    def lines(first, second, a, b, what=("operation", "operation")):
        return (Line(what[1], SimpleNamespace(name=second), a, {}, (b,)),
                Line(what[0], SimpleNamespace(name=first), (x, x), {}, (y,)))

    assert finishes(*lines("convolution", "relu", (y,), y), as_it_is)
    assert finishes(*lines("max_pool_backward", "relu_backward", (y, x), y), as_it_is)
    for a, b in (((x,), y), ((y,), x), ((y[:1],), y)):
        assert not finishes(*lines("convolution", "relu", a, b), as_it_is)
    for a, b in (((x, x), y), ((y, x), x), ((y, y), y), ((y, x[:, ::-1]), y)):
        assert not finishes(*lines("max_pool_backward", "relu_backward", a, b), as_it_is)
    for names in (("max_pool", "relu"), ("convolution", "relu_backward"), ("max_pool_backward", "relu"),
                  ("convolution", "tanh"), ("linear", "relu")):
        assert not finishes(*lines(*names, (y, x), y), as_it_is)
    assert not finishes(*lines("convolution", "relu", (y,), y, ("operation", "function")), as_it_is)
    assert not finishes(*lines("convolution", "relu", (y,), y, ("function", "operation")), as_it_is)
    assert not finishes(*lines("convolution", "relu", (y,), y), lambda array: array.copy())


# Products that are one


def numbers_of(groups):
    return [group.numbers for group in groups]


def layers(change=None, kind="argument", rows=16, orders=(0, 1, 2), **how):
    """Linear layers on neighbouring rows of one array; between the first and the second: change(w, weight, x)."""
    w = Written()
    whole, weight = w.given(3, rows, 8, kind=kind), w.given(4, 8)
    for place, t in enumerate(orders):
        if place == 1 and change:
            change(w, weight, whole)
        w.line("linear", whole[t], weight, shape=(rows, 4), **how)
    return numbers_of(joined(w.lines, w.roots))


@pytest.mark.parametrize("kind", ["argument", "constant", "outside"])
def test_layers_on_neighbouring_rows_are_joined(kind):
    assert layers(kind=kind) == [[0, 1, 2]]
    assert layers(kind=kind, orders=(0, 2, 1)) == [] and layers(kind=kind, orders=(1, 2, 0)) == [[0, 1]]


@pytest.mark.parametrize("change, wanted", [
    (lambda w, weight, x: w.line("exp", x[0]), [[0, 2, 3]]),
    (lambda w, weight, x: w.line("f", x[0], what="function"), [[2, 3]]),
    (lambda w, weight, x: w.line("f", what="call"), [[2, 3]]),
    (lambda w, weight, x: w.line("f", x[0], what="finite"), [[2, 3]]),
    (lambda w, weight, x: w.line("f", output=weight, what="zero"), [[2, 3]]),
    (lambda w, weight, x: w.line("f", x[0], output=weight[2:], what="accumulate"), [[2, 3]]),
    (lambda w, weight, x: w.line("f", x[1], output=x[0], what="overwrite"), [[2, 3]]),
    (lambda w, weight, x: w.line("f", output=x[2], what="zero"), [[0, 2, 3]]),
    (lambda w, weight, x: w.line("f", output=w.given(4, 8), what="zero"), [[0, 2, 3]])])
def test_what_stands_between_joined_layers(change, wanted):
    assert layers(change) == wanted


def test_layers_that_are_not_joined():
    assert layers(kind="line") == []
    assert layers(rows=3) == []  # 48 bytes: no whole lines of the cache
    assert layers(rows=4) == [[0, 1, 2]]
    assert layers(order="F") == []
    w = Written()
    x, weights = w.given(2, 16, 8), [w.given(4, 8), w.given(4, 8)]
    for t in range(2):
        w.line("linear", x[t], weights[t], shape=(16, 4))
    assert joined(w.lines, w.roots) == []
    w = Written()
    x, weight = w.given(2, 16, 8), w.given(4, 8)
    for t in range(2):
        w.line("linear", x[t], weight, 1.0, shape=(16, 4))
    assert joined(w.lines, w.roots) == []
    w = Written()
    x, weight = w.given(2, 3, 16, 8), w.given(4, 8)
    for t in range(2):
        w.line("linear", x[t], weight, shape=(3, 16, 4))  # not matrices
    assert joined(w.lines, w.roots) == []
    w = Written()
    x, weight, bias = w.given(2, 16, 8), w.given(4, 8), w.given(4)
    for t, layer in enumerate([(weight,), (weight, bias)]):
        w.line("linear", x[t], *layer, shape=(16, 4))
    assert joined(w.lines, w.roots) == []


def test_a_written_array_of_a_later_layer_parts_it_from_those_before():
    w = Written()
    x, weight = w.given(3, 16, 8), w.given(4, 8)
    for t in range(3):
        if t == 2:
            w.line("f", output=x[1], what="zero")  # which the second product reads
        w.line("linear", x[t], weight, shape=(16, 4))
    assert numbers_of(joined(w.lines, w.roots)) == [[0, 1]]


def test_groups_of_two_weights_in_turns():
    w = Written()
    x, u, v = w.given(2, 16, 8), w.given(4, 8), w.given(4, 8)
    for t in range(2):
        w.line("linear", x[t], u, shape=(16, 4))
        w.line("linear", x[t], v, shape=(16, 4))
    assert numbers_of(joined(w.lines, w.roots)) == [[0, 2], [1, 3]]


def sums(change=None, count=3, placed=(), rows=16, **made):
    """Products that add to one gradient; between the first and the second: change(w, gradient, operands)."""
    w = Written()
    gradient = w.given(4, 8, kind="gradients")
    pairs = [(w.line("tanh", w.given(rows, 4), **made), w.line("tanh", w.given(rows, 8))) for _ in range(count)]
    for n, (g, x) in enumerate(pairs):
        if n == 1 and change:
            change(w, gradient, pairs)
        w.line("linear_weight_gradient", g, x, output=gradient, what="accumulate")
    found = stacked(w.lines, w.roots, {id(pairs[i][j]) for i, j in placed})
    return [[n - 2 * count for n in group.numbers] for group in found], found, w


def test_products_that_add_to_one_gradient_are_stacked():
    numbers, (stack,), w = sums()
    assert numbers == [[0, 1, 2]] and stack.first == 6 and stack.last == 8 and stack.rows == 48
    assert stack.bytes == 3 * 16 * 8 * 4  # of the wider operands
    assert [[id(a) for a in side] for side in stack.operands] == [
        [id(w.lines[n].operands[side]) for n in (6, 7, 8)] for side in (0, 1)]


@pytest.mark.parametrize("change, wanted", [
    (lambda w, gradient, pairs: w.line("exp", w.given(2, 2)), [[0, 2, 3]]),
    (lambda w, gradient, pairs: w.line("exp", gradient), [[2, 3]]),
    (lambda w, gradient, pairs: w.line("exp", gradient[3:]), [[2, 3]]),
    (lambda w, gradient, pairs: w.line("f", output=gradient, what="overwrite"), [[2, 3]]),
    (lambda w, gradient, pairs: w.line("f", output=gradient, what="zero"), [[2, 3]]),
    (lambda w, gradient, pairs: w.line("f", what="call"), [[2, 3]]),
    (lambda w, gradient, pairs: w.line("f", gradient, what="finite"), [[2, 3]]),
    (lambda w, gradient, pairs: w.line("f", output=w.given(4, 8), what="zero"), [[0, 2, 3]])])
def test_what_stands_between_stacked_products(change, wanted):
    assert sums(change)[0] == wanted


def test_products_that_are_not_stacked():
    assert sums(count=1)[0] == [] and sums(rows=15)[0] == []  # no whole lines of the cache
    assert sums(order="F")[0] == []
    assert sums(placed=[(0, 0)])[0] == [[1, 2]] and sums(placed=[(1, 1)])[0] == []
    many = LARGEST // (16 * 8 * 4)
    assert [len(numbers) for numbers in sums(count=many)[0]] == [many]
    assert [len(numbers) for numbers in sums(count=many + 2)[0]] == [many, 2]


def test_an_operand_is_stacked_once():
    w = Written()
    gradient, other = w.given(4, 8, kind="gradients"), w.given(4, 8, kind="gradients")
    g, x, y = (w.line("tanh", w.given(16, n)) for n in (4, 8, 8))
    for target, pair in ((gradient, (g, x)), (gradient, (g, y)), (other, (g, x))):
        w.line("linear_weight_gradient", *pair, output=target, what="accumulate")
    assert stacked(w.lines, w.roots, set()) == []


def test_weights_that_are_written_to_between_are_reordered_anew():
    w = Written()
    weight = w.given(16, 8, order="F")
    for n in range(4):
        if n == 2:
            w.line("f", output=weight[3:], what="overwrite")
        w.line("linear_input_gradient", w.given(2, 16), weight, shape=(2, 8))
    found = reordered(w.lines)
    assert [(one.first, one.last, one.uses) for one in found] == [(0, 1, 2), (3, 4, 2)]


# Slices that are written to their places


def slices(parts, copies=(), shape=(4, 24), lasting=(), read=False, between=None):
    """A sum of zeros with a gradient at each of the parts; the numbers of the lines, and what is written where."""
    w = Written()
    total, sources = None, []
    x = w.given(*shape)
    for n, index in enumerate(parts):
        part = np.zeros(shape, F4)[index]
        source = w.line("tanh", w.given(*part.shape))
        if n in copies:
            source = w.line("tanh", w.given(*part.shape[::-1], order="F"), shape=part.shape[::-1], order="F").T
            copied = w.line("reshape", source, shape=part.shape)
            sources.append(owner_of(source))
            one = w.line("scatter", copied, x, shape=shape, index=index)
        else:
            sources.append(source)
            one = w.line("scatter", source, x, shape=shape, index=index)
        if between and n == 0:
            between(w, source)
        total = one if total is None else w.line("add", total, one)
    if read:
        w.line("exp", one)
    kept = {id(total)} if lasting == "total" else {id(one)} if lasting == "one" else set()
    return w, sources, sliced(w.lines, kept)


COLUMNS = [(..., slice(0, 8)), (..., slice(8, 16)), (..., slice(16, 24))]


def test_slices_along_an_axis_are_one_sum():
    w, sources, (one,) = slices(COLUMNS)
    assert one.axis == 1 and one.last == 7 == len(w.lines) - 1 and one.numbers == [1, 3, 4, 6, 7]
    assert [id(source) for source, _ in one.parts] == [id(source) for source in sources]
    assert [index for _, index in one.parts] == COLUMNS and one.spans == [(0, 8), (8, 16), (16, 24)]
    assert one.covers(24) and not one.covers(25)
    _, _, (one,) = slices([slice(1, 2), slice(3, 4)])
    assert one.axis == 0 and one.spans == [(1, 2), (3, 4)] and not one.covers(4)
    assert slices(COLUMNS, lasting="total")[2][0].last == 7
    assert slices(COLUMNS[::-1])[2][0].spans == [(16, 24), (8, 16), (0, 8)]


@pytest.mark.parametrize("parts", [
    COLUMNS[:1], [(..., slice(0, 9)), (..., slice(8, 16))], [(..., slice(0, 8, 2)), (..., slice(8, 16))],
    [(..., slice(0, 8)), slice(0, 2)], [(slice(0, 2), slice(0, 8)), (slice(0, 2), slice(8, 16))],
    [(..., slice(None)), (..., slice(8, 16))], [(..., slice(0, 0)), (..., slice(8, 16))], [0, 1],
    [(..., slice(7, None, -1)), (..., slice(8, 16))]])
def test_other_slices_are_added(parts):
    assert slices(parts)[2] == []


def test_a_sum_that_is_read_elsewhere_is_added():
    assert slices(COLUMNS[:2], read=True)[2] == [] and slices(COLUMNS[:2], lasting="one")[2] == []


@pytest.mark.parametrize("between, whole", [
    (lambda w, source: w.line("exp", source), True), (lambda w, source: w.line("f", what="call"), False),
    (lambda w, source: w.line("f", w.given(2), what="function"), False),
    (lambda w, source: w.line("f", output=source, what="zero"), False),
    (lambda w, source: w.line("f", source, output=source[1:], what="accumulate"), False),
    (lambda w, source: w.line("f", output=w.given(4, 8), what="overwrite"), True)])
def test_what_stands_between_the_slices(between, whole):
    assert [len(one.parts) for one in slices(COLUMNS[:2], between=between)[2]] == [2] * whole


def test_a_copy_that_only_changes_the_shape_is_left_out():
    w, sources, (one,) = slices(COLUMNS[:2], copies=(1,))
    copy, = [n for n, line in enumerate(w.lines) if line.operation.name == "reshape"]
    assert copy in one.numbers and owner_of(one.parts[1][0]) is sources[1] and one.parts[0][0] is sources[0]
