"""What the benchmarks share: one thread for each rival, and the timing of a call with its throughput."""
from __future__ import annotations

from collections.abc import Callable

import machine
import pytest


def pytest_report_header() -> str:
    return "bench: " + machine.line()


def pytest_benchmark_update_machine_info(machine_info: dict) -> None:
    machine_info["rivals"] = machine.versions()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A fifth of a second each: there are hundreds, and the least time is settled by then."""
    for item in items:
        item.add_marker(pytest.mark.benchmark(min_rounds=5, max_time=0.2, warmup=True, warmup_iterations=20))


@pytest.fixture
def timed(benchmark) -> Callable:
    """Time a call, next to the others of its group, and write its best throughput to ``extra_info``.

    samples : in the batch, for "samples/s".
    flops : floating-point operations of the call's products, for "GFLOP/s".
    elements : numbers that an elementwise call goes through, for "ns/element".
    """
    def run(call: Callable, *, group: str, samples: int, flops: int = 0, elements: int = 0) -> None:
        benchmark.group = group
        benchmark(call)
        if benchmark.stats is None:  # --benchmark-disable
            return
        seconds = benchmark.stats.stats.min
        benchmark.extra_info["samples/s"] = round(samples / seconds)
        if flops:
            benchmark.extra_info["GFLOP/s"] = round(flops / seconds / 1e9, 3)
        if elements:
            benchmark.extra_info["ns/element"] = round(seconds * 1e9 / elements, 3)
    return run
