"""The targets that are offered are those that were built and that the operating system says the processor has."""
from __future__ import annotations

import platform
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from minidl.kernels.cpu import targets

INFORMATION = Path("/proc/cpuinfo")
NEEDS = {"avx512": {"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"}, "avx2": {"avx2", "fma"},
         "neon": {"asimd"}, "generic": set()}  # the best first


@pytest.mark.skipif(not INFORMATION.exists(), reason="needs Linux")
def test_targets_are_those_of_the_processor():
    word = "flags" if platform.machine() == "x86_64" else "Features"
    line = re.search(rf"^{word}\s*:(.*)$", INFORMATION.read_text(), re.MULTILINE)
    if line is None:
        pytest.skip("/proc/cpuinfo tells of another processor than the one that qemu plays")
    if not {"generic", "neon"} & set(targets()):
        pytest.skip("built with MINIDL_TARGETS: modules that lie beside may be of an earlier build")
    has = set(line[1].split())
    built = [target for target in NEEDS if find_spec(f"minidl.kernels.{target}_f32")]
    assert targets() == [target for target in built if NEEDS[target] <= has]
