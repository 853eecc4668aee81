"""MLPRegressor: a perceptron that predicts numbers, as scikit-learn's."""
from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d, validate_data

from .base import Perceptron
from .losses import FUNCTIONS, loss_of


class MLPRegressor(RegressorMixin, Perceptron):
    """A multi-layer perceptron for regression: scikit-learn's MLPRegressor, trained by minidl.

    Its parameters, their defaults and the fitted attributes are scikit-learn's, and in float64 with the same
    ``random_state`` so are the results, up to rounding. Beyond them:

    loss : "squared_error" or "poisson"; the name of a loss of minidl.nn ("HuberLoss"), such a loss, or a function of
        output and target (and weight) on Tensors.
    activation : one of minidl's activations by name ("gelu", "leaky_relu"), a module or its class; in a list one for
        each hidden layer.
    dropout : the probability with which each hidden unit is dropped while training; a list has one for each layer.
    normalization : "batch" or "layer", after each hidden layer's products, before its activation; or a list.
    optimizer : in place of ``solver``: the name of an optimizer of minidl.optim ("adamw"), with learning_rate_init; or
        a function of parameter groups, as functools.partial(optim.AdamW, lr=0.01). ``alpha`` is its weight_decay, where
        that is L2 and not set.
    scheduler : the name of a schedule of minidl.optim.lr_scheduler, or a function of the optimizer that makes one.
    callbacks : minidl.training's Callbacks; their ``logs`` have "loss", "lr", "seconds" and, with early_stopping,
        "validation_loss" and "validation_score".
    n_threads : minidl's threads in fit and predict; None for as many as are set.
    max_seconds : stop training after so many.
    module : a network of one's own, of shape (N, n_features) -> (N, n_outputs), which is copied; or a function
        (n_features, n_outputs) that makes one. It replaces hidden_layer_sizes, activation, dropout and normalization.

    ``warm_start`` goes on with the optimizer's state too. ``module_`` is the network, ``coefs_`` and ``intercepts_``
    are views of its weights. The raw outputs are exponentiated for loss="poisson".
    """

    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, solver="adam",
                 alpha=0.0001, batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5,
                 max_iter=200, shuffle=True, random_state=None, tol=1e-4, verbose=False, warm_start=False,
                 momentum=0.9, nesterovs_momentum=True, early_stopping=False, validation_fraction=0.1, beta_1=0.9,
                 beta_2=0.999, epsilon=1e-8, n_iter_no_change=10, max_fun=15000, dropout=0.0, normalization=None,
                 optimizer=None, scheduler=None, callbacks=None, n_threads=None, max_seconds=None, module=None):
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.normalization = normalization
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.callbacks = callbacks
        self.n_threads = n_threads
        self.max_seconds = max_seconds
        self.module = module

    def _encoded(self, X, y, incremental, reset):
        X, y = validate_data(self, X, y, accept_sparse="csr", multi_output=True, y_numeric=True,
                             dtype=(np.float64, np.float32), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        target = np.ascontiguousarray(y.reshape(len(y), -1), dtype=X.dtype)
        _, self.n_outputs_ = target.shape
        self._loss = loss_of(self.loss, tuple(FUNCTIONS))
        poisson = isinstance(self._loss, str) and self._loss == "poisson"
        self.out_activation_ = "exp" if poisson else "identity"
        if poisson and (target < 0).any():
            raise ValueError("loss='poisson': expected targets >= 0")
        return X, target, y

    @available_if(lambda self: self._check_solver())
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch on these data, from where the last call ended. Returns self."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X) -> np.ndarray:
        """The predicted values: shape (n_samples,) or (n_samples, n_outputs)."""
        return self._predicted(self._outputs(X))

    def _predicted(self, raw: np.ndarray) -> np.ndarray:
        values = np.exp(raw) if self.out_activation_ == "exp" else raw
        return values.ravel() if self.n_outputs_ == 1 else values

    def _score(self, X, y, sample_weight):
        predicted = self._predicted(self._outputs(X, check=False))
        return r2_score(y, predicted, sample_weight=sample_weight) if np.isfinite(predicted).all() else np.nan

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
