"""What every compiled kernel computes: the textbook formula, in NumPy.

A function here has the name, the arguments and the side effects of its twin in ``minidl.kernels``: it
writes what its docstring has on the left of "=" or "+=", in place, and no other array. This is the
specification to which the compiled code is compared by readers and tests. All arrays of a call
share one dtype. Where a compiled kernel makes an output that is given as None, its twin is always given
one. A product says here which sum it is; the compiled one rounds that sum in its own fixed
way, one fused multiply-add a term, in index order.

Infinities and NaN are results, as in IEEE arithmetic, without warnings.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from .reference_windows import (  # noqa: F401  twins, too
    average_pool,
    average_pool_backward,
    convolution,
    convolution_input_gradient,
    convolution_weight_gradient,
    max_pool,
    max_pool_backward,
    max_pool_pick,
    turned,
)

Array = np.ndarray
Kernel = TypeVar("Kernel", bound=Callable)

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def _ieee(kernel: Kernel) -> Kernel:
    """``kernel`` without NumPy's floating-point warnings."""
    return np.errstate(all="ignore")(kernel)


# Products and sums

@_ieee
def matmul(a: Array, b: Array, c: Array) -> None:
    """c = a b, for a (M, K), b (K, N), c (M, N)."""
    c[...] = a @ b


@_ieee
def bmm(a: Array, b: Array, c: Array) -> None:
    """c = a b, matrix by matrix, for a (B, M, K), b (B, K, N), c (B, M, N)."""
    c[...] = a @ b


@_ieee
def linear(x: Array, weight: Array, bias: Array | None, y: Array) -> None:
    """y = x weightᵀ + bias, for x (N, I), weight (O, I), bias (O,) or None, y (N, O)."""
    y[...] = x @ weight.T
    if bias is not None:
        y += bias


@_ieee
def linear_input_gradient(dy: Array, weight: Array, dx: Array) -> None:
    """dx = dy weight, for dy (N, O), weight (O, I), dx (N, I)."""
    dx[...] = dy @ weight


@_ieee
def linear_weight_gradient(x: Array, dy: Array, dweight: Array) -> None:
    """dweight += dyᵀ x, for x (N, I), dy (N, O), dweight (O, I)."""
    dweight += dy.T @ x


@_ieee
def column_sum(dy: Array, db: Array) -> None:
    """db += Σ_n dy[n], for dy (N, O), db (O,): the gradient of a bias."""
    db += dy.sum(axis=0)


@_ieee
def linear_gradients(x: Array, dy: Array, dweight: Array, db: Array | None) -> None:
    """dweight += dyᵀ x and db += Σ_n dy[n]: both gradients of a linear layer; db None for one without bias."""
    linear_weight_gradient(x, dy, dweight)
    if db is not None:
        column_sum(dy, db)


@_ieee
def gather_labels_total(z: Array, labels: Array) -> float:
    """Σ_n z[n, labels[n]], for z (N, C), labels (N,): one double accumulator, in the order of n."""
    return total(np.take_along_axis(z, labels[:, None], axis=1))


@_ieee
def add_at_labels(z: Array, labels: Array, value: float) -> None:
    """z[n, labels[n]] += value for every n, for z (N, C), labels (N,)."""
    z[np.arange(len(z)), labels] += z.dtype.type(value)


@_ieee
def total(x: Array) -> float:
    """Σ x over all of x (N, M): one double accumulator, row after row, for both dtypes."""
    return float(np.add.accumulate(np.append(0.0, x), dtype=np.float64)[-1])


@_ieee
def zero(y: Array) -> None:
    """y = 0, for y (N, M)."""
    y[...] = 0


