"""Run folders: whole or not at all, and nobody else's files."""
import pytest

from minidl.runs import run_folder, write_json


def write(path, text):
    with run_folder(path) as keep:
        keep(lambda folder: (folder / "file").write_text(text))


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with run_folder(tmp_path / "a" / "run") as keep:
        assert not (tmp_path / "a" / "run").exists()
        keep(lambda folder: (folder / "file").write_text("x"))
    assert (tmp_path / "a" / "run" / "file").read_text() == "x"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


def test_a_run_is_replaced_whole(tmp_path):
    write(tmp_path / "run", "old")
    (tmp_path / "run" / "more").touch()
    write(tmp_path / "run", "new")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".minidl", "file"]
    assert (tmp_path / "run" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_after_an_exception_the_old_run_stands(tmp_path):
    write(tmp_path / "run", "old")
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path / "run"):
        raise KeyboardInterrupt
    assert (tmp_path / "run" / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    write(tmp_path / "run", "x")
    assert (tmp_path / "run" / "file").exists()


def test_a_folder_of_other_files_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match=r"holds files that are no run of minidl"):
        write(tmp_path, "x")
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="no run of minidl"):
        write(tmp_path / "file", "x")
    with pytest.raises(OSError, match=r"cannot write to .*below: Not a directory"):
        write(tmp_path / "file" / "below", "x")


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"x": float("nan")})
