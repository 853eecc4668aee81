"""JAX: all networks of bench/many.py as one jitted function, ``vmap`` over the networks of a ``scan`` over batches."""
from __future__ import annotations

from time import perf_counter

import jax
import jax.numpy as jnp
import many
import numpy as np
import rival_jax


class Many:
    """Parameters with a leading axis of networks; the batches are gathered beforehand, in JAX's favour."""

    def __init__(self):
        x, y = many.data()
        rows = many.order().reshape(many.STEPS, many.SIZE)
        self.batches = jnp.asarray(x[rows]), jnp.asarray(y[rows].astype(np.int32))
        each = [many.weights(number) for number in range(many.COUNT)]
        self.start = [np.stack(values) for values in zip(*each, strict=True)]

        def train(parameters, batches):
            return jax.lax.scan(lambda p, batch: rival_jax.update(p, *batch, tanh=True), parameters, batches)

        self.train = jax.jit(jax.vmap(train, in_axes=(0, None)))

    def seconds(self) -> float:
        flat = [jnp.asarray(value) for value in self.start]
        parameters = list(zip(flat[::2], flat[1::2], strict=True))
        jax.block_until_ready(parameters)
        begin = perf_counter()
        self.trained, _ = jax.block_until_ready(self.train(parameters, self.batches))
        return (perf_counter() - begin) / many.COUNT

    def weights(self, number: int) -> list[np.ndarray]:
        return [np.asarray(value[number]) for layer in self.trained for value in layer]