@_ieee
def row_sum(x: Array, y: Array) -> None:
    """y[i] = Σ_j x[i, j], for x (N, M): eight partial sums in double, of every eighth element, added in pairs."""
    padded = np.zeros((len(x), -(-x.shape[1] // 8) * 8 + 8), np.float64)
    padded[:, 8:8 + x.shape[1]] = x  # after eight zeros, at which the sums begin
    part = np.add.accumulate(padded.reshape(len(x), -1, 8), axis=1)[:, -1] if len(x) else np.empty((0, 8))
    y[...] = ((part[:, 0] + part[:, 1]) + (part[:, 2] + part[:, 3])) + (
        (part[:, 4] + part[:, 5]) + (part[:, 6] + part[:, 7]))


# Elementwise: x, y, dy, dx are (N, M), and a derivative stands under its function

@_ieee
def add(a: Array, b: Array, c: Array) -> None:
    """c = a + b, element by element."""
    c[...] = a + b


@_ieee
def subtract(a: Array, b: Array, c: Array) -> None:
    """c = a - b, element by element."""
    c[...] = a - b


@_ieee
def divide(a: Array, b: Array, c: Array) -> None:
    """c = a / b, element by element."""
    c[...] = a / b


@_ieee
def copy(x: Array, y: Array) -> None:
    """y = x."""
    y[...] = x


@_ieee
def negative(x: Array, y: Array) -> None:
    """y = -x."""
    y[...] = -x


@_ieee
def absolute(x: Array, y: Array) -> None:
    """y = |x|."""
    y[...] = abs(x)


@_ieee
def sqrt(x: Array, y: Array) -> None:
    """y = √x."""
    y[...] = np.sqrt(x)


@_ieee
def square(x: Array, y: Array) -> None:
    """y = x²."""
    y[...] = x * x


@_ieee
def sign(x: Array, y: Array) -> None:
    """y = -1, 0 or 1, as x is below, at or above zero; NaN stays NaN."""
    y[...] = np.sign(x)


@_ieee
def less(a: Array, b: Array, y: Array) -> None:
    """y = 1 where a < b and 0 elsewhere, in bytes."""
    y[...] = a < b


@_ieee
def less_equal(a: Array, b: Array, y: Array) -> None:
    """y = 1 where a <= b and 0 elsewhere, in bytes."""
    y[...] = a <= b


@_ieee
def equal(a: Array, b: Array, y: Array) -> None:
    """y = 1 where a = b and 0 elsewhere, in bytes."""
    y[...] = a == b


@_ieee
def not_equal(a: Array, b: Array, y: Array) -> None:
    """y = 0 where a = b and 1 elsewhere, in bytes."""
    y[...] = a != b


@_ieee
def where(condition: Array, a: Array, b: Array, y: Array) -> None:
    """y = a where the condition, of bytes, is not 0, and b elsewhere."""
    y[...] = np.where(condition != 0, a, b)


@_ieee
def to_double(x: Array, y: Array) -> None:
    """y = x, in double."""
    y[...] = x


@_ieee
def from_double(x: Array, y: Array) -> None:
    """y = x, a double, rounded to y's dtype."""
    y[...] = x


def add_integer(x: Array, y: Array, value: float) -> None:
    """y = x + the whole part of value, of int64."""
    y[...] = x + int(value)


@_ieee
def multiply(a: Array, b: Array, c: Array) -> None:
    """c = a b, element by element."""
    c[...] = a * b


@_ieee
def scale(x: Array, y: Array, factor: float) -> None:
    """y = factor x."""
    y[...] = x * x.dtype.type(factor)


@_ieee
def dropout_mask(u: Array, y: Array, p: float) -> None:
    """y = 1 / (1 - p) if u >= p else 0, for u uniform in [0, 1): what dropout multiplies by. 0 for p >= 1."""
    y[...] = np.where(u >= u.dtype.type(p), 1 / (1 - p) if p < 1 else 0, 0)


@_ieee
def exp(x: Array, y: Array) -> None:
    """y = e^x."""
    y[...] = np.exp(x)


@_ieee
def log(x: Array, y: Array) -> None:
    """y = ln x: -inf at ±0, NaN below."""
    y[...] = np.log(x)


_erf = np.vectorize(math.erf, otypes=[np.float64])  # NumPy has none


@_ieee
def erf(x: Array, y: Array) -> None:
    """y = 2/√π times the integral of e^-t² from 0 to x, computed in double."""
    size = abs(x)
    # The series' next term, and what is missing to 1, are less than a rounding.
    y[...] = np.where(size < 6, 2 / math.sqrt(math.pi) * (x * (1 - x * x / 3)), np.sign(x))
    rest = ~((size < 1e-4) | (size >= 6))
    y[rest] = _erf(x[rest])


@_ieee
def relu(x: Array, y: Array) -> None:
    """y = max(x, 0), and NaN where x is NaN."""
    y[...] = np.maximum(x, 0)


@_ieee
def relu_backward(dy: Array, x: Array, dx: Array) -> None:
    """dx = 0 if x <= 0 else dy: dy where x is NaN."""
    dx[...] = np.where(x <= 0, 0, dy)


@_ieee
def leaky_relu(x: Array, y: Array, negative_slope: float) -> None:
    """y = x if x > 0 else negative_slope x."""
    y[...] = np.where(x > 0, x, negative_slope * x)


@_ieee
def leaky_relu_backward(dy: Array, x: Array, dx: Array, negative_slope: float) -> None:
    """dx = dy if x > 0 else negative_slope dy."""
    dx[...] = np.where(x > 0, dy, negative_slope * dy)


@_ieee
def elu(x: Array, y: Array, alpha: float) -> None:
    """y = x if x > 0 else alpha (e^x - 1)."""
    y[...] = np.where(x > 0, x, alpha * np.expm1(x))


@_ieee
def elu_backward(dy: Array, x: Array, dx: Array, alpha: float) -> None:
    """dx = dy (1 if x > 0 else alpha e^x)."""
    dx[...] = dy * np.where(x > 0, 1, alpha * np.exp(x))


@_ieee
def selu(x: Array, y: Array) -> None:
    """y = SELU_SCALE (x if x > 0 else SELU_ALPHA (e^x - 1))."""
    y[...] = SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x))


@_ieee
def selu_backward(dy: Array, x: Array, dx: Array) -> None:
    """dx = dy SELU_SCALE (1 if x > 0 else SELU_ALPHA e^x)."""
    dx[...] = dy * (SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(x)))


