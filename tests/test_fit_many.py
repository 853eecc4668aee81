"""fit_many: each network has the bits of its own training, on any number of threads."""
import os
import signal

import numpy as np
import pytest
from recorded_twins import bits

import minidl
from minidl import data as sets
from minidl import nn, optim
from minidl.optim import lr_scheduler
from minidl.training import Callback, EarlyStopping, fit, molds

N = 90
RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((N, 3)).astype(np.float32), RNG.integers(0, 3, N)
FOLDS = [(DATA[0][i:], DATA[1][i:]) for i in range(6)]


class Residual(nn.Module):
    """A network without a program of layers: it is recorded."""

    def __init__(self):
        self.inner, self.last = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.last(x + self.inner(x))


def networks():
    minidl.manual_seed(3)
    return [nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)), nn.Sequential(nn.Linear(3, 3)), Residual(),
            nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)), Residual(),
            nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))]


def rules(models):
    kinds = [optim.SGD, optim.Adam, optim.AdamW, optim.SGD, optim.Lion, optim.SGD]
    return [kind(model.parameters(), lr=0.02) for kind, model in zip(kinds, models, strict=True)]


def weights(models):
    return [[p.data.tobytes() for p in model.parameters()] for model in models]


def lines(histories):
    return [vars(history) | {"seconds": None} for history in histories]


@pytest.mark.parametrize("n_threads", [1, 2, 3, None])
@pytest.mark.parametrize("captured", [True, False])
def test_the_bits_of_the_same_network_trained_alone(n_threads, captured):
    ways = []
    for many in (False, True):
        models = networks()
        optimizers = rules(models)
        schedulers = [None, lr_scheduler.OneCycleLR(optimizers[1], 0.1, 1000),
                      lr_scheduler.ExponentialLR(optimizers[2], 0.9), None, None, None]
        shared = {"epochs": 4, "batch_size": 16, "progress": False, "captured": captured, "validation": DATA}
        callbacks = [[EarlyStopping(1)] if i == 5 else [] for i in range(6)]
        if many:
            histories = minidl.fit_many(models, nn.CrossEntropyLoss(), optimizers, FOLDS, seed=[0, 1, 2, 3, 4, 5],
                                        schedulers=schedulers, callbacks=callbacks, n_threads=n_threads, **shared)
        else:
            histories = [fit(model, nn.CrossEntropyLoss(), optimizer, FOLDS[i], seed=i, scheduler=schedulers[i],
                             callbacks=callbacks[i], **shared)
                         for i, (model, optimizer) in enumerate(zip(models, optimizers, strict=True))]
        ways.append((weights(models), lines(histories)))
    assert ways[0] == ways[1]


def test_a_seed_for_all_a_function_as_optimizer_and_losses_one_each():
    models, alone = networks(), networks()
    histories = minidl.fit_many(models, [nn.CrossEntropyLoss() for _ in models], lambda p: optim.SGD(p, lr=0.1),
                                sets.TensorDataset(*DATA), epochs=2, seed=7, progress=False)
    for model, history in zip(alone, histories, strict=True):
        assert fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), DATA, epochs=2, seed=7,
                   progress=False).loss == history.loss
    assert weights(alone) == weights(models)


def test_without_a_seed_it_is_drawn_from_minidl_s_stream():
    found = []
    for _ in range(2):
        models = networks()
        minidl.manual_seed(11)
        minidl.fit_many(models, nn.CrossEntropyLoss(), rules(models), DATA, progress=False, n_threads=2)
        found.append(weights(models))
    assert found[0] == found[1]


def test_a_network_that_diverges_ends_alone():
    models = networks()
    optimizers = rules(models)
    optimizers[1].lr = 1e30
    optimizers[4].lr = 1e30
    histories = minidl.fit_many(models, nn.MSELoss(), optimizers, (DATA[0], DATA[0]), epochs=5, seed=0, progress=False)
    assert [bool(history.stopped) for history in histories] == [False, True, False, False, True, False]
    assert histories[1].stopped.startswith("the loss became") and [len(history) for history in histories][::5] == [5, 5]


class Failing(Callback):
    def on_epoch_end(self, epoch, logs):
        raise OSError("disk full")


def test_an_error_ends_all_of_them():
    models = networks()
    with pytest.raises(OSError, match="disk full"):
        minidl.fit_many(models, nn.CrossEntropyLoss(), rules(models), DATA, epochs=10**6, seed=0, progress=False,
                        callbacks=[[Failing()] if i == 3 else [] for i in range(6)], n_threads=6)


