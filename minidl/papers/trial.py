"""One training on the disk, as the reports do it: draw points, train, count the errors."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .. import data
from ..metrics import decision_threshold, error_rate, predicted
from ..recipe import Built, Recipe
from ..training.callbacks import Callback, EarlyStopping
from ..training.history import History
from ..training.many import fit_many

SAMPLES = 1000  # of each part, in every report


class Outcome(NamedTuple):
    """The outcome of a training; errors in percent, points of the test set as they were drawn."""

    train_error: float
    test_error: float
    history: History
    points: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    weights: dict[str, np.ndarray]


class Parts(NamedTuple):
    """What a training begins with: normalized points and targets, and the points of the test set as drawn."""

    built: Built
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    points: np.ndarray
    labels: np.ndarray
    generator: np.random.Generator


@dataclass(frozen=True)
class DiskTrial:
    """A recipe on 1000 training, 1000 validation and 1000 test points; call it with a seed.

    centre : of the disk. normalize : shift and scale by the training set's mean and deviation.
    select : end with the weights of the epoch of the least validation loss; else with the last.

    The points, the initial weights and the order of the batches come from three streams of the seed, so
    that trials which differ in their recipe alone see the same points and the same batches.
    """

    recipe: Recipe = field(default_factory=Recipe)
    centre: tuple[float, float] = (0.5, 0.5)
    normalize: bool = True
    select: bool = False

    def __call__(self, seed: int | Sequence[int]) -> Outcome:
        """The outcome of a whole training; KeyboardInterrupt if Ctrl-C cut it short."""
        outcome = self.train(seed)
        if outcome.history.stopped == "interrupted":
            raise KeyboardInterrupt
        return outcome

    def train(self, seed: int | Sequence[int], *, callbacks: Sequence[Callback] = (),
              progress: bool = False, resume: str | os.PathLike | None = None) -> Outcome:
        """The outcome, however far the training came. ``resume`` is that of fit.

        Raises ValueError or TypeError for a recipe that cannot be built, before anything is trained, and
        FloatingPointError when the training diverges.
        """
        parts = self._parts(seed)
        history = self.fit(parts.built, parts.train, parts.validation, parts.generator,
                           [*callbacks, *self._observers()], progress, resume)
        return self._outcome(parts, history)

    @property
    def side_by_side(self) -> bool:
        """Whether many() trains the networks together; False for a subclass with a fit of its own."""
        return type(self).fit is DiskTrial.fit

    def many(self, seeds: Sequence[int | Sequence[int]]) -> list[Outcome]:
        """The outcome of a whole training for each seed, with the bits and the errors of a call with that seed.

        They are trained by fit_many, one thread at a time.
        """
        if not self.side_by_side:
            return [self(seed) for seed in seeds]
        each = [self._parts(seed) for seed in seeds]
        built = [parts.built for parts in each]
        histories = fit_many(
            [one.model for one in built], [one.criterion for one in built], [one.optimizer for one in built],
            [parts.train for parts in each], validation=[parts.validation for parts in each],
            epochs=self.recipe.epochs, batch_size=self.recipe.batch_size, seed=[parts.generator for parts in each],
            schedulers=[one.scheduler for one in built], callbacks=[self._observers() for _ in each], progress=False,
            n_threads=1)
        for history in histories:
            if history.stopped == "interrupted":
                raise KeyboardInterrupt
            if len(history) < self.recipe.epochs:
                raise FloatingPointError(f"fit: {history.stopped}")
        return [self._outcome(parts, history) for parts, history in zip(each, histories, strict=True)]

    def fit(self, built: Built, train, validation, generator, callbacks, progress, resume=None) -> History:
        """Train the model in place."""
        return self.recipe.fit(built, train, validation=validation, seed=generator, callbacks=callbacks,
                               progress=progress, resume=resume)

    def _observers(self) -> list[Callback]:
        return [EarlyStopping(self.recipe.epochs)] if self.select else []

    def _parts(self, seed: int | Sequence[int]) -> Parts:
        points_stream, weights_stream, batches_stream = map(
            np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
        built = self.recipe.build(SAMPLES, weights_stream)
        drawn = [data.disk(SAMPLES, seed=points_stream, centre=self.centre) for _ in range(3)]
        normalize = data.Normalizer().fit(drawn[0][0]) if self.normalize else np.asarray
        train, validation, test = [(normalize(points), self.recipe.targets(labels)) for points, labels in drawn]
        return Parts(built, train, validation, test, *drawn[2], batches_stream)

    @staticmethod
    def _outcome(parts: Parts, history: History) -> Outcome:
        model, train, test = parts.built.model, parts.train, parts.test
        outputs = [model.eval()(inputs) for inputs in (train[0], test[0])]
        return Outcome(
            train_error=error_rate(outputs[0], train[1]), test_error=error_rate(outputs[1], test[1]),
            history=history, points=parts.points, labels=parts.labels,
            predicted=predicted(outputs[1], decision_threshold(test[1])), weights=model.state_dict())