@_ieee
def tanh(x: Array, y: Array) -> None:
    """y = tanh x."""
    y[...] = np.tanh(x)


@_ieee
def tanh_backward(dy: Array, y: Array, dx: Array) -> None:
    """dx = dy (1 - y²), for y = tanh x."""
    dx[...] = dy * (1 - y * y)


@_ieee
def sigmoid(x: Array, y: Array) -> None:
    """y = 1 / (1 + e^-x), as e^x / (1 + e^x) where x < 0: no power of e overflows."""
    e = np.exp(-np.abs(x))
    y[...] = np.where(x < 0, e, 1) / (1 + e)


@_ieee
def sigmoid_backward(dy: Array, y: Array, dx: Array) -> None:
    """dx = dy y (1 - y), for y = sigmoid x."""
    dx[...] = dy * y * (1 - y)


@_ieee
def softplus(x: Array, y: Array, threshold: float) -> None:
    """y = x if x > threshold else log(1 + e^x), as max(0, x) + log(1 + e^-|x|): no power of e overflows."""
    y[...] = np.where(x > threshold, x, np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


@_ieee
def softplus_backward(dy: Array, x: Array, dx: Array, threshold: float) -> None:
    """dx = dy if x > threshold else dy / (1 + e^-x)."""
    e = np.exp(-np.abs(x))
    dx[...] = np.where(x > threshold, dy, dy * (np.where(x < 0, e, 1) / (1 + e)))


# Over the rows: x, y, dy, dx are (N, M), max and Σ run over a row

def _below_maximum(x: Array) -> Array:
    """x - max: at most 0, so that no power of e overflows."""
    return x - x.max(axis=1, keepdims=True, initial=-np.inf)


@_ieee
def softmax(x: Array, y: Array) -> None:
    """y = e^(x - max) / Σ e^(x - max)."""
    e = np.exp(_below_maximum(x))
    y[...] = e / e.sum(axis=1, keepdims=True)


@_ieee
def softmax_backward(dy: Array, y: Array, dx: Array) -> None:
    """dx = y (dy - Σ dy y), for y = softmax x."""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))


