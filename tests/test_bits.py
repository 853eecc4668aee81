"""The same seed gives the same weights: plain or captured, on 1, 2 or 3 threads, with AVX2 or AVX-512, again."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from minidl.kernels.cpu import targets

SCRIPT = Path(__file__).parent / "scripts" / "bits.py"
NETWORKS = ["disk", "digits", "dropping", "lenet", "normalised", "recurrent"]


@cache
def table(isa: str, run: int = 1) -> dict:
    """{network: {way: hash}} of a process of its own."""
    done = subprocess.run([sys.executable, SCRIPT], env=os.environ | {"MINIDL_ISA": isa}, check=True,
                          capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout)
    assert found["isa"] == isa
    return found


def vector_targets() -> list[str]:
    """generic takes minutes here: its fused multiply-add is a call; test_kernels.py compares its kernels."""
    return [target for target in targets() if target != "generic"]


@pytest.mark.parametrize("network", NETWORKS)
def test_plain_and_captured_on_any_number_of_threads(network):
    if not vector_targets():
        pytest.skip("this processor has no vector target")
    hashes = table(vector_targets()[0])[network]
    assert set(hashes.values()) == {hashes["plain"]}


@pytest.mark.parametrize("network", NETWORKS)
def test_avx2_and_avx512(network):
    if len(vector_targets()) < 2:
        pytest.skip("this processor has one vector target")
    first, second = vector_targets()
    assert table(first)[network] == table(second)[network]


def test_two_runs():
    if not vector_targets():
        pytest.skip("this processor has no vector target")
    isa = vector_targets()[0]
    assert table(isa, run=1) == table(isa, run=2)
