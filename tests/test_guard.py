"""The regression guard's judgement, on made-up measurements."""
from __future__ import annotations

import importlib.util
import itertools
import json
import re
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"
SPEC = importlib.util.spec_from_file_location("verdicts", BENCH / "verdicts.py")
verdicts = importlib.util.module_from_spec(SPEC)
sys.modules["verdicts"] = verdicts
SPEC.loader.exec_module(verdicts)

AMD = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n"
INTEL = "vendor_id : GenuineIntel\ncpu family : 6\nmodel : 143\nmodel name : Intel(R) Xeon(R)\n"
ARM = "processor : 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
FILES = sorted((BENCH / "ratios").glob("*.json"))


@pytest.mark.parametrize("cpuinfo, kind", [
    (AMD, "AuthenticAMD-25-17"), (AMD + AMD.replace("17", "18"), "AuthenticAMD-25-17"), (INTEL, "GenuineIntel-6-143"),
    (ARM, "0x41-0xd0c"), ("", "unknown-abacus"), ("vendor_id : ../x\ncpu family : 1\nmodel : 2", "x-1-2")])
def test_the_kind_of_a_processor(cpuinfo, kind):
    assert verdicts.processor(cpuinfo, "abacus") == kind


def test_the_processor_at_hand_has_a_kind():
    assert re.fullmatch(r"[A-Za-z0-9_-]+", verdicts.here())


def constant(*values):
    """A measure that gives these, the last for ever."""
    given = itertools.chain(values[:-1], itertools.repeat(values[-1]))
    return lambda: next(given)


NAME = "avx2: product y, 128x784x128, to the peak"


@pytest.mark.parametrize("seen, committed, fell, rounds", [
    ([0.9], 0.9, False, 1),
    ([0.61], 0.9, False, 1),                     # two thirds of 0.9 are 0.6
    ([0.59], 0.9, True, 4),
    ([0.59, 0.59, 0.59, 0.61], 0.9, False, 4),   # a noisy neighbour goes
    ([0.59, 0.9], 0.9, False, 2),
    ([0.39], None, True, 4),                     # what holds everywhere
    ([0.41], None, False, 1),
    ([0.39], 0.45, True, 4),                     # more than two thirds of 0.45, but less than holds everywhere
])
def test_when_a_ratio_has_fallen(seen, committed, fell, rounds):
    verdict, = verdicts.judged({NAME: constant(*seen)}, {} if committed is None else {NAME: committed})
    assert verdict.fell == fell and len(verdict.seen) == rounds


def test_what_fell_is_measured_again_after_all_others():
    order, pauses = [], []

    def measure(name, values):
        given = constant(*values)
        return lambda: order.append(name) or given()

    names = [f"avx2: product {form}, 128x784x128, to the peak" for form in ("y", "dx", "dW")]
    measures = {name: measure(name, values) for name, values in zip(names, [[0.1, 0.9], [0.9], [0.1]], strict=True)}
    found = verdicts.judged(measures, {}, pauses.append)
    assert order == [*names, names[0], names[2], names[2], names[2]]
    assert pauses == [2, 1, 1]
    assert [verdict.fell for verdict in found] == [False, False, True]
    assert found[2].line() == f"{names[2]}: 0.1, 0.1, 0.1, 0.1, at least 0.4"


def test_a_ratio_that_nothing_is_known_of_is_reported_alone():
    verdict, = verdicts.judged({"avx2: something else": constant(0.001)}, {})
    assert not verdict.fell and verdict.line() == "avx2: something else: 0.001"


@pytest.mark.parametrize("name, least", [
    ("avx512: product dW, 100x25x25, to the peak", 0.25), ("avx512: product dW, 128x256x256, to the peak", 0.4),
    ("avx2: minidl captured, step of S, batch 4, to minidl", 1.4),
    ("avx2: minidl captured, step of M3, batch 128, to minidl", 1.0),
    ("avx2: minidl, step of S, batch 4, to NumPy by hand", 1.2),
    ("avx2: minidl, step of M3, batch 128, to NumPy by hand", 0.85), ("avx2: linear, batch 128, to its twin", 0.6),
    ("avx2: relu_backward, batch 128, to its twin", 1.0), ("avx2: anything", None)])
def test_what_holds_everywhere(name, least):
    assert verdicts.everywhere(name) == least


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_kind_that_was_measured_reaches_what_holds_everywhere(file):
    ratios = json.loads(file.read_text())["ratios"]
    assert len(ratios) > 50 and all(ratio > 0 for ratio in ratios.values())
    low = {name: ratio for name, ratio in ratios.items() if (verdicts.everywhere(name) or 0) > ratio}
    assert not low


def test_there_are_ratios():
    assert FILES
