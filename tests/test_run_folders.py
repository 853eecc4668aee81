"""Where the results of a command go: all kinds of folders, and all ways in which writing there may fail."""
import builtins
import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from minidl import cli, runs
from minidl.commands import reproduce
from minidl.papers.experiment import Experiment, Row
from minidl.papers.trial import DiskTrial
from minidl.recipe import Recipe
from minidl.runs import MARKER, run_folder
from minidl.sweep import task as sweep_task

COMMANDS = {
    "train": ["train", "--epochs", "1"],
    "reproduce": ["reproduce", "small", "--executor", "serial"],
    "sweep": ["sweep", "--executor", "serial", "--dataset", "disk", "--epochs", "1", "--samples", "50", "--hidden", "4",
              "--grid", "layers=1,2"],
}
FILES = {"train": {"result.json", "history.json", "weights.npz"}, "reproduce": {"rows.json", "rows.csv"},
         "sweep": {"sweep.jsonl", "table.csv"}}
BY_RENAMING = ["train", "reproduce"]  # the sweep appends to a file


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One small experiment, and no figures."""
    row = Row("I", "row", "a", "test_error", 50.0, 3.0)
    experiment = Experiment("small", "report 9", 1, {"a": DiskTrial(Recipe(epochs=1))}, [row], lambda *_: None)
    monkeypatch.setattr(reproduce, "EXPERIMENTS", {"small": experiment})
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def meanwhile(monkeypatch):
    """meanwhile(action) has it done during the training of whatever command; meanwhile.trained counts these."""
    def during(owner, name):
        original = getattr(owner, name)

        def changed(*args, **options):
            plan.trained += 1
            plan.action()
            return original(*args, **options)

        monkeypatch.setattr(owner, name, changed)

    def plan(action):
        plan.action = action

    plan.trained, plan.action = 0, lambda: None
    during(DiskTrial, "train")
    during(sweep_task, "trained")
    return plan


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def names(folder):
    """What is in a folder but for the marker."""
    return {path.name for path in folder.iterdir()} - {MARKER}


def run(command, out):
    return cli.main([*COMMANDS[command], "--out", str(out)])


def old_run(folder, command="train"):
    """A run that stood there before; for the sweep, nothing that it would not continue."""
    folder.mkdir(parents=True, exist_ok=True)
    if command != "sweep":
        (folder / MARKER).touch()
        (folder / "old").mkdir()
        (folder / "old" / "figure.png").write_text("old")
        (folder / "result.json").write_text("old")
    return folder


def is_old(folder):
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    texts = {(folder / name).read_text() for name in ("result.json", "old/figure.png")}
    return found == {MARKER, "old", "old/figure.png", "result.json"} and texts == {"old"}


# Kinds of places: each function makes one in an empty folder and returns (what --out says, where the files must be)

def absent(base):
    return base / "run", base / "run"


def below_absent(base):
    return base / "a" / "b" / "run", base / "a" / "b" / "run"


def empty(base):
    (base / "run").mkdir()
    return base / "run", base / "run"


def relative(base):
    return "a/../run/", base / "run"


def odd_name(base):
    return base / "ü name\nof 2 lines.part", base / "ü name\nof 2 lines.part"


def here(base):
    return ".", base


def here_by_its_name(base):
    return base, base


def link_to_a_folder(base):
    (base / "real").mkdir()
    (base / "link").symlink_to(base / "real", target_is_directory=True)
    return base / "link", base / "real"


def link_to_a_link(base):
    (base / "real").mkdir()
    (base / "one").symlink_to("real")
    (base / "two").symlink_to("one")
    return "two", base / "real"


def dangling_link(base):
    (base / "link").symlink_to(base / "real")
    return base / "link", base / "real"


def dangling_link_to_what_has_no_folder(base):
    (base / "link").symlink_to("a/b/real")
    return base / "link", base / "a" / "b" / "real"


def below_a_link(base):
    (base / "real").mkdir()
    (base / "link").symlink_to("real")
    return base / "link" / "run", base / "real" / "run"


def what_a_kill_left(base):
    for name in (f"{'0' * 32}.part", f"{'1' * 32}.old"):
        (base / "run" / name).mkdir(parents=True)
    return base / "run", base / "run"


PLACES = [absent, below_absent, empty, relative, odd_name, here, here_by_its_name, link_to_a_folder, link_to_a_link,
          dangling_link, dangling_link_to_what_has_no_folder, below_a_link, what_a_kill_left]


@pytest.fixture
def base(tmp_path, monkeypatch):
    folder = tmp_path / "base"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_fills_every_kind_of_place_twice(command, place, base):
    out, real = place(base)
    links = [path for path in base.iterdir() if path.is_symlink()]
    aside = names(real) if place is what_a_kill_left else set()
    inode = real.stat().st_ino if real.exists() else None
    for _ in range(2):
        assert run(command, out) == 0
        assert names(real) == FILES[command] | aside
        assert real.stat().st_ino == (inode or real.stat().st_ino)
        inode = real.stat().st_ino  # the second time, too, it is the same folder
        assert all(link.is_symlink() for link in links)
    assert os.path.samefile(os.getcwd(), base)  # which is still there
    left = {path.name for path in base.rglob("*") if path.name.endswith((".part", ".old"))} - aside - {real.name}
    assert not left


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", BY_RENAMING)
def test_a_run_is_replaced_whole_and_only_when_the_new_one_is_complete(command, place, base, meanwhile):
    out, real = place(base)
    if place is here or place is here_by_its_name or real.exists():
        old_run(real)
    elif not os.path.islink(out):
        old_run(Path(out))
    else:
        old_run(real)
    aside = names(real) - {"old", "result.json"}
    seen = []
    meanwhile(lambda: seen.append((real / "result.json").read_text()))
    assert run(command, out) == 0
    assert seen == ["old"] and names(real) == FILES[command] | aside


@pytest.mark.parametrize("failure, code", [(FloatingPointError("diverged"), 1), (KeyboardInterrupt(), 130),
                                           (MemoryError("Unable to allocate 7 TiB"), 1)])
@pytest.mark.parametrize("command", BY_RENAMING)
@pytest.mark.parametrize("out", ["run", "link", "."])
def test_a_training_that_fails_leaves_the_old_run(out, command, failure, code, base, meanwhile, capsys):
    def fail():
        raise failure

    real = old_run(base if out == "." else base / "run")
    (base.parent / "link").symlink_to(real)
    meanwhile(fail)
    assert run(command, "../link" if out == "link" else out) == code
    assert is_old(real) and "Traceback" not in capsys.readouterr().err


# Found out before the training

def a_file(base):
    (base / "run").touch()
    return "run"


def below_a_file(base):
    (base / "file").touch()
    return "file/run"


def a_loop_of_links(base):
    (base / "one").symlink_to("two")
    (base / "two").symlink_to("one")
    return "one"


def a_name_too_long(base):
    return "x" * 300


def a_device(base):
    return "/dev/null"


def no_place_for_folders(base):
    return "/proc/run"


UNUSABLE = [a_file, below_a_file, a_loop_of_links, a_name_too_long, a_device,
            *([no_place_for_folders] if os.path.isdir("/proc/self") else [])]


@pytest.mark.skipif(os.name != "posix", reason="paths of POSIX")
@pytest.mark.parametrize("place", UNUSABLE)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_written_is_told_before_any_training(command, place, base, meanwhile, capsys):
    out = place(base)
    before = sorted(base.rglob("*"))
    assert run(command, out) == 1
    told, err = capsys.readouterr()
    assert told == "" and len(err.splitlines()) == 1 and meanwhile.trained == 0
    assert sorted(base.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_without_permission_is_told_before_any_training(command, base, meanwhile, capsys):
    old_run(base / "run").chmod(0o555)
    try:
        assert run(command, "run") == 1
        assert meanwhile.trained == 0 and is_old(base / "run")
    finally:
        (base / "run").chmod(0o755)


# Failures at the end

@contextlib.contextmanager
def opening_for_writing_fails(below, error):
    """From now on no file below the folder can be opened for writing, as on a full disk."""
    original_open, original_os_open = builtins.open, os.open

    def within(file):
        return not isinstance(file, int) and Path(os.path.realpath(os.fsdecode(file))).is_relative_to(below)

    import io
    import unittest.mock

    def refusing(file, mode="r", *args, **options):
        if within(file) and set(mode) & set("wax+"):
            raise error
        return original_open(file, mode, *args, **options)

    with unittest.mock.patch.object(builtins, "open", refusing), unittest.mock.patch.object(io, "open", refusing):
        yield
    assert os.open is original_os_open


ERRORS = [OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error.errno])
@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("command", BY_RENAMING)
def test_a_disk_that_fails_at_the_end(command, existing, error, base, temporary, meanwhile, capsys):
    if existing:
        old_run(base / "run")
    with contextlib.ExitStack() as stack:
        meanwhile(lambda: stack.enter_context(opening_for_writing_fails(base, error)))
        assert run(command, "run") == 1
    told = capsys.readouterr().err.splitlines()[-1]
    kept, = temporary.iterdir()
    assert told == f"minidl: cannot write to {base / 'run'}: {error.strerror}; the result is kept in {kept}"
    assert names(kept) == FILES[command]
    assert is_old(base / "run") if existing else not list(base.iterdir())


@pytest.mark.parametrize("command", BY_RENAMING)
def test_where_nothing_can_be_kept_that_is_said(command, base, temporary, meanwhile, capsys):
    old_run(base / "run")
    with contextlib.ExitStack() as stack:
        meanwhile(lambda: stack.enter_context(opening_for_writing_fails(base.parent, ERRORS[0])))
        assert run(command, "run") == 1
    assert "No space left on device; what could be written is in" in capsys.readouterr().err
    assert (base / "run" / "result.json").read_text() == "old" and not list(temporary.iterdir())


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM, errno.EACCES, errno.ENOTEMPTY, errno.EIO])
@pytest.mark.parametrize("command", BY_RENAMING)
def test_a_folder_that_takes_no_name(command, number, base, monkeypatch, capsys):
    """Where there is no folder yet, its name comes last; if that is refused, the result stays beside."""
    replace = os.replace

    def refusing(source, target):
        if Path(target).name == "run":
            raise OSError(number, os.strerror(number))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    assert run(command, "run") == 1
    kept, = base.iterdir()
    assert f"{os.strerror(number)}; the result is kept in {kept}" in capsys.readouterr().err
    assert names(kept) == FILES[command]


def filled(path, text="new"):
    def write(folder):
        (folder / "result.json").write_text(text)
        (folder / "figures").mkdir()
        (folder / "figures" / "a.png").write_text(text)

    with run_folder(path) as keep:
        keep(write)


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM])
def test_what_cannot_be_renamed_is_copied(number, base, monkeypatch):
    """As folders of a container's image: its file system refuses to rename them."""
    old_run(base / "run")

    def refusing(source, target):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refusing)
    filled(base / "run")
    assert names(base / "run") == {"result.json", "figures"}
    assert (base / "run" / "figures" / "a.png").read_text() == "new" == (base / "run" / "result.json").read_text()


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", range(4))
def test_an_end_that_is_cut_short_at_any_step_changes_nothing_and_keeps_both(step, failure, copied, base, monkeypatch,
                                                                             capsys):
    """Two entries leave, two come: the failure is at one of these four."""
    old_run(base / "run")
    move, calls = runs._move, []

    def failing(source, target):
        calls.append(source)
        if len(calls) == step + 1:
            raise failure
        move(source, target)

    monkeypatch.setattr(runs, "_move", failing)
    if copied:
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "between devices")))
    with pytest.raises(type(failure)) as caught:
        filled(base / "run")
    kept, = [path for path in (base / "run").iterdir() if path.name.endswith(".part")]
    assert names(kept) == {"result.json", "figures"} and (kept / "result.json").read_text() == "new"
    if isinstance(failure, OSError):
        assert str(caught.value).endswith(f"Input/output error; the result is kept in {kept}")
    shutil.rmtree(kept)
    assert is_old(base / "run")


