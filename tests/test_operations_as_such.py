"""An Operation of one's own: its arguments, what it keeps, views, what it is given, its kernel, what it refuses."""
from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.functional.operation import Joining, Operation, by_input, by_output, no_derivative, shares

X = np.array([1.0, 2.0, 3.0])


def leaf(data=X):
    return minidl.tensor(np.array(data), requires_grad=True)


def test_what_it_is_by_default():
    plain = Operation("f", lambda a, b: a, lambda g, y, a, b: g, no_derivative)
    assert (plain.arity, plain.settings, plain.saves, plain.views) == (2, (), False, False)
    assert (plain.adds, plain.add) == ((), None)
    assert (plain.kernel, plain.output_serves, plain.common, plain.add_all) == (None, False, None, no_derivative)
    assert plain.reads == ("0123456789y",) * 2 and plain.constants == [1] and no_derivative(1, a=2) is None
    assert Operation("f", lambda *a: a[0]).arity == math.inf and Operation("f", lambda *a: a[0], arity=3).arity == 3
    assert plain.kernel_call({}) is None and plain.run(X, 2)[0] is X and plain.run(X, 2)[1] is X


def test_values_of_arrays_and_of_tensors():
    asked = []
    pair = Operation("pair", lambda a, b, by=2.0, to=0.0: asked.append((a, b)) or a * by + b + to,
                     lambda g, y, a, b, by=2.0, to=0.0: g * by, lambda g, y, a, b, by=2.0, to=0.0: g,
                     settings=("by", "to"))
    for more, by, to in (((), 2, 0), ((3.0,), 3, 0), ((3.0, 1.0), 3, 1)):
        assert pair(X, X, *more).tolist() == (X * by + X + to).tolist()
        a, b = leaf(), leaf()
        y = pair(a, b, *more)
        y.backward(X)
        assert y.tolist() == (X * by + X + to).tolist()
        assert a.grad.tolist() == (X * by).tolist() and b.grad.tolist() == X.tolist()
    assert pair(X, X, 3.0, to=1.0).tolist() == pair(X, X, to=1.0, by=3.0).tolist() == (4 * X + 1).tolist()
    with pytest.raises(TypeError, match="pair: expected at most 4 arguments, got 5"):
        pair(X, X, 1.0, 2.0, 3.0)
    asked.clear()
    pair(minidl.tensor(X), np.float64(4.0))
    pair(np.float32(4.0), minidl.tensor(X))
    assert type(asked[0][1]) is float and type(asked[1][0]) is float and asked[1][1] is not None
    assert pair.of(X, X).tolist() == (3 * X).tolist() and isinstance(pair.of(leaf(), X), minidl.Tensor)
    for wrong, name in (("text", "str"), ([1.0], "list"), (None, "NoneType"), (1j, "complex")):
        for sides in ((minidl.tensor(X), wrong), (wrong, minidl.tensor(X))):
            with pytest.raises(TypeError, match=f"^pair: expected Tensors, arrays or numbers, got {name}$"):
                pair(*sides)


def test_numbers_of_numpy_among_the_inputs():
    """They are Python's, in the value, in derivatives of derivatives, and for what is read."""
    cube = Operation("cube", lambda a, b, c: a * b * c, lambda g, y, a, b, c: None, lambda g, y, a, b, c: g * c * a,
                     lambda g, y, a, b, c: g * b * a, reads=("", "02", "01"))
    for number in (np.float64(2.0), np.float32(2.0), np.int64(2)):
        b, c = leaf(), leaf(X + 1)
        y = cube(number, b, c)
        first, = minidl.autograd.grad(y, b, X, create_graph=True)
        assert y.tolist() == (2 * X * (X + 1)).tolist() and first.tolist() == (2 * X * (X + 1)).tolist()
        assert minidl.autograd.grad(first.sum(), c)[0].tolist() == (2 * X).tolist()
        with minidl.no_grad():
            c.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            minidl.autograd.grad(cube(number, b, c) + y, b, X)
        last = Operation("last", lambda a, b: a * b, lambda g, y, a, b: g * b, no_derivative, reads=("1", ""))
        assert minidl.autograd.grad(last(leaf(), number), [x := leaf()], X, allow_unused=True) == (None,)
        assert minidl.autograd.grad(last(x, number), x, X)[0].tolist() == (2 * X).tolist()


def test_results_that_have_no_gradient():
    whole = Operation("whole", lambda x: x.astype(np.int64), lambda g, y, x: g)
    assert whole(minidl.tensor(X)).dtype == np.int64
    with pytest.raises(TypeError, match="Tensor: only float32 and float64 have gradients, got int64"):
        whole(leaf())
    with minidl.no_grad():
        assert not whole(leaf()).requires_grad
    label = Operation("label", lambda x, t: x + t, lambda g, y, x, t: g, no_derivative)
    assert not label(minidl.tensor(X), leaf()).requires_grad and label(leaf(), leaf()).requires_grad
    t, x = leaf(), leaf()
    label(x, t).sum().backward()
    assert t.grad is None and x.grad.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="Tensor: expected numbers, got <U1"):
        Operation("text", lambda x: np.array("a"))(minidl.tensor(X))
    number = Operation("first", lambda x: x[0], lambda g, y, x: g * np.array([1.0, 0.0, 0.0]))(leaf())
    assert number.shape == () and isinstance(number.data, np.ndarray) and number.dtype == np.float64