@_ieee
def log_softmax(x: Array, y: Array) -> None:
    """y = (x - max) - ln Σ e^(x - max)."""
    z = _below_maximum(x)
    y[...] = z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@_ieee
def log_softmax_backward(dy: Array, y: Array, dx: Array) -> None:
    """dx = dy - e^y Σ dy, for y = log_softmax x."""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)


def _normalized(x: Array, axis: int, eps: float) -> tuple[Array, Array, Array, Array]:
    """(x - mean) / s along an axis, s, the mean and the variance; NaN for an axis with nothing in it."""
    n = x.dtype.type(x.shape[axis])
    mean = x.sum(axis=axis, keepdims=True) / n
    d = x - mean
    variance = (d * d).sum(axis=axis, keepdims=True) / n
    s = np.sqrt(variance + x.dtype.type(eps))
    return d / s, s, mean, variance


def _scaled(u: Array, weight: Array | None, bias: Array | None) -> Array:
    u = u if weight is None else u * weight
    return u if bias is None else u + bias


@_ieee
def layer_norm(x: Array, weight: Array | None, bias: Array | None, y: Array, eps: float) -> None:
    """y = (x - mean) / s weight + bias, s = √(mean of (x - mean)² + eps), over the rows of x (N, C)."""
    y[...] = _scaled(_normalized(x, 1, eps)[0], weight, bias)


@_ieee
def layer_norm_backward(g: Array, x: Array, weight: Array | None, out: Array, eps: float) -> None:
    """out (N + 2, C) = dx, then Σ g u, then Σ g over the rows; dx = (e - mean of e - u (mean of e u)) / s, e = g w."""
    u, s, _, _ = _normalized(x, 1, eps)
    e, n = _scaled(g, weight, None), x.dtype.type(x.shape[1])
    out[:-2] = ((e - e.sum(axis=1, keepdims=True) / n) - u * ((e * u).sum(axis=1, keepdims=True) / n)) / s
    out[-2], out[-1] = (g * u).sum(axis=0), g.sum(axis=0)


@_ieee
def batch_norm(x: Array, weight: Array | None, bias: Array | None, y: Array, eps: float) -> None:
    """y (N + 2, C) = (x - mean) / s weight + bias over the columns of x (N, C), then the means and the variances."""
    u, _, mean, variance = _normalized(x, 0, eps)
    y[:-2], y[-2:-1], y[-1:] = _scaled(u, weight, bias), mean, variance


@_ieee
def batch_norm_backward(g: Array, x: Array, weight: Array | None, out: Array, eps: float) -> None:
    """out (N + 2, C) = dx, then dw = Σ g u, then db = Σ g; dx = (g - db / N - u dw / N) weight / s."""
    u, s, _, _ = _normalized(x, 0, eps)
    dw, db, n = (g * u).sum(axis=0), g.sum(axis=0), x.dtype.type(x.shape[0])
    out[:-2] = _scaled((g - db / n) - u * (dw / n), weight, None) / s
    out[-2], out[-1] = dw, db


# Rows of a table (V, E), by labels (N,)

def take_rows(table: Array, labels: Array, y: Array) -> None:
    """y[n] = table[labels[n]], for y (N, E)."""
    y[...] = table[labels]


@_ieee
def add_rows(g: Array, labels: Array, total: Array, skip: float) -> None:
    """total[labels[n]] += g[n], for g (N, E), in the order of n, but where the label is ``skip``."""
    for row, label in zip(g, labels, strict=True):
        if label != skip:
            total[label] += row


# Over the rows z (N, C) of a loss, with their labels (N,)

@_ieee
def cross_entropy(z: Array, labels: Array, log_p: Array) -> float:
    """log_p = log_softmax z; -Σ_n log_p[n, labels[n]]."""
    log_softmax(z, log_p)
    return -gather_labels_total(log_p, labels)


