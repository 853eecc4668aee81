"""The command minidl sweep: what it prints, writes, refuses, and does when interrupted."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from minidl import cli


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def command(*arguments):
    return cli.main(["sweep", "--executor", "serial", "--dataset", "disk", "--epochs", "1", "--samples", "50",
                     "--hidden", "4", *map(str, arguments)])


def test_command(tmp_path, capsys):
    assert command("--grid", "layers=1,2", "activation=relu,tanh", "--grid", "decay=null,0.5", "--seeds", 2,
                   "--out", tmp_path, "--sort", "best_dev_accuracy", "--descending") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:6] == ["layers", "activation", "decay", "runs", "failed", "best_dev_accuracy"]
    accuracies = [float(row.split()[5]) for row in rows]
    assert len(rows) == 8 and accuracies == sorted(accuracies, reverse=True)
    assert len(lines(tmp_path / "sweep.jsonl")) == 1 + 16
    assert (tmp_path / "table.csv").read_bytes().count(b"\r\n") == 9
    assert {path.name for path in tmp_path.iterdir()} <= {"sweep.jsonl", "table.csv", "sweep.png"}


def test_command_json(tmp_path, capsys):
    assert command("--grid", "lr=0.1,0.2", "--seeds", 5, 7, "--json", "--out", tmp_path) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["lr"] for row in report["rows"]] == [0.1, 0.2] and report["failures"] == []
    assert [line["seed"] for line in lines(tmp_path / "sweep.jsonl")[1:]] == [5, 7, 5, 7]


def test_command_list(tmp_path, capsys):
    (tmp_path / "list.json").write_text('[{"layers": 1}, {"layers": 2, "activation": "tanh"}]')
    assert command("--list", tmp_path / "list.json", "--json", "--out", tmp_path) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    chosen = [(row["layers"], row["activation"], row["hidden"]) for row in rows]
    assert chosen == [(1, "relu", 4), (2, "tanh", 4)]


def test_command_reports_failures(tmp_path, capsys):
    bad = 1e30  # the loss overflows
    assert command("--grid", f"lr=0.1,{bad}", "--epochs", 5, "--json", "--out", tmp_path) == 1
    out, err = capsys.readouterr()
    failure, = json.loads(out)["failures"]
    assert failure["settings"]["lr"] == bad and failure["error"]["type"] == "FloatingPointError"
    assert "failed: " in err and "FloatingPointError: fit: the loss became" in err
    every = command("--grid", f"lr={bad}", "--epochs", 5, "--sort", "best_epoch", "--out", tmp_path / "all")
    assert every == 1


def test_command_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert command("--grid", "layers=1", "--out", tmp_path) == 0
    assert "no picture: matplotlib is not installed; pip install 'minidl[plot]'" in capsys.readouterr().err
    assert not (tmp_path / "sweep.png").exists()


@pytest.mark.parametrize("arguments, code, match", [
    ([], 2, "either --grid or --list"),
    (["--grid", "layers=1", "--list", "x.json"], 2, "either --grid or --list"),
    (["--grid", "layers"], 2, "each --grid as KEY=V1,V2"),
    (["--grid", "layers="], 2, "each --grid as KEY=V1,V2"),
    (["--grid", "layers=1", "layers=2"], 2, "a KEY once, got 'layers=2'"),
    (["--grid", "width=3"], 2, "expected settings of dataset, .*, got width"),
    (["--grid", "layers=1,1"], 2, "once, got .* twice"),
    (["--grid", "lr=-1"], 2, "lr >= 0 and finite, got -1"),
    (["--grid", "layers=1", "--lr", "-1"], 2, "lr >= 0 and finite, got -1"),
    (["--grid", "layers=1", "--seeds", "-3", "1"], 2, "seeds >= 0, got -3"),
    (["--grid", "layers=1", "--seeds", "0"], 2, "one configuration and one seed, got 1 and 0"),
    (["--grid", "layers=1", "--seeds", "x"], 2, "invalid int value: 'x'"),
    (["--grid", "layers=1", "--executor", "gpu"], 2, "executor: expected serial"),
    (["--grid", "layers=1", "--executor", "processes:0"], 2, "N >= 1"),
    (["--grid", "layers=1", "--sort", "price"], 2, "expected to sort by one of .*, got 'price'"),
    (["--grid", "layers=1", "--sort", "best_epoch_sd"], 2, "expected to sort by one of"),
    (["--list", "nowhere.json"], 1, "nowhere.json"),
])
def test_command_bad_input(arguments, code, match, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == code
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    with pytest.raises(ValueError, match=match):
        raise ValueError(err)
    assert not list(tmp_path.glob("runs/sweep/*"))


@pytest.mark.parametrize("content", ["[1]", "{}", "[", '"layers"'])
def test_command_bad_list(content, tmp_path, capsys):
    (tmp_path / "list.json").write_text(content)
    assert command("--list", tmp_path / "list.json", "--out", tmp_path) == 2
    assert "list.json" in capsys.readouterr().err


def test_command_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert command("--grid", "layers=1", "--out", tmp_path / "file" / "out") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
def test_command_ctrl_c(tmp_path):
    arguments = [sys.executable, "-m", "minidl", "sweep", "--dataset", "disk", "--grid", "layers=2,3,4",
                 "--seeds", "3", "--epochs", "80", "--executor", "processes:2", "--out", str(tmp_path)]
    path = tmp_path / "sweep.jsonl"
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) > 1):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "minidl: sweep: interrupted; the same command goes on from here"
    assert "Traceback" not in err
    before = lines(path)
    assert 1 < len(before) < 10 and all(line["error"] is None for line in before[1:])
    assert all(len(line["result"]["history"]["loss"]) == 80 for line in before[1:])
    subprocess.run(arguments, check=True, timeout=120, capture_output=True)
    assert lines(path)[:len(before)] == before and len(lines(path)) == 10
