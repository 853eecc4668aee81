"""What is written of a training and read again: states of callbacks, tables of a History, its JSON, pictures."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.training import Callback, EarlyStopping, Ensemble, History, ModelCheckpoint, WeightAveraging
from minidl.training.history import decoded, encoded

X, LABELS = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2


def stopping(model):
    found = EarlyStopping(3, "loss")
    found.on_train_begin(model, None, 9)
    return found


WEIGHTS = nn.Linear(3, 2, generator=1).state_dict()
BEGUN = {"best": math.inf, "best_epoch": 0, "never": "", "best_state": None}
GONE_ON = {"best": 2.5, "best_epoch": 4, "never": "a reason", "best_state": WEIGHTS}


def test_the_state_of_early_stopping():
    model = nn.Linear(3, 2, generator=0)
    for state in (BEGUN, GONE_ON):
        one = stopping(model)
        one.load_state_dict(state)
        assert one.state_dict() == state
    assert one.on_epoch_end(5, {"loss": 2.5}) is None and one.on_epoch_end(6, {"loss": 3.0}) is None
    assert one.on_epoch_end(7, {"loss": 3.0}) == "a reason"  # three epochs after its best
    one.on_train_end()
    np.testing.assert_array_equal(model.weight.data, WEIGHTS["weight"])


@pytest.mark.parametrize("change", [
    {"best": 2}, {"best": None}, {"best_epoch": 1.0}, {"best_epoch": -1}, {"best_epoch": True}, {"never": None},
    {"more": 3}, {"best": ...}, {"best_epoch": ...}, {"never": ...}, {"best_state": ...}])
def test_states_of_early_stopping_that_are_none(change):
    one = stopping(nn.Linear(3, 2, generator=0))
    state = {name: value for name, value in (GONE_ON | change).items() if value is not ...}
    with pytest.raises(ValueError, match=r"^EarlyStopping.load_state_dict: expected best, best_epoch, never, best_"):
        one.load_state_dict(state)
    assert one.state_dict() == BEGUN


@pytest.mark.parametrize("change", [
    {"best_epoch": 0}, {"best_state": None}, {"best_state": {}}, {"best_state": [1]},
    {"best_state": WEIGHTS | {"more": np.ones(2)}}, {"best_state": {"weight": WEIGHTS["weight"], "bias": 3}},
    {"best_state": WEIGHTS | {"bias": np.ones(3, np.float32)}}, {"best_state": WEIGHTS | {"bias": np.ones(2)}}])
def test_weights_of_another_model(change):
    one = stopping(nn.Linear(3, 2, generator=0))
    with pytest.raises(ValueError, match=r"^EarlyStopping.load_state_dict: expected best_state to be weights of this"):
        one.load_state_dict(GONE_ON | change)
    assert one.state_dict() == BEGUN


def test_callbacks_without_a_state():
    for callback in (Callback(), ModelCheckpoint("a.safetensors")):
        assert callback.state_dict() == {} and callback.load_state_dict({}) is None
        name = type(callback).__name__
        with pytest.raises(ValueError, match=rf"^{name}.load_state_dict: expected {{}}, got best, 3$"):
            callback.load_state_dict({"best": 1.0, 3: 4})
    assert Callback().on_checkpoint(1, {}, dict) is None


def test_the_state_of_the_best_checkpoint():
    one = ModelCheckpoint("a.safetensors", save_best_only=True, monitor="loss")
    assert one.state_dict() == {"best": math.inf} and one.monitor == "loss"
    one.load_state_dict({"best": 0.5})
    assert one.state_dict() == {"best": 0.5}
    for wrong in ({}, {"best": 1}, {"best": 1.0, "more": 2}, {"best": None}):
        with pytest.raises(ValueError, match=r"^ModelCheckpoint.load_state_dict: expected best, a number, got \{"):
            one.load_state_dict(wrong)
    assert one.state_dict() == {"best": 0.5}


def test_averages_begin_at_an_epoch():
    layer = nn.Linear(3, 2, generator=0)
    averaged = optim.swa_utils.AveragedModel(layer)
    one = WeightAveraging(averaged, start=3)
    one.on_train_begin(layer, None, 4)
    for epoch in range(1, 5):
        layer.weight.data = np.full((2, 3), epoch, np.float32)
        one.on_epoch_end(epoch, {})
    assert int(averaged.n_averaged) == 2 and averaged.module.weight.data[0, 0] == 3.5
    for wrong in ({}, {"averaged": one.state_dict()["averaged"], "more": 1}):
        with pytest.raises(ValueError, match=r"^WeightAveraging.load_state_dict: expected averaged, got"):
            one.load_state_dict(wrong)
    other = WeightAveraging(optim.swa_utils.AveragedModel(layer))
    other.load_state_dict(one.state_dict())
    assert other.averaged.module.weight.data[0, 0] == 3.5
    for start, error in ((0, ValueError), (1.0, TypeError)):
        with pytest.raises(error, match=r"^WeightAveraging: expected start"):
            WeightAveraging(averaged, start)
    with pytest.raises(TypeError, match=r"^WeightAveraging: expected an AveragedModel, got Linear$"):
        WeightAveraging(layer)


# History

def table(epochs, **others):
    numbers = [i / 4 for i in range(epochs)]
    return History(loss=numbers, error=[None] * epochs, validation_loss=numbers[1:], validation_error=numbers,
                   lr=[0.5] * epochs, seconds=numbers, **others)


def test_a_line_and_a_table():
    assert repr(table(3)) == "History(3 epochs, loss 0.5, validation loss 0.5, validation error 0.5 %)"
    assert repr(table(1)) == "History(1 epoch, loss 0, validation error 0 %)"
    lines = [line.split() for line in str(table(2, path="plain: why", stopped="enough: of it")).splitlines()]
    assert lines == [["epoch", "loss", "validation", "error", "%", "lr", "seconds"], ["1", "0", "0", "0.5", "0"],
                     ["2", "0.25", "0.25", "0.5", "0.25"], ["plain:", "why"], ["stopped:", "enough:", "of", "it"]]
    assert repr(table(1, path="compiled; in place: A()", stopped="enough: of it")).endswith(", compiled, stopped)")


def test_a_table_of_a_notebook():
    html = table(2, path="a<b>&c", stopped="why")._repr_html_()
    names = ["epoch", "loss", "validation error %", "lr", "seconds"]
    assert html == ("<table><caption>2 epochs; a&lt;b&gt;&amp;c; stopped: why</caption><thead><tr>"
                    + "".join(f"<th>{name}</th>" for name in names) + "</tr></thead><tbody>"
                    "<tr><td>1</td><td>0</td><td>0</td><td>0.5</td><td>0</td></tr>"
                    "<tr><td>2</td><td>0.25</td><td>0.25</td><td>0.5</td><td>0.25</td></tr></tbody></table>")
    rows = table(30)._repr_html_().split("<tr>")[2:]
    assert len(rows) == 21 and rows[10].startswith('<td colspan="5">...</td>')
    assert [row.split("</td>")[0] for row in rows[8:13]] == [
        "<td>9", "<td>10", '<td colspan="5">...', "<td>21", "<td>22"]


def test_numbers_that_json_has_not():
    column = [None, 1, 0.5, math.inf, -math.inf, math.nan, -2.0]
    assert encoded(column) == [None, 1.0, 0.5, "Infinity", "-Infinity", "NaN", -2.0]
    assert [type(value) for value in encoded([1])] == [float]
    np.testing.assert_array_equal(np.array(decoded(encoded(column)), float), np.array(column, float))
    for wrong in ("inf", "nan", True, [], "1", 2**53, -(2**53)):
        with pytest.raises(ValueError, match=r"^expected numbers as loss, got "):
            decoded([1.0, wrong], "loss")
    assert decoded([2**53 - 1, 1 - 2**53]) == [2**53 - 1, 1 - 2**53]


@pytest.mark.parametrize("content, text", [
    ([], "expected columns among loss, error, validation_loss, .*, stopped, path, got"),
    ({"losses": []}, "expected columns among loss, "), ({"loss": 3}, "expected loss as a list, got 3"),
    ({"stopped": []}, r"expected stopped as a str, got \[\]"), ({"path": None}, "expected path as a str, got None"),
    ({"loss": "text"}, "expected loss as a list, got text"), ({"lr": ["1"]}, "expected numbers as lr, got '1'")])
def test_what_is_no_history(content, text, tmp_path):
    with pytest.raises(ValueError, match=f"^{text}"):
        History.of(content)
    file = tmp_path / "history.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"^History.load\('.*history.json'\): expected "):
        History.load(file)


def test_a_file_of_a_history(tmp_path):
    history = table(2, stopped="why", path="plain: x", iteration_loss=[1.0, math.nan])
    history.save(tmp_path / "h.json")
    content = json.loads((tmp_path / "h.json").read_text())
    assert content["stopped"] == "why" and content["iteration_loss"] == [1.0, "NaN"] and content["loss"] == [0.0, 0.25]
    found = History.load(str(tmp_path / "h.json"))
    assert found.path == "plain: x" and found.stopped == "why" and math.isnan(found.iteration_loss[1])
    assert History.load(tmp_path / "h.json").loss == history.loss and list(tmp_path.iterdir()) == [tmp_path / "h.json"]
    assert table(2, path="a") == table(2, path="b") != table(2, stopped="c")


# Pictures, and many networks

def test_the_size_of_a_live_picture():
    pytest.importorskip("matplotlib")
    live_plot = minidl.training.callbacks.__getattr__("LivePlot")
    for accuracy, error, size in ((True, [50.0, 25.0], (864, 324)), (False, [50.0, 25.0], (576, 324)),
                                  (True, [None, None], (576, 324))):
        one = live_plot.__new__(live_plot)
        one.accuracy, one.epochs = accuracy, 3
        one.history = History(loss=[2.0, 1.0], error=error, validation_loss=[None] * 2, validation_error=[None] * 2,
                              lr=[0.1] * 2, seconds=[1.0, 2.0], iteration_loss=[3.0, 2.0], iteration_lr=[0.1] * 2)
        picture = one._picture()
        png = picture._repr_png_()
        assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == size
        assert repr(picture) == repr(one.history)


def test_each_network_has_one_thread_and_then_there_are_as_many_as_before(capsys):
    seen = []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(minidl.get_num_threads())

    models = [nn.Linear(3, 2, dtype=np.float64, generator=i) for i in range(3)]
    try:
        minidl.set_num_threads(2)
        minidl.fit_many(models, nn.CrossEntropyLoss(), lambda p: optim.SGD(p, lr=0.1), (X, LABELS), seed=0,
                        callbacks=[[Look()] for _ in models], n_threads=2)
        assert seen == [1] * 3 and minidl.get_num_threads() == 2
    finally:
        minidl.set_num_threads(1)
    assert capsys.readouterr().err.count("network 3/3") == 1
    assert minidl.fit_many([], nn.CrossEntropyLoss(), [], (X, LABELS)) == []
    assert capsys.readouterr().err == ""


def test_seeds_of_many_networks():
    """Without one they are drawn from minidl's own stream, below 2^63 - 1."""
    def weights(seed):
        models = [nn.Linear(3, 2, dtype=np.float64, generator=i) for i in range(4)]
        minidl.fit_many(models, nn.CrossEntropyLoss(), lambda p: optim.SGD(p, lr=0.5), (X, LABELS), seed=seed,
                        batch_size=2, epochs=2, progress=False)
        return [model.weight.data.tolist() for model in models]

    minidl.manual_seed(8)
    expected = minidl.random.generator(None).integers(9223372036854775807, size=4).tolist()
    minidl.manual_seed(8)
    assert weights(None) == weights(expected) == weights(tuple(expected)) != weights([1, 2, 3, 4])
    assert weights(7) == weights([7] * 4) == weights(np.int32(7))
    for wrong in (True, 1.0, "1"):
        with pytest.raises(TypeError, match=r"^fit_many: expected seed as an int, a list or None, got "):
            weights(wrong)


def test_votes():
    class Said(nn.Module):
        def __init__(self, rows):
            self.rows = np.array(rows, float)

        def predict(self, x):
            return self.rows

    one = Ensemble([Said([[9, 0, 0], [3, 0, 0], [0, 0.25, 0]]), Said([[0, 1, 0], [0, 1, 0], [0, 0.25, 0]]),
                    Said([[0, 1, 0], [0, 0, 2], [5, 0, 0]])])
    assert one.vote(X[:3]).tolist() == [1, 0, 1]
