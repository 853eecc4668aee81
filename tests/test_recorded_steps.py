"""Steps as papers have them: captured they have the bits of plain Python, and run compiled without a call of Python."""
from __future__ import annotations

import numpy as np
import pytest
from recorded_twins import CALLS, Run, bits

import minidl
from minidl import functional as F
from minidl import nn, optim


class ResidualBlock(nn.Module):
    def __init__(self, width):
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x):
        return F.relu(x + self.inner(x))


def residual_and_shared(run):
    """A block used three times, and a layer of its own at each end."""
    first, block, last = nn.Linear(4, 8), ResidualBlock(8), nn.Linear(8, 3)
    optimizer = optim.Adam([*first.parameters(), *block.parameters(), *last.parameters()], lr=0.01)
    run.hold(first, block, last, optimizer)

    def step(x, t):
        h = F.relu(first(x))
        for _ in range(3):
            h = block(h)
        loss = F.cross_entropy(last(h), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda rows: (run.numbers(rows, 4), run.rng.integers(0, 3, rows))


def tied_weights(run):
    """An autoencoder whose decoder is its encoder's weight, transposed."""
    encoder, bias = nn.Linear(6, 3), nn.Parameter(np.zeros(6, np.float32))
    optimizer = optim.SGD([*encoder.parameters(), bias], lr=0.1, momentum=0.9)
    run.hold(encoder, bias, optimizer)

    def step(x):
        code = F.tanh(encoder(x))
        back = F.linear(code, encoder.weight.T, bias)
        loss = F.mse_loss(back, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, code

    return step, lambda rows: (run.numbers(rows, 6),)


def two_heads(run):
    """A trunk, a head for labels and a head for numbers, and a loss for each."""
    trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2, generator=1))
    heads = nn.ModuleDict({"label": nn.Linear(8, 3), "number": nn.Linear(8, 1)})
    optimizer = optim.AdamW([*trunk.parameters(), *heads.parameters()], lr=0.01)
    run.hold(trunk, heads, optimizer, trunk[2].generator)
    losses = {"label": nn.CrossEntropyLoss(), "number": nn.MSELoss()}

    def step(x, labels, numbers):
        h = trunk(x)
        found = {name: losses[name](heads[name](h), target)
                 for name, target in (("label", labels), ("number", numbers))}
        optimizer.zero_grad()
        (found["label"] + 0.5 * found["number"]).backward()
        optimizer.step()
        return found

    return step, lambda rows: (run.numbers(rows, 4), run.rng.integers(0, 3, rows), run.numbers(rows, 1))


def gan(run):
    """Goodfellow et al. 2014: a generator and a discriminator with an optimizer each, in one step."""
    maker = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4))
    judge = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
    makers, judges = optim.Adam(maker.parameters(), lr=0.01), optim.SGD(judge.parameters(), lr=0.1, momentum=0.5)
    run.hold(maker, judge, makers, judges)

    def step(real):
        noise = minidl.randn(real.shape[0], 2)
        fake = maker(noise)
        judged = -(F.log(judge(real) + 1e-6) + F.log(1 - judge(fake.detach()) + 1e-6)).mean()
        judges.zero_grad()
        judged.backward()
        judges.step()
        fooled = -F.log(judge(fake) + 1e-6).mean()
        makers.zero_grad()
        fooled.backward()
        makers.step()
        return judged, fooled

    return step, lambda rows: (run.numbers(rows, 4),)


