"""What the two estimators share: the parameters, fit, and the outputs of the network."""
from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import kernels
from ..compiled.conversion import dtype_of
from ..nn import Module
from .lbfgs import fit_lbfgs
from .networks import for_each_layer, layer_sizes, lend_generator, linears, module_of, perceptron
from .optimizers import Rates, make_scheduler
from .stochastic import NOT_FINITE, Run, Samples

BLOCK = 1024  # rows of a sparse matrix that are made dense together


class Perceptron(BaseEstimator):
    """The base of MLPClassifier and MLPRegressor."""

    # Set by the subclasses' constructors:
    hidden_layer_sizes: Any
    n_outputs_: int
    module_: Module
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    _kept: Any = None  # the step of the last partial_fit
    _stratifies = False  # whether held-out samples have each class as often as all have

    # Each subclass says what its data are.

    def _encoded(self, X, y, incremental: bool, reset: bool) -> tuple[Any, np.ndarray, np.ndarray]:
        """Inputs, the targets as the loss takes them, and those that ``_score`` takes."""
        raise NotImplementedError

    def _score(self, X, y, sample_weight) -> float:
        """The score of held-out data."""
        raise NotImplementedError

    def _weights(self, X, y, sample_weight) -> np.ndarray | None:
        """The weights of the samples, in X's dtype."""
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)

    def fit(self, X, y, sample_weight=None):
        """Fit the network to the data.

        X : array or sparse matrix of shape (n_samples, n_features). y : shape (n_samples,) or (n_samples, n_outputs).
        sample_weight : shape (n_samples,), >= 0; a weight of 2 is that of a sample which occurs twice.
        Returns self.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X, y, sample_weight, incremental: bool):
        sizes = layer_sizes(self.hidden_layer_sizes)
        check_parameters(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "module_") or (not self.warm_start and not incremental)
        outputs: Any = getattr(self, "n_outputs_", None)
        X, target, given = self._encoded(X, y, incremental, first)
        if not first and self.n_outputs_ != outputs:
            came, self.n_outputs_ = self.n_outputs_, outputs
            raise ValueError(f"y: expected {outputs} outputs, as in the call before, got {came}")
        weight = self._weights(X, given, sample_weight)
        if weight is not None and not weight.any():
            raise ValueError("sample_weight: expected one above 0, got zeros alone")
        self._random_state = check_random_state(self.random_state)
        if first:
            self._begin(X, sizes)
        samples = self._cast(X, target, given, weight)
        with threads(self.n_threads):
            if self.solver == "lbfgs":
                fit_lbfgs(self, samples)
            else:
                self._fit_in_batches(samples, incremental)
        if not all(np.isfinite(p.data).all() for p in self.module_.parameters()):
            raise ValueError(NOT_FINITE)
        return self

    def _cast(self, X, target: np.ndarray, given: np.ndarray, weight: np.ndarray | None) -> Samples:
        """The data in the network's dtype: X's at the first fit, or that of the user's module."""
        dtype = dtype_of(self.module_)
        X = X.astype(dtype, copy=False) if hasattr(X, "toarray") else np.ascontiguousarray(X, dtype)
        target = target.astype(dtype, copy=False) if target.dtype.kind == "f" else target
        return Samples(X, target, given, None if weight is None else weight.astype(dtype, copy=False))

    def _begin(self, X, sizes: list[int]) -> None:
        """A new network, and nothing learned."""
        features = self.n_features_in_
        if self.module is None:
            count = len(sizes)
            activations = for_each_layer("activation", self.activation, count)
            self.module_ = perceptron(
                [features, *sizes, self.n_outputs_], activations, for_each_layer("dropout", self.dropout, count),
                for_each_layer("normalization", self.normalization, count), X.dtype, self._random_state)
        else:
            self.module_ = module_of(self.module, features, self.n_outputs_)
        lend_generator(self.module_, self._random_state)
        self.n_layers_ = len(linears(self.module_)) + 1
        self.n_iter_ = self.t_ = 0
        self.__dict__.pop("_rates", None)
        for name in ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"):
            self.__dict__.pop(name, None)

    def _fit_in_batches(self, samples: Samples, incremental: bool) -> None:
        solver = self.solver, self.optimizer
        if getattr(self, "_rates", None) is None or self._solver != solver:
            self._rates, self._solver = Rates(self, self.module_), solver
            self._scheduler = make_scheduler(self, self._rates.optimizer)
        elif incremental:
            self._rates.follow_alpha(self)
        else:
            self._rates.follow(self)
            self._scheduler = make_scheduler(self, self._rates.optimizer)
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
            self.best_loss_ = None if self.early_stopping else math.inf
            self.validation_scores_ = [] if self.early_stopping else None
            self.best_validation_score_ = -math.inf if self.early_stopping else None
        held_out = None
        if self.early_stopping:
            samples, held_out = self._split(samples)
        Run(self, samples, held_out, incremental).train()

    def _split(self, samples: Samples) -> tuple[Samples, Samples]:
        """Samples to train on, and held-out ones."""
        stratify = samples.target if self._stratifies else None
        train, held_out = train_test_split(np.arange(len(samples.target)), random_state=self._random_state,
                                           test_size=self.validation_fraction, stratify=stratify)
        if len(held_out) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your "
                             "dataset.")
        return samples.of(train), samples.of(held_out)

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    def _outputs(self, X, check: bool = True) -> np.ndarray:
        """The network's raw outputs (N, n_outputs)."""
        check_is_fitted(self)
        if check:
            X = validate_data(self, X, accept_sparse="csr", reset=False)
        with threads(self.n_threads):
            if not hasattr(X, "toarray"):
                return self.module_.predict(X)
            return np.concatenate([self.module_.predict(X[i:i + BLOCK].toarray())
                                   for i in range(0, X.shape[0], BLOCK)])

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights (in, out) of each Linear: views, so that writing to them changes the network."""
        return [layer.weight.data.T for layer in linears(self._fitted_module("coefs_"))]

    @coefs_.setter
    def coefs_(self, values) -> None:
        layers = linears(self._fitted_module("coefs_"))
        for layer, value in zip(layers, values, strict=True):
            layer.weight.data[...] = np.asarray(value).T

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The bias (out,) of each Linear, views as ``coefs_``; zeros for one that has none."""
        return [np.zeros(layer.out_features, layer.weight.dtype) if layer.bias is None else layer.bias.data
                for layer in linears(self._fitted_module("intercepts_"))]

    @intercepts_.setter
    def intercepts_(self, values) -> None:
        layers = linears(self._fitted_module("intercepts_"))
        for layer, value in zip(layers, values, strict=True):
            layer.bias.data[...] = value

    def __getstate__(self):
        state = super().__getstate__()  # without the compiled step, which holds addresses
        return {name: value for name, value in state.items() if name != "_kept"}

    def _fitted_module(self, name: str):
        if "module_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} before it is fitted")
        return self.module_

    def __sklearn_is_fitted__(self) -> bool:
        return "module_" in self.__dict__

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """With so many threads of minidl's; None leaves them."""
    before = kernels.get_num_threads()
    if count is not None:
        kernels.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            kernels.set_num_threads(before)


