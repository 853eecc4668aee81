"""What training takes where nothing is said, and the names that its modules have."""
from __future__ import annotations

import inspect

import pytest

import minidl
from minidl import training
from minidl.training import callbacks

FIT = {"validation": None, "epochs": 1, "batch_size": 32, "seed": None, "progress": True, "captured": True,
       "sample_weight": None}
DEFAULTS = {
    "fit": FIT | {"scheduler": None, "callbacks": (), "transform": None, "augment": None, "resume": None},
    "evaluate": {"batch_size": 1024, "transform": None, "coding": None, "sample_weight": None},
    "fit_many": FIT | {"schedulers": None, "callbacks": None, "n_threads": None, "stop": None},
    "cross_val_score": {"cv": 5, "scoring": None, "epochs": 1, "batch_size": 32, "seed": None, "scheduler": None,
                        "progress": True, "n_threads": None},
    "lr_find": {"min_lr": 1e-6, "max_lr": 10.0, "num_training": 100, "mode": "exponential",
                "early_stop_threshold": 4.0, "batch_size": 32, "seed": None, "transform": None, "augment": None,
                "captured": True},
    "EarlyStopping": {"patience": 10, "monitor": "validation_loss", "min_delta": 0.0, "restore_best": True},
    "SuccessiveHalving": {"first": 1, "factor": 3, "monitor": "validation_loss"},
    "Progress": {"stream": None},
    "CSVLogger": {"append": False}, "JSONLinesLogger": {"append": False},
    "LivePlot": {"interval": 0.5, "accuracy": True}, "OptunaPruning": {"monitor": "validation_loss"},
    "TensorBoard": {}, "WeightAveraging": {"start": 1},
    "ModelCheckpoint": {"every": 1, "seconds": 0.0, "save_best_only": False, "monitor": "validation_loss",
                        "note": None},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults(name):
    parameters = inspect.signature(getattr(training, name)).parameters.values()
    assert {one.name: one.default for one in parameters if one.default is not one.empty} == DEFAULTS[name]


def test_names():
    assert set(training.__all__) <= set(dir(training)) and dir(training) == sorted(set(dir(training)))
    assert {"fit", "Ensemble", "CSVLogger", "callbacks"} <= set(dir(training))
    assert {*callbacks.ELSEWHERE, "Callback", "EarlyStopping"} <= set(dir(callbacks))
    assert dir(callbacks) == sorted(set(dir(callbacks)))
    for name in training.__all__:
        assert getattr(training, name).__name__ == name
    assert set(training.__all__) >= DEFAULTS.keys() | {"Callback", "Criterion", "Evaluation", "History", "LRFind"}
    for module in (training, callbacks):
        with pytest.raises(AttributeError, match=f"^module '{module.__name__}' has no attribute 'no_such_thing'$"):
            _ = module.no_such_thing


def test_reprs():
    halving = training.SuccessiveHalving(2, 4, "loss")
    assert repr(halving) == "SuccessiveHalving(first=2, factor=4, monitor='loss')"
    assert repr(training.Ensemble([minidl.nn.Linear(2, 1, generator=i) for i in range(3)])) == "Ensemble(3 networks)"
