"""ReLU after a convolution, and its derivative after max pooling's, are done by these kernels; operations in place.

Only where nobody can tell: in each of these steps what Python computes is what the program computes.
"""
from __future__ import annotations

import numpy as np
import pytest
from recorded_twins import Run

import minidl
from minidl import functional as F
from minidl import nn, optim


def plain(y, pool):
    return pool(F.relu(y)).sum()


def kept(y, pool):
    """What comes before ReLU is used after it."""
    z = F.relu(y)
    return (pool(z) * 2).sum() + (y * y).mean()


def used_twice(y, pool):
    z = F.relu(y)
    return pool(z).sum() + (z * z).mean()


def of_both(y, pool):
    return pool(F.relu(y)).sum() + pool(F.relu(y)).mean()


def again(y, pool):
    return pool(F.relu(F.relu(y))).sum()


def smooth(y, pool):
    """Chains of elementwise operations, whose operands end one after the other."""
    z = F.tanh(F.sigmoid(F.relu(y) + 1) * F.exp(-y))
    return pool(z).sum()


def returned(y, pool):
    z = F.relu(y)
    return pool(z).sum(), y, z


def pooled_first(y, pool):
    return F.relu(pool(y)).sum()


BODIES = [plain, kept, used_twice, of_both, again, smooth, returned, pooled_first]
POOLS = {"pairs": lambda z: F.max_pool2d(z, 2), "overlapping": lambda z: F.max_pool2d(z, 3, 2, 1),
         "three": lambda z: F.max_pool2d(z, 3)}


def followed(body, pool, channels: int, dtype, compiled: bool) -> Run:
    run = Run(compiled)
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 1, dtype=dtype), nn.Conv2d(2, channels, 3, padding=1, dtype=dtype))
    optimizer = optim.SGD(model.parameters(), lr=1e-4)

    def train(x):
        results = body(model(x), pool)
        loss, *others = results if isinstance(results, tuple) else (results,)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, *others

    step = run.capture(train)
    run.hold(model)
    for call in range(5):
        x = run.numbers(3, 2, 9, 12, dtype=dtype)
        if call == 4 and body is plain:
            x[1, 0, 3, 3] = np.nan
        run.calls(step, x)
    run.runs(step, "^compiled$")
    if compiled and body is plain:
        instructions = {str(line.operation.name): end - begin
                        for recording in step._kept.values() for line, begin, end, _ in recording.listing
                        if line.what == "operation"}
        assert instructions["relu"] == instructions["relu_backward"] == 0
    return run


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("channels", [3, 8, 17])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_the_bits_are_those_of_python(body, pool, channels, dtype):
    expected, got = (followed(body, POOLS[pool], channels, dtype, compiled) for compiled in (False, True))
    assert not expected.errors and not got.errors
    for mine, reference in zip(got.log, expected.log, strict=True):
        assert mine == reference
