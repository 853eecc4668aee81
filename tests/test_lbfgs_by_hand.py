"""LBFGS without PyTorch: its steps from the dense matrix H of BFGS, and where they end; its line search from the
conditions that hold where it ends."""
from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

import minidl
from minidl.autograd.parameter import Parameter
from minidl.optim import LBFGS
from minidl.optim.strong_wolfe import Point, cubic_minimum, strong_wolfe

START = np.array([-0.6, 0.2, 1.0, -1.0, 0.6, -0.2])
SCALES = np.array([1.0, 2.0, 0.5, 4.0, 1.5, 3.0])


def curved(w):
    """A convex function of a Hessian that changes from place to place, and its gradient."""
    loss = (SCALES * w ** 2).sum() + 0.1 * (w ** 4).sum() + w[0] * w[1]
    return float(loss), 2 * SCALES * w + 0.4 * w ** 3 + np.array([w[1], w[0], 0, 0, 0, 0])


def inverse_hessian(pairs, size: int) -> np.ndarray:
    """H of BFGS, from a multiple of the unit matrix and the pairs (step, difference of gradients), the oldest first."""
    if not pairs:
        return np.eye(size)
    step, y = pairs[-1]
    h = np.eye(size) * (y @ step) / (y @ y)
    for step, y in pairs:
        ro = 1 / (y @ step)
        left = np.eye(size) - ro * np.outer(step, y)
        h = left @ h @ left.T + ro * np.outer(step, step)
    return h


def steps_by_hand(w, steps, lr=1.0, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9,
                  history_size=100):
    """(losses that step() gives, w, evaluations, iterations), without a line search."""
    max_eval = max_eval or max_iter * 5 // 4
    losses, evaluations, iterations, pairs = [], 0, 0, []
    last_g = moved = None
    for _ in range(steps):
        loss, g = curved(w)
        losses.append(loss)
        calls, evaluations = 1, evaluations + 1
        if abs(g).max() <= tolerance_grad:
            continue
        for k in range(max_iter):
            iterations += 1
            if last_g is not None and (g - last_g) @ moved > 1e-10:
                pairs = [*pairs, (moved, g - last_g)][-history_size:]
            d = -inverse_hessian(pairs, len(w)) @ g
            t = min(1, 1 / abs(g).sum()) * lr if iterations == 1 else lr
            last_g, last_loss, moved = g, loss, t * d
            if g @ d > -tolerance_change:
                break
            w = w + moved
            if k < max_iter - 1:
                (loss, g), calls, evaluations = curved(w), calls + 1, evaluations + 1
            if calls >= max_eval or abs(g).max() <= tolerance_grad:
                break
            if abs(moved).max() <= tolerance_change or abs(loss - last_loss) < tolerance_change:
                break
    return losses, w, evaluations, iterations


def run(settings, steps, dtype=np.float64):
    w, seen = Parameter(START.astype(dtype)), []
    optimizer = LBFGS([w], **settings)

    def closure():
        loss, gradient = curved(w.data)
        optimizer.zero_grad()
        w.grad = gradient.astype(dtype)
        seen.append(w.data.copy())
        return minidl.tensor(np.float64(loss))

    return [optimizer.step(closure).item() for _ in range(steps)], w.data, optimizer, seen


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("settings", [
    {}, {"lr": 0.3}, {"history_size": 1}, {"history_size": 2, "lr": 0.7}, {"max_iter": 1}, {"max_iter": 3},
    {"max_eval": 1}, {"max_eval": 4}, {"max_iter": 8, "max_eval": 50}, {"tolerance_grad": 0.1},
    {"tolerance_grad": 20.0}, {"tolerance_change": 0.01}, {"tolerance_change": 0.3},
    {"tolerance_change": 100.0}], ids=str)
