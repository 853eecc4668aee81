"""Networks of one pattern that one call trains: each has the bits of its own training."""
import numpy as np
import pytest
from recorded_twins import bits
from test_fit_many import DATA, OPTIMIZERS, N, lines, rule, weights

import minidl
from minidl import nn, optim
from minidl.compiled.capture import has_rule
from minidl.kernels import Refusal
from minidl.training import fit, molds

LOSSES = {  # a loss, the outputs, and the target
    "labels": (nn.CrossEntropyLoss(), 3, DATA[1]),
    "rows": (nn.MSELoss(), 2, DATA[0][:, :2]),
    "one unit": (nn.MSELoss(), 1, (DATA[1][:, None] > 0).astype(np.float32)),
    "recorded": (nn.BCEWithLogitsLoss(), 1, (DATA[1][:, None] > 0).astype(np.float32)),
    "half a batch": (nn.CrossEntropyLoss(reduction="sum"), 3, DATA[1]),
}


@pytest.fixture
def calls(monkeypatch):
    """How many networks each call trained; molds have room for five, however long they take."""
    numbers, together = [], molds.Mold.together

    def counted(self, members):
        histories = together(self, members)
        numbers.append(len(histories))
        return histories

    monkeypatch.setattr(molds.Mold, "room", lambda self: 5)
    monkeypatch.setattr(molds.Mold, "together", counted)
    return numbers


def crowd(outputs=3, count=13):
    return [nn.Sequential(nn.Linear(3, 5, generator=i), nn.Tanh(), nn.Linear(5, outputs, generator=99 + i))
            for i in range(count)]


def trained(models, criterion, optimizers, data, seeds, many, **options):
    """The bits of all that a training leaves."""
    settings = {"epochs": 3, "batch_size": 16, "progress": False} | options
    if many:
        histories = minidl.fit_many(models, criterion, optimizers, data, seed=seeds, n_threads=1, **settings)
    else:
        histories = []
        for model, optimizer, seed in zip(models, optimizers, seeds, strict=True):
            try:
                histories.append(fit(model, criterion, optimizer, data, seed=seed, **settings))
            except FloatingPointError as error:
                histories.append(str(error).removeprefix("fit: "))
    told = [history if isinstance(history, str) else history.stopped or str(lines([history])) + history.path
            for history in histories]
    return (told, weights(models), [bits(optimizer.state_dict()) for optimizer in optimizers],
            [[(p.status.has_grad, p.gradient.tobytes()) for p in model.parameters()] for model in models],
            [model.training for model in models], [vars(model)["_coding"] for model in models])


@pytest.mark.parametrize("name, target", [
    *((name, "labels") for name in OPTIMIZERS), *(("SGD with momentum", target) for target in LOSSES)])
