"""Streams of every kind under both bars, and under what the command line says: none ends the work or misleads it."""
import contextlib
import errno
import functools
import io
import os
import subprocess
import sys

import numpy as np
import pytest

from minidl import cli, nn, optim
from minidl.training import fit
from minidl.training.callbacks import Progress
from minidl.training.history import EPOCH_COLUMNS
from minidl.training.progress import Bar, say


class Failing(io.StringIO):
    """Raises ``error`` from the named method, from its second call on if ``later``."""

    def __init__(self, method, error, later=False):
        super().__init__()
        self.method, self.error, self.left = method, error, int(later)

    def _perhaps(self, method):
        if method == self.method:
            self.left -= 1
            if self.left < 0:
                raise self.error

    def isatty(self):
        self._perhaps("isatty")
        return self.method != "isatty"

    def write(self, text):
        self._perhaps("write")
        return super().write(text)

    def flush(self):
        self._perhaps("flush")


class Recorder:
    """A stream with nothing but write."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


@contextlib.contextmanager
def closed():
    stream = io.StringIO()
    stream.close()
    yield stream


@contextlib.contextmanager
def full():
    with open("/dev/full", "w") as stream:
        try:
            yield stream
        finally:
            with contextlib.suppress(OSError):  # what was not written is still to be flushed
                stream.close()


@contextlib.contextmanager
def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def descriptor_gone():
    reader, writer = os.pipe()
    with os.fdopen(reader), open(writer, "w", closefd=False) as stream:
        os.close(writer)
        yield stream
        with contextlib.suppress(OSError):
            stream.close()


def given(stream):
    return functools.partial(contextlib.nullcontext, stream)


ERRORS = [OSError(errno.ENOSPC, "full"), BrokenPipeError(), ValueError("closed"), RuntimeError("a notebook's"),
          UnicodeEncodeError("ascii", "ü", 0, 1, "")]
STREAMS = {
    "None": given(None), "an object": given(object()), "closed": closed, "broken pipe": broken_pipe,
    "descriptor gone": descriptor_gone,
    **({"full": full} if os.path.exists("/dev/full") else {}),
    **{f"{method} raises {type(error).__name__}{' later' if later else ''}":
       functools.partial(lambda *what: contextlib.nullcontext(Failing(*what)), method, error, later)
       for method in ("isatty", "write", "flush") for error in ERRORS for later in (False, True)},
}


def shown_by_bar(stream):
    with Bar(3, stream) as bar:
        for done in (1, 2, 3):
            bar.show(done, "text")
            yield


def shown_by_progress(stream):
    progress = Progress(stream)
    progress.on_train_begin(None, None, 3)
    for epoch in (1, 2, 3):
        progress.on_epoch_end(epoch, dict.fromkeys(EPOCH_COLUMNS, 0.5))
        yield
    progress.on_train_end()


BARS = [shown_by_bar, shown_by_progress]


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_of_any_kind(bar, kind, monkeypatch, capsys):
    for as_standard_error in (True, False):
        with STREAMS[kind]() as stream:
            if as_standard_error or stream is None:
                monkeypatch.setattr(sys, "stderr", stream)
            assert len(list(bar(None if as_standard_error else stream))) == 3
            say("text", None if as_standard_error else stream)
            monkeypatch.undo()
    assert capsys.readouterr() == ("", "")  # nor does anything go elsewhere


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_that_is_closed_in_between(bar, terminal, monkeypatch):
    monkeypatch.setattr(Bar, "SECONDS", 0)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    steps = bar(stream)
    next(steps)
    assert "1/3" in stream.getvalue()
    stream.close()
    assert len(list(steps)) == 2


@pytest.mark.parametrize("bar", BARS)
def test_a_stream_without_isatty_gets_plain_lines(bar):
    stream = Recorder()
    stream.flush = lambda: None
    list(bar(stream))
    lines = stream.text.splitlines()
    assert [line.split("/3")[0][-1] for line in lines] == ["1", "2", "3"] and "\r" not in stream.text


@pytest.mark.parametrize("bar", BARS)
def test_both_bars_draw_alike(bar, monkeypatch):
    monkeypatch.setattr(Bar, "SECONDS", 0)
    stream = io.StringIO()
    stream.isatty = lambda: True
    list(bar(stream))
    first, second, third = stream.getvalue().split("\r\x1b[K")[1:]
    assert first.startswith("[########................] ") and second.startswith("[################........] ")
    assert third.startswith("[########################] ") and third.endswith("0 s left\n")


def test_a_bar_is_not_drawn_more_often_than_one_can_see():
    stream = io.StringIO()
    stream.isatty = lambda: True
    with Bar(10_000, stream) as bar:
        for done in range(1, 10_001):
            bar.show(done)
    seconds = 3  # that 10,000 calls may take on a slow machine
    assert 1 <= stream.getvalue().count("\r") <= 2 + seconds / Bar.SECONDS and "10000/10000" in stream.getvalue()


@pytest.mark.parametrize("kind", ["None", "closed", "broken pipe", "write raises OSError later"])
def test_training_goes_on(kind, monkeypatch):
    def trained(progress):
        model = nn.Sequential(nn.Linear(3, 2, generator=0))
        x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
        history = fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), (x, np.arange(20) % 2),
                      epochs=4, seed=0, progress=progress)
        return history.loss, model.flat_parameters.copy()

    losses, weights = trained(progress=False)
    with STREAMS[kind]() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        shown_losses, shown_weights = trained(progress=True)
        monkeypatch.undo()
    assert shown_losses == losses
    np.testing.assert_array_equal(shown_weights, weights)


@pytest.mark.parametrize("kind", STREAMS)
def test_messages_of_errors_stay_off_standard_output(kind, monkeypatch, capsys):
    with STREAMS[kind]() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert cli.main(["train", "--epochs", "0"]) == 2
        monkeypatch.undo()
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(os.name != "posix", reason="redirections of a POSIX shell")
@pytest.mark.parametrize("redirection", ["2>&-", *(["2>/dev/full"] if os.path.exists("/dev/full") else [])])
@pytest.mark.parametrize("arguments, code", [("--epochs 0", 2), ("--list", 0)])
def test_the_exit_code_and_standard_output_of_the_command(redirection, arguments, code, tmp_path):
    command = "reproduce" if "list" in arguments else "train"
    line = f"'{sys.executable}' -m minidl {command} {arguments} {redirection}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == code and bool(done.stdout) == (code == 0)
