"""A line search: a step along a direction that satisfies the strong Wolfe conditions.

    f(x + t d) <= f(x) + c1 t f'(x)·d       (it goes down enough)
    |f'(x + t d)·d| <= c2 |f'(x)·d|         (and the slope is flat enough)

Nocedal and Wright, Numerical optimization, 2006, algorithms 3.5 and 3.6, with the safeguards that PyTorch has.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Point(NamedTuple):
    """A place on the line: how far along it is, the loss, the gradient and the slope there."""

    t: float
    loss: float
    gradient: np.ndarray
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points with their slopes is least, between low and high; or else their middle."""
    if a.t > b.t:
        a, b = b, a
    with np.errstate(all="ignore"):
        d1 = np.float64(a.slope + b.slope) - 3 * np.float64(a.loss - b.loss) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if square >= 0:
            d2 = np.sqrt(square)
            least = float(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2)))
            if math.isfinite(least):
                return min(max(least, low), high)
    return (low + high) / 2


def strong_wolfe(evaluate: Callable[[float], Point], start: Point, t: float, longest: float, tolerance: float,
                 most: int, c1: float = 1e-4, c2: float = 0.9) -> tuple[Point, int]:
    """A point that satisfies the conditions, or the best one after ``most`` tries; and how many points were looked at.

    start : the point at t = 0, whose slope is negative. longest : the largest element of the direction.
    """
    def too_high(point: Point) -> bool:
        return point.loss > start.loss + c1 * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    # Farther and farther, until such a point lies between two.
    before, new, tries = start, evaluate(t), 0
    while tries < most:
        if too_high(new) or (tries > 1 and new.loss >= before.loss):
            break
        if flat(new):
            return new, tries + 1
        if new.slope >= 0:
            break
        t = cubic_minimum(before, new, new.t + 0.01 * (new.t - before.t), 10 * new.t)
        before, new, tries = new, evaluate(t), tries + 1
    else:
        return (start if start.loss <= new.loss else new), tries + 1

    # Nearer and nearer, between a low and a high end.
    ends, slow = [before, new], False
    low = 0 if before.loss <= new.loss else 1
    while tries < most and abs(ends[1].t - ends[0].t) * longest >= tolerance:
        least, largest = sorted((ends[0].t, ends[1].t))
        t, margin = cubic_minimum(ends[0], ends[1], least, largest), 0.1 * (largest - least)
        near = min(largest - t, t - least) < margin
        if near and (slow or not least < t < largest):
            t = largest - margin if abs(t - largest) < abs(t - least) else least + margin
            near = False
        slow = near
        new, tries = evaluate(t), tries + 1
        if too_high(new) or new.loss >= ends[low].loss:
            ends[1 - low] = new
            low = 0 if ends[0].loss <= ends[1].loss else 1
            continue
        if flat(new):
            return new, tries + 1
        if new.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = new
    return ends[low], tries + 1
