"""A snapshot puts back each kind of thing that changed since, and leaves what it does not hold."""
from __future__ import annotations

import collections
import random as python_random
import types

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.compiled.snapshot import Snapshot

F4 = np.float32


def test_parameters_gradients_and_whether_there_is_one():
    layer = nn.Linear(2, 1, generator=0)
    weight, before = layer.weight, layer.weight.data.copy()
    snapshot = Snapshot(layer)
    weight.data[...] = 7
    weight.grad = np.full((1, 2), 3, F4)
    version = weight.status.version
    snapshot.put_back()
    assert (weight.data == before).all() and weight.grad is None and (weight.gradient == 0).all()
    assert weight.status.version != version  # what was computed of it is out of date
    weight.grad = np.full((1, 2), 3, F4)
    snapshot = Snapshot(layer)
    weight.gradient[...] = 5
    weight.grad = None
    snapshot.put_back()
    assert weight.grad.tolist() == [[3, 3]]
    version = weight.status.version
    weight.grad = None
    weight.gradient[...] = 3
    snapshot.put_back()
    assert weight.grad.tolist() == [[3, 3]] and weight.status.version >= version


def test_parameters_that_did_not_change_keep_their_version():
    layer = nn.Linear(2, 1, generator=0)
    snapshot, version = Snapshot(layer.weight), layer.weight.status.version
    snapshot.put_back()
    assert layer.weight.status.version == version
    layer.weight.data[...] = -layer.weight.data
    snapshot.put_back()
    assert layer.weight.status.version != version


def test_bits_count_not_values():
    parameter = nn.Parameter(np.array([0.0, np.nan], F4))
    snapshot, version = Snapshot(parameter), parameter.status.version
    snapshot.put_back()
    assert parameter.status.version == version
    parameter.data[0] = -0.0
    snapshot.put_back()
    assert not np.signbit(parameter.data[0])


def test_tensors_get_back_their_array_its_values_and_their_gradient():
    tensor, given = minidl.tensor([1.0, 2.0]), minidl.tensor([5.0, 6.0])
    data = tensor.data
    tensor.grad = given
    snapshot = Snapshot(tensor)
    data[...] = 9
    tensor.data, tensor.grad = np.zeros(2, F4), None
    snapshot.put_back()
    assert tensor.data.tolist() == [1, 2] and np.shares_memory(tensor.data, data) and tensor.grad is given
    fixed = np.array([1.0, 2.0], F4)
    fixed.flags.writeable = False
    tensor = minidl.tensor([0.0])
    tensor._data = fixed
    snapshot = Snapshot(tensor)
    tensor._data = np.zeros(2, F4)
    snapshot.put_back()
    assert tensor._data is fixed


def test_arrays():
    array, objects = np.arange(3.0), np.array([[], None], object)
    fixed = np.arange(3.0)
    fixed.flags.writeable = False
    snapshot = Snapshot(array, objects, fixed)
    array[...] = 7
    objects[1] = 5
    snapshot.put_back()
    assert array.tolist() == [0, 1, 2] and objects[1] == 5


def test_generators_of_all_kinds():
    mine, old = np.random.default_rng(3), np.random.RandomState(4)
    held = types.SimpleNamespace(a=mine, b=old)
    minidl.manual_seed(1)
    np.random.seed(2)
    python_random.seed(3)

    def drawn():
        return (mine.random(), old.random_sample(), np.random.random_sample(), python_random.random(),
                minidl.rand(1).item())

    for _ in range(2):
        for make in (lambda: Snapshot(mine, old), lambda: Snapshot(held), lambda: Snapshot([mine, (old,)])):
            snapshot = make()
            first = drawn()
            snapshot.put_back()
            assert drawn() == first
        np.random.standard_normal()  # a second normal number waits


def test_a_normal_number_that_waits_is_put_back():
    np.random.seed(0)
    np.random.standard_normal()
    snapshot = Snapshot()
    first = np.random.standard_normal(3).tolist()
    snapshot.put_back()
    assert np.random.standard_normal(3).tolist() == first


class Holder:
    def __init__(self, held):
        self.held = held


ARRAY = np.arange(2.0)
WRAPS = {"list": lambda x: [x], "tuple": lambda x: (x,), "dict": lambda x: {"a": x}, "object": Holder,
         "module": lambda x: held_by_a_module(x)}


def held_by_a_module(x):
    module = nn.ReLU()
    module.held = x
    return module


@pytest.mark.parametrize("wrap", WRAPS)
def test_things_within_things_to_the_eighth(wrap):
    for depth, held in ((1, True), (7, True), (8, True), (9, False)):
        array = np.arange(2.0)
        thing = array
        for _ in range(depth):
            thing = WRAPS[wrap](thing)
        snapshot = Snapshot(thing)
        array[...] = 7
        snapshot.put_back()
        assert array.tolist() == ([0, 1] if held else [7, 7]), depth


def test_items_and_their_order():
    inner = [1]
    items = [3, inner, "a"]
    entries = {"a": 1, "b": inner}
    snapshot = Snapshot(items, entries)
    items.reverse()
    items.append(5)
    inner.clear()
    del entries["a"]
    entries["b"], entries["c"] = 0, 2
    snapshot.put_back()
    assert items == [3, [1], "a"] and items[1] is inner and entries == {"a": 1, "b": [1]} and entries["b"] is inner
    equal = [1.0]
    items = [equal]
    snapshot = Snapshot(items)
    items[0] = [1.0]  # another object of the same value
    snapshot.put_back()
    assert items[0] is equal


