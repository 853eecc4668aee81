"""Timing by turns: the rivals take turns, and each keeps its best time, so that a machine that slows down
slows them all."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter


def seconds(call: Callable, count: int = 1, finish: Callable = lambda: None) -> float:
    """Of one call, on the average of ``count``; ``finish`` waits for what they left running."""
    begin = perf_counter()
    for _ in range(count):
        call()
    finish()
    return (perf_counter() - begin) / count


def count_for(call: Callable, turn: float, finish: Callable = lambda: None) -> int:
    """How many calls fill a turn of so many seconds."""
    seconds(call, 1, finish)
    return 1 + int(turn / min(seconds(call, 1, finish) for _ in range(3)))


def best_of_turns(calls: Sequence[Callable], turns: int, turn: float = 0.01) -> list[float]:
    """Seconds of each call."""
    counts = [count_for(call, turn) for call in calls]
    rounds = [[seconds(call, count) for call, count in zip(calls, counts, strict=True)] for _ in range(turns)]
    return [min(times) for times in zip(*rounds, strict=True)]
