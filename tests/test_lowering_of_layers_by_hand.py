"""Normalisation, tables, joined and sliced arrays, and images as instructions: their numbers are those of NumPy."""
from __future__ import annotations

import numpy as np
import pytest
from lowered import F4, F8, Maker, gives, is_left, numbers, run

from minidl.compiled.lower import lower
from minidl.functional.images import new_images

every_dtype = pytest.mark.parametrize("dtype", [F4, F8], ids=str)


def as_images(x):
    y = new_images(x.shape, x.dtype)
    y[...] = x
    return y


def normalized(x, axis, eps, weight=1.0, bias=0.0):
    x = x.astype(F8)
    centred = x - x.mean(axis, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(axis, keepdims=True) + eps) * weight + bias


@every_dtype
def test_layer_norm_reads_rows_however_they_lie(dtype):
    x, weight, bias = numbers(5, 4, dtype=dtype), numbers(4, dtype=dtype, seed=1), numbers(4, dtype=dtype, seed=2)
    y, settings = np.zeros((5, 4), dtype), {"eps": 0.1}
    gives("layer_norm", [x], normalized(x, 1, 0.1), settings, y, exact=False)
    gives("layer_norm", [x, weight], normalized(x, 1, 0.1, weight), settings, y, exact=False)
    gives("layer_norm", [x, weight, bias], normalized(x, 1, 0.1, weight, bias), settings, y, exact=False)
    gives("layer_norm", [x.copy("F"), weight], normalized(x, 1, 0.1, weight), settings, y, exact=False, instructions=2)
    apart = np.repeat(bias, 2)[::2]  # with gaps: copied first
    wanted = normalized(x, 1, 0.1, weight, bias)
    gives("layer_norm", [x, weight, apart], wanted, settings, y, exact=False, instructions=2)
    other = F8 if dtype == F4 else F4
    is_left("layer_norm", [x.astype(other)], y, settings)
    is_left("layer_norm", [x, weight.astype(other)], y, settings)
    is_left("layer_norm", [x], y.astype(int), settings)


@every_dtype
def test_batch_norm_gives_the_rows_and_below_them_the_moments(dtype):
    x, weight, bias = numbers(5, 4, dtype=dtype), numbers(4, dtype=dtype, seed=1), numbers(4, dtype=dtype, seed=2)
    y = np.zeros((7, 4), dtype)
    for layer in ([], [weight], [weight, bias]):
        wanted = np.vstack([normalized(x, 0, 0.1, *layer), x.mean(0), x.var(0)])
        gives("batch_norm_forward", [x, *layer], wanted, {"eps": 0.1}, y, exact=False)


@every_dtype
def test_gradients_of_normalisation(dtype):
    """By the chain rule in float64: dx, and below it the gradients of weight and bias."""
    g, x, weight = (numbers(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(5, 4), (5, 4), (4,)]))
    eps, y = 0.1, np.zeros((7, 4), dtype)
    for name, axis in (("layer_norm_backward", 1), ("batch_norm_backward", 0)):
        for layer in ([], [weight]):
            u = normalized(x, axis, eps)
            e = g.astype(F8) * (layer[0] if layer else 1)
            s = np.sqrt(x.astype(F8).var(axis, keepdims=True) + eps)
            dx = (e - e.mean(axis, keepdims=True) - u * (e * u).mean(axis, keepdims=True)) / s
            wanted = np.vstack([dx, (g * u).sum(0), g.sum(0)])
            gives(name, [g, x, *layer], wanted, {"eps": eps}, y, exact=False)
            gives(name, [g.copy("F"), x, *layer], wanted, {"eps": eps}, y, exact=False, instructions=2)
        is_left(name, [g, x.astype(int)], y, {"eps": eps})


@every_dtype
def test_rows_of_a_table(dtype):
    table, index = numbers(6, 3, dtype=dtype), np.array([[1, 5], [1, 0]])
    gives("embedding", [table, index, -1], table[index], instructions=2)  # the first checks the index
    gives("embedding", [table, index.T, -1], table[index.T], output=np.zeros((2, 2, 3), dtype), instructions=3)
    gives("embedding", [table, index, -1], table[index], instructions=3, mine=False)
    is_left("embedding", [table, index.astype(np.int32), -1], np.zeros((2, 2, 3), dtype))
    is_left("embedding", [table, index[:0], -1], np.zeros((0, 2, 3), dtype))
    is_left("embedding", [table, 3, -1], np.zeros(3, dtype))
    is_left("embedding", [table, index, -1], np.zeros((2, 2, 3), F8 if dtype == F4 else F4))


