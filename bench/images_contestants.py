"""Who takes the step of LeNet-5, and the check that each takes it rightly."""
from __future__ import annotations

from importlib import import_module

import images_networks
import numpy as np
from contestants import present

import minidl

CHECKED_STEPS = 3
PLACES = {  # file and class, the package that it needs, and what it can
    "minidl compiled": ("images_contestants.Minidl", "minidl", ("step", "predict")),
    "PyTorch eager": ("images_pytorch.PyTorch", "torch", ("step", "predict")),
    "JAX jit": ("images_jax.Jit", "jax", ("step",)),
    "JAX scan": ("images_jax.Scan", "jax", ("step",)),
    "onnxruntime": ("images_onnxruntime.Session", "onnxruntime", ("predict",)),
}


def able(what: str = "step") -> list[str]:
    """The installed contestants that can "step" or "predict"."""
    return [name for name, (_, package, can) in PLACES.items() if what in can and present(package)]


def lenet(nn, dtype):
    """The layers, of minidl's nn or of PyTorch's."""
    convolutions = [layer for i, o, padding in images_networks.CONVOLUTIONS for layer in (
        nn.Conv2d(i, o, images_networks.KERNEL, padding=padding, dtype=dtype), nn.ReLU(),
        nn.MaxPool2d(images_networks.POOL))]
    linears = [layer for sizes in images_networks.LINEARS for layer in (nn.Linear(*sizes, dtype=dtype), nn.ReLU())]
    return nn.Sequential(*convolutions, nn.Flatten(), *linears[:-1])


class Minidl:
    """``minidl.capture(model, criterion, optimizer)``."""

    def __init__(self, size: int, dtype=np.float32):
        self.model = lenet(minidl.nn, dtype)
        for parameter, value in zip(self.model.parameters(), images_networks.weights(dtype), strict=True):
            parameter.data = value
        optimizer = minidl.optim.Adam(self.model.parameters(), **images_networks.ADAM)
        self.captured = minidl.capture(self.model, minidl.nn.CrossEntropyLoss(), optimizer)
        self.batch = images_networks.batch(size, dtype)

    def step(self):
        return self.captured(*self.batch)

    def predict(self):
        return self.model.predict(self.batch[0])

    def weights(self) -> list[np.ndarray]:
        return [parameter.data for parameter in self.model.parameters()]


def judge(size: int):
    """Who says what is right: float64, of another library if there is one."""
    if present("torch"):
        return import_module("images_pytorch").PyTorch(size, np.float64)
    return Minidl(size, np.float64)


def checked(name: str, size: int):
    """A contestant whose outputs, first losses, and weights' change by these steps are those of float64."""
    module, kind = PLACES[name][0].split(".")
    contestant, right = getattr(import_module(module), kind)(size), judge(size)
    if "predict" in PLACES[name][2]:
        np.testing.assert_allclose(contestant.predict(), right.predict(), rtol=1e-3, atol=1e-4, err_msg=name)
    if "step" not in PLACES[name][2]:
        return contestant
    steps = getattr(contestant, "steps", 1)
    losses = np.ravel([contestant.step() for _ in range(-(-CHECKED_STEPS // steps))])
    wanted = [float(right.step()) for _ in range(len(losses) if steps == 1 else steps)]
    np.testing.assert_allclose(losses, wanted if steps == 1 else [np.mean(wanted)], rtol=1e-3, err_msg=name)
    for mine, theirs, start in zip(contestant.weights(), right.weights(), images_networks.weights(), strict=True):
        change = theirs - start
        apart = np.linalg.norm(mine - start - change) / np.linalg.norm(change)
        assert apart < 0.02, f"{name}, batch {size}: the weights' change is off by {apart:.3f} of it"
    return contestant
