"""How good predictions are, in the words of the task; and the names of the scores."""
from __future__ import annotations

import math

import numpy as np

from .target import Amount, Classes, Target

MAIN = {"classification": "accuracy %", "regression": "R2"}  # the larger, the better
TINY = np.finfo(np.float64).tiny


def scores(target: Target, predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of classes: predicted (N, classes) probabilities and truth (N,) indices. Of a number: both (N,) numbers."""
    return of_classes(predicted, truth) if isinstance(target, Classes) else of_numbers(predicted, truth)


def main_score(target: Target, predicted: np.ndarray, truth: np.ndarray) -> float:
    """The score of MAIN."""
    return scores(target, predicted, truth)[MAIN[target.task]]


def of_classes(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy and its mean over the classes (balanced), in percent; the mean of -log p of the true class."""
    right = probabilities.argmax(axis=1) == truth
    balanced = np.mean([right[truth == label].mean() for label in np.unique(truth)])
    p = probabilities[np.arange(len(truth)), truth]
    return {MAIN["classification"]: 100 * float(right.mean()), "balanced %": 100 * float(balanced),
            "log loss": float(-np.log(np.maximum(p, TINY)).mean())}


def of_numbers(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """1 - the squared error over that of the mean of the truth; the root of the mean square error; the mean error.

    R2 of a truth that is constant is 0.
    """
    error = predicted - truth
    square, spread = float((error ** 2).mean()), float(truth.var())
    return {MAIN["regression"]: 1 - square / spread if spread > 0 else 0.0, "RMSE": math.sqrt(square),
            "mean error": float(np.abs(error).mean())}


def predictions(target: Target, outputs: np.ndarray) -> np.ndarray:
    """The network's outputs as ``scores`` takes them."""
    return target.decode(outputs) if isinstance(target, Amount) else target.probabilities(outputs)
