"""What an operation calls itself, on the tape and in messages, and which operation a method or operator is."""
from __future__ import annotations

import operator

import enumerated
import numpy as np
import pytest

import minidl
from minidl import functional
from minidl.functional import casts

POSITIVE = np.array([[0.5, 2.0], [1.5, 3.0]])
OTHER = np.array([[2.0, 1.0], [1.5, 0.5]])
LABELS = np.array([0, 1])

ACTIVATIONS = [enumerated.function_of(kind) for kind in enumerated.ACTIVATIONS.values()]
UNARY = ["neg", "abs", "sqrt", "exp", "log", "erf", *ACTIVATIONS]
BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "pow": np.power}
COMPARISONS = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
               "ne": np.not_equal}

RECORDED = {
    **{name: lambda x, name=name: getattr(functional, name)(x) for name in UNARY},
    **{name: lambda x, name=name: getattr(functional, name)(x, OTHER) for name in BINARY},
    "sum": functional.sum, "mean": functional.mean, "max": functional.max, "min": functional.min,
    "reshape": lambda x: functional.reshape(x, 4), "permute": lambda x: functional.permute(x, 1, 0),
    "index": lambda x: x[0], "cat": lambda x: functional.cat([x, x]), "stack": lambda x: functional.stack([x, x]),
    "matmul": lambda x: functional.matmul(x, OTHER), "linear": lambda x: functional.linear(x, OTHER),
    "dropout": lambda x: functional.dropout(x, 0.5, generator=0), "to": lambda x: x.to(np.float32),
    "clone": casts.clone, "contiguous": casts.contiguous, "where": lambda x: functional.where(OTHER > 1, x, OTHER),
    "mse_loss": lambda x: functional.mse_loss(x, OTHER), "nll_loss": lambda x: functional.nll_loss(x, LABELS),
    "cross_entropy": lambda x: functional.cross_entropy(x, LABELS),
}
for _kind in enumerated.LOSSES.values():
    RECORDED.setdefault(enumerated.function_of(_kind), lambda x, kind=_kind: kind.operation(x, OTHER))


@pytest.mark.parametrize("name", RECORDED)
def test_the_name_on_the_tape(name):
    x = minidl.tensor(POSITIVE.copy(), requires_grad=True)
    assert RECORDED[name](x).node.name == name


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_name_of_an_extreme_along_an_axis(name):
    x = minidl.tensor(POSITIVE.copy(), requires_grad=True)
    assert getattr(x, name)(0).values.node.name == name


@pytest.mark.parametrize("name", [*UNARY, *BINARY, *COMPARISONS])
def test_the_name_in_a_message(name):
    function = getattr(functional, name)
    x = minidl.tensor(POSITIVE)
    if name not in UNARY:
        with pytest.raises(TypeError, match=f"^{name}: expected Tensors, arrays or numbers, got NoneType$"):
            function(x, None)
    if name not in COMPARISONS:  # which take any number of inputs
        with pytest.raises(TypeError, match=f"^{name}: expected at most [1-4] arguments, got 9"):
            function(x, *[1.0] * 8)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name):
    expected = COMPARISONS[name](POSITIVE, OTHER)
    x = minidl.tensor(POSITIVE, requires_grad=True)
    for got in (getattr(operator, name)(x, OTHER), getattr(x, name)(OTHER), getattr(functional, name)(x, OTHER),
                getattr(operator, name)(x, minidl.tensor(OTHER))):
        assert got.dtype == bool and not got.requires_grad
        np.testing.assert_array_equal(got.data, expected)
    assert getattr(operator, name)(x, 1.5).tolist() == COMPARISONS[name](POSITIVE, 1.5).tolist()


@pytest.mark.parametrize("name", BINARY)
def test_arithmetic(name):
    symbol = {"div": "truediv"}.get(name, name)
    x, numpy = minidl.tensor(POSITIVE), BINARY[name]
    for got in (getattr(operator, symbol)(x, OTHER), getattr(x, name)(OTHER), getattr(functional, name)(x, OTHER)):
        np.testing.assert_array_equal(got.data, numpy(POSITIVE, OTHER))
    np.testing.assert_array_equal(getattr(operator, symbol)(3.0, x).data, numpy(3.0, POSITIVE))
    np.testing.assert_array_equal(getattr(operator, symbol)(x, 3.0).data, numpy(POSITIVE, 3.0))
    in_place = minidl.tensor(POSITIVE.copy(), requires_grad=True)
    array = in_place.data
    with minidl.no_grad():
        changed = getattr(operator, f"i{symbol}")(in_place, OTHER)
    assert changed is in_place and changed.data is array
    np.testing.assert_array_equal(array, numpy(POSITIVE, OTHER))


def test_the_matrix_product_as_an_operator():
    x = minidl.tensor(POSITIVE)
    np.testing.assert_allclose((x @ OTHER).data, POSITIVE @ OTHER, rtol=1e-15)
    np.testing.assert_allclose((OTHER @ x).data, OTHER @ POSITIVE, rtol=1e-15)
    np.testing.assert_allclose(x.matmul(OTHER).data, POSITIVE @ OTHER, rtol=1e-15)
    with minidl.no_grad():
        y = minidl.tensor(POSITIVE.copy(), requires_grad=True)
        y @= OTHER
    np.testing.assert_allclose(y.data, POSITIVE @ OTHER, rtol=1e-15)


@pytest.mark.parametrize("symbol", ["add", "sub", "mul", "truediv", "pow", "matmul", "iadd", "isub"])
def test_what_is_no_input_is_left_to_python(symbol):
    with pytest.raises(TypeError, match="unsupported operand"):
        getattr(operator, symbol)(minidl.tensor(POSITIVE), None)


def test_methods_that_cast_and_copy():
    x = minidl.tensor([1.5, -2.5])
    assert (x.float().dtype, x.double().dtype, x.long().dtype) == (np.float32, np.float64, np.int64)
    assert x.long().tolist() == [1, -2] and abs(x).tolist() == [1.5, 2.5] and (-x).tolist() == [-1.5, 2.5]
    assert x.cpu() is x and x.to("cpu") is x and x.to(np.float32) is x
    copy = x.clone()
    assert copy.tolist() == x.tolist() and not np.shares_memory(copy.data, x.data)
    turned = minidl.tensor(np.arange(6.0).reshape(2, 3)).T
    assert turned.contiguous().data.flags.c_contiguous and turned.contiguous().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert x.zero_() is x and x.tolist() == [0, 0]
    assert hash(x) == object.__hash__(x)


@pytest.mark.parametrize("call", [lambda x: x.clone(), lambda x: x.contiguous(), lambda x: x.to(np.float32),
                                  lambda x: x.cpu(), lambda x: x.view(4)])
def test_the_gradient_of_a_cast_or_copy(call):
    x = minidl.tensor(POSITIVE.copy(), requires_grad=True)
    y = call(x)
    y.backward(np.full(y.shape, 3, y.dtype))
    assert x.grad.dtype == np.float64 and x.grad.tolist() == [[3, 3], [3, 3]]


def test_a_cast_to_integers_is_off_the_tape():
    x = minidl.tensor(POSITIVE.copy(), requires_grad=True)
    assert not x.long().requires_grad and not x.to(bool).requires_grad
    with pytest.raises(TypeError, match="to: expected a dtype or the device 'cpu', got 'gpu'"):
        x.to("gpu")
