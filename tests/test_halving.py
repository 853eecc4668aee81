"""Successive halving over fit_many: who goes on, and that each network has the bits of its own training."""
from __future__ import annotations

import numpy as np
import pytest
from test_fit_many import DATA, N, lines, networks, rules, weights

import minidl
from minidl import nn, optim
from minidl.training import EarlyStopping, History, SuccessiveHalving, fit

RATES = [0.3, 1e-6, 0.1, 1e-5, 0.03, 0.2, 1e-4]


def perceptrons(rates):
    models = [nn.Sequential(nn.Linear(3, 5, generator=1), nn.Tanh(), nn.Linear(5, 3, generator=2)) for _ in rates]
    return models, [optim.SGD(model.parameters(), lr=lr) for model, lr in zip(models, rates, strict=True)]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("factor, first, expected", [
    (3, 1, {1: 4, 3: 2, 12: 1}), (2, 2, {2: 3, 4: 2, 8: 1, 12: 1}), (7, 12, {12: 7}), (4, 13, {12: 7})])
def test_the_better_ones_go_on(n_threads, factor, first, expected):
    models, optimizers = perceptrons(RATES)
    histories = minidl.fit_many(
        models, nn.CrossEntropyLoss(), optimizers, DATA, validation=DATA, epochs=12, seed=4, progress=False,
        n_threads=n_threads, stop=SuccessiveHalving(first, factor))
    lengths = [len(history) for history in histories]
    assert {n: lengths.count(n) for n in sorted(set(lengths))} == expected
    for rung in sorted(set(lengths))[:-1]:
        ended = [history.validation_loss[rung - 1] for history in histories if len(history) == rung]
        gone_on = [history.validation_loss[rung - 1] for history in histories if len(history) > rung]
        assert max(gone_on) <= min(ended)
    for history in histories:
        assert history.stopped.startswith("successive halving: validation_loss" if len(history) < 12 else "")
        assert bool(history.stopped) == (len(history) < 12)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_network_has_the_bits_of_its_own_training(n_threads):
    models = networks()
    optimizers = rules(models)
    histories = minidl.fit_many(models, nn.CrossEntropyLoss(), optimizers, DATA, epochs=5, batch_size=16, seed=2,
                                progress=False, n_threads=n_threads, stop=SuccessiveHalving(2, 2, "loss"))
    alone = networks()
    for model, optimizer, history in zip(alone, rules(alone), histories, strict=True):
        expected = fit(model, nn.CrossEntropyLoss(), optimizer, DATA, epochs=len(history), batch_size=16, seed=2,
                       progress=False)
        expected.stopped = history.stopped
        assert lines([expected]) == lines([history])
    assert weights(models) == weights(alone)
    assert sorted(len(history) for history in histories) == [2, 2, 2, 4, 5, 5]


def test_callbacks_see_the_end_of_a_network_that_ends_early():
    told = []

    class Watch(EarlyStopping):
        def on_train_end(self):
            super().on_train_end()
            told.append(self)

    models, optimizers = perceptrons(RATES[:4])
    watches = [[Watch(monitor="loss")] for _ in models]
    minidl.fit_many(models, nn.CrossEntropyLoss(), optimizers, DATA, epochs=4, callbacks=watches, progress=False,
                    seed=0, stop=SuccessiveHalving(1, 2, "loss"))
    assert sorted(map(id, told)) == sorted(id(watch) for watch, in watches)


def test_one_that_diverges_or_ends_by_itself_is_not_compared():
    models, optimizers = perceptrons([1e30, 0.1, 0.01, 0.2])
    callbacks = [[], [EarlyStopping(1, "loss", 1e9, restore_best=False)], [], []]
    histories = minidl.fit_many(models, nn.MSELoss(), optimizers, (DATA[0], np.ones((N, 3))), epochs=6, progress=False,
                                seed=0, callbacks=callbacks, stop=SuccessiveHalving(3, 2, "loss"))
    assert "the loss became" in histories[0].stopped and "EarlyStopping" not in histories[0].stopped
    assert len(histories[1]) == 2 and "halving" not in histories[1].stopped
    assert sorted(len(history) for history in histories[2:]) == [3, 6]


def test_what_is_not_finite_is_the_worst():
    halving = SuccessiveHalving(1, 2, "loss")
    going = [(i, History(loss=[value])) for i, value in enumerate([np.nan, 2.0, np.inf, 2.0])]
    assert halving.ends(going) == [0, 2]
    assert halving.ends(going[:1]) == []
    with pytest.raises(ValueError, match="no 'error'"):
        SuccessiveHalving(1, 2, "error").ends([(0, History(error=[None]))])


@pytest.mark.parametrize("settings, error, message", [
    ({"first": 0}, ValueError, "first"), ({"first": 1.5}, TypeError, "first"), ({"factor": 1}, ValueError, "factor"),
    ({"monitor": "losses"}, ValueError, "expected monitor to be one of loss, error")])
def test_what_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        SuccessiveHalving(**settings)


def test_validation_is_asked_for_before_anything_is_trained():
    models, optimizers = perceptrons(RATES[:2])
    before = weights(models)
    with pytest.raises(ValueError, match="expected validation data"):
        minidl.fit_many(models, nn.CrossEntropyLoss(), optimizers, DATA, stop=SuccessiveHalving())
    assert weights(models) == before
