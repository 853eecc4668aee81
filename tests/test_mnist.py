"""MNIST is found, or downloaded from a mirror on this machine's loopback, and never taken unchecked."""
import contextlib
import gzip
import hashlib
import importlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from minidl.data.idx import idx_bytes
from minidl.data.mnist import SHA256, Dataset, cache_folder, mnist, scaled

module = importlib.import_module("minidl.data.mnist")  # its name in the package belongs to the function

ARRAYS = Dataset(
    np.arange(5 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28), np.arange(5, dtype=np.uint8),
    np.full((2, 28, 28), 7, np.uint8), np.array([1, 0], np.uint8))
FILES = dict(zip(SHA256, map(idx_bytes, ARRAYS), strict=True))
DIGESTS = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
LABELS = "t10k-labels-idx1-ubyte"


class Mirror(BaseHTTPRequestHandler):
    """Serves /<behaviour>/<file>.gz; the server counts the requests for each behaviour."""

    def do_GET(self):
        _, behaviour, file = self.path.split("/")
        self.server.requests.append(behaviour)
        self.content = gzip.compress(FILES[file.removesuffix(".gz")])
        with contextlib.suppress(ConnectionError):
            getattr(self, behaviour)()

    def send(self, content, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def good(self):
        self.send(self.content)

    def slow(self):
        time.sleep(0.3)
        self.send(self.content)

    def missing(self):
        self.send_error(404)

    def short(self):
        self.send(self.content[:-10], len(self.content))

    def wrong(self):
        self.send(gzip.compress(idx_bytes(np.zeros(3, np.uint8))))

    def garbage(self):
        self.send(b"\x1f\x8b\x08" + b"\xa5" * 100)

    def page(self):
        self.send(b"<html>Log in to use this network</html>")

    def bomb(self):
        self.send(gzip.compress(b"\x00\x00\x08\x01\xff\xff\xff\xff" + bytes(1 << 20)))

    def endless(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(1 << 20))

    def silent(self):
        self.server.closing.wait(10)

    def rude(self):
        self.wfile.write(b"not HTTP\r\n\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.requests, server.closing = [], threading.Event()
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without data: all that decides where to look points into an empty folder."""
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path


def save(folder, *, files=FILES, suffix="", pack=bytes):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (name + suffix)).write_bytes(pack(data))
    return folder


def check(dataset):
    for array, expected in zip(dataset, ARRAYS, strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, expected)


def mirrors(server, *behaviours):
    return [f"{server.address}/{behaviour}/" for behaviour in behaviours]


# Finding

@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), ("", gzip.compress)])
def test_reads_a_folder_gzipped_or_not(home, suffix, pack):
    folder = save(home / "here", suffix=suffix, pack=pack)
    check(mnist(folder, digests=DIGESTS))
    check(mnist(str(folder), digests=DIGESTS))


@pytest.mark.parametrize("place", ["data/mnist", "data"])
def test_the_environment_names_the_folder_or_the_one_above(home, monkeypatch, place):
    save(home / place)
    monkeypatch.setenv("MINIDL_DATA", str(home / "data"))
    check(mnist(digests=DIGESTS, mirrors=[]))


def test_the_cache_serves_when_the_environment_is_incomplete(home, monkeypatch):
    (save(home / "data") / LABELS).unlink()
    save(cache_folder())
    monkeypatch.setenv("MINIDL_DATA", str(home / "data"))
    check(mnist(digests=DIGESTS, mirrors=[]))


@pytest.mark.parametrize(("platform", "variables", "expected"), [
    ("linux", {"XDG_CACHE_HOME": "/x"}, Path("/x/minidl/mnist")),
    ("linux", {}, Path("~/.cache/minidl/mnist").expanduser()),
    ("darwin", {"XDG_CACHE_HOME": "/x"}, Path("~/Library/Caches/minidl/mnist").expanduser()),
    ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/minidl/mnist")),
    ("win32", {}, Path("~/AppData/Local/minidl/mnist").expanduser()),
])
def test_the_cache_is_where_the_system_keeps_caches(monkeypatch, platform, variables, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == expected


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(idx_bytes(np.array([0, 1], np.uint8))),
    lambda path: path.write_bytes(FILES[LABELS][:-1]),
    lambda path: path.write_bytes(FILES[LABELS] + b"\0"),
    lambda path: path.write_bytes(b""),
], ids=["other labels", "cut short", "too long", "empty"])
def test_a_found_file_that_is_not_the_original_is_refused(home, damage):
    damage(save(home / "here") / LABELS)
    with pytest.raises(ValueError, match=f"mnist: {LABELS} in .*here is not the original.*delete it.*--data"):
        mnist(home / "here", digests=DIGESTS)


def test_a_cached_file_that_is_not_the_original_is_refused_not_replaced(home, server):
    (save(cache_folder()) / LABELS).write_bytes(b"mine")
    with pytest.raises(ValueError, match="is not the original"):
        mnist(digests=DIGESTS, mirrors=mirrors(server, "good"))
    assert server.requests == [] and (cache_folder() / LABELS).read_bytes() == b"mine"


def test_a_named_folder_that_lacks_a_file_is_not_filled(home, server):
    (save(home / "here") / LABELS).unlink()
    with pytest.raises(FileNotFoundError, match=f"expected {LABELS} or {LABELS}.gz in .*here, found neither"):
        mnist(home / "here", digests=DIGESTS, mirrors=mirrors(server, "good"))
    assert server.requests == [] and len(os.listdir(home / "here")) == 3


def test_a_missing_folder_is_not_made(home):
    with pytest.raises(FileNotFoundError, match=r"mnist: expected train-images.* in .*nowhere.*MINIDL_DATA"):
        mnist(home / "nowhere", digests=DIGESTS, mirrors=[])
    assert not (home / "nowhere").exists()


def test_download_false_does_not_download(home, server, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(home / "data"))
    with pytest.raises(FileNotFoundError, match=r"data.mnist or .*data or .*minidl.mnist, found neither"):
        mnist(download=False, digests=DIGESTS, mirrors=mirrors(server, "good"))
    assert server.requests == [] and not cache_folder().exists()


# Without a home folder, or with one that may not be looked into

NO_HOME = "expected a home folder, for the cache .*, found none; put the four files of MNIST in a folder"
ABSENT = "mnist: expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz in "


@pytest.fixture(params=["linux", "darwin", "win32"])
def homeless(tmp_path, monkeypatch, request):
    """A user whom the system does not know, in an environment that names no place."""
    for name in ("MINIDL_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    if os.name == "posix":
        import pwd

        def unknown(uid):
            raise KeyError(uid)

        monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(sys, "platform", request.param)
    return tmp_path


@pytest.mark.parametrize("place", ["data/mnist", "data"])
def test_without_a_home_what_is_named_is_read(homeless, monkeypatch, place):
    save(homeless / place)
    check(mnist(homeless / place, digests=DIGESTS))
    monkeypatch.setenv("MINIDL_DATA", str(homeless / "data"))
    check(mnist(digests=DIGESTS, mirrors=[]))
    check(mnist(digests=DIGESTS, download=False))


@pytest.mark.parametrize("download", [True, False])
def test_without_a_home_what_is_absent_is_a_file_not_found(homeless, monkeypatch, download):
    with pytest.raises(FileNotFoundError, match=f"{ABSENT}.*nowhere, found neither"):
        mnist(homeless / "nowhere", digests=DIGESTS, mirrors=[], download=download)
    for folder in ("~", "~/mnist", "~nobody_of_this_name/mnist"):
        with pytest.raises(FileNotFoundError, match=f"{ABSENT}{folder}, found neither"):
            mnist(folder, digests=DIGESTS, mirrors=[], download=download)
    with pytest.raises(FileNotFoundError, match=NO_HOME):
        mnist(digests=DIGESTS, mirrors=[], download=download)
    monkeypatch.setenv("MINIDL_DATA", "~/data")
    with pytest.raises(FileNotFoundError, match=f"{ABSENT}~/data/mnist or ~/data, found neither"):
        mnist(digests=DIGESTS, mirrors=[], download=download)


def test_without_a_home_the_cache_says_so(homeless):
    with pytest.raises(FileNotFoundError, match=NO_HOME):
        cache_folder()


@pytest.mark.parametrize("name", ["XDG_CACHE_HOME", "HOME"])
def test_one_variable_is_enough_for_the_cache(homeless, server, monkeypatch, name):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv(name, str(homeless / "home"))
    check(mnist(digests=DIGESTS, mirrors=mirrors(server, "good")))
    assert len(os.listdir(cache_folder())) == 4 and homeless / "home" in cache_folder().parents


UNKNOWN = 54321  # no user of any system has this number


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize("home_is", ["absent", "of somebody else"])
def test_a_user_id_that_the_system_does_not_know(home_is):
    """In a process of its own, as in a container that is started with --user."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "USERPROFILE")}
    program = (f"from minidl.data.mnist import mnist\nimport os, pathlib; os.setuid({UNKNOWN})\n"  # may not import
               f"print(sum(array.size for array in mnist(digests={DIGESTS})))\n"
               f"del os.environ['MINIDL_DATA']\nmnist(digests={DIGESTS}, download=False)")
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to other users
        os.chmod(place, 0o755)
        environment["MINIDL_DATA"] = str(save(Path(place) / "data"))
        (Path(place) / "secret").mkdir(mode=0o700)
        if home_is == "of somebody else":
            environment["HOME"] = str(Path(place) / "secret")
        done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=Path(module.__file__).parents[2],
                              capture_output=True, text=True, timeout=60)
    assert int(done.stdout) == sum(array.size for array in ARRAYS), done.stderr
    assert done.stderr.splitlines()[-1].startswith("FileNotFoundError: mnist: expected ")


# Downloading

def test_downloads_into_the_cache_once(home, server):
    check(mnist(digests=DIGESTS, mirrors=mirrors(server, "good")))
    assert server.requests == ["good"] * 4
    assert sorted(os.listdir(cache_folder())) == sorted(f"{name}.gz" for name in FILES)
    check(mnist(digests=DIGESTS, mirrors=[]))


def test_downloads_only_what_is_absent_also_when_the_cache_is_named(home, server):
    (save(cache_folder()) / LABELS).unlink()
    check(mnist(cache_folder(), digests=DIGESTS, mirrors=mirrors(server, "good")))
    assert server.requests == ["good"]


@pytest.mark.parametrize(
    "bad", ["missing", "short", "wrong", "garbage", "page", "bomb", "endless", "silent", "rude"])
def test_a_bad_mirror_is_skipped(home, server, monkeypatch, bad):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    monkeypatch.setattr(module, "MAX_BYTES", 4 << 20)
    (save(cache_folder()) / LABELS).unlink()
    check(mnist(digests=DIGESTS, mirrors=mirrors(server, bad, "good")))
    assert server.requests == [bad, "good"]
    assert sorted(os.listdir(cache_folder())) == sorted([*(FILES.keys() - {LABELS}), f"{LABELS}.gz"])


def test_a_mirror_that_refuses_the_connection_is_skipped(home, server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        check(mnist(digests=DIGESTS, mirrors=[dead, "no address", *mirrors(server, "good")]))


def test_when_no_mirror_serves_one_error_tells_all(home, server, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    reasons = {"missing": "404", "short": "gzip", "wrong": "SHA-256", "garbage": "gzip",
               "page": "magic number", "bomb": "announces", "silent": "timed out", "rude": "not HTTP"}
    bad = mirrors(server, *reasons)
    with pytest.raises(FileNotFoundError) as caught:
        mnist(digests=DIGESTS, mirrors=bad)
    head, *failures, advice = str(caught.value).splitlines()
    assert "train-images-idx3-ubyte" in head and str(cache_folder()) in head
    for mirror, failure, reason in zip(bad, failures, reasons.values(), strict=True):
        assert f"{mirror}train-images-idx3-ubyte.gz: " in failure and reason in failure
    assert "--data" in advice and "MINIDL_DATA" in advice
    assert os.listdir(cache_folder()) == []


def test_mirrors_may_be_an_iterator_but_not_a_string(home, server):
    check(mnist(digests=DIGESTS, mirrors=iter(mirrors(server, "good"))))
    with pytest.raises(TypeError, match="mnist: expected mirrors to be several addresses, got one string"):
        mnist(mirrors=server.address)


def test_a_cache_that_cannot_be_made_is_no_mirrors_fault(home, server):
    (home / "home").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="home") as caught:
        mnist(digests=DIGESTS, mirrors=mirrors(server, "good"))
    assert "mirror" not in str(caught.value) and server.requests == []


def test_a_cache_that_cannot_be_written_to_is_no_mirrors_fault(home, server):
    too_long = {"x" * 250: "for the temporary name, which is longer"}
    with pytest.raises(OSError) as caught:
        mnist(digests=too_long, mirrors=mirrors(server, "good"))
    assert "mirror" not in str(caught.value) and server.requests == []


def test_two_processes_that_download_at_once_both_end_well(home, server):
    program = ("from minidl.data.mnist import mnist\n"
               f"data = mnist(digests={DIGESTS}, mirrors={mirrors(server, 'slow')})\n"
               "print([array.sum() for array in data])")
    root = Path(module.__file__).parents[2]
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", program], cwd=root, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    results = [process.communicate(timeout=60) for process in processes]
    assert results == [(f"{[array.sum() for array in ARRAYS]}\n", "")] * 2
    assert sorted(os.listdir(cache_folder())) == sorted(f"{name}.gz" for name in FILES)


def test_a_file_that_another_process_finished_and_holds_open_will_do(home, server, monkeypatch):
    def in_use(source, target):
        Path(target).write_bytes(Path(source).read_bytes())
        raise PermissionError("in use")

    monkeypatch.setattr(module.os, "replace", in_use)
    check(mnist(digests=DIGESTS, mirrors=mirrors(server, "good")))
    assert sorted(os.listdir(cache_folder())) == sorted(f"{name}.gz" for name in FILES)


def test_a_download_that_cannot_be_kept_is_an_error(home, server, monkeypatch):
    def refuse(source, target):
        raise PermissionError("no")

    monkeypatch.setattr(module.os, "replace", refuse)
    with pytest.raises(PermissionError, match="no"):
        mnist(digests=DIGESTS, mirrors=mirrors(server, "good"))
    assert os.listdir(cache_folder()) == []


# The images

def test_scaled():
    images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    rows = scaled(images)
    assert rows.shape == (4, 64) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows.ravel(), (np.arange(256) / 255).astype(np.float32))
    np.testing.assert_array_equal(scaled(images[::2, :, ::-1])[1], rows[2].reshape(8, 8)[:, ::-1].ravel())
    assert scaled(images[:0]).shape == (0, 64)


@pytest.mark.parametrize(("error", "images", "match"), [
    (TypeError, np.zeros((2, 3, 3), np.float32), "scaled: expected images of dtype uint8, got float32"),
    (ValueError, np.zeros((3, 3), np.uint8), r"scaled: expected images of shape .* got \(3, 3\)"),
])
def test_scaled_refuses(error, images, match):
    with pytest.raises(error, match=match):
        scaled(images)


@pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="MINIDL_DATA names no folder with MNIST")
def test_the_real_files():
    dataset = mnist(download=False)
    assert [array.shape for array in dataset] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert {array.dtype for array in dataset} == {np.dtype(np.uint8)}
    assert np.bincount(dataset.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert dataset.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(dataset.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    x = scaled(dataset.train_images)
    assert abs(x.mean(dtype=np.float64) - 0.1307) < 1e-4 and abs(x.std(dtype=np.float64) - 0.3081) < 1e-4
