"""What a captured step is given: static values, names, shapes, dtypes, arrays as they lie, objects.

tinygrad refuses the same Tensor twice and shares one recording between the instances of a class; 1, True and 1.0 are
one key of a dictionary.
"""
from __future__ import annotations

import itertools

import numpy as np
from recorded_twins import CALLS, right, right_or_refused, training

import minidl
from minidl import functional as F
from minidl import nn

# Static arguments


@right
def test_static_numbers(run):
    step = run.capture(lambda x, scale: x * scale)
    for scale in (1.0, 2.0, 1.0, 2.0):
        for _ in range(4):
            run.calls(step, run.numbers(6, 4), scale)
    run.recorded(step, 2)


@right
def test_static_arguments_that_are_equal_but_not_the_same(run):
    step = run.capture(lambda x, scale: x * scale)
    for scale in (1, True, 1.0, 0, False, 0.0, -0.0, 0.0, True, 1):
        run.calls(step, np.arange(-2, 2), scale, n=3)


@right
def test_static_numbers_that_equal_nothing(run):
    step = run.capture(lambda x, scale: x * scale)
    run.calls(step, run.numbers(4), float("nan"), n=3)
    run.calls(step, run.numbers(4), float("inf"), n=3)
    run.calls(step, run.numbers(4), float("nan"), n=3)


@right
def test_static_texts_switches_and_none(run):
    @run.capture
    def step(x, kind="tanh", doubled=False, shift=None):
        x = getattr(F, kind)(x)
        x = x * 2 if doubled else x
        return x if shift is None else x + shift

    for given in itertools.product(("tanh", "relu"), (False, True), (None, 1.0)):
        run.calls(step, run.numbers(6, 4), *given, n=4)


@right
def test_arguments_by_position_and_by_name(run):
    """tinygrad refuses to mix them."""
    step = run.capture(lambda first, second, scale=2.0, *, shift=0.0: first / (second * second + 1) * scale + shift)
    for _ in range(CALLS):
        a, b = run.numbers(6, 4), run.numbers(6, 4)
        run.calls(step, a, b)
        run.calls(step, a, second=b)
        run.calls(step, second=b, first=a, scale=2.0)
        run.calls(step, a, b, 3.0)
        run.calls(step, b, a, shift=1.0)


@right
def test_any_number_of_arguments(run):
    step = run.capture(lambda *inputs, **named: sum(inputs) + sum(x * len(n) for n, x in sorted(named.items())))
    for n in (1, 3, 2, 1):
        run.calls(step, *[run.numbers(4) for _ in range(n)], n=3)
        run.calls(step, run.numbers(4), ab=run.numbers(4), c=run.numbers(4), n=3)
        run.calls(step, run.numbers(4), abc=run.numbers(4), c=run.numbers(4), n=3)


@right
def test_nothing_at_all(run):
    model = run.hold(nn.Linear(4, 3))
    step = run.capture(lambda: model(minidl.ones(2, 4)))
    run.calls(step, n=CALLS)
    empty = run.capture(lambda: None)
    run.calls(empty, n=CALLS)


@right
def test_more_programs_than_are_kept(run):
    step = run.capture(lambda x, scale: x * scale)
    for scale in range(8):
        run.calls(step, run.numbers(4), scale, n=2)
    run.calls(step, run.numbers(4), 0, n=3)
    run.recorded(step, 8)
    for scale in range(20):
        run.calls(step, run.numbers(4), scale, n=2)
    run.calls(step, run.numbers(4), 19)
    before = step.recordings if run.compiled else 0
    run.calls(step, run.numbers(4), 0)  # dropped since
    run.recorded(step, before + 1)


# Arrays and Tensors


@right
def test_shapes(run):
    made = training(run)
    for rows in (6, 1, 17, 6, 33, 2, 6):
        run.trains(made.step, 3, rows)


@right
def test_ranks(run):
    step = run.capture(lambda x: F.tanh(x) + x.sum())
    for shape in ((), (1,), (4,), (1, 4), (4, 1), (2, 3, 4), (0, 4), (4,)):
        run.maps(step, 3, shape)


@right
def test_dtypes(run):
    step = run.capture(lambda x: x * 2 + 1)
    for dtype in (np.float32, np.float64, np.int64, np.int32, np.int64, np.float32):
        run.maps(step, 3, dtype=dtype)
    step = run.capture(lambda x, mask: F.where(mask, x, -x))
    for _ in range(CALLS):
        run.calls(step, run.numbers(6, 4), run.numbers(6, 4) > 0)


@right
def test_labels_of_several_dtypes(run):
    made = training(run)
    for dtype in (np.int64, np.int32, np.uint8, np.int64):
        for _ in range(4):
            run.calls(made.step, run.numbers(6, 4), run.rng.integers(0, 3, 6).astype(dtype))


