"""Runs of a sweep that share a worker's call: the results of single ones, each with its own error."""
import functools
import json

import pytest

from minidl.sweep import grid, sweep
from minidl.sweep import task as sweep_task
from minidl.sweep.sweeping import Together
from minidl.sweep.together import chunks, results, together

SMALL = {"dataset": "disk", "epochs": 2, "samples": 100, "hidden": 5}


def made(configurations, seeds=(0, 1), executor="serial", **options):
    runs = sweep(sweep_task.train, configurations, seeds, executor=executor, progress=False, **options)
    return [(run.settings, run.seed, run.result, run.error and (run.error["type"], run.error["message"]))
            for run in runs]


@pytest.mark.parametrize("executor", ["serial", "processes:2"])
def test_the_results_and_errors_of_single_runs(executor, tmp_path):
    configurations = [SMALL | one for one in [
        *grid(layers=[1, 3], activation=["relu", "tanh"]), {"lr": 1e9, "init": "normal"}, {"momentum": 0.9},
        {"decay": 0.5, "lr": 3.0}, {"layers": 0}, {"layers": "two"}, {"epochs": 3}, {"split_seed": 4}]]
    seeds = range(8)
    single = made(configurations, seeds)
    assert any(error and error[0] == "FloatingPointError" for *_, error in single)
    assert made(configurations, seeds, executor, together=together(), path=tmp_path / "log") == single
    assert len((tmp_path / "log").read_text().splitlines()) >= len(single)


def test_every_run_is_in_one_chunk_and_those_of_a_chunk_train_on_the_same_points():
    items = [(settings, seed) for seed in range(30) for settings in
             [SMALL, SMALL | {"batch_size": 7}, {"dataset": "mnist"}, SMALL | {"hidden": 5000}]]
    found = chunks(items)
    key = functools.partial(json.dumps, sort_keys=True)
    assert sorted(key(item) for chunk in found for item in chunk) == sorted(map(key, items))
    for chunk in found:
        assert len({settings.get("batch_size") for settings, _ in chunk}) == 1
        assert len(chunk) == 1 or all(one["dataset"] == "disk" and one["hidden"] == 5 for one, _ in chunk)
    assert max(map(len, found)) > 1


def test_a_chunk_is_trained_by_one_call(monkeypatch):
    calls = []

    def counting(items, **options):
        calls.append(len(items))
        return results(items, **options)

    runs = made([SMALL], range(32), together=Together(chunks, counting))
    assert sum(calls) == 32 == len(runs) and len(calls) < 32


def test_what_the_call_raises_is_made_one_by_one():
    def broken(items):
        raise OSError("no")

    assert made([SMALL], range(16), together=Together(chunks, broken)) == made([SMALL], range(16))


def test_ctrl_c_keeps_what_has_ended(tmp_path):
    def interrupted(items):
        if items[0][1] > 5:
            raise KeyboardInterrupt
        return results(items)

    with pytest.raises(KeyboardInterrupt):
        made([SMALL], range(16), together=Together(chunks, interrupted), path=tmp_path / "log")
    assert '"seed": 5' in (tmp_path / "log").read_text()
    assert made([SMALL], range(16), together=together(), path=tmp_path / "log") == made([SMALL], range(16))
