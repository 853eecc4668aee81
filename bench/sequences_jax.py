"""The same in JAX: loops over time as lax.scan, gradients and update in one jitted function."""
from __future__ import annotations

import rival_jax  # noqa: F401 (which sets JAX's threads)
import sequence_networks as networks

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def recurrent(name, p, x):
    units = networks.UNITS
    w, u = p["layer.weight_ih_l0"].T, p["layer.weight_hh_l0"].T
    a = x @ w + p["layer.bias_ih_l0"]

    def lstm(state, a):
        h, c = state
        i, f, g, o = jnp.split(a + h @ u + p["layer.bias_hh_l0"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    def gru(state, a):
        h, _ = state
        q = h @ u + p["layer.bias_hh_l0"]
        r, z = (jax.nn.sigmoid(a[:, k * units:(k + 1) * units] + q[:, k * units:(k + 1) * units]) for k in (0, 1))
        n = jnp.tanh(a[:, 2 * units:] + r * q[:, 2 * units:])
        return (n + z * (h - n), h), None

    zeros = jnp.zeros((x.shape[1], units))
    (h, _), _ = jax.lax.scan(lstm if name == "lstm" else gru, (zeros, zeros), a)
    return linear(p, "head", h)


def norm(p, name, x):
    x = x - x.mean(-1, keepdims=True)
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def gpt(name, p, index):
    n, length = index.shape
    x = p["characters.weight"][index] + p["places.weight"][:length]
    for level in range(networks.LEVELS):
        layer = f"body.layers.{level}"
        y = norm(p, f"{layer}.norm1", x)
        y = y @ p[f"{layer}.self_attn.in_proj_weight"].T + p[f"{layer}.self_attn.in_proj_bias"]
        q, k, v = (part.reshape(n, length, networks.HEADS, -1).transpose(0, 2, 1, 3) for part in jnp.split(y, 3, -1))
        scores = q @ k.transpose(0, 1, 3, 2) / jnp.sqrt(q.shape[-1])
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
        y = (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(n, length, -1)
        x = x + linear(p, f"{layer}.self_attn.out_proj", y)
        y = norm(p, f"{layer}.norm2", x)
        x = x + linear(p, f"{layer}.linear2", jax.nn.relu(linear(p, f"{layer}.linear1", y)))
    return linear(p, "head", norm(p, "body.norm", x)).reshape(-1, networks.CHARACTERS)


class Jit:
    """A step, and the outputs alone, each of which waits for its result."""

    def __init__(self, name: str, size: int, state: dict):
        self.p = {key: jnp.array(value) for key, value in state.items() if value.dtype.kind == "f"}
        x, labels = networks.batch(name, size)
        self.batch = jnp.asarray(x if name != "gpt" else x.astype("int32")), jnp.asarray(
            labels.reshape(-1).astype("int32"))
        function = gpt if name == "gpt" else recurrent
        decay = 0.01 if name == "gpt" else 0.0

        def loss(p, x, labels):
            z = jax.nn.log_softmax(function(name, p, x))
            return -jnp.mean(jnp.take_along_axis(z, labels[:, None], axis=1))

        def step(p, m, v, t, x, labels):
            value, g = jax.value_and_grad(loss)(p, x, labels)
            t = t + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            rate, root = networks.RATE / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
            p = jax.tree.map(lambda p, m, v: p * (1 - networks.RATE * decay) - rate * m / (jnp.sqrt(v) / root + 1e-8),
                             p, m, v)
            return p, m, v, t, value

        zeros = jax.tree.map(jnp.zeros_like, self.p)
        self.moments = zeros, zeros, jnp.zeros(())
        self.compiled, self.outputs = jax.jit(step), jax.jit(lambda p, x: function(name, p, x))

    def step(self) -> float:
        self.p, *self.moments, value = self.compiled(self.p, *self.moments, *self.batch)
        return float(value)

    def predict(self):
        return jax.block_until_ready(self.outputs(self.p, self.batch[0]))
