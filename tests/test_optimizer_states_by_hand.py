"""The state of an optimizer in numbers: saved, loaded, put back, copied, moved with a parameter to another group."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adam
from minidl.optim.flat import BLOCK, Flat
from minidl.optim.optimizer import Optimizer

A, B, G, H = np.ones(2), np.zeros((2, 2)), np.array([1.0, -2.0]), np.array([[1.0, 2.0], [3.0, 4.0]])


def made(momentum=0.5, **settings):
    parameters = [Parameter(A), Parameter(B, order="F")]
    return parameters, SGD(parameters, lr=0.5, momentum=momentum, **settings)


def step(optimizer, parameters, gradients=(G, H)):
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


def test_the_state_in_numbers():
    parameters, optimizer = made()
    # the array is made with the first step; a matrix that lies transposed stands there as it lies
    assert optimizer.state_dict()["state"] == [{"step": [0, 0]}]
    step(optimizer, parameters)
    step(optimizer, parameters)
    state, = optimizer.state_dict()["state"]
    assert state["step"] == [2, 2] and list(state) == ["step", "momentum_buffer"]
    assert state["momentum_buffer"].tolist() == [1.5, -3, 1.5, 4.5, 3, 6]
    assert optimizer.state_dict()["param_groups"] == [
        {"params": [(2,), (2, 2)], "lr": 0.5, "momentum": 0.5, "dampening": 0, "weight_decay": 0, "nesterov": False,
         "maximize": False}]
    assert parameters[0].data.tolist() == [1 - 0.5 * 2.5, 1 + 0.5 * 5]


def test_a_state_goes_into_another_optimizer():
    parameters, optimizer = made()
    step(optimizer, parameters)
    others, other = made(momentum=0.25)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["momentum"] == 0.5 and other.param_groups[0]["params"][0] is others[0]
    for parameter, source in zip(others, parameters, strict=True):
        parameter.data = source.data
    for _ in range(2):
        step(optimizer, parameters)
        step(other, others)
    assert others[1].data.tolist() == parameters[1].data.tolist()
    other.load_state_dict(made()[1].state_dict())
    assert other.state_dict()["state"] == [{"step": [0, 0]}]


@pytest.mark.parametrize("change", [
    lambda s: s["state"][0].update(step=[1]), lambda s: s["state"][0].update(step=[1, 1, 1]),
    lambda s: s["state"][0].update(step=[1, -1]), lambda s: s["state"][0].update(step=[1, 2 ** 62]),
    lambda s: s["state"][0].update(step=[1, True]), lambda s: s["state"][0].update(step=(1, 1)),
    lambda s: s["state"][0].pop("momentum_buffer"), lambda s: s["state"].append({}), lambda s: s["param_groups"].pop(),
    lambda s: s["state"][0].update(momentum_buffer=np.zeros(5)),
    lambda s: s["state"][0].update(momentum_buffer=np.zeros(6, np.float32)),
    lambda s: s["param_groups"][0].update(params=[(2, 2), (2,)]), lambda s: s["param_groups"][0].update(speed=1),
    lambda s: s["param_groups"][0].pop("lr"), lambda s: s["param_groups"][0].update(lr=-1), lambda s: s.clear()])
def test_a_state_that_does_not_fit(change):
    parameters, optimizer = made()
    step(optimizer, parameters)
    before, wrong = optimizer.state_dict(), optimizer.state_dict()
    change(wrong)
    with pytest.raises((ValueError, TypeError)):
        optimizer.load_state_dict(wrong)
    np.testing.assert_equal(optimizer.state_dict(), before)


@pytest.mark.parametrize("count", [0, 1, 2 ** 62 - 1])
def test_counts_that_fit(count):
    parameters, optimizer = made()
    step(optimizer, parameters)
    state = optimizer.state_dict()
    state["state"][0]["step"] = [1, np.int64(count)]
    optimizer.load_state_dict(state)
    assert optimizer.state_dict()["state"][0]["step"] == [1, count]
    assert all(type(n) is int for n in optimizer.state_dict()["state"][0]["step"])


def test_what_is_put_back():
    parameters, optimizer = made()
    step(optimizer, parameters)
    before, values = optimizer.state_dict(), [parameter.data.tolist() for parameter in parameters]
    undo = [flat.undo() for flat in optimizer.flats()]
    step(optimizer, parameters)
    step(optimizer, parameters)
    for put_back in undo:
        put_back()
    np.testing.assert_equal(optimizer.state_dict(), before)
    assert [parameter.data.tolist() for parameter in parameters] == values
    step(optimizer, parameters)
    assert optimizer.state_dict()["state"][0]["momentum_buffer"][:2].tolist() == [1.5, -3]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_has_the_state(duplicate):
    parameters, optimizer = made()
    step(optimizer, parameters)
    others, other = duplicate((parameters, optimizer))
    np.testing.assert_equal(other.state_dict(), optimizer.state_dict())
    for _ in range(2):
        step(optimizer, parameters)
        step(other, others)
    np.testing.assert_equal(other.state_dict(), optimizer.state_dict())
    assert others[1].data.tolist() == parameters[1].data.tolist() and others[0] is not parameters[0]
    assert other.defaults == optimizer.defaults


def test_the_state_goes_with_a_parameter_to_another_group_and_place():
    parameters, optimizer = made()
    step(optimizer, parameters)
    step(optimizer, parameters)
    second = parameters[1]
    optimizer.param_groups[0]["params"].pop()
    optimizer.add_param_group({"params": [Parameter(np.zeros(3)), second]})
    first, other = optimizer.state_dict()["state"]
    assert first["step"] == [2] and first["momentum_buffer"].tolist() == [1.5, -3]
    assert other["step"] == [0, 2] and other["momentum_buffer"].tolist() == [0, 0, 0, 1.5, 4.5, 3, 6]


def test_blocks_cover_all_and_share_the_state():
    size = 2 * BLOCK + 5
    parameter = Parameter(np.zeros(size, np.float32))
    parameter.grad = np.arange(size, dtype=np.float32)
    flat = Flat([parameter])
    part, = flat.parts()
    blocks = part.blocks("m", "v")
    assert [w.size for w, *_ in blocks] == [BLOCK, BLOCK, 5] == [s.size for *_, s, _ in blocks]
    assert [len(state) for _, _, state, *_ in blocks] == [2, 2, 2] and part.step == 1
    assert np.concatenate([g for _, g, *_ in blocks]).tolist() == parameter.grad.tolist()
    for (_, _, (m, v), s, t), begin in zip(blocks, (0, BLOCK, 2 * BLOCK), strict=True):
        m[:], v[:] = begin + 1, begin + 2
        assert not np.shares_memory(s, t) and m.dtype == s.dtype == np.float32
    assert flat.state["m"][[0, BLOCK - 1, BLOCK, -1]].tolist() == [1, 1, BLOCK + 1, 2 * BLOCK + 1]
    assert flat.state["v"][[0, BLOCK]].tolist() == [2, BLOCK + 2]
    assert part.blocks("m", "v") is blocks and part.number(0.1) == np.float32(0.1)
    assert part.number(0.1).dtype == np.float32


def test_parts_by_what_is_trained_and_by_step():
    parameters = [Parameter(A) for _ in range(4)]
    flat = Flat(parameters)
    assert flat.parts() == []
    for parameter in parameters[:3]:
        parameter.grad = G
    parameters[1].requires_grad = False
    part, = flat.parts()
    assert (part.indices, part.step) == ((0, 2), 1)
    flat.count(part)
    assert list(flat.counts) == [1, 0, 1, 0]
    parameters[1].requires_grad = True
    assert {p.indices: p.step for p in flat.parts()} == {(0, 2): 2, (1,): 1}
    parameters[3].gradient[0] = 1  # by hand
    assert {p.indices: p.step for p in flat.parts()} == {(0, 2): 2, (1, 3): 1}
    assert {p.indices: p.step for p in flat.parts([2, 1])} == {(2,): 2, (1,): 1}
    flat.counts.fill(4)
    parameters[3].grad = G
    part, = flat.parts()
    assert (part.indices, part.step) == ((0, 1, 2, 3), 5)
    flat.count(part)
    assert list(flat.counts) == [5] * 4


def test_parameters_side_by_side_are_one_stretch():
    a, b, c = (Parameter(A) for _ in range(3))
    for parameter in (a, b, c):
        parameter.grad = G
    for order, spans in (([a, b, c], [6]), ([a, c], [2, 2]), ([b, a, c], [2, 2, 2]), ([b, c, a], [4, 2])):
        part, = Flat(order).parts()
        assert [len(values) for values, _, _ in part.spans()] == spans, order
        assert [[len(m), len(g)] for _, g, (m,) in part.spans("m")] == [[n, n] for n in spans]


# The base class

@pytest.mark.parametrize("params, error, message", [
    (Parameter(A), TypeError, "SGD: expected Parameters, .*, got Parameter"), (3, TypeError, "got int"),
    ([A], TypeError, "got ndarray"), ([], ValueError, "SGD: expected at least one parameter, got none"),
    ([{"params": []}], ValueError, "at least one parameter"), ([{"lr": 1}], TypeError, "got NoneType"),
    ([Parameter(A), Parameter(A.astype("f4"))], ValueError, "one dtype in a parameter group, got float32 and float64"),
    ([{"params": [Parameter(A)], "speed": 1}], ValueError, "SGD: expected settings lr, momentum, .*, got 'speed'")])
def test_parameters_that_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        SGD(params)


def test_a_group_that_was_written_past_its_checks():
    parameters, optimizer = made()
    dict.__setitem__(optimizer.param_groups[0], "lr", -1.0)
    with pytest.raises(ValueError, match=r"SGD: expected lr >= 0 and finite, got -1.0"):
        step(optimizer, parameters)
    assert parameters[0].data.tolist() == A.tolist()
    dict.__setitem__(optimizer.param_groups[0], "lr", 1.0)
    step(optimizer, parameters)
    assert parameters[0].data.tolist() == [0, 3]
    plain = dict(optimizer.param_groups[0])
    optimizer.param_groups[0] = plain
    plain["lr"] = 0.0
    step(optimizer, parameters)
    assert parameters[0].data.tolist() == [0, 3]
    plain["lr"] = 0.5
    step(optimizer, parameters)  # the buffer is 1.75 g
    assert parameters[0].data.tolist() == [-0.875, 4.75]
    del plain["lr"], plain["momentum"]
    with pytest.raises(ValueError, match=r"in a group, got none of lr, momentum$"):
        step(optimizer, parameters)
    optimizer.param_groups = (plain,)
    with pytest.raises(TypeError, match="SGD: expected param_groups to be a list, got tuple"):
        optimizer.step()
    optimizer.param_groups = [{"params": tuple(parameters)}]
    with pytest.raises(TypeError, match="SGD: expected groups to be dicts with a list of 'params'"):
        optimizer.step()


def test_a_second_group_that_is_wrong_leaves_the_first_as_it_was():
    first, second = Parameter(A), Parameter(A)
    optimizer = Adam([{"params": [first]}, {"params": [second]}])
    dict.__setitem__(optimizer.param_groups[1], "eps", -1.0)
    with pytest.raises(ValueError, match="Adam: expected eps >= 0"):
        step(optimizer, [first, second], (G, G))
    assert first.data.tolist() == A.tolist()
    assert [state["step"] for state in optimizer.state_dict()["state"]] == [[0], [0]]


def test_the_base_has_no_update():
    class Own(Optimizer):
        pass

    parameter = Parameter(A)
    own = Own([parameter])
    parameter.grad = G
    assert own.keeps_state({}) is True and own.state_names == () and own.rules == {}
    with pytest.raises(NotImplementedError, match=r"Own.update: expected a subclass to define it"):
        own.step()


def test_without_momentum_there_is_no_state_until_there_is_momentum():
    parameters, optimizer = made(momentum=0)
    step(optimizer, parameters)
    assert optimizer.state_dict()["state"] == [{"step": [0, 0]}]
    optimizer.param_groups[0]["momentum"] = 0.5
    step(optimizer, parameters)
    assert optimizer.state_dict()["state"][0]["step"] == [1, 1]


def test_updates_are_noted_by_the_parameters():
    parameters, optimizer = made()
    before = [parameter.status.version for parameter in parameters]
    parameters[0].grad = G
    optimizer.step()
    assert parameters[0].status.version > before[0] and parameters[1].status.version == before[1]


def test_what_is_undone_is_in_the_same_arrays():
    parameters, optimizer = made()
    step(optimizer, parameters)
    flat, = optimizer.flats()
    flat.state["momentum_buffer"] = other = np.arange(3, dtype=np.float16)  # not what it should be
    values, counts = [parameter.data.copy() for parameter in parameters], list(flat.counts)
    undo = flat.undo()
    other += 1
    for parameter in parameters:
        parameter.data[...] = 7
    flat.counts.fill(9)
    flat.state = {}
    undo()
    assert flat.state["momentum_buffer"] is other and other.tolist() == [0, 1, 2] and list(flat.counts) == counts
    assert [parameter.data.tolist() for parameter in parameters] == [value.tolist() for value in values]
