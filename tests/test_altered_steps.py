"""Every way in which a step may be altered or entered, at every moment: the plain step's bits, or an exception.

What may be altered, and when, stands in scripts/fuzz_alterations.py and scripts/fuzz_steps.py, which tries
them at random and for longer.
"""
from __future__ import annotations

import random

import fuzz_steps
import numpy as np
import pytest
from fuzz_alterations import ALTERATIONS

ENTERED = ("raise", "enter", "enter larger")
MOMENTS = [when for when in dict.fromkeys(fuzz_steps.WHEN) if when not in ("thread", "signal")]
COMPARED = [(what, when) for what in (*ALTERATIONS, *ENTERED) for when in MOMENTS
            if what in ALTERATIONS or when != "between"]  # between two steps there is nothing to enter


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what, when", COMPARED, ids=map(" ".join, COMPARED))
def test_an_altered_step_equals_the_plain_one_or_raises(what, when):
    with np.errstate(all="ignore"):
        for seed in range(10):
            assert fuzz_steps.in_step(random.Random(f"{what} {when} {seed}"), seed, when, what, False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("when", ["thread", "signal"])
@pytest.mark.parametrize("what", [*ALTERATIONS, "enter", "enter larger"])
def test_the_process_lives_on_whatever_happens_meanwhile(what, when):
    with np.errstate(all="ignore"):
        assert fuzz_steps.at_any_moment(random.Random(f"{what} {when}"), 1, when, what) == 30


def test_three_threads_call_one_step():
    with np.errstate(all="ignore"):
        assert fuzz_steps.many_threads(2)


@pytest.mark.parametrize("seed", range(20))
def test_other_batches_than_fit(seed):
    with np.errstate(all="ignore"):
        fuzz_steps.wrong_batches(random.Random(seed), seed, False)