def test_a_value_that_is_kept():
    seen = []
    kept = Operation("kept", lambda x, by=1.0: (x * by, by + 1), lambda g, y, x, by=1.0: seen.append(y) or g * y,
                     settings=("by",), saves=True)
    assert kept(X).tolist() == X.tolist() and kept(X, 3.0).tolist() == (3 * X).tolist() and kept.run(X)[1] == 2
    x = leaf()
    kept(x, 3.0).backward(X)
    assert seen == [4.0] and x.grad.tolist() == (4 * X).tolist()


@pytest.mark.parametrize("call, same", [
    (lambda x: x.reshape(3, 1), True), (lambda x: x[1:], True), (lambda x: x.T, True), (lambda x: x.detach(), True),
    (lambda x: x.unsqueeze(0), True), (lambda x: x.expand(2, 3), True), (lambda x: x.clone(), False),
    (lambda x: x * 1, False), (lambda x: x[[0, 1]], False), (lambda x: x.flatten(), True),
    (lambda x: x.expand(2, 3).reshape(6), False), (lambda x: x.reshape(3, 1).T.squeeze(), True)])
def test_a_view_counts_the_changes_of_what_it_shows(call, same):
    for shown in (minidl.tensor(X.copy()), minidl.tensor(np.concatenate([X, X]))[:3]):
        y = call(shown)
        assert np.shares_memory(y.data, shown.data) is same
        if y.data.flags.writeable:
            y.zero_()
            assert (shown._version > 0) is same and (shown.data.all() != same)
        version = y._version
        shown.fill_(1.0)
        assert (y._version > version) is same


def test_which_arrays_share_memory():
    x, other = np.zeros((2, 3)), np.zeros((2, 3))
    assert shares(x, x) and shares(x[0], x) and shares(x[0], x[1]) and shares(x.T, x)
    assert not shares(other, x) and not shares(other[0], x) and not shares(x.copy(), x) and not shares(x, 3.0)
    assert not shares(x[0], 3.0)


def test_a_derivative_of_either_kind():
    backward = Operation("b", lambda g, x: g * x, arity=2)
    for make, expected in ((by_input, 2 * X), (by_output, 5 * X)):
        derivative = make(backward)
        assert derivative(X, 5.0, 2.0).tolist() == expected.tolist()
        got = derivative(minidl.tensor(X), 5.0, 2.0)
        assert isinstance(got, minidl.Tensor) and got.tolist() == expected.tolist()


def test_what_derivatives_share_is_computed_once():
    asked = []
    pair = Operation("pair", lambda a, b: a * b, lambda g, common, a, b: common * b, lambda g, common, a, b: common * a,
                     common=lambda g, y, a, b: asked.append(1) or g * 2)
    a, b = leaf(), leaf(X + 1)
    pair(a, b).backward(X)
    assert asked == [1] and a.grad.tolist() == (2 * X * (X + 1)).tolist() and b.grad.tolist() == (2 * X * X).tolist()
    assert pair.derivative(1)(X, None, X, X + 1).tolist() == (2 * X * X).tolist()
    constant = Operation("f", lambda a, b: a, lambda g, common, a, b: common, no_derivative, common=lambda *_: 3.0)
    assert constant.derivative(1) is no_derivative and constant.derivative(0)(X, X, X, X) == 3


@pytest.mark.parametrize("reads, read", [("", ()), ("0", (0, 10, 11)), ("13y", (1, 3, 10, 11)), (None, range(12))])
def test_joining_reads_what_it_says(reads, read):
    """Of inputs beyond the tenth all are taken to be read, where any is."""
    join = Joining("join", lambda *x: sum(x), lambda i, g, y, *x: g, **{} if reads is None else {"reads": (reads,)})
    for changed in range(13):
        parts = [leaf() for _ in range(12)]
        y = join(*parts)
        with minidl.no_grad():
            (parts[changed] if changed < 12 else y).mul_(2)
        if changed in read or (changed == 12 and "y" in (reads or "y" * (reads is None))):
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.backward(X)
        else:
            y.backward(X)
            assert all(part.grad.tolist() == X.tolist() for part in parts)


@pytest.mark.parametrize("call, expected", [
    (lambda: F.relu, ({}, ("relu", 0.0))), (lambda: F.relu, ({"inplace": True}, ("relu", 0.0))),
    (lambda: F.elu, ({}, ("elu", 1.0))), (lambda: F.elu, ({"alpha": 2}, ("elu", 2.0))),
    (lambda: F.leaky_relu, ({"negative_slope": 0.5, "inplace": False}, ("leaky_relu", 0.5))),
    (lambda: F.leaky_relu, ({}, ("leaky_relu", 0.01))), (lambda: F.softmax, ({"dim": -1}, ("softmax", 0.0)))])
def test_the_kernel_that_computes_the_same(call, expected):
    settings, kernel = expected
    operation = call()
    if isinstance(operation, Operation):
        assert operation.kernel_call(settings) == kernel


def test_gradients_are_added_in_place():
    w = minidl.nn.Parameter(X, "w")

    def add(total, g, x, by=1.0):
        total += by * g * x

    outer = Operation("outer", lambda g, x: g * x, arity=2, add=add)
    outer.add_to(w, X, X)
    assert w.grad.tolist() == (X * X).tolist()
    outer.add_to(w, minidl.tensor(X), X, by=2.0)
    assert w.grad.tolist() == (3 * X * X).tolist()
    w.zero_grad()
    outer.add_to(w, np.zeros(3), X)
    assert w.grad is not None and w.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("reads", [("y_",), ("x",), ("0", "-")])
def test_a_derivative_reads_the_output_and_inputs_alone(reads):
    with pytest.raises(ValueError, match=r"^doubled: expected reads of '0123456789y', got "):
        Operation("doubled", lambda x: 2 * x, lambda g, y, x: 2 * g, reads=reads)
