"""Weights of samples in fit and evaluate, over all losses: those of samples that occur as often; the same bits."""
import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.training.weighted import as_weighted

N, IN, OUT = 40, 5, 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, IN))
LABELS = RNG.integers(0, OUT, N)
PROBABILITIES = RNG.dirichlet(np.ones(OUT), N)
WEIGHT = RNG.integers(0, 4, N).astype(float)
WEIGHT[:8] = 0  # a batch without weight
CLASS_WEIGHTS = [1.0, 3.0, 0.5]

LOSSES = [getattr(nn, name) for name in nn.__all__
          if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Loss) and name != "Loss"]
CASES = [(kind, reduction) for kind in LOSSES for reduction in kind.reductions if reduction != "none"]
NAMES = [f"{kind.__name__}-{reduction}" for kind, reduction in CASES]
LABELLED = [nn.CrossEntropyLoss(CLASS_WEIGHTS), nn.NLLLoss(CLASS_WEIGHTS), nn.CrossEntropyLoss(ignore_index=1),
            nn.CrossEntropyLoss(CLASS_WEIGHTS, label_smoothing=0.2),
            nn.CrossEntropyLoss(CLASS_WEIGHTS, reduction="sum")]
LAST = {nn.BCELoss: nn.Sigmoid, nn.KLDivLoss: nn.LogSoftmax, nn.NLLLoss: nn.LogSoftmax}


def target_of(criterion):
    return LABELS if criterion.takes_labels else PROBABILITIES


def model_for(criterion, dtype=np.float64):
    minidl.manual_seed(0)
    last = LAST.get(type(criterion), nn.Identity)
    model = nn.Sequential(nn.Linear(IN, 6), nn.Tanh(), nn.Linear(6, OUT), last())
    return model.double() if dtype == np.float64 else model


def trained(criterion, captured, weight, target, make=optim.SGD, dtype=np.float64, batch_size=8):
    model = model_for(criterion, dtype)
    history = minidl.fit(model, criterion, make(model.parameters(), lr=0.05), (X, target), epochs=3, seed=1,
                         batch_size=batch_size, progress=False, captured=captured, sample_weight=weight)
    return model, history


