"""One training on MNIST: hold out, train, count the errors."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import data
from ..data.mnist import Dataset
from ..metrics import error_rate, predicted
from ..recipe import Built, Recipe
from ..training import evaluate
from ..training.callbacks import Callback
from .trial import Outcome

HELD_OUT = 1 / 6  # of the training images, to watch the training by: 10,000, as many as there are for testing


@dataclass(frozen=True)
class MnistTrial:
    """A recipe on the images of ``dataset``, of which it takes the pixels, scaled to [0, 1].

    The split, the initial weights and the order of the batches come from three streams of the seed.
    """

    recipe: Recipe
    dataset: Dataset

    def train(self, seed: int | Sequence[int], *, callbacks: Sequence[Callback] = (),
              progress: bool = False, resume: str | os.PathLike | None = None) -> Outcome:
        """The outcome, however far the training came; its points are the test images. ``resume`` is that of fit.

        Raises ValueError or TypeError for a recipe that cannot be built, before anything is trained, and
        FloatingPointError when the training diverges.
        """
        split_stream, weights_stream, batches_stream = map(
            np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
        images, labels, test_images, test_labels = self.dataset
        train, held_out = data.split(images, self.recipe.targets(labels), sizes=(1 - HELD_OUT, HELD_OUT),
                                     seed=split_stream)
        built = self.recipe.build(len(train[0]), weights_stream)
        history = self.recipe.fit(built, train, validation=held_out, seed=batches_stream, callbacks=callbacks,
                                  transform=data.scaled, progress=progress, resume=resume)
        test_output = built.model.eval()(data.scaled(test_images))
        return Outcome(
            train_error=self._error(built, train), test_error=error_rate(test_output, test_labels),
            history=history, points=test_images, labels=test_labels, predicted=predicted(test_output),
            weights=built.model.state_dict())

    @staticmethod
    def _error(built: Built, samples: Sequence[np.ndarray]) -> float:
        """In percent."""
        error = evaluate(built.model, built.criterion, samples, transform=data.scaled).error
        assert error is not None  # every sample has a class
        return error
