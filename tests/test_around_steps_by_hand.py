"""What fit does around its steps: modes, generators that are lent, validation, the coding of its targets, Ctrl-C."""
from __future__ import annotations

import signal

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data import RandomCrop
from minidl.training import Callback, evaluate

X = np.random.default_rng(0).normal(size=(6, 3))
LABELS = np.array([0, 1, 1, 0, 1, 0])


def fitted(model, criterion, target, x=X, **settings):
    return minidl.fit(model, criterion, optim.SGD(model.parameters(), lr=0.1), (x, target),
                      **{"progress": False, "seed": 0, "batch_size": 3} | settings)


class Do(Callback):
    def __init__(self, action, at="epoch"):
        self.action, self.at = action, at

    def on_train_begin(self, model, optimizer, epochs):
        if self.at == "begin":
            self.action(model)
        self.model = model

    def on_epoch_end(self, epoch, logs):
        if self.at == "epoch":
            self.action(self.model)


class Modes(nn.Module):
    def __init__(self, seen):
        self.inner, self.seen = nn.Linear(3, 2, dtype=np.float64, generator=0), seen

    def forward(self, x):
        self.seen.append((self.training, len(x)))
        return self.inner(x)


@pytest.mark.parametrize("at", ["begin", "epoch"])
def test_every_epoch_begins_in_training_mode(at):
    seen = []
    model = Modes(seen).eval()
    fitted(model, nn.CrossEntropyLoss(), LABELS, epochs=3, captured=False, callbacks=[Do(lambda m: m.eval(), at)])
    assert seen == [(True, 3)] * 6
    seen.clear()
    fitted(model.eval(), nn.CrossEntropyLoss(), LABELS, epochs=2, captured=False, validation=(X, LABELS))
    assert seen == [(True, 3), (True, 3), (False, 6)] * 2 and model.training


def test_a_step_that_leaves_training_mode():
    seen = []

    class Leaves(Modes):
        def forward(self, x):
            output = super().forward(x)
            self.eval()
            return output

    fitted(Leaves(seen), nn.CrossEntropyLoss(), LABELS, epochs=2, captured=False, progress=False)
    assert [training for training, _ in seen] == [True, False] * 2  # at the begin of each epoch it is set


def test_a_dropout_acts_in_each_epoch_of_a_compiled_training():
    """Though a callback has switched the model to evaluation: with lr 0, its masks make each loss another."""
    model = nn.Sequential(nn.Linear(3, 8, generator=0), nn.Dropout(0.5), nn.Linear(8, 2, generator=1))
    optimizer = optim.SGD(model.parameters(), lr=0)
    settings = {"batch_size": 6, "progress": False, "seed": 0, "epochs": 4}
    history = minidl.fit(model, nn.CrossEntropyLoss(), optimizer, (X, LABELS), callbacks=[Do(lambda m: m.eval())],
                         **settings)
    assert len(set(history.loss)) == 4
    alike = minidl.fit(model, nn.CrossEntropyLoss(), optimizer, (X, LABELS), validation=(X, LABELS), **settings)
    assert alike.loss == history.loss and len(set(alike.validation_loss)) == 1


def test_generators_are_lent_and_given_back():
    images = np.random.default_rng(0).normal(size=(6, 1, 4, 4)).astype(np.float32)
    crop, drop, own = RandomCrop(1), nn.Dropout(0.5), nn.Dropout(0.25, generator=3)
    model = nn.Sequential(nn.Flatten(), drop, own, nn.Linear(16, 2, generator=0))
    seed, mine, seen = np.random.default_rng(9), own.generator, []
    look = Do(lambda m: seen.append((crop.generator, drop.generator, own.generator)))
    fitted(model, nn.CrossEntropyLoss(), LABELS, images, augment=crop, seed=seed, callbacks=[look])
    assert seen == [(seed, seed, mine)] and crop.generator is drop.generator is None and own.generator is mine

    def fail(m):
        raise LookupError

    with pytest.raises(LookupError):
        fitted(model, nn.CrossEntropyLoss(), LABELS, images, augment=crop, seed=seed, callbacks=[Do(fail, "begin")])
    assert crop.generator is drop.generator is None and own.generator is mine


def column(values):
    return np.asarray(values, float)[:, None]


