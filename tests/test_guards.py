"""Guards, by hand: each kind notices each change of what it guards, at each place, and nothing else."""
from __future__ import annotations

from types import CellType, SimpleNamespace

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.kernels.replay import Guards


class One:
    pass


class Other:
    pass


def parameter(**values) -> Parameter:
    return Parameter(np.ones((2, 3), np.float32), **values)


def reshaped(array):
    array.resize((3, 2), refcheck=False)


def moved(array):
    """To another address, with the same shape; what is taken meanwhile lies where it was."""
    before = array.ctypes.data
    array.resize((1000, 1000), refcheck=False)
    taken = [np.zeros((2, 3)) for _ in range(200)]
    array.resize((2, 3), refcheck=False)
    assert array.ctypes.data != before and len(taken) == 200


def set_has_grad(p, value):
    p.status.has_grad = value


def reached() -> Parameter:
    made = parameter()
    set_has_grad(made, True)
    return made


# For each kind: what is made, how it is guarded, and changes of it that must be noticed.
KINDS = {
    "name": (lambda: {"a": 1.5, "b": 2}, lambda guards, d: guards.name(d, "a", "a"), [
        lambda d: d.update(a=2.5), lambda d: d.pop("a")]),
    "name, missing": (lambda: {"b": 2}, lambda guards, d: guards.name(d, "a", "a"), [lambda d: d.update(a=None)]),
    "size": (lambda: {"a": 1, "b": 2}, lambda guards, d: guards.size(d, "s"), [
        lambda d: d.update(c=1), lambda d: d.pop("b"), dict.clear]),
    "size, empty": (dict, lambda guards, d: guards.size(d, "s"), [lambda d: d.update(c=1)]),
    "items": (lambda: [object(), object(), object()], lambda guards, x: guards.items(x, "i"), [
        lambda x: x.append(1), lambda x: x.pop(), lambda x: x.__setitem__(0, 0), lambda x: x.__setitem__(1, 0),
        lambda x: x.__setitem__(2, 0), list.reverse]),
    "cell": (lambda: CellType(object()), lambda guards, c: guards.cell(c, "c"), [
        lambda c: setattr(c, "cell_contents", object())]),
    "attribute": (lambda: SimpleNamespace(a=object()), lambda guards, n: guards.attribute(n, "a", "a"), [
        lambda n: setattr(n, "a", object()), lambda n: delattr(n, "a")]),
    "attribute, missing": (SimpleNamespace, lambda guards, n: guards.attribute(n, "a", "a"), [
        lambda n: setattr(n, "a", 1)]),
    "kind": (One, lambda guards, n: guards.kind(n, "k"), [lambda n: setattr(n, "__class__", Other)]),
    "trained": (parameter, lambda guards, p: guards.trained(p.status, "t"), [lambda p: p.requires_grad_(False)]),
    "not trained": (lambda: parameter(requires_grad=False), lambda guards, p: guards.trained(p.status, "t"), [
        lambda p: p.requires_grad_(True)]),
    "reached": (parameter, lambda guards, p: guards.reached(p.status, False, "r"), [lambda p: set_has_grad(p, True)]),
    "reached, with a gradient": (reached, lambda guards, p: guards.reached(p.status, True, "r"), [
        lambda p: set_has_grad(p, False)]),
    "value": (lambda: [2.0], lambda guards, x: guards.value(lambda: x[0], "v"), [
        lambda x: x.__setitem__(0, 3.0), lambda x: x.__setitem__(0, 2), lambda x: x.__setitem__(0, "2.0")]),
    "place": (lambda: np.zeros((2, 3)), lambda guards, a: guards.place(a, "p"), [reshaped, moved]),
    "content": (lambda: np.zeros((2, 3)), lambda guards, a: guards.content(a, "c"), [
        lambda a: a.__setitem__((0, 0), 1), lambda a: a.__setitem__((1, 2), -0.0), reshaped]),
}
CASES = [(kind, number) for kind, (*_, changes) in KINDS.items() for number in range(len(changes))]


