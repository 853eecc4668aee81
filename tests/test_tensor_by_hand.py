"""Each attribute, method and refusal of Tensor and Parameter by itself."""
from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import minidl
from minidl import Parameter, Tensor
from minidl.autograd.tensor import as_array

A = np.arange(6.0).reshape(2, 3)


def test_what_a_tensor_says_of_itself():
    x = minidl.tensor(A)
    assert (x.shape, x.dtype, x.ndim, x.is_leaf, x.grad, x.node) == ((2, 3), np.float64, 2, True, None, None)
    assert (x.size(), x.size(0), x.size(-1), x.dim(), x.numel(), len(x)) == ((2, 3), 2, 3, 2, 6, 2)
    assert x.tolist() == A.tolist() and [row.tolist() for row in x] == A.tolist()
    assert x.data is A and x.numpy() is A and x.detach().data is A and x.detach() is not x
    assert not x.requires_grad and minidl.tensor(A, True).requires_grad
    y = minidl.tensor(A, requires_grad=True) * 2
    assert not y.is_leaf and y.requires_grad and not y.detach().requires_grad and y.detach().is_leaf
    assert repr(minidl.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(minidl.tensor([1.0], requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert repr(minidl.tensor(np.eye(2))).splitlines()[1] == "        [0., 1.]])"


def test_a_number_from_a_tensor():
    one = minidl.tensor(2.5)
    assert (one.item(), float(one), int(one), bool(one), f"{one:.2f}") == (2.5, 2.5, 2, True, "2.50")
    assert not bool(minidl.tensor(0.0)) and type(float(one)) is float and type(int(one)) is int
    with pytest.raises(TypeError):
        format(minidl.tensor([1.0]), ".2f")
    with pytest.raises(ValueError):
        minidl.tensor([1.0, 2.0]).item()


@pytest.mark.parametrize("data, dtype", [
    ([1.5], np.float32), (1.5, np.float32), ([1], np.int64), (True, np.bool_), (np.float64(1.5), np.float64),
    (np.float32(1.5), np.float32), (np.array([1.5]), np.float64), (np.array([1], np.uint8), np.uint8)])
def test_dtypes(data, dtype):
    assert as_array(data).dtype == dtype and minidl.tensor(data).dtype == dtype
    assert minidl.tensor(data, dtype=np.float64).dtype == np.float64


def test_whose_memory_it_is():
    assert as_array(A) is A and as_array(minidl.tensor(A)) is A
    assert minidl.tensor(minidl.tensor(A)).data is A
    assert np.shares_memory(minidl.tensor(A, dtype=np.float64).data, A)
    assert np.shares_memory(np.asarray(minidl.tensor(A)), A) and not np.shares_memory(np.array(minidl.tensor(A)), A)
    assert np.asarray(minidl.tensor(A), np.float32).dtype == np.float32
    assert np.from_dlpack(minidl.tensor(A)).tolist() == A.tolist()


@pytest.mark.parametrize("call, error, message", [
    (lambda: minidl.tensor("text"), TypeError, "Tensor: expected numbers, got <U4"),
    (lambda: minidl.tensor([1j]), TypeError, "Tensor: expected numbers, got complex128"),
    (lambda: minidl.tensor([1], requires_grad=True), TypeError,
     "Tensor: only float32 and float64 have gradients, got int64"),
    (lambda: minidl.tensor(A, requires_grad=True).numpy(), RuntimeError, r"use detach\(\).numpy\(\)"),
    (lambda: np.asarray(minidl.tensor(A, requires_grad=True)), RuntimeError, r"use detach\(\).numpy\(\)"),
    (lambda: minidl.tensor(A).backward(), RuntimeError, "does not require grad"),
    (lambda: minidl.tensor(A, True).backward(), RuntimeError,
     r"backward: expected a gradient of shape \(2, 3\), got none"),
    (lambda: minidl.tensor(A, True).backward(A[0]), ValueError,
     r"backward: expected a gradient of shape \(2, 3\), got \(3,\)"),
    (lambda: minidl.tensor(A, True).backward(A.astype("f4")), TypeError,
     "backward: expected a gradient of dtype float64, got float32"),
    (lambda: copy.copy(minidl.tensor(A, True) * 2), RuntimeError, "a Tensor cannot be copied or pickled"),
    (lambda: Parameter([1, 2], "p"), TypeError, "Parameter 'p': expected float32 or float64, got int64"),
    (lambda: Parameter(["a"]), TypeError, "Parameter 'parameter': expected float32 or float64"),
])
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_gradients_of_a_leaf_add_up_in_memory_of_their_own():
    x, g = minidl.tensor(A.copy(), requires_grad=True), np.ones((2, 3))
    x.backward(g)
    assert x.grad.tolist() == g.tolist() and not np.shares_memory(x.grad, g)
    x.backward(minidl.tensor(2 * g))
    assert x.grad.tolist() == (3 * g).tolist() and g.all()
    x.backward(g.tolist())
    assert x.grad.tolist() == (4 * g).tolist()
    one = minidl.tensor([[2.0]], requires_grad=True)
    one.backward()
    assert one.grad.tolist() == [[1.0]] and one.grad.dtype == np.float32
    (one * 3).backward()
    assert one.grad.tolist() == [[4.0]]
    (one * 3).backward([[2]])
    assert one.grad.tolist() == [[10.0]]


def test_a_graph_is_freed_unless_it_is_kept():
    x = minidl.tensor(2.0, requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(None, True)
    assert x.grad == 8
    y.backward()
    assert x.grad == 12
    with pytest.raises(RuntimeError):
        y.backward()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(duplicate):
    x = minidl.tensor(A.copy(), requires_grad=True)
    x.grad = A + 1
    same = duplicate(x)
    assert same.requires_grad and same.data.tolist() == A.tolist() and same.grad.tolist() == (A + 1).tolist()
    assert not duplicate(minidl.tensor(A)).requires_grad and duplicate(minidl.tensor(A)).grad is None
    p = Parameter(A, "w", "F", requires_grad=False)
    other = duplicate(p)
    assert (other.name, other.order, other.requires_grad, other.grad) == ("w", "F", False, None)
    assert other.data.tolist() == A.tolist() and not np.shares_memory(other.data, p.data)
    p.grad = A
    assert duplicate(p).grad.tolist() == A.tolist()


# Parameters

def test_a_parameter():
    p = Parameter(A)
    assert (p.name, p.order, p.requires_grad, p.grad, p.is_leaf, p.node) == ("parameter", "C", True, None, True, None)
    assert p.data.flags.c_contiguous and not np.shares_memory(p.data, A) and p.data.tolist() == A.tolist()
    assert repr(Parameter(A, "weight")) == "Parameter(weight, shape=(2, 3), dtype=float64)"
    turned = Parameter(A, order="F")
    assert turned.data.T.flags.c_contiguous and turned.gradient.T.flags.c_contiguous
    assert turned.data.tolist() == A.tolist()
    assert Parameter([0.5]).dtype == np.float32 and not Parameter(A, requires_grad=False).requires_grad


def test_the_gradient_of_a_parameter():
    p = Parameter(A)
    place = p.gradient
    assert not p.has_grad() and p.grad is None and place.tolist() == np.zeros((2, 3)).tolist()
    p.grad = A
    assert p.has_grad() and p.grad is place and place.tolist() == A.tolist()
    p.accumulate(A)
    assert p.grad.tolist() == (2 * A).tolist() and p.grad is place
    p.zero_grad(set_to_none=False)
    assert p.grad is place and not place.any()
    p.zero_grad()
    assert p.grad is None
    p.zero_grad(False)
    assert p.grad is None  # there was none
    place[0, 0] = 1  # by hand
    assert p.has_grad() and p.grad is place
    p.grad = None
    assert p.grad is None and not place.any()
    p.accumulate(np.zeros((2, 3)))
    assert p.grad is place
    p.zero_grad()
    p.grad = 0 * A
    assert p.has_grad()


def test_values_are_copied_into_place():
    p = Parameter(A)
    place, version = p.data, p.status.version
    p.data = 2 * A
    assert p.data is place and place.tolist() == (2 * A).tolist() and p.status.version > version
    p.data = minidl.tensor(3 * A)
    p.data = (4 * A).tolist()
    assert place.tolist() == (4 * A).tolist()
    assert p.zero_() is p and not place.any()
    for name, expected in (("data", "expected values"), ("grad", "expected a gradient")):
        with pytest.raises(ValueError, match=rf"Parameter 'parameter': {expected} of shape \(2, 3\), got \(3, 2\)"):
            setattr(p, name, A.T)
        with pytest.raises(TypeError, match=f"Parameter 'parameter': {expected} of dtype float64, got float32"):
            setattr(p, name, A.astype("f4"))


def test_a_parameter_moves_with_value_and_gradient():
    from minidl.autograd import storage

    p = Parameter(A)
    p.grad = A + 1
    store, start = storage.place(6, np.dtype(np.float64))
    p.move(store, start)
    assert (p.store, p.start) == (store, start)
    assert p.data.tolist() == A.tolist() and p.grad.tolist() == (A + 1).tolist()
    assert np.shares_memory(p.data, store.values[start:start + 6])
    assert np.shares_memory(p.gradient, store.gradients[start:start + 6])


def test_a_frozen_parameter_gets_no_gradient():
    p = Parameter(A)
    p.requires_grad = False
    assert not (p * 2).requires_grad
    p.requires_grad = True
    (p * 2).sum().backward()
    assert p.grad.tolist() == np.full((2, 3), 2.0).tolist()
    assert isinstance(p, Tensor)


def test_where_a_tensor_lies():
    """As an array: device type 1, the processor's memory, and number 0."""
    assert minidl.tensor([1.0]).__dlpack_device__() == (1, 0)


NUMBERS = ["add", "sub", "mul", "truediv", "pow", "mod", "floordiv", "lt", "le", "gt", "ge", "eq", "ne"]
WHOLE = ["and", "or", "xor"]


@pytest.mark.parametrize("name", [*NUMBERS, *WHOLE, "matmul"])
def test_every_operator_takes_its_sides_in_their_order(name):
    """A Tensor with a Tensor, an array and a number, on either side, as NumPy computes it."""
    of = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    a, b = (np.array([[5.0, 2.0], [3.0, 7.0]]), np.array([[2.0, 4.0], [3.0, 0.5]]))
    if name in WHOLE:
        a, b = a.astype(np.int64), b.astype(np.int64)
    for left, right in ((a, b), (b, a), (a, b.flat[0]), (b.flat[1], a)):
        if name == "matmul" and not (left.ndim and right.ndim):
            continue
        number = [side.item() if np.ndim(side) == 0 else side for side in (left, right)]
        expected = of(*number)
        for sides in ((minidl.tensor(left), minidl.tensor(right)), (minidl.tensor(left), number[1]),
                      (number[0], minidl.tensor(right))):
            np.testing.assert_array_equal(of(*sides).data, expected, err_msg=str(sides))
