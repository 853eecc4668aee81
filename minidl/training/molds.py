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
from ..optim.flat import Flat
from ..optim.lbfgs import LBFGS
from ..optim.optimizer import Optimizer
from .fit import loop
from .history import History
from .trainer import Trainer

PLAIN = (int, float, str, bool, type(None))
NOT_COMPARED = {"saved", "training", "_buffers"}  # attributes that may differ
LEAST = 3  # networks of a pattern from which a mold pays


class Patterns:
    """What networks that fit one mold have in common: ``of`` gives it for each network."""

    def __init__(self):
        self.taken: dict[tuple, bool] = {}  # whether modules of a class, with attributes of these names, fit

    def of(self, model: Module, criterion: Any, optimizer: Any) -> tuple | None:
        """Equal for networks that fit one mold; None for one that is trained by itself.

        A Sequential of Linears and activations, a loss of minidl's, an optimizer of minidl's for all of its parameters
        in one group, which has made no step yet. Their settings may differ, their weights, too.
        """
        if type(model) is not Sequential or not isinstance(criterion, Module) or not isinstance(optimizer, Optimizer):
            return None
        layers, groups = vars(model)["_modules"], optimizer.param_groups
        if (vars(model).keys() != {"_modules"} or len(groups) != 1 or isinstance(optimizer, LBFGS)
                or not type(optimizer).__module__.startswith("minidl.optim.")
                or any([callable(value) for value in vars(optimizer).values()])
                or not optimizer.is_fresh()):
            return None
        described = [self._described(layer, as_layer=True) for layer in layers]
        described.append(self._described(criterion, as_layer=False))
        if None in described:
            return None
        own = [value for layer in layers for value in vars(layer).values() if isinstance(value, Parameter)]
        held = groups[0]["params"]
        if len(own) != len(held) or any([mine is not one for mine, one in zip(own, held, strict=True)]):
            return None
        return (*described, type(optimizer), tuple(groups[0]))

    def _described(self, module: Module, as_layer: bool) -> tuple | None:
        """The class and all attributes but the values of parameters; None where it does not fit."""
        attributes = vars(module)
        key = (type(module), as_layer, *attributes)
        if key not in self.taken:
            self.taken[key] = type(module).__module__.startswith("minidl.nn.") and (
                not as_layer or type(module) is Linear or is_activation(module))
        if not self.taken[key]:
            return None
        found: list[Any] = [type(module)]
        for name, value in attributes.items():
            if name in NOT_COMPARED:
                continue
            if isinstance(value, Parameter):
                if not value.status.requires_grad:
                    return None
                value = value.shape, value.dtype.str, value.order
            elif isinstance(value, dict) and all([isinstance(item, PLAIN) for item in value.values()]):
                value = tuple(value.items())
            elif not isinstance(value, PLAIN):
                return None
            found += name, value
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
        self.flat, = self.optimizer.flats()
        self.parameters = self.flat.parameters
        self.model.train()  # and remains so: nothing but this training runs it
        self.trainer.modes_may_differ = False

    def again(self) -> Mold:
        """Another one, for another thread."""
        return Mold(*self.source)

    def train(self, model: Sequential, optimizer: Optimizer, generator: np.random.Generator) -> History:
        """Train this network, and give its History."""
        trainer, flat = self.trainer, self.flat
        theirs, = optimizer.flats()
        pairs = self._pairs(theirs)
        for mine, own in pairs:
            mine[0][...] = own[0]
        settings, wanted = self.optimizer.param_groups[0], optimizer.param_groups[0]
        others = {name: value for name, value in wanted.items()
                  if name != "params" and not _same(settings[name], value)}
        if others:  # what is the same object needs no new look
            settings.update(others)
        for array in flat.state.values():
            array[...] = 0
        flat.counts.fill(0)
        trainer.history, trainer.begin = History(), time.perf_counter()
        trainer.generator = trainer.batches._generator = generator
        if not all([module.training for module in (model, *vars(model)["_modules"])]):
            model.train()
        vars(model)["_coding"] = trainer.mean.coding
        try:
            for _ in loop(trainer):
                pass
            if trainer.interrupt.requested:
                trainer.history.stopped = "interrupted"
        except FloatingPointError as error:
            trainer.diverged(error)
        finally:
            self._give_back(theirs, pairs)
        return trainer.history

    def _pairs(self, theirs: Flat) -> list[tuple]:
        """(values, gradients) here and there, of spans of parameters that lie alike, or of each parameter."""
        mine = self.flat.spans
        if [values.size for values, _ in mine] == [values.size for values, _ in theirs.spans]:
            return list(zip(mine, theirs.spans, strict=True))
        return [((own._data, own._grad), (other._data, other._grad))
                for own, other in zip(self.parameters, theirs.parameters, strict=True)]

    def _give_back(self, theirs: Flat, pairs: list[tuple]) -> None:
        for mine, own in pairs:
            own[0][...], own[1][...] = mine
        for status, own_status in zip(self.flat.statuses, theirs.statuses, strict=True):
            own_status.has_grad = status.has_grad
            own_status.advance()
        counts = list(self.flat.counts)
        if any(counts):
            theirs.go_on(counts, self.flat.state)


def _same(a: Any, b: Any) -> bool:
    """Whether these settings are one value: of one type, zeros of one sign."""
    return a is b or (type(a) is type(b) and repr(a) == repr(b))
