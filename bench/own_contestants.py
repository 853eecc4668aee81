"""Who takes the steps that one writes oneself, and the check that each takes them rightly."""
from __future__ import annotations

from importlib import import_module
from inspect import Parameter, signature

import numpy as np
import own_networks
from contestants import present
from own_by_hand import ByHand

import minidl

UNITS = (32, 64)
CHECKED_STEPS = 3
PLACES = {  # file and class, and the package that it needs
    "minidl compiled": ("own_minidl.Compiled", "minidl"),
    "minidl captured": ("own_minidl.CapturedSequential", "minidl"),
    "minidl plain": ("own_minidl.Plain", "minidl"),
    "PyTorch eager": ("own_pytorch.PyTorch", "torch"),
    "JAX jit": ("own_jax.Jit", "jax"),
    "JAX jit ahead": ("own_jax.JitAhead", "jax"),
}


def captures_functions() -> bool:
    """Whether minidl.capture takes a function alone."""
    _, *others = signature(minidl.capture).parameters.values()
    return all(parameter.default is not Parameter.empty for parameter in others)


def able(network: str) -> list[str]:
    """Those that are here and have the step of this network; a model, a criterion and an optimizer are captured
    where they say the whole step."""
    names = [name for name, (_, package) in PLACES.items() if present(package)]
    if network != "sequential":
        names.remove("minidl captured")
    if network == "pinn" and not hasattr(getattr(minidl, "autograd", None), "grad"):
        names = [name for name in names if not name.startswith("minidl")]
    if not captures_functions():
        names = [name for name in names if name != "minidl compiled"]
    return names


def number(loss) -> float:
    """Of a Tensor, an array or a float."""
    return loss.item() if hasattr(loss, "item") else loss


def checked(name: str, network: str, units: int):
    """A contestant whose first losses, and whose weights' change by these steps, are those of float64."""
    module, kind = PLACES[name][0].split(".")
    contestant, judge = getattr(import_module(module), kind)(network, units), ByHand(network, units)
    what = f"{name}, {network}, {units} units"
    losses, right = ([number(one.step()) for _ in range(CHECKED_STEPS)] for one in (contestant, judge))
    np.testing.assert_allclose(losses, right, rtol=1e-4, err_msg=what)
    before = own_networks.weights(network, units)
    for mine, wanted, start in zip(contestant.weights(), judge.weights(), before, strict=True):
        change = wanted - start
        np.testing.assert_allclose(mine - start, change, rtol=1e-3, atol=1e-3 * np.abs(change).max(), err_msg=what)
    return contestant