def check_against_repeats(criterion):
    """Value and gradient are those of the plain loss of samples that occur as often as their weight says."""
    weighted, target = as_weighted("fit", criterion), target_of(criterion)
    z = model_for(criterion)(X)
    repeats = np.repeat(np.arange(N), WEIGHT.astype(int))
    value = weighted(z, (target, WEIGHT))
    expected = criterion(z[repeats], target[repeats])
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    gradient = np.zeros_like(z)
    np.add.at(gradient, repeats, criterion.backward())
    np.testing.assert_allclose(weighted.backward(), gradient, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("kind, reduction", CASES, ids=NAMES)
def test_a_weight_is_how_often_a_sample_occurs(kind, reduction):
    check_against_repeats(kind(reduction=reduction))


@pytest.mark.parametrize("criterion", LABELLED, ids=str)
def test_weights_of_samples_and_of_classes_multiply(criterion):
    check_against_repeats(criterion)


def test_rows_of_probabilities_are_weighted_alike():
    weighted, criterion, z = as_weighted("fit", nn.CrossEntropyLoss()), nn.CrossEntropyLoss(), X[:, :OUT].copy()
    repeats = np.repeat(np.arange(N), WEIGHT.astype(int))
    assert weighted(z, (PROBABILITIES, WEIGHT)) == pytest.approx(criterion(z[repeats], PROBABILITIES[repeats]))


def test_labels_at_places_are_weighted_by_their_sample():
    criterion = nn.CrossEntropyLoss(CLASS_WEIGHTS)
    z, labels = RNG.standard_normal((N, OUT, 2, 3)), RNG.integers(0, OUT, (N, 2, 3))
    repeats = np.repeat(np.arange(N), WEIGHT.astype(int))
    assert as_weighted("fit", criterion)(z, (labels, WEIGHT)) == pytest.approx(criterion(z[repeats], labels[repeats]))


@pytest.mark.parametrize("kind, reduction", CASES, ids=NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_has_the_same_bits_compiled(kind, reduction, dtype):
    runs = [trained(kind(reduction=reduction), captured, WEIGHT, target_of(kind()), optim.Adam, dtype)
            for captured in (True, False)]
    assert runs[0][1].path == "compiled" and runs[1][1].path.startswith("plain")
    assert runs[0][1].iteration_loss == runs[1][1].iteration_loss and runs[0][1].loss == runs[1][1].loss
    np.testing.assert_array_equal(runs[0][0].flat_parameters, runs[1][0].flat_parameters)


@pytest.mark.parametrize("kind, reduction", CASES, ids=NAMES)
def test_equal_weights_are_no_weights(kind, reduction):
    target = target_of(kind())
    a, b = (trained(kind(reduction=reduction), True, weight, target)[0] for weight in (np.ones(N), None))
    np.testing.assert_allclose(a.flat_parameters, b.flat_parameters, rtol=1e-9)


def test_a_sample_without_weight_could_be_left_out():
    criterion, kept = nn.CrossEntropyLoss(), WEIGHT > 0
    model, _ = trained(criterion, True, WEIGHT, LABELS, batch_size=N)
    other = model_for(criterion)
    minidl.fit(other, criterion, optim.SGD(other.parameters(), lr=0.05), (X[kept], LABELS[kept]), epochs=3, seed=1,
               batch_size=N, progress=False, sample_weight=WEIGHT[kept])
    np.testing.assert_allclose(model.flat_parameters, other.flat_parameters, rtol=1e-9)


@pytest.mark.parametrize("criterion", [
    nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum"), nn.NLLLoss(), nn.CrossEntropyLoss(CLASS_WEIGHTS),
], ids=str)
def test_labels_to_be_ignored_may_come_late(criterion):
    """The first batch of a recorded step has none."""
    labels, weight = LABELS.copy(), WEIGHT + 0.5
    labels[20::3] = -100
    data = minidl.data.TensorDataset(minidl.tensor(X), minidl.tensor(labels))
    runs = []
    for captured in (True, False):
        model = model_for(criterion)
        history = minidl.fit(model, criterion, optim.SGD(model.parameters(), lr=0.05),
                             minidl.data.DataLoader(data, batch_size=10), epochs=3, progress=False, captured=captured,
                             sample_weight=weight)
        assert history.path == ("compiled" if captured else "plain: captured=False")
        runs.append((model.flat_parameters.copy(), history.iteration_loss))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    kept = labels >= 0
    weighted, z = as_weighted("fit", criterion), model_for(criterion)(X)
    assert weighted(z, (labels, weight)) == pytest.approx(weighted(z[kept], (labels[kept], weight[kept])))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_short_way_of_labels_has_the_bits_of_the_long_one(reduction, dtype):
    """An ignore_index of 7, which no label is, goes the long way."""
    z, weight = (3 * X[:, :OUT]).astype(dtype), RNG.random(N).astype(dtype)
    found = []
    for label in (-100, 7):
        weighted = as_weighted("fit", nn.CrossEntropyLoss(ignore_index=label, reduction=reduction))
        found.append((weighted(z, (LABELS, weight)), weighted.backward()))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_wrong_labels_are_named_with_weights_too():
    model = model_for(nn.CrossEntropyLoss())
    for captured in (True, False):
        with pytest.raises(ValueError, match=r"labels from 0 to 2, got 3"):
            minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), (X, np.full(N, 3)),
                       progress=False, sample_weight=WEIGHT, captured=captured)


def test_a_batch_without_weight_trains_nothing():
    criterion = nn.MSELoss()
    weight = np.zeros(N)
    weight[0] = 1
    model, history = trained(criterion, True, weight, PROBABILITIES)
    assert sorted(history.iteration_loss)[:12] == [0.0] * 12  # four of the five batches, in three epochs
    assert np.isfinite(model.flat_parameters).all()
    assert history.loss[0] == max(history.iteration_loss[:5])


def test_evaluate_weighs():
    criterion = nn.CrossEntropyLoss()
    model = model_for(criterion)
    repeats = np.repeat(np.arange(N), WEIGHT.astype(int))
    found = minidl.evaluate(model, criterion, (X, LABELS), sample_weight=WEIGHT, batch_size=7)
    expected = minidl.evaluate(model, criterion, (X[repeats], LABELS[repeats]))
    assert found.loss == pytest.approx(expected.loss)
    assert found.error == minidl.evaluate(model, criterion, (X, LABELS)).error