def test_a_removal_that_is_refused_is_taken_back(base, monkeypatch, capsys):
    """A file that is itself mounted: it can be copied, and neither renamed nor removed."""
    old_run(base / "run")
    replace, unlink = os.replace, Path.unlink

    def busy(path):
        if Path(path) == base / "run" / "result.json":
            raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", lambda source, target: (busy(source), replace(source, target)))
    monkeypatch.setattr(Path, "unlink", lambda path, **options: (busy(path), unlink(path, **options)))
    with pytest.raises(OSError, match="Device or resource busy; the result is kept in") as caught:
        filled(base / "run")
    kept = Path(str(caught.value).split()[-1])
    assert (kept / "result.json").read_text() == "new"
    shutil.rmtree(kept)
    assert is_old(base / "run")


def test_what_cannot_be_put_back_is_told(base, monkeypatch, capsys):
    old_run(base / "run")
    move = runs._move

    def failing(source, target):
        if source.parent == base / "run" and target.parent.suffix == ".old":
            return move(source, target)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(runs, "_move", failing)
    with pytest.raises(OSError, match="the result is kept in"):
        filled(base / "run")
    old, = (base / "run").glob("*.old")
    assert f"not all that stood in {base / 'run'} could be put back; the rest is in {old}" in capsys.readouterr().err
    assert names(old) == {"old", "result.json"}


