"""What fit_many makes of its arguments: seeds, losses, threads, data and validation of each, and Ctrl-C at the end."""
from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import minidl
from minidl import data as sets
from minidl import nn, optim
from minidl.training import Callback, fit, many, molds

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((24, 3)).astype(np.float32), RNG.integers(0, 2, 24)
QUIET = {"progress": False, "batch_size": 8}


class Doubling(nn.Module):
    """Not a layer of minidl: such a network is trained by itself."""

    def __init__(self, seed):
        self.inner = nn.Linear(3, 2, generator=seed)

    def forward(self, x):
        return 2 * self.inner(x)


def networks(count=3):
    return [Doubling(seed) for seed in range(count)]


def alike(count):
    return [nn.Sequential(nn.Linear(3, 4, generator=i), nn.Tanh(), nn.Linear(4, 2, generator=9 + i))
            for i in range(count)]


def weights(models):
    return [[p.data.tobytes() for p in model.parameters()] for model in models]


def sgd(parameters):
    return optim.SGD(parameters, lr=0.1, momentum=0.5)


def by_themselves(seeds, models=None, data=None, validation=None, criterion=nn.CrossEntropyLoss, **settings):
    models = models or networks(len(seeds))
    histories = [fit(model, criterion(), sgd(model.parameters()), data[i] if data else (X, LABELS),
                     validation=validation[i] if validation else None, seed=seed, **QUIET, **settings)
                 for i, (model, seed) in enumerate(zip(models, seeds, strict=True))]
    return weights(models), [history.validation_loss for history in histories]


GENERATORS = [lambda: [np.random.default_rng(i) for i in range(3)]] * 2


@pytest.mark.parametrize("make, given, each", [
    (networks, np.int64(7), [7, 7, 7]), (networks, [1, 2, 3], [1, 2, 3]), (networks, *GENERATORS),
    (alike, 7, [7, 7, 7]), (alike, (1, 2, 3), [1, 2, 3]), (alike, 0, [0, 0, 0]),
    (alike, [np.int32(1), 2, 0], [1, 2, 0]),
    (alike, *GENERATORS)])
def test_seeds(make, given, each, monkeypatch):
    monkeypatch.setattr(many, "LEAST", 2)
    models = make(3)
    minidl.fit_many(models, nn.CrossEntropyLoss(), sgd, (X, LABELS), seed=given() if callable(given) else given,
                    **QUIET)
    assert weights(models) == by_themselves(each() if callable(each) else each, make(3))[0]


@pytest.mark.parametrize("seed, error, message", [
    (True, TypeError, r"^fit_many: expected seed as an int, a list or None, got bool$"),
    (1.0, TypeError, "got float"), ("1", TypeError, "got str"), ([1, 2], ValueError, "seed for 3 networks, got 2")])
def test_seeds_that_are_refused(seed, error, message):
    with pytest.raises(error, match=message):
        minidl.fit_many(networks(), nn.CrossEntropyLoss(), sgd, (X, LABELS), seed=seed, **QUIET)


def test_seeds_drawn_from_minidls_stream_are_all_different():
    minidl.manual_seed(3)
    models = [Doubling(0) for _ in range(3)]
    minidl.fit_many(models, nn.CrossEntropyLoss(), sgd, (X, LABELS), **QUIET)
    found = weights(models)
    assert found[0] != found[1] != found[2] != found[0]
    minidl.manual_seed(3)
    again = [Doubling(0) for _ in range(3)]
    drawn = [int(n) for n in minidl.random.generator(None).integers(2**63 - 1, size=3)]
    assert by_themselves(drawn, again)[0] == found


class Told(nn.CrossEntropyLoss):
    """Counts its calls."""

    calls = 0

    def forward(self, z, t):
        self.calls += 1
        return super().forward(z, t)


def test_a_loss_is_copied_for_each_but_a_list_has_their_own():
    loss, models = Told(), networks()
    minidl.fit_many(models, loss, sgd, (X, LABELS), seed=1, captured=False, **QUIET)
    assert loss.calls == 0
    own, others = [Told() for _ in range(3)], networks()
    minidl.fit_many(others, own, sgd, (X, LABELS), seed=1, captured=False, **QUIET)
    assert [one.calls for one in own] == [3, 3, 3] and weights(models) == weights(others)

    def function(z, t):
        return ((z - t) ** 2).mean()

    third = networks()
    minidl.fit_many(third, function, sgd, (X, X[:, :2]), seed=1, **QUIET)
    assert weights(third) == by_themselves([1] * 3, data=[(X, X[:, :2])] * 3, criterion=lambda: function)[0]


class Asking(Callback):
    def __init__(self):
        self.threads = []

    def on_epoch_end(self, epoch, logs):
        self.threads.append(minidl.get_num_threads())
        if epoch == 3:
            raise KeyError("mine")


def test_each_is_trained_by_one_thread_and_the_number_is_put_back():
    asking = [Asking() for _ in range(3)]
    minidl.set_num_threads(2)
    try:
        arguments = networks(), nn.CrossEntropyLoss(), sgd, (X, LABELS)
        minidl.fit_many(*arguments, epochs=2, callbacks=[[one] for one in asking], seed=0, **QUIET)
        assert [one.threads for one in asking] == [[1, 1]] * 3 and minidl.get_num_threads() == 2
        with pytest.raises(KeyError, match="mine"):
            minidl.fit_many(*arguments, epochs=3, callbacks=[[one] for one in asking], seed=0, **QUIET)
        assert minidl.get_num_threads() == 2
    finally:
        minidl.set_num_threads(1)


