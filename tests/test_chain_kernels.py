"""Chains of random operations against NumPy, and what a chain and the step of a group refuse."""
from __future__ import annotations

import gc
import weakref
from typing import ClassVar

import numpy as np
import pytest

from minidl import kernels, optim
from minidl.autograd.parameter import Parameter
from minidl.optim.functions import maximum, minimum, sign, sqrt, where
from minidl.optim.group import at_least_zero

OF_ONE = ("negative", "absolute", "sqrt", "sign", "square")
OF_TWO = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
RELATIONS = ("<", "<=", ">", ">=", "==", "!=", "and", "or", "not")
LEAVES = (*(("leaf", i) for i in range(6)), ("number", 0.3), ("number", -2.0), ("number", 1))


def value(tree, leaves):
    """What a tree of operations gives: (name, branches), or ("leaf", its place or a number)."""
    if tree[0] == "leaf":
        return leaves[tree[1]]
    if tree[0] == "number":
        return tree[1]
    if tree[0] == "where":
        return where(holds(tree[1], leaves), value(tree[2], leaves), value(tree[3], leaves) + 0 * leaves[0])
    x = value(tree[1], leaves)
    y = value(tree[2], leaves) if len(tree) > 2 else x
    if tree[0] in ("add", "subtract"):
        return x + y if tree[0] == "add" else x - y
    if tree[0] in ("multiply", "divide"):
        return x * y if tree[0] == "multiply" else x / (y + 0 * leaves[0])
    if tree[0] in ("maximum", "minimum"):
        return maximum(x, y) if tree[0] == "maximum" else minimum(x, y)
    if tree[0] in ("negative", "absolute"):
        return -x if tree[0] == "negative" else abs(x)
    if tree[0] in ("sign", "sqrt"):
        return sign(x + 0 * leaves[0]) if tree[0] == "sign" else sqrt(x + 0 * leaves[0])
    return (x + 0 * leaves[0]) ** 2


def holds(tree, leaves):
    """A condition on arrays."""
    if tree[0] == "not":
        return ~holds(tree[1], leaves)
    if tree[0] in ("and", "or"):
        x, y = holds(tree[1], leaves), holds(tree[2], leaves)
        return x & y if tree[0] == "and" else x | y
    x, y = value(tree[1], leaves) + 0 * leaves[0], value(tree[2], leaves)
    if tree[0] in ("<", "<="):
        return x < y if tree[0] == "<" else x <= y
    if tree[0] in (">", ">="):
        return x > y if tree[0] == ">" else x >= y
    return x == y if tree[0] == "==" else x != y


class Random(optim.Optimizer):
    rules: ClassVar = {"lr": at_least_zero}
    state_names: ClassVar = ("a", "b")

    def __init__(self, params, trees, lr=0.25):
        self.trees = trees
        super().__init__(params, lr=lr)

    def formula(self, w, g, state, s):
        leaves = w, g, state.a, state.b, s.lr, s.step
        state.a, state.b = value(self.trees[0], leaves), value(self.trees[1], leaves)
        return value(self.trees[2], leaves)


def tree(rng, depth):
    if depth == 0 or rng.random() < 0.1:
        return LEAVES[rng.integers(len(LEAVES))]
    kind = rng.random()
    if kind < 0.25:
        return OF_ONE[rng.integers(len(OF_ONE))], tree(rng, depth - 1)
    if kind < 0.85:
        return OF_TWO[rng.integers(len(OF_TWO))], tree(rng, depth - 1), tree(rng, depth - 1)
    return "where", condition(rng, depth - 1), tree(rng, depth - 1), tree(rng, depth - 1)