@pytest.mark.parametrize("failure", [ValueError("of a figure"), KeyboardInterrupt(), MemoryError()])
def test_what_was_written_before_an_error_of_another_kind_stays(failure, base, capsys):
    old_run(base / "run")

    def write(folder):
        (folder / "weights.npz").write_text("hours of work")
        raise failure

    with pytest.raises(type(failure)), run_folder(base / "run") as keep:
        keep(write)
    kept, = [path for path in (base / "run").iterdir() if path.name.endswith(".part")]
    assert f"kept in {kept}" in capsys.readouterr().err and (kept / "weights.npz").exists()
    shutil.rmtree(kept)
    assert is_old(base / "run")


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("command", BY_RENAMING)
def test_a_folder_that_is_removed_meanwhile_is_made_again(command, existing, base, meanwhile):
    if existing:
        old_run(base / "a" / "run")
    meanwhile(lambda: shutil.rmtree(base / "a"))
    assert run(command, "a/run") == 0
    assert names(base / "a" / "run") == FILES[command] and [path.name for path in (base / "a").iterdir()] == ["run"]


@pytest.mark.parametrize("command", BY_RENAMING)
def test_files_that_somebody_puts_there_meanwhile_are_not_replaced(command, base, meanwhile, capsys):
    def somebody():
        (base / "run").mkdir()
        (base / "run" / "thesis.txt").touch()

    meanwhile(somebody)
    assert run(command, "run") == 1
    kept, = base.glob("run.*.part")
    assert f"the result is kept in {kept}" in capsys.readouterr().err
    assert names(kept) == FILES[command] and names(base / "run") == {"thesis.txt"}


