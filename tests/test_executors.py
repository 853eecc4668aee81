"""minidl.sweep.executors: names, processes, and libraries that are not installed."""
import os
import signal
import sys
import time

import pytest

from minidl.sweep import executors


def environment():
    return {name: os.environ.get(name) for name in executors.THREAD_COUNTS}


def test_processes_are_others_and_compute_on_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with executors.opened("processes:1") as pool:
        assert set(pool.submit(environment).result().values()) == {"1"}
        assert pool.submit(os.getpid).result() != os.getpid()
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_does_not_reach_a_process_from_its_first_moment_on(capfd):
    with executors.opened("processes:2") as pool:
        futures = [pool.submit(divmod, 7, 2), pool.submit(divmod, 7, 3)]
        until = time.monotonic() + 20
        while not all(future.done() for future in futures) and time.monotonic() < until:
            for pid in list(pool._processes):
                os.kill(pid, signal.SIGINT)
            time.sleep(0.002)
        assert [future.result() for future in futures] == [(3, 1), (2, 1)]
    assert capfd.readouterr().err == ""
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_serial_works_at_once_in_this_process():
    with executors.opened("serial") as pool:
        future = pool.submit(os.getpid)
        assert future.done() and future.result() == os.getpid()
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()


@pytest.mark.parametrize("name", ["gpu", "", "serial:2", "mpi:2", "dask", "dask:", "Processes"])
def test_unknown_executor(name):
    with pytest.raises(ValueError, match=r"expected serial, processes.*, dask:ADDRESS or mpi, got"):
        executors.opened(name)


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", ""])
def test_bad_number_of_processes(count):
    with pytest.raises(ValueError, match=f"processes:N with N >= 1, got 'processes:{count}'"):
        executors.opened(f"processes:{count}")


def test_an_executor_is_a_name_or_an_executor():
    with pytest.raises(TypeError, match=r"a name or a concurrent.futures.Executor, got int"):
        executors.opened(4)


@pytest.mark.parametrize("name, module, extra", [
    ("dask:tcp://127.0.0.1:1", "distributed", "dask"), ("mpi", "mpi4py.futures", "mpi")])
def test_a_missing_library_is_named_with_its_extra(name, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    advice = rf"{module} cannot be imported .*pip install 'minidl\[{extra}\]'"
    with pytest.raises(ImportError, match=advice), executors.opened(name):
        pass
