"""JAX's step of LeNet-5: one jitted function whose parameters are donated, a call a step, or scanned."""
from __future__ import annotations

import images_networks
import numpy as np
import rival_jax  # noqa: F401 (which sets JAX's threads)
from own_jax import adam, start

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip


def outputs(p, x):
    """x (N, 1, 28, 28)."""
    convolutions = len(images_networks.CONVOLUTIONS)
    for (w, b), (_, _, padding) in zip(p[:convolutions], images_networks.CONVOLUTIONS, strict=True):
        x = jax.lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2) + b[:, None, None]
        window = (1, 1, images_networks.POOL, images_networks.POOL)
        x = jax.lax.reduce_window(jax.nn.relu(x), -jnp.inf, jax.lax.max, window, window, "VALID")
    x = x.reshape(len(x), -1)
    *hidden, (w, b) = p[convolutions:]
    for v, c in hidden:
        x = jax.nn.relu(x @ v.T + c)
    return x @ w.T + b


def loss(p, x, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs(p, x)), y[:, None], axis=1))


def update(state, x, y):
    p, moments = state
    value, gradients = jax.value_and_grad(loss)(p, x, y)
    return adam(p, gradients, moments), value


class Jit:
    """A call a step, dispatched without waiting."""

    steps = 1

    def __init__(self, size: int):
        x, y = images_networks.batch(size)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y.astype(np.int32))
        flat = [jnp.array(value) for value in images_networks.weights()]
        p = list(zip(flat[::2], flat[1::2], strict=True))
        self.state = p, start(p)
        self.compiled = jax.jit(self.function(), donate_argnums=0)

    def function(self):
        return update

    def step(self):
        self.state, value = self.compiled(self.state, self.x, self.y)
        return value

    def finish(self) -> None:
        jax.block_until_ready(self.state)

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(value) for layer in self.state[0] for value in layer]


class Scan(Jit):
    """Several steps a call, through ``lax.scan``."""

    steps = 3

    def function(self):
        def run(state, x, y):
            state, losses = jax.lax.scan(lambda s, _: update(s, x, y), state, length=self.steps)
            return state, losses.mean()

        return run
