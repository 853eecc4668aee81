"""Random formulas of an optimizer: compiled, with and without loops of their own, they have the bits of Python."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import Adam, Optimizer, compiled
from minidl.optim.functions import maximum, minimum, sign, sqrt, where
from minidl.optim.group import at_least_zero

OPERATIONS = ("add", "subtract", "multiply", "divide", "number", "times", "from", "maximum", "minimum", "abs",
              "negative", "sqrt", "sign", "where", "square")


def computed(kind, a, b, s):
    if kind == "add":
        return a + b
    if kind == "subtract":
        return a - b
    if kind == "multiply":
        return a * b
    if kind == "divide":
        return a / (abs(b) + 0.5)
    if kind == "number":
        return a + s.lr * s.step
    if kind == "times":
        return 0.75 * a
    if kind == "from":
        return s.lr - a
    if kind == "maximum":
        return maximum(a, b)
    if kind == "minimum":
        return minimum(a, s.lr)
    if kind == "abs":
        return abs(a)
    if kind == "negative":
        return -b
    if kind == "sqrt":
        return sqrt(abs(a))
    if kind == "sign":
        return sign(b)
    if kind == "where":
        return where((a > b) | ~(b <= 0.25), a, b)
    return a**2


class Program(Optimizer):
    """Its operations, and which of all values are the new ones, are in tuples of numbers and names."""

    rules = {"lr": at_least_zero}  # noqa: RUF012
    state_names = ("a", "b", "c")
    operations: tuple = ()
    chosen: tuple = ()

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)

    def formula(self, w, g, state, s):
        values = [w, g, state.a, state.b, state.c]
        for kind, i, j in self.operations:
            values = [*values, computed(kind, values[i], values[j], s)]
        first, second, third, fourth = self.chosen
        state.a, state.b, state.c = values[second], values[third], values[fourth]
        return values[first]


def program(rng, length, kinds=OPERATIONS):
    operations = tuple((kinds[rng.integers(len(kinds))], *map(int, rng.integers(0, 5 + k, 2))) for k in range(length))
    return {"operations": operations, "chosen": tuple(map(int, rng.integers(0, 5 + length, 4)))}


def trained(kind, runs_compiled, seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    parameters = [Parameter(rng.standard_normal(n).astype(dtype)) for n in (5, 19)]
    optimizer = kind(parameters)
    optimizer.compiled = runs_compiled
    for _ in range(4):
        for parameter in parameters:
            parameter.grad = np.clip(rng.standard_normal(parameter.shape), -1, 1).astype(dtype)
        optimizer.step()
        for array in (*[p.data for p in parameters], *optimizer.flats()[0].state.values()):
            np.clip(array, -4, 4, out=array)
    assert (optimizer.reason is None) == runs_compiled, optimizer.reason
    state, = optimizer.state_dict()["state"]
    return [p.data for p in parameters] + [state[name] for name in ("a", "b", "c")]


@pytest.fixture(params=["loops", "operations"])
def loops(request, monkeypatch):
    if request.param == "operations":
        monkeypatch.setattr(compiled, "chain", partial(compiled.chain, whole=False))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 8, 14])
def test_programs_of_all_operations(length, loops):
    for seed in range(25):
        kind = type("Made", (Program,), program(np.random.default_rng(seed), length))
        for a, b in zip(trained(kind, True, seed), trained(kind, False, seed), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{seed} {kind.operations} {kind.chosen}")


@pytest.mark.parametrize("length", [2, 3, 5, 9])
def test_programs_of_sums_and_products(length, loops):
    """In which products are joined with the sums that read them, where nothing else does."""
    kinds = ("add", "subtract", "multiply", "multiply", "times")
    for seed in range(40):
        kind = type("Made", (Program,), program(np.random.default_rng(100 + seed), length, kinds))
        for a, b in zip(trained(kind, True, seed), trained(kind, False, seed), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{seed} {kind.operations} {kind.chosen}")


@pytest.mark.parametrize("chosen", [(1, 3, 4, 2), (2, 0, 3, 1), (4, 4, 4, 4), (3, 2, 0, 0), (0, 3, 2, 4)])
def test_values_that_change_places(chosen, loops):
    """Five arrays whose values go round: each is read before it is written."""
    kind = type("Made", (Program,), {"operations": (("add", 0, 1),), "chosen": chosen})
    for runs_compiled in (True, False):
        parameter = Parameter(np.array([1.0, 2.0]))
        optimizer = kind([parameter])
        optimizer.compiled = runs_compiled
        values = [np.array([1.0, 2.0]), None, np.zeros(2), np.zeros(2), np.zeros(2)]
        for step in range(5):
            parameter.grad = values[1] = np.array([3.0, 5.0]) + step
            optimizer.step()
            new = [values[i] for i in chosen]
            values = [new[0], None, *new[1:]]
            state, = optimizer.state_dict()["state"]
            for found, expected in zip([parameter.data, *(state[n] for n in "abc")], new, strict=True):
                assert found.tolist() == expected.tolist(), (step, runs_compiled)


def test_ops_of_the_same_values_are_made_once_and_all_give_the_same():
    def formula(self, w, g, state, s):
        state.a = w * g + w * g
        state.b = (w * g) - (g * w)
        state.c = 2 * w + g * s.lr
        return w * g - s.lr * g

    kind = type("Made", (Program,), {"formula": formula})
    for runs_compiled in (True, False):
        parameter = Parameter(np.array([2.0, -3.0]))
        optimizer = kind([parameter])
        optimizer.compiled = runs_compiled
        parameter.grad = np.array([5.0, 7.0])
        optimizer.step()
        state, = optimizer.state_dict()["state"]
        assert parameter.data.tolist() == [7.5, -24.5]
        assert [state[n].tolist() for n in "abc"] == [[20, -42], [0, 0], [6.5, -2.5]]


def commuted(self, w, g, state, s):
    """Adam's, with the numbers of products and sums behind the arrays."""
    (beta1, beta2), t = s.betas, s.step
    m = state.exp_avg = state.exp_avg * beta1 + g * (1 - beta1)
    v = state.exp_avg_sq = state.exp_avg_sq * beta2 + g**2 * (1 - beta2)
    return w - (m / (s.eps + sqrt(v) / sqrt(1 - beta2**t))) * (s.lr / (1 - beta1**t))


def test_numbers_before_or_behind_arrays_make_the_same_loop():
    found = []
    for kind in (Adam, type("Commuted", (Adam,), {"formula": commuted})):
        parameter = Parameter(np.linspace(-1, 1, 19))
        optimizer = kind([parameter], lr=0.25)
        for step in range(3):
            parameter.grad = np.linspace(2, -3 + step, 19)
            optimizer.step()
        (_, _, chains), = optimizer._compiler.recorded
        assert [chain.loop_name for chain in chains.values()] == ["adam"] and optimizer.reason is None
        found.append(parameter.data.tolist())
    assert found[0] == found[1]