def actor_critic(run):
    """A policy and a value over one trunk, and two losses that meet in it."""
    trunk, policy, value = nn.Sequential(nn.Linear(4, 8), nn.Tanh()), nn.Linear(8, 3), nn.Linear(8, 1)
    actor = optim.Adam([*trunk.parameters(), *policy.parameters()], lr=0.01)
    critic = optim.SGD(value.parameters(), lr=0.1)
    run.hold(trunk, policy, value, actor, critic)

    def step(states, actions, returns):
        h = trunk(states)
        log_p = F.log_softmax(policy(h), dim=1)
        v = value(h)[:, 0]
        advantage = (returns - v).detach()
        chosen = -F.nll_loss(log_p, actions, reduction="none")
        entropy = -(F.exp(log_p) * log_p).sum(dim=1).mean()
        policy_loss, value_loss = -(chosen * advantage).mean() - 0.01 * entropy, F.mse_loss(v, returns)
        actor.zero_grad()
        critic.zero_grad()
        policy_loss.backward(retain_graph=True)
        value_loss.backward()
        actor.step()
        critic.step()
        return policy_loss, value_loss, entropy

    return step, lambda rows: (run.numbers(rows, 4), run.rng.integers(0, 3, rows), run.numbers(rows))


def elman(run):
    """Elman 1990: a recurrent layer over 16 steps, in a loop of Python."""
    cell, state, last = nn.Linear(3, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 2)
    optimizer = optim.Adam([*cell.parameters(), *state.parameters(), *last.parameters()], lr=0.01)
    run.hold(cell, state, last, optimizer)

    def step(x, t):
        h = minidl.zeros(x.shape[0], 8)
        outputs = []
        for i in range(x.shape[1]):
            h = F.tanh(cell(x[:, i]) + state(h))
            outputs.append(last(h))
        loss = F.cross_entropy(outputs[-1], t) + 0.1 * F.stack(outputs, 1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, h

    return step, lambda rows: (run.numbers(rows, 16, 3), run.rng.integers(0, 2, rows))


def attention(run):
    """Vaswani et al. 2017: one head over rows of words, and a residual connection."""
    query, key, value = (nn.Linear(8, 8, bias=False) for _ in range(3))
    last = nn.Linear(8, 3)
    optimizer = optim.Adam([p for layer in (query, key, value, last) for p in layer.parameters()], lr=0.01)
    run.hold(query, key, value, last, optimizer)

    def step(x, t):
        scores = query(x) @ key(x).transpose(1, 2) / 8 ** 0.5
        h = x + F.softmax(scores, dim=-1) @ value(x)
        loss = F.cross_entropy(last(h.mean(dim=1)), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda rows: (run.numbers(rows, 5, 8), run.rng.integers(0, 3, rows))


def distillation(run):
    """A teacher in evaluation and off the tape, a student with dropout."""
    teacher = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)).eval()
    student = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.2, generator=2), nn.ReLU(), nn.Linear(5, 3))
    optimizer = optim.Adam(student.parameters(), lr=0.01)
    run.hold(teacher, student, optimizer, student[1].generator)

    def step(x):
        with minidl.no_grad():
            wanted = F.softmax(teacher(x) / 2.0, dim=1)
        loss = F.cross_entropy(student(x) / 2.0, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda rows: (run.numbers(rows, 4),)


def accumulation(run):
    """Two halves of a batch, whose gradients add up before the update."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ELU(), nn.Linear(8, 3))
    optimizer = optim.Adadelta(model.parameters())
    run.hold(model, optimizer)

    def step(x, t, parts):
        optimizer.zero_grad()
        total = 0.0
        for i in range(parts):
            loss = F.cross_entropy(model(x[i::parts]), t[i::parts]) / parts
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total

    return step, lambda rows: (run.numbers(rows, 4), run.rng.integers(0, 3, rows), 2)


def contrast(run):
    """Two views of each row through one encoder, and all pairs of rows compared."""
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
    optimizer = optim.Adam(encoder.parameters(), lr=0.01)
    generator = np.random.default_rng(4)
    run.hold(encoder, optimizer, generator)

    def step(x, labels):
        views = [encoder(x + 0.1 * minidl.randn(*x.shape, generator=generator)) for _ in range(2)]
        a, b = (v / F.sqrt((v * v).sum(dim=1, keepdim=True) + 1e-6) for v in views)
        loss = F.cross_entropy(a @ b.T * 5.0, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda rows: (run.numbers(rows, 4), np.arange(rows))


def pinn(run):
    """Raissi et al. 2019: u'' = -u with u(0) = 0, by a network's second derivative."""
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    run.hold(model, optimizer)

    def step(x):
        x.requires_grad_()
        u = model(x)
        du, = minidl.autograd.grad(u.sum(), [x], create_graph=True)
        ddu, = minidl.autograd.grad(du.sum(), [x], create_graph=True)
        boundary = model(minidl.zeros(1, 1))
        loss = ((ddu + u) ** 2).mean() + (boundary ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, u, ddu

    return step, lambda rows: (run.numbers(rows, 1),)


def gradient_penalty(run):
    """Gulrajani et al. 2017: a critic whose slope between real and made samples is to be one."""
    critic = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(critic.parameters(), lr=0.01, betas=(0.0, 0.9))
    run.hold(critic, optimizer)

    def step(real, made, share):
        between = (share * real + (1 - share) * made).requires_grad_()
        slope, = minidl.autograd.grad(critic(between).sum(), [between], create_graph=True)
        norm = F.sqrt((slope * slope).sum(dim=1) + 1e-8)
        loss = critic(made).mean() - critic(real).mean() + 10 * ((norm - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, norm

    return step, lambda rows: (run.numbers(rows, 4), run.numbers(rows, 4), abs(run.numbers(rows, 1)))


def hessian_product(run):
    """The product of a loss's second derivative with a vector."""
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    parameters = model.parameters()
    run.hold(model)
    vector = [minidl.tensor(run.numbers(*p.shape)) for p in parameters]

    def step(x, t):
        slopes = minidl.autograd.grad(F.cross_entropy(model(x), t), parameters, create_graph=True)
        along = sum((slope * v).sum() for slope, v in zip(slopes, vector, strict=True))
        return minidl.autograd.grad(along, parameters)

    return step, lambda rows: (run.numbers(rows, 4), run.rng.integers(0, 3, rows))


def sharpness(run):
    """Two gradients in a step: MAML's inner step by hand, whose derivative goes through the first."""
    weight = nn.Parameter(run.numbers(3, 4))
    optimizer = optim.SGD([weight], lr=0.1)
    run.hold(weight, optimizer)

    def step(x, t, others, labels):
        slope, = minidl.autograd.grad(F.cross_entropy(F.linear(x, weight), t), [weight], create_graph=True)
        loss = F.cross_entropy(F.linear(others, weight - 0.5 * slope), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda rows: (run.numbers(rows, 4), run.rng.integers(0, 3, rows),
                               run.numbers(rows, 4), run.rng.integers(0, 3, rows))


STEPS = [residual_and_shared, tied_weights, two_heads, gan, actor_critic, elman, attention, distillation, accumulation,
         contrast, pinn, gradient_penalty, hessian_product, sharpness]


def followed(build, rows, compiled: bool) -> Run:
    run = Run(compiled)
    function, batch = build(run)
    step = run.capture(function)
    for count in rows:
        run.calls(step, *batch(count))
    assert not run.errors
    run.runs(step, "^compiled$")
    run.recorded(step, 1, len(set(rows)))
    return run


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("build", STEPS, ids=lambda build: build.__name__)
def test_a_step_of_a_paper(build, threads):
    for rows in ([16] * (CALLS + 2), [4, 4, 9, 2, 9, 4, 33, 2]):
        expected = followed(build, rows, compiled=False)
        minidl.set_num_threads(threads)
        try:
            got = followed(build, rows, compiled=True)
        finally:
            minidl.set_num_threads(1)
        for number, (mine, reference) in enumerate(zip(got.log, expected.log, strict=True)):
            assert mine == reference, f"call {number + 1} differs"
        for number, (output, entry) in enumerate(zip(got.outputs, got.log, strict=True)):
            assert bits(output) == entry[0], f"what call {number + 1} gave was overwritten later"
