"""One rival in a process of its own, on as many cores as it has threads.

``python bench/worker.py NAME`` reads lines of JSON, [what, network, size], and answers each with the
seconds of one training step ("step", "chains", "own", "images", "twins") or of one prediction ("predict",
"images predict", "twins predict"), averaged over a turn.
"""
from __future__ import annotations

import json
import os
import sys
from functools import cache

import machine

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:machine.COUNT])

import images_contestants
import own_contestants
import simplechains
import twins
from contestants import checked, steps_of
from turns import count_for, seconds

TURN_SECONDS = 0.02


@cache
def prepared(name: str, what: str, network: str, size: int) -> tuple:
    """The call, how many of them make a turn, what waits for the last, and the steps in a call."""
    if what == "chains":
        rival = simplechains.checked(name)
    elif what == "own":
        rival = own_contestants.checked(name, network, size)
    elif what.startswith("images"):
        rival = images_contestants.checked(name, size)
    elif what.startswith("twins"):
        rival = twins.checked(name, network, size)
    else:
        rival = checked(name, network, size)
    call = rival.predict if what.endswith("predict") else rival.step
    finish = getattr(rival, "finish", lambda: None)
    return call, count_for(call, TURN_SECONDS, finish), finish, steps_of(rival) if what in ("step", "images") else 1


def main(name: str) -> None:
    for line in sys.stdin:
        call, count, finish, steps = prepared(name, *json.loads(line))
        print(json.dumps(seconds(call, count, finish) / steps), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