def test_the_coding_of_the_training_is_that_of_the_validation():
    layer = nn.Linear(3, 1, dtype=np.float64, generator=0)
    signs, bits, ones = column(2 * LABELS - 1), column(LABELS), column(np.ones(6))
    wrong = 100 * float(((X @ layer.weight.data.T + layer.bias.data > 0).ravel() != LABELS).mean())
    still = {"epochs": 1, "batch_size": 6, "progress": False}

    def run(target, held_out):
        return minidl.fit(layer, nn.MSELoss(), optim.SGD(layer.parameters(), lr=0), (X, target),
                          validation=(X, held_out), **still)

    history = run(signs, signs)
    assert history.error == history.validation_error == [pytest.approx(wrong)]
    assert run(signs, ones).validation_error == [pytest.approx(100 * float((layer.predict(X) <= 0).mean()))]
    assert run(bits, ones).validation_error == [pytest.approx(100 * float((layer.predict(X) <= 0.5).mean()))]
    with pytest.raises(ValueError, match=r"^fit: validation: expected a target of 0 and 1, got one of -1 and 1$"):
        run(bits, signs)
    numbers = run(X[:, :1], bits)  # those of a training without classes have none
    assert numbers.error == numbers.validation_error == [None] and numbers.validation_loss[0] > 0
    numbers = run(bits, X[:, :1])
    assert numbers.error[0] is not None and numbers.validation_error == [None]
    assert run(ones, ones).error == [None]
    with pytest.raises(ValueError, match=r"^evaluate: a target of ones alone may be of 0 and 1 or of -1 and 1: "):
        evaluate(layer, nn.MSELoss(), (X, ones))
    with pytest.raises(ValueError, match=r"^evaluate: expected coding \(0, 1\) or \(-1, 1\), got \(1, 2\)$"):
        evaluate(layer, nn.MSELoss(), (X, ones), coding=(1, 2))


def test_errors_at_places():
    """Outputs (N, C, d) with labels (N, d): each place counts."""
    class Places(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones((1, 3, 4)))

        def forward(self, x):
            return x * self.weight

    x, labels = np.random.default_rng(1).normal(size=(5, 3, 4)), np.random.default_rng(2).integers(0, 3, (5, 4))
    wrong = 100 * float((x.argmax(1) != labels).mean())
    model = Places()
    assert evaluate(model, nn.CrossEntropyLoss(), (x, labels), batch_size=2).error == pytest.approx(wrong)
    history = minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0), (x, labels), batch_size=2,
                         validation=(x, labels), progress=False)
    assert history.error == history.validation_error == [pytest.approx(wrong)]
    rows = np.random.default_rng(3).dirichlet(np.ones(3), (5, 4)).transpose(0, 2, 1)
    assert evaluate(model, nn.CrossEntropyLoss(), (x, np.ascontiguousarray(rows)), batch_size=2).error is None


def test_integers_after_a_transform_remain_places_of_an_embedding():
    model = nn.Sequential(nn.Embedding(7, 4, generator=0), nn.Flatten(), nn.Linear(8, 2, generator=1))
    places = np.random.default_rng(0).integers(0, 3, (6, 2))
    plain = evaluate(model, nn.CrossEntropyLoss(), (places + 2, LABELS))
    assert evaluate(model, nn.CrossEntropyLoss(), (places, LABELS), transform=lambda x: x + 2) == plain
    both = [fitted(nn.Sequential(nn.Embedding(7, 4, generator=0), nn.Flatten(), nn.Linear(8, 2, generator=1)),
                   nn.CrossEntropyLoss(), LABELS, given, **settings).loss
            for given, settings in ((places + 3, {}), (places, {"transform": lambda x: x + 3}),
                                    (places, {"augment": lambda x: x + 3}))]
    assert both[0] == both[1] == both[2]


@pytest.mark.parametrize("captured", [True, False])
def test_ctrl_c_within_an_epoch(captured):
    def pressed(x):
        signal.raise_signal(signal.SIGINT)
        return x

    history = fitted(nn.Linear(3, 2, generator=0), nn.CrossEntropyLoss(), LABELS, augment=pressed, epochs=3,
                     captured=captured)
    assert history.stopped == "interrupted" and len(history) == 0 and len(history.iteration_loss) == 1
    assert history.path == ("compiled" if captured else "plain: captured=False")


def test_weights_of_samples_weigh_the_batches_of_an_epoch():
    weight = np.array([1, 0, 2, 0.5, 1, 3])
    layer = nn.Linear(3, 2, dtype=np.float64, generator=0)
    for captured in (True, False):
        history = minidl.fit(layer, nn.CrossEntropyLoss(), optim.SGD(layer.parameters(), lr=0), (X, LABELS),
                             batch_size=4, sample_weight=weight, captured=captured, progress=False, seed=0)
        z = X @ layer.weight.data.T + layer.bias.data
        each = np.log(np.exp(z).sum(1)) - z[np.arange(6), LABELS]
        assert history.loss == [pytest.approx(np.average(each, weights=weight), rel=1e-12)]
        assert history.error == [pytest.approx(100 * float((z.argmax(1) != LABELS).mean()))]
