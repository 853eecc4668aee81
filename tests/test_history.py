"""Numbers that are not finite, in files and in what EarlyStopping watches; how a History is shown."""
import itertools
import json
import math
import sys
import warnings

import numpy as np
import pytest

from minidl import cli, nn
from minidl.sweep import sweep
from minidl.sweep import task as sweep_task
from minidl.training.callbacks import EarlyStopping
from minidl.training.history import EPOCH_COLUMNS, History, decoded, encoded

NAN, INF = math.nan, math.inf
VALUES = [None, 0.0, -0.0, 1.5, 1e-310, 1.7976931348623157e308, NAN, INF, -INF, np.float32(0.1), np.float64(NAN), 3]
LISTS = [*EPOCH_COLUMNS, "iteration_loss", "iteration_lr"]


def strictly(text):
    """Parsed as the standard has it, which knows no NaN and no Infinity."""
    def refused(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refused)


def same(one, other):
    return one is other if one is None or other is None else \
        (math.isnan(one) and math.isnan(other)) or (one == other and math.copysign(1, one) == math.copysign(1, other))


@pytest.mark.parametrize("name", LISTS)
def test_every_value_in_every_column_survives_a_file_of_strict_json(name, tmp_path):
    history = History(**{other: [1.0] for other in LISTS} | {name: VALUES}, stopped="NaN")
    history.save(tmp_path / "history.json")
    strictly((tmp_path / "history.json").read_text())
    loaded = History.load(tmp_path / "history.json")
    assert all(map(same, getattr(loaded, name), VALUES)) and len(getattr(loaded, name)) == len(VALUES)
    assert loaded.stopped == "NaN" and all(getattr(loaded, other) == [1.0] for other in LISTS if other != name)


def test_the_strings_that_stand_for_what_json_has_not():
    assert encoded([NAN, INF, -INF, None, 1.0]) == ["NaN", "Infinity", "-Infinity", None, 1.0]
    assert all(map(same, decoded(["NaN", "Infinity", "-Infinity", None, 1.0]), [NAN, INF, -INF, None, 1.0]))


def test_a_file_with_bare_nan_is_read(tmp_path):
    """As earlier versions wrote it."""
    (tmp_path / "history.json").write_text('{"loss": [NaN, Infinity, 1.0], "stopped": ""}')
    assert all(map(same, History.load(tmp_path / "history.json").loss, [NAN, INF, 1.0]))


BURST = {"dataset": "disk", "epochs": 1, "samples": 100, "batch_size": 100, "hidden": 5, "layers": 3, "lr": 1e30}


def test_a_sweep_keeps_a_run_whose_last_step_went_astray(tmp_path):
    run, = sweep(sweep_task.train, [sweep_task.complete(BURST)], executor="serial", path=tmp_path / "s.jsonl",
                 progress=False)
    assert run.error is None
    validation, = run.result["history"]["validation_loss"]
    assert validation in ("NaN", "Infinity")
    for line in (tmp_path / "s.jsonl").read_text().splitlines():
        strictly(line)


@pytest.mark.parametrize("with_matplotlib", [True, False])
def test_train_writes_strict_json_and_figures_when_its_last_step_went_astray(with_matplotlib, tmp_path, monkeypatch):
    if with_matplotlib:
        pytest.importorskip("matplotlib")
    else:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "out"
    assert cli.main(["train", "--epochs", "1", "--batch-size", "1000", "--lr", "1e30", "--optimizer", "sgd",
                     "--scheduler", "none", "--activation", "relu", "--out", str(out)]) == 0
    for path in out.glob("*.json"):
        strictly(path.read_text())
    assert not math.isfinite(History.load(out / "history.json").validation_loss[0])
    assert (out / "loss.png").exists() == with_matplotlib


# EarlyStopping

class Model(nn.Linear):
    def __init__(self):
        super().__init__(1, 1, generator=0)


