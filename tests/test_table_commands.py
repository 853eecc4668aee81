"""minidl train TABLE, predict and show: what they write, what is an error, and what a new table may lack."""
import csv
import json
import signal
import sys

import numpy as np
import pytest

from minidl import cli
from minidl.tables import Run, read
from minidl.training.callbacks import Progress
from minidl.training.history import History

QUICK = ["--hidden", "4", "--epochs", "2"]
FILES = {"result.json", "history.json", "weights.npz", "preprocessing.json", "held_out.csv"}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """With a table of 60 rows: area, town, sold; the target price, and the class of it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [f"{area:.1f},{town},2024-{1 + i % 12:02}-05,{area * 2 + 5:.1f},{'dear' if area > 100 else 'cheap'}"
            for i, (area, town) in enumerate(zip(rng.normal(100, 20, 60), rng.choice(["Oslo", "Bern"], 60),
                                                 strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(["area,town,sold,price,class", *rows]) + "\n")


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def changed(tmp_path, old, new, name="t.csv"):
    path = tmp_path / name
    text = (tmp_path / "t.csv").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def row(tmp_path, number, text):
    """Another text in the place of a row of the table."""
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[number] = text
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")


def one_line(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    line, = err.splitlines()
    return line


def train(*options, target="price"):
    return cli.main(["train", "t.csv", "--target", target, "--drop", "class" if target == "price" else "price", *QUICK,
                     "--out", "run", *options])


def predictions(name="t.predictions.csv"):
    with open(name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("target", "picture"), [("price", "predicted.png"), ("class", "confusion.png")])
def test_a_run_folder_has_all_that_is_promised(tmp_path, capsys, target, picture):
    pytest.importorskip("matplotlib")
    assert train(target=target) == 0
    out, err = capsys.readouterr()
    assert "score of the held-out rows" in out and "linear model" in out and "importance" in out and "epoch 2/2" in err
    pictures = {"loss.png", "importance.png", picture}
    assert {path.name for path in (tmp_path / "run").iterdir()} - {".minidl"} == FILES | pictures
    assert all((tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert len(History.load(tmp_path / "run" / "history.json")) == 2
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["task"] == ("regression" if target == "price" else "classification")
    assert [one["model"] for one in result["scores"]][1:] == ["linear model", "network"]
    assert result["recipe"]["hidden"] == [4] and result["rows"]["held_out"] == 12
    assert len(predictions(tmp_path / "run" / "held_out.csv")) == 12


def test_json_is_what_result_json_holds(tmp_path, capsys, without_pictures):
    assert train("--json", "--seed", "5") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told.pop("out") == "run" and told == json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["seed"] == 5 and err.count("pip install 'minidl[plot]'") == 1


def test_options_reach_the_training(tmp_path, without_pictures):
    assert train("--lr", "0.01", "--optimizer", "sgd", "--momentum", "0.9", "--activation", "tanh", "--dropout", "0",
                 "--batch-size", "8", "--categorical", "area", "--date", "sold") == 0
    recipe = json.loads((tmp_path / "run" / "result.json").read_text())["recipe"]
    assert (recipe["lr"], recipe["optimizer"], recipe["momentum"], recipe["activation"], recipe["dropout"],
            recipe["batch_size"]) == (0.01, "sgd", 0.9, "tanh", 0.0, 8)
    kinds = {column.name: column.kind for column in Run.load("run").preprocessing.columns}
    assert kinds == {"area": "categorical", "town": "categorical", "sold": "date"}


def test_patience_ends_the_training(tmp_path, without_pictures):
    assert train("--patience", "1", "--epochs", "400", "--lr", "0.1") == 0
    assert "no better validation_loss" in json.loads((tmp_path / "run" / "result.json").read_text())["stopped"]


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["t.csv"], 2, "expected --target with the column to predict, one of area, town, sold, price, class"),
    (["t.csv", "--target", "rent"], 1, "t.csv: expected a column 'rent', got the columns area, town"),
    (["t.csv", "--target", "town", "--task", "regression"], 1, "column 'town': expected numbers for a regression"),
    (["t.csv", "--target", "price", "--drop", "rent"], 1, "expected a column 'rent'"),
    (["t.csv", "--target", "price", "--numeric", "town"], 1, "row 1 (line 2), column 'town': expected a number, got '"),
    (["t.csv", "--target", "price", "--lr", "-1"], 2, "AdamW: expected lr >= 0"),
    (["t.csv", "--target", "price", "--loss", "mse"], 2, "--loss is no option of minidl train TABLE"),
    (["t.csv", "--target", "price", "--dataset", "mnist"], 2, "--dataset cannot be given with a TABLE"),
    (["t.csv", "--target", "price", "--data", "x"], 2, "--data is no option"),
    (["t.csv", "--target", "price", "--task", "guess"], 2, "invalid choice: 'guess'"),
    (["--target", "price"], 2, "--target is an option of minidl train TABLE"),
    (["--skip-wrong-rows"], 2, "--skip-wrong-rows is an option of minidl train TABLE"),
    (["no.csv", "--target", "price"], 1, "No such file"),
    (["t.pdf", "--target", "price"], 1, "expected a file that ends in .csv"),
])
def test_wrong_use_is_one_line_and_makes_no_folder(tmp_path, capsys, arguments, code, message):
    assert cli.main(["train", *arguments, "--out", "run"]) == code
    assert message in one_line(capsys)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_diverges_is_one_line(capsys, tmp_path, without_pictures):
    assert train("--optimizer", "sgd", "--lr", "1e30", "--epochs", "9") == 1
    assert "the loss became" in one_line(capsys) and not (tmp_path / "run").exists()


WRONG = {"a value": (3, "huge,Oslo,2024-01-05,200,dear",
                     "row 3 (line 4), column 'area': expected a number, got 'huge'"),
         "a date": (5, "99,Oslo,2024-02-30,200,dear",
                    "row 5 (line 6), column 'sold': expected a date as 2024-01-31, got '2024-02-30'"),
         "a field": (7, "99,Oslo", "row 7 (line 8): expected 5 fields, got 2"),
         "the target": (9, "99,Oslo,2024-02-03,none yet,dear",
                        "row 9 (line 10), column 'price': expected a number, got 'none yet'")}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_row_is_told_or_left_out(tmp_path, capsys, without_pictures, kind):
    number, text, message = WRONG[kind]
    row(tmp_path, number, text)
    assert train() == 1
    assert one_line(capsys) == f"minidl: t.csv, {message}"
    assert train("--skip-wrong-rows") == 0
    assert f"left out: 1 wrong\n  {message}\n" in capsys.readouterr().out
    assert cli.main(["predict", "run", "t.csv"]) == (1 if kind != "the target" else 0)
    out, err = capsys.readouterr()
    if kind == "the target":  # predictions do not need it
        assert "60 predictions" in out
        return
    assert err == f"minidl: t.csv, {message}\n" and not (tmp_path / "t.predictions.csv").exists()
    assert cli.main(["predict", "run", "t.csv", "--skip-wrong-rows"]) == 0
    out, err = capsys.readouterr()
    assert "59 predictions" in out and err == f"left out: {message}\n"
    assert [int(one["row"]) for one in predictions()] == [i for i in range(1, 61) if i != number]


def test_predictions_have_probabilities_which_are_those_of_python(capsys, without_pictures):
    assert train(target="class") == 0
    assert cli.main(["predict", "run", "t.csv", "--out", "p.csv"]) == 0
    rows = predictions("p.csv")
    assert list(rows[0]) == ["row", "prediction", "probability", "p(cheap)", "p(dear)"]
    expected = Run.load("run").predict(read("t.csv"))
    np.testing.assert_allclose([[float(one["p(cheap)"]), float(one["p(dear)"])] for one in rows], expected, atol=1e-6)
    for one, p in zip(rows, expected, strict=True):
        assert one["prediction"] == ["cheap", "dear"][p.argmax()] and abs(float(one["probability"]) - p.max()) < 1e-6
    assert "score of the rows with a target" in capsys.readouterr().out


def test_predictions_of_a_number_to_standard_output(tmp_path, capsys, without_pictures):
    train()
    capsys.readouterr()
    assert cli.main(["predict", "run", "t.csv", "--out", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "row,prediction" and len(lines) == 61 and not (tmp_path / "t.predictions.csv").exists()
    assert [float(line.split(",")[1]) for line in lines[1:]] == pytest.approx(Run.load("run").predict(read("t.csv")))


def test_an_unknown_category_is_said_and_is_as_none(tmp_path, capsys, without_pictures):
    train()
    changed(tmp_path, ",Oslo,", ",Rome,", "new.csv")
    changed(tmp_path, ",Oslo,", ",,", "none.csv")
    capsys.readouterr()
    assert cli.main(["predict", "run", "new.csv"]) == 0
    assert capsys.readouterr().err == ("column 'town': 1 row with 'Rome', which training did not see: taken as none of "
                                       "the known categories\n")
    assert cli.main(["predict", "run", "none.csv"]) == 0 and capsys.readouterr().err == ""
    assert predictions("new.predictions.csv") == predictions("none.predictions.csv")


def test_a_missing_column_is_an_error_or_missing_values(tmp_path, capsys, without_pictures):
    train()
    lines = [line.split(",", 1)[1] for line in (tmp_path / "t.csv").read_text().splitlines()]
    (tmp_path / "less.csv").write_text("\n".join(lines) + "\n")
    capsys.readouterr()
    assert cli.main(["predict", "run", "less.csv"]) == 1
    assert one_line(capsys) == ("minidl: less.csv: expected the columns that the network was trained on; "
                                "missing: 'area'")
    assert cli.main(["predict", "run", "less.csv", "--fill-missing-columns", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "column 'area' is not there: all its values are taken as missing\n"
    told = json.loads(out)
    assert told["filled"] == ["area"] and told["rows"] == 60 and told["scores"].keys() == {"R2", "RMSE", "mean error"}


def test_other_columns_in_another_order_and_format_change_nothing(tmp_path, without_pictures):
    train()
    table = read("t.csv")
    np.savez(tmp_path / "t2.npz", extra=np.zeros(60), town=table.column("town").astype("U"),
             sold=table.column("sold").astype("M8[D]"), area=table.column("area").astype(float))
    assert cli.main(["predict", "run", "t.csv"]) == cli.main(["predict", "run", "t2.npz"]) == 0
    assert predictions() == predictions("t2.predictions.csv")


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["nowhere", "t.csv"], 1, "nowhere: expected the run folder of a table, with preprocessing.json"),
    (["run", "no.csv"], 1, "No such file"),
    (["run", "t.csv", "--out", "t.csv"], 2, "--out t.csv would replace the table"),
    (["run", "t.csv", "--out", "-", "--json"], 2, "--json needs a file"),
    (["run", "t.csv", "--out", "no/where.csv"], 1, "No such file"),
])
def test_wrong_use_of_predict(tmp_path, capsys, without_pictures, arguments, code, message):
    train()
    before = (tmp_path / "t.csv").read_text()
    capsys.readouterr()
    assert cli.main(["predict", *arguments]) == code
    assert message in one_line(capsys) and (tmp_path / "t.csv").read_text() == before


def test_predicting_rows_that_are_all_wrong(tmp_path, capsys, without_pictures):
    train()
    (tmp_path / "bad.csv").write_text("area,town,sold\nx,Oslo,2024-01-05\n")
    capsys.readouterr()
    assert cli.main(["predict", "run", "bad.csv", "--skip-wrong-rows"]) == 1
    assert "expected at least one row, got none" in capsys.readouterr().err


# minidl show

def test_show_says_what_train_said_and_draws_again(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    train()
    said = capsys.readouterr().out
    (tmp_path / "run" / "loss.png").unlink()
    assert cli.main(["show", "run"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(said.replace("run folder: run\n", "")) and "  run/weights.npz\n" in shown
    assert (tmp_path / "run" / "loss.png").exists()
    assert cli.main(["show", "run", "--out", "elsewhere"]) == 0
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {"loss.png", "predicted.png", "importance.png"}


def test_show_draws_the_loss_of_another_training(tmp_path, monkeypatch):
    drawn = {}
    plot = pytest.importorskip("minidl.plot")
    assert cli.main(["train", "--epochs", "2", "--out", "run"]) == 0
    monkeypatch.setattr(plot, "save", lambda axes, path: drawn.update({path: axes}))
    assert cli.main(["show", "run"]) == 0
    (path, axes), = drawn.items()
    history = History.load(tmp_path / "run" / "history.json")
    assert path.name == "loss.png" and axes.get_title() == "Loss" and len(axes.lines) == 2
    for line, values in zip(axes.lines, (history.loss, history.validation_loss), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)


def test_show_without_pictures(tmp_path, capsys, without_pictures):
    train()
    capsys.readouterr()
    assert cli.main(["show", "run", "--no-pictures"]) == 0
    assert capsys.readouterr().err == "" and not list(tmp_path.rglob("*.png"))
    assert cli.main(["show", "run"]) == 0
    assert capsys.readouterr().err.count("pip install 'minidl[plot]'") == 1


@pytest.mark.parametrize(("command", "expected"), [
    (["train", "--epochs", "2"], ["test_error: ", "epoch"]),
    (["sweep", "--executor", "serial", "--dataset", "disk", "--epochs", "1", "--samples", "50", "--hidden", "4",
      "--grid", "layers=1,2"], ["table.csv:", "layers"])])
def test_show_prints_what_other_commands_wrote(tmp_path, capsys, without_pictures, command, expected):
    assert cli.main([*command, "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["show", "run"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in [*expected, "files:"])


@pytest.mark.parametrize("damage", [
    lambda run: (run / "result.json").write_text("{}"), lambda run: (run / "result.json").write_text("["),
    lambda run: (run / "preprocessing.json").write_text("{}"),
    lambda run: (run / "held_out.csv").write_text("row\n1\n"),
    lambda run: (run / "history.json").write_text('{"speed": 1}'), lambda run: (run / "history.json").unlink()])
def test_show_of_a_damaged_run_is_one_line(tmp_path, capsys, damage):
    pytest.importorskip("matplotlib")
    train()
    damage(tmp_path / "run")
    capsys.readouterr()
    assert cli.main(["show", "run"]) == 1
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith("minidl: ") and "run" in line


def test_show_of_what_is_no_run(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("mine", "nowhere"):
        assert cli.main(["show", name]) == 2
        assert one_line(capsys) == f"minidl: {name} is no run folder of minidl"


@pytest.mark.parametrize("moment", ["on_train_begin", "on_epoch_end"])
def test_ctrl_c_keeps_what_was_trained(tmp_path, capsys, monkeypatch, moment):
    original = getattr(Progress, moment)

    def press(self, *args):
        signal.raise_signal(signal.SIGINT)
        return original(self, *args)

    monkeypatch.setattr(Progress, moment, press)
    assert train("--epochs", "50") == 130
    assert "stopped: interrupted" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] <= 1
    assert len(Run.load("run").predict(read("t.csv"))) == 60
