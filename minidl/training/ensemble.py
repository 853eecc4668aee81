"""Ensemble: the answers of several networks for one question (Lakshminarayanan et al. 2017, "deep ensembles")."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..functional.activations import softmax
from ..nn.module import Module


class Ensemble:
    """Networks of the same inputs and outputs, trained from different initial weights, as by ``fit_many``.

    models : Modules, at least one; TypeError or ValueError for others. Each answers by ``predict``, in evaluation
    mode and without gradients.
    """

    def __init__(self, models: Sequence[Module]):
        self.models = list(models)
        if not self.models:
            raise ValueError("Ensemble: expected at least one network")
        for model in self.models:
            if not isinstance(model, Module):
                raise TypeError(f"Ensemble: expected Modules, got {type(model).__name__}")

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        return f"Ensemble({len(self)} networks)"

    def outputs(self, X) -> np.ndarray:
        """(K, N, ...): what each of the K networks gives for X, which is as ``predict`` takes it."""
        found = [model.predict(X) for model in self.models]
        shapes = {answer.shape for answer in found}
        if len(shapes) > 1:
            raise ValueError(f"Ensemble: expected networks of the same outputs, got {sorted(shapes)}")
        return np.stack(found)

    def mean(self, X) -> np.ndarray:
        """(N, ...): the mean of the outputs over the networks, for a regression."""
        return self.outputs(X).mean(axis=0)

    def spread(self, X) -> np.ndarray:
        """(N, ...): the standard deviation of the outputs over the networks, divided by K: how far they disagree."""
        return self.outputs(X).std(axis=0)

    def probabilities(self, X) -> np.ndarray:
        """(N, C): the mean over the networks of the softmax of their outputs (N, C), for classes."""
        return softmax(self._of_classes(X), 2).mean(axis=0)

    def vote(self, X) -> np.ndarray:
        """(N,): the class that most networks answer; of those with equally many votes the most probable one."""
        outputs = self._of_classes(X)
        votes = (outputs.argmax(axis=2)[:, :, None] == np.arange(outputs.shape[2])).sum(axis=0)
        return (votes + softmax(outputs, 2).mean(axis=0)).argmax(axis=1)  # a probability is less than a vote

    def _of_classes(self, X) -> np.ndarray:
        outputs = self.outputs(X)
        if outputs.ndim != 3:
            raise ValueError(f"Ensemble: expected outputs (N, C) for classes, got {outputs.shape[1:]}")
        return outputs
