"""Every formula, compiled and as Python: the same bits, and a recording that is never stale."""
from __future__ import annotations

import functools
import itertools
import pickle
import sys

import formulas
import numpy as np
import pytest
import twins
from theirs import torch

import minidl
from minidl import nn, optim
from minidl.autograd import storage
from minidl.autograd.parameter import Parameter
from minidl.optim import Optimizer, compiled
from minidl.optim.adam import two_fractions
from minidl.optim.group import at_least_zero, fraction
from minidl.optim.sgd import switch

OURS = [kind for name in optim.__all__ if isinstance(kind := getattr(optim, name), type) and kind is not Optimizer
        and not kind.needs_closure]
VALUES = {at_least_zero: (0, 0.3), fraction: (0.25, 0.6), two_fractions: ((0.0, 0.0), (0.5, 0.9)),
          switch: (False, True)}
SIZES = (0, 1, 7, 8, 9, 15, 16, 17, 33, 1000, 2048, 2049)


def settings_of(kind):
    """The defaults, each setting with other values, each pair of them, and all of them."""
    choices = [(name, value) for name, rule in kind.rules.items() for value in VALUES[rule]]
    sets = [{}, *({name: value} for name, value in choices)]
    sets += [{a: x, b: y} for (a, x), (b, y) in itertools.combinations(choices, 2) if a != b]
    sets.append({name: VALUES[rule][1] for name, rule in kind.rules.items()})
    for settings in sets:
        try:
            kind([Parameter(np.zeros(1))], **settings)
        except ValueError:
            continue
        yield settings


CASES = [(kind, settings) for kind in (*OURS, *formulas.RECORDABLE) for settings in settings_of(kind)]
EVERY = (*OURS, *formulas.RECORDABLE, *formulas.PYTHON)


class Pair:
    """An optimizer that runs compiled, and a twin that runs as Python."""

    def __init__(self, kind, sizes=(33, 5, 17), dtype=np.float32, make=None, seed=0):
        self.rng, self.dtype = np.random.default_rng(seed), dtype
        values = [self.rng.standard_normal(size).astype(dtype) for size in sizes]
        self.parameters = [[Parameter(value) for value in values] for _ in range(2)]
        self.optimizers = [(make or kind)(parameters) for parameters in self.parameters]
        self.optimizers[1].compiled = False

    def each(self, function):
        for parameters, optimizer in zip(self.parameters, self.optimizers, strict=True):
            function(parameters, optimizer)

    def step(self, without=()):
        for i, (mine, theirs) in enumerate(zip(*self.parameters, strict=True)):
            g = self.rng.standard_normal(mine.shape).astype(self.dtype)
            mine.grad = theirs.grad = None if i in without else g
        self.each(lambda _, optimizer: optimizer.step())

    def check(self, recorded=True):
        (mine, one), (theirs, other) = zip(self.parameters, self.optimizers, strict=True)
        assert [p.data.tobytes() for p in mine] == [p.data.tobytes() for p in theirs]
        assert [p.status.version for p in mine] == [p.status.version for p in theirs]
        for a, b in zip(one.state_dict()["state"], other.state_dict()["state"], strict=True):
            assert a.keys() == b.keys() and a["step"] == b["step"]
            assert all(a[name].tobytes() == b[name].tobytes() for name in a if name != "step")
        assert other.reason == "compiled is False"
        assert (one.reason is None) == recorded, one.reason


@pytest.fixture(params=["loops", "operations"])
def chains(request, monkeypatch):
    """Chains as they are, and without the loops of their own."""
    if request.param == "operations":
        monkeypatch.setattr(compiled, "chain", functools.partial(compiled.chain, whole=False))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "settings"), CASES, ids=lambda x: getattr(x, "__name__", None) or str(x))
def test_the_same_bits(kind, settings, dtype, chains):
    pair = Pair(kind, SIZES, dtype, lambda parameters: kind(parameters, **settings))
    for _ in range(4):
        pair.step()
    pair.check()


