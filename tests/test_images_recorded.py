"""Models over images run compiled, with the bits of plain Python, on one thread and on several."""
from __future__ import annotations

import numpy as np
import pytest
from recorded_twins import Run

import minidl
from minidl import functional as F
from minidl import nn, optim


def lenet(dtype):
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5, dtype=dtype),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 12, dtype=dtype), nn.Tanh(),
        nn.Linear(12, 10, dtype=dtype))


def odd(dtype):
    return nn.Sequential(
        nn.Conv2d(1, 4, (3, 2), stride=2, bias=False, dtype=dtype), nn.Tanh(), nn.ZeroPad2d((1, 0, 2, 1)),
        nn.Conv2d(4, 18, 3, groups=2, dilation=2, padding="same", dtype=dtype), nn.AvgPool2d(3, 2, 1), nn.Sigmoid(),
        nn.Conv2d(18, 7, 1, dtype=dtype), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(42, 10, dtype=dtype))


def sequences(dtype):
    return nn.Sequential(
        nn.Flatten(), nn.Unflatten(1, (4, 196)), nn.Conv1d(4, 9, 5, stride=3, padding=1, dtype=dtype), nn.ReLU(),
        nn.MaxPool1d(3, 2, ceil_mode=True), nn.Conv1d(9, 3, 3, dtype=dtype), nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(5),
        nn.Flatten(), nn.Linear(15, 10, dtype=dtype))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("make", [lenet, odd, sequences], ids=lambda make: make.__name__)
def test_a_training_step_has_the_bits_of_python(make, dtype, threads):
    def followed(compiled: bool) -> Run:
        run = Run(compiled)
        minidl.manual_seed(0)
        model, criterion = make(dtype), nn.CrossEntropyLoss()
        optimizer = optim.Adam(model.parameters())

        def train(x, t):
            loss = criterion(model(x), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        step = run.capture(train)
        run.hold(model)
        for rows in (3, 16, 1, 3, 33, 16):
            run.calls(step, run.numbers(rows, 1, 28, 28, dtype=dtype), run.rng.integers(0, 10, rows))
        run.runs(step, "^compiled$")
        if compiled:
            for recording in step._kept.values():
                assert [str(line.operation.name) for line, _, _, by_kernel in recording.listing
                        if line.what == "operation" and not by_kernel] == []
        return run

    expected = followed(False)
    assert not expected.errors
    minidl.set_num_threads(threads)
    try:
        got = followed(True)
    finally:
        minidl.set_num_threads(1)
    for mine, reference in zip(got.log, expected.log, strict=True):
        assert mine == reference


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_second_derivatives_in_a_step(dtype):
    def followed(compiled: bool) -> Run:
        run = Run(compiled)
        minidl.manual_seed(0)
        convolution = nn.Conv2d(3, 5, 3, padding=1, dtype=dtype)
        optimizer = optim.SGD(convolution.parameters(), lr=0.01)

        def penalty(x):
            x.requires_grad_()
            y = F.max_pool2d(F.tanh(convolution(x)), 2)
            slope, = minidl.autograd.grad(F.avg_pool2d(y, 2, 1).sum(), [x], create_graph=True)
            loss = (slope * slope).mean() + y.sum() * 0.01
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss, slope

        step = run.capture(penalty)
        run.hold(convolution)
        for _ in range(4):
            run.calls(step, run.numbers(4, 3, 8, 9, dtype=dtype))
        run.runs(step, "^compiled$")
        return run

    expected, got = followed(False), followed(True)
    assert not expected.errors and not got.errors
    for mine, reference in zip(got.log, expected.log, strict=True):
        assert mine == reference


def test_fit_evaluate_and_predict_take_images():
    minidl.manual_seed(0)
    rng = np.random.default_rng(0)
    t = rng.integers(0, 10, 300)
    x = rng.standard_normal((300, 1, 28, 28)) * 0.1
    x[np.arange(300), 0, 3 * (t // 5) + 5, 4 * (t % 5) + 4] += 3  # a spot for each class
    model = lenet(np.float32)
    history = minidl.fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=3e-3), (x, t), epochs=25,
                         progress=False)
    assert history.path == "compiled"
    assert history.loss[-1] < 0.3 * history.loss[0]
    predicted = model.predict(x)
    np.testing.assert_array_equal(predicted[:7], model(x[:7].astype(np.float32)))
    assert (predicted.argmax(1) == t).mean() > 0.9


def test_a_flatten_between_two_convolutions_costs_no_parts():
    """The gradient of a Flatten lies in the order of its index, the images before it channel by channel."""
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 3))
    step = minidl.capture(lambda x: model(x).sum().backward())
    for _ in range(3):
        step(np.ones((50, 1, 6, 6), np.float32))
    assert step.path == "compiled" and "in place" not in step.listing()
    assert len(step.program) < 40  # a kernel for each of the 50 samples would be more
