"""minidl.sweep: the grid, the runs, their file, and what stops a sweep."""
import functools
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest

from minidl.sweep import grid, sweep
from minidl.sweep import task as sweep_task

SMALL = {"dataset": "disk", "epochs": 2, "samples": 100, "hidden": 5}


def total(settings, seed):
    return {"total": settings["a"] + seed, "pair": (1, 2), "where": os.getpid()}


def odd_fails(settings, seed):
    if settings["a"] % 2:
        raise ArithmeticError(f"{settings['a']} is odd")
    return {"total": settings["a"]}


def fails_until_mended(settings, seed, mended):
    if settings["a"] == 2 and not mended:
        raise OSError("no")
    return {"mended": mended}


def dies(settings, seed):
    os._exit(3)


def mutates(settings, seed):
    settings["a"] = "changed"
    return {}


def returns(settings, seed, what):
    return what


def exits(settings, seed):
    sys.exit("enough")


def quiet(task, configurations, seeds=(0,), **options):
    return sweep(task, configurations, seeds, progress=False, **{"executor": "serial"} | options)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# The grid

def test_grid_is_the_product_with_the_last_axis_fastest():
    assert grid(a=[1, 2], b=("x", "y")) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    assert grid(a=iter(range(2))) == [{"a": 0}, {"a": 1}]


@pytest.mark.parametrize("axes, kind, match", [
    ({}, ValueError, "at least one setting"),
    ({"a": [], "b": [1]}, ValueError, "at least one value for a, got none"),
    ({"a": "relu"}, TypeError, "a list of values for a, got 'relu'"),
    ({"a": 3}, TypeError, "a list of values for a, got 3"),
])
def test_bad_grid(axes, kind, match):
    with pytest.raises(kind, match=match):
        grid(**axes)


# The sweep

def test_runs_come_in_the_order_of_configurations_and_seeds():
    runs = quiet(total, grid(a=[20, 10]), seeds=[1, 0])
    assert [(run.settings["a"], run.seed, run.result["total"]) for run in runs] == [
        (20, 1, 21), (20, 0, 20), (10, 1, 11), (10, 0, 10)]
    assert all(run.error is None and run.seconds >= 0 for run in runs)


def test_a_result_is_what_its_file_gives_back(tmp_path):
    first = quiet(total, [{"a": 1}], path=tmp_path / "s.jsonl")
    again = quiet(total, [{"a": 1}], path=tmp_path / "s.jsonl")
    assert first == again
    assert first[0].result["pair"] == [1, 2]


def test_processes_give_the_results_of_one_process():
    configurations = [SMALL | more for more in grid(layers=[1, 2], momentum=[0.0, 0.9])]
    one = quiet(sweep_task.train, configurations, [0, 1])
    two = quiet(sweep_task.train, configurations, [0, 1], executor="processes:2")
    assert [run.result for run in one] == [run.result for run in two]
    assert len({json.dumps(run.result) for run in one}) == len(one)


def test_any_executor_serves_and_stays_open():
    with ThreadPoolExecutor(2) as pool:
        runs = quiet(total, grid(a=range(5)), executor=pool)
        assert [run.result["total"] for run in runs] == list(range(5))
        assert pool.submit(len, "open").result() == 4


def test_a_task_that_fails_is_recorded_and_the_rest_goes_on(tmp_path):
    runs = quiet(odd_fails, grid(a=range(4)), path=tmp_path / "s.jsonl")
    assert [run.error is None for run in runs] == [True, False, True, False]
    assert runs[1].result is None
    assert runs[1].error["type"] == "ArithmeticError" and runs[1].error["message"] == "1 is odd"
    assert "in odd_fails" in runs[1].error["traceback"]
    assert len(lines(tmp_path / "s.jsonl")) == 5