def test_two_runs_to_the_same_folder_at_once_do_not_hurt_each_other(base):
    (base / "run").mkdir()
    with run_folder(base / "run") as first, run_folder(base / "run") as second:
        first(lambda folder: (folder / "a").touch())
        assert names(base / "run") > {"a"}
        second(lambda folder: (folder / "b").touch())
    assert names(base / "run") == {"b"}


# The file of a sweep

def logged(path):
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert set(header) == {"sweep of"}
    return [line["settings"]["layers"] for line in lines]


class Refusing:
    """A raw file that takes ``room`` more bytes, and then none while ``full`` holds."""

    def __init__(self, file, room, full):
        self.file, self.room, self.full = file, room, full

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        if self.full() and self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.file.write(content[:self.room] if self.full() else content)
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 100, 700])
def test_a_sweep_whose_file_cannot_be_written_goes_on_in_another(room, base, temporary, monkeypatch, meanwhile, capsys):
    from minidl.sweep import log as sweep_log

    def opened(path, *args, **options):
        file = open(path, *args, **options)  # noqa: SIM115
        if not Path(path).is_relative_to(base):
            return file
        return Refusing(file, room, lambda: meanwhile.trained > 0)

    def no_replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sweep_log, "open", opened, raising=False)
    monkeypatch.setattr(sweep_log, "part_of", no_replacing)
    assert run("sweep", "run") == 1
    place, = temporary.rglob("sweep.jsonl")
    error = capsys.readouterr().err.splitlines()
    assert error[-1] == (f"minidl: cannot write to {base / 'run' / 'sweep.jsonl'}: No space left on device; "
                         f"the runs are kept in {place}")
    assert logged(place) == [1, 2] and meanwhile.trained == 2
    assert logged(base / "run" / "sweep.jsonl") in ([], [1])  # whole lines alone
    monkeypatch.undo()
    shutil.copy(place, base / "run" / "sweep.jsonl")  # it is a file of the same sweep
    monkeypatch.chdir(base)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("sweep", "run") == 0


def test_a_sweep_comes_back_when_there_is_room_again(base, temporary, monkeypatch, meanwhile, capsys):
    from minidl.sweep import log as sweep_log

    def opened(path, *args, **options):
        file = open(path, *args, **options)  # noqa: SIM115
        return Refusing(file, 0, lambda: meanwhile.trained == 1) if Path(path).is_relative_to(base) else file

    monkeypatch.setattr(sweep_log, "open", opened, raising=False)
    assert run("sweep", "run") == 0
    assert logged(base / "run" / "sweep.jsonl") == [1, 2] and not list(temporary.iterdir())
    assert names(base / "run") == FILES["sweep"]


