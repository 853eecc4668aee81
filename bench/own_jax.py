"""JAX's steps of one's own: gradients, update and all as one jitted function, which waits for its loss or does not."""
from __future__ import annotations

from functools import partial

import numpy as np
import own_networks
import rival_jax  # noqa: F401 (which sets JAX's threads)

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip


def linear(layer, x):
    w, b = layer
    return x @ w if b is None else x @ w + b


def mse(z, y):
    return jnp.mean((z - y) ** 2)


def cross_entropy(z, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), labels[:, None], axis=1))


def sequential(layers, x, y, skip: bool = False):
    first, *blocks, last = layers
    h = linear(first, x)
    for block in blocks:
        h = h + jnp.tanh(linear(block, h)) if skip else jnp.tanh(linear(block, h))
    return mse(linear(last, h), y)


def shared(layers, x, y):
    first, middle, last = layers
    h = linear(first, x)
    for _ in range(3):
        h = jnp.tanh(linear(middle, h))
    return mse(linear(last, h), y)


def heads(layers, x, y, labels):
    first, second, regression, classification = layers
    h = jnp.tanh(linear(second, jnp.tanh(linear(first, x))))
    return mse(linear(regression, h), y) + cross_entropy(linear(classification, h), labels)


def rnn(layers, x, labels):
    w, u, last = layers
    h = jnp.zeros((x.shape[1], u[0].shape[0]), x.dtype)
    for t in range(x.shape[0]):
        h = jnp.tanh(linear(w, x[t]) + linear(u, h))
    return cross_entropy(linear(last, h), labels)


def mlp(layers, x):
    first, second, last = layers
    return linear(last, jnp.tanh(linear(second, jnp.tanh(linear(first, x)))))


def pinn(layers, x, source, edge):
    """The second derivative by reverse mode, twice, as the others take it."""
    def u_x(x):
        return jax.grad(lambda x: mlp(layers, x).sum())(x)

    u_xx = jax.grad(lambda x: u_x(x).sum())(x)
    return mse(u_xx, source) + jnp.mean(mlp(layers, edge) ** 2)


def pinn_forward(layers, x, source, edge):
    """The second derivative by forward mode, twice, which is faster."""
    def u_x(x):
        return jax.jvp(lambda x: mlp(layers, x), (x,), (jnp.ones_like(x),))[1]

    return mse(jax.jvp(u_x, (x,), (jnp.ones_like(x),))[1], source) + jnp.mean(mlp(layers, edge) ** 2)


LOSSES = {"sequential": sequential, "residual": partial(sequential, skip=True), "shared": shared, "heads": heads,
          "rnn": rnn, "pinn": pinn}


def sgd(p, gradients, moments):
    return jax.tree.map(lambda p, g: p - own_networks.LEARNING_RATE * g, p, gradients), moments


def adam(p, gradients, moments):
    """moments: m, v and t, the number of steps so far."""
    m, v, t = moments
    (b1, b2), lr, eps = own_networks.ADAM["betas"], own_networks.ADAM["lr"], own_networks.ADAM["eps"]
    t = t + 1
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, gradients)
    rate, root = lr / (1 - b1**t), jnp.sqrt(1 - b2**t)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + eps), p, m, v), (m, v, t)


def start(p):
    """Adam's moments before the first step."""
    return jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.zeros(())


def trained(loss, rule):
    def step(p, moments, *batch):
        value, gradients = jax.value_and_grad(loss)(p, *batch)
        return *rule(p, gradients, moments), value

    return step


def gan(p, moments, real, noise):
    (g, d), (g_moments, d_moments) = p, moments

    def d_loss(d, fake):
        return jnp.mean((mlp(d, real) - 1) ** 2) + jnp.mean(mlp(d, fake) ** 2)

    def g_loss(g, d):
        return jnp.mean((mlp(d, mlp(g, noise)) - 1) ** 2)

    loss, gradients = jax.value_and_grad(d_loss)(d, mlp(g, noise))
    d, d_moments = adam(d, gradients, d_moments)
    other, gradients = jax.value_and_grad(g_loss)(g, d)
    g, g_moments = adam(g, gradients, g_moments)
    return (g, d), (g_moments, d_moments), loss + other


class Jit:
    """Each step waits for its loss; nothing is donated."""

    losses = LOSSES
    donated: tuple[int, ...] = ()

    def __init__(self, name: str, units: int):
        self.p = own_networks.layers(name, [jnp.array(x) for x in own_networks.weights(name, units)])
        self.batch = [jnp.asarray(x.astype(np.int32) if x.dtype == np.int64 else x) for x in own_networks.batch(name)]
        if name == "gan":
            cut = own_networks.GENERATOR_LAYERS
            self.p = self.p[:cut], self.p[cut:]
            self.moments, function = tuple(start(part) for part in self.p), gan
        else:
            by_adam = name in own_networks.BY_ADAM
            self.moments = start(self.p) if by_adam else ()
            function = trained(self.losses[name], adam if by_adam else sgd)
        self.compiled = jax.jit(function, donate_argnums=self.donated)

    def step(self):
        self.p, self.moments, value = self.compiled(self.p, self.moments, *self.batch)
        return jax.block_until_ready(value)

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(x) for x in jax.tree.leaves(self.p)]


class JitAhead(Jit):
    """JAX at its best: parameters and moments are donated, the next step is dispatched before the last one ended."""

    losses = LOSSES | {"pinn": pinn_forward}
    donated = (0, 1)

    def step(self):
        self.p, self.moments, value = self.compiled(self.p, self.moments, *self.batch)
        return value

    def finish(self) -> None:
        jax.block_until_ready(self.p)
