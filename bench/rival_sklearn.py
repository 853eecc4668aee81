"""scikit-learn's MLPClassifier with plain SGD: an epoch a call of ``partial_fit``, unshuffled, finiteness assumed."""
from __future__ import annotations

import numpy as np
from networks import LEARNING_RATE, WIDTHS, batch, epoch_steps, is_tanh, weights
from sklearn import set_config
from sklearn.neural_network import MLPClassifier

set_config(assume_finite=True)


class Classifier:
    """Two classes get one output here: the outputs of S can be compared, its weights cannot."""

    def __init__(self, network: str, size: int):
        self.steps, classes = epoch_steps(network, size), WIDTHS[network][-1]
        self.x, y = batch(network, size)
        self.many_x, self.many_y = np.tile(self.x, (self.steps, 1)), np.tile(y, self.steps)
        self.model = MLPClassifier(
            WIDTHS[network][1:-1], activation="tanh" if is_tanh(network) else "relu", solver="sgd", alpha=0.0,
            batch_size=size, learning_rate_init=LEARNING_RATE, shuffle=False, momentum=0.0,
            nesterovs_momentum=False)
        self.model.partial_fit(self.x, y, classes=np.arange(classes))  # makes the arrays
        self.binary, values = classes == 2, weights(network)
        if self.binary:  # the logit of one class over the other
            values[-2:] = [value[..., 1:] - value[..., :1] for value in values[-2:]]
        self.model.coefs_, self.model.intercepts_ = values[::2], values[1::2]

    def predict(self) -> np.ndarray:
        return self.model.predict_log_proba(self.x)

    def step(self) -> float:
        self.model.partial_fit(self.many_x, self.many_y)
        return self.model.loss_

    def weights(self) -> list[np.ndarray] | None:
        if self.binary:
            return None
        return [v for layer in zip(self.model.coefs_, self.model.intercepts_, strict=True) for v in layer]
