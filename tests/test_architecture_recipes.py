"""docs/architecture.md: its Python runs, the code that it quotes is the code, and a batch takes the route it tells.

The examples of README.md run, too.
"""
from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT, run_examples

import minidl
from minidl import nn, optim

PAGE = (ROOT / "docs" / "architecture.md").read_text()
README = (ROOT / "README.md").read_text()
ROUTES = [re.findall(r"^\| `([\w/.]+)` \| (.+?) \|", part, re.MULTILINE)
          for part in re.split(r"^\| (?:Sequential|any other model) \| function", PAGE, flags=re.MULTILINE)[1:]]


def source(file: str) -> str:
    return (ROOT / file).read_text()


def test_the_examples_run(capsys):
    run_examples(PAGE, "docs/architecture.md")
    assert "capture: " in capsys.readouterr().out  # the error that one of them shows


def test_the_readme_runs(capsys):
    threads = minidl.get_num_threads()
    try:
        names = run_examples(README, "README.md")
    finally:
        minidl.set_num_threads(threads)
    assert names["step"].path == names["history"].path == "compiled"


def test_every_file_that_is_named_is_there():
    named = set(re.findall(r"`((?:minidl|kernels|tests|docs)/[\w/.]*)`", PAGE))
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("route", ROUTES, ids=["Sequential", "any other model"])
def test_a_route_has_eight_files_with_the_functions_that_are_named(route):
    assert len(route) <= 8
    for file, functions in route:
        for function in re.findall(r"`(\w+)`", functions):
            assert re.search(rf"\b(?:def|cdef|cpdef) .*\b{function}\(", source(file)), (file, function)


class Residual(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.inner(x)


def calls_of_the_last_step(model) -> list[tuple[str, str]]:
    """(file, function) of minidl's Python functions in a step of fit that was not the first."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((72, 4), np.float32)
    calls: list[tuple[str, str]] = []

    def note(frame, event, arg):
        file = frame.f_code.co_filename
        if event == "call" and str(Path(minidl.__file__).parent) in file:
            if frame.f_code.co_name == "step" and file.endswith("trainer.py"):
                calls.clear()
            calls.append((Path(file).name, frame.f_code.co_name))

    class Noting(minidl.training.Callback):
        def on_train_begin(self, model, optimizer, epochs):
            sys.setprofile(note)

        def on_epoch_end(self, epoch, logs):
            sys.setprofile(None)

    before = sys.getprofile()
    try:
        minidl.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01), (X, X[:, :1]), batch_size=8,
                   callbacks=[Noting()], progress=False, seed=0)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(("route", "model"), [
    (ROUTES[0], nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))),
    (ROUTES[1], nn.Sequential(Residual(), nn.Linear(4, 1)))], ids=["Sequential", "any other model"])
def test_a_batch_takes_the_route(route, model):
    calls = calls_of_the_last_step(model)
    told = [(Path(file).name, name) for file, functions in route[1:] for name in re.findall(r"`(\w+)`", functions)
            if file.endswith(".py")]
    places = [calls.index(one) for one in told]
    assert places == sorted(places), calls