def test_a_function_of_three_takes_the_weight():
    def loss(output, target, weight):
        return (((output - target) ** 2).mean(1) * weight).sum() / weight.sum()

    weight = WEIGHT + 1
    a = trained(nn.MSELoss(), True, weight, PROBABILITIES)[0]
    b, c = model_for(nn.MSELoss()), model_for(nn.MSELoss())
    for model, captured in ((b, True), (c, False)):
        history = minidl.fit(model, loss, optim.SGD(model.parameters(), lr=0.05), (X, PROBABILITIES), epochs=3, seed=1,
                             batch_size=8, progress=False, sample_weight=weight, captured=captured)
        assert history.path == ("compiled" if captured else "plain: captured=False")
    np.testing.assert_allclose(a.flat_parameters, b.flat_parameters, rtol=1e-9)
    np.testing.assert_array_equal(b.flat_parameters, c.flat_parameters)
    found = minidl.evaluate(b, loss, (X, PROBABILITIES), sample_weight=weight)
    assert found.loss == pytest.approx(minidl.evaluate(b, nn.MSELoss(), (X, PROBABILITIES), sample_weight=weight).loss)


class Twice(nn.MSELoss):
    def forward(self, output, target):
        return 2 * super().forward(output, target)


def test_a_loss_of_ones_own_is_weighted():
    weighted, z = as_weighted("fit", Twice()), X[:, :OUT].copy()
    plain = as_weighted("fit", nn.MSELoss())(z, (PROBABILITIES, WEIGHT))
    assert weighted(z, (PROBABILITIES, WEIGHT)) == pytest.approx(2 * plain)


@pytest.mark.parametrize("criterion", LABELLED, ids=str)
def test_class_weights_have_the_same_bits_on_the_tape_captured_and_in_fit(criterion):
    def optimizer(model):
        return optim.Adam(model.parameters(), lr=0.05)

    arrays = model_for(criterion)
    first = optimizer(arrays)
    for _ in range(4):
        first.zero_grad()
        criterion(arrays(X), LABELS)
        arrays.backward(criterion.backward())
        first.step()
    taped = model_for(criterion)
    second = optimizer(taped)
    for _ in range(4):
        second.zero_grad()
        criterion(taped(minidl.tensor(X)), LABELS).backward()
        second.step()
    captured = model_for(criterion)
    step = minidl.capture(captured, criterion, optimizer(captured))
    for _ in range(4):
        step(X, LABELS)
    fitted = [model_for(criterion), model_for(criterion)]
    for model, compiled in zip(fitted, (True, False), strict=True):
        whole = minidl.data.TensorDataset(minidl.tensor(X), minidl.tensor(LABELS))
        loader = minidl.data.DataLoader(whole, batch_size=N)
        history = minidl.fit(model, criterion, optimizer(model), loader, epochs=4, progress=False, captured=compiled)
        assert history.path == ("compiled" if compiled else "plain: captured=False")
    for other in (taped, captured, *fitted):
        np.testing.assert_array_equal(arrays.flat_parameters, other.flat_parameters)


@pytest.mark.parametrize("weight, error, words", [
    (np.ones(N - 1), ValueError, r"shape \(40,\), got \(39,\)"), (np.ones((N, 1)), ValueError, "shape"),
    (-np.ones(N), ValueError, "finite and >= 0, got -1"), (np.full(N, np.nan), ValueError, "finite and >= 0, got nan"),
    (np.full(N, 1e300), ValueError, "finite and >= 0, got inf"), (np.zeros(N), ValueError, "zeros alone"),
    (["a"] * N, TypeError, "numbers")])
def test_wrong_weights_are_named(weight, error, words):
    criterion = nn.MSELoss()
    with pytest.raises(error, match=words):
        trained(criterion, True, weight, PROBABILITIES, dtype=np.float32)
    with pytest.raises(error, match=words):
        minidl.evaluate(model_for(criterion, np.float32), criterion, (X, PROBABILITIES), sample_weight=weight)


def test_a_function_of_two_cannot_be_weighted():
    model = model_for(nn.MSELoss())
    with pytest.raises(TypeError, match="function of output, target and weight"):
        minidl.fit(model, lambda z, t: ((z - t) ** 2).mean(), optim.SGD(model.parameters()), (X, PROBABILITIES),
                   progress=False, sample_weight=WEIGHT)


def test_a_loss_without_one_for_each_sample_cannot_be_weighted():
    class Whole(nn.MSELoss):
        def forward(self, output, target):
            return super().forward(output, target).mean()

    model = model_for(nn.MSELoss())
    with pytest.raises(ValueError, match="a loss for each of 8 samples"):
        minidl.fit(model, Whole(), optim.SGD(model.parameters()), (X, PROBABILITIES), batch_size=8,
                   progress=False, sample_weight=WEIGHT)
