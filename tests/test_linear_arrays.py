"""A Linear's kernels hold its arrays: what they must notice when the arrays become others."""
from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import minidl
from minidl import arrays, kernels, nn
from minidl.autograd import storage
from minidl.autograd.parameter import Parameter


def used(bias=True, dtype=np.float32):
    """A layer that has been through a step, its gradients cleared, and a batch."""
    layer = nn.Linear(7, 5, bias=bias, dtype=dtype, generator=0)
    x = np.random.default_rng(1).standard_normal((6, 7)).astype(dtype)
    layer.backward(layer.forward(x))
    layer.zero_grad()
    return layer, x


def check(layer, x):
    """That forward and both ways back are what the parameters of now give, written where they are now."""
    weight, bias = layer.weight.data, None if layer.bias is None else layer.bias.data
    y = layer.forward(x)
    np.testing.assert_array_equal(y, arrays.linear(x, weight, bias))
    for go_back in (layer.backward, layer.accumulate):
        layer.zero_grad()
        dw, db, dy = np.zeros_like(weight), np.zeros(len(weight), y.dtype), y + 1
        before = dy.copy()
        arrays.add_linear_gradients(x, dy, dw, db)
        dx = go_back(dy)
        np.testing.assert_array_equal(dy, before)
        np.testing.assert_array_equal(layer.weight.grad, dw)
        if bias is not None:
            np.testing.assert_array_equal(layer.bias.grad, db)
        if go_back == layer.backward:
            np.testing.assert_array_equal(dx, arrays.linear_input_gradient(dy, weight))
        else:
            assert dx is None


def replaced(shape, dtype=np.float32):
    return Parameter(np.random.default_rng(5).standard_normal(shape).astype(dtype))


def moved(layer):
    before = layer.weight.data
    storage.flatten([replaced((3,)), layer.weight, *([] if layer.bias is None else [layer.bias])])
    assert layer.weight.data is not before


def loaded(layer):
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})


CHANGES = {
    "nothing": lambda layer: None,
    "moved": moved,
    "loaded": loaded,
    "written": lambda layer: np.copyto(layer.weight.data, 3),
    "weight": lambda layer: setattr(layer, "weight", replaced((5, 7))),
    "weight of another order": lambda layer: setattr(layer, "weight", Parameter(np.ones((5, 7), "f4"), order="F")),
    "bias": lambda layer: setattr(layer, "bias", replaced((5,))),
    "no bias": lambda layer: setattr(layer, "bias", None),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_arrays_of_now_are_used(change, bias):
    layer, x = used(bias)
    change(layer)
    check(layer, x)


def test_between_forward_and_backward():
    layer, x = used()
    y = layer.forward(x)
    moved(layer)
    dw, db = np.zeros_like(layer.weight.data), np.zeros_like(layer.bias.data)
    arrays.add_linear_gradients(x, y, dw, db)
    layer.backward(y)
    np.testing.assert_array_equal(layer.weight.grad, dw)
    np.testing.assert_array_equal(layer.bias.grad, db)


def test_parameters_of_another_dtype():
    layer, x = used()
    layer.weight, layer.bias = replaced((5, 7), np.float64), replaced((5,), np.float64)
    check(layer, x.astype(np.float64))
    with pytest.raises(TypeError, match="expected input of dtype float64, got float32"):
        layer.forward(x)


def test_parameters_that_do_not_fit_each_other_are_refused_and_may_be_put_back():
    layer, x = used()
    bias = layer.bias
    for other, error, match in (
            (replaced((4,)), ValueError, r"expected bias of shape \(5,\), got \(4,\)"),
            (replaced((5,), np.float64), TypeError, "expected bias of dtype float32, got float64"),
            (replaced((5, 1)), ValueError, r"expected bias of shape \(5,\), got \(5, 1\)")):
        layer.bias = other
        with pytest.raises(error, match=rf"Linear\(7, 5\): {match}"):
            layer.forward(x)
    layer.bias = bias
    check(layer, x)


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("value, error, message", [
    (minidl.tensor(np.zeros((4, 3), np.float32)), TypeError, "cannot use 'Tensor' as parameter '{}'"),
    (np.zeros((4, 3), np.float32), TypeError, "cannot use 'ndarray' as parameter '{}'"),
    ("w", TypeError, "cannot use 'str' as parameter '{}'"),
    (Parameter(np.zeros((2, 2), np.float32)), ValueError, r"expected {} of shape .*, got \(2, 2\)")])
def test_what_is_no_parameter_of_the_layer_is_refused(value, error, message, name, as_tensor):
    linear = nn.Linear(3, 4)
    x = np.ones((2, 3), np.float32)
    vars(linear)[name] = value
    with pytest.raises(error, match=message.format(name)):
        linear(minidl.tensor(x) if as_tensor else x)
    vars(linear)["weight"] = None
    with pytest.raises(TypeError, match="cannot use None as parameter 'weight'"):
        linear(minidl.tensor(x) if as_tensor else x)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_has_its_own(copied):
    layer, x = used()
    twin = copied(layer)
    check(twin, x)
    check(layer, x)
    if copied is not copy.copy:
        assert not np.shares_memory(twin.weight.data, layer.weight.data)


def test_an_earlier_output_stays():
    layer, x = used()
    y = layer.forward(x)
    before, dx = y.copy(), layer.backward(y)
    dx_before = dx.copy()
    layer.forward(x + 1)
    layer.backward(y + 1)
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(dx, dx_before)


def test_threads_share_a_layer():
    layer, x = used()
    expected, outputs = layer.forward(x), []
    for _ in range(20):
        moved(layer)  # so that each of them finds it so
        threads = [threading.Thread(target=lambda: outputs.append(layer.forward(x))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outputs) == 80
    assert all(np.array_equal(y, expected) for y in outputs)


def test_a_layer_refuses_gradients_that_do_not_fit():
    weight, bias = np.ones((5, 7), np.float32), np.ones(5, np.float32)
    layer = kernels.of(np.float32).Layer
    for dweight, dbias in ((weight[:4], bias), (weight, bias[:4]), (weight, None)):
        with pytest.raises(ValueError, match="expected"):
            layer(weight, bias, dweight, dbias)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (6, 7), (0, 7), (2, 3, 7), (3, 0, 7), "strided", "packed"], ids=str)
