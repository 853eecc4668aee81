"""MLPClassifier: a perceptron that tells classes, as scikit-learn's."""
from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d, validate_data

from .. import functional as F
from .. import nn
from .base import Perceptron
from .losses import loss_of


class MLPClassifier(ClassifierMixin, Perceptron):
    """A multi-layer perceptron for classification: scikit-learn's MLPClassifier, trained by minidl.

    Its parameters, their defaults and the fitted attributes are scikit-learn's, and in float64 with the same
    ``random_state`` so are the results, up to rounding. Beyond them:

    loss : "log_loss"; the name of a loss of minidl.nn ("CrossEntropyLoss"), such a loss, or a function of output and
        target (and weight) on Tensors. The outputs are raw; the targets labels for a loss of labels, else rows of 0
        and 1, one column for two classes.
    class_weight : {class: weight}, or "balanced" for weights n_samples / (n_classes n_of_the_class), by which the
        weights of samples are multiplied.
    decision_function : gives the raw outputs.

    activation, dropout, normalization, optimizer, scheduler, callbacks, n_threads, max_seconds, module, ``warm_start``
    and ``module_`` : see MLPRegressor. The logs of callbacks have "validation_error" in percent, too.
    """

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001,
                 batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200,
                 shuffle=True, random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9,
                 nesterovs_momentum=True, early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999,
                 epsilon=1e-8, n_iter_no_change=10, max_fun=15000, loss="log_loss", class_weight=None, dropout=0.0,
                 normalization=None, optimizer=None, scheduler=None, callbacks=None, n_threads=None, max_seconds=None,
                 module=None):
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
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.normalization = normalization
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.callbacks = callbacks
        self.n_threads = n_threads
        self.max_seconds = max_seconds
        self.module = module

    def _encoded(self, X, y, incremental, reset):
        X, y = validate_data(self, X, y, accept_sparse="csr", multi_output=True,
                             dtype=(np.float64, np.float32), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        return X, self._target(y, X.dtype), y

    def _check_classes(self, found: np.ndarray) -> None:
        if self.warm_start and set(found) != set(self.classes_):
            raise ValueError("warm_start can only be used where `y` has the same classes as in the previous call to "
                             f"fit. Previously got {self.classes_}, `y` has {found}")
        if len(np.setdiff1d(found, self.classes_)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has "
                             f"{found}.")

    def _target(self, y, dtype) -> np.ndarray:
        """Labels for a loss that takes them, else rows of 0 and 1; and what the output layer is."""
        kind = self._label_binarizer.y_type_
        self._loss = loss_of(self.loss, ("log_loss",))
        of_labels = isinstance(self._loss, nn.Loss) and self._loss.takes_labels
        one_column = kind in ("binary", "multilabel-indicator") and not (of_labels and kind == "binary")
        self.out_activation_ = "logistic" if one_column else "softmax"
        if one_column or not (of_labels or isinstance(self._loss, str)):
            rows = self._label_binarizer.transform(y)
            _, self.n_outputs_ = rows.shape
            self._stratifies = self.n_outputs_ == 1
            return np.ascontiguousarray(rows, dtype=dtype)
        self.n_outputs_, self._stratifies = max(2, len(self.classes_)), False
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _weights(self, X, y, sample_weight):
        weight = super()._weights(X, y, sample_weight)
        if self.class_weight is None:
            return weight
        of_class = compute_sample_weight(self.class_weight, y).astype(X.dtype)
        return of_class if weight is None else weight * of_class

    @available_if(lambda self: self._check_solver())
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """One epoch on these data, from where the last call ended.

        classes : all that may ever come, needed in the first call. Returns self.
        """
        if _check_partial_fit_first_call(self, classes):
            kind = y if type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(kind)
        return self._fit(X, y, sample_weight, incremental=True)

    def decision_function(self, X) -> np.ndarray:
        """The raw outputs: shape (n_samples, n_classes); (n_samples,) for two classes, above 0 for the second."""
        raw = self._outputs(X)
        if self.out_activation_ == "softmax" and len(self.classes_) == 2:
            first, second = raw.T
            return second - first
        return raw.ravel() if self.n_outputs_ == 1 else raw

    def predict(self, X) -> np.ndarray:
        """The classes: shape (n_samples,), or for several labels (n_samples, n_classes) of 0 and 1."""
        return self._decoded(self._outputs(X))

    def _decoded(self, raw: np.ndarray) -> np.ndarray:
        if self.out_activation_ == "softmax":
            return self.classes_[np.minimum(raw.argmax(axis=1), len(self.classes_) - 1)]
        if len(self.classes_) == 2 and self.n_outputs_ == 1:  # the binarizer's answer, without the 20 µs of its checks
            return self.classes_[(raw.ravel() > 0).astype(np.intp)]
        return self._label_binarizer.inverse_transform(raw, threshold=0.0)

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes, in the order of ``classes_``; of each label, if a sample may have several."""
        raw = self._outputs(X)
        if self.out_activation_ == "softmax":
            return F.softmax(raw)
        p = F.sigmoid(raw)
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X) -> np.ndarray:
        """Their logarithms."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _score(self, X, y, sample_weight):
        raw = self._outputs(X, check=False)
        right = self._decoded(raw) == y
        right = right.all(axis=1) if right.ndim == 2 else right
        return float(np.average(right, weights=sample_weight)) if np.isfinite(raw).all() else np.nan

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