@pytest.mark.parametrize("taken", [False, True], ids=["added", "taken"])
@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("kind, number", CASES)
def test_a_change_is_noticed(kind, number, place, taken):
    """Among guards of other kinds; and by those that take over these."""
    others = [name for name in KINDS if name != kind][number:number + 3]
    guards, made = Guards(), {}
    for name in [*others[:place], kind, *others[place:]]:
        make, guard, _ = KINDS[name]
        made[name] = make()
        guard(guards, made[name])
    assert len(guards) == 4 and guards.changed() == -1
    if taken:
        given, guards = guards, Guards()
        guards.take(given)
        del given
        assert len(guards) == 4 and guards.changed() == -1
    KINDS[kind][2][number](made[kind])
    assert guards.changed() == place
    for name in others[place:]:  # the first is told
        KINDS[name][2][0](made[name])
        assert guards.changed() == place


def test_many_guards():
    """More than there is room for at first."""
    guards, namespace = Guards(), {f"a{i}": i for i in range(100)}
    for i, name in enumerate(namespace):
        guards.name(namespace, name, f"text {i}")
    assert [guards.text(i) for i in range(len(guards))] == [f"text {i}" for i in range(100)]
    for i in range(99, -1, -1):
        namespace[f"a{i}"] = "other"
        assert guards.changed() == i


def test_what_is_guarded_stays_alive():
    """Its address is not given to another object."""
    guards = Guards()
    for _ in range(50):
        guards.attribute(SimpleNamespace(a=[1.5, 2.5]), "a", "a")
        guards.items([object()], "i")
        guards.value(lambda: (1, 2), "v")
    assert guards.changed() == -1


HOLDERS = {
    "name": (lambda value: {"a": value}, lambda guards, d: guards.name(d, "a", "a"), lambda d, v: d.update(a=v)),
    "cell": (CellType, lambda guards, c: guards.cell(c, "c"), lambda c, v: setattr(c, "cell_contents", v)),
    "attribute": (lambda value: SimpleNamespace(a=value), lambda guards, n: guards.attribute(n, "a", "a"),
                  lambda n, v: setattr(n, "a", v)),
}
# (before, after, whether it is renewed): other objects, of the same type and value or not.
CHANGES = [(int("1000"), int("1000"), True), (float("1.5"), float("1.5"), True), ("".join("ab"), "".join("ab"), True),
           (bytes([65, 66]), bytes([65, 66]), True), (complex("1j"), complex("1j"), True),
           (float("nan"), float("nan"), True), (1, 2, False), (1, 1.0, False), (True, 1, False), (0.0, -0.0, False),
           ("a", b"a", False), (tuple([1]), tuple([1]), False), ([], [], False), (1, None, False)]


@pytest.mark.parametrize("before, after, renewed", CHANGES)
@pytest.mark.parametrize("kind", HOLDERS)
@pytest.mark.parametrize("whatever", [False, True])
def test_a_number_may_be_renewed(kind, before, after, renewed, whatever):
    """If it is another object with its type and value; with ``whatever`` any object."""
    make, guard, change = HOLDERS[kind]
    guards, holder = Guards(), make(before)
    guards.size({}, "first")
    guard(guards, holder)
    assert before is not after
    change(holder, after)
    assert guards.changed() == 1
    assert guards.renew(1, whatever) is (renewed or whatever)
    assert guards.changed() == (-1 if renewed or whatever else 1)
    if renewed or whatever:
        change(holder, before)
        assert guards.changed() == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in HOLDERS])
def test_other_guards_are_not_renewed(kind):
    make, guard, changes = KINDS[kind]
    guards, made = Guards(), make()
    guard(guards, made)
    changes[0](made)
    assert guards.renew(0) is False and guards.changed() == 0