@pytest.mark.parametrize("kind", EVERY)
def test_extreme_values(kind, chains):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-42, 3e38, -3e38, 1, 1e-20], np.float32)
    pair = Pair(kind, (special.size ** 2,))
    for values in (np.repeat(special, special.size), np.tile(special, special.size)) * 2:
        pair.each(lambda parameters, optimizer, g=values: setattr(parameters[0], "grad", g))
        pair.each(lambda _, optimizer: optimizer.step())
    a, b = (np.nan_to_num(parameters[0].data, nan=7) for parameters in pair.parameters)
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", EVERY)
def test_all_that_may_happen_to_an_optimizer(kind, dtype, chains):
    recorded = kind not in formulas.PYTHON

    def groups(parameters):
        return kind([{"params": parameters[:2]}, {"params": parameters[2:4], "lr": 0.25}])

    pair = Pair(kind, (33, 5, 17, 1, 40), dtype, groups)
    for without in ((), (1,), (1, 2), (0, 1, 2, 3), ()):  # without a gradient, and late
        pair.step(without)
        pair.check(recorded)
    pair.each(lambda parameters, _: setattr(parameters[0], "requires_grad", False))
    pair.step()
    pair.each(lambda parameters, _: setattr(parameters[0], "requires_grad", True))
    pair.each(lambda _, optimizer: optimizer.zero_grad())
    pair.each(lambda parameters, _: parameters[3].gradient.fill(2))  # by hand
    pair.each(lambda _, optimizer: optimizer.step())
    pair.check(recorded)
    for change in (
        lambda _, optimizer: optimizer.add_param_group({"params": _[4:], "lr": 0.125}),
        lambda _, optimizer: setattr(optimizer, "lr", optimizer.lr * 0.5),
        lambda _, optimizer: optimizer.param_groups[0]["params"].reverse(),
        lambda _, optimizer: optimizer.param_groups[1]["params"].append(optimizer.param_groups[0]["params"].pop()),
        lambda parameters, _: storage.flatten(parameters[::-1]),
        lambda _, optimizer: optimizer.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict()))),
        lambda _, optimizer: optimizer.param_groups.reverse(),
        lambda _, optimizer: optimizer.zero_grad(set_to_none=False),
    ):
        pair.each(change)
        pair.step()
        pair.check(recorded)
        pair.each(lambda _, optimizer: optimizer.zero_grad())
        assert not any(p.gradient.any() or p.status.has_grad for ps in pair.parameters for p in ps[:4])


def test_groups_of_two_dtypes():
    def make(parameters):
        other = [Parameter(np.arange(20.0)), Parameter(np.ones(3))]
        parameters += other
        return optim.Adam([{"params": parameters[:3]}, {"params": other}])

    pair = Pair(None, make=make)
    for _ in range(3):
        pair.each(lambda parameters, _: [setattr(p, "grad", np.cos(p.data)) for p in parameters])
        pair.each(lambda _, optimizer: optimizer.step())
    pair.check()


# What a recording hangs on

def test_a_setting_that_steers_a_branch_makes_a_recording_and_both_are_kept():
    pair = Pair(optim.SGD)
    recorded = pair.optimizers[0]._compiler
    for momentum, nesterov in [(0, False), (0.9, False), (0.9, True), (0, False), (0.5, False), (0.25, True)] * 2:
        pair.each(lambda _, o, m=momentum, n=nesterov: o.param_groups[0].update(momentum=m, nesterov=n))
        pair.step()
        pair.check()
    assert len(recorded.recorded) == 4  # the plain one, with momentum in its first step and later, Nesterov's


def test_numbers_are_read_at_each_step_without_a_recording():
    pair = Pair(optim.Adam)
    pair.step()
    chain, = pair.optimizers[0]._compiler.recorded
    for i in range(1, 6):
        pair.each(lambda _, o, i=i: o.param_groups[0].update(lr=0.1 / i, betas=(0.5, 1 - 0.5 / i), eps=10.0 ** -i))
        pair.step()
        pair.check()
    assert pair.optimizers[0]._compiler.recorded == [chain]


@pytest.mark.parametrize("kind", EVERY)
def test_a_schedule_that_writes_at_each_step(kind):
    def make(parameters):
        return kind([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5}])

    pair = Pair(kind, make=make)
    for i in range(6):
        pair.each(lambda _, o, i=i: o.param_groups[i % 2].update(lr=0.1 / (i + 1)))
        if i == 4:
            pair.each(lambda _, o: setattr(o, "lr", 0.3))
        pair.step()
    pair.check(kind not in formulas.PYTHON)


