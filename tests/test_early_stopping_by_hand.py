"""EarlyStopping epoch by epoch: when it stops, what it calls better, which weights are there at the end."""
from __future__ import annotations

import numpy as np
import pytest

from minidl import nn
from minidl.training.callbacks import Callback, EarlyStopping


def watched(values, **settings):
    """(the epoch after which it stopped or None, what it said, the first weight at the end); at epoch i it is i."""
    model = nn.Linear(1, 1)
    stopping = EarlyStopping(**settings)
    stopping.on_train_begin(model, None, len(values))
    ended, said = None, None
    for epoch, value in enumerate(values, 1):
        model.weight.data = np.full((1, 1), epoch, np.float32)
        said = stopping.on_epoch_end(epoch, {"validation_loss": value, "loss": 0.0, "error": None})
        if said:
            ended = epoch
            break
    stopping.on_train_end()
    return ended, said, model.weight.data.item()


@pytest.mark.parametrize("settings, values, ended, weight", [
    ({"patience": 1}, [3, 2, 1], None, 3),
    ({"patience": 1}, [3, 2, 2], 3, 2),  # equal is no better
    ({"patience": 2}, [3, 4, 4], 3, 1), ({"patience": 2}, [3, 4, 2, 5], None, 3),
    ({"patience": 2}, [3, 4, 2, 5, 5], 5, 3),
    ({"patience": 1, "min_delta": 0.5}, [3, 2.5], 2, 1),  # by exactly min_delta is no better
    ({"patience": 1, "min_delta": 0.5}, [3, 2.25, 1.5], None, 3),
    ({"patience": 2, "min_delta": 0.5}, [3, 2.75, 2.25, 2], None, 3),  # measured from the best, not from the last
    ({"patience": 1, "restore_best": False}, [3, 2, 2], 3, 3),
    ({"patience": 1, "restore_best": True}, [3, 2, 2], 3, 2),
    ({"patience": 1, "monitor": "loss"}, [3, 2, 1], 2, 1),
    ({}, [1] * 10, None, 1), ({}, [1] * 11, 11, 1),
])
def test_when_it_stops(settings, values, ended, weight):
    assert watched(values, **settings)[::2] == (ended, weight)


def test_what_it_says():
    assert watched([3, 2, 2], patience=1)[1] == "no better validation_loss than 2 (epoch 2)"


def test_it_begins_anew_with_each_training():
    model, stopping = nn.Linear(1, 1), EarlyStopping(1)
    for _ in range(2):
        stopping.on_train_begin(model, None, 9)
        assert stopping.on_epoch_end(1, {"validation_loss": 5.0}) is None
        assert stopping.on_epoch_end(2, {"validation_loss": 5.0})
        assert (stopping.best, stopping.best_epoch) == (5.0, 1)


@pytest.mark.parametrize("settings", [{"patience": 0}, {"min_delta": -1e-9}, {"min_delta": float("nan")},
                                      {"monitor": "accuracy"}])
def test_settings_that_are_refused(settings):
    with pytest.raises(ValueError, match=r"^EarlyStopping: expected"):
        EarlyStopping(**settings)


def test_a_column_that_the_run_does_not_have():
    stopping = EarlyStopping(monitor="error")
    stopping.on_train_begin(nn.Linear(1, 1), None, 1)
    with pytest.raises(ValueError, match="EarlyStopping: this run has no 'error'"):
        stopping.on_epoch_end(1, {"error": None})


def test_the_base_does_nothing():
    callback = Callback()
    assert callback.monitor is None and callback.on_epoch_end(1, {}) is None
    assert callback.on_train_begin(None, None, 1) is None and callback.on_train_end() is None
