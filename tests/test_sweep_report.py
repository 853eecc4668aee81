"""What a sweep shows: progress, the table of configurations, the picture."""
import io

import pytest

from minidl.sweep import grid, sweep
from minidl.sweep.log import Run
from minidl.sweep.table import summary, varying
from minidl.training.progress import Bar


def odd_fails(settings, seed):
    if settings["a"] % 2:
        raise ArithmeticError
    return {}


def run_of(settings, seed, result):
    error = {"type": "E", "message": "m", "traceback": "t"} if result is None else None
    return Run(settings, seed, result, error, 1.0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_on_a_terminal_is_one_line(monkeypatch):
    monkeypatch.setattr(Bar, "SECONDS", 0)  # every call is drawn, however soon after the one before
    stream = Terminal()
    with Bar(4, stream) as bar:
        for done in range(1, 5):
            bar.show(done, "1 failed")
    assert stream.getvalue().count("\n") == 1 and stream.getvalue().endswith("0 s left\n")
    assert stream.getvalue().count("\r") == 4
    assert "[" + "#" * 12 + "." * 12 + "] 2/4  1 failed" in stream.getvalue()


def test_progress_elsewhere_is_about_ten_lines(capsys):
    sweep(odd_fails, grid(a=range(100)), executor="serial")
    out, err = capsys.readouterr()
    shown = err.splitlines()
    assert not out and len(shown) == 10
    assert shown[-1].startswith("100/100  50 failed  ") and shown[-1].endswith("0 s left")


def test_nothing_to_do_shows_nothing(capsys, tmp_path):
    for progress in (False, True):
        sweep(odd_fails, [{"a": 2}], executor="serial", path=tmp_path / "s.jsonl", progress=progress)
    assert capsys.readouterr() == ("", "")


def test_summary_averages_over_the_seeds():
    runs = [run_of({"a": 1, "b": None}, 0, {"x": 1, "a": 9, "h": [1]}),
            run_of({"a": 1, "b": None}, 1, {"x": 4}),
            run_of({"a": 2, "b": None}, 0, None), run_of({"a": 2, "b": None}, 1, {"x": 5}),
            run_of({"a": 3, "b": None}, 0, None)]
    assert summary(runs) == [
        {"a": 1, "b": None, "runs": 2, "failed": 0, "x": 2.5, "x_sd": pytest.approx(4.5**0.5)},
        {"a": 2, "b": None, "runs": 2, "failed": 1, "x": 5, "x_sd": None},
        {"a": 3, "b": None, "runs": 1, "failed": 1, "x": None, "x_sd": None}]
    assert varying(runs) == ["a"]
    assert summary([run_of({"a": 1}, 0, {"x": 7})]) == [{"a": 1, "runs": 1, "failed": 0, "x": 7}]
    assert varying([run_of({"a": 1}, 0, {}), run_of({"a": True}, 0, {})]) == ["a"]
    assert varying([run_of({}, 0, {}), run_of({"a": None}, 0, {})]) == ["a"]


def test_picture():
    pytest.importorskip("matplotlib")
    from minidl import plot

    def result(best):
        return {"best_dev_accuracy": best, "best_epoch": 1}

    runs = [run_of({"a": a}, seed, result(best)) for a, seed, best in ((1, 0, 0.5), (1, 1, 0.7), (2, 0, 0.9))]
    failed = run_of({"a": 3}, 0, None)
    axes = plot.sweep([*runs, failed])
    assert len(axes.figure.axes) == 2  # a bar beside it: the epoch of the best accuracy
    assert axes.get_title() == "2 configurations, a dot for each of 3 runs"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a 1", "a 2"]  # the best on top
    with pytest.raises(ValueError, match="expected a run with a result, got none"):
        plot.sweep([failed])