def test_a_group_that_is_removed_is_left_alone():
    pair = Pair(optim.Adam)
    pair.step()
    groups = [optimizer.param_groups.pop() for optimizer in pair.optimizers]
    before = pair.parameters[0][0].data.copy()
    pair.each(lambda _, optimizer: optimizer.step())
    assert [optimizer.param_groups for optimizer in pair.optimizers] == [[], []]
    assert pair.parameters[0][0].data.tobytes() == before.tobytes()
    for optimizer, group in zip(pair.optimizers, groups, strict=True):
        optimizer.param_groups.append(group)
    pair.step()
    assert pair.parameters[0][0].data.tobytes() == pair.parameters[1][0].data.tobytes() != before.tobytes()


def test_a_state_that_hangs_on_a_float():
    class Late(Scaled):
        state_names = ("v",)

        def keeps_state(self, group):
            return group["lr"] < 0.2

    pair = Pair(Late)
    for lr in (0.5, 0.1, 0.05, 0.4, 0.01):
        pair.each(lambda _, o, lr=lr: setattr(o, "lr", lr))
        pair.step()
        pair.check()
    assert pair.optimizers[0].state_dict()["state"][0]["step"] == [3, 3, 3]


def test_a_global_that_changes(monkeypatch):
    pair = Pair(formulas.AMSGrad)
    pair.step()
    monkeypatch.setattr(formulas, "mixed", lambda a, b, share: 0.5 * a + b)
    pair.step()
    pair.check()


class Scaled(optim.Optimizer):
    rules = {"lr": at_least_zero}  # noqa: RUF012
    factor = 0.5

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)

    def scaled(self, g):
        return self.factor * g * FACTOR

    def formula(self, w, g, state, s):
        return w - s.lr * self.scaled(g)


FACTOR = 2.0


def replaced(self, g):
    return g + FACTOR


@pytest.mark.parametrize("change", [
    lambda patch, o: patch.setattr(sys.modules[__name__], "FACTOR", 3.0),
    lambda patch, o: patch.setattr(Scaled, "factor", 0.25),
    lambda patch, o: patch.setattr(o, "factor", 0.25, raising=False),
    lambda patch, o: patch.setattr(Scaled, "scaled", replaced),
    lambda patch, o: patch.setattr(o, "scaled", functools.partial(replaced, None), raising=False),
    lambda patch, o: patch.setattr(Scaled, "formula", lambda self, w, g, state, s: w + g),
    lambda patch, o: patch.setattr(o, "formula", lambda w, g, state, s: w + g, raising=False),
    lambda patch, o: patch.setattr(o, "update", lambda group, part: None, raising=False),
    lambda patch, o: patch.setattr(Optimizer, "update", lambda self, group, part: None),
    lambda patch, o: patch.setattr(o, "__class__", type("Other", (Scaled,), {"factor": 4.0})),
    lambda patch, o: patch.setitem(o.param_groups[0], "lr", 0.125),
    lambda patch, o: dict.__setitem__(o.param_groups[0], "lr", 0.125),
    lambda patch, o: o.param_groups.__setitem__(0, dict(o.param_groups[0], lr=0.125)),
    lambda patch, o: patch.setattr(o, "param_groups", [dict(o.param_groups[0], lr=0.125)]),
])
def test_nothing_is_stale(change):
    """What the formula looks at is changed: the next step sees it."""
    pair = Pair(Scaled)
    for _ in range(3):
        pair.step()
    assert pair.optimizers[0].reason is None
    before = pair.parameters[0][0].data.copy()
    with pytest.MonkeyPatch.context() as patch:
        for optimizer in pair.optimizers:
            change(patch, optimizer)
        pair.step()
        after, expected = ([p.data.tobytes() for p in parameters] for parameters in pair.parameters)
        assert after == expected
        old = before - np.float32(0.5) * (np.float32(0.5) * pair.parameters[0][0].grad * np.float32(2))
        assert pair.parameters[0][0].data.tobytes() != old.tobytes()


