"""Recurrent layers and a character GPT against PyTorch eager and JAX jit: ``python -m bench.sequences``, one thread.

Each takes three steps first, whose losses must be those of PyTorch in float64; then least times, in turns.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).parent)  # not the checkout: its minidl/ would hide the installed one

import machine  # noqa: E402 (before NumPy)
import numpy as np  # noqa: E402
import sequence_networks as networks  # noqa: E402
from contestants import present  # noqa: E402
from turns import best_of_turns  # noqa: E402

import minidl  # noqa: E402

TURNS = 21


class Minidl:
    def __init__(self, name: str, size: int, state: dict):
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

    def forward(self):
        return self.outputs(self.batch[0])


class PyTorch:
    def __init__(self, name: str, size: int, state: dict, dtype: str = "float32"):
        from rival_pytorch import torch

        self.no_grad = torch.no_grad
        self.network = networks.model(torch, name, torch.from_numpy)
        self.network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
        x, labels = networks.batch(name, size)
        self.network.to(getattr(torch, dtype))
        self.batch = torch.from_numpy(x if name == "gpt" else x.astype(dtype)), torch.from_numpy(labels)
        self.eager = networks.step_of(
            torch, self.network, networks.optimizer_of(torch, name, self.network, fused=True))

    def step(self) -> float:
        return self.eager(*self.batch).item()

    def forward(self):
        with self.no_grad():
            return self.network(self.batch[0])


def contestants(name: str, size: int) -> dict:
    """Each with the same weights, checked."""
    minidl.manual_seed(0)
    state = networks.model(minidl, name, minidl.tensor).state_dict()
    found = {"minidl": Minidl(name, size, state)}
    if present("torch"):
        found["PyTorch eager"] = PyTorch(name, size, state)
        judge = PyTorch(name, size, state, "float64")
        right = [judge.step() for _ in range(3)]
    if present("jax"):
        from sequences_jax import Jit
        found["JAX jit"] = Jit(name, size, state)
    for who, contestant in found.items():
        losses = [contestant.step() for _ in range(3)]
        if present("torch"):
            np.testing.assert_allclose(losses, right, rtol=1e-4, err_msg=f"{who}, {name}, batch {size}")
    return found


def line(what: str, calls: dict[str, Callable]) -> str:
    times = dict(zip(calls, best_of_turns(list(calls.values()), TURNS), strict=True))
    ratios = [f"{times[who] / times['minidl']:.2f}" for who in times if who != "minidl"]
    return f"| {what} | " + " | ".join([*(f"{1e6 * t:.0f}" for t in times.values()), *ratios]) + " |"


def main() -> None:
    print(f"{machine.processor()}: {machine.line()}", end="\n\n")
    head = False
    for name, size in networks.CASES:
        found = contestants(name, size)
        if not head:
            head, others = True, [who for who in found if who != "minidl"]
            names = [*found, *(f"{who} / minidl" for who in others)]
            print("| µs | " + " | ".join(names) + " |\n|---" + "|---:" * len(names) + "|")
        print(line(f"{name}, batch {size}, training", {who: one.step for who, one in found.items()}))
        print(line(f"{name}, batch {size}, forward", {who: one.forward for who, one in found.items()}), flush=True)


if __name__ == "__main__":
    main()
