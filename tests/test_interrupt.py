"""Ctrl-C: it ends every training that it interrupts, is never lost, and the handler is then what it was."""
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from minidl import nn, optim
from minidl.training import fit
from minidl.training.callbacks import Callback
from minidl.training.interrupt import Interrupt


def press(times=1):
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


class When(Callback):
    """Does something at one of the places in which callbacks are called."""

    def __init__(self, place, action, epoch=2):
        self.place, self.action, self.epoch = place, action, epoch

    def _at(self, place):
        if place == self.place:
            self.action()

    def on_train_begin(self, model, optimizer, epochs):
        self._at("on_train_begin")

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch:
            self._at("on_epoch_end")

    def on_train_end(self):
        self._at("on_train_end")


def train(*callbacks, criterion=None, epochs=5):
    model = nn.Sequential(nn.Linear(3, 2, generator=0))
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    return fit(model, criterion or nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1),
               (x, np.arange(20) % 2), epochs=epochs, batch_size=10, seed=0, progress=False, callbacks=callbacks)


@pytest.fixture(params=["default", "own", "ignored"], autouse=True)
def handler(request):
    """What is installed before each test, and must be after it."""
    before = signal.getsignal(signal.SIGINT)
    now = {"default": signal.default_int_handler, "ignored": signal.SIG_IGN, "own": lambda *_: None}[request.param]
    signal.signal(signal.SIGINT, now)
    yield now
    assert signal.getsignal(signal.SIGINT) is now
    signal.signal(signal.SIGINT, before)


PLACES = ["on_train_begin", "on_epoch_end", "on_train_end"]


@pytest.mark.parametrize("place, epochs", list(zip(PLACES, [0, 2, 5], strict=True)))
def test_it_ends_the_training_wherever_it_comes(place, epochs):
    history = train(When(place, press))
    assert history.stopped == "interrupted" and len(history) == epochs


@pytest.mark.parametrize("place", PLACES)
def test_the_second_raises_wherever_it_comes(place):
    with pytest.raises(KeyboardInterrupt):
        train(When(place, lambda: press(2)))


@pytest.mark.parametrize("outer_place", PLACES)
@pytest.mark.parametrize("inner_place", PLACES)
def test_in_a_fit_within_a_fit_it_ends_both(inner_place, outer_place):
    inner = []
    history = train(When(outer_place, lambda: inner.append(train(When(inner_place, press)))))
    assert history.stopped == "interrupted" == inner[0].stopped
    assert len(history) == {"on_train_begin": 0, "on_epoch_end": 2, "on_train_end": 5}[outer_place]


def test_after_a_fit_within_a_fit_that_was_not_interrupted_both_go_on():
    histories = []
    history = train(When("on_epoch_end", lambda: histories.append(train())))
    assert len(history) == len(histories[0]) == 5 and history.stopped == histories[0].stopped == ""


def test_three_levels():
    histories = []
    history = train(When("on_epoch_end", lambda: histories.append(
        train(When("on_epoch_end", lambda: histories.append(train(When("on_epoch_end", press))))))))
    assert [len(one) for one in (*histories, history)] == [2, 2, 2]
    assert {one.stopped for one in (*histories, history)} == {"interrupted"}


def failing():
    press()
    raise LookupError("the callback's own")


@pytest.mark.parametrize("place", PLACES)
def test_an_error_does_not_swallow_it(place):
    with pytest.raises(KeyboardInterrupt) as caught:
        train(When(place, failing))
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_error_within_a_fit_within_a_fit_does_not_swallow_it():
    def inner():
        with pytest.raises(LookupError):  # which the callback may take for its own affair
            train(When("on_epoch_end", failing))

    history = train(When("on_epoch_end", inner))
    assert history.stopped == "interrupted" and len(history) == 2


def test_an_error_without_it_stays_the_error():
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        train(When("on_epoch_end", fail))


def test_a_divergence_does_not_swallow_it():
    class Diverging(nn.CrossEntropyLoss):
        def forward(self, output, target):
            press()
            return float("nan")

    with pytest.raises(KeyboardInterrupt) as caught:
        train(criterion=Diverging())
    assert isinstance(caught.value.__cause__, FloatingPointError)


def test_in_another_thread_nothing_is_installed(handler):
    seen = []

    def look():
        with Interrupt() as interrupt:
            seen.append((signal.getsignal(signal.SIGINT), interrupt.requested))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(handler, False)]


HOST = """
    import ctypes, signal, sys

    import numpy as np
    from minidl import fit, nn, optim
    from minidl.training.callbacks import Callback

    pressed = []

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def host(number):
        pressed.append(number)

    c = ctypes.CDLL(None)
    c.signal.argtypes, c.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    c.signal(signal.SIGINT, ctypes.cast(host, ctypes.c_void_p))
    del sys.modules["_signal"]
    import _signal  # which looks anew at what is installed, as when a host starts Python

    assert signal.getsignal(signal.SIGINT) is None

    class Press(Callback):
        def on_epoch_end(self, epoch, logs):
            signal.raise_signal(signal.SIGINT)

    model = nn.Linear(3, 2, generator=0)
    x = np.ones((4, 3), np.float32)
    history = fit(nn.Sequential(model), nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1),
                  (x, np.arange(4) % 2), epochs=3, progress=False, callbacks=[Press()], captured=False)
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is None
    print(len(history), repr(history.stopped), len(pressed))
"""


@pytest.mark.skipif(os.name != "posix", reason="installs a handler with the C library")
def test_a_handler_of_a_host_in_another_language_is_left_in_its_place():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(HOST)], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout == "3 '' 4\n"