def test_data_and_validation_of_each():
    folds = [(X[i:], LABELS[i:]) for i in range(3)]
    held = [(X[:9 + i], LABELS[:9 + i]) for i in range(3)]
    for data, validation, own, its in (
            (folds, held[0], folds, held[:1] * 3), (folds[0], held, folds[:1] * 3, held),
            (sets.TensorDataset(*folds[1]), None, folds[1:2] * 3, [None] * 3),
            ([sets.TensorDataset(*fold) for fold in folds], held, folds, held)):
        models = networks()
        histories = minidl.fit_many(models, nn.CrossEntropyLoss(), [sgd(model.parameters()) for model in models], data,
                                    validation=validation, seed=4, **QUIET)
        assert (weights(models), [h.validation_loss for h in histories]) == by_themselves([4] * 3, None, own, its)
    with pytest.raises(ValueError, match="fit_many: expected validation for 3 networks, got 2"):
        minidl.fit_many(networks(), nn.CrossEntropyLoss(), sgd, folds, validation=held[:2], **QUIET)


@pytest.mark.parametrize("name", ["optimizers", "data", "validation", "schedulers", "callbacks", "criterion"])
def test_lists_of_another_length_are_named(name):
    arguments = {"criterion": nn.CrossEntropyLoss(), "optimizers": sgd, "data": (X, LABELS)} | QUIET
    with pytest.raises(ValueError, match=f"^fit_many: expected {name} for 3 networks, got 2$"):
        minidl.fit_many(networks(), **arguments | {name: [None, None]})
    if name != "criterion":
        with pytest.raises(TypeError, match=f"^fit_many: expected {name} as a list, got int$"):
            minidl.fit_many(networks(), **arguments | {name: 3})


def test_weights_of_samples_are_those_of_all():
    weight = RNG.uniform(0, 2, 24)
    for make in (networks, alike):
        models = make(3)
        minidl.fit_many(models, nn.CrossEntropyLoss(), sgd, (X, LABELS), seed=2, sample_weight=weight, **QUIET)
        assert weights(models) == by_themselves([2] * 3, make(3), sample_weight=weight)[0]


@pytest.mark.parametrize("count, expected", [(molds.LEAST - 1, 0), (molds.LEAST, 1)])
def test_so_many_that_are_alike_have_a_mold(count, expected, monkeypatch):
    made = []

    class Noted(molds.Mold):
        def __init__(self, *source):
            made.append(self)
            super().__init__(*source)

    monkeypatch.setattr(many, "Mold", Noted)
    models = [*alike(count), *networks(2)]
    minidl.fit_many(models, nn.CrossEntropyLoss(), sgd, (X, LABELS), seed=0, n_threads=1, **QUIET)
    assert len(made) == expected
    assert weights(models) == by_themselves([0] * (count + 2), [*alike(count), *networks(2)])[0]


class Noting(Callback):
    order: list = []  # noqa: RUF012

    def __init__(self, i):
        self.i = i

    def on_epoch_end(self, epoch, logs):
        self.order.append(self.i)


def test_in_their_order_and_the_defaults(monkeypatch):
    monkeypatch.setattr(Noting, "order", [])
    models, rows = networks(5), (np.resize(X, (65, 3)), np.resize(LABELS, 65))
    histories = minidl.fit_many(iter(models), nn.CrossEntropyLoss(), sgd, [tuple(x[:n] for x in rows) for n in (
        64, 65, 64, 32, 33)], n_threads=1, progress=False, callbacks=[[Noting(i)] for i in range(5)])
    assert Noting.order == [0, 1, 2, 3, 4]
    assert [len(history.iteration_loss) for history in histories] == [2, 3, 2, 1, 2]  # an epoch, of 32 each
    assert all(history.path == "compiled" and len(history) == 1 for history in histories)
    assert minidl.fit_many([], nn.CrossEntropyLoss(), sgd, (X, LABELS)) == []


@pytest.mark.parametrize("shared", ["a module", "a parameter", "within"])
def test_networks_that_share(shared):
    first, second = networks(2)
    if shared == "a module":
        second.inner = first.inner
    elif shared == "a parameter":
        second.inner.weight = first.inner.weight
    else:
        second = first.inner
    with pytest.raises(ValueError, match=r"^fit_many: expected networks that share no module and no parameter$"):
        minidl.fit_many([first, second], nn.CrossEntropyLoss(), sgd, (X, LABELS), **QUIET)


def test_ctrl_c_when_all_are_trained_is_a_keyboard_interrupt(monkeypatch):
    run = many.run

    def pressed(*arguments):
        run(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(many, "run", pressed)
    models = networks(1)
    with pytest.raises(KeyboardInterrupt):
        minidl.fit_many(models, nn.CrossEntropyLoss(), sgd, (X, LABELS), seed=0, **QUIET)
    assert weights(models) == by_themselves([0], networks(1))[0]