class Clocked(Scaled):
    """What may change unseen: each makes the formula run as Python."""

    state_names = ("v",)
    calls: list = []  # noqa: RUF012
    way = ""

    def formula(self, w, g, state, s):
        return getattr(sys.modules[__name__], self.way)(self, w, g, state, s)


TABLE = [0.5]
NOISE = np.random.default_rng(0)
outer = 0


def a_list(self, w, g, state, s):
    return w - TABLE[0] * g


def a_method_with_a_list(self, w, g, state, s, calls=[]):  # noqa: B006
    return w - len(calls) * g


def a_generator(self, w, g, state, s):
    return w - NOISE.random() * g


def its_own_state(self, w, g, state, s):
    self.factor = self.factor / 2
    return w - self.factor * g


def a_counter(self, w, g, state, s):
    self.calls.append(1)
    return w - g


def the_groups(self, w, g, state, s):
    return w - self.param_groups[0]["lr"] * g


def a_value(self, w, g, state, s):
    return w - g if g[0] > 0 else w


def another(self, w, g, state, s):
    return w - getattr(self, "lr") * g  # noqa: B009


def numpys(self, w, g, state, s):
    return w - np.sqrt(abs(g))


def imported(self, w, g, state, s):
    from math import sqrt
    return w - sqrt(2) * g


def a_global(self, w, g, state, s):
    global outer
    outer += 1
    return w - g


def tried(self, w, g, state, s):
    try:
        return w - g if g.sum() > 0 else w
    except TypeError:
        return w


def with_a_context(self, w, g, state, s):
    with minidl.no_grad():
        return w - g


def with_a_context_that_is_given(self, w, g, state, s, context=()):
    if context:
        with context:
            return w
    return w - g


def a_global_that_goes(self, w, g, state, s):
    global outer
    if s.step < 0:
        del outer
    return w - g


def a_place_written(self, w, g, state, s):
    parts = [w, g]
    parts[0] = 3 * w
    return parts[0] - parts[1]


def a_place_deleted(self, w, g, state, s):
    parts = [0.0, w, g]
    del parts[0]
    return parts[0] - parts[1]


def a_generator_expression(self, w, g, state, s):
    return sum(part for part in (w, -g))


def a_class(self, w, g, state, s):
    class Inner:
        pass

    return w - g if Inner else w


def in_place(self, w, g, state, s):
    d = 2 * g
    same = d
    d += 1
    return w - same


def cast(self, w, g, state, s):
    return w - float(s.lr) * g


@pytest.mark.parametrize("way", [
    a_list, a_method_with_a_list, a_generator, its_own_state, a_counter, the_groups, a_value, another, numpys,
    imported, a_global, tried, with_a_context, with_a_context_that_is_given, a_global_that_goes, a_place_written,
    a_place_deleted, a_generator_expression, a_class, in_place, cast])
def test_what_cannot_be_watched_runs_as_python(way):
    kind = type(way.__name__, (Scaled,), {"formula": way, "calls": []})
    parameter = Parameter(np.ones(3, np.float32))
    optimizer = kind([parameter])
    for _ in range(3):
        parameter.grad = np.ones(3, np.float32)
        before = parameter.data.copy()
        optimizer.step()
        assert optimizer.reason and optimizer._steps == []
        if way is not a_method_with_a_list:
            assert (parameter.data != before).all()
    if way is a_counter:
        assert kind.calls == [1, 1, 1]  # a recording that is given up has done nothing


def test_a_profiler_is_left_as_it_was():
    def profiler(*_):
        pass

    parameter = Parameter(np.ones(3))
    parameter.grad = np.ones(3)
    sys.setprofile(profiler)
    try:
        optim.Adam([parameter]).step()
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


def test_a_formula_cannot_write_to_what_it_is_given():
    class Writing(Scaled):
        def formula(self, w, g, state, s):
            w -= g
            return w

    parameter = Parameter(np.ones(3))
    parameter.grad = np.ones(3)
    with pytest.raises(ValueError, match="read-only"):
        Writing([parameter]).step()
    assert parameter.data.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("given", "got"), [(None, "NoneType"), ("no", "str")])
def test_a_formula_that_gives_no_values(given, got):
    class Without(Scaled):
        def formula(self, w, g, state, s):
            return given

    parameter = Parameter(np.ones(3))
    parameter.grad = np.ones(3)
    with pytest.raises(TypeError, match=f"Without.formula: expected new values, got {got}"):
        Without([parameter]).step()
    assert parameter.data.tolist() == [1, 1, 1]


