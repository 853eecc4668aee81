"""The flat buffers: what is a view stays one, through assignment, moves and copies."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minidl import nn, optim
from minidl.autograd import storage
from minidl.autograd.parameter import Parameter
from minidl.autograd.storage import aligned, flatten, spans


def parameters(*shapes, dtype=np.float32) -> list[Parameter]:
    rng = np.random.default_rng(0)
    made = [Parameter(rng.standard_normal(shape).astype(dtype), f"p{i}", "FC"[i % 2])
            for i, shape in enumerate(shapes)]
    for parameter in made:
        parameter.grad = rng.standard_normal(parameter.shape).astype(dtype)
    return made


def lie_in(values: np.ndarray, gradients: np.ndarray, members) -> bool:
    return all(np.shares_memory(values, p.data) and np.shares_memory(gradients, p.gradient) for p in members)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_aligned(size, dtype):
    array = aligned(size, dtype)
    assert array.shape == (size,) and array.dtype == dtype and not array.any()
    assert size == 0 or array.ctypes.data % storage.LINE == 0


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (), (2, 3, 4), (0, 3)])
def test_a_parameter_is_two_views_of_its_shape(shape, order):
    data = np.random.default_rng(0).standard_normal(shape)
    parameter = Parameter(data, order=order)
    np.testing.assert_array_equal(parameter.data, data)
    assert parameter.grad is None and parameter.gradient.shape == shape and not parameter.gradient.any()
    assert not np.shares_memory(parameter.data, data)
    end = parameter.start + data.size
    assert end <= parameter.store.used <= parameter.store.values.size
    np.testing.assert_array_equal(parameter.store.values[parameter.start:end], data.ravel(order))


def test_a_linear_weight_lies_transposed():
    layer = nn.Linear(3, 2)
    assert layer.weight.shape == (2, 3) and layer.weight.data.T.flags.c_contiguous


def test_assignment_copies_into_place():
    (parameter,) = parameters((3, 4))
    data, grad, new = parameter.data, parameter.grad, np.ones((3, 4), np.float32)
    parameter.data = new
    parameter.grad = 2 * new
    new[:] = 5
    assert parameter.data is data and parameter.grad is grad
    assert (data == 1).all() and (grad == 2).all()
    parameter.grad = None
    assert parameter.grad is None and parameter.gradient is grad and not grad.any()
    parameter.data -= 0.5  # in place, by the setter
    assert (data == 0.5).all() and parameter.data is data


@pytest.mark.parametrize("name, what", [("data", "values"), ("grad", "a gradient")])
def test_assignment_of_another_shape_or_dtype(name, what):
    (parameter,) = parameters((3, 4))
    before = parameter.data.copy(), parameter.grad.copy()
    for wrong in (np.ones((4, 3), np.float32), np.float32(1), np.ones(4, np.float32)):
        with pytest.raises(ValueError, match=rf"Parameter 'p0': expected {what} of shape \(3, 4\), got \("):
            setattr(parameter, name, wrong)
    for dtype in (np.float64, np.int64):
        with pytest.raises(TypeError,
                           match=rf"Parameter 'p0': expected {what} of dtype float32, got {np.dtype(dtype)}"):
            setattr(parameter, name, np.ones((3, 4), dtype))
    np.testing.assert_array_equal((parameter.data, parameter.grad), before)


def test_flatten_keeps_bits_and_order():
    members = parameters((3, 4), (5,), (2, 2))
    before = [(p.data.copy(), p.grad.copy()) for p in members]
    values, gradients = flatten(members)
    assert values.size == gradients.size == 21 and lie_in(values, gradients, members)
    for (data, grad), parameter in zip(before, members, strict=True):
        np.testing.assert_array_equal(parameter.data, data)
        np.testing.assert_array_equal(parameter.grad, grad)
    np.testing.assert_array_equal(values[:12], before[0][0].ravel("F"))
    np.testing.assert_array_equal(values[12:17], before[1][0])


def test_flatten_again_moves_nothing():
    members = parameters((3, 4), (5,))
    values, gradients = flatten(members)
    moves = storage.moves()
    again = flatten(members)
    assert storage.moves() == moves
    assert again[0].ctypes.data == values.ctypes.data and again[1].ctypes.data == gradients.ctypes.data


def test_a_part_of_a_flat_buffer_is_flat():
    members = parameters((3, 4), (5,), (2, 2))
    values, _ = flatten(members)
    moves = storage.moves()
    part, _ = flatten(members[1:])
    assert storage.moves() == moves and np.shares_memory(part, values) and part.size == 9


def test_runs_are_the_stretches_of_neighbours():
    members = parameters((2,), (3,), (4,), (5,))
    flatten(members)
    assert [values.size for values, _ in spans(members)] == [14]
    assert [values.size for values, _ in spans([members[0], members[2], members[3]])] == [2, 9]
    assert [values.size for values, _ in spans(members[::-1])] == [5, 4, 3, 2]


def test_nothing_is_flat_without_parameters():
    values, gradients = flatten([])
    assert values.size == gradients.size == 0 and nn.ReLU().flat_parameters.size == 0


def test_one_buffer_has_one_dtype():
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype=np.float64))
    weights = [parameter.data for parameter in mixed.parameters()]
    with pytest.raises(ValueError, match="must share a dtype, got float32 and float64"):
        mixed.flat_parameters  # noqa: B018
    assert all(parameter.data is data for parameter, data in zip(mixed.parameters(), weights, strict=True))


def test_the_flat_buffers_of_a_model_follow_training():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    values, gradients = model.flat_parameters, model.flat_gradients
    x = np.ones((4, 2), np.float32)
    for _ in range(3):
        model.backward(np.ones_like(model(x)))
        np.testing.assert_array_equal(gradients[:6], model[0].weight.grad.ravel("F"))
        optimizer.step()
        np.testing.assert_array_equal(values[-1:], model[2].bias.data)
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    model.zero_grad()
    assert lie_in(values, gradients, model.parameters()) and not gradients.any()
    gradients[:] = 1  # as an Allreduce writes them
    before = values.copy()
    optimizer.step()
    np.testing.assert_allclose(values, before - 0.1, rtol=1e-6)


def test_a_model_inside_a_larger_one_moves_with_it():
    """An optimizer made before the move goes on in the new place."""
    inner = nn.Sequential(nn.Linear(2, 2))
    optimizer = optim.SGD(inner.parameters(), lr=1.0)
    outer = nn.Sequential(nn.Linear(3, 2), inner)
    values = outer.flat_parameters
    before = values.copy()
    outer.flat_gradients[:] = 1
    optimizer.step()
    np.testing.assert_array_equal(values[:8], before[:8])
    np.testing.assert_array_equal(values[8:], before[8:] - 1)
    assert lie_in(outer.flat_parameters, outer.flat_gradients, inner.parameters())


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))],
                         ids=["copy", "deepcopy", "pickle"])
def test_a_copied_parameter_has_a_place_of_its_own(duplicate):
    members = parameters((3, 4), (5,))
    flatten(members)
    twin = duplicate(members[0])
    np.testing.assert_array_equal(twin.data, members[0].data)
    np.testing.assert_array_equal(twin.grad, members[0].grad)
    assert (twin.name, twin.order, twin.requires_grad) == ("p0", "F", True)
    assert not np.shares_memory(twin.data, members[0].data) and not np.shares_memory(twin.grad, members[0].grad)


@pytest.mark.parametrize("data, came", [
    (np.ones(3, np.int64), "int64"), ([1, 2], "int64"), (np.ones(3, np.float16), "float16"), (["a"], "<U1"),
])
def test_parameters_are_float32_or_float64(data, came):
    with pytest.raises(TypeError, match=f"Parameter 'w': expected float32 or float64, got {came}"):
        Parameter(data, "w")
