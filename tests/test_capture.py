"""The captured step: the bits of the plain one, whatever it is made of and whatever changes between steps."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import ACTIVATIONS, FLOATS, numbers
from twins import Twins, batches, bits, digest, plain_step

import minidl
from minidl import nn, optim
from minidl.tensor import Parameter

SIZES = [4, 16, 1, 17, 33, 7, 100]

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "maximize": lambda p: optim.SGD(p, lr=1e-3, momentum=0.5, weight_decay=0.1, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adam decay": lambda p: optim.Adam(p, lr=0.01, betas=(0.8, 0.99), weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adadelta": lambda p: optim.Adadelta(p, weight_decay=0.01),
}

LOSSES = {  # the loss, and whether the target is rows of probabilities
    "mse": (nn.MSELoss, False), "cross entropy": (nn.CrossEntropyLoss, False),
    "cross entropy of rows": (nn.CrossEntropyLoss, True), "nll": (nn.NLLLoss, False),
}
CASES = [(name, reduction) for name in LOSSES
         for reduction in ("mean", "sum", *(["batchmean"] if name == "mse" else []))]


def mixed(dtype=np.float32) -> nn.Sequential:
    """(N, 7) -> (N, 3): nested, with and without biases, dropout inside, odd widths."""
    return nn.Sequential(
        nn.Identity(), nn.Linear(7, 33, dtype=dtype), nn.ReLU(),
        nn.Sequential(nn.Linear(33, 17, bias=False, dtype=dtype), nn.ELU(1.3), nn.Dropout(0.3)),
        nn.Linear(17, 3, dtype=dtype), nn.LogSoftmax())


def small(dtype=np.float32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5, dtype=dtype), nn.Tanh(), nn.Linear(5, 3, dtype=dtype))


def trained(make_model, widths=(4, 3), criterion=None, optimizer=OPTIMIZERS["adam"], dtype=np.float32,
            sizes=(5, 16, 3), soft=False) -> Twins:
    """Twins after some batches, checked."""
    def make():
        model = make_model()
        return model, criterion or nn.CrossEntropyLoss(), optimizer(model.parameters())

    twins = Twins(make)
    for x, y in batches(make()[1], widths, sizes, dtype, soft=soft):
        twins.train(x, y)
    twins.check()
    return twins


def state(step) -> dict[str, str]:
    return bits(step.model, step.optimizer)


# What it is made of


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss, reduction", CASES)
def test_losses_and_optimizers(loss, reduction, optimizer, dtype):
    kind, soft = LOSSES[loss]

    def make(parameters):
        made = OPTIMIZERS[optimizer](parameters)
        made.lr *= 0.02 if reduction == "sum" else 1  # the sum of a batch of 100 diverges otherwise
        return made

    trained(lambda: mixed(dtype), (7, 3), kind(reduction), make, dtype, SIZES, soft)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name, settings", ACTIVATIONS)
@pytest.mark.parametrize("place", ["first", "inside", "last"])
def test_activations(name, settings, place, dtype):
    def make():
        layers = [nn.Linear(4, 19, dtype=dtype), nn.Linear(19, 3, dtype=dtype)]
        layers.insert({"first": 0, "inside": 1, "last": 2}[place], getattr(nn, name)(**settings))
        return nn.Sequential(layers)

    trained(make, criterion=nn.MSELoss(), dtype=dtype, sizes=SIZES)


@pytest.mark.parametrize("make, widths", [
    (lambda: nn.Linear(4, 3), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(1, 1)), (1, 1)),
    (lambda: nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(4, 3))), nn.Identity()), (4, 3)),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(4, 8), nn.Flatten(), nn.Linear(8, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(4, 300), nn.ReLU(), nn.Linear(300, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(4, 6), nn.Softmax(dim=1), nn.Linear(6, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 3), nn.Dropout(0.0), nn.Dropout(0.5)), (4, 3)),
], ids=["a Linear", "one number", "nested", "Flatten first", "Flatten inside", "wide", "Softmax of dim 1",
        "Dropout first and last"])
def test_shapes_of_models(make, widths):
    trained(make, widths, sizes=SIZES)


def test_a_module_that_is_used_twice():
    def make():
        shared, act = nn.Linear(6, 6), nn.Tanh()
        return nn.Sequential(nn.Linear(4, 6), act, shared, act, nn.Sequential(shared, act), nn.Linear(6, 3))

    trained(make, sizes=SIZES)


def test_a_module_that_comes_first_and_last():
    def make():
        shared = nn.Linear(4, 3)
        return nn.Sequential(shared, nn.Linear(3, 4), nn.ReLU(), shared)

    trained(make, sizes=SIZES)


def test_a_parameter_that_two_modules_share():
    def make():
        first, second = nn.Linear(5, 5), nn.Linear(5, 5)
        second.weight = first.weight
        return nn.Sequential(nn.Linear(4, 5), first, nn.ReLU(), second, nn.Linear(5, 3))

    trained(make, sizes=SIZES)


def test_one_class():
    trained(lambda: nn.Linear(4, 1), (4, 1))


# What the optimizer holds


def test_parameter_groups():
    def make():
        model = mixed()
        groups = [{"params": model[1].parameters(), "lr": 0.5}, {"params": model[3].parameters()},
                  {"params": [model[4].weight], "momentum": 0.0, "dampening": 0.0},
                  {"params": [model[4].bias], "weight_decay": 0.1}]
        return model, nn.NLLLoss(), optim.SGD(groups, lr=0.1, momentum=0.9, dampening=0.5)

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (7, 3), SIZES):
        twins.train(x, y)
    twins.check()


@pytest.mark.parametrize("held", [
    lambda model: [model[0].weight], lambda model: [model[0].bias, model[2].weight],
    lambda model: [model[2].bias], lambda model: model[2].parameters(),
    lambda model: model.parameters()[::-1],
], ids=["a weight", "a bias and a weight", "the last bias", "the last layer", "in reverse"])
def test_an_optimizer_that_holds_some_parameters(held):
    """The gradients of the others add up, as they do without a zero_grad()."""
    def make():
        model = small()
        return model, nn.CrossEntropyLoss(), optim.Adam(held(model))

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (4, 3), SIZES):
        twins.train(x, y)
    twins.check()
    assert twins.captured[0][0].weight.grad.any()


def test_an_optimizer_that_holds_more_than_the_model():
    def make():
        model, other = small(), nn.Linear(2, 2)
        return model, nn.CrossEntropyLoss(), optim.AdamW([*model.parameters(), *other.parameters()])

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (4, 3), SIZES):
        twins.train(x, y)
    twins.check()


def test_parameters_of_a_larger_set():
    """The optimizer's stretch of memory has another model's parameters in its middle."""
    def make():
        model, other = small(), nn.Linear(3, 3)
        minidl.storage.flatten([*model[0].parameters(), *other.parameters(), *model[2].parameters()])
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (4, 3), SIZES):
        twins.train(x, y)
    twins.check()


# Dropout


def test_dropout_from_minidls_stream():
    """One stream for both, so one after the other."""
    results = []
    for step in ("plain", "captured"):
        minidl.manual_seed(11)
        model = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.25), nn.Linear(30, 3))
        parts = model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)
        run = minidl.capture(*parts) if step == "captured" else lambda *batch, parts=parts: plain_step(*parts, *batch)
        losses = [run(x, y) for x, y in batches(parts[1], (4, 3), SIZES)]
        results.append((losses, bits(model, parts[2])))
    assert results[0] == results[1]


def test_dropout_does_not_drop_in_evaluation_mode():
    twins = Twins(lambda: (model := mixed(), nn.NLLLoss(), optim.Adam(model.parameters())))
    data = list(batches(twins.plain[1], (7, 3), [8] * 6))
    for number, (x, y) in enumerate(data):
        if number in (2, 4):
            twins.each(lambda model, optimizer, mode=number == 4: model.train(mode))
        twins.train(x, y)
    twins.check()


def test_the_probability_and_the_generator_of_a_dropout_may_change():
    twins = Twins(lambda: (model := mixed(), nn.NLLLoss(), optim.Adam(model.parameters())))

    def change(model, optimizer, p):
        model[3][2].p, model[3][2].generator = p, np.random.default_rng(5)

    for p, (x, y) in zip([0.1, 0.0, 0.9], batches(twins.plain[1], (7, 3), [8] * 3), strict=True):
        twins.each(lambda model, optimizer, p=p: change(model, optimizer, p))
        twins.train(x, y)
    twins.check()


# What changes between steps


@pytest.mark.parametrize("name, changes", [
    ("momentum", {"lr": [0.1, 0.0, 0.3], "momentum": [0.9, 0.0, 0.5], "weight_decay": [0.0, 0.1, 0.0],
                  "dampening": [0.5, 0.0, 0.2], "maximize": [False, True, False]}),
    ("sgd", {"momentum": [0.0, 0.9, 0.9], "nesterov": [False, False, True]}),
    ("adam", {"lr": [0.1, 0.01, 0.0], "betas": [(0.9, 0.9), (0.0, 0.5), (0.5, 0.0)], "eps": [1e-8, 1.0, 1e-3]}),
    ("adamw", {"lr": [0.1, 0.01, 0.2], "weight_decay": [0.0, 0.5, 0.1]}),
    ("adadelta", {"lr": [1.0, 0.5, 0.2], "rho": [0.9, 0.1, 0.5], "weight_decay": [0.0, 0.5, 0.1]}),
])
def test_settings_are_read_at_each_step(name, changes):
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), OPTIMIZERS[name](model.parameters())))
    for number, (x, y) in enumerate(batches(twins.plain[1], (4, 3), [9] * 12)):
        def change(model, optimizer, number=number):
            for setting, values in changes.items():
                optimizer.param_groups[0][setting] = values[number // 2 % 3]

        twins.each(change)
        twins.train(x, y)
    twins.check()


@pytest.mark.parametrize("name", ["momentum", "adam", "adadelta"])
def test_states_are_loaded_in_between(name):
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), OPTIMIZERS[name](model.parameters())))
    data = list(batches(twins.plain[1], (4, 3), SIZES))
    fresh = twins.plain[2].state_dict()  # without arrays
    for x, y in data[:3]:
        twins.train(x, y)
    weights, moments = twins.plain[0].state_dict(), twins.plain[2].state_dict()
    for loaded in (moments, fresh, moments):
        for x, y in data[3:]:
            twins.train(x, y)
        twins.each(lambda model, optimizer: model.load_state_dict(weights))
        twins.each(lambda model, optimizer, loaded=loaded: optimizer.load_state_dict(loaded))
        for x, y in data:
            twins.train(x, y)
        twins.check()


def test_plain_and_captured_steps_on_one_model():
    twins = Twins(lambda: (model := mixed(), nn.NLLLoss(), optim.Adam(model.parameters())))
    for number, (x, y) in enumerate(batches(twins.plain[1], (7, 3), SIZES * 2)):
        if number % 3:
            assert plain_step(*twins.captured, x, y) == plain_step(*twins.plain, x, y)
        else:
            twins.train(x, y)
    twins.check()


def test_what_the_modules_saved_stays():
    """A captured step between a forward and its backward does not disturb them."""
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.0))
    (x, y), (other, _) = batches(step.criterion, (4, 3), [5, 5])
    expected = nn.Sequential.backward(model, np.ones_like(model(other)))
    model(other)
    step(x, y)
    np.testing.assert_array_equal(model.backward(np.ones((5, 3), np.float32)), expected)


def test_the_storage_moves():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    other = nn.Linear(3, 3)
    store = twins.captured[0][0].weight.store
    minidl.storage.flatten([*other.parameters(), *twins.captured[0].parameters()])
    assert twins.captured[0][0].weight.store is not store
    store.values[:] = np.nan  # nobody reads them any more
    for _ in range(3):
        twins.train(x, y)
    twins.check()


def test_modules_come_and_go():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])

    changes = [
        lambda model, optimizer: model.append(nn.Sigmoid()),
        lambda model, optimizer: model.insert(0, nn.Sequential()),
        lambda model, optimizer: model[0].append(nn.ReLU()),  # within
        lambda model, optimizer: model.pop(),
        lambda model, optimizer: model.__setitem__(2, nn.LeakyReLU(0.2)),
        lambda model, optimizer: setattr(model[2], "settings", {"negative_slope": 0.4}),
        lambda model, optimizer: model[2].settings.update(negative_slope=0.7),
        lambda model, optimizer: setattr(model[3], "bias", None),
    ]
    twins.train(x, y)
    for change in changes:
        twins.each(change)
        twins.train(x, y)
        twins.check()


def test_a_weight_is_replaced():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    value = numbers((5, 4))
    twins.each(lambda model, optimizer: setattr(model[0], "weight", Parameter(value, order="F")))
    for _ in range(2):  # it is not the optimizer's: its gradient adds up
        twins.train(x, y)
    twins.check()
    np.testing.assert_array_equal(twins.captured[0][0].weight.data, value)


def test_the_model_changes_its_widths():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.SGD(model[0].parameters(), lr=0.1)))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    minidl.manual_seed(0)
    last = nn.Linear(5, 9)
    twins.each(lambda model, optimizer: model.__setitem__(2, nn.Sequential(last)))
    last.zero_grad()
    plain = plain_step(*twins.plain, x, y + 6)
    last.zero_grad()
    assert twins.step(x, y + 6) == plain
    assert bits(twins.captured[0], twins.captured[2]) == bits(twins.plain[0], twins.plain[2])


def test_another_reduction():
    twins = Twins(lambda: (model := small(), nn.MSELoss(), optim.Adam(model.parameters())))
    for reduction, (x, y) in zip(["mean", "sum", "batchmean", "mean"],
                                 batches(twins.plain[1], (4, 3), [9] * 4), strict=True):
        twins.plain[1].reduction = twins.captured[1].reduction = reduction
        twins.train(x, y)
    twins.check()
    twins.captured[1].reduction = "none"
    with pytest.raises(ValueError, match="capture: expected a criterion that reduces to one number"):
        twins.step(x, y)


def test_a_group_is_replaced():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    twins.each(lambda model, optimizer: optimizer.param_groups.__setitem__(
        0, dict(optimizer.param_groups[0], lr=0.5)))
    twins.train(x, y)
    twins.check()


# What a batch may be


def rows_of(x: np.ndarray) -> list[np.ndarray]:
    """The same numbers, lying differently."""
    spread = np.zeros((2 * len(x), 3 * x.shape[1]), x.dtype)
    spread[::2, ::3] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return [spread[::2, ::3], np.asfortranarray(x), x[::-1].copy()[::-1], read_only]


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.CrossEntropyLoss])
@pytest.mark.parametrize("lies", range(4), ids=["strided", "Fortran", "reversed", "read-only"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("picked", [False, True])
def test_how_a_batch_lies(lies, kind, dtype, picked):
    twins = Twins(lambda: (model := small(dtype), kind(), optim.Adam(model.parameters())))
    index = np.array([3, 1, 1, 0]) if picked else None
    for soft in (False, True):
        for x, y in batches(twins.plain[1], (4, 3), [9, 17], dtype, soft=soft):
            y = rows_of(y)[lies] if y.ndim == 2 else rows_of(y[:, None])[lies][:, 0]
            twins.train(rows_of(x)[lies], y, index)
    twins.check()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, ">i8"])
def test_labels_of_any_integers(dtype):
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    for x, y in batches(twins.plain[1], (4, 3), [9, 33]):
        twins.train(x, y.astype(dtype))
    twins.check()


@pytest.mark.parametrize("index", [
    np.array([5, 2, 9, 0]), np.array([3, 3, 3]), np.array([19]), np.arange(20)[::-3],
    np.array([4, 1], np.int8), np.array([4, 1], np.uint32), np.arange(0, 20, 2, dtype=">i4"),
], ids=["out of order", "repeated", "the last", "reversed", "int8", "uint32", "big-endian"])
@pytest.mark.parametrize("kind", [nn.MSELoss, nn.CrossEntropyLoss])
def test_an_index(index, kind):
    twins = Twins(lambda: (model := small(), kind(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [20])
    for _ in range(2):
        twins.train(x, y, index)
    twins.check()


def test_labels_and_rows_in_turn():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    for soft in (False, True, False, True):
        for x, y in batches(twins.plain[1], (4, 3), [9], soft=soft):
            twins.train(x, y)
    twins.check()


@pytest.mark.parametrize("picked", [None, np.array([3, 0, 7, 7])])
@pytest.mark.parametrize("strided", [False, True])
def test_images(picked, strided):
    def make():
        model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(12, 3))
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    twins = Twins(make)
    images, labels = numbers((9, 3, 8))[:, :, ::2] if strided else numbers((9, 3, 4)), np.arange(9) % 3
    for _ in range(2):
        twins.train(images, labels, picked)
    twins.check()


def test_the_output_and_the_wrong_ones_of_the_last_batch():
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    for x, y in batches(step.criterion, (4, 3), [40, 9]):
        output = model(x)
        step(x, y)
        np.testing.assert_array_equal(step.output[:len(x)], output)
        assert step.wrong == np.count_nonzero(output.argmax(axis=1) != y)
    step(x, np.eye(3, dtype=np.float32)[y])
    assert step.wrong is None


# What does not fit


def refused(step, error, message, *batch) -> None:
    before = state(step)
    with pytest.raises(error, match=f"^capture: {message}"):
        step(*batch)
    assert state(step) == before


X, LABELS, ROWS = numbers((6, 4)), np.array([0, 1, 2, 0, 1, 2]), numbers((6, 3), seed=2)


@pytest.mark.parametrize("x, error, message", [
    (X[:, :3], ValueError, r"Linear\(4, 5\): expected input of shape \(N, 4\), got \(6, 3\)"),
    (X[0], ValueError, "expected x and y of one length, got 4 and 6"),
    (X.reshape(6, 2, 2), ValueError, r"Linear\(4, 5\): expected input of shape \(N, 4\), got \(6, 2, 2\)"),
    (X.ravel()[:6], ValueError, r"Linear\(4, 5\): expected input of shape \(N, 4\), got \(6,\)"),
    (np.zeros((), np.float32), ValueError, "expected x with an axis of samples, got a single number"),
    (X[:5], ValueError, "expected x and y of one length, got 5 and 6"),
    (X.astype(np.float64), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got float64"),
    (X.astype(np.int64), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got int64"),
    (X.astype(np.float16), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got float16"),
    (X.astype(">f4"), TypeError, r"Linear\(4, 5\): expected input of dtype float32, got >f4"),
    (X.tolist(), TypeError, "expected x as a NumPy array, got list"),
    (minidl.tensor(X), TypeError, "expected x as a NumPy array, got Tensor"),
    (None, TypeError, "expected x as a NumPy array, got NoneType"),
])
def test_an_input_that_does_not_fit(x, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, error, message, x, LABELS)
    step(X, LABELS)
    refused(step, error, message, x, LABELS)


@pytest.mark.parametrize("kind, y, error, message", [
    ("CrossEntropyLoss", LABELS + 1, ValueError, "expected labels from 0 to 2, got 3"),
    ("CrossEntropyLoss", LABELS - 1, ValueError, "expected labels from 0 to 2, got -1"),
    ("CrossEntropyLoss", (LABELS - 1).astype(np.int8), ValueError, "expected labels from 0 to 2, got -1"),
    ("CrossEntropyLoss", LABELS.astype(np.float32), TypeError, "expected labels of an integer dtype, got float32"),
    ("CrossEntropyLoss", LABELS > 0, TypeError, "expected labels of an integer dtype, got bool"),
    ("CrossEntropyLoss", ROWS[:, :2], ValueError, r"expected rows of probabilities \(6, 3\), got \(6, 2\)"),
    ("CrossEntropyLoss", ROWS.astype(np.float64), TypeError, "expected probabilities of float32, got float64"),
    ("CrossEntropyLoss", ROWS[:, :, None], ValueError, r"expected labels of shape \(6,\), got \(6, 3, 1\)"),
    ("NLLLoss", ROWS, ValueError, r"expected labels of shape \(6,\), got \(6, 3\)"),
    ("NLLLoss", LABELS + 5, ValueError, "expected labels from 0 to 2, got 5"),
    ("MSELoss", LABELS, ValueError, r"expected a target of the output's shape \(6, 3\), got \(6,\)"),
    ("MSELoss", ROWS[:, 0], ValueError, r"expected a target of the output's shape \(6, 3\), got \(6,\)"),
    ("MSELoss", ROWS.astype(np.float64), TypeError, "expected a target of the output's dtype float32, got float64"),
    ("MSELoss", ROWS.astype(int), TypeError, "expected a target of the output's dtype float32, got int64"),
])
def test_a_target_that_does_not_fit(kind, y, error, message):
    model = small()
    step = minidl.capture(model, getattr(nn, kind)(), optim.Adam(model.parameters()))
    refused(step, error, f"{kind}: {message}", X, y)
    refused(step, error, f"{kind}: {message.replace('(6,', '(2,')}", X, y, np.array([0, 5]))


@pytest.mark.parametrize("y, error, message", [
    (LABELS[:5], ValueError, "expected x and y of one length, got 6 and 5"),
    (LABELS.tolist(), TypeError, "expected y as a NumPy array, got list"),
    (np.zeros((), int), ValueError, "expected y with an axis of samples, got a single number"),
])
def test_a_target_that_is_none(y, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, error, message, X, y)
    refused(step, error, message, X, y, np.array([0, 1]))


@pytest.mark.parametrize("index, error, message", [
    (np.array([0, 6]), IndexError, "expected an index from 0 to 5, got 0 to 6"),
    (np.array([-1, 2]), IndexError, "expected an index from 0 to 5, got -1 to 2"),
    (np.array([0.0, 1.0]), TypeError, r"expected index as integers of shape \(N,\), got float64 of shape \(2,\)"),
    (np.ones(6, bool), TypeError, r"expected index as integers of shape \(N,\), got bool of shape \(6,\)"),
    (np.zeros((2, 2), int), TypeError, r"expected index as integers of shape \(N,\), got int64 of shape \(2, 2\)"),
    ([0, 1], TypeError, "expected index as a NumPy array, got list"),
    (slice(0, 2), TypeError, "expected index as a NumPy array, got slice"),
    (np.zeros(0, int), ValueError, "expected at least one sample, got none"),
])
def test_an_index_that_does_not_fit(index, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, error, message, X, LABELS, index)


def test_an_empty_batch():
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    refused(step, ValueError, "expected at least one sample, got none", X[:0], LABELS[:0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["MSELoss", "CrossEntropyLoss"])
def test_a_loss_that_is_not_finite(kind, value):
    model = small()
    step = minidl.capture(model, getattr(nn, kind)(), optim.Adam(model.parameters()))
    y = ROWS if kind == "MSELoss" else LABELS
    step(X, y)
    model[2].bias.data = np.array([0, value, 0], np.float32)
    before = state(step)
    with pytest.raises(FloatingPointError, match=r"^capture: the loss became (nan|inf); the weights are those before"):
        step(X, y)
    assert state(step) == before
    assert not np.isfinite(step.run(X, y))
    assert state(step) == before


# What cannot be captured


class Mine(nn.Module):
    def forward(self, x):
        return x * 2


class MyLinear(nn.Linear):
    pass


class MySequential(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * 2


@pytest.mark.parametrize("model, message", [
    (lambda: nn.Sequential(nn.Linear(4, 3), Mine()), "Mine has no kernels of its own"),
    (lambda: nn.Sequential(nn.Sequential(MyLinear(4, 3))), "MyLinear has no kernels of its own"),
    (lambda: MySequential(nn.Linear(4, 3)), "MySequential has no kernels of its own"),
    (lambda: nn.ModuleList([nn.Linear(4, 3)]), "ModuleList has no kernels of its own"),
    (lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)), r"Softmax\(dim=0\): expected dim -1 or 1"),
    (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(4, 3)), r"Flatten\(start_dim=0, end_dim=-1\): expected start_dim"),
    (lambda: nn.Sequential(nn.Tanh()), "expected a model with a Linear, got Sequential"),
    (nn.Sequential, "expected a model with a Linear, got Sequential"),
])
def test_models_that_cannot_be_captured(model, message):
    optimizer = optim.SGD(nn.Linear(2, 2).parameters())
    with pytest.raises(TypeError, match=f"^capture: {message}"):
        minidl.capture(model(), nn.MSELoss(), optimizer)


def test_a_module_that_cannot_be_captured_comes_later():
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    step(X, LABELS)
    model.append(Mine())
    for _ in range(2):
        refused(step, TypeError, "Mine has no kernels of its own", X, LABELS)
    model.pop()
    step(X, LABELS)


@pytest.mark.parametrize("layers, error, message", [
    ([nn.Linear(4, 5), nn.Linear(4, 3)], ValueError,
     r"Linear\(4, 3\): expected input of shape \(N, 4\), got \(N, 5\)"),
    ([nn.Linear(4, 5), nn.Linear(5, 3, dtype=np.float64)], TypeError,
     r"Linear\(5, 3\): expected weight of dtype float32, got float64"),
])
def test_layers_that_do_not_fit_each_other(layers, error, message):
    model = nn.Sequential(layers)
    with pytest.raises(error, match=f"^capture: {message}"):
        minidl.capture(model, nn.MSELoss(), optim.SGD(layers[0].parameters()))


@pytest.mark.parametrize("name, parameter, error, message", [
    ("weight", Parameter(numbers((5, 4))), TypeError, r"expected a weight that lies as \(in, out\)"),
    ("weight", Parameter(numbers((4, 5))), ValueError, r"expected weight of shape \(5, 4\), got \(4, 5\)"),
    ("bias", Parameter(numbers(4)), ValueError, r"expected bias of shape \(5,\), got \(4,\)"),
    ("bias", Parameter(numbers(5, np.float64)), TypeError, "expected bias of dtype float32, got float64"),
])
def test_parameters_that_do_not_fit(name, parameter, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    setattr(model[0], name, parameter)
    refused(step, error, rf"Linear\(4, 5\): {message}", X, LABELS)


def test_parameters_of_another_dtype_in_the_optimizer():
    model, other = small(), nn.Linear(2, 2, dtype=np.float64)
    optimizer = optim.SGD([{"params": model.parameters()}, {"params": other.parameters()}])
    with pytest.raises(TypeError, match="^capture: expected parameters of the model's dtype float32 in the optimizer"):
        minidl.capture(model, nn.MSELoss(), optimizer)


class WithoutBackward(nn.Module):
    def forward(self, z, t):
        return ((z - t) ** 2).sum()


class Learned(nn.MSELoss):
    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(1, 1)


MODEL = small()
SGD = optim.SGD(MODEL.parameters())


@pytest.mark.parametrize("parts, error, message", [
    (("net", nn.MSELoss(), SGD), TypeError, "expected a Module as the model, got str"),
    ((MODEL, minidl.functional.mse_loss, SGD), TypeError, "expected a loss module as the criterion, got Operation"),
    ((MODEL, nn.MSELoss(), 0.1), TypeError, "expected an Optimizer, got float"),
    ((MODEL, nn.MSELoss("none"), SGD), ValueError, "expected a criterion that reduces to one number"),
    ((MODEL, WithoutBackward(), SGD), TypeError, "expected a criterion with a backward and without parameters"),
    ((MODEL, Learned(), SGD), TypeError, "expected a criterion with a backward and without parameters"),
])
def test_parts_that_cannot_be_captured(parts, error, message):
    with pytest.raises(error, match=f"^capture: {message}"):
        minidl.capture(*parts)


# A user's own loss and optimizer are called in their place


class Huber(nn.Module):
    """Half the square up to one, linear beyond; the sum."""

    def forward(self, z, t):
        self.saved = d = z - t
        return np.where(abs(d) < 1, d * d / 2, abs(d) - 0.5).sum(dtype=np.float64)

    def backward(self):
        return self.require_saved().clip(-1, 1)


class SignDescent(optim.Optimizer):
    rules = {"lr": optim.SGD.rules["lr"]}  # noqa: RUF012

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)

    def update(self, group, flat):
        for w, g, *_ in flat.blocks():
            w -= np.float32(group["lr"]) * np.sign(g)


@pytest.mark.parametrize("criterion", [Huber(), nn.CrossEntropyLoss()])
@pytest.mark.parametrize("optimizer", [SignDescent, optim.Adam])
@pytest.mark.parametrize("index", [None, np.array([2, 0, 2], np.int32)])
def test_a_loss_and_an_optimizer_of_the_user(criterion, optimizer, index):
    twins = Twins(lambda: (model := mixed(), criterion, optimizer(model.parameters())))
    for size in SIZES:
        x, y = numbers((size + 3, 7), seed=size), numbers((size + 3, 3), seed=size + 1)
        twins.train(x, y if isinstance(criterion, Huber) else y.argmax(axis=1), index)
        twins.each(lambda model, optimizer: setattr(optimizer, "lr", optimizer.lr * 0.9))
    twins.check()


@pytest.mark.parametrize("gradient, error, message", [
    (lambda d: d[:, :1], ValueError, r"Broken\(\): expected gradient of shape \(6, 3\), got \(6, 1\)"),
    (lambda d: d.astype(np.float64), TypeError, r"Broken\(\): expected gradient of dtype float32, got float64"),
    (lambda d: 1.0, TypeError, r"Broken\(\): expected gradient of dtype float32, got float"),
])
def test_a_loss_of_the_user_that_gives_another_gradient(gradient, error, message):
    class Broken(Huber):
        def forward(self, z, t):
            return super().forward(z, t)

        def backward(self):
            return gradient(self.require_saved())

    model = small()
    step = minidl.capture(model, Broken(), optim.Adam(model.parameters()))
    before = digest(model.flat_parameters)
    with pytest.raises(error, match=message):
        step(X, ROWS)
    assert digest(model.flat_parameters) == before


@pytest.mark.parametrize("error", [IndexError, TypeError, ValueError, RuntimeError])
def test_an_error_of_the_user_comes_through_once(error):
    calls = []

    class Failing(SignDescent):
        def step(self):
            calls.append("step")
            raise error("mine")

    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), Failing(model.parameters()))
    with pytest.raises(error, match="^mine$"):
        step(X, LABELS)
    assert calls == ["step"]


# fit, evaluate and predict use it


def fitted(make, captured, data, **options):
    minidl.manual_seed(5)
    model, criterion, optimizer = make()
    history = minidl.fit(model, criterion, optimizer, data, seed=1, epochs=3, batch_size=7, progress=False,
                         captured=captured, **options)
    columns = {name: values for name, values in vars(history).items() if "seconds" not in name}
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in getattr(history, "rows", [])]
    return bits(model, optimizer), history.iteration_loss, rows or sorted(columns)


FITS = {
    "labels": (mixed, nn.NLLLoss, numbers((40, 7)), np.arange(40, dtype=np.int32) % 3),
    "rows": (mixed, nn.MSELoss, numbers((40, 7)), numbers((40, 3), seed=1)),
    "one class": (lambda: nn.Linear(7, 1), nn.CrossEntropyLoss, numbers((40, 7)), np.zeros(40, int)),
    "images": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.CrossEntropyLoss, numbers((40, 3, 4)),
               np.arange(40) % 3),
    "strided images": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.CrossEntropyLoss,
                       numbers((40, 3, 8))[:, :, ::2], np.arange(40) % 3),
    "a stack": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.MSELoss, numbers((40, 2, 4)),
                numbers((40, 2, 3))),
    "a user's loss": (mixed, Huber, numbers((40, 7)), numbers((40, 3), seed=1)),
    "a user's module": (lambda: nn.Sequential(nn.Linear(7, 3), Mine()), nn.MSELoss, numbers((40, 7)),
                        numbers((40, 3))),
}


@pytest.mark.parametrize("case", FITS)
@pytest.mark.parametrize("validated", [False, True])
def test_fit_captured_and_plain(case, validated):
    make_model, criterion, x, y = FITS[case]

    def make():
        model = make_model()
        return model, criterion(), optim.Adam(model.parameters())

    options = {"validation": (x[:11], y[:11])} if validated else {}
    assert fitted(make, True, (x, y), **options) == fitted(make, False, (x, y), **options)


def test_fit_with_a_transform():
    def make():
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    data = (numbers((40, 3, 4)) * 50).astype(np.int8), np.arange(40) % 3
    options = {"transform": lambda x: x.astype(np.float32) / 255}
    assert fitted(make, True, data, **options) == fitted(make, False, data, **options)


@pytest.mark.parametrize("case", FITS)
def test_evaluate_gives_what_the_modules_give(case):
    make_model, criterion, x, y = FITS[case]
    model, criterion = make_model(), criterion()
    result = minidl.evaluate(model, criterion, (x, y), batch_size=1000)
    assert result.loss == float(criterion(model.eval()(x), y))


@pytest.mark.parametrize("make", [
    lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)),
    lambda: nn.Sequential(nn.Linear(4, 3), Mine()),
    lambda: nn.Sequential(nn.Linear(4, 8), nn.ELU(), nn.Dropout(0.5), nn.Linear(8, 3), nn.Tanh(), nn.LogSoftmax()),
    lambda: nn.Sequential(nn.Tanh(), nn.Linear(4, 3), nn.Sigmoid()),
], ids=["looks at other rows", "a user's module", "activations in place", "an activation first"])
def test_predict_gives_what_forward_gives(make):
    model, x = make(), numbers((600, 4))
    expected = model.eval()(x)
    given = x.copy()
    np.testing.assert_array_equal(model.predict(given), expected)
    np.testing.assert_array_equal(given, x)
    model.append(Mine())
    np.testing.assert_array_equal(model.predict(x), expected * 2)