def check_parameters(estimator) -> None:
    """ValueError for a parameter that is none of its values."""
    def within(name: str, kind, low: float, high: float = math.inf, open_low: bool = False) -> None:
        value = getattr(estimator, name)
        fits = isinstance(value, kind) and not isinstance(value, (bool, np.bool_)) and low <= value <= high
        if not fits or (open_low and value == low):
            number = "an int" if kind is Integral else "a number"
            raise ValueError(f"The {name!r} parameter of {type(estimator).__name__} must be {number} "
                             f"{'>' if open_low else '>='} {low}{'' if high == math.inf else f' and <= {high}'}. "
                             f"Got {value!r} instead.")

    def among(name: str, *values) -> None:
        value = getattr(estimator, name)
        if not any(type(value) in (type(each), np.bool_) and value == each for each in values):
            raise ValueError(f"The {name!r} parameter of {type(estimator).__name__} must be one of "
                             f"{', '.join(map(repr, values))}. Got {value!r} instead.")

    among("solver", "adam", "sgd", "lbfgs")
    among("learning_rate", "constant", "invscaling", "adaptive")
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
        among(name, True, False)
    if estimator.batch_size != "auto":
        within("batch_size", Integral, 1)
    for name in ("max_iter", "max_fun"):
        within(name, Integral, 1)
    if estimator.n_iter_no_change != math.inf:
        within("n_iter_no_change", Integral, 1)
    for name in ("alpha", "power_t", "tol"):
        within(name, Real, 0)
    for name in ("learning_rate_init", "epsilon"):
        within(name, Real, 0, open_low=True)
    for name in ("momentum", "validation_fraction", "beta_1", "beta_2"):
        within(name, Real, 0, 1)
    if estimator.n_threads is not None:
        within("n_threads", Integral, 1)
    if estimator.max_seconds is not None:
        within("max_seconds", Real, 0)