def run(values, **settings):
    """(reason, epochs, stopping, model): the weight is the epoch's number."""
    model, stopping = Model(), EarlyStopping(**settings)
    stopping.on_train_begin(model, None, len(values))
    for epoch, value in enumerate(values, 1):
        model.weight.data[...] = epoch
        reason = stopping.on_epoch_end(epoch, {stopping.monitor: value})
        if reason:
            break
    stopping.on_train_end()
    return reason, epoch, float(model.weight.data[0, 0])


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize("monitor", ["loss", "validation_loss", "validation_error"])
@pytest.mark.parametrize("never", [[NAN] * 3, [INF] * 3, [NAN, INF, NAN]])
def test_a_metric_that_is_never_a_number_stops_and_says_so(never, monitor, restore):
    reason, epoch, weight = run(never, patience=2, monitor=monitor, restore_best=restore)
    assert reason == f"{monitor} was never a finite number in 2 epochs"
    assert epoch == weight == 2  # the weights that it has


@pytest.mark.parametrize("never", [[NAN], [NAN, INF]])
def test_a_training_that_ends_before_patience_does_warns(never):
    with pytest.warns(RuntimeWarning, match=f"EarlyStopping: validation_loss was never a finite number in {len(never)} "
                                            "epochs; the model keeps the weights that it has"):
        reason, epoch, weight = run(never, patience=5)
    assert reason is None and weight == epoch == len(never)


def test_one_number_among_the_others_is_the_best():
    for place in itertools.product([NAN, INF, 2.0], repeat=3):
        if 2.0 in place:
            reason, _, weight = run(list(place), patience=9)
            assert reason is None and weight == 1 + place.index(2.0)


def test_a_best_of_minus_infinity_is_no_lack_of_one():
    assert run([-INF, 1.0], patience=1)[0] == "no better validation_loss than -inf (epoch 1)"


def test_no_epoch_no_warning():
    stopping = EarlyStopping()
    stopping.on_train_begin(Model(), None, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopping.on_train_end()


def recorded(epochs, **others):
    columns = {name: [epoch + 0.125 for epoch in range(epochs)] for name in EPOCH_COLUMNS}
    return History(**columns | {"validation_error": [None] * epochs}, iteration_loss=[1.0] * 1000, **others)


def test_repr_is_one_line_and_tells_the_last_epoch():
    assert repr(History()) == "History(0 epochs)"
    assert repr(recorded(1)) == "History(1 epoch, loss 0.125, error 0.125 %, validation loss 0.125)"
    history = recorded(5, path="plain: item() takes a value", stopped="no better loss")
    assert repr(history) == "History(5 epochs, loss 4.125, error 4.125 %, validation loss 4.125, plain, stopped)"


@pytest.mark.parametrize("epochs", [1, 2, 19, 20, 21, 400])
def test_a_table_of_the_first_and_last_epochs(epochs):
    history = recorded(epochs, path="compiled; in place: A<B>()")
    names, *lines, path = str(history).splitlines()
    assert names.split("  ")[0] == "epoch" and "validation error" not in names and "validation loss" in names
    assert path == "compiled; in place: A<B>()"
    numbers = [line.split()[0] for line in lines]
    assert numbers == ([str(epoch) for epoch in range(1, epochs + 1)] if epochs <= 20 else [
        *map(str, range(1, 11)), "...", *map(str, range(epochs - 9, epochs + 1))])
    html = history._repr_html_()
    assert html.count("<tr>") == 1 + len(lines) and "A&lt;B&gt;()" in html and ("..." in html) == (epochs > 20)
    assert f"<td>{epochs}</td>" in html


def test_without_epochs_there_is_no_table():
    assert str(History(stopped="interrupted")) == "History(0 epochs, stopped)"
    assert "0 epochs; stopped: interrupted" in History(stopped="interrupted")._repr_html_()


def test_the_path_is_saved_and_files_of_earlier_versions_have_none(tmp_path):
    recorded(2, path="plain: a reason").save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json").path == "plain: a reason"
    content = json.loads((tmp_path / "history.json").read_text())
    del content["path"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert History.load(tmp_path / "old.json").path == ""
    assert History.load(tmp_path / "old.json") == History.load(tmp_path / "history.json")


def test_whole_numbers_are_read_while_a_float_has_them_exactly():
    exact = [0, -3, 1000, 2**53 - 1, -(2**53) + 1]
    assert decoded(exact) == exact and all(type(value) is float for value in decoded(exact))
    for value in (2**53, -(2**53), True, "1", [1]):
        with pytest.raises(ValueError, match="expected numbers as a column"):
            decoded([value])
