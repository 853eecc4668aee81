"""The steps of ``own_networks.py`` with derivatives by hand, in float64 NumPy: the judge of all rivals.

A network is a list of layers (W, b); its gradient has the same form. db is 0 where there is no b.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import own_networks

Layers = list[tuple]


def affine(layer: tuple, x: np.ndarray) -> np.ndarray:
    w, b = layer
    return x @ w if b is None else x @ w + b


def affine_gradient(layer: tuple, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, tuple]:
    """dx, and (dW, db)."""
    return dy @ layer[0].T, (x.T @ dy, None if layer[1] is None else dy.sum(axis=0))


def added(first: tuple, second: tuple) -> tuple:
    return tuple(None if a is None else a + b for a, b in zip(first, second, strict=True))


def mse(z: np.ndarray, y) -> tuple[float, np.ndarray]:
    """The loss, and dz."""
    return float(((z - y) ** 2).mean()), 2 * (z - y) / z.size


def cross_entropy(z: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    return float(loss), p / len(z)


def chain(layers: Layers, x: np.ndarray, y: np.ndarray, skip: bool) -> tuple[float, Layers]:
    """sequential, residual and, with one layer in several places, shared."""
    first, *blocks, last = layers
    inputs = [affine(first, x)]
    for block in blocks:
        inputs.append(np.tanh(affine(block, inputs[-1])) + skip * inputs[-1])
    loss, dz = mse(affine(last, inputs[-1]), y)
    dh, d_last = affine_gradient(last, inputs[-1], dz)
    gradients = [d_last]
    for block, h, out in reversed(list(zip(blocks, inputs[:-1], inputs[1:], strict=True))):
        dx, d_block = affine_gradient(block, h, dh * (1 - (out - skip * h) ** 2))
        dh = dx + skip * dh
        gradients.append(d_block)
    gradients.append(affine_gradient(first, x, dh)[1])
    return loss, gradients[::-1]


def sequential(layers: Layers, x, y) -> tuple[float, Layers]:
    return chain(layers, x, y, False)


def residual(layers: Layers, x, y) -> tuple[float, Layers]:
    return chain(layers, x, y, True)


def shared(layers: Layers, x, y) -> tuple[float, Layers]:
    first, middle, last = layers
    loss, (d_first, one, two, three, d_last) = chain([first, middle, middle, middle, last], x, y, False)
    return loss, [d_first, added(added(one, two), three), d_last]


def heads(layers: Layers, x, y, labels) -> tuple[float, Layers]:
    first, second, regression, classification = layers
    h = np.tanh(affine(first, x))
    g = np.tanh(affine(second, h))
    (one, dz), (two, dc) = mse(affine(regression, g), y), cross_entropy(affine(classification, g), labels)
    (dg, d_regression), (dg2, d_classification) = (
        affine_gradient(regression, g, dz), affine_gradient(classification, g, dc))
    dh, d_second = affine_gradient(second, h, (dg + dg2) * (1 - g**2))
    return one + two, [affine_gradient(first, x, dh * (1 - h**2))[1], d_second, d_regression, d_classification]


def rnn(layers: Layers, x, labels) -> tuple[float, Layers]:
    w, u, last = layers
    states = [np.zeros((x.shape[1], len(u[0])))]
    for x_t in x:
        states.append(np.tanh(affine(w, x_t) + affine(u, states[-1])))
    loss, dz = cross_entropy(affine(last, states[-1]), labels)
    dh, d_last = affine_gradient(last, states[-1], dz)
    d_w, d_u = (np.zeros_like(w[0]), np.zeros_like(w[1])), (np.zeros_like(u[0]), None)
    for x_t, before, h in reversed(list(zip(x, states[:-1], states[1:], strict=True))):
        da = dh * (1 - h**2)
        d_w = added(d_w, affine_gradient(w, x_t, da)[1])
        dh, now = affine_gradient(u, before, da)
        d_u = added(d_u, now)
    return loss, [d_w, d_u, d_last]


def jets(layers: Layers, x: np.ndarray, slopes: bool = True) -> tuple[np.ndarray, np.ndarray, Callable]:
    """u and u'' at x of an mlp with tanh between its layers, and what gives its gradients for du and du''.

    Through a layer a = W h + b, a' = W h', a'' = W h'', and through t = tanh a, with s = 1 - t²:
    t' = s a', t'' = s a'' - 2 t s a'². Without ``slopes`` x' = 0, and all derivatives in x stay zero.
    """
    h, h1, h2 = x, np.full_like(x, slopes), np.zeros_like(x)
    kept = []
    for i, (w, b) in enumerate(layers):
        a, a1, a2 = h @ w + b, h1 @ w, h2 @ w
        kept.append((h, h1, h2, a1, a2))
        t = a if i == len(layers) - 1 else np.tanh(a)
        s = 1 - t**2
        h, h1, h2 = (a, a1, a2) if i == len(layers) - 1 else (t, s * a1, s * a2 - 2 * t * s * a1**2)

    def gradients(d: np.ndarray, d2: np.ndarray) -> tuple[np.ndarray, Layers]:
        """dx, were x' to stay as it is, and those of the layers."""
        found, d1 = [], np.zeros_like(d)
        for i in reversed(range(len(layers))):
            (w, _), (h, h1, h2, a1, a2) = layers[i], kept[i]
            if i < len(layers) - 1:  # h, h1, h2 of the next layer are functions of a, a1, a2
                t = kept[i + 1][0]
                s = 1 - t**2
                d_t = d - 2 * t * (d1 * a1 + d2 * a2) + d2 * (6 * t**2 - 2) * a1**2
                d, d1, d2 = d_t * s, d1 * s - 4 * d2 * t * s * a1, d2 * s
            found.append((h.T @ d + h1.T @ d1 + h2.T @ d2, d.sum(axis=0)))
            d, d1, d2 = d @ w.T, d1 @ w.T, d2 @ w.T
        return d, found[::-1]

    return h, h2, gradients