def test_the_text_of_the_methods_gives_the_bits_of_the_bound_kernels(shape, bias, dtype):
    rng = np.random.default_rng(2)
    if isinstance(shape, str):
        x = np.zeros((6, 14), dtype)[:, ::2] if shape == "strided" else np.zeros(6, [("", "i1"), ("x", dtype, 7)])["x"]
        x[...] = rng.standard_normal((6, 7))
    else:
        x = rng.standard_normal(shape).astype(dtype)
    bound, plain = used(bias, dtype)[0], used(bias, dtype)[0]
    rows = np.array(x, order="C").reshape(-1, 7)
    for frozen in ((), ("weight",), ("bias",)):
        for layer in (bound, plain):
            layer.zero_grad()
            layer.weight.requires_grad = "weight" not in frozen
            if bias:
                layer.bias.requires_grad = "bias" not in frozen
        y = nn.Linear.forward.__wrapped__(plain, np.array(x, order="C"))
        assert y.shape == (*x.shape[:-1], 5) and np.array_equal(y, bound.forward(x))
        assert np.array_equal(y.reshape(-1, 5), bound.forward(rows))
        dx = nn.Linear._backward.__wrapped__(plain, y, True)
        assert dx.shape == x.shape and np.array_equal(dx.reshape(-1, 7), bound.backward(y.reshape(-1, 5)))
        for _ in range(2):
            for mine, other in zip(plain.parameters(), bound.parameters(), strict=True):
                assert (mine.grad is None) == (other.grad is None) == (mine.name in frozen)
                np.testing.assert_array_equal(mine.gradient, other.gradient)
            bound.zero_grad()
            bound.forward(x)
            assert np.array_equal(bound.backward(y), dx)  # as the input is shaped


@pytest.mark.parametrize("bias", [True, False])
def test_the_bound_kernels_compute_until_the_weight_changes(bias):
    """None asks for the text of the methods, which says what has changed."""
    layer, x = used(bias)
    dy = np.ones((len(x), 5), np.float32)
    arrays = layer.weight._data, layer.bias._data if bias else None
    layer.forward(x)
    np.testing.assert_allclose(layer._kernels.backward(x, dy, *arrays, True), dy @ layer.weight.data, rtol=1e-6)
    assert layer._kernels.backward(x, dy, *arrays, False) is True
    layer.weight.data[0, 0] += 1
    assert layer._kernels.backward(x, dy, *arrays, True) is None
    assert layer._kernels.backward(x, dy, *arrays, False) is True
    assert layer._kernels.backward(x, dy, arrays[0].copy(), arrays[1], False) is None