def test_an_error_of_the_formula_is_the_users():
    class Divided(Scaled):
        def formula(self, w, g, state, s):
            return w - g / (s.step - 2 if s.step > 2 else 1) * (1 / (s.step - 3))

    parameter = Parameter(np.ones(3))
    optimizer = Divided([parameter])
    for _ in range(2):
        parameter.grad = np.ones(3)
        optimizer.step()
    before = parameter.data.copy()
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    assert parameter.data.tolist() == before.tolist() and optimizer.state_dict()["state"][0]["step"] == [2]


def test_a_state_that_is_read_only_or_replaced():
    pair = Pair(optim.Adam)
    pair.step()
    optimizer = pair.optimizers[0]
    array = optimizer._flats[0].state["exp_avg"]
    array.flags.writeable = False
    with pytest.raises(ValueError, match="exp_avg: expected a state of float32"):
        optimizer.step()
    array.flags.writeable = True
    optimizer._flats[0].state["exp_avg"] = array.copy()
    pair.step()
    pair.check()
    assert array.tobytes() != optimizer._flats[0].state["exp_avg"].tobytes()


@pytest.mark.parametrize(("kind", "settings", "loop"), [
    (optim.SGD, {}, ""), (optim.SGD, {"momentum": 0.5}, ""), (optim.Adam, {}, "adam"),
    (optim.Adam, {"weight_decay": 0.5}, "adam_decay"), (optim.AdamW, {}, "adamw"), (optim.Adadelta, {}, "adadelta"),
    (optim.Adadelta, {"weight_decay": 0.5}, "adadelta_decay")])
def test_common_formulas_have_loops_of_their_own(kind, settings, loop):
    pair = Pair(kind, make=lambda parameters: kind(parameters, **settings))
    pair.step()
    pair.step()
    *_, (_, _, chains) = pair.optimizers[0]._compiler.recorded
    assert [chain.loop_name for chain in chains.values()] == [loop]


def test_a_formula_that_changes_at_every_step_is_not_recorded_for_ever():
    class Counting(Scaled):
        def formula(self, w, g, state, s):
            return w - self.factor * g

    pair = Pair(Counting)
    for i in range(100):
        pair.each(lambda _, o, i=i: setattr(o, "factor", 1 / (i + 1)))
        pair.step()
    assert len(pair.optimizers[0]._compiler.recorded) <= compiled.MOST
    assert pair.parameters[0][0].data.tobytes() == pair.parameters[1][0].data.tobytes()


@pytest.fixture
def double_by_default():
    """NAdam's running product has PyTorch's default dtype."""
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "settings"), [case for case in CASES if case[0] in {*OURS} - {optim.Lion}],
                         ids=lambda x: getattr(x, "__name__", None) or str(x))
def test_pytorch_does_the_same(kind, settings, dtype, double_by_default):
    torch = double_by_default
    rng = np.random.default_rng(0)
    mine = [Parameter(rng.standard_normal((5, 7)).astype(dtype))]
    theirs = [torch.tensor(mine[0].data, requires_grad=True)]
    optimizer, reference = kind(mine, **settings), getattr(torch.optim, kind.__name__)(theirs, **settings)
    for _ in range(10):
        mine[0].grad = rng.standard_normal((5, 7)).astype(dtype)
        theirs[0].grad = torch.tensor(mine[0].grad)
        optimizer.step()
        reference.step()
    expected, tolerance = theirs[0].detach().numpy(), 1e-11 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(mine[0].data, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("kind", EVERY)
def test_a_captured_step_and_fit_take_every_optimizer(kind):
    twins.trained(twins.small, optimizer=kind)
    model = twins.small()
    x = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    optimizer = kind(model.parameters())
    before = model.flat_parameters.copy()
    minidl.fit(model, nn.CrossEntropyLoss(), optimizer, (x, np.arange(8) % 3), epochs=3, batch_size=4, seed=0)
    assert (model.flat_parameters != before).any() and np.isfinite(model.flat_parameters).all()
    assert set(optimizer.state_dict()["state"][0]["step"]) <= {0, 6}
