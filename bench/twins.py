"""Who steps through the networks that are written once for minidl and PyTorch, and the check that each does it rightly.

A module of networks has NAMES, ``batch(name, size)``, ``model(lib, name, tensor)``,
``optimizer_of(lib, name, network)`` and ``step_of(lib, network, optimizer)``.
"""
from __future__ import annotations

from importlib import import_module

import machine  # noqa: F401 (before NumPy)
import norm_networks
import numpy as np
import sequence_networks
from contestants import present

import minidl

CHECKED_STEPS = 3
HOMES = {name: module for module in (sequence_networks, norm_networks) for name in module.NAMES}
PLACES = {  # file and class, the package that it needs, and the networks that it has
    "minidl compiled": ("twins.Minidl", "minidl", tuple(HOMES)),
    "PyTorch eager": ("twins.PyTorch", "torch", tuple(HOMES)),
    "JAX jit": ("sequences_jax.Jit", "jax", sequence_networks.NAMES),
}


def able(network: str) -> list[str]:
    return [name for name, (_, package, networks) in PLACES.items() if network in networks and present(package)]


def start(name: str) -> dict:
    """The weights that all begin with."""
    minidl.manual_seed(0)
    return HOMES[name].model(minidl, name, minidl.tensor).state_dict()


class Minidl:
    """Both captured: the step, and the outputs in evaluation mode."""

    def __init__(self, name: str, size: int, state: dict):
        networks = HOMES[name]
        self.network = networks.model(minidl, name, minidl.tensor)
        self.network.load_state_dict(state)
        optimizer = networks.optimizer_of(minidl, name, self.network)
        self.batch = networks.batch(name, size)
        self.compiled = minidl.capture(networks.step_of(minidl, self.network, optimizer))

        @minidl.capture
        @minidl.no_grad()
        def outputs(x):
            return self.network(x)

        self.outputs = outputs

    def step(self) -> float:
        return self.compiled(*self.batch).item()

    def predict(self):
        return self.outputs(self.batch[0])


class PyTorch:
    def __init__(self, name: str, size: int, state: dict, dtype: str = "float32"):
        from rival_pytorch import torch

        networks = HOMES[name]
        self.inference = torch.inference_mode
        self.network = networks.model(torch, name, torch.from_numpy)
        self.network.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in state.items()})
        x, labels = networks.batch(name, size)
        self.network.to(getattr(torch, dtype))
        self.batch = torch.from_numpy(x.astype(dtype) if x.dtype == np.float32 else x), torch.from_numpy(labels)
        self.eager = networks.step_of(
            torch, self.network, networks.optimizer_of(torch, name, self.network, fused=True))

    def step(self) -> float:
        return self.eager(*self.batch).item()

    def predict(self):
        with self.inference():
            return self.network(self.batch[0])


def checked(who: str, name: str, size: int):
    """A contestant whose first losses are those of PyTorch in float64, where that is installed."""
    module, kind = PLACES[who][0].split(".")
    contestant = getattr(import_module(module), kind)(name, size, start(name))
    losses = [contestant.step() for _ in range(CHECKED_STEPS)]
    if present("torch"):
        judge = PyTorch(name, size, start(name), "float64")
        right = [judge.step() for _ in range(CHECKED_STEPS)]
        np.testing.assert_allclose(losses, right, rtol=1e-4, err_msg=f"{who}, {name}, batch {size}")
    return contestant