@every_dtype
@pytest.mark.parametrize("padding", [-1, 1])
def test_gradients_of_a_table(dtype, padding):
    g, table, index = numbers(2, 2, 3, dtype=dtype), np.zeros((6, 3), dtype), np.array([[1, 5], [1, 0]])
    wanted = np.zeros((6, 3), dtype)
    for place in np.ndindex(2, 2):
        if index[place] != padding:
            wanted[index[place]] += g[place]
    operands, output = [g, table, index, padding], np.full((6, 3), 7, dtype)
    gives("embedding_backward", operands, wanted, output=output, instructions=3)
    gives("embedding_backward", operands, 2 * wanted, output=output, instructions=2, accumulates=True, exact=False)
    gives("embedding_backward", operands, wanted, output=output, instructions=3, accumulates=False)
    is_left("embedding_backward", [g, table, index.astype(np.int32), padding], output)
    is_left("embedding_backward", [g.astype(int), table, index, padding], output)


@pytest.mark.parametrize("name, shape", [("embedding", (2, 3)), ("embedding_backward", (6, 3))])
def test_rows_out_of_the_table_are_told_with_the_name_of_the_layer(name, shape):
    maker, index = Maker(), np.array([1, 6])
    operands = [np.ones((6, 3), F4), index, -1] if name == "embedding" else [np.ones((2, 3), F4), None, index, -1]
    operands = [np.ones((6, 3), F4) if x is None else x for x in operands]
    assert lower(maker, name, operands, {}, np.zeros(shape, F4))
    with pytest.raises((IndexError, ValueError), match=r"^embedding: expected"):
        maker.program.replayed((), lambda: None)


@every_dtype
@pytest.mark.parametrize("index, parts", [
    ((slice(1, 3),), 2), ((slice(None), slice(0, 2)), 2), ((slice(None), slice(None)), 1), (2, 2),
    ((slice(None, None, -1),), 1), ((None, 1), 2)])
def test_gradients_of_a_slice(dtype, index, parts):
    x = np.zeros((3, 4), dtype)
    g = numbers(*x[index].shape, dtype=dtype)
    wanted = np.zeros((3, 4), dtype)
    wanted[index] = g
    gives("scatter", [g, x], wanted, {"index": index}, np.full((3, 4), 7, dtype), instructions=parts)


def test_gradients_of_other_indices_are_left():
    g, x, y = np.ones((2, 4), F4), np.zeros((3, 4), F4), np.zeros((3, 4), F4)
    is_left("scatter", [g, x, np.array([0, 1])], y, {"index": (slice(None),)})
    is_left("scatter", [g, x], np.zeros((4, 3), F4).T, {"index": slice(2)})
    is_left("scatter", [g, x], y.astype(F8), {"index": slice(2)})
    is_left("scatter", [np.ones((), F4), x], y, {"index": (1, 2)})


@every_dtype
def test_joined_arrays(dtype):
    parts = [numbers(2, n, 3, dtype=dtype, seed=n) for n in (1, 2, 4)]
    gives("cat", parts, np.concatenate(parts, 1), {"dim": 1}, instructions=3)
    gives("cat", [*parts[:1], parts[0][:, :0], *parts[1:]], np.concatenate(parts, 1), {"dim": 1}, instructions=3)
    same = [numbers(2, 3, dtype=dtype, seed=n) for n in range(3)]
    for dim in range(2):
        gives("stack", same, np.stack(same, dim), {"dim": dim}, instructions=3)
        gives("cat", same, np.concatenate(same, dim), {"dim": dim}, instructions=3)
    is_left("cat", [same[0], same[1].astype(int)], np.zeros((4, 3), dtype), {"dim": 0})
    is_left("cat", same[:2], np.zeros((4, 3), F8 if dtype == F4 else F4), {"dim": 0})


@every_dtype
def test_other_shapes_are_copies(dtype):
    x = numbers(4, 6, dtype=dtype).T
    for name in ("reshape", "reshape_as", "flatten"):
        gives(name, [x], x.reshape(3, 8), {"shape": (3, 8)})
        is_left(name, [x], np.zeros((3, 8), F8 if dtype == F4 else F4), {"shape": (3, 8)})
        is_left(name, [x], np.zeros((8, 3), dtype).T, {"shape": (3, 8)})