@pytest.mark.parametrize("task, kind, message", [
    (functools.partial(returns, what=[1]), "TypeError", "return a dict, got list"),
    (functools.partial(returns, what={"x": np.float32(1)}), "TypeError", "float32"),
    (functools.partial(returns, what={"x": float("nan")}), "ValueError", "not JSON compliant"),
    (exits, "SystemExit", "enough"),
])
def test_an_unusable_result_is_a_failure(task, kind, message):
    run, = quiet(task, [{}])
    assert run.error["type"] == kind and message in run.error["message"]


def test_a_task_cannot_change_the_settings(tmp_path):
    configurations = [{"a": 1}]
    run, = quiet(mutates, configurations, path=tmp_path / "s.jsonl")
    assert run.settings == {"a": 1} == configurations[0]
    assert lines(tmp_path / "s.jsonl")[1]["settings"] == {"a": 1}


@pytest.mark.parametrize("configurations, seeds, kind, match", [
    ([], [0], ValueError, "at least one configuration and one seed, got 0 and 1"),
    ([{}], [], ValueError, "got 1 and 0"),
    ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], [0], ValueError, "once, got .* with seed 0 twice"),
    ([{}], [1, 1], ValueError, "seed 1 twice"),
    ([3], [0], TypeError, "each configuration as a dict, got 3"),
    ([{"a": np.float32(1)}], [0], TypeError, "JSON can hold, got 'a'"),
    ([{"a": (1, 2)}], [0], TypeError, "JSON can hold, got 'a': .1, 2."),
    ([{"a": float("inf")}], [0], TypeError, "JSON can hold, got 'a': inf"),
    ([{"a": {1: 2}}], [0], TypeError, "JSON can hold"),
    ([{1: 2}], [0], TypeError, "JSON can hold, got 1: 2"),
    ([{}], [0.5], TypeError, "seeds to be ints, got 0.5"),
    ([{}], [True], TypeError, "seeds to be ints, got True"),
    ([{}], [-1], ValueError, "seeds >= 0, got -1"),
])
def test_bad_plan(configurations, seeds, kind, match, tmp_path):
    with pytest.raises(kind, match=match):
        quiet(total, configurations, seeds, path=tmp_path / "s.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_task_must_be_callable():
    with pytest.raises(TypeError, match="expected a function of settings and seed, got int"):
        quiet(3, [{}])


# The file

def test_a_sweep_continues_and_may_grow(tmp_path):
    path = tmp_path / "s.jsonl"
    before = quiet(total, grid(a=[1, 2]), path=path)
    after = quiet(total, grid(a=[0, 1, 2]), seeds=[0, 1], path=path)
    assert before == [after[2], after[4]]
    assert len(lines(path)) == 1 + 6


def test_failures_are_repeated_only_when_asked(tmp_path):
    path, configurations = tmp_path / "s.jsonl", grid(a=[1, 2])
    broken, mended = (functools.partial(fails_until_mended, mended=value) for value in (False, True))
    quiet(broken, configurations, path=path)
    assert quiet(mended, configurations, path=path)[1].error["type"] == "OSError"
    runs = quiet(mended, configurations, path=path, retry_failed=True)
    assert [run.result for run in runs] == [{"mended": False}, {"mended": True}]
    assert quiet(mended, configurations, path=path) == runs


def test_every_line_is_there_as_soon_as_its_run_ends(tmp_path):
    path = tmp_path / "s.jsonl"

    def counts(settings, seed):
        return {"lines": len(lines(path))}

    assert [run.result["lines"] for run in quiet(counts, grid(a=range(3)), path=path)] == [1, 2, 3]


def test_a_file_cut_anywhere_is_continued(tmp_path):
    path, configurations = tmp_path / "s.jsonl", grid(a=[1, 2])
    runs = quiet(returns_a, configurations, path=path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        again = quiet(returns_a, configurations, path=path)
        assert [run.result for run in again] == [run.result for run in runs]
        assert len(lines(path)) == 3


def returns_a(settings, seed):
    return {"a": settings["a"], "text": "ünicode\nline"}


@pytest.mark.parametrize("content, match", [
    (b'{"sweep of": "elsewhere.task"}\n', "the file of a sweep of .*total, got one that begins with"),
    (b"some notes of mine", "got one that begins with 'some notes of mine'"),
    (b"\x89PNG\r\n\x1a\n\xff", "got one that begins with"),
])
def test_another_file_is_refused_and_left_alone(content, match, tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        quiet(total, [{"a": 1}], path=path)
    assert path.read_bytes() == content


def test_a_file_with_other_configurations_is_refused(tmp_path):
    path = tmp_path / "s.jsonl"
    quiet(total, grid(a=[1, 2]), path=path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"expected runs of this sweep, got one of {'a': 1} with seed 0"):
        quiet(total, grid(a=[2, 3]), path=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", [
    b"{'a': 1}", b"", b"[1, 2]", b'{"settings": {}}', b"\xff\xfe", b'{"seed": 0'])
def test_a_file_damaged_in_the_middle_is_refused(damage, tmp_path):
    path = tmp_path / "s.jsonl"
    quiet(total, grid(a=[1, 2, 3]), path=path)
    content = path.read_bytes().splitlines(keepends=True)
    content[2] = damage + b"\n"
    path.write_bytes(b"".join(content))
    with pytest.raises(ValueError, match=r"s.jsonl, line 3: expected a run of a sweep, got"):
        quiet(total, grid(a=[1, 2, 3]), path=path)
    assert path.read_bytes() == b"".join(content)


def test_a_folder_that_cannot_be_written_stops_the_sweep_before_its_first_task(tmp_path):
    (tmp_path / "file").touch()
    ran = []
    with pytest.raises(OSError, match="file"):
        quiet(lambda settings, seed: ran.append(1) or {}, [{}], path=tmp_path / "file" / "s.jsonl")
    assert not ran


# When it is stopped

def test_ctrl_c_keeps_what_has_ended_and_the_sweep_goes_on(tmp_path):
    path, asked = tmp_path / "s.jsonl", []

    def third_is_interrupted(settings, seed):
        asked.append(settings["a"])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        quiet(third_is_interrupted, grid(a=range(5)), path=path)
    assert len(lines(path)) == 3
    quiet(third_is_interrupted, grid(a=range(5)), path=path)
    assert asked == [0, 1, 2, 2, 3, 4]


def test_ctrl_c_cancels_what_has_not_begun_and_records_what_is_running(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def waits(settings, seed):
        begun.set()
        assert go_on.wait(10)
        return {}

    def press():
        assert begun.wait(10)
        time.sleep(0.2)  # the other tasks are submitted meanwhile
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        go_on.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    thread = threading.Thread(target=press)
    thread.start()
    try:
        with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
            quiet(waits, grid(a=range(5)), executor=pool, path=tmp_path / "s.jsonl")
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert [line["settings"] for line in lines(tmp_path / "s.jsonl")[1:]] == [{"a": 0}]


def test_a_worker_that_dies_stops_the_sweep_and_loses_nothing(tmp_path):
    with pytest.raises(RuntimeError, match=r"the executor gave up .BrokenProcessPool.*goes on from there"):
        quiet(dies, [{}], executor="processes:1", path=tmp_path / "s.jsonl")
    assert len(lines(tmp_path / "s.jsonl")) == 1


class Unlucky(Executor):
    """Has an exception of its own for one task, as Dask after losing several workers to it."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if args[1]["a"] == 1:
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_an_error_of_the_executor_counts_for_its_task():
    pool = Unlucky()
    pool.error = OSError("the worker is gone")
    runs = quiet(total, grid(a=range(3)), executor=pool)
    assert [run.error is None for run in runs] == [True, False, True]
    assert runs[1].error["message"] == "the worker is gone"
    pool.error = BrokenExecutor("all is lost")
    with pytest.raises(RuntimeError, match="all is lost"):
        quiet(total, grid(a=range(3)), executor=pool)
