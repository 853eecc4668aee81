"""The memory of a program: what is alive together lies apart, and what is not shares its place."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.compiled.program import Builder
from minidl.kernels.ledger import owner_of

X = np.random.default_rng(0).standard_normal((4, 16), np.float32)


def builder_of(function, *inputs) -> Builder:
    step = minidl.capture(function)
    step(*inputs)
    recording, = step._kept.values()
    builder = Builder(recording.recorder, recording.tensors)
    builder.build()
    return builder


def layers():
    minidl.manual_seed(0)
    return nn.Linear(16, 16), nn.Linear(16, 16)


def a_loop():
    first, second = layers()
    optimizer = optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)

    def step(x):
        h = x
        for _ in range(4):
            h = F.tanh(first(x) + second(h))
        loss = (h * h).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, h

    return step


def without_a_gradient():
    first, second = layers()

    @minidl.no_grad()
    def step(x):
        h = F.relu(first(x))
        g = F.exp(second(h) - h)
        return g @ h.T, F.softmax(g, 1).sum(0)

    return step


def parts_of_an_array():
    first, second = layers()

    def step(x):
        y = first(x)
        loss = (y[:, :8] * y[:, 8:]).sum() + second(y).mean()
        loss.backward()
        return loss, first.weight * 1.0

    return step


def normalized():
    norm, (first, _) = nn.LayerNorm(16), layers()

    def step(x):
        loss = (norm(first(x)) ** 2).sum() + F.cat([x, first(x)], 1).mean()
        loss.backward()
        return loss

    return step


@pytest.mark.parametrize("make", [a_loop, without_a_gradient, parts_of_an_array, normalized])
def test_arrays_that_are_alive_together_share_no_byte(make):
    builder = builder_of(make(), X)
    roots = builder.recorder.roots
    born, dies, spans = {}, {}, {}
    for number, line in enumerate(builder.lines):
        for array in line.arrays:
            owner = owner_of(array)
            if roots[id(owner)].key[0] in ("line", "argument", "constant"):
                mine = builder.array(owner)
                begin = mine.ctypes.data
                spans[id(owner)] = begin, begin + mine.nbytes
                born.setdefault(id(owner), number if roots[id(owner)].key[0] == "line" else -1)
                dies[id(owner)] = number
    for array in builder.results:
        dies[id(owner_of(array))] = len(builder.lines)
    for key, (begin, end) in spans.items():
        for other, (low, high) in spans.items():
            together = born[key] < dies[other] and born[other] < dies[key]
            assert key == other or begin >= high or low >= end or not together or (begin, end) == (low, high)


def test_memory_does_not_grow_with_the_length_of_a_chain():
    weight = minidl.tensor(np.eye(16, dtype=np.float32))

    def chain(length):
        def step(x):
            for _ in range(length):
                x = x @ weight
            return x

        return step

    size = X.nbytes
    assert [builder_of(chain(n), X).arena.end // size for n in (1, 2, 3, 8)] == [2, 3, 3, 3]


def test_what_nobody_reads_is_left_out_with_what_it_alone_reads():
    def step(x):
        a = F.exp(x)
        F.tanh(a + 1.0)
        b = x * 2.0
        return b

    builder = builder_of(step, X)
    assert [line.operation.name for line in builder.lines] == ["mul"] and builder.arena.end == 2 * X.nbytes


def test_numbers_and_constants():
    builder = builder_of(lambda x: x * 2.0 + 2.0, X)
    two = builder.number(2.0, np.float32)
    assert builder.number(2, np.float32) is two and two.shape == () and two == 2
    assert builder.number(2.0, np.float64) is not two and builder.number(0.0, np.float32) is not builder.number(
        -0.0, np.float32)
    assert np.signbit(builder.number(-0.0, np.float32)) and builder.number(0.1, np.float32) == np.float32(0.1)
    assert builder.scratch((2, 3), np.float32).shape == (2, 3) and builder.scratch((2,), np.int64).dtype == np.int64
    assert builder.owns(builder.array(builder.results[0])) and not builder.owns(X) and not builder.owns(two)


@pytest.mark.parametrize("again", [False, True])
def test_a_gradient_that_begins_at_zero_is_overwritten_and_then_added_to(again):
    layer = nn.Linear(16, 2, generator=0)

    def step(x):
        layer.zero_grad(set_to_none=False)
        loss = layer(x).sum()
        loss.backward()
        if again:
            layer(x * 2.0).sum().backward()
        return loss

    layer(minidl.tensor(X)).sum().backward()
    captured = minidl.capture(step)
    for _ in range(4):
        captured(X)
        wanted = np.ones((2, 1)) * X.sum(0) * (3 if again else 1)
        np.testing.assert_allclose(layer.weight.grad, wanted, rtol=1e-5, atol=1e-6)
    lines = captured.listing().splitlines()
    found = [line.partition(" linear_weight_gradient")[0] for line in lines if "linear_weight_gradient" in line]
    assert found == ["weight.grad[2, 16] =", "weight.grad[2, 16] +="][:1 + again]
    assert not any(" <- 0" in line for line in lines)