@every_dtype
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4), (1, 1, 2, 2), (3, 2, 1, 1)])
def test_images_are_turned_there_and_back(dtype, shape):
    x = numbers(*shape, dtype=dtype)
    for name in ("channels_last", "turned"):
        gives(name, [x], x, output=as_images(np.zeros(shape, dtype)))
        gives(name, [as_images(x)], x)
        is_left(name, [x], np.zeros(shape, F8 if dtype == F4 else F4))
    for name, wanted in (("contiguous", x), ("flatten", x.reshape(len(x), -1)), ("reshape", x.reshape(-1)),
                         ("reshape_as", x.reshape(-1))):
        gives(name, [as_images(x)], wanted)
    is_left("turned", [numbers(3, 2, dtype=dtype).T], np.zeros((2, 3), dtype))


@every_dtype
def test_an_operation_of_images_and_rows_turns_the_rows(dtype):
    a, b = numbers(2, 3, 4, 5, dtype=dtype), numbers(2, 3, 4, 5, dtype=dtype, seed=1)
    gives("add", [as_images(a), b], a + b, output=as_images(np.zeros_like(a)), instructions=2)
    gives("add", [as_images(a), b], a + b, instructions=2)
    gives("add", [as_images(a), as_images(b)], a + b, instructions=3)
    gives("add", [as_images(a), as_images(b)], a + b, output=as_images(np.zeros_like(a)))


def convolved(x, w, stride, before):
    n, _, height, width = x.shape
    padded = np.pad(x.astype(F8), [(0, 0), (0, 0), (before[0],) * 2, (before[1],) * 2])
    k, m = w.shape[2:]
    rows, cols = (height + 2 * before[0] - k) // stride[0] + 1, (width + 2 * before[1] - m) // stride[1] + 1
    y = np.zeros((n, len(w), rows, cols))
    for i, j in np.ndindex(rows, cols):
        part = padded[:, :, i * stride[0]:i * stride[0] + k, j * stride[1]:j * stride[1] + m]
        y[:, :, i, j] = np.einsum("nckl,ockl->no", part, w.astype(F8))
    return y


def as_weight(w):
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)


@every_dtype
def test_convolution(dtype):
    x, w, bias = (numbers(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(2, 3, 6, 5), (4, 3, 3, 2), (4,)]))
    settings = {"stride": (2, 1), "before": (1, 0), "dilation": (1, 1), "groups": 1}
    wanted = convolved(x, w, (2, 1), (1, 0))
    given, y = [as_images(x), as_weight(w)], as_images(np.zeros(wanted.shape, dtype))
    gives("convolution", given, wanted, settings, y, exact=False)
    del settings["groups"]
    gives("convolution", [*given, bias], wanted + bias[:, None, None], settings, y, exact=False)
    gives("convolution", given, np.maximum(wanted, 0), settings | {"relu": True}, y, exact=False)
    gives("convolution", given, wanted, settings | {"relu": False}, y, exact=False)
    is_left("convolution", [x, given[1]], y, settings)
    is_left("convolution", [given[0], w], y, settings)
    is_left("convolution", given, np.zeros(wanted.shape, dtype), settings)
    is_left("convolution", [*given, bias.astype(F8 if dtype == F4 else F4)], y, settings)
    is_left("convolution", [*given, np.repeat(bias, 2)[::2]], y, settings)
    is_left("convolution", given, as_images(np.zeros(wanted.shape, int)), settings)


@every_dtype
def test_gradients_of_convolution(dtype):
    """g · y(x, w) is linear in x and in w: its derivatives at single elements are the gradients."""
    x, w = numbers(2, 3, 4, 5, dtype=dtype), numbers(2, 3, 3, 2, dtype=dtype, seed=1)
    settings = {"stride": (1, 2), "before": (0, 1), "dilation": (1, 1), "groups": 1}
    g = numbers(*convolved(x, w, (1, 2), (0, 1)).shape, dtype=dtype, seed=2)

    def gradient(array, value):
        found = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            one = np.zeros(array.shape)
            one[place] = 1
            found[place] = (g * value(one)).sum()
        return found

    dx = gradient(x, lambda one: convolved(one, w, (1, 2), (0, 1)))
    dw = gradient(w, lambda one: convolved(x, one, (1, 2), (0, 1)))
    y = as_images(np.zeros_like(x))
    gives("convolution_input_gradient", [as_images(g), as_weight(w)], dx, settings, y, exact=False)
    total = as_weight(np.zeros_like(w))
    for accumulates, times in ((False, 1), (True, 2), (True, 3)):
        gives("convolution_weight_gradient", [as_images(g), as_images(x)], times * dw, settings, total, exact=False,
              accumulates=accumulates)
    gives("convolution_weight_gradient", [as_images(g), as_images(x)], dw, settings, total, exact=False)
    is_left("convolution_weight_gradient", [as_images(g), as_images(x)], np.zeros_like(w), settings)


