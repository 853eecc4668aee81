"""A program of a recorded step, written by hand: many steps in one call, what ends them, and which arguments fit."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.autograd.parameter import Parameter
from minidl.kernels.replay import UNFIT, Replay

DTYPES = (np.float32, np.float64)
TABLES = {np.dtype(dtype): kernels.of(dtype).TABLE for dtype in DTYPES}
N, COLUMNS, MOST_ARRAYS = 12, 3, 8
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


class Step:
    """output = relu(x + t), loss = the sum of the output, for x and t (rows, columns); a Python function after it."""

    def __init__(self, dtype, rows: int, columns: int = COLUMNS, function=None):
        self.dtype, self.rows, self.columns = np.dtype(dtype), rows, columns
        self.x, self.t, self.sum, self.output = (np.zeros((rows, columns), dtype) for _ in range(4))
        self.loss = np.zeros((1, 1))
        self.program = program = Replay(TABLES)
        program.argument(self.x)
        program.argument(self.t)
        program.kernel("add", self.dtype, self.sum, self.x, self.t)
        program.kernel("relu", self.dtype, self.output, self.sum)
        program.kernel("total", self.dtype, None, self.output, number=self.loss)
        if function is not None:
            program.call(function)
        program.next_check = 0  # it is never due to be checked
        self.interrupt = SimpleNamespace(requested=False)

    def data(self):
        rng = np.random.default_rng(0)
        return tuple(rng.normal(size=(N, self.columns)).astype(self.dtype) for _ in range(2))

    def steps(self, arrays, order, *more, total=0.0):
        return self.program.steps(tuple(arrays), order, self.rows, total, self.loss, self.interrupt, *more)

    def wanted(self, arrays, order) -> list:
        """The output of each batch."""
        return [np.maximum(sum(a[order[i:i + self.rows]] for a in arrays), 0)
                for i in range(0, len(order) - self.rows + 1, self.rows)]


@every_dtype
@pytest.mark.parametrize("rows", [1, 3, 5, 12])
def test_steps_are_those_of_each_batch(dtype, rows):
    """Any order of the rows, the first and the last among them; a shorter batch at the end is left to others."""
    step = Step(dtype, rows)
    arrays = step.data()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(N)
        losses, total, wrong = step.steps(arrays, order, total=2.0)
        wanted = [y.sum(dtype=np.float64) for y in step.wanted(arrays, order)]
        np.testing.assert_allclose(losses, wanted, rtol=1e-6)
        np.testing.assert_allclose(total, 2 + rows * sum(losses), rtol=1e-12)
        assert wrong == 0 and step.program.replays == (seed + 1) * (N // rows) and not step.program.running
        np.testing.assert_array_equal(step.output, step.wanted(arrays, order)[-1])


@every_dtype
@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("rows", [1, 4])
def test_steps_count_the_rows_of_another_class(dtype, columns, rows):
    """The class is the first of the largest outputs; of one output, whether it is above the threshold."""
    step = Step(dtype, rows, columns)
    arrays = tuple(np.round(a) for a in step.data())  # with ties
    order, truth = np.random.default_rng(1).permutation(N), np.random.default_rng(2).integers(0, max(columns, 2), N)
    outputs = np.concatenate(step.wanted(arrays, order))
    for threshold in (0.0, 0.5, 1.0):
        classes = outputs.argmax(axis=1) if columns > 1 else outputs[:, 0] > threshold
        losses, _, wrong = step.steps(arrays, order, step.output, truth, threshold)
        assert len(losses) == N // rows and wrong == (classes != truth[order]).sum()


@pytest.mark.parametrize("guard", [0, 1, 2])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_guard_that_fails_ends_the_steps(guard, at):
    """Before the first, and where one of them changes what is guarded."""
    namespace, ran = {"a": 1, "b": 1, "c": 1}, []

    def function():
        ran.append(1)
        if len(ran) == at:
            namespace["abc"[guard]] = 2

    step = Step(np.float32, 2, function=function)
    for name in namespace:
        step.program.guards.name(namespace, name, name)
    if at == 0:
        namespace["abc"[guard]] = 2
    losses, *_ = step.steps(step.data(), np.arange(N))
    assert len(losses) == len(ran) == at


@pytest.mark.parametrize("ends", [1, 2, 4])
def test_steps_end_where_one_is_due_to_be_checked(ends):
    step = Step(np.float32, 2)
    step.program.next_check = ends
    losses, *_ = step.steps(step.data(), np.arange(N))
    assert len(losses) == step.program.replays == ends - 1


@pytest.mark.parametrize("row", [0, 1, 3])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_steps_end_with_a_loss_that_is_not_finite(row, value):
    """Which is given, but not added to the total; a step after it does not run."""
    step = Step(np.float64, 1)
    x, t = step.data()
    x[row], t[row] = (value, 0) if value != -np.inf else (np.inf, 1)
    losses, total, _ = step.steps((x, t), np.arange(N))
    assert len(losses) == row + 1 and not np.isfinite(losses[-1]) and np.isfinite(losses[:-1]).all()
    assert total == sum(losses[:-1])


@pytest.mark.parametrize("ends", [1, 3])
def test_steps_end_where_an_interrupt_is_requested(ends):
    ran = []

    def function():
        ran.append(1)
        step.interrupt.requested = len(ran) == ends

    step = Step(np.float32, 2, function=function)
    losses, total, _ = step.steps(step.data(), np.arange(N))
    assert len(losses) == len(ran) == ends and total == 2 * sum(losses)


@pytest.mark.parametrize("place, number", [(0, -1), (0, N), (5, -1), (5, N), (N - 1, 2**40)])
def test_steps_end_before_a_row_that_is_not_there(place, number):
    step, order = Step(np.float32, 2), np.arange(N)
    order[place] = number
    losses, *_ = step.steps(step.data(), order)
    assert len(losses) == step.program.replays == place // 2


def test_an_error_of_a_step_comes_through_and_the_program_can_run_again():
    fails = [True]

    def function():
        with pytest.raises(RuntimeError, match="running already"):
            step.steps(step.data(), np.arange(N))
        with pytest.raises(RuntimeError, match="running already"):
            step.program.replayed(step.data(), lambda: None)
        if fails:
            raise KeyError("mine")

    step = Step(np.float32, 3, function=function)
    with pytest.raises(KeyError, match="mine"):
        step.steps(step.data(), np.arange(N))
    assert not step.program.running
    fails.clear()
    assert len(step.steps(step.data(), np.arange(N))[0]) == 4


def test_steps_refuse_other_arrays():
    """None runs: another number, type or shape of arrays, and what the program cannot read in place."""
    step = Step(np.float32, 4)
    x, t = step.data()
    order, truth = np.arange(N), np.zeros(N, np.int64)
    unaligned = np.frombuffer(b"x" + order.tobytes(), np.int64, offset=1)
    for arrays in [(x,), (x, t, x), (), (x.astype(np.float64), t), (x, t.astype(np.float64)), (x[:, :2], t),
                   (x, t[:, :, None]), (list(x), t), (x, t[:-1]), (x[::2], t[::2]), (np.asfortranarray(x), t),
                   (x, np.asfortranarray(t))]:
        assert step.steps(arrays, order) == ([], 0.0, 0)
    assert step.steps((x, t), unaligned) == ([], 0.0, 0)
    for output, given in ((step.output, truth[:-1]), (step.output[:2], truth),
                          (step.output, np.frombuffer(b"x" + truth.tobytes(), np.int64, offset=1))):
        assert step.steps((x, t), order, output, given) == ([], 0.0, 0)
    for batch in (0, -4, 3, 5):
        assert step.program.steps((x, t), order, batch, 0.0, step.loss, step.interrupt) == ([], 0.0, 0)
    assert step.program.replays == 0 and not step.program.running
    assert len(step.steps((x, t), order, step.output, truth)[0]) == 3


def replayed(program, *args):
    found = program.replayed(args, lambda: "ran")
    return found == "ran"


ARRAYS = [  # as they lie, and whether the argument's kind is that of float32 (4, 3)
    (lambda a: a, True), (np.asfortranarray, True), (lambda a: np.repeat(a, 2, axis=0)[::2], True),
    (lambda a: np.repeat(a, 2, axis=1)[:, ::2], True), (lambda a: a[::-1].copy()[::-1], True),
    (lambda a: a[:, ::-1].copy()[:, ::-1], True), (minidl.tensor, True), (lambda a: a.astype(np.float64), False),
    (lambda a: a[:3], False), (lambda a: a[:, :2], False), (lambda a: a.reshape(3, 4), False),
    (lambda a: a.tolist(), False), (lambda a: a.astype(np.float32).view(np.int32), False), (lambda a: None, False)]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("lies, fits", ARRAYS)
def test_arrays_that_fit_are_copied_however_they_lie(lies, fits, place):
    step = Step(np.float32, 4)
    arrays = [a[:4] for a in step.data()]
    given = list(arrays)
    given[place] = lies(arrays[place])
    assert replayed(step.program, *given) is fits
    wanted = arrays if fits else [np.zeros_like(a) for a in arrays]
    np.testing.assert_array_equal(step.x, wanted[0])
    np.testing.assert_array_equal(step.t, wanted[1])
    assert step.program.replays == fits
    assert not replayed(step.program, *arrays[:1]) and not replayed(step.program, *arrays, 1)


OBJECT = object()
STATIC = [(1, int("1"), True), (1000, int("1000"), True), (1, 2, False), (1, 1.0, False), (1, True, False),
          (2.5, float("2.5"), True), (0.0, -0.0, False), ("ab", "".join("ab"), True), ("a", "b", False),
          (None, None, True), (None, 0, False), (OBJECT, OBJECT, True), (OBJECT, object(), False), ([], [], False)]


@pytest.mark.parametrize("before, now, fits", STATIC)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_other_arguments_are_as_they_were(before, now, fits, place):
    """The same object, or a number or string of the same type and value."""
    program, x, loss = Replay(TABLES), np.zeros((4, 3), np.float32), np.zeros((1, 1))
    for i in range(3):
        program.argument((before,) if i == place else (i,) if i else x)
    program.kernel("total", x.dtype, None, np.ones((4, 3), np.float32), number=loss)
    program.next_check = 0
    args = [np.ones((4, 3), np.float32), 1, 2]
    assert place == 0 or replayed(program, *args[:place], before, *args[place + 1:])
    assert replayed(program, *args[:place], now, *args[place + 1:]) is fits


@pytest.mark.parametrize("count", [1, 2, MOST_ARRAYS - 1, MOST_ARRAYS, MOST_ARRAYS + 1])
def test_steps_take_so_many_arrays(count):
    program, out, loss = Replay(TABLES), np.zeros((2, 3), np.float32), np.zeros((1, 1))
    inputs = [np.zeros((2, 3), np.float32) for _ in range(count)]
    for array in inputs:
        program.argument(array)
        program.kernel("add", out.dtype, out, out, array)
    program.kernel("total", out.dtype, None, out, number=loss)
    program.next_check = 0
    arrays = tuple(np.full((4, 3), i, np.float32) for i in range(count))
    losses, *_ = program.steps(arrays, np.arange(4), 2, 0.0, loss, SimpleNamespace(requested=False))
    assert losses == ([6.0 * sum(range(count)), 12.0 * sum(range(count))] if count <= MOST_ARRAYS else [])


@pytest.mark.parametrize("rows", [4, 4000])
def test_every_instruction_runs_once_and_in_order(rows):
    """Also without the interpreter's lock, for large arrays; Python functions and settings between the kernels."""
    rng, ran = np.random.default_rng(0), []
    program, x, setting, loss = Replay(TABLES), rng.normal(size=(rows, 40)), np.full((1, 1), 2.0), np.zeros((1, 1))
    y, z, last = (np.zeros_like(x) for _ in range(3))
    program.kernel("add", x.dtype, y, x, x)
    program.kernel("multiply", x.dtype, y, y, x)
    program.call(lambda: ran.append(y.copy()))
    program.kernel("scale", x.dtype, z, y, setting_from=setting)
    program.kernel("total", x.dtype, None, z, number=loss)
    program.call(lambda: ran.append(z.copy()))
    program.kernel("scale", x.dtype, last, z, setting_from=setting)
    program.next_check = 0
    for value in (2.0, -0.5):
        setting[...] = value
        assert replayed(program)
        np.testing.assert_array_equal(ran[0], (x + x) * x)
        np.testing.assert_array_equal(ran[1], (x + x) * x * value)
        np.testing.assert_array_equal(last, (x + x) * x * value * value)
        np.testing.assert_allclose(loss, ran[1].sum(), rtol=1e-9)
        assert len(ran) == 2
        ran.clear()


