"""print(step) and step.profile(...): a line for each instruction, and nothing is trained."""
from __future__ import annotations

import cProfile
import json
import random
import re

import numpy as np
import pytest
from recorded_twins import bits
from test_fit_any_model import LABELS, Chain, Doubled, Draws, Mine, Normed, Peeks, Residual, T, TwoInputs, X, Z, squared
from twins import Huber, mixed

import minidl
from minidl import cli, nn, optim
from minidl.training import Criterion


def adam(model):
    return optim.Adam(model.parameters())


def mine(model):
    return Mine(model.parameters())


# the model, the loss, the optimizer, the batch, what stands in the listing
STEPS = {
    "a residual model": (Residual, nn.CrossEntropyLoss(), adam, (X, LABELS), [
        "for x[23, 4], y[23]:", "%1[23, 4] = linear(x[23, 4], first.weight[4, 4], first.bias[4])",
        "= relu(%1[23, 4])", "= log_softmax(", "stop unless", "last.weight.grad[3, 4] = linear_weight_gradient(",
        "Adam.step()"]),
    "two inputs": (TwoInputs, nn.MSELoss(), adam, (X, Z, T), [
        "for x1[23, 4], x2[23, 4], y[23, 3]:", "= linear(x2[23, 4], right.weight[3, 4], right.bias[3])"]),
    "modules in NumPy": (lambda: Chain(Doubled()), Huber(), mine, (X, T), [
        "= Doubled(%1[23, 5])  ", "= Huber.forward(", "= Huber.backward(", "= Doubled backward(", "Mine.step()",
        "in place"]),
    "a buffer": (lambda: Chain(Normed()), nn.MSELoss(), adam, (X, T), ["array[5] <- "]),
    "random numbers": (lambda: Chain(Draws()), nn.MSELoss(), adam, (X, T), ["= Draws("]),
    "a Sequential": (mixed, nn.NLLLoss(), adam, (np.hstack([X, X[:, :3]]), LABELS), [
        "%1[N, 33] = linear(x[N, 7], 1.weight[33, 7], 1.bias[33])", "%1[N, 33] = relu(%1[N, 33])", "= dropout_mask(",
        "count the labels", "stop unless the loss is finite", "= parameter_gradients(", "Adam.step() of"]),
    "a Sequential's loss in NumPy": (lambda: nn.Sequential(nn.Linear(4, 3, generator=1)), Huber(), mine, (X, T), [
        "call_loss.value()  in place", "write_update.update()  in place"]),
}


def made(case):
    minidl.manual_seed(2)
    make, criterion, optimizer, batch, listed = STEPS[case]
    model = make()
    return model, criterion, optimizer(model), batch, listed


def everything(model, optimizer):
    return (bits(model), bits(optimizer), bits(minidl.random.generator()), np.random.get_state()[1].tobytes(),
            random.getstate(), getattr(optimizer, "steps", None),
            [bits(module.rng) for module in model.modules() if hasattr(module, "rng")])


@pytest.mark.parametrize("case", STEPS)
def test_a_step_is_printed(case):
    model, criterion, optimizer, batch, listed = made(case)
    step = minidl.capture(model, criterion, optimizer)
    step(*batch)
    before = everything(model, optimizer)
    text = str(step)
    assert everything(model, optimizer) == before
    assert text.splitlines()[0] == repr(step) and step.path in repr(step)
    for part in listed:
        assert part in text


@pytest.mark.parametrize("trained", [0, 3])
@pytest.mark.parametrize("case", STEPS)
def test_a_profile_trains_nothing_and_the_step_goes_on_as_if_it_had_not_been(case, trained):
    model, criterion, optimizer, batch, _ = made(case)
    twin, _, twins_optimizer, *_ = made(case)
    step, twins_step = minidl.capture(model, criterion, optimizer), minidl.capture(twin, criterion, twins_optimizer)

    def train(step, seed):
        minidl.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        return step(*batch)

    for seed in range(trained):
        assert train(step, seed) == train(twins_step, seed)
    before = everything(model, optimizer)
    profile = step.profile(*batch, repeats=3)
    assert everything(model, optimizer) == before
    for seed in range(5):
        assert train(step, seed) == train(twins_step, seed)
    assert bits(model) == bits(twin) and bits(optimizer) == bits(twins_optimizer)
    lines = str(profile).splitlines()
    assert repr(profile) == str(profile)
    assert len(lines) - len(profile.rows) == (2 if "Sequential" in case else 1)
    assert all(re.search(r" +\d+\.\d\d µs", line) for line in lines)
    products = [line for line in lines if " = linear(" in line]
    assert products and all("GFLOP/s" in line and "% of the peak" in line for line in products)
    assert profile.peak > 1e8 and 0 < profile.seconds < 1
    assert profile.seconds == sum(seconds for _, seconds, _ in profile.rows)


