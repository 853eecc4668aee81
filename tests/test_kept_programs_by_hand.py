"""When a forward pass or a function runs as Python, when as a program, and which programs are kept."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.compiled.forward import LARGEST, SHAPES, RecordedForward
from minidl.compiled.model_step import ModelStep, NotFinite
from minidl.compiled.step import KEPT, PATIENCE

F4 = np.float32


def x_of(rows, dtype=F4):
    return np.arange(3 * rows, dtype=dtype).reshape(rows, 3)


def wanted(model, x):
    layer = model[0]
    return x @ layer.weight.data.T + layer.bias.data


def test_a_forward_is_recorded_at_the_second_input_of_a_kind_and_replayed_from_the_third_on():
    model = nn.Sequential(nn.Linear(3, 2, generator=0), nn.Dropout(0.5))
    forward = RecordedForward(model)
    assert forward(x_of(2)) is None and forward.step.recordings == 0
    for replays in (None, 0, 1, 2, 3, 4):
        np.testing.assert_allclose(forward.run([x_of(2)]), wanted(model, x_of(2)), rtol=1e-6)
        program = forward.step.program
        assert (None if program is None else program.replays) == replays
        assert forward.step.recordings == (replays is not None) and model.training and model[1].training
    assert forward(x_of(2)).shape == (2, 2) and forward(x_of(3)) is None and forward(x_of(2, np.float64)) is None
    assert forward.reason == "" and forward.step.program.replays == 5


def test_modes_and_what_was_saved_are_put_back():
    model = nn.Sequential(nn.Linear(3, 2, generator=0), nn.Dropout(0.5), nn.Tanh())
    forward = RecordedForward(model)
    model(x_of(4))
    for modes in ((True, True, True, True), (False, True, False, True), (False,) * 4):
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode
        saved = [module.saved for module in model.modules()]
        for _ in range(4):
            first = forward.run([x_of(2)])
            assert tuple(module.training for module in model.modules()) == modes
            assert all(a is b.saved for a, b in zip(saved, model.modules(), strict=True))
        np.testing.assert_allclose(first, np.tanh(wanted(model, x_of(2))), rtol=1e-5)


def test_large_inputs_and_many_shapes_are_forgotten():
    forward = RecordedForward(nn.Tanh())
    for size, seen in ((LARGEST, True), (LARGEST + 1, False)):
        x = np.zeros((1, size), F4)
        forward.run([x])
        assert (forward(x) is not None) == seen
    forward = RecordedForward(nn.Tanh())
    for rows in range(1, SHAPES + 1):
        forward.run([np.zeros((rows, 1), F4)])
    assert forward(np.zeros((1, 1), F4)) is not None  # all of them are known
    forward.run([np.zeros((SHAPES + 1, 1), F4)])
    assert forward(np.zeros((2, 1), F4)) is None and forward(np.zeros((SHAPES + 1, 1), F4)) is not None


def test_a_model_that_cannot_be_recorded_says_why():
    class Reads(nn.Module):
        def forward(self, x):
            return x * float(x.sum())

    forward = RecordedForward(Reads())
    for _ in range(3):
        np.testing.assert_allclose(forward.run([x_of(2)]), x_of(2) * 15)
    assert forward.reason.startswith("item() takes a value out of a Tensor") and forward.step.recordings == 0


def test_the_last_programs_are_kept():
    step = minidl.capture(lambda x: x * 2.0)
    for rows in range(1, KEPT + 1):
        step(x_of(rows))
    assert step.recordings == KEPT
    for rows in range(1, KEPT + 1):
        step(x_of(rows))
    assert step.recordings == KEPT
    step(x_of(1))  # used last but one: the second is the oldest now
    step(x_of(KEPT + 1))
    assert step.recordings == KEPT + 1
    step(x_of(1))
    assert step.recordings == KEPT + 1
    step(x_of(2))
    assert step.recordings == KEPT + 2


def test_a_function_that_differs_runs_plain_at_the_third_difference():
    held = bytearray([1])
    step = minidl.capture(lambda x: x * float(held[0]))
    step(x_of(1))
    for difference in range(1, PATIENCE + 1):
        assert step.path == "compiled"
        held[0] += 1
        assert step(x_of(1)).data.tolist() == (x_of(1) * float(held[0])).tolist()
        assert step.recordings == min(1 + difference, PATIENCE)
    assert step.path.startswith("plain: the function does not do the same at each call, though nothing that it is seen")
    assert step.path == f"plain: {step.reason}"
    held[0] = 9
    assert step(x_of(1)).data.tolist() == (x_of(1) * 9).tolist() and step.recordings == PATIENCE
    with pytest.raises(RuntimeError, match=r"^profile: this step has no program: it runs plain, since the function"):
        step.profile(x_of(1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("before", [0, 3])
def test_a_loss_that_is_not_finite_stops_before_anything_is_changed(value, before):
    model = nn.Linear(3, 2, generator=0)
    step = ModelStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01))
    t = np.zeros((2, 2), F4)
    for _ in range(before):
        assert step.run(x_of(2), t) > 0
    kept = model.weight.data.copy()
    x = x_of(2)
    x[0, 0] = value
    assert not np.isfinite(step.run(x, t)) and (model.weight.data == kept).all()
    assert step.output.shape == (2, 2) and not np.isfinite(step.output).all()
    with pytest.raises(FloatingPointError, match=r"^capture: the loss became (nan|inf); the weights are those before"):
        step(x, t)
    assert (model.weight.data == kept).all()
    assert step.run(x_of(2), t) > 0 and (model.weight.data != kept).any()


def test_what_a_loss_that_is_not_finite_tells():
    output = np.zeros(2)
    error = NotFinite(np.inf, output)
    assert str(error) == "the loss became inf" and error.loss == np.inf and error.output is output


def test_an_index_by_its_place_or_by_its_name():
    class Many(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, generator=0)

        def forward(self, *inputs):
            return self.layer(sum(inputs))

    class Named(Many):
        def forward(self, x, /, other=None, *, third=None):
            return self.layer(x if other is None else x + other)

    x, t, index = x_of(4), np.ones((4, 2), F4), np.array([2, 0])
    losses = {}
    for kind, batch, named in [
            (Many, (x, t), {"index": index}), (Many, (x, x, t), {"index": index}), (Named, (x, t), {"index": index}),
            (Named, (x, x, t, index), {}), (Many, (x[index], t[index]), {}),
            (Many, (x[index], x[index], t[index]), {})]:
        model = kind()
        step = ModelStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01))
        losses.setdefault(len(batch) - (len(batch) == 4), set()).add(step(*batch, **named))
        assert step.output.shape == (2, 2)
    assert all(len(found) == 1 for found in losses.values()) and len(losses) == 2