@pytest.mark.parametrize("number", [np.zeros((1, 1)), np.zeros((1, 1), np.float32)])
@pytest.mark.parametrize("value", [1.0, np.inf, -np.inf, np.nan])
def test_a_program_ends_where_a_number_is_not_finite(value, number):
    """Timed as well; either leaves it ready to run again."""
    program, ran = Replay(TABLES), []
    x = np.zeros((1, 1), number.dtype)
    program.argument(x)
    program.kernel("add", number.dtype, number, x, x)
    program.finite(number)
    program.call(lambda: ran.append(1))
    program.next_check = 0
    given = np.full((1, 1), value, number.dtype)
    for times in range(1, 4):
        seconds = program.clocked((given,))
        assert len(seconds) == len(program) == 3 and (seconds[:2] > 0).all() and (seconds[2] > 0) == np.isfinite(value)
        assert len(ran) == (2 * times - 1 if np.isfinite(value) else 0)
        assert replayed(program, given) and not program.running
        assert len(ran) == (2 * times if np.isfinite(value) else 0)
    assert program.clocked(()) is UNFIT and not program.running


@pytest.mark.parametrize("kind, before, after", [
    ("reached", False, True), ("reached", True, True), ("cleared", True, False), ("cleared", False, False)])
def test_a_program_marks_gradients(kind, before, after):
    program, parameter = Replay(TABLES), Parameter(np.ones((2, 3), np.float32))
    program.mark(kind, parameter.status)
    program.next_check = 0
    parameter.status.has_grad, version = before, parameter.status.version
    assert replayed(program)
    assert parameter.status.has_grad is after and parameter.status.version == version