@_ieee
def cross_entropy_gradient(log_p: Array, labels: Array, dz: Array, factor: float) -> None:
    """dz = factor (e^log_p - onehot(labels))."""
    exp(log_p, dz)
    add_at_labels(dz, labels, -1)
    dz *= dz.dtype.type(factor)


@_ieee
def negative_log_likelihood(log_p: Array, labels: Array) -> float:
    """-Σ_n log_p[n, labels[n]]."""
    return -gather_labels_total(log_p, labels)


@_ieee
def soft_cross_entropy(log_p: Array, t: Array) -> float:
    """-Σ t log_p, for target rows t (N, C): one double accumulator, each product rounded before."""
    return -total(t * log_p)


@_ieee
def soft_cross_entropy_gradient(log_p: Array, t: Array, dz: Array, factor: float) -> None:
    """dz = factor (e^log_p (Σ t) - t), Σ over a row."""
    dz[...] = (np.exp(log_p) * t.sum(axis=1, keepdims=True) - t) * t.dtype.type(factor)


@_ieee
def squared_error(z: Array, t: Array, d: Array) -> float:
    """d = z - t; Σ d²: one double accumulator, each square rounded before."""
    d[...] = z - t
    return total(d * d)


def wrong(z: Array, labels: Array) -> float:
    """The number of rows whose first largest element is not the label's; no NaN is larger than another number."""
    best = np.zeros(len(z), np.int64)
    for j in range(1, z.shape[1]):
        best[z[:, j] > z[np.arange(len(z)), best]] = j
    return float((best != labels).sum())


# Images

@_ieee
def affine_sample(x: Array, matrices: Array, y: Array, height: float, width: float, fill: float) -> None:
    """y[n] = image x[n] seen through matrices[n], (2, 3) from the centre, with bilinear interpolation.

    x, y (N, height width), matrices (N, 6). The pixel (x, y) of the result is the mean of the four pixels around
    (u, v) = M (x, y, 1), weighted by how near they are; outside of the image pixels have the value fill.
    """
    height, width = int(height), int(width)
    rows, columns = np.indices((height, width), float).reshape(2, 1, -1)
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    m = matrices.astype(float)[..., None]
    u, v = (m[:, i] * (columns - centre_x) + m[:, i + 1] * (rows - centre_y) + m[:, i + 2] for i in (0, 3))
    u, v = u + centre_x, v + centre_y
    left, top = np.floor(u), np.floor(v)

    def pixel(row, column):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = np.where(inside, row * width + column, 0).astype(int)
        return np.where(inside, np.take_along_axis(x, place, 1), x.dtype.type(fill))

    right, low = (u - left).astype(x.dtype), (v - top).astype(x.dtype)
    upper, lower = (pixel(row, left) + (pixel(row, left + 1) - pixel(row, left)) * right for row in (top, top + 1))
    y[...] = upper + (lower - upper) * low


# Updates: flat values w, their gradient g, and the optimizer's state, which both change

@_ieee
def sgd(g: Array, w: Array, v: Array, lr: float, momentum: float, gain: float, decay: float,
        nesterov: float, maximize: float) -> None:
    """d = ±g + decay w;  v = momentum v + gain d;  w -= lr (d, v, or d + momentum v with nesterov).

    v is not read or written where momentum is 0.
    """
    d = (-g if maximize else g) + w.dtype.type(decay) * w
    if momentum:
        v[...] = w.dtype.type(momentum) * v + w.dtype.type(gain) * d
        d = d + w.dtype.type(momentum) * v if nesterov else v
    w -= w.dtype.type(lr) * d


@_ieee
def adam(g: Array, w: Array, m: Array, v: Array, rate: float, root: float, eps: float, beta1: float, rest1: float,
         beta2: float, rest2: float, decay: float, shrink: float) -> None:
    """w = shrink w;  d = g + decay w;  m = β1 m + rest1 d;  v = β2 v + rest2 d²;  w -= rate m / (√v / root + eps)."""
    real = w.dtype.type
    w *= real(shrink)
    d = g + real(decay) * w
    m[...] = real(beta1) * m + real(rest1) * d
    v[...] = real(beta2) * v + real(rest2) * (d * d)
    w -= m / (np.sqrt(v) / real(root) + real(eps)) * real(rate)


