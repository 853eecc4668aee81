"""A scenario told twice, once with its steps as plain Python and once captured: every call has the same bits.

A scenario is a function of a Run. It builds what it needs, makes its steps with ``run.capture``, calls them
with ``run.calls``, changes something in between, and calls again. Whatever it holds with ``run.hold`` is
compared after each call, beside what the call gave.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from twins import digest

import minidl
from minidl import nn, optim

CALLS = 10  # the function is run by Python again at replays 1, 2, 4 and 8
WAYS_OUT = re.compile(r"argument|return|where|outside|minidl\.rand|detach|in place|module|capture", re.IGNORECASE)


def each(change: Callable, thing):
    """``thing`` with its Tensors and arrays changed, in tuples, lists and dicts, too."""
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*(each(change, x) for x in thing))
    if isinstance(thing, (tuple, list)):
        return type(thing)(each(change, x) for x in thing)
    if isinstance(thing, dict):
        return {name: each(change, x) for name, x in thing.items()}
    return change(thing) if isinstance(thing, (minidl.Tensor, np.ndarray)) else thing


def _handed(x):
    return x.detach() if isinstance(x, minidl.Tensor) else minidl.tensor(x)


def _given_back(x):
    return minidl.tensor(np.array(x.data)) if isinstance(x, minidl.Tensor) else x


def plain(function: Callable) -> Callable:
    """What a captured function must equal: it is handed Tensors, and what it gives is copied."""
    def step(*inputs, **named):
        return each(_given_back, function(*each(_handed, inputs), **each(_handed, named)))

    return step


def bits(thing):
    """All of a thing that a step may change, as something that == compares bit by bit."""
    if isinstance(thing, minidl.Parameter):
        return (bits(np.asarray(thing.data)), bits(thing.gradient), thing.grad is not None, thing.requires_grad)
    if isinstance(thing, minidl.Tensor):
        return ("Tensor", bits(thing.data), None if thing.grad is None else bits(thing.grad))
    if isinstance(thing, (np.ndarray, np.generic)):
        values = np.asarray(thing)
        if values.dtype.kind == "f":  # what is no number has bits that IEEE 754 leaves open
            values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
        return (str(thing.dtype), thing.shape, digest(values))
    if isinstance(thing, nn.Module):
        named = {f"{name}.{own}": bits(value) for name, module in thing.named_modules()
                 for own, value in vars(module).items()
                 if own != "saved" and isinstance(value, (minidl.Tensor, np.ndarray, float, int, bool))}
        return named | {name: module.training for name, module in thing.named_modules()}
    if isinstance(thing, optim.Optimizer):
        return bits(thing.state_dict())
    if isinstance(thing, np.random.Generator):
        return str(thing.bit_generator.state)
    if isinstance(thing, (tuple, list)):
        return (type(thing).__name__, *map(bits, thing))
    if isinstance(thing, dict):
        return {name: bits(value) for name, value in thing.items()}
    if isinstance(thing, float):
        return ("float", thing.hex())
    return thing if isinstance(thing, (int, bool, str, type(None))) else bits(vars(thing))


class Run:
    """One telling of a scenario: its steps, what its calls gave, and the bits after each."""

    def __init__(self, compiled: bool):
        self.compiled, self.capture = compiled, minidl.capture if compiled else plain
        self.rng = np.random.default_rng(0)
        self.held: list = []
        self.outputs: list = []
        self.log: list = []
        self.errors: list[Exception] = []
        minidl.manual_seed(0)

    def hold(self, *things):
        """Compare these after each call; the first is given back."""
        self.held += things
        return things[0]

    def numbers(self, *shape, dtype=np.float32) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(dtype)

    def calls(self, step, *inputs, n: int = 1, **named):
        """n calls with these inputs; what the last one gave, or the name of the error that it raised."""
        for _ in range(n):
            try:
                with np.errstate(all="ignore"):  # NumPy warns of numbers that are not finite, compiled code does not
                    output = step(*inputs, **named)
            except Exception as error:
                if self.compiled and isinstance(error, minidl.CaptureError):
                    raise
                output = type(error).__name__
                self.errors.append(error)
            self.outputs.append(output)
            self.log.append((bits(output), *map(bits, self.held)))
        return output

    def maps(self, step, n: int = CALLS, shape=(6, 4), dtype=np.float32) -> None:
        """n calls step(x) with new numbers."""
        for _ in range(n):
            self.calls(step, self.numbers(*shape, dtype=dtype))

    def trains(self, step, n: int = CALLS, rows: int = 6) -> None:
        """n calls step(x, t) with new numbers (rows, 4) and labels from 0 to 2."""
        for _ in range(n):
            self.calls(step, self.numbers(rows, 4), self.rng.integers(0, 3, rows))

    def recorded(self, step, least: int, most: int | None = None) -> None:
        """The step was recorded so often, or from ``least`` to ``most`` times."""
        if self.compiled:
            most = least if most is None else most
            assert least <= step.recordings <= most, f"{step.recordings} recordings, expected {least} to {most}"

    def runs(self, step, path: str) -> None:
        """The step says that it runs so (a regular expression)."""
        if self.compiled:
            assert re.search(path, step.path), f"its path is {step.path!r}, expected {path!r}"


def training(run: Run, make=optim.Adam, model=None, **settings) -> SimpleNamespace:
    """A model, a loss, an optimizer and a step over them, all held."""
    model = model or nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    criterion, optimizer = nn.CrossEntropyLoss(), make(model.parameters(), **({"lr": 0.01} | settings))
    run.hold(model, optimizer)

    @run.capture
    def step(x, t):
        loss = criterion(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return SimpleNamespace(model=model, criterion=criterion, optimizer=optimizer, step=step)


def told(scenario: Callable[[Run], None]):
    """(the error that capture refused it with, or None; how many calls came before). The bits are compared here."""
    expected = Run(compiled=False)
    scenario(expected)
    got, refusal = Run(compiled=True), None
    try:
        scenario(got)
    except minidl.CaptureError as error:
        refusal = error
    for number, (mine, reference) in enumerate(zip(got.log, expected.log, strict=False)):
        assert mine == reference, f"call {number + 1} differs from plain Python"
    assert refusal or len(got.log) == len(expected.log)
    for number, (output, entry) in enumerate(zip(got.outputs, got.log, strict=True)):
        assert bits(output) == entry[0], f"what call {number + 1} gave was overwritten later"
    return refusal, len(got.log)


def _as_test(scenario: Callable[[Run], None], run: Callable[[], None]) -> Callable[[], None]:
    run.__name__, run.__doc__, run.__module__ = scenario.__name__, scenario.__doc__, scenario.__module__
    run.scenario = scenario
    return run


def right(scenario: Callable[[Run], None]) -> Callable[[], None]:
    """A test: every call of the scenario has plain Python's bits."""
    def run():
        refusal, _ = told(scenario)
        assert refusal is None, f"refused: {refusal}"

    return _as_test(scenario, run)


def right_or_refused(scenario: Callable[[Run], None]) -> Callable[[], None]:
    """A test: every call has plain Python's bits, or one is refused; no call gives another number."""
    def run():
        refusal, _ = told(scenario)
        assert refusal is None or str(refusal)

    return _as_test(scenario, run)


def refused(scenario: Callable[[Run], None]) -> Callable[[], None]:
    """A test: the first call is refused, with an error that names a way out."""
    def run():
        refusal, calls = told(scenario)
        assert refusal is not None and calls == 0, f"{calls} calls passed"
        assert isinstance(refusal, RuntimeError) and WAYS_OUT.search(str(refusal)), f"no way out in {refusal}"

    return _as_test(scenario, run)
