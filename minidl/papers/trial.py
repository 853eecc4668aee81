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
        points_stream, weights_stream, batches_stream = map(
            np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
        built = self.recipe.build(SAMPLES, weights_stream)
        drawn = [data.disk(SAMPLES, seed=points_stream, centre=self.centre) for _ in range(3)]
        normalize = data.Normalizer().fit(drawn[0][0]) if self.normalize else np.asarray
        train, validation, test = [
            (normalize(points), self.recipe.targets(labels)) for points, labels in drawn]
        observers = [*callbacks, *([EarlyStopping(self.recipe.epochs)] if self.select else [])]
        history = self.fit(built, train, validation, batches_stream, observers, progress, resume)
        outputs = [built.model.eval()(inputs) for inputs in (train[0], test[0])]
        return Outcome(
            train_error=error_rate(outputs[0], train[1]), test_error=error_rate(outputs[1], test[1]),
            history=history, points=drawn[2][0], labels=drawn[2][1],
            predicted=predicted(outputs[1], decision_threshold(test[1])), weights=built.model.state_dict())

    def fit(self, built: Built, train, validation, generator, callbacks, progress, resume=None) -> History:
        """Train the model in place."""
        return self.recipe.fit(built, train, validation=validation, seed=generator, callbacks=callbacks,
                               progress=progress, resume=resume)
