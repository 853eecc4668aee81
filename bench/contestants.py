"""Every rival by its name: where it is, what it can do; and the check that it does the right thing.

A rival is imported when it is asked for, so that a process which times one of them holds no other.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from networks import WIDTHS, ByHand, is_regression


@dataclass(frozen=True)
class Rival:
    """``place``: file and class; ``package``: what must be installed; ``can``: steps, inference or both."""
    place: str
    package: str = "minidl"
    can: tuple[str, ...] = ("step", "predict")
    networks: tuple[str, ...] = tuple(WIDTHS)


CLASSIFIERS = tuple(network for network in WIDTHS if not is_regression(network))
RIVALS = {
    "minidl captured": Rival("networks.MinidlCaptured", can=("step",)),
    "minidl": Rival("networks.Minidl"),
    "minidl tape": Rival("networks.MinidlTape", can=("step",)),
    "NumPy by hand": Rival("networks.ByHand", "numpy"),
    "PyTorch eager": Rival("rival_pytorch.PyTorch", "torch"),
    "JAX jit": Rival("rival_jax.Jit", "jax"),
    "JAX scan": Rival("rival_jax.Scan", "jax", ("step",)),
    "scikit-learn": Rival("rival_sklearn.Classifier", "sklearn", ("step",), CLASSIFIERS),
    "onnxruntime": Rival("rival_onnxruntime.Session", "onnxruntime", ("predict",)),
    "compute alone": Rival("rival_floor.Floor", "Cython", ("step",), ("S",)),
}


def present(package: str) -> bool:
    return find_spec(package) is not None


def installed(*names: str) -> list[str]:
    """Of these rivals those whose package is there."""
    return [name for name in names if present(RIVALS[name].package)]


def able(what: str, network: str) -> list[str]:
    """The installed rivals that can "step" or "predict" with this network."""
    names = (name for name, rival in RIVALS.items() if what in rival.can and network in rival.networks)
    return installed(*names)


def made(name: str, network: str, size: int):
    """The rival with its network and batch."""
    module, kind = RIVALS[name].place.split(".")
    return getattr(import_module(module), kind)(network, size)


def checked(name: str, network: str, size: int):
    """A rival that is right: its outputs, and its loss and weights after a call of step(), are those of
    float64. Outputs count up to a constant in each row: log-probabilities are as good.
    """
    contestant, judge, can = made(name, network, size), ByHand(network, size, np.float64), RIVALS[name].can
    agree = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4, err_msg=f"{name}, {network}, batch {size}")
    if hasattr(contestant, "predict"):
        z, right = np.asarray(contestant.predict()), judge.predict()
        agree(z, right) if is_regression(network) else agree(z - z[:, :1], right - right[:, :1])
    if "step" in can:
        loss = contestant.step()
        weights = contestant.weights()
        if weights is not None:
            agree(loss, np.mean([judge.step() for _ in range(steps_of(contestant))]))
            for mine, right in zip(weights, judge.weights(), strict=True):
                agree(mine, right)
    return contestant


def steps_of(contestant) -> int:
    """How many training steps a call of its step() takes: one, or an epoch of them."""
    return getattr(contestant, "steps", 1)