class Pressing(Callback):
    """Ctrl-C in the first epoch."""

    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupted():
    models = networks()
    before = signal.getsignal(signal.SIGINT)
    histories = minidl.fit_many(models, nn.CrossEntropyLoss(), rules(models), DATA, epochs=10**6, seed=0,
                                progress=False, n_threads=2, callbacks=[[Pressing()], [], [], [], [], []])
    assert [history.stopped for history in histories] == ["interrupted"] * 6
    assert histories[0].iteration_loss and signal.getsignal(signal.SIGINT) is before


def test_progress(capsys):
    models = networks()
    minidl.fit_many(models, nn.CrossEntropyLoss(), rules(models), DATA, seed=0)
    assert "network 6/6" in capsys.readouterr().err


def test_what_it_refuses():
    models, threads = networks(), minidl.get_num_threads()
    optimizers = rules(models)
    before = weights(models)
    loss = nn.CrossEntropyLoss()
    for error, text, arguments in [
            (ValueError, "expected optimizers for 6 networks, got 5", (models, loss, optimizers[:5], DATA)),
            (ValueError, "expected data for 6 networks, got 5", (models, loss, optimizers, FOLDS[:5])),
            (ValueError, "expected criterion for 6 networks, got 1", (models, [loss], optimizers, DATA)),
            (ValueError, "share no module", ([models[0]] * 6, loss, [optimizers[0]] * 6, DATA)),
            (TypeError, "expected Modules", ([1], loss, optimizers[:1], DATA)),
            (TypeError, "expected data as a list", (models, loss, optimizers, 1)),
            (ValueError, "the optimizer holds", (models, loss, optimizers[::-1], DATA))]:
        with pytest.raises(error, match=text):
            minidl.fit_many(*arguments, seed=0, progress=False)
    for error, options in [(TypeError, {"seed": 1.5}), (TypeError, {"seed": np.random.default_rng(0)}),
                           (ValueError, {"seed": [1]}), (ValueError, {"n_threads": 0}), (ValueError, {"epochs": 0}),
                           (ValueError, {"schedulers": [None]}), (ValueError, {"callbacks": [[]]})]:
        with pytest.raises(error):
            minidl.fit_many(models, loss, optimizers, DATA, progress=False, **options)
    with pytest.raises(ValueError, match="expected a seed >= 0, got -1"):
        minidl.fit_many(models, loss, optimizers, DATA, seed=-1, progress=False)
    assert weights(models) == before and minidl.get_num_threads() == threads
    assert minidl.fit_many([], loss, [], DATA) == []


# Networks that are alike, which are trained in one program

def alike(count=7):
    return [nn.Sequential(nn.Linear(3, 5, generator=i), nn.Tanh(), nn.Linear(5, 3, generator=9 + i))
            for i in range(count)]


def rule(name, parameters, i):
    """An optimizer whose settings differ from network to network."""
    if name == "SGD with momentum":
        return optim.SGD(parameters, lr=0.1, momentum=0.1 * i)
    return getattr(optim, name)(parameters, lr=0.01 * (i + 1))


OPTIMIZERS = ["SGD with momentum", *sorted(
    name for name, kind in vars(optim).items()
    if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind not in (optim.Optimizer, optim.LBFGS))]


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_alike_networks_have_the_bits_of_their_own_training(name, captured, n_threads):
    settings = {"epochs": 3, "batch_size": 16, "progress": False, "captured": captured, "validation": DATA}
    ways = []
    for many in (False, True):
        models = alike()
        optimizers = [rule(name, model.parameters(), i) for i, model in enumerate(models)]
        seeds = list(range(7))
        if many:
            histories = minidl.fit_many(models, nn.CrossEntropyLoss(), optimizers, DATA, seed=seeds,
                                        n_threads=n_threads, **settings)
        else:
            histories = [fit(model, nn.CrossEntropyLoss(), optimizer, DATA, seed=seed, **settings)
                         for model, optimizer, seed in zip(models, optimizers, seeds, strict=True)]
        states = [bits(optimizer.state_dict()) for optimizer in optimizers]
        gradients = [[p.grad.tobytes() for p in model.parameters()] for model in models]
        for model, optimizer in zip(models, optimizers, strict=True):  # they go on alike
            fit(model, nn.CrossEntropyLoss(), optimizer, DATA, seed=5, **settings | {"epochs": 1})
        ways.append((lines(histories), [history.path for history in histories], states, gradients, weights(models),
                     [model.training for model in models]))
    assert ways[0] == ways[1]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_mold_for_each_thread_and_pattern_at_most(monkeypatch, n_threads):
    made = []
    monkeypatch.setattr(molds.Mold, "again", lambda self: made.append(self) or molds.Mold(*self.source))
    models = alike(30) + networks()
    minidl.fit_many(models, nn.CrossEntropyLoss(), lambda p: optim.Adam(p, lr=0.01), DATA, progress=False, seed=1,
                    n_threads=n_threads)
    assert len(made) <= n_threads - 1