def mlp(layers: Layers, x: np.ndarray) -> tuple[np.ndarray, Callable]:
    """z, and what gives dx and the gradients for dz."""
    z, _, gradients = jets(layers, x, slopes=False)
    return z, lambda dz: gradients(dz, np.zeros_like(dz))


def pinn(layers: Layers, x, source, edge) -> tuple[float, Layers]:
    u, u_xx, inside = jets(layers, x)
    at_edge, outside = mlp(layers, edge)
    (one, d_inside), (two, d_outside) = mse(u_xx, source), mse(at_edge, 0)
    pairs = zip(inside(np.zeros_like(u), d_inside)[1], outside(d_outside)[1], strict=True)
    return one + two, [added(a, b) for a, b in pairs]


class Sgd:
    def __call__(self, layers: Layers, gradients: Layers) -> Layers:
        return [tuple(None if p is None else p - own_networks.LEARNING_RATE * g for p, g in zip(*pair, strict=True))
                for pair in zip(layers, gradients, strict=True)]


class Adam:
    def __init__(self):
        self.steps, self.moments = 0, {}

    def __call__(self, layers: Layers, gradients: Layers) -> Layers:
        self.steps += 1
        (b1, b2), lr, eps = own_networks.ADAM["betas"], own_networks.ADAM["lr"], own_networks.ADAM["eps"]
        updated = []
        for i, (layer, gradient) in enumerate(zip(layers, gradients, strict=True)):
            for j, g in enumerate(gradient):
                m, v = self.moments.get((i, j), (0, 0))
                self.moments[i, j] = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            updated.append(tuple(
                p - lr * (m / (1 - b1**self.steps)) / (np.sqrt(v / (1 - b2**self.steps)) + eps)
                for p, (m, v) in zip(layer, (self.moments[i, 0], self.moments[i, 1]), strict=True)))
        return updated


class ByHand:
    """The contestant that is right."""

    def __init__(self, name: str, units: int):
        wide = [x.astype(np.float64) for x in own_networks.weights(name, units)]
        self.name, self.layers = name, own_networks.layers(name, wide)
        self.batch = [x.astype(np.float64) if x.dtype == np.float32 else x for x in own_networks.batch(name)]
        self.rule, self.other = (Adam(), Adam()) if name in own_networks.BY_ADAM else (Sgd(), Sgd())

    def step(self) -> float:
        if self.name == "gan":
            return self.gan_step(*self.batch)
        loss, gradients = globals()[self.name](self.layers, *self.batch)
        self.layers = self.rule(self.layers, gradients)
        return loss

    def gan_step(self, real: np.ndarray, noise: np.ndarray) -> float:
        cut = own_networks.GENERATOR_LAYERS
        generator, discriminator = self.layers[:cut], self.layers[cut:]
        fake, to_generator = mlp(generator, noise)
        total, parts = 0.0, []
        for x, wanted in ((real, 1), (fake, 0)):
            z, to_discriminator = mlp(discriminator, x)
            loss, dz = mse(z, wanted)
            total += loss
            parts.append(to_discriminator(dz)[1])
        discriminator = self.rule(discriminator, [added(*pair) for pair in zip(*parts, strict=True)])
        z, to_fake = mlp(discriminator, fake)
        loss, dz = mse(z, 1)
        generator = self.other(generator, to_generator(to_fake(dz)[0])[1])
        self.layers = [*generator, *discriminator]
        return total + loss

    def weights(self) -> Sequence[np.ndarray]:
        return [value for layer in self.layers for value in layer if value is not None]
