"""lr_find: the rates that it goes through, the losses that it finds, and that it leaves everything as it was."""
import itertools
import signal

import numpy as np
import pytest

from minidl import data, fit, nn, optim
from minidl import random as minidl_random
from minidl.training import LRFind, lr_find

X, Y = data.disk(200, seed=0)


def parts(seed=0, optimizer=optim.SGD, **settings):
    model = nn.Sequential(nn.Linear(2, 8, generator=seed), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 2, generator=seed))
    return model, nn.CrossEntropyLoss(), optimizer(model.parameters(), **({"lr": 0.1} | settings))


@pytest.mark.parametrize("mode", ["exponential", "linear"])
def test_the_rates_grow_from_the_least_to_the_largest(mode):
    found = lr_find(*parts(), (X, Y), min_lr=1e-4, max_lr=1.0, num_training=17, mode=mode, seed=0)
    steps = np.log(found.lr) if mode == "exponential" else found.lr
    np.testing.assert_allclose(np.diff(steps), np.diff(steps)[0])
    np.testing.assert_allclose([found.lr[0], found.lr[-1]], [1e-4, 1.0])
    assert len(found.loss) == len(found.smoothed) == 17 and not found.diverged


@pytest.mark.parametrize("captured", [True, False])
def test_the_losses_are_those_of_a_training_at_these_rates(captured):
    """A schedule of fit, written by hand, goes through the same rates with the same bits."""
    found = lr_find(*parts(), (X, Y), min_lr=1e-3, max_lr=2.0, num_training=14, batch_size=100, seed=3,
                    early_stop_threshold=None, captured=captured)

    class Rates(optim.lr_scheduler.LambdaLR):
        interval = "iteration"

    model, criterion, optimizer = parts(lr=1.0)
    rates = [*np.geomspace(1e-3, 2.0, 14), 0.0]
    schedule = Rates(optimizer, lambda step: float(rates[step]))
    history = fit(model, criterion, optimizer, (X, Y), epochs=7, batch_size=100, seed=3, scheduler=schedule,
                  progress=False)
    assert found.loss == history.iteration_loss and found.lr == history.iteration_lr


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_everything_is_put_back(kind):
    settings = {"momentum": 0.9} if kind is optim.SGD else {}
    model, criterion, optimizer = parts(optimizer=kind, **settings)
    fit(model, criterion, optimizer, (X, Y), epochs=1, seed=0, progress=False)
    model.eval()
    before = model.state_dict(), optimizer.state_dict(), model.flat_gradients.copy()
    stream, numbers = minidl_random.generator().bit_generator.state, np.random.get_state()[1].copy()
    seed = np.random.default_rng(7)
    drawn = seed.bit_generator.state
    lr_find(model, criterion, optimizer, (X, Y), num_training=30, seed=seed)
    after = model.state_dict(), optimizer.state_dict(), model.flat_gradients
    for name in before[0]:
        np.testing.assert_array_equal(before[0][name], after[0][name])
    np.testing.assert_equal(after[1], before[1])
    np.testing.assert_array_equal(before[2], after[2])
    assert not model.training and optimizer.lr == 0.1
    assert minidl_random.generator().bit_generator.state == stream and seed.bit_generator.state == drawn
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)


def test_a_training_after_it_has_the_bits_of_one_without_it():
    losses = []
    for find in (False, True):
        model, criterion, optimizer = parts()
        if find:
            lr_find(model, criterion, optimizer, (X, Y), num_training=20)
        losses.append(fit(model, criterion, optimizer, (X, Y), epochs=3, seed=1, progress=False).iteration_loss)
    assert losses[0] == losses[1]


def test_it_ends_where_the_loss_diverges():
    found = lr_find(*parts(), (X, Y), min_lr=1e-3, max_lr=1e6, num_training=200, seed=0)
    assert found.diverged and len(found.lr) < 200 and np.isfinite(found.loss).all()
    squared = nn.Sequential(nn.Linear(2, 8, generator=0), nn.Linear(8, 1, generator=0))
    target = np.ones((200, 1), np.float32)
    found = lr_find(squared, nn.MSELoss(), optim.SGD(squared.parameters()), (X, target), min_lr=1, max_lr=1e20,
                    early_stop_threshold=None, seed=0)
    assert found.diverged and np.isfinite(found.loss).all() and len(found.lr) < 100
    assert np.isfinite(squared.flat_parameters).all()


def test_the_suggestion_is_where_a_known_loss_is_steepest():
    """A logistic fall around 1e-2 and a rise after 1: the steepest point is known."""
    lr = [float(x) for x in np.geomspace(1e-6, 10, 200)]
    found = LRFind()
    for rate in lr:
        found._add(rate, float(1 / (1 + (rate / 1e-2) ** 1.5) + max(0.0, rate - 1)))
    assert 0.8e-2 < found.suggestion() < 1.25e-2
    rising = LRFind()
    for i, rate in enumerate(lr):
        rising._add(rate, 1.0 + i)
    assert rising.suggestion() is None and LRFind().suggestion() is None


def test_a_training_at_the_suggestion_learns():
    model, criterion, optimizer = parts(optimizer=optim.Adam, lr=1e-9)
    halves = (X[:, 0] > 0.5).astype(int)
    found = lr_find(model, criterion, optimizer, (X, halves), num_training=150, seed=0)
    optimizer.lr = found.suggestion()
    assert 1e-4 < optimizer.lr < 1
    history = fit(model, criterion, optimizer, (X, halves), epochs=30, seed=0, progress=False)
    assert history.loss[-1] < 0.5 * history.loss[0]


@pytest.mark.parametrize(("settings", "message"), [
    ({"min_lr": 1.0, "max_lr": 1.0}, "expected 0 < min_lr < max_lr"),
    ({"min_lr": 0.0}, "expected 0 < min_lr < max_lr"),
    ({"max_lr": float("inf")}, "expected 0 < min_lr < max_lr"),
    ({"num_training": 1}, "expected num_training >= 2"),
    ({"mode": "cosine"}, "expected mode 'exponential' or 'linear', got 'cosine'"),
    ({"early_stop_threshold": 1.0}, "expected early_stop_threshold > 1 or None"),
])
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        lr_find(*parts(), (X, Y), **settings)


def test_a_first_loss_that_is_not_finite_is_an_error_and_everything_is_put_back():
    model, criterion, optimizer = parts()
    before = model.state_dict()

    def broken(output, target):
        return criterion(output, target) * float("inf")

    with pytest.raises(FloatingPointError):
        lr_find(model, broken, optimizer, (X, Y), seed=0)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert optimizer.lr == 0.1


def test_ctrl_c_ends_it_and_everything_is_put_back():
    model, criterion, optimizer = parts()
    before, calls = model.state_dict(), itertools.count()  # a list, which it finds in a closure, is put back, too

    def interrupting(x):
        if next(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return x

    with pytest.raises(KeyboardInterrupt):
        lr_find(model, criterion, optimizer, (X, Y), augment=interrupting, seed=0)
    assert next(calls) == 3
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert optimizer.lr == 0.1
