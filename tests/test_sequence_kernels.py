"""The kernels whose shapes hang together: recurrent layers, normalisation, stacks of products, tables; and twins."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

from minidl import kernels, reference

TARGETS = [(target, dtype) for target in kernels.targets() for dtype in (np.float32, np.float64)]
EDGES = (1, 7, 8, 9, 16, 17, 33)
KINDS = {"rnn": (1, 1, 0, 1), "lstm": (2, 4, 5, 4), "gru": (1, 3, 4, 6)}  # states, gates, kept, columns
every_target = pytest.mark.parametrize("target, dtype", TARGETS, ids=lambda x: getattr(x, "__name__", x))


def close(got, want, dtype) -> None:
    np.testing.assert_allclose(got, want, rtol=200 * np.finfo(dtype).eps, atol=200 * np.finfo(dtype).eps)


def recurrent(kind: str, steps: int, n: int, h: int, dtype):
    """(a, weight, bias, work, g) with initial states in the work."""
    states, gates, kept, _ = KINDS[kind]
    rng = np.random.default_rng(steps * 100 + n * 10 + h)
    a, g = (rng.standard_normal(shape).astype(dtype) for shape in ((steps * n, gates * h), (states * steps * n, h)))
    weight = np.asfortranarray(rng.standard_normal((gates * h, h)) / np.sqrt(h)).astype(dtype)
    bias = rng.standard_normal(gates * h).astype(dtype) if kind == "gru" else None
    work = np.full(states * (steps + 1) * n * h + kept * steps * n * h, np.nan, dtype)
    slabs = work[:states * (steps + 1) * n * h].reshape(states, steps + 1, n, h)
    slabs[:, 0] = slabs[:, -1] = rng.standard_normal((states, n, h))
    return a, weight, bias, work, g


@every_target
@pytest.mark.parametrize("kind, reverse, relu", [
    ("rnn", 0, 0), ("rnn", 1, 0), ("rnn", 0, 1), ("lstm", 0, None), ("lstm", 1, None), ("gru", 0, None),
    ("gru", 1, None)])
def test_recurrent(kind, reverse, relu, target, dtype):
    module = kernels.load(target, dtype)
    settings = [reverse] + ([relu] if relu is not None else [])
    for steps, n, h in [*itertools.product([1, 2, 5], [1, 3], [1, 8]), *((3, n, 5) for n in EDGES),
                        *((3, 2, h) for h in EDGES)]:
        a, weight, bias, work, g = recurrent(kind, steps, n, h, dtype)
        wide = [None if x is None else x.astype(np.float64) for x in (a, weight, bias, work, g)]
        before = [x.tobytes() for x in (a, weight, g)]
        getattr(module, kind)(a, weight, bias, work, steps, *settings)
        getattr(reference, kind)(wide[0], wide[1], wide[2], wide[3], steps, *settings)
        close(work, wide[3], dtype)
        columns = KINDS[kind][3]
        out = np.full(((steps + 1) * n, columns * h), np.nan, dtype)
        want = out.astype(np.float64)
        held = work.tobytes()
        getattr(module, f"{kind}_backward")(g, weight, work, out, steps, *settings)
        getattr(reference, f"{kind}_backward")(wide[4], wide[1], wide[3], want, steps, *settings)
        close(out, want, dtype)
        assert [x.tobytes() for x in (a, weight, g)] == before and work.tobytes() == held
        other = np.full_like(out, np.nan)
        getattr(module, f"{kind}_backward")(g, np.ascontiguousarray(weight), work, other, steps, *settings)
        assert other.tobytes() == out.tobytes()  # however the weight lies


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_refuses_what_does_not_fit(kind):
    module = kernels.of(np.float32)
    a, weight, bias, work, g = recurrent(kind, 3, 2, 5, np.float32)
    settings = (0, 0) if kind == "rnn" else (0,)
    out = np.empty((8, KINDS[kind][3] * 5), np.float32)
    backward, forward = getattr(module, f"{kind}_backward"), getattr(module, kind)
    for arguments in ((a[:-1], weight, bias, work, 3), (a[:, 1:], weight, bias, work, 3),
                      (a, weight, bias, work[1:], 3),
                      (a, weight[:, 1:], bias, work, 3), (a, weight, bias, work, 2), (a, weight, bias, work, 0),
                      (a, weight, bias, work, -3), (a, weight, np.ones(4, np.float32), work, 3),
                      (a[:, ::-1], weight, bias, work, 3)):
        with pytest.raises((ValueError, TypeError)):
            forward(*arguments, *settings)
    for arguments in ((g[:-1], weight, work, out, 3), (g, weight[1:], work, out, 3), (g, weight, work[1:], out, 3),
                      (g, weight, work, out[1:], 3), (g, weight, work, out[:, 1:].copy(), 3),
                      (g, weight, work, out, 4)):
        with pytest.raises((ValueError, TypeError)):
            backward(*arguments, *settings)
    for wrong in ((), (0, 0, 0)):
        with pytest.raises(TypeError, match="expected the number of steps and how they run"):
            forward(a, weight, bias, work, 3, *wrong)
    with pytest.raises(ValueError):
        forward(a.astype(np.float64), weight, bias, work, 3, *settings)


@every_target
def test_products_of_stacks(target, dtype):
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    for count, m, k, n in [(3, m, 5, 4) for m in EDGES] + [(2, 3, 4, n) for n in EDGES] + [
            (2, 5, k, 3) for k in (0, *EDGES)] + [(0, 2, 3, 4), (1, 1, 300, 40), (2, 0, 3, 4)]:
        a, b = rng.integers(-9, 9, (count, m, k)).astype(dtype), rng.integers(-9, 9, (count, k, n)).astype(dtype)
        layouts = [a, np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2), a[::-1]]
        for left in layouts:
            for right in (b, np.ascontiguousarray(b.swapaxes(1, 2)).swapaxes(1, 2)):
                c = np.full((count, m, n), np.nan, dtype)
                module.bmm(left, right, c)
                np.testing.assert_array_equal(c, left @ right)
                twin = np.full_like(c, np.nan)
                reference.bmm(left, right, twin)
                np.testing.assert_array_equal(c, twin)
                for i in range(count):
                    one = np.empty((m, n), dtype)
                    module.matmul(left[i], right[i], one)
                    np.testing.assert_array_equal(c[i], one)
    a, b, c = np.ones((2, 3, 4), dtype), np.ones((2, 4, 5), dtype), np.empty((2, 3, 5), dtype)
    frozen = c.copy()
    frozen.setflags(write=False)
    for arguments in ((a[:1], b, c), (a, b[:, 1:], c), (a, b, c[:, 1:]), (a[0], b, c), (a, b, c.swapaxes(1, 2)),
                      (a.astype(np.int64), b, c), (a, b, frozen), (a, b, None), (a.tolist(), b, c)):
        with pytest.raises((ValueError, TypeError, BufferError)):
            module.bmm(*arguments)
    with pytest.raises((ValueError, TypeError)):
        module.bmm(a, b.astype(np.float32 if dtype == np.float64 else np.float64), c)


@every_target
def test_rows_of_a_table(target, dtype):
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    for rows, width, n in itertools.product((1, 5), EDGES, (0, 1, 200)):
        table, g = rng.standard_normal((rows, width)).astype(dtype), rng.standard_normal((n, width)).astype(dtype)
        labels = rng.integers(0, rows, n)
        for given in (table, np.asfortranarray(table)):
            y = np.full((n, width), np.nan, dtype)
            module.take_rows(given, labels, y)
            np.testing.assert_array_equal(y, table[labels])
        for skip in (-1, 0):
            total, twin = np.ones((rows, width), dtype), np.ones((rows, width), dtype)
            module.add_rows(g, labels, total, skip)
            reference.add_rows(g, labels, twin, skip)
            np.testing.assert_array_equal(total, twin)  # bit for bit: one addition after the other
    table, y, total = np.ones((4, 3), dtype), np.full((2, 3), 7, dtype), np.full((4, 3), 7, dtype)
    for bad in ([0, 4], [-1, 0]):
        with pytest.raises(ValueError, match="expected labels from 0 to 3"):
            module.take_rows(table, np.array(bad), y)
        with pytest.raises(ValueError, match="expected labels from 0 to 3"):
            module.add_rows(y, np.array(bad), total, -1)
    for arguments in ((table, np.array([1]), y), (table[:, 1:], np.array([1, 2]), y)):
        with pytest.raises(ValueError):
            module.take_rows(*arguments)
    assert np.all(y == 7) and np.all(total == 7)


@every_target
@pytest.mark.parametrize("kind", ["layer_norm", "batch_norm"])
def test_normalization(kind, target, dtype):
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    more = 2 if kind == "batch_norm" else 0
    for n, c in [*((n, 5) for n in EDGES), *((3, c) for c in EDGES), (2, 1000), (300, 70)]:
        x, g = (2 * rng.standard_normal((n, c)).astype(dtype) + dtype(1) for _ in range(2))
        weight, bias = (rng.standard_normal(c).astype(dtype) for _ in range(2))
        for w, b in ((None, None), (weight, None), (weight, bias)):
            wide = [None if a is None else a.astype(np.float64) for a in (x, g, w, b)]
            y, out = np.full((n + more, c), np.nan, dtype), np.full((n + 2, c), np.nan, dtype)
            getattr(module, kind)(x, w, b, y, 0.1)
            getattr(module, f"{kind}_backward")(g, x, w, out, 0.1)
            want, wanted = np.empty(y.shape), np.empty(out.shape)
            getattr(reference, kind)(wide[0], wide[2], wide[3], want, 0.1)
            getattr(reference, f"{kind}_backward")(wide[1], wide[0], wide[2], wanted, 0.1)
            close(y, want, dtype)
            scale = max(1, abs(wanted).max())
            close(out / scale, wanted / scale, dtype)
    x, y, out = np.ones((3, 4), dtype), np.full((3 + more, 4), 7, dtype), np.full((5, 4), 7, dtype)
    w = np.ones(4, dtype)
    for arguments in ((x, w[1:], None, y), (x, w, w[1:], y), (x, w, w, y[1:]), (x[:, 1:], None, None, y),
                      (x, np.ones(8, dtype)[::2], None, y)):
        with pytest.raises(ValueError):
            getattr(module, kind)(*arguments, 0.1)
    for arguments in ((x[1:], x, w, out), (x, x, w[1:], out), (x, x, w, out[1:])):
        with pytest.raises(ValueError):
            getattr(module, f"{kind}_backward")(*arguments, 0.1)
    assert np.all(y == 7) and np.all(out == 7)


@every_target
def test_a_row_is_normalised_as_if_it_were_alone(target, dtype):
    """Rows are done together, but no bit of one depends on the others; sums over rows go on in their order."""
    module, rng = kernels.load(target, dtype), np.random.default_rng(0)
    for n, c in [*((n, 5) for n in EDGES), *((35, c) for c in EDGES)]:
        x, g = (rng.standard_normal((n, c)).astype(dtype) for _ in range(2))
        weight, y, out = rng.standard_normal(c).astype(dtype), np.empty((n, c), dtype), np.empty((n + 2, c), dtype)
        module.layer_norm(x, weight, weight, y, 1e-5)
        module.layer_norm_backward(g, x, weight, out, 1e-5)
        one, alone = np.empty((1, c), dtype), np.empty((3, c), dtype)
        total = np.zeros((2, c), dtype)
        for i in range(n):
            module.layer_norm(x[i:i + 1], weight, weight, one, 1e-5)
            module.layer_norm_backward(g[i:i + 1], x[i:i + 1], weight, alone, 1e-5)
            assert one[0].tobytes() == y[i].tobytes() and alone[0].tobytes() == out[i].tobytes()
            total += alone[1:]
        assert total.tobytes() == out[n:].tobytes()