@_ieee
def adadelta(g: Array, w: Array, v: Array, u: Array, lr: float, rho: float, rest: float, eps: float,
             decay: float) -> None:
    """d = g + decay w;  v = rho v + rest d²;  D = √(u + eps) / √(v + eps) d;  u = rho u + rest D²;  w -= lr D."""
    real = w.dtype.type
    d = g + real(decay) * w
    v[...] = real(rho) * v + real(rest) * (d * d)
    step = d / np.sqrt(v + real(eps)) * np.sqrt(u + real(eps))
    u[...] = real(rho) * u + real(rest) * (step * step)
    w -= real(lr) * step


# Recurrent layers: a (T N, gates H) the input's part, weight (gates H, H), work and out flat. The work holds h (T + 1,
# N, H), of lstm then c (T + 1, N, H), then what the steps keep, each (T, N, ...). The initial state lies in the first
# place, or in the last where the steps run backwards.

def _times(steps: int, reverse: float):
    """(t, the place of the state before, the place of the one after) of each step, in its order."""
    return [(t, t + 1, t) if reverse else (t, t, t + 1) for t in (range(steps)[::-1] if reverse else range(steps))]


def _parts(work: Array, steps: int, n: int, h: int, states: int, *kept: int) -> list[Array]:
    """The states (T + 1, N, H), then what is kept, (T, N, k H) each."""
    shapes = [(steps + 1, n, h)] * states + [(steps, n, k * h) for k in kept]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(work, ends[:-1]), shapes, strict=True)]


def _sigmoid(x: Array) -> Array:
    y = np.empty_like(x)
    sigmoid(x, y)
    return y


@_ieee
def rnn(a: Array, weight: Array, bias: Array | None, work: Array, steps: int, reverse: float, relu: float) -> None:
    """h[t] = tanh(a[t] + h[t - 1] weightᵀ), or max(., 0) with relu; bias: None."""
    size = weight.shape[1]
    n = len(a) // steps
    h, = _parts(work, steps, n, size, 1)
    a = a.reshape(steps, n, size)
    for t, before, after in _times(steps, reverse):
        z = a[t] + h[before] @ weight.T
        h[after] = np.maximum(z, 0) if relu else np.tanh(z)


@_ieee
def rnn_backward(g: Array, weight: Array, work: Array, out: Array, steps: int, reverse: float, relu: float) -> None:
    """out[0] = the gradient of h0; out[t + 1] = that of a[t]; for g (T N, H), out ((T + 1) N, H)."""
    size = weight.shape[1]
    n = len(g) // steps
    h, = _parts(work, steps, n, size, 1)
    g, out = g.reshape(steps, n, size), out.reshape(steps + 1, n, size)
    carried = np.zeros((n, size), g.dtype)
    for t, _, after in _times(steps, reverse)[::-1]:
        dh = g[t] + carried
        out[t + 1] = np.where(h[after] <= 0, 0, dh) if relu else dh * (1 - h[after] * h[after])
        carried = out[t + 1] @ weight
    out[0] = carried


@_ieee
def lstm(a: Array, weight: Array, bias: Array | None, work: Array, steps: int, reverse: float) -> None:
    """i, f, g, o = a[t] + h[t - 1] weightᵀ; c[t] = s(f) c[t - 1] + s(i) tanh g; h[t] = s(o) tanh c[t]; s the sigmoid.

    bias: None. Keeps sigmoid(i), sigmoid(f), tanh g, sigmoid(o), and tanh c.
    """
    size = weight.shape[1]
    n = len(a) // steps
    h, c, gates, tanh_c = _parts(work, steps, n, size, 2, 4, 1)
    a = a.reshape(steps, n, 4 * size)
    for t, before, after in _times(steps, reverse):
        z = a[t] + h[before] @ weight.T
        i, f, o = (_sigmoid(z[:, k * size:(k + 1) * size]) for k in (0, 1, 3))
        g = np.tanh(z[:, 2 * size:3 * size])
        gates[t] = np.concatenate([i, f, g, o], axis=1)
        c[after] = f * c[before] + i * g
        tanh_c[t] = np.tanh(c[after])
        h[after] = o * tanh_c[t]