@every_dtype
def test_pooling(dtype):
    x = np.random.default_rng(0).permutation(np.arange(2 * 3 * 4 * 6)).astype(dtype).reshape(2, 3, 4, 6)
    windows = x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 2, 3, 4)
    settings = {"kernel": (2, 2), "stride": (2, 2), "before": (0, 0), "dilation": (1, 1)}
    g = as_images(numbers(2, 3, 2, 3, dtype=dtype))
    y, dx = as_images(np.zeros((2, 3, 2, 3), dtype)), as_images(np.zeros_like(x))
    largest = (x == np.repeat(np.repeat(windows.max(-1), 2, 2), 2, 3))
    spread = np.repeat(np.repeat(g, 2, 2), 2, 3)
    gives("max_pool", [as_images(x)], windows.max(-1), settings, y)
    gives("max_pool_backward", [g, as_images(x)], np.where(largest, spread, 0), settings, dx)
    gives("max_pool_backward", [g, as_images(x)], np.where(largest & (x > 0), spread, 0), settings | {"relu": True}, dx)
    u = numbers(2, 3, 4, 6, dtype=dtype, seed=4)
    picked = np.where(largest, u, 0).reshape(2, 3, 2, 2, 3, 2).sum((3, 5))
    gives("max_pool_pick", [as_images(u), as_images(x)], picked, settings, y)
    del settings["dilation"]
    gives("average_pool", [as_images(x)], windows.mean(-1), settings | {"divisor": 4}, y, exact=False)
    gives("average_pool", [as_images(x)], windows.sum(-1), settings, y, exact=False)
    gives("average_pool_backward", [g], spread / 4, settings | {"divisor": 4}, dx, exact=False)
    is_left("max_pool", [x], y, settings)
    is_left("max_pool", [as_images(x)], np.zeros(y.shape, dtype), settings)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(a, h, w, _):
    return np.tanh(a + h @ w.T)


def gru(a, h, w, bias):
    (ar, az, an), (qr, qz, qn) = np.split(a, 3, 1), np.split(h @ w.T + bias, 3, 1)
    z = sigmoid(az + qz)
    n = np.tanh(an + sigmoid(ar + qr) * qn)
    return n + z * (h - n)


@every_dtype
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("step, gates, kept", [(rnn, 1, 0), (gru, 3, 4)])
def test_the_steps_of_a_recurrent_layer(dtype, reverse, step, gates, kept):
    """The work begins with the states, the initial one in the first place, or in the last."""
    steps, n, h = 3, 2, 4
    a, state, w, bias = (numbers(*shape, dtype=dtype, seed=i) for i, shape in enumerate(
        [(steps, n, gates * h), (n, h), (gates * h, h), (gates * h,)]))
    states, order = np.zeros((steps + 1, n, h)), range(steps)[::-1] if reverse else range(steps)
    now = states[steps if reverse else 0] = state
    for t in order:
        now = states[t if reverse else t + 1] = step(a[t].astype(F8), now, w.astype(F8), bias)
    settings = {"reverse": reverse} | ({"nonlinearity": "tanh"} if step is rnn else {})
    name, more, rows = f"{step.__name__}_states", [bias] if step is gru else [], a.reshape(steps * n, -1)
    work = np.zeros((steps + 1) * n * h + steps * n * h * kept, dtype)
    for weight, initial in ((w, state), (w.copy("F"), state), (w, state.copy("F"))):
        work[...] = 7
        assert run(name, [rows, initial, weight, *more], settings, work) == 2
        np.testing.assert_allclose(work[:states.size], states.ravel(), rtol=1e-5, atol=1e-6)
    for operands in ([rows, state, w.astype(int)], [np.repeat(rows, 2, 1)[:, ::2], state, w],
                     [rows.astype(int), state, w], [rows, state.astype(int), w]):
        is_left(name, [*operands, *more], work, settings)
    if more:
        is_left(name, [rows, state, w, np.repeat(bias, 2)[::2]], work, settings)
        is_left(name, [rows, state, w, bias.astype(int)], work, settings)