def condition(rng, depth):
    name = RELATIONS[rng.integers(len(RELATIONS))]
    branch = condition if name in ("and", "or", "not") and depth > 0 else tree
    if branch is tree and name in ("and", "or", "not"):
        name = "<"
    return name, branch(rng, max(depth - 1, 0)), branch(rng, max(depth - 1, 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(60))
def test_random_formulas(seed, dtype):
    rng = np.random.default_rng(seed)
    recorded = 0
    for _ in range(5):
        trees = tuple(tree(rng, 4) for _ in range(3))
        values = rng.standard_normal(int(rng.integers(1, 70))).astype(dtype)
        pair = [Parameter(values), Parameter(values)]
        optimizers = [Random([parameter], trees) for parameter in pair]
        optimizers[1].compiled = False
        for _ in range(3):
            g = rng.standard_normal(values.shape).astype(dtype)
            for parameter, optimizer in zip(pair, optimizers, strict=True):
                parameter.grad = g
                optimizer.step()
        same(pair[0].data, pair[1].data, trees)
        for a, b in zip(*(o.state_dict()["state"][0].values() for o in optimizers), strict=True):
            same(a, b, trees)
        recorded += optimizers[0].reason is None
    assert recorded >= 3


def same(a, b, trees):
    """The same bits, but for which NaN it is."""
    a, b = np.nan_to_num(np.array(a), nan=7), np.nan_to_num(np.array(b), nan=7)
    assert a.tobytes() == b.tobytes(), trees


NUMBERS = [("setting", 0, 0, 0.0), ("constant", 0, 0, 2.0), ("multiply", 0, 1, 0.0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("change", [
    {"arrays": 1}, {"arrays": 25}, {"settings": 0}, {"settings": -1}, {"temporaries": -1}, {"temporaries": 100},
    {"numbers": [("setting", 1, 0, 0.0)]}, {"numbers": [("add", 0, 0, 0.0), ("add", 0, 1, 0.0)]},
    {"numbers": [("other", 0, 0, 0.0)]}, {"guards": [("less", 0, 3, True)]}, {"guards": [("less", -1, 0, True)]},
    {"guards": [("other", 0, 0, True)]}, {"used": [3]}, {"used": [-1]}, {"operations": [("other", 0, 0, 0, 0, 0)]},
    {"operations": [("add", 1, 0, 0, 0, 0)]}, {"operations": [("add", 2, 0, 0, 0, 0)]},
    {"operations": [("add", 0, 4, 0, 0, 0)]}, {"operations": [("add", 0, 0, 0, 0, -1)]},
    {"operations": [("add", 0, 0, 0, 0)]}])
def test_a_chain_that_cannot_be(dtype, change):
    given = {"text": "", "arrays": 2, "settings": 1, "numbers": NUMBERS, "guards": [("less", 0, 1, True)],
             "used": [2], "operations": [("multiply", 0, 2, 1, 0, 0)], "temporaries": 1}
    chain = kernels.of(dtype).Chain(*given.values())
    assert chain.fits([1.5], 1) and not chain.fits([2.0], 1) and not chain.fits([], 1)
    with pytest.raises((ValueError, IndexError, KeyError)):
        kernels.of(dtype).Chain(*(given | change).values())


def test_the_step_of_a_group_checks_its_arrays():
    module = kernels.of(np.float32)
    chain = module.Chain("", 2, 0, [], [], [], [], 0)
    parameter = Parameter(np.zeros(4, np.float32))
    optimizer = optim.SGD([parameter])
    flat, = optimizer.flats()
    w, g = parameter.store.values[parameter.start:][:4], parameter.store.gradients[parameter.start:][:4]

    def made(*, names=(), members=((parameter.status, g),), spans=((w, g),), indices=(0,), numbers=(), counts=None,
             group=optimizer.param_groups[0]):
        return module.GroupStep(optim.SGD, list(names), [], group, [], list(numbers), counts or flat.counts,
                                list(members), [(list(indices), chain, [list(span) for span in spans])], [], [g], True)

    made()
    other = np.zeros(3, np.float32)
    for wrong in ({"spans": [(w, other)]}, {"spans": [(w,)]}, {"spans": [(w, g, g)]}, {"indices": [1]},
                  {"indices": [-1]}, {"members": []}, {"members": [(parameter, g)]}, {"numbers": [1.0]},
                  {"spans": [(w, g.astype(np.float64))]}, {"counts": [0]}, {"names": [([], "a", 1)]}, {"group": []}):
        with pytest.raises((ValueError, TypeError, IndexError)):
            made(**wrong)


def test_an_optimizer_is_freed_without_the_collector():
    parameter = Parameter(np.zeros(4))
    optimizer = optim.Adam([parameter])
    parameter.grad = np.ones(4)
    gc.disable()
    try:
        optimizer.step()
        optimizer.step()
        assert optimizer.reason is None
        gone = weakref.ref(optimizer)
        del optimizer
        assert gone() is None
    finally:
        gc.enable()