@right
def test_arrays_as_they_lie(run):
    """tinygrad refuses views at other offsets."""
    step = run.capture(lambda x: F.tanh(x) @ F.tanh(x).T)
    base = run.numbers(12, 12)
    for view in (base[:6, :4], base[2:8, 3:7], base[::2, ::3], base[:6, 3::-1], base.T[:6, :4], base[:1].repeat(6, 0),
                 np.broadcast_to(base[0, :4], (6, 4)), np.asfortranarray(base[:6, :4])):
        run.calls(step, view, n=3)
    frozen = base[:6, :4].copy()
    frozen.flags.writeable = False
    run.calls(step, frozen, n=3)


@right
def test_one_array_in_two_places(run):
    """tinygrad refuses the same Tensor twice."""
    step = run.capture(lambda a, b: a * 2 - b)
    x, y = run.numbers(6, 4), run.numbers(6, 4)
    for a, b in ((x, x), (x, y), (y, y), (y, x), (x, x[:]), (x[::-1], x)):
        run.calls(step, a, b, n=3)


@right
def test_an_array_that_changes_in_place(run):
    step = run.capture(lambda x: x * x)
    x = run.numbers(6, 4)
    for _ in range(CALLS):
        run.calls(step, x)
        x += 1


@right
def test_tensors_as_arguments(run):
    step = run.capture(lambda x: x * 2)
    run.calls(step, minidl.tensor(run.numbers(6, 4)), n=3)
    run.maps(step)
    leaf = run.hold(minidl.tensor(run.numbers(6, 4), requires_grad=True))
    run.calls(step, leaf, n=3)
    run.calls(step, F.tanh(leaf * 2), n=3)


@right_or_refused
def test_what_python_hands_over_as_numbers(run):
    step = run.capture(lambda x, scale: x * scale)
    for scale in (np.float32(2), np.float64(3), np.int64(2), np.float32(4), np.asarray(2, np.float32)):
        run.calls(step, run.numbers(6, 4), scale, n=3)


@right_or_refused
def test_arrays_in_lists_and_dicts(run):
    step = run.capture(lambda batch, others: batch["x"] * batch["scale"] + others[0] - sum(others))
    for n in (1, 2, 1):
        for scale in (1.0, 2.0):
            for _ in range(4):
                run.calls(step, {"x": run.numbers(4), "scale": scale}, [run.numbers(4) for _ in range(n)])


@right_or_refused
def test_an_argument_is_overwritten(run):
    @run.capture
    def step(x):
        y = x * 2
        x.zero_()
        return y + x

    for _ in range(CALLS):
        x = run.numbers(4)
        run.hold(x)
        run.calls(step, x)


@right
def test_an_argument_under_another_name(run):
    """+= makes another Tensor, as long as no leaf that is trained stands there."""
    def step(x):
        x += 1
        return x

    x = run.hold(run.numbers(4))
    run.calls(run.capture(step), x, n=CALLS)


class Model:
    def __init__(self, scale):
        self.scale = scale


@right
def test_the_step_of_a_class(run):
    """tinygrad shares the first instance's recording."""
    class Trainer(Model):
        @run.capture
        def step(self, x):
            return x * self.scale

    one, other = Trainer(2.0), Trainer(3.0)
    for _ in range(4):
        run.calls(one.step, run.numbers(4), n=2)
        run.calls(other.step, run.numbers(4), n=2)
        one.scale += 1
    del one
    for scale in range(20):  # which may stand where the first one stood
        run.calls(Trainer(float(scale)).step, run.numbers(4), n=2)


@right_or_refused
def test_an_object_as_an_argument(run):
    """JAX takes it for a key, and does not see that it changes."""
    step = run.capture(lambda x, model: x * model.scale)
    one = Model(2.0)
    run.calls(step, run.numbers(4), one, n=5)
    one.scale = 3.0
    run.calls(step, run.numbers(4), one, n=5)
    del one
    for scale in range(20):
        run.calls(step, run.numbers(4), Model(float(scale)), n=2)


@right_or_refused
def test_a_module_as_an_argument(run):
    step = run.capture(lambda x, model: model(x))
    models = run.hold([nn.Linear(4, 3), nn.Linear(4, 3)])
    for _ in range(3):
        for model in models:
            run.calls(step, run.numbers(6, 4), model, n=3)
            model.weight.data *= 2


@right_or_refused
def test_a_function_as_an_argument(run):
    step = run.capture(lambda x, f: f(x))
    for f in (F.tanh, F.relu, lambda x: x * 2, lambda x: x * 3):
        run.calls(step, run.numbers(6, 4), f, n=4)


@right_or_refused
def test_a_generator_as_an_argument(run):
    step = run.capture(lambda x, generator: F.dropout(x, 0.5, generator=generator))
    for generator in (np.random.default_rng(0), np.random.default_rng(1), 3):
        run.calls(step, run.numbers(6, 4), generator, n=4)