def test_a_function_of_ones_own():
    model, other = Residual(), nn.Linear(4, 3)
    optimizer, history = adam(model), []

    @minidl.capture
    def step(batch, scale=1.0, *, options):
        x, z, t = batch
        loss = ((model(x) + other(z) - t) ** 2).sum() * scale * options["weight"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    assert str(step) == repr(step) and "not yet recorded" in str(step)
    before = everything(model, optimizer), bits(other)
    weight = np.float32([2])
    profile = step.profile([X, Z, T], 0.5, options={"weight": weight}, repeats=2)
    assert (everything(model, optimizer), bits(other)) == before and not history
    assert "linear(batch[0][23, 4], first.weight" in str(profile)
    assert "for batch[0][23, 4], batch[1][23, 4], batch[2][23, 3], options['weight'][1]:" in str(step)
    step([X[:2], Z[:2], T[:2]], 0.5, options={"weight": weight})
    assert str(step).count("\nfor batch[0][") == 2  # a program each


def test_a_method_whose_object_holds_the_model():
    class Work:
        def __init__(self):
            self.model = Residual()
            self.optimizer = adam(self.model)
            self.count = minidl.zeros(1)

        @minidl.capture
        def step(self, x, t):
            loss = squared(self.model(x), t)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.count.overwrite(self.count + 1)
            return loss

    work = Work()
    before = everything(work.model, work.optimizer)
    assert "linear(x[23, 4], " in str(work.step.profile(X, T, repeats=2))
    assert everything(work.model, work.optimizer) == before and work.count.item() == 0
    work.step(X, T)
    assert "linear(x[23, 4], " in str(work.step)


def test_what_has_no_profile():
    model = Chain(Peeks())
    step = minidl.capture(model, nn.MSELoss(), adam(model))
    before = everything(model, step.optimizer)
    with pytest.raises(minidl.CaptureError, match=r"item\(\) takes a value"):
        step.profile(X, T)
    assert everything(model, step.optimizer) == before
    model = Residual()
    step = minidl.capture(model, nn.MSELoss(), adam(model))
    for repeats in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match=f"^profile: expected repeats >= 1, got {re.escape(repr(repeats))}"):
            step.profile(X, T, repeats=repeats)


def test_the_function_of_a_criterion_has_its_name():
    model = nn.Sequential(nn.Linear(4, 3))
    step = minidl.capture(model, Criterion(squared), adam(model))
    assert step.path == "compiled; in place: squared.forward, squared.backward"


@pytest.mark.parametrize("options", [[], ["--dropout", "0.2", "--loss", "mse", "--optimizer", "adam"],
                                     ["--hidden", "3", "--activation", "relu", "--batch-size", "7", "--seed", "3"]])
def test_the_command(options, capsys):
    assert cli.main(["profile", *options, "--repeats", "2"]) == 0
    text = capsys.readouterr().out
    assert "linear(x[" in text and "0.weight" in text and "µs" in text and text.count("the step as one program") == 1
    assert cli.main(["profile", *options, "--repeats", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"peak", "microseconds", "instructions"}
    assert result["microseconds"] == pytest.approx(sum(line["microseconds"] for line in result["instructions"]))


@pytest.mark.parametrize("options", [["--repeats", "0"], ["--activation", "none"], ["--momentum", "-1"],
                                     ["--data", "here"], ["--out", "there"]])
def test_the_command_used_wrongly(options, capsys):
    assert cli.main(["profile", *options]) == 2
    assert capsys.readouterr().err.startswith("minidl: ")


def test_what_is_clocked_computes_what_a_replay_computes():
    """Settings that are read while it runs reach their instructions, when these run one by one, too."""
    model = Chain(nn.ReLU())

    @minidl.capture
    def gradients(x, factor):
        loss = minidl.functional.cross_entropy(model(x), LABELS) * factor
        return minidl.autograd.grad(loss.sum(), model.parameters())

    one, two = np.float32([1]), np.float32([2])
    gradients(X, one)
    expected = [gradient.numpy().copy() for gradient in gradients(X, two)]
    assert any(np.any(gradient) for gradient in expected)
    gradients(X, one)
    kept, = gradients._kept.values()
    kept.replay.clocked((X, two))
    for mine, theirs in zip(kept.result(), expected, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs)


def test_what_is_clocked_ends_where_the_program_ends():
    model, criterion, optimizer, batch, _ = made("a residual model")
    step = minidl.capture(model, criterion, optimizer)
    step(*batch)
    before = bits(model), bits(optimizer)
    kept, = step.step._kept.values()
    x, labels = batch
    seconds = kept.replay.clocked((np.full_like(x, np.nan), labels))
    assert (bits(model), bits(optimizer)) == before
    assert seconds[0] > 0 and seconds[-1] == 0


def test_a_step_is_recorded_under_pythons_profiler_which_goes_on():
    model, criterion, optimizer, batch, _ = made("a residual model")
    step, profiler = minidl.capture(model, criterion, optimizer), cProfile.Profile()

    def last():
        """Called after the recording."""

    with profiler:
        step(*batch)
        last()
    step(*batch)
    assert step.path == "compiled"
    assert any(entry.code is last.__code__ for entry in profiler.getstats())


SEEN = []


class Noting(nn.Module):
    """Doubles, and notes each call, which a program makes in its place."""

    def forward(self, x):
        SEEN.append(None)
        return x * np.float32(2)

    def backward(self, gradient):
        return gradient * np.float32(2)


class NotingLoss(Huber):
    def forward(self, z, t):
        SEEN.append(None)
        return super().forward(z, t)

    def backward(self):
        return super().backward()


def recorded_function():
    module = Noting()
    return minidl.capture(lambda x, t: module(x)), 1


def recorded_model():
    model = nn.Sequential(Noting(), nn.Linear(4, 3, generator=0))
    return minidl.capture(model, nn.MSELoss(), optim.SGD(model.parameters())), 1


def written_model():
    model = nn.Sequential(nn.Linear(4, 3, generator=0))
    return minidl.capture(model, NotingLoss(), optim.SGD(model.parameters())), 2  # also as one program


@pytest.mark.parametrize("make", [recorded_function, recorded_model, written_model])
def test_a_profile_runs_a_hundred_times_unless_told_otherwise(make):
    step, times = make()
    step(X, T)
    counts = []
    for repeats in ({}, {"repeats": 3}, {"repeats": 5}):
        SEEN.clear()
        step.profile(X, T, **repeats)
        counts.append(len(SEEN))
    assert counts[2] - counts[1] == times * 2 and counts[0] - counts[1] == times * 97