def test_several_in_a_call_have_the_bits_of_their_own_training(name, target, calls):
    criterion, outputs, y = LOSSES[target]
    ways = []
    for many in (False, True):
        models = crowd(outputs)
        optimizers = [rule(name, model.parameters(), 1 + i % 7) for i, model in enumerate(models)]
        seeds = [i // 4 for i in range(len(models))]
        ways.append(trained(models, criterion, optimizers, (DATA[0], y), seeds, many,
                            batch_size=40 if target == "half a batch" else 16))
    assert ways[0] == ways[1]
    assert (max(calls) > 1) == (has_rule(optimizers[0]) and target != "recorded")


@pytest.mark.parametrize("what", [
    "the first loss is no number", "a later loss is none", "gradients from before", "weights here and there",
    "state for some", "generators of one's own", "validation", "evaluation mode", "read-only", "trained before"])
def test_several_in_a_call_of_which_some_are_not_like_the_others(what, calls):
    ways = []
    for many in (False, True):
        models = crowd()
        optimizers = [optim.SGD(model.parameters(), lr=0.1, momentum=0.9 * (what == "state for some" and i % 7 > 2))
                      for i, model in enumerate(models)]
        seeds, options = [i // 2 for i in range(len(models))], {}
        criterion, data = nn.CrossEntropyLoss(), DATA
        for i, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            if what == "the first loss is no number" and i % 6 == 4:
                model[0].weight.data[0, 0] = np.nan
            elif what == "a later loss is none":
                criterion, data = nn.MSELoss(), (DATA[0], DATA[0])
                optimizer.lr = 1e30 if i % 6 == 4 else 0.1
            elif what == "gradients from before" and i % 3 == 1:
                nn.CrossEntropyLoss()(model(DATA[0]), DATA[1])
                model[2].weight.gradient[...] = i
                if i % 2:
                    model[0].weight.data[...] = np.inf  # so that they stay
            elif what == "weights here and there" and i % 6 == 4:
                held = nn.Linear(9, 9)
                models[i] = nn.Sequential(model[0], model[1], nn.Linear(5, 3, generator=i))
                optimizers[i] = optim.SGD(models[i].parameters(), lr=0.1)
                del held
            elif what == "evaluation mode" and i > 8:
                model.eval()
            elif what == "trained before":
                fit(model, criterion, optimizer, data, seed=1, progress=False)
                optimizers[i] = optim.SGD(model.parameters(), lr=0.1)
            elif what == "read-only" and i % 6 == 4:
                model[0].weight._data.flags.writeable = False
        if what == "generators of one's own":
            seeds = [np.random.default_rng(seed) for seed in seeds]
        elif what == "validation":
            options["validation"] = DATA
        ways.append(trained(models, criterion, optimizers, data, seeds, many, **options))
        if what == "generators of one's own":
            ways[-1] += [generator.random() for generator in seeds],
    assert ways[0] == ways[1]
    assert (max(calls) > 1) == (what not in ("generators of one's own", "validation"))


def test_patterns_that_take_turns_are_trained_together_all_the_same(calls):
    models = [model for pair in zip(crowd(), crowd(2), strict=True) for model in pair]
    minidl.fit_many(models, nn.MSELoss(), lambda p: optim.SGD(p, lr=0.1),
                    [(DATA[0], DATA[0][:, :2 + (i % 2 == 0)]) for i in range(26)], seed=1, progress=False)
    assert not calls  # each with data of its own
    models = [model for pair in zip(crowd(), crowd(2), strict=True) for model in pair]
    minidl.fit_many(models, nn.CrossEntropyLoss(), lambda p: optim.SGD(p, lr=0.1), (DATA[0], DATA[1] % 2), seed=1,
                    progress=False, n_threads=1)
    assert max(calls) == 5  # as many as there is room for


def test_what_a_program_of_members_refuses():
    x, y = DATA
    models = crowd(count=3)
    optimizers = [optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in models]
    step = minidl.capture(models[0], nn.CrossEntropyLoss(), optimizers[0])
    step(x[:16], y[:16])
    flats = [optimizer.flats()[0] for optimizer in optimizers]
    for flat in flats:
        flat.arrays(flats[0].state)
    order = np.arange(N)
    good = {"samples": x, "target": y, "batch": 16, "output": None, "truth": None, "threshold": 0.0,
            "orders": np.array([order, order]), "rows": N, "numbers": np.zeros((2, step.program.settings_count)),
            "own": [[a for pair in flat.spans for a in pair] for flat in flats],
            "states": [list(flat.state.values()) for flat in flats], "statuses": [flat.statuses for flat in flats]}
    before = weights(models)
    for name, value, error in [
            ("samples", x.tolist(), Refusal), ("samples", x[:, :2], Refusal), ("samples", x[:50], Refusal),
            ("target", y[:-1], Refusal), ("target", x, Refusal), ("batch", 0, Refusal), ("batch", 17, Refusal),
            ("rows", 0, Refusal), ("rows", 7, ValueError), ("orders", np.array([order]), ValueError),
            ("orders", np.array([order, order + 1]), Refusal), ("orders", np.array([order, -order]), Refusal),
            ("orders", np.zeros((2, N)), ValueError), ("orders", np.zeros((0, N), np.intp), ValueError),
            ("orders", np.zeros((2, 0), np.intp), ValueError), ("numbers", np.zeros((1, 8)), ValueError),
            ("numbers", np.zeros((2, 7)), ValueError), ("own", good["own"][:2], ValueError),
            ("own", [[a[:-1] for a in some] for some in good["own"][:1]] + good["own"][1:], ValueError),
            ("own", [*good["own"][:2], good["own"][2][:1]], ValueError),
            ("own", [*good["own"][:2], [a.astype(float) for a in good["own"][2]]], Refusal),
            ("own", [*good["own"][:2], [1] * len(good["own"][0])], Refusal),
            ("states", [*good["states"][:2], []], ValueError), ("states", good["states"][:2], ValueError),
            ("statuses", [*good["statuses"][:2], good["statuses"][0][:-1]], ValueError),
            ("statuses", [*good["statuses"][:2], [1] * len(flats[0].statuses)], TypeError),
            ("own", [], ValueError), ("states", [], ValueError), ("statuses", [], ValueError),
            ("own", [1, 2, 3], TypeError), ("states", [(), (), ()], TypeError), ("statuses", [[], [], []], ValueError),
            ("truth", y[:-1], Refusal), ("truth", y, Refusal)]:
        with pytest.raises(error):
            step.program.members(**good | {name: value})
    assert weights(models) == before
    step.program.members(**good)
    assert weights(models) != before
    optimizers[0].param_groups.append({})
    with pytest.raises(Refusal):
        step.program.members(**good)


def test_a_loss_of_before_is_not_differentiated_with_the_weights_of_after(calls):
    models = crowd()
    losses = [nn.CrossEntropyLoss()(model(minidl.tensor(DATA[0])), DATA[1]) for model in models]
    minidl.fit_many(models, nn.CrossEntropyLoss(), optim.SGD, DATA, batch_size=16, progress=False, n_threads=1)
    assert max(calls) > 1
    for loss in losses:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
