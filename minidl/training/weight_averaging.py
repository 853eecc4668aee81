"""WeightAveraging: means of the weights over the epochs of a training."""
from __future__ import annotations

from ..data.batches import positive_int
from ..optim.swa_utils import AveragedModel
from .callbacks import Callback


class WeightAveraging(Callback):
    """Take the model's weights into ``averaged``, an ``optim.swa_utils.AveragedModel`` of it, after each epoch.

    start : the first epoch that counts, from 1. ValueError for a start below 1, TypeError for other types.
    """

    def __init__(self, averaged: AveragedModel, start: int = 1):
        if not callable(getattr(averaged, "update_parameters", None)):
            raise TypeError(f"WeightAveraging: expected an AveragedModel, got {type(averaged).__name__}")
        self.averaged, self.start = averaged, positive_int(start, "WeightAveraging", "start")

    def on_train_begin(self, model, optimizer, epochs):
        self.model = model

    def on_epoch_end(self, epoch, logs):
        if epoch >= self.start:
            self.averaged.update_parameters(self.model)

    def state_dict(self):
        return {"averaged": self.averaged.state_dict()}

    def load_state_dict(self, state):
        if state.keys() != {"averaged"}:
            raise ValueError(f"WeightAveraging.load_state_dict: expected averaged, got {str(state)[:80]}")
        self.averaged.load_state_dict(state["averaged"])
