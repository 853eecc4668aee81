"""minidl.sweep on a real Dask cluster and on MPI ranks: the results of one process, whatever dies."""
import contextlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from mpi import ONE_THREAD, mpiexec

from minidl.sweep import grid, sweep
from minidl.sweep import task as sweep_task

SETTINGS = ["--dataset", "disk", "--grid", "layers=2,3", "momentum=0,0.9", "--epochs", "3", "--seeds", "2"]


def rows(text):
    return json.loads(text)["rows"]


def slow_sweep(**options):
    """Twelve runs of some tenths of a second."""
    configurations = grid(dataset=["disk"], epochs=[60], layers=[2, 3, 4])
    return sweep(sweep_task.train, configurations, range(4), progress=False, **options)


def by_command(folder, *options):
    command = [sys.executable, "-m", "minidl", "sweep", *SETTINGS, *options, "--json", "--out", folder]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def recorded(path):
    """The runs in the file, in the order in which they ended."""
    return [json.loads(line) for line in path.read_text().splitlines()[1:]] if path.exists() else []


def kill_after_the_first_run(process, path):
    """How many runs had ended when the process was killed."""
    while not recorded(path):
        time.sleep(0.01)
    process.kill()
    return len(recorded(path))


@contextlib.contextmanager
def dask(*arguments):
    """A process of the dask command, ended with the block."""
    pytest.importorskip("distributed")
    process = subprocess.Popen([sys.executable, "-m", "dask", *arguments], env=os.environ | ONE_THREAD,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


class Cluster(NamedTuple):
    address: str
    scheduler: subprocess.Popen
    workers: tuple[subprocess.Popen, subprocess.Popen]


@pytest.fixture
def cluster(tmp_path):
    """A Dask cluster of two worker processes on loopback."""
    file = tmp_path / "scheduler.json"
    loopback = ["--host", "127.0.0.1", "--scheduler-file", str(file)]
    with dask("scheduler", *loopback, "--port", "0", "--no-dashboard") as scheduler:
        worker = ["worker", *loopback, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                  "--local-directory", str(tmp_path)]
        with dask(*worker) as first, dask(*worker) as second:
            from distributed import Client
            deadline = time.monotonic() + 30
            while not file.exists():
                assert time.monotonic() < deadline, "no scheduler within 30 s"
                time.sleep(0.05)
            address = json.loads(file.read_text())["address"]
            with Client(address, timeout=30, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=30)
            yield Cluster(address, scheduler, (first, second))


def test_dask_gives_the_results_of_one_process(cluster, tmp_path):
    one = by_command(tmp_path / "one", "--executor", "serial")
    two = by_command(tmp_path / "two", "--executor", f"dask:{cluster.address}")
    assert rows(one) == rows(two) and len(rows(one)) == 4


def test_a_dask_worker_killed_in_the_middle_loses_nothing(cluster, tmp_path):
    path, (first, second) = tmp_path / "sweep.jsonl", cluster.workers
    before = ThreadPoolExecutor(1).submit(kill_after_the_first_run, first, path)
    runs = slow_sweep(executor=f"dask:{cluster.address}", path=path)
    assert before.result(10) < len(runs) == len(recorded(path)) == 12
    assert first.poll() is not None and second.poll() is None
    expected = slow_sweep(executor="processes:2")
    assert [(run.error, run.result) for run in runs] == [(None, run.result) for run in expected]


def test_a_dask_scheduler_that_dies_stops_the_sweep_and_loses_nothing(cluster, tmp_path):
    path = tmp_path / "sweep.jsonl"
    before = ThreadPoolExecutor(1).submit(kill_after_the_first_run, cluster.scheduler, path)
    with pytest.raises(RuntimeError, match="the executor gave up"):
        slow_sweep(executor=f"dask:{cluster.address}", path=path)
    assert before.result(10) <= len(recorded(path)) < 12


def test_a_dask_scheduler_that_does_not_answer_is_an_error_within_seconds(tmp_path):
    pytest.importorskip("distributed")
    begin = time.monotonic()
    with pytest.raises(ConnectionError, match=r"a Dask scheduler at tcp://127.0.0.1:1, none answered"):
        slow_sweep(executor="dask:tcp://127.0.0.1:1", path=tmp_path / "s.jsonl")
    assert time.monotonic() - begin < 15
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["nonsense://127.0.0.1:1", "tcp://127.0.0.1:port"])
def test_a_dask_address_that_is_none(address):
    pytest.importorskip("distributed")
    with pytest.raises(ValueError, match=f"an ADDRESS as tcp://.*, got 'dask:{address}'"):
        slow_sweep(executor=f"dask:{address}")


def test_mpi_gives_the_results_of_one_process(tmp_path):
    three = mpiexec(3, "-m", "mpi4py.futures", "-m", "minidl", "sweep", *SETTINGS, "--executor", "mpi",
                    "--json", "--out", str(tmp_path / "three"))
    assert rows(three) == rows(by_command(tmp_path / "one", "--executor", "serial"))


def test_mpi_must_be_started_for_it():
    pytest.importorskip("mpi4py")
    with pytest.raises(RuntimeError, match=r"expected mpi within 'mpiexec -n N python -m mpi4py.futures"):
        slow_sweep(executor="mpi")