@_ieee
def lstm_backward(g: Array, weight: Array, work: Array, out: Array, steps: int, reverse: float) -> None:
    """out[0] = the gradients of c0 and h0 side by side; out[t + 1] = that of a[t]; for g (2 T N, H): h's, then c's."""
    size = weight.shape[1]
    n = len(g) // (2 * steps)
    _, c, gates, tanh_c = _parts(work, steps, n, size, 2, 4, 1)
    g, out = g.reshape(2, steps, n, size), out.reshape(steps + 1, n, 4 * size)
    carried, dc = np.zeros((n, size), g.dtype), np.zeros((n, size), g.dtype)
    for t, before, _ in _times(steps, reverse)[::-1]:
        i, f, u, o = (gates[t, :, k * size:(k + 1) * size] for k in range(4))
        dh = g[0, t] + carried
        dc = (dc + g[1, t]) + dh * o * (1 - tanh_c[t] * tanh_c[t])
        out[t + 1] = np.concatenate([
            dc * u * i * (1 - i), dc * c[before] * f * (1 - f), dc * i * (1 - u * u), dh * tanh_c[t] * o * (1 - o)],
            axis=1)
        dc = dc * f
        carried = out[t + 1] @ weight
    out[0] = np.concatenate([dc, carried, np.zeros((n, 2 * size), g.dtype)], axis=1)


@_ieee
def gru(a: Array, weight: Array, bias: Array | None, work: Array, steps: int, reverse: float) -> None:
    """q = h[t - 1] weightᵀ + bias; r, z = sigmoid(a + q); n = tanh(a + r q); h[t] = n + z (h[t - 1] - n).

    Keeps r, z and q (of n), and n.
    """
    size = weight.shape[1]
    rows = len(a) // steps
    h, gates, new = _parts(work, steps, rows, size, 1, 3, 1)
    a = a.reshape(steps, rows, 3 * size)
    for t, before, after in _times(steps, reverse):
        q = h[before] @ weight.T
        if bias is not None:
            q = q + bias
        r, z = (_sigmoid(a[t, :, k * size:(k + 1) * size] + q[:, k * size:(k + 1) * size]) for k in range(2))
        q = q[:, 2 * size:]
        gates[t] = np.concatenate([r, z, q], axis=1)
        new[t] = np.tanh(a[t, :, 2 * size:] + r * q)
        h[after] = new[t] + z * (h[before] - new[t])


@_ieee
def gru_backward(g: Array, weight: Array, work: Array, out: Array, steps: int, reverse: float) -> None:
    """out[0, :, :H] = the gradient of h0; out[t + 1] = those of a[t] and of q side by side; out ((T + 1) N, 6 H)."""
    size = weight.shape[1]
    rows = len(g) // steps
    h, gates, new = _parts(work, steps, rows, size, 1, 3, 1)
    g, out = g.reshape(steps, rows, size), out.reshape(steps + 1, rows, 6 * size)
    carried = np.zeros((rows, size), g.dtype)
    for t, before, _ in _times(steps, reverse)[::-1]:
        r, z, q = (gates[t, :, k * size:(k + 1) * size] for k in range(3))
        dh = g[t] + carried
        dn = dh * (1 - z) * (1 - new[t] * new[t])
        dz = dh * (h[before] - new[t]) * z * (1 - z)
        dr = dn * q * r * (1 - r)
        out[t + 1] = np.concatenate([dr, dz, dn, dr, dz, dn * r], axis=1)
        carried = dh * z + out[t + 1, :, 3 * size:] @ weight
    out[0] = np.concatenate([carried, np.zeros((rows, 5 * size), g.dtype)], axis=1)
