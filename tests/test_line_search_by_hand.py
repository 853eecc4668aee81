"""Where the line search of LBFGS looks, on lines whose losses and slopes are given."""
from __future__ import annotations

import numpy as np
import pytest

from minidl.optim.strong_wolfe import Point, cubic_minimum, strong_wolfe

NOTHING = np.zeros(1)


def point(t, loss, slope):
    return Point(t, loss, NOTHING, slope)


def least_of_cubic(a, b):
    """The minimum of the cubic with these values and slopes, from its four linear equations."""
    rows = [[p.t**3, p.t**2, p.t, 1] for p in (a, b)] + [[3 * p.t**2, 2 * p.t, 1, 0] for p in (a, b)]
    c = np.linalg.solve(rows, [a.loss, b.loss, a.slope, b.slope])
    return next(r.real for r in np.roots([3 * c[0], 2 * c[1], c[2]]) if 6 * c[0] * r.real + 2 * c[1] > 0)


def searched(answers, most=25, start=(0.0, 0.0, -1.0)):
    """The places that the search asks for when it is given these losses and slopes, and what it returns."""
    asked, given = [], iter(answers)

    def evaluate(t):
        asked.append(point(t, *next(given)))
        return asked[-1]

    return asked, *strong_wolfe(evaluate, point(*start), 1.0, 1.0, 1e-9, most)


def test_the_minimum_of_a_cubic_in_either_order_and_within_bounds():
    a, b = point(0.5, 1.0, -2.0), point(2.0, 1.5, 3.0)
    expected = least_of_cubic(a, b)
    assert cubic_minimum(a, b, 0.5, 2.0) == pytest.approx(expected, rel=1e-12)
    assert cubic_minimum(b, a, 0.5, 2.0) == pytest.approx(expected, rel=1e-12)
    assert cubic_minimum(a, b, 1.8, 2.0) == 1.8 and cubic_minimum(a, b, 0.5, 0.6) == 0.6
    assert cubic_minimum(point(0.0, 0.0, 1.0), point(1.0, 2 / 3, 1.0), 0.0, 3.0) == 1.5  # has no minimum


def test_twice_near_the_lower_end_it_goes_a_tenth_of_the_way_in():
    asked, found, looked = searched([(1.0, -1.0), (1.0, -1.0), (-1.0, 0.0)])
    near = least_of_cubic(point(0.0, 0.0, -1.0), asked[0])
    assert [p.t for p in asked] == pytest.approx([1, near, near / 10], rel=1e-9) and near < 0.1
    assert found is asked[-1] and looked == 3


def test_twice_near_the_upper_end_it_goes_a_tenth_of_the_way_in():
    asked, found, looked = searched([(-10.0, 1.0), (0.0, -1.0), (-11.0, 0.0)])
    near = least_of_cubic(point(0.0, 0.0, -1.0), asked[0])
    assert [p.t for p in asked] == pytest.approx([1, near, 1 - (1 - near) / 10], rel=1e-9) and near > 0.9
    assert found is asked[-1] and looked == 3


def test_it_goes_on_outwards_to_ten_times_as_far_at_most():
    # the parabola of the first two points is least at 20
    asked, found, looked = searched([(-0.975, -0.95), (-9.0, 0.0)])
    assert [p.t for p in asked] == [1, 10] and found is asked[-1] and looked == 2


def test_along_a_straight_line_it_goes_to_the_middle_of_what_is_allowed():
    asked, found, looked = searched([(-1.0, -1.0), (-5.505, -1.0), (-30.0, 0.0)])
    second = (1.01 + 10) / 2
    third = (second + 0.01 * (second - 1) + 10 * second) / 2
    assert [p.t for p in asked] == pytest.approx([1, second, third], rel=1e-12)
    assert found is asked[-1] and looked == 3


def test_after_the_last_try_the_better_of_the_start_and_the_last_point_is_returned():
    asked, found, looked = searched([(-1.0, -1.0), (-10.0, -1.0)], most=1)
    assert found is asked[1] and looked == 2
    asked, found, looked = searched([(2.0, -1.0)], most=0)
    assert found.t == 0 and looked == 1
