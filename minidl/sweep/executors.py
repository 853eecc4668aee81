"""Executors of ``concurrent.futures`` by name, from this process to a cluster.

    serial          in this process, one after the other
    processes       in as many processes as this machine has cores, processes:N in N
    dask:ADDRESS    on a Dask cluster whose scheduler listens at ADDRESS, as tcp://127.0.0.1:8786
    mpi             on the ranks of  mpiexec -n N python -m mpi4py.futures ...
"""
from __future__ import annotations

import importlib
import multiprocessing.context
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType

from .. import processor

THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
DASK_SECONDS = 5  # to wait for a scheduler's answer


class Serial(Executor):
    """Runs a task when it is submitted, in the thread that submits it: its future is done at once."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def opened(executor: Executor | str) -> AbstractContextManager[Executor]:
    """``with opened("processes:4") as pool:`` the executor of that name, shut down at the end.

    An Executor is returned as it is, and stays open. Raises ValueError for another name or less than one
    process, TypeError for anything else; when entered, ImportError if the library is not installed,
    ValueError for an address that is none, ConnectionError if no Dask scheduler answers, RuntimeError if
    MPI was not started for it.
    """
    if isinstance(executor, Executor):
        return nullcontext(executor)
    if not isinstance(executor, str):
        raise TypeError("executor: expected a name or a concurrent.futures.Executor, "
                        f"got {type(executor).__name__}")
    kind, colon, where = executor.partition(":")
    if kind == "serial" and not colon:
        return Serial()
    if kind == "processes":
        return _processes(_count(executor, where) if colon else processor.cores())
    if kind == "dask" and where:
        return _dask(where)
    if kind == "mpi" and not colon:
        return _mpi()
    raise ValueError(f"executor: expected serial, processes[:N], dask:ADDRESS or mpi, got {executor!r}")


def _count(executor: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"executor: expected processes:N with N >= 1, got {executor!r}")
    return int(text)


class _Worker(multiprocessing.context.SpawnProcess):
    """A process that ignores Ctrl-C from its start: interrupts are blocked until it ignores them."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            return super().start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which the process inherits
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Workers(multiprocessing.context.SpawnContext):
    """Processes that are started anew: forking copies locks that another thread may hold."""

    Process = _Worker


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    with _one_thread_each(), ProcessPoolExecutor(count, _Workers(), _leave_interrupts_to_the_parent) as pool:
        yield pool


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within compute on one thread each. Libraries read these variables when loaded."""
    before = {name: os.environ.get(name) for name in THREAD_COUNTS}
    os.environ.update(dict.fromkeys(THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; in a waiting worker it would break the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    distributed = _import("distributed", "dask")
    try:
        client = distributed.Client(address, timeout=DASK_SECONDS, set_as_default=False)
    except ValueError as error:
        raise ValueError(f"executor: expected dask:ADDRESS with an ADDRESS as tcp://127.0.0.1:8786, "
                         f"got 'dask:{address}' ({error})") from error
    except (OSError, TimeoutError) as error:
        raise ConnectionError(f"executor: expected a Dask scheduler at {address}, none answered "
                              f"within {DASK_SECONDS} s; start one with 'dask scheduler'") from error
    with client:
        yield client.get_executor(pure=False)  # if pure, Dask would run equal calls once


@contextmanager
def _mpi() -> Iterator[Executor]:
    futures = _import("mpi4py.futures", "mpi")
    if "mpi4py.futures" not in sys.orig_argv:
        raise RuntimeError("executor: expected mpi within 'mpiexec -n N python -m mpi4py.futures ...', "
                           f"got {' '.join(sys.orig_argv[:3])} ...")
    with futures.MPIPoolExecutor() as pool:
        yield pool


def _import(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"executor: {module} cannot be imported ({error}); "
                          f"pip install 'minidl[{extra}]' brings it") from error
