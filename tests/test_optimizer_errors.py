"""A step that is refused changes nothing: settings written past their checks, groups and lists that do not fit."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import numbers
from twins import OPTIMIZERS, bits, plain_step, small

import minidl
from minidl import nn, optim
from minidl.autograd.parameter import Parameter

X, LABELS = numbers((6, 4)), np.array([0, 1, 2, 0, 1, 2])
KINDS = [optim.SGD, optim.Adam, optim.AdamW, optim.Adadelta]
BAD = [None, "0.1", -1.0, float("nan"), float("inf"), 1j, [0.1], np.ones(2)]
SETTINGS = [(kind, name) for kind in KINDS for name in kind.rules]


def two_groups(kind):
    """A model whose two Linears are two groups, after a step, so that there is state."""
    minidl.manual_seed(1)
    model = small()
    optimizer = kind([{"params": model[0].parameters()}, {"params": model[2].parameters()}], lr=0.1)
    criterion = nn.CrossEntropyLoss()
    plain_step(model, criterion, optimizer, X, LABELS)
    return model, criterion, optimizer


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize(("kind", "name"), SETTINGS)
def test_a_bad_setting_of_the_second_group_changes_nothing(kind, name, captured):
    model, criterion, optimizer = two_groups(kind)
    step = minidl.capture(model, criterion, optimizer)
    group, before = optimizer.param_groups[1], bits(model, optimizer)
    good = group[name]
    for value in BAD:
        dict.__setitem__(group, name, value)  # past its check
        with pytest.raises((TypeError, ValueError), match=f"^{kind.__name__}: expected {name} "):
            if captured:
                step(X, LABELS)
            else:
                optimizer.step()
        assert bits(model, optimizer) == before
    dict.__delitem__(group, name)
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: expected settings .* got none of {name}"):
        step(X, LABELS) if captured else optimizer.step()
    assert bits(model, optimizer) == before
    dict.__setitem__(group, name, good)
    twin = two_groups(kind)
    assert step(X, LABELS) == plain_step(*twin, X, LABELS)
    assert bits(model, optimizer) == bits(twin[0], twin[2])


@pytest.mark.parametrize("write", [
    lambda group, name, value: group.update({name: value}),
    lambda group, name, value: group.update(**{name: value}),
    lambda group, name, value: group.update([("lr", 0.5), (name, value)]),
    lambda group, name, value: group.__ior__({name: value}),
    lambda group, name, value: group.__setitem__(name, value),
])
@pytest.mark.parametrize(("kind", "name"), SETTINGS)
def test_every_way_of_writing_a_setting_is_checked(kind, name, write):
    _, _, optimizer = two_groups(kind)
    group = optimizer.param_groups[0]
    before = dict(group)
    for value in BAD:
        with pytest.raises((TypeError, ValueError), match=f"^{kind.__name__}: expected {name} "):
            write(group, name, value)
        assert dict(group) == before


@pytest.mark.parametrize("remove", [
    lambda group: group.pop("lr"), lambda group: group.popitem(), lambda group: group.clear(),
    lambda group: group.__delitem__("lr")])
def test_settings_stay(remove):
    _, _, optimizer = two_groups(optim.Adam)
    before = dict(optimizer.param_groups[0])
    with pytest.raises(TypeError, match=r"^Adam: expected the settings of a group to stay"):
        remove(optimizer.param_groups[0])
    assert dict(optimizer.param_groups[0]) == before
    assert optimizer.param_groups[0].setdefault("lr", 7.0) == 0.1
    with pytest.raises(ValueError, match=r"^Adam: expected settings lr, .* got 'Lr'"):
        optimizer.param_groups[0].setdefault("Lr", 7.0)


# Groups and their lists

def other(dtype=np.float32):
    return Parameter(numbers(3, dtype))


CHANGES = {
    "no parameter": (lambda o: o.param_groups[1]["params"].append(3), TypeError, "expected Parameters"),
    "twice": (lambda o: o.param_groups[1]["params"].append(o.param_groups[0]["params"][0]), ValueError,
              "expected each parameter once"),
    "dtype": (lambda o: o.param_groups[1]["params"].append(other(np.float64)), ValueError, "expected one dtype"),
    "emptied": (lambda o: o.param_groups[1]["params"].clear(), ValueError, "expected at least one parameter"),
    "no group": (lambda o: o.param_groups.append(3), TypeError, "expected groups to be dicts"),
    "without params": (lambda o: o.param_groups.append({"lr": 0.1}), TypeError, "expected groups to be dicts"),
    "params a tuple": (lambda o: o.param_groups.append({"params": (other(),)}), TypeError,
                       "expected groups to be dicts"),
    "without settings": (lambda o: o.param_groups.append({"params": [other()]}), ValueError, "expected settings"),
    "groups a tuple": (lambda o: setattr(o, "param_groups", tuple(o.param_groups)), TypeError,
                       "expected param_groups to be a list"),
}


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_groups_that_do_not_fit_change_nothing(kind, change, captured):
    model, criterion, optimizer = two_groups(kind)
    step = minidl.capture(model, criterion, optimizer)
    values, gradients = model.flat_parameters.copy(), model.flat_gradients.copy()
    alter, error, message = CHANGES[change]
    alter(optimizer)
    for _ in range(2):
        with pytest.raises(error, match=rf"^{kind.__name__}: {message}"):
            step(X, LABELS) if captured else optimizer.step()
        np.testing.assert_array_equal(model.flat_parameters, values)
        np.testing.assert_array_equal(model.flat_gradients, gradients)


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_goes_with_its_parameter(name, captured):
    """Parameters move to another group, leave and come back: each goes on as in a group of its own."""
    def run(regroup):
        minidl.manual_seed(2)
        model, criterion = small(), nn.CrossEntropyLoss()
        parameters = model.parameters()
        optimizer = OPTIMIZERS[name](parameters[:2])
        optimizer.add_param_group({"params": parameters[2:]})
        step = minidl.capture(model, criterion, optimizer)
        for number in range(5):
            if regroup and number == 1:
                optimizer.param_groups[1]["params"].append(optimizer.param_groups[0]["params"].pop(0))
            if regroup and number == 3:
                optimizer.param_groups.insert(0, dict(optimizer.param_groups[1], params=[
                    optimizer.param_groups[1]["params"].pop(1)]))
            step(X, LABELS) if captured else plain_step(model, criterion, optimizer, X, LABELS)
        return model.flat_parameters.tobytes()

    assert run(True) == run(False)


def test_a_parameter_that_is_appended_is_trained():
    for captured in (False, True):
        model, criterion, optimizer = two_groups(optim.Adam)
        added = nn.Linear(3, 3, generator=0)
        model.append(added)
        optimizer.param_groups[1]["params"].extend(added.parameters())
        step = minidl.capture(model, criterion, optimizer)
        before = added.weight.data.copy()
        step(X, LABELS) if captured else plain_step(model, criterion, optimizer, X, LABELS)
        assert not (added.weight.data == before).any()
        assert optimizer.state_dict()["state"][1]["step"] == [2, 2, 1, 1]


def test_add_param_group():
    _, _, optimizer = two_groups(optim.Adam)
    extra = other()
    optimizer.add_param_group({"params": [extra], "eps": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1, 0.1]
    assert optimizer.param_groups[2]["eps"] == 0.5 and optimizer.param_groups[0]["eps"] == 1e-8
    for wrong, error in [({"params": [extra]}, ValueError), ({"params": []}, ValueError), ([extra], TypeError),
                         ({"params": [other()], "lr": -1}, ValueError)]:
        with pytest.raises(error, match=r"^Adam: expected"):
            optimizer.add_param_group(wrong)
        assert len(optimizer.param_groups) == 3
    optimizer.step()


# An error of somebody else's code in the middle of a step

class Failing(nn.MSELoss):
    """A loss of one's own that fails when it is told to, in one of its methods."""

    where = ""

    def forward(self, z, t):
        self.fail("forward")
        self.difference = z - t
        return float((self.difference ** 2).sum())

    def backward(self, gradient=1.0):
        self.fail("backward")
        return 2 * self.difference

    def fail(self, where):
        if self.where == where:
            raise error_of_mine("mine")


error_of_mine: type[Exception] = ValueError


@pytest.mark.parametrize("error", [ValueError, TypeError, IndexError, KeyError, FloatingPointError, MemoryError,
                                   KeyboardInterrupt])
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_error_of_a_loss_leaves_all_as_it_was(name, where, error, monkeypatch):
    monkeypatch.setattr(f"{__name__}.error_of_mine", error)
    target, calls = numbers((6, 3), seed=4), itertools.count()

    def made():
        minidl.manual_seed(5)
        model = small()
        return model, Failing("sum"), OPTIMIZERS[name](model.parameters())

    ours, twin = made(), made()
    step = minidl.capture(*ours)
    step(X, target)
    plain_step(*twin, X, target)
    for number in range(3):
        before = bits(ours[0], ours[2]), [p.grad is None for p in ours[0].parameters()]
        ours[1].where = where
        with pytest.raises(error, match="mine"):
            next(calls)
            step(X, target)
        assert (bits(ours[0], ours[2]), [p.grad is None for p in ours[0].parameters()]) == before
        ours[1].where = ""
        assert step(X, target) == plain_step(*twin, X, target), number
    assert next(calls) == 3
    assert bits(ours[0], ours[2]) == bits(twin[0], twin[2])