def test_attributes_of_objects_and_modules():
    holder, module = Holder(1), nn.Dropout(0.5)
    snapshot = Snapshot(holder, module)
    holder.held, holder.more = 2, 3
    module.p, module.training, module.saved = 0.25, False, "kept"
    snapshot.put_back()
    assert vars(holder) == {"held": 1} and module.p == 0.5 and module.training and module.saved == "kept"


def test_objects_of_libraries_and_classes_are_left():
    error, kind = KeyError(), type("Kind", (), {"a": 1})
    error.held = 1
    snapshot = Snapshot(error, kind)
    error.held, kind.a = 2, 2
    snapshot.put_back()
    assert error.held == 2 and kind.a == 2


@pytest.mark.parametrize("kind", [optim.Adam, optim.SGD, optim.RMSprop])
def test_optimizers(kind):
    layer = nn.Linear(2, 1, generator=0)
    optimizer = kind(layer.parameters(), lr=0.1, **({"momentum": 0.9} if kind is optim.SGD else {}))

    def step():
        layer.weight.grad, layer.bias.grad = np.ones((1, 2), F4), np.ones(1, F4)
        optimizer.step()

    step()
    before = repr((optimizer.state_dict(), layer.weight.data.tolist()))
    snapshot = Snapshot(optimizer)
    step()
    optimizer.lr = 5.0
    after = optimizer.state_dict()["state"]
    snapshot.put_back()
    assert repr((optimizer.state_dict(), layer.weight.data.tolist())) == before
    step()
    assert repr(optimizer.state_dict()["state"]) == repr(after)


def functions(array):
    config = {"array": array}

    def of_closure():
        return config

    def of_default(config=config):
        return config

    def of_default_by_name(*, config=config):
        return config

    def of_another():
        return of_closure()

    class Class:
        def __init__(self):
            self.config = config

        def method(self):
            return self.config

    def of_globals():
        return HELD

    return [of_closure, of_default, of_default_by_name, of_another, Class().method, of_globals, [of_closure]]


HELD = {}


@pytest.mark.parametrize("number", range(7))
def test_what_functions_name(number):
    array = np.arange(2.0)
    HELD["array"] = array
    snapshot = Snapshot(functions(array)[number])
    array[...] = 7
    snapshot.put_back()
    assert array.tolist() == [0, 1]


def test_a_function_of_a_library_and_a_variable_that_is_not_assigned():
    Snapshot(collections.namedtuple, np.mean).put_back()

    def later():
        return number

    snapshot = Snapshot(later)
    assert snapshot.renewed(later) is snapshot
    number = 5
    assert snapshot.renewed(later) is not snapshot and later() == 5


def test_a_snapshot_of_now_is_the_same_while_the_things_hold_the_same():
    array, holder, items = np.arange(2.0), Holder(None), [1]
    holder.held = array
    snapshot = Snapshot(holder, items)
    array[...] = 5
    assert snapshot.renewed(holder, items) is snapshot
    array[...] = 6
    snapshot.put_back()
    assert array.tolist() == [5, 5]
    assert snapshot.renewed(holder) is not snapshot and snapshot.renewed(items, holder) is not snapshot
    assert snapshot.renewed(holder, [1]) is not snapshot
    for change in (lambda: setattr(holder, "held", array.copy()), lambda: setattr(holder, "more", 1),
                   lambda: items.append(2), lambda: items.__setitem__(0, "b")):
        snapshot = Snapshot(holder, items)
        assert snapshot.renewed(holder, items) is snapshot
        change()
        new = snapshot.renewed(holder, items)
        assert new is not snapshot and new.things == (holder, items)


@pytest.mark.parametrize("change", [
    lambda f, g: setattr(f, "__code__", g.__code__), lambda f, g: setattr(f, "__defaults__", ([],)),
    lambda f, g: setattr(f, "__kwdefaults__", {"c": []}), lambda f, g: g(5), lambda f, g: HELD.update(array=1),
    lambda f, g: globals().__setitem__("ARRAY", ARRAY.copy())])
def test_a_function_that_changed_is_looked_at_anew(change):
    number = 3

    def f(a=None, *, c=None):
        return number, HELD, ARRAY

    def g(new):
        nonlocal number
        number = new

    HELD["array"] = 0
    snapshot = Snapshot(f)
    assert snapshot.renewed(f) is snapshot
    if change.__code__.co_names[-1:] == ("__code__",):
        change(f, lambda a=None, *, c=None: number)
    else:
        change(f, g)
    assert snapshot.renewed(f) is not snapshot


def test_what_was_forgotten_is_not_put_back():
    array = np.arange(2.0)
    snapshot = Snapshot(array)
    snapshot.forget()
    array[...] = 7
    snapshot.put_back()
    assert array.tolist() == [7, 7]
    snapshot.renewed(array)
    array[...] = 8
    snapshot.put_back()
    assert array.tolist() == [7, 7]


def test_what_a_snapshot_found():
    layer = nn.Linear(2, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    snapshot = Snapshot(layer, [optimizer], {"again": layer})
    assert [id(p) for p in snapshot.parameters] == [id(layer.weight), id(layer.bias)]
    assert snapshot.optimizers == [optimizer]