def test_steps_are_those_of_the_dense_matrix(settings, steps):
    losses, w, optimizer, seen = run(settings, steps)
    expected, there, evaluations, iterations = steps_by_hand(START, steps, **settings)
    np.testing.assert_allclose(losses, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(w, there, rtol=1e-7, atol=1e-9)
    assert (optimizer.state["func_evals"], optimizer.state["n_iter"]) == (evaluations, iterations)
    assert len(seen) == evaluations


@pytest.mark.parametrize("settings", [{}, {"lr": 0.01}, {"lr": 20.0}, {"max_iter": 3}, {"history_size": 1}], ids=str)
def test_a_search_goes_down_to_the_minimum(settings):
    losses, w, optimizer, seen = run({"line_search_fn": "strong_wolfe", **settings}, 12)
    assert all(b <= a for a, b in pairwise(losses))
    np.testing.assert_allclose(w, 0, atol=1e-4)
    assert optimizer.state["func_evals"] == len(seen)


def test_defaults():
    group = LBFGS([Parameter(START)]).param_groups[0]
    assert {name: value for name, value in group.items() if name != "params"} == {
        "lr": 1, "max_iter": 20, "max_eval": 25, "tolerance_grad": 1e-7, "tolerance_change": 1e-9, "history_size": 100,
        "line_search_fn": None}
    for max_iter, max_eval in ((1, 1), (4, 5), (10, 12)):
        assert LBFGS([Parameter(START)], max_iter=max_iter).param_groups[0]["max_eval"] == max_eval


# The line search

def point(function, slope, t):
    return Point(t, function(t), np.array([slope(t)]), slope(t))


@pytest.mark.parametrize("a, b", [(0.0, 2.0), (2.0, 0.0), (-1.0, 0.5), (0.3, 4.0)])
@pytest.mark.parametrize("least, curvature, cubic", [(1.0, 1.0, 0.3), (0.7, 2.0, -0.2), (0.1, 0.5, 0.0),
                                                     (3.0, 1.0, 0.1)])
def test_the_least_of_a_cubic(a, b, least, curvature, cubic):
    """Through two of its points with their slopes, which determine it; its local minimum is ``least``."""
    def function(t):
        return curvature * (t - least) ** 2 + cubic * (t - least) ** 3 + 5

    def slope(t):
        return 2 * curvature * (t - least) + 3 * cubic * (t - least) ** 2

    ends = point(function, slope, a), point(function, slope, b)
    assert cubic_minimum(*ends, -50.0, 50.0) == pytest.approx(least, abs=1e-9)
    assert cubic_minimum(*ends, least + 1, least + 2) == least + 1
    assert cubic_minimum(*ends, least - 2, least - 1) == least - 1


def test_where_a_cubic_has_no_minimum():
    down = Point(0.0, 0.0, np.zeros(1), -1.0), Point(1.0, -1.0, np.zeros(1), -1.0)  # a line
    assert cubic_minimum(*down, 2.0, 5.0) == 3.5
    steeper = Point(0.0, 0.0, np.zeros(1), -1.0), Point(1.0, -1.0, np.zeros(1), -2.0)
    assert cubic_minimum(*steeper, 2.0, 5.0) == 3.5
    assert cubic_minimum(Point(0.0, math.nan, np.zeros(1), 1.0), steeper[1], 2.0, 4.0) == 3.0


FUNCTIONS = {
    "parabola": (lambda t: (t - 1) ** 2, lambda t: 2 * (t - 1)),
    "far parabola": (lambda t: 1e-3 * (t - 300) ** 2, lambda t: 2e-3 * (t - 300)),
    "near wall": (lambda t: math.exp(min(9 * t, 500)) - 40 * t, lambda t: 9 * math.exp(min(9 * t, 500)) - 40),
    "quartic": (lambda t: (t - 2) ** 4 + 0.1 * t, lambda t: 4 * (t - 2) ** 3 + 0.1),
    "waves": (lambda t: (t - 3) ** 2 / 9 + 0.3 * math.sin(6 * t) - 0.5 * t,
              lambda t: 2 * (t - 3) / 9 + 1.8 * math.cos(6 * t) - 0.5),
    "kink": (lambda t: abs(t - 0.7) + 0.01 * t * t, lambda t: math.copysign(1, t - 0.7) + 0.02 * t),
}


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 7.0, 50.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_conditions_hold_where_a_search_ends(name, t):
    function, slope = FUNCTIONS[name]
    if slope(0.0) >= 0:
        function, slope = (lambda t, f=function: f(-t)), (lambda t, f=slope: -f(-t))
    looked = []

    def evaluate(t):
        looked.append(point(function, slope, t))
        return looked[-1]

    start = point(function, slope, 0.0)
    found, count = strong_wolfe(evaluate, start, t, 1.0, 1e-9, 100)
    assert found in looked and looked[0].t == t
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    if name != "kink":  # which has no point that is flat enough
        assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert len(looked) - 1 <= count <= len(looked) + 1


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_search_ends_after_so_many_tries(most):
    function, slope = FUNCTIONS["near wall"]
    looked = []

    def evaluate(t):
        looked.append(point(function, slope, t))
        return looked[-1]

    start = point(function, slope, 0.0)
    found, _ = strong_wolfe(evaluate, start, 50.0, 1.0, 1e-9, most)
    assert len(looked) <= most + 1 and found.loss <= start.loss


@pytest.mark.parametrize("t", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("loss, slope, enough", [  # of the first point, in t; the slope at the start is -1
    (-1e-4, 0.0, True), (-1e-4, 0.9, True), (-1e-4, -0.9, True), (-1.0, 0.9, True), (-0.99e-4, 0.0, False),
    (-1.01e-4, 0.0, True), (0.0, 0.0, False), (1e-4, 0.0, False), (-1e-4, 0.91, False), (-1e-4, -0.91, False)])
def test_the_first_point_is_taken_where_it_goes_down_enough_and_is_flat_enough(loss, slope, enough, t):
    looked = []

    def evaluate(place):
        looked.append(place)
        return Point(place, loss * t, np.zeros(1), slope) if len(looked) == 1 else Point(
            place, -0.2, np.zeros(1), 0.0)

    found, count = strong_wolfe(evaluate, Point(0.0, 0.0, np.zeros(1), -1.0), t, 1.0, 1e-9, 10)
    assert (len(looked) == 1) == enough and looked[0] == t
    if enough:
        assert (found.t, found.loss, count) == (t, loss * t, 1)
    else:
        assert found.loss == -0.2 and count == len(looked)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_line_that_goes_down_for_ever(most):
    """Without a minimum to aim at, the middle between a little and ten times farther; the last place is the best."""
    looked = []

    def evaluate(t):
        looked.append(t)
        return Point(t, -t, np.zeros(1), -1.0)

    found, count = strong_wolfe(evaluate, Point(0.0, 0.0, np.zeros(1), -1.0), 1.0, 1.0, 1e-9, most)
    assert len(looked) == count == most + 1 and found.t == looked[-1]
    for i in range(most):
        before, new, after = [0.0, *looked][i:i + 3]
        assert after == pytest.approx((new + 0.01 * (new - before) + 10 * new) / 2)


def test_a_point_no_lower_than_the_one_before_ends_the_way_out():
    """But not the second one, as in PyTorch: then the slope decides."""
    for losses, ends in (([-1.0, -1.0, -3.0], False), ([-1.0, -2.0, -2.0], True)):
        looked = []

        def evaluate(t, losses=losses, looked=looked):
            looked.append(t)
            return Point(t, losses[len(looked) - 1], np.zeros(1), -1.0) if len(looked) <= 3 else Point(
                t, -9.0, np.zeros(1), 0.0)

        strong_wolfe(evaluate, Point(0.0, 0.0, np.zeros(1), -1.0), 1.0, 1.0, 1e-9, 10)
        assert looked[0] < looked[1] < looked[2] and (looked[3] < looked[2]) == ends, looked


@pytest.mark.parametrize("slope, ends", [(0.95, True), (-0.95, False)])
def test_a_point_behind_the_minimum_ends_the_way_out(slope, ends):
    looked = []

    def evaluate(t):
        looked.append(t)
        return Point(t, -1.0, np.zeros(1), slope) if len(looked) == 1 else Point(t, -9.0, np.zeros(1), 0.0)

    strong_wolfe(evaluate, Point(0.0, 0.0, np.zeros(1), -1.0), 1.0, 1.0, 1e-9, 10)
    assert (looked[1] < looked[0]) == ends


@pytest.mark.parametrize("most", range(8))
@pytest.mark.parametrize("seed", range(25))
def test_every_point_that_was_looked_at_counts(seed, most):
    """Along random waves, whose searches end in all ways."""
    rng, looked = np.random.default_rng(seed), []
    sizes, speeds, phases = rng.normal(size=4), rng.uniform(0.2, 4, 4), rng.uniform(0, 6, 4)
    turn = 1 if (sizes * speeds * np.cos(phases)).sum() < 0 else -1

    def evaluate(t):
        looked.append(t)
        return Point(t, float(turn * (sizes * np.sin(speeds * t + phases)).sum()), np.zeros(1),
                     float(turn * (sizes * speeds * np.cos(speeds * t + phases)).sum()))

    start = evaluate(0.0)
    found, count = strong_wolfe(evaluate, start, rng.uniform(0.05, 2), 1.0, 1e-9, most)
    assert count == len(looked) - 1 <= most + 1
    assert found.t in looked and found.loss <= start.loss
