"""Molds: of many networks that are alike, each is trained in one compiled program, one after the other.

To write and compile a program takes a millisecond, in which a small network makes hundreds of steps. So fit_many
writes it once for all networks of the same layers, and once more for each thread beyond the first: the weights are
copied in, trained by the same calls in the same order, and copied back. The bits are those of each network's own fit.
Where nothing asks for Python, one call trains several networks, so that threads do not wait for each other's Python.
"""
from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import random
from ..kernels import Refusal
from ..nn.module import Module
from ..optim.flat import Flat
from ..optim.optimizer import Optimizer
from .fit import loop
from .history import History
from .steps import ByLayers
from .stretches import SECONDS
from .trainer import Trainer

LEAST = 3  # networks of a pattern from which a mold pays


class Member(NamedTuple):
    """A network that is trained in a mold."""

    model: Any
    optimizer: Optimizer
    seed: int | np.random.Generator | None


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
        self.seconds = math.inf  # of a network
        self.drawn: tuple[Any, Any] = None, None

    def again(self) -> Mold:
        """Another one, for another thread."""
        return Mold(*self.source)

    def room(self) -> int:
        """How many networks a call may train, which cannot be interrupted."""
        return max(1, int(SECONDS / self.seconds))

    def train(self, member: Member) -> History:
        """Train this network, and give its History."""
        trainer, flat, model = self.trainer, self.flat, member.model
        theirs, = member.optimizer.flats()
        pairs = self._pairs(theirs)
        for mine, own in pairs:
            mine[0][...], mine[1][...] = own
        for status, own_status in zip(flat.statuses, theirs.statuses, strict=True):
            status.has_grad = own_status.has_grad
        self._set(member.optimizer)
        for array in flat.state.values():
            array[...] = 0
        flat.counts.fill(0)
        trainer.history, trainer.begin = History(), time.perf_counter()
        trainer.generator = trainer.batches._generator = random.generator(member.seed)
        self._prepare(model)
        try:
            for _ in loop(trainer):
                pass
            if trainer.interrupt.requested:
                trainer.history.stopped = "interrupted"
        except FloatingPointError as error:
            trainer.diverged(error)
        finally:
            self._give_back(theirs, pairs)
        self.seconds = min(self.seconds, time.perf_counter() - trainer.begin)
        return trainer.history

    def together(self, members: Sequence[Member]) -> list[History]:
        """Train the first of these networks, as many as can be, in one call; the History of each.

        None of them, and nothing is done, where the first is to be trained by itself: the first of all in a mold, one
        with a Generator of the caller's, whose draws must be those of fit's steps, one that is validated.
        """
        trainer, way, rows = self.trainer, self.trainer.train.way, self.trainer.batches.count
        if not isinstance(way, ByLayers) or trainer.held_out is not None or not way.step.program.compiled_throughout:
            return []
        program, flats, rates = way.step.program, list[Flat](), list[float]()
        numbers, orders = np.empty((len(members), program.settings_count)), []
        names = list(self.flat.state)
        for member in members:
            theirs, = member.optimizer.flats()
            if not isinstance(member.seed, int) or not _alike(self.flat, theirs):
                break
            self._set(member.optimizer)
            if not program.note_settings(numbers[len(flats)]):
                break
            flats.append(theirs)
            rates.append(self.optimizer.lr)
            orders.append(self._orders(member.seed))
        if not flats:
            return []
        states = [[np.empty(self.flat.size, self.flat.dtype) for _ in names] for _ in flats]
        compared = trainer.mean.compared(way.step.output) if way.step.wrong is None else ()
        output, truth, threshold = compared or (None, None, 0.0)
        try:
            found = program.members(
                *way.arrays, trainer.batch_size, output, truth, threshold, np.array(orders), rows, numbers[:len(flats)],
                [[array for pair in flat.spans for array in pair] for flat in (self.flat, *flats)],
                [list(self.flat.state.values()), *states], [flat.statuses for flat in (self.flat, *flats)])
        except Refusal:
            return []
        histories = []
        for member, theirs, state, lr, (epochs, counts) in zip(members, flats, states, rates, found, strict=False):
            self._prepare(member.model)
            if any(counts):
                theirs.go_on(counts, dict(zip(names, state, strict=True)))
            histories.append(self._history(epochs, lr))
        return histories

    def _history(self, epochs: list[tuple], lr: float) -> History:
        """The History of epochs: (losses, their sum, misclassified, seconds) of each. The last may not be whole."""
        trainer = self.trainer
        trainer.history = history = History()
        trainer.lr, history.path = lr, trainer.train.path
        for number, (losses, total, wrong, seconds) in enumerate(epochs, 1):
            trainer.begin_epoch(number)
            updated = len(losses) - (not math.isfinite(losses[-1]))
            trainer.record(losses[:updated], [lr] * updated)
            if updated < len(losses):
                trainer.number += 1
                trainer.diverged(trainer.not_finite(losses[-1]))
                return history
            if updated < len(trainer.batches):
                break
            trainer.mean.count(trainer.batches.count)
            trainer.mean.loss, trainer.mean.wrong = total, wrong
            loss, error = trainer.mean.result()
            history.append({"loss": loss, "error": error, "lr": lr, "validation_loss": None, "validation_error": None,
                            "seconds": seconds})
        if len(history) < trainer.epochs:
            raise ValueError("fit_many: the labels were changed during the training")
        return history

    def _set(self, optimizer: Optimizer) -> None:
        """Train with the settings of this optimizer."""
        settings, wanted = self.optimizer.param_groups[0], optimizer.param_groups[0]
        others = {name: value for name, value in wanted.items()
                  if name != "params" and not _same(settings[name], value)}
        if others:  # what is the same object needs no new look
            settings.update(others)

    def _prepare(self, model: Any) -> None:
        """What fit does to a model before it trains."""
        if not all([module.training for module in (model, *vars(model)["_modules"])]):
            model.train()
        vars(model)["_coding"] = self.trainer.mean.coding

    def _orders(self, seed: int) -> np.ndarray:
        """The rows of all epochs, one after the other, with this seed: often that of the network before."""
        if self.drawn[0] != seed:
            batches = self.trainer.batches
            batches._generator = random.generator(seed)
            self.drawn = seed, np.concatenate([batches.order() for _ in range(self.trainer.epochs)])
        return self.drawn[1]

    def _pairs(self, theirs: Flat) -> list[tuple]:
        """(values, gradients) here and there, of spans of parameters that lie alike, or of each parameter."""
        if _alike(self.flat, theirs):
            return list(zip(self.flat.spans, theirs.spans, strict=True))
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


def _alike(a: Flat, b: Flat) -> bool:
    """Whether the parameters lie in spans of the same sizes."""
    return [values.size for values, _ in a.spans] == [values.size for values, _ in b.spans]


def _same(a: Any, b: Any) -> bool:
    """Whether these settings are one value: of one type, zeros of one sign."""
    return a is b or (type(a) is type(b) and repr(a) == repr(b))
