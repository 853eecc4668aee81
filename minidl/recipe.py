"""Recipe: a training run as data, with every choice that the reports vary by its name.

A Recipe says which perceptron is trained and how; ``build`` makes the objects, ``fit`` runs it.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from . import data, nn, optim
from .nn import init
from .optim import lr_scheduler
from .training import fit
from .training.callbacks import Callback
from .training.history import History

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU,
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
}
LOSSES: dict[str, Callable[[], nn.Loss]] = {
    "cross_entropy": nn.CrossEntropyLoss,
    "cross_entropy_sum": partial(nn.CrossEntropyLoss, reduction="sum"),
    "mse": partial(nn.MSELoss, "batchmean"),  # divided by the samples, as in report 001
    "mse_mean": nn.MSELoss,  # divided by samples and outputs, as in PyTorch
    "mse_sum": partial(nn.MSELoss, "sum"),  # not divided: the gradients of reports 000, 002 and 004
}
OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    "sgd": optim.SGD, "adadelta": optim.Adadelta, "adam": optim.Adam, "adamw": optim.AdamW,
}
LEARNING_RATES = {"sgd": 0.1, "adadelta": 1.0, "adam": 0.01, "adamw": 0.01}


def _zeros(parameter: nn.Parameter, generator: np.random.Generator) -> None:
    init.zeros_(parameter)


# A layer's weight is set by the first function, its bias by the second.
INITS: dict[str, tuple[Callable, Callable]] = {
    "normal": (partial(init.normal_, std=0.1), partial(init.normal_, std=0.1)),  # report 000
    "xavier_random_bias": (init.xavier_normal_, init.normal_),  # report 001
    "xavier_normal": (init.xavier_normal_, _zeros),  # report 002
    "xavier_uniform": (init.xavier_uniform_, _zeros),  # report 003
    "kaiming_normal": (init.kaiming_normal_, _zeros),
    "kaiming_uniform": (init.kaiming_uniform_, _zeros),
}
INIT_NAMES = ("default", *INITS)  # "default" leaves what Linear draws: uniform, as PyTorch's

SCHEDULER_NAMES = ("none", "step", "cyclic", "plateau", "decay_on_rise")
STEP_EPOCHS = 10  # "step" halves the rate every 10 epochs, report 001's default
CYCLE_EPOCHS = 5  # "cyclic" climbs to lr for so many epochs: Smith (2015) advises 2 to 10,
CYCLE_FLOOR = 0.25  # from so many times lr: Smith advises 1/4 or 1/3


class Built(NamedTuple):
    """What a training run is made of."""

    model: nn.Sequential
    criterion: nn.Loss
    optimizer: optim.Optimizer
    scheduler: lr_scheduler.LRScheduler | None


@dataclass(frozen=True)
class Recipe:
    """A perceptron of ``inputs``, ``hidden`` and ``outputs`` units, and its training.

    activation : a name of ACTIVATIONS, or several, which take turns after the hidden layers.
    output_activation : after the last layer; None for none.
    dropout : the probability after each hidden activation.
    init : "default", or a name of INITS. loss, optimizer, scheduler : names as in the tables above.
    lr : None for the optimizer's number in LEARNING_RATES. momentum : of SGD alone.

    Wrong values are reported, as ValueError or TypeError, by ``build``.
    """

    inputs: int = 2
    hidden: tuple[int, ...] = (25, 25, 25)
    outputs: int = 2
    activation: str | tuple[str, ...] = "tanh"
    output_activation: str | None = None
    dropout: float = 0.0
    init: str = "xavier_random_bias"
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float = 0.0
    scheduler: str = "none"
    epochs: int = 400
    batch_size: int = 100

    def build(self, samples: int, generator: np.random.Generator) -> Built:
        """The model, criterion, optimizer and scheduler for ``samples`` training samples."""
        model = self.network(generator)
        optimizer = self._optimizer(model)
        steps = len(data.Batches(samples, self.batch_size))
        return Built(model, _named("loss", LOSSES, self.loss)(), optimizer, self._scheduler(optimizer, steps))

    def network(self, generator: np.random.Generator) -> nn.Sequential:
        """Linear, activation and dropout by turns, with initial weights drawn from ``generator``."""
        names = (self.activation,) if isinstance(self.activation, str) else self.activation
        if not isinstance(names, (tuple, list)) or not names:
            raise TypeError(f"expected activation to be a name or several, got {names!r}")
        widths = (self.inputs, *self.hidden, self.outputs)
        layers = [self._linear(*sizes, generator) for sizes in pairwise(widths)]
        modules: list[nn.Module] = []
        for i, layer in enumerate(layers[:-1]):
            modules += [layer, _named("activation", ACTIVATIONS, names[i % len(names)])()]
            if self.dropout:
                modules.append(nn.Dropout(self.dropout))
        modules.append(layers[-1])
        if self.output_activation is not None:
            modules.append(_named("output_activation", ACTIVATIONS, self.output_activation)())
        return nn.Sequential(modules)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The labels as the loss takes them: integers, one-hot rows, or for one output a column."""
        if self.loss.startswith("cross_entropy"):
            return labels
        return data.one_hot(labels, self.outputs) if self.outputs > 1 else labels[:, None].astype(np.float32)

    def fit(self, built: Built, train: Sequence, *, validation: Sequence | None = None, seed=None,
            callbacks: Sequence[Callback] = (), transform: Callable | None = None,
            progress: bool = False, resume: str | os.PathLike | None = None) -> History:
        """Train what ``build`` made; the arguments are those of ``minidl.fit``."""
        return fit(built.model, built.criterion, built.optimizer, train, validation=validation,
                   epochs=self.epochs, batch_size=self.batch_size, seed=seed, scheduler=built.scheduler,
                   callbacks=callbacks, transform=transform, progress=progress, resume=resume)

    def _linear(self, inputs: int, outputs: int, generator) -> nn.Linear:
        layer = nn.Linear(inputs, outputs, generator=generator)
        if self.init != "default":
            weight, bias = _named("init", INITS, self.init)
            weight(layer.weight, generator=generator)
            bias(layer.bias, generator=generator)
        return layer

    def _optimizer(self, model: nn.Module) -> optim.Optimizer:
        kind = _named("optimizer", OPTIMIZERS, self.optimizer)
        lr = LEARNING_RATES[self.optimizer] if self.lr is None else self.lr
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"expected momentum with the optimizer sgd alone, got {self.optimizer}")
        settings = {"momentum": self.momentum} if self.optimizer == "sgd" else {}
        return kind(model.parameters(), lr=lr, **settings)

    def _scheduler(self, optimizer: optim.Optimizer, steps_per_epoch: int) -> lr_scheduler.LRScheduler | None:
        if self.scheduler == "none":
            return None
        if self.scheduler == "step":
            return lr_scheduler.StepLR(optimizer, STEP_EPOCHS, 0.5)
        if self.scheduler == "cyclic":
            return lr_scheduler.CyclicLR(optimizer, CYCLE_FLOOR * optimizer.lr, optimizer.lr,
                                         CYCLE_EPOCHS * steps_per_epoch, cycle_momentum=False)
        if self.scheduler == "plateau":
            return lr_scheduler.ReduceLROnPlateau(optimizer)
        if self.scheduler == "decay_on_rise":
            return lr_scheduler.DecayOnRise(optimizer)
        raise ValueError(_unknown("scheduler", SCHEDULER_NAMES, self.scheduler))


def _named(what: str, table: dict, name: str):
    if name not in table:
        raise ValueError(_unknown(what, table, name))
    return table[name]


def _unknown(what: str, names, name: str) -> str:
    return f"expected {what} to be one of {', '.join(names)}, got {name!r}"
