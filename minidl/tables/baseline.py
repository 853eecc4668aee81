"""What a network must be better than: the most frequent class or the mean, and a linear model.

They learn from the training and the validation rows together, since nothing stops them early.
"""
from __future__ import annotations

import math

import numpy as np

from .target import Classes, Target

RIDGE = 1.0  # of the linear model: as scikit-learn's default, a penalty of half the squared weights
ROWS = 50_000  # from which it learns at most: more would make it slower than the network, and hardly better
STEPS = 2000  # at most
SMALL = 1e-6  # change of the weights at which it ends


def constant(target: Target, truth: np.ndarray, count: int) -> tuple[str, np.ndarray]:
    """The name, and ``count`` equal predictions: the shares of the classes, or the mean."""
    if isinstance(target, Classes):
        shares = np.bincount(truth, minlength=len(target.labels)) / len(truth)
        return "most frequent class", np.tile(shares, (count, 1))
    return "mean", np.full(count, truth.mean())


def linear(target: Target, inputs: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Predictions for ``asked``: logistic regression, or least squares, with the penalty RIDGE but for the bias."""
    X, Z, truth = with_bias(inputs[:ROWS]), with_bias(asked), truth[:ROWS]
    penalty = np.full(X.shape[1], RIDGE)
    penalty[-1] = 0.0
    if isinstance(target, Classes):
        return target.probabilities(Z @ logistic(X, np.eye(len(target.labels))[truth], penalty))
    centre = truth.mean()
    return Z @ np.linalg.solve(X.T @ X + np.diag(penalty), X.T @ (truth - centre)) + centre


def with_bias(inputs: np.ndarray) -> np.ndarray:
    """In float64, with a column of ones as the last."""
    return np.hstack([inputs.astype(np.float64), np.ones((len(inputs), 1))])


def logistic(X: np.ndarray, one_hot: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """The weights (features, classes) of the least penalized cross-entropy.

    By Newton's method with the bound XᵀX / 2 of the second derivative in its place (Böhning 1992), which holds for all
    weights, so that one inverse serves all classes and steps; with Nesterov's momentum, begun anew where it leads
    uphill (O'Donoghue and Candès 2015).
    """
    inverse = np.linalg.inv(0.5 * X.T @ X + np.diag(penalty + 1e-9))
    weights = ahead = np.zeros((X.shape[1], one_hot.shape[1]))
    t = 1.0
    for _ in range(STEPS):
        gradient = X.T @ (Classes.probabilities(X @ ahead) - one_hot) + penalty[:, None] * ahead
        stepped = ahead - inverse @ gradient
        change, weights = stepped - weights, stepped
        if np.abs(change).max() < SMALL:
            break
        t, before = (1.0, 1.0) if (gradient * change).sum() > 0 else ((1 + math.sqrt(1 + 4 * t * t)) / 2, t)
        ahead = weights + (before - 1) / t * change
    return weights