def changed(what: str):
    """Seven networks of which the third is not like the others."""
    models = alike()
    optimizers = [optim.SGD(model.parameters(), lr=0.1) for model in models]
    losses = [nn.CrossEntropyLoss() for _ in models]
    model = models[2]
    if what == "a hook":
        model[0].register_forward_hook(lambda module, x, y: 0.5 * y)
    elif what == "frozen":
        model[0].weight.requires_grad = False
    elif what == "another width":
        models[2] = nn.Sequential(nn.Linear(3, 6, generator=1), nn.Tanh(), nn.Linear(6, 3, generator=2))
        optimizers[2] = optim.SGD(models[2].parameters(), lr=0.1)
    elif what == "another activation":
        models[2] = nn.Sequential(model[0], nn.ELU(0.3), model[2])
    elif what == "an activation of other settings":
        models[2], models[3], models[4] = [
            nn.Sequential(models[i][0], nn.LeakyReLU(0.1 * i), models[i][2]) for i in (2, 3, 4)]
    elif what == "a loss of other settings":
        losses[2] = nn.CrossEntropyLoss(label_smoothing=0.2)
    elif what == "weights":
        losses[2] = nn.CrossEntropyLoss(np.array([1, 2, 3], np.float32))
    elif what == "half the parameters":
        optimizers[2] = optim.SGD(model.parameters()[:2], lr=0.1)
    elif what == "the parameters in another order":
        optimizers[2] = optim.SGD(model.parameters()[::-1], lr=0.1, momentum=0.5)
    elif what == "a state":
        optimizers = [optim.SGD(model.parameters(), lr=0.1, momentum=0.5) for model in models]
        fit(model, nn.CrossEntropyLoss(), optimizers[2], DATA, progress=False, seed=3)
    elif what == "an activation of one's own":
        class Half(nn.Tanh):
            def forward(self, x):
                return 0.5 * x
        models[2] = nn.Sequential(model[0], Half(), model[2])
    elif what == "a subclass":
        class Mine(nn.Linear):
            def forward(self, x):
                return 2 * super().forward(x)
        models[2] = nn.Sequential(Mine(3, 5, generator=1), nn.Tanh(), nn.Linear(5, 3, generator=2))
        optimizers[2] = optim.SGD(models[2].parameters(), lr=0.1)
    elif what == "an optimizer of one's own":
        class Slow(optim.SGD):
            def formula(self, w, g, state, s):
                return w - 0.1 * s.lr * g
        optimizers[2] = Slow(model.parameters(), lr=0.1)
    elif what == "a rate":
        optimizers[2].lr = 0.3
    elif what == "diverges":
        optimizers[2].lr = 1e30
        losses = [nn.MSELoss() for _ in models]
    return models, losses, optimizers


@pytest.mark.parametrize("what", [
    "a hook", "frozen", "another width", "another activation", "an activation of other settings",
    "a loss of other settings", "weights", "half the parameters", "the parameters in another order", "a state",
    "an activation of one's own", "a subclass", "an optimizer of one's own", "a rate", "diverges"])
def test_one_that_is_not_like_the_others(what):
    ways, data = [], (DATA[0], np.eye(3)[DATA[1]]) if what == "diverges" else DATA
    for together in (False, True):
        models, losses, optimizers = changed(what)
        settings = {"epochs": 2, "batch_size": 16, "progress": False}
        if together:
            histories = minidl.fit_many(models, losses, optimizers, data, seed=4, n_threads=2, **settings)
        else:
            histories = []
            for model, loss, optimizer in zip(models, losses, optimizers, strict=True):
                try:
                    histories.append(fit(model, loss, optimizer, data, seed=4, **settings))
                except FloatingPointError as error:
                    histories.append(str(error).removeprefix("fit: "))
        histories = [history if isinstance(history, str) or "the loss became" not in history.stopped
                     else history.stopped for history in histories]
        ways.append(([h if isinstance(h, str) else lines([h]) for h in histories], weights(models)))
    assert ways[0] == ways[1]
