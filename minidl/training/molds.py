"""Molds: of many networks that are alike, each is trained in one compiled program, one after the other.

To write and compile a program takes a millisecond, in which a small network makes hundreds of steps. So fit_many
writes it once for all networks of the same layers, and once more for each thread beyond the first: the weights are
copied in, trained by the same calls in the same order, and copied back. The bits are those of each network's own fit.
"""
from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np

from ..autograd.parameter import Parameter
from ..nn.activations import is_activation
from ..nn.containers import Sequential
from ..nn.linear import Linear
from ..nn.module import Module
from ..optim.lbfgs import LBFGS
from ..optim.optimizer import Optimizer
from .fit import epochs_of
from .history import History
from .trainer import Trainer

PLAIN = (int, float, str, bool, type(None))
LEAST = 3  # networks of a pattern from which a mold pays


def pattern_of(model: Module, criterion: Any, optimizer: Any) -> tuple | None:
    """What networks that fit one mold have in common; None for one that is trained by itself.

    A Sequential of Linears and activations, a loss of minidl's, an optimizer of minidl's for all of its parameters in
    one group, which has made no step yet. Their settings may differ, their weights, too.
    """
    if type(model) is not Sequential or not isinstance(criterion, Module) or not isinstance(optimizer, Optimizer):
        return None
    layers = list(model)
    if not all([type(layer) is Linear or is_activation(layer) for layer in layers]):
        return None
    described = [_described(thing) for thing in (*layers, criterion)]
    groups = optimizer.param_groups
    if (None in described or vars(model).keys() != {"_modules"} or len(groups) != 1 or isinstance(optimizer, LBFGS)
            or not type(optimizer).__module__.startswith("minidl.optim.")
            or any([callable(value) for value in vars(optimizer).values()])
            or not optimizer.is_fresh()):
        return None
    own = [value for layer in layers for value in vars(layer).values() if isinstance(value, Parameter)]
    held = groups[0]["params"]
    if len(own) != len(held) or any([mine is not one for mine, one in zip(own, held, strict=True)]):
        return None
    return (*described, type(optimizer), tuple(groups[0]))


def _described(module: Module) -> tuple | None:
    """The class and all attributes but the values of parameters; None where there is one of another kind."""
    if not type(module).__module__.startswith("minidl.nn."):
        return None
    found: list[Any] = [type(module)]
    for name, value in vars(module).items():
        if name in ("saved", "training", "_buffers"):
            continue
        if isinstance(value, Parameter):
            if not value.requires_grad:
                return None
            value = value.shape, value.dtype.str, value.order
        elif isinstance(value, dict) and all([isinstance(item, PLAIN) for item in value.values()]):
            value = tuple(value.items())
        elif not isinstance(value, PLAIN):
            return None
        found.append((name, value))
    return tuple(found)


class Mold:
    """A training of copies, in which ``train`` trains one network after the other. Its errors are fit's."""

    def __init__(self, model: Module, criterion: Any, optimizer: Optimizer, data: Any, validation: Any, epochs: int,
                 batch_size: int, captured: bool, interrupt: Any):
        kept = copy.deepcopy((model, criterion, optimizer))  # which no thread changes
        self.source = *kept, data, validation, epochs, batch_size, captured, interrupt
        self.model, self.criterion, self.optimizer = copy.deepcopy(kept)
        self.trainer = Trainer(self.model, self.criterion, self.optimizer, data, validation, epochs, batch_size, 0,
                               None, (), None, None, False, captured)
        self.trainer.interrupt = interrupt
        self.parameters = self.model.parameters()

    def again(self) -> Mold:
        """Another one, for another thread."""
        return Mold(*self.source)

    def train(self, model: Sequential, optimizer: Optimizer, generator: np.random.Generator) -> History:
        """Train this network, and give its History."""
        trainer = self.trainer
        settings, wanted = self.optimizer.param_groups[0], optimizer.param_groups[0]
        for mine, theirs in zip(self.parameters, wanted["params"], strict=True):
            mine._data[...] = theirs._data
        settings.update({name: value for name, value in wanted.items()
                         if name != "params" and settings[name] is not value})
        flat, = self.optimizer.flats()
        for array in flat.state.values():
            array[...] = 0
        flat.counts.fill(0)
        trainer.history, trainer.begin = History(), time.perf_counter()
        trainer.generator = trainer.batches._generator = generator
        if not all([module.training for module in (model, *model)]):
            model.train()
        vars(model)["_coding"] = trainer.mean.coding
        try:
            for _ in epochs_of(trainer):
                pass
        except FloatingPointError as error:
            trainer.diverged(error)
        finally:
            self._give_back(optimizer, flat)
        return trainer.history

    def _give_back(self, optimizer: Optimizer, flat: Any) -> None:
        for mine, theirs in zip(self.parameters, optimizer.param_groups[0]["params"], strict=True):
            theirs._data[...] = mine._data
            theirs._grad[...] = mine._grad
            theirs.status.has_grad = mine.status.has_grad
            theirs.status.advance()
        counts = list(flat.counts)
        if any(counts):
            optimizer.flats()[0].go_on(counts, flat.state)