def test_a_program_counts_changes():
    program, parameter = Replay(TABLES), Parameter(np.ones((2, 3), np.float32))
    program.mark("changed", parameter.status)
    version, had = parameter.status.version, parameter.status.has_grad
    for times in range(1, 4):
        assert replayed(program)
        assert parameter.status.version == version + times and parameter.status.has_grad == had


@pytest.mark.parametrize("who, error", [("loss", ValueError), ("embedding", IndexError)])
@pytest.mark.parametrize("rows", [1, 4])
def test_labels_are_checked_where_they_are_used(who, error, rows):
    """Those that the program makes itself raise; among the arguments one below zero is left to Python."""
    z, loss = np.arange(3.0 * rows).reshape(rows, 3), np.zeros((1, 1))
    labels, own = np.zeros((1, rows), np.int64), np.zeros((1, rows), np.int64)
    program = Replay(TABLES)
    program.argument(labels)
    program.kernel("gather_labels_total", z.dtype, None, z, c=labels, number=loss, who=who)
    program.kernel("gather_labels_total", z.dtype, None, z, c=own, number=loss, who=who)
    program.next_check = 0
    for place in range(rows):
        for label in (0, 1, 2):
            given = np.zeros((1, rows), np.int64)
            given[0, place] = own[0, place] = label
            assert replayed(program, given) and loss.item() == z[np.arange(rows), own[0]].sum()
        own[...] = 0
        given[0, place] = -1
        assert not replayed(program, given)
        for wrong, array in ((3, given), (3, own), (-1, own)):
            given[...] = own[...] = 0
            array[0, place] = wrong
            with pytest.raises(error, match=rf"^{who}: expected (labels|indices) from 0 to 2, got {wrong}"):
                replayed(program, given)
            assert not program.running
        own[...] = 0
