"""What a network must be better than: the most frequent class or the mean, and a linear model.

They learn from the training and the validation rows together, since nothing stops them early.
"""
from __future__ import annotations

import numpy as np

from .target import Classes, Target

RIDGE = 1.0  # of the linear model: as scikit-learn's default, a penalty of half the squared weights
STEPS = 1000  # at most
SMALL = 1e-8  # change of the weights at which it ends


def constant(target: Target, truth: np.ndarray, count: int) -> tuple[str, np.ndarray]:
    """The name, and ``count`` equal predictions: the shares of the classes, or the mean."""
    if isinstance(target, Classes):
        shares = np.bincount(truth, minlength=len(target.labels)) / len(truth)
        return "most frequent class", np.tile(shares, (count, 1))
    return "mean", np.full(count, truth.mean())


def linear(target: Target, inputs: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Predictions for ``asked``: logistic regression, or least squares, with the penalty RIDGE but for the bias."""
    X, Z = with_bias(inputs), with_bias(asked)
    penalty = np.full(X.shape[1], RIDGE)
    penalty[-1] = 0.0
    if not isinstance(target, Classes):
        centre = truth.mean()
        weights = np.linalg.lstsq(np.vstack([X, np.diag(np.sqrt(penalty))]),
                                  np.concatenate([truth - centre, np.zeros(len(penalty))]), rcond=None)[0]
        return Z @ weights + centre
    return target.probabilities(Z @ logistic(X, np.eye(len(target.labels))[truth], penalty))


def with_bias(inputs: np.ndarray) -> np.ndarray:
    """In float64, with a column of ones as the last."""
    return np.hstack([inputs.astype(np.float64), np.ones((len(inputs), 1))])


def logistic(X: np.ndarray, one_hot: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """The weights (features, classes) of the least penalized cross-entropy.

    By Newton's method with the bound XᵀX / 2 of the second derivative in its place (Böhning 1992), which holds for all
    weights: a step never makes the loss larger, and one inverse serves all classes and steps.
    """
    classes = one_hot.shape[1]
    bound = 0.5 * X.T @ X + np.diag(penalty + 1e-9)
    inverse = np.linalg.inv(bound)
    weights = np.zeros((X.shape[1], classes))
    for _ in range(STEPS):
        p = Classes.probabilities(X @ weights)
        change = inverse @ (X.T @ (p - one_hot) + penalty[:, None] * weights)
        weights -= change
        if np.abs(change).max() < SMALL:
            break
    return weights
