"""JAX: the step as one jitted function whose parameters are donated, called step by step or scanned."""
from __future__ import annotations

import os

import machine

os.environ["JAX_PLATFORMS"] = "cpu"
if machine.COUNT == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from networks import LEARNING_RATE, batch, epoch_steps, is_tanh, weights


def forward(parameters, x, tanh: bool):
    *hidden, (w, b) = parameters
    for v, c in hidden:
        x = jnp.tanh(x @ v + c) if tanh else jax.nn.relu(x @ v + c)
    return x @ w + b


def loss(parameters, x, y, tanh: bool):
    """Squared error for targets that are floats, cross-entropy for labels."""
    if jnp.issubdtype(y.dtype, jnp.floating):
        return jnp.mean(jnp.square(forward(parameters, x, tanh) - y))
    log_p = jax.nn.log_softmax(forward(parameters, x, tanh))
    return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))


def update(parameters, x, y, tanh: bool):
    value, gradients = jax.value_and_grad(loss)(parameters, x, y, tanh)
    return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients), value


def epoch(parameters, x, y, tanh: bool, steps: int):
    """The same batch at every step: nothing is gathered or copied, in JAX's favour."""
    parameters, losses = jax.lax.scan(lambda p, _: update(p, x, y, tanh), parameters, length=steps)
    return parameters, losses.mean()


class Jit:
    """A call a step; the calls are dispatched without waiting, and ``finish`` waits for the last."""

    steps = 1

    def __init__(self, network: str, size: int):
        x, y = batch(network, size)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y if y.dtype.kind == "f" else y.astype(np.int32))
        flat = [jnp.array(value) for value in weights(network)]
        self.parameters = list(zip(flat[::2], flat[1::2], strict=True))
        self.tanh = is_tanh(network)
        self.compiled = jax.jit(self.function(network, size), donate_argnums=0)
        self.outputs = jax.jit(partial(forward, tanh=self.tanh))

    def function(self, network: str, size: int):
        return partial(update, tanh=self.tanh)

    def predict(self) -> np.ndarray:
        return np.asarray(self.outputs(self.parameters, self.x))

    def step(self):
        self.parameters, value = self.compiled(self.parameters, self.x, self.y)
        return value

    def finish(self) -> None:
        jax.block_until_ready(self.parameters)

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(value) for layer in self.parameters for value in layer]


class Scan(Jit):
    """An epoch a call, through ``lax.scan``."""

    def function(self, network: str, size: int):
        self.steps = epoch_steps(network, size)
        return partial(epoch, tanh=self.tanh, steps=self.steps)