def test_a_table_that_cannot_be_written_is_printed_and_the_runs_are_kept(base, meanwhile, capsys, monkeypatch):
    from minidl.commands import sweep as command

    @contextlib.contextmanager
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
        yield

    monkeypatch.setattr(command, "whole", full)
    assert run("sweep", "run") == 1
    out, err = capsys.readouterr()
    assert "best_dev_accuracy" in out
    assert "the runs are kept in run/sweep.jsonl, and the same command writes the rest" in err


# Real file systems

def mounted(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode == 0


@pytest.fixture
def mount(base):
    """mount(folder, options): a file system of its own there, unmounted afterwards; skips where that is not allowed."""
    places = []

    def make(folder, options="size=1m"):
        folder.mkdir(exist_ok=True)
        if os.name != "posix" or os.geteuid() != 0 or not mounted("-t", "tmpfs", "-o", options, "none", folder):
            pytest.skip("mounting is not allowed")
        places.append(folder)
        return folder

    yield make
    for folder in reversed(places):
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("out", ["run", "link", ".", "run/below", "bound"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_mounted_folder(command, out, base, mount, monkeypatch):
    run_ = mount(base / "run")
    (run_ / "lost+found").mkdir()  # as many file systems have it
    (base / "link").symlink_to("run")
    if out == ".":
        monkeypatch.chdir(run_)
    if out == "bound":
        (base / "bound").mkdir()
        assert mounted("--bind", run_, base / "bound")
    try:
        for _ in range(2):
            assert run(command, out) == 0
        found = run_ / "below" if out == "run/below" else run_
        assert names(found) - {"lost+found"} == FILES[command] and os.path.ismount(run_)
        assert (run_ / "lost+found").is_dir() and {path.name for path in base.iterdir()} <= {"run", "link", "bound"}
    finally:
        if out == "bound":
            subprocess.run(["umount", str(base / "bound")], check=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_file_system_is_told_before_any_training(command, base, mount, meanwhile, capsys):
    old_run(mount(base / "run"), command)
    assert mounted("-o", "remount,ro", base / "run")
    assert run(command, "run") == 1
    assert capsys.readouterr().err == f"minidl: cannot write to {base / 'run'}: Read-only file system\n"
    assert meanwhile.trained == 0 and (command == "sweep" or is_old(base / "run"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_file_system_is_told_before_any_training(command, base, mount, meanwhile, capsys):
    old_run(mount(base / "run", "size=64k"), command)
    with contextlib.suppress(OSError), open(base / "run" / "old" if command == "sweep" else base / "run" / "old" / "x",
                                            "wb") as file:
        file.write(bytes(1 << 20))
    assert run(command, "run") == 1
    assert "No space left on device" in capsys.readouterr().err and meanwhile.trained == 0
    assert not list((base / "run").glob("*.part"))


@pytest.mark.parametrize("change", ["full", "read-only", "gone"])
@pytest.mark.parametrize("command", BY_RENAMING)
def test_a_file_system_that_fails_meanwhile(command, change, base, mount, meanwhile, temporary, capsys):
    folder = old_run(mount(base / "run", "size=64k"))

    def fail():
        if change == "full":
            with contextlib.suppress(OSError), open(folder / "old" / "x", "wb") as file:
                file.write(bytes(1 << 20))
        elif change == "read-only":
            assert mounted("-o", "remount,ro", folder)
        else:
            subprocess.run(["umount", "-l", str(folder)], check=True)
            folder.chmod(0o755)

    meanwhile(fail)
    code = run(command, "run")
    if change == "gone":  # the folder below it is there, and takes the run
        assert code == 0 and names(folder) == FILES[command]
        assert mounted("-t", "tmpfs", "none", folder)  # for the fixture to unmount
        return
    assert code == 1
    kept, = temporary.iterdir()
    assert f"the result is kept in {kept}" in capsys.readouterr().err and names(kept) == FILES[command]
    assert (folder / "result.json").read_text() == "old" == (folder / "old" / "figure.png").read_text()


def test_a_sweep_on_a_file_system_that_fills_up(base, mount, meanwhile, temporary, capsys):
    folder = mount(base / "run", "size=64k")

    def fill():
        with contextlib.suppress(OSError), open(folder / "x", "ab") as file:
            file.write(bytes(1 << 20))
        with contextlib.suppress(OSError), open(folder / "sweep.jsonl", "ab") as file:  # what its last page has left
            file.write(b"\n" * 5000)

    meanwhile(fill)
    assert run("sweep", "run") == 1
    place, = temporary.rglob("sweep.jsonl")
    assert f"the runs are kept in {place}" in capsys.readouterr().err and logged(place) == [1, 2]
