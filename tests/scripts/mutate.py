"""Makes small mistakes in copies of minidl, one at a time, and says which of them the tests let pass.

    python tests/scripts/mutate.py --count 100 --seed 1 --without-torch
    python tests/scripts/mutate.py --modules functional optim/sgd.py --jobs 2
    python tests/scripts/mutate.py --kernels --count 60
    python tests/scripts/mutate.py --kernels tiles.pxi gemm.pxi --target avx2
    python tests/scripts/mutate.py --reached FOLDER --jobs 2

Each change of a random sample (see changes.py, kernel_changes.py; the same seed makes the same sample of the same
source) is made in a copy in the temporary folder, never here; a change of the kernels is built there (rebuilt.py).
Then the tests run, those first whose text names most of what the changed file defines, until one fails; with
``--reached`` those alone that reach the changed statement (reached.py), in a tenth of the time. Before a test file is
first used, it runs without a change; tests that fail then are left out, and printed. A change is noticed when a test
fails twice, when the process dies, or when it takes far longer than without the change. The others are printed,
with file, line, and the text before and after; then the share that was noticed. A change that does not compile, or
compiles to the same code, does not count: another is drawn. The exit status is 1 if the share is below ``--least``.

    --count      how many changes (100)
    --seed       of the sample (0)
    --modules    files and folders below minidl/, without a name all
    --kernels    the same of kernels/, instead
    --target     the kernels' target, without a name the best that this processor has
    --files      how many test files run for a change at most (all)
    --reached    folder of what is known of the tests that reach a line, made where it is missing; not for kernels
    --seconds    of tests that run for a change at most, with --reached (300)
    --jobs       copies at work at the same time (1)
    --least      the percentage that must be noticed (98)
    --leave-out  tests or test files that are not to run, as pytest names them (tests/test_x.py::test_y[z])
    --at         judge all changes of these lines instead of a sample, as kernels/tiles.pxi:12
    --list       print the sample and stop
    --without-torch   the copies find no PyTorch, as after the README's own command

The tests run with the packages of this interpreter, linked into an environment of each copy. The kernels must
have been built in place. It takes minutes to hours, and so is run by hand, or in CI behind a switch.
"""
from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import changes
import kernel_changes
from changes import Change
from copies import ROOT, Copy
from reached import Reached
from rebuilt import Rebuilt, kernel_files, roots

PARTS = (4, 20)  # test files that run first, in a process of their own: it starts sooner than that of all
SECONDS = (5, 40)  # the same of tests that reach a line, by their time
FAILED = re.compile(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", re.MULTILINE)
SIGNATURES = "tests/test_signatures.py"  # of arguments and defaults, which are read at import
# The tests that look closest at a file below kernels/, then at what is made of it, before those that happen to name it.
CLOSEST = {
    "members": ("test_many_in_a_call", "test_many_altered", "test_fit_many"),
    "blocks": ("test_long_batches",),
    "stretch": ("test_stretches", "test_counting_errors", "test_fit_errors"),
    "program": ("test_forward_alone", "test_capture_users", "test_fit_any_model", "test_predict_any_model",
                "test_losses_of_ones_own", "test_stretches", "test_fit_errors"),
    "updates": ("test_updates_by_hand",), "optimizers": ("test_updates_by_hand",), "group_step": ("test_optim",),
    "target_dtype": ("test_kernels", "test_kernels_more", "test_elementary", "test_product_orders", "test_images",
                     "test_window_kernels", "test_sequence_kernels", "test_chain_kernels", "test_nothing_in_it",
                     "test_shares_by_hand"),
    "python_dtype": ("test_kernels_more", "test_capture", "test_kernels", "test_chain_kernels", "test_capture_batches",
                     "test_capture_changes", "test_capture_fit", "test_linear_arrays", "test_stretches",
                     "test_optimizer_chains", "test_capture_users", "test_capture_memory"),
    "ledger": ("test_ledger",),
    "replay": ("test_guards", "test_replay_by_hand", "test_shares_by_hand", "test_capture_any", "test_recorded",
               "test_recorded_steps", "test_stretches_recorded", "test_staleness"),
}


Batch = tuple[list[str], list[str]]  # test files that run together, and which of their tests; none: all


class Known:
    """The test files that have run without a change: how long they take, and which tests fail all the same."""

    def __init__(self, left_out: Sequence[str]):
        self.seconds: dict[str, float] = {}
        self.longest = 0.0  # of a test
        self.left_out = list(left_out)

    def learn(self, copy: Copy, files: Sequence[str]) -> None:
        """Run those of the files that have not run."""
        new = [file for file in files if file not in self.seconds and file not in self.left_out]
        if not new:
            return
        report, begin = copy.folder / "report.xml", time.monotonic()
        status, output = copy.test(["--continue-on-collection-errors", f"--junit-xml={report}", *new,
                                    *without(self.left_out)], 3600)
        failed = list(dict.fromkeys(FAILED.findall(output)))
        if status not in (0, 1, 5) or (status == 1 and not failed):
            sys.exit(f"mutate: expected pytest to run, got exit status {status}\n{output[-3000:]}")
        self.left_out += failed
        self.seconds.update(dict.fromkeys(new, 0.0))
        for case in ElementTree.parse(report).iter("testcase"):
            name = re.match(r"tests[.]\w+", case.get("classname") or case.get("name") or "")
            if name and (file := f"{name[0].replace('.', '/')}.py") in self.seconds:
                self.seconds[file] += float(case.get("time") or 0)
                self.longest = max(self.longest, float(case.get("time") or 0))
        print(f"without a change: {len(new)} test files, {time.monotonic() - begin:.0f} s", *failed,
              sep="\n    fails, and is left out: ", flush=True)

    def noticed(self, copy: Copy, changed: dict[str, bytes], batches: Iterable[Batch]) -> str:
        """What notices these changed files, or ""."""
        flaky: list[str] = []
        for files, only in batches:
            self.learn(copy, files if not only else [file for file in files if file in only])
            seconds = 60 + 4 * sum(self.seconds.get(name, 0) for name in only or files)
            limits = ["-o", f"faulthandler_timeout={30 + 4 * self.longest:.0f}",  # of a test
                      "-o", "faulthandler_exit_on_timeout=true"]
            while files:
                with copy.changed(changed):
                    status, output = copy.test(["-x", *limits, *files, *without([*self.left_out, *flaky])], seconds,
                                               only)
                    if status in (0, 5):  # 5: all tests of these files were skipped
                        break
                    failed = FAILED.findall(output)
                    if status != 1 or not failed:
                        late = status is None or "Timeout (" in output
                        return "time" if late else f"exit status {status}"
                    again, _ = copy.test([failed[0]], seconds)
                if again != 0:
                    return failed[0]
                flaky.append(failed[0])  # passes now and then: it notices nothing
        return ""

    def take(self, copy: Copy, reached: Reached) -> None:
        """What the tests under coverage.py have told; those that failed there run once more without it."""
        self.seconds |= reached.seconds
        self.longest = max(reached.seconds.values(), default=0)
        status, output = copy.test(reached.failed, 3600) if reached.failed else (0, "")
        if status not in (0, 1, 5):
            sys.exit(f"mutate: expected pytest to run, got exit status {status}\n{output[-3000:]}")
        self.left_out += (failed := list(dict.fromkeys(FAILED.findall(output))))
        print(f"without a change: {len(reached.seconds)} tests", *failed, sep="\n    fails, and is left out: ",
              flush=True)


def without(names: Sequence[str]) -> list[str]:
    """The options of pytest that leave out tests, and files whole: a file that fails to load is not to be loaded."""
    return [f"--deselect={name}" if "::" in name else f"--ignore={name}" for name in names]


def sources(modules: Sequence[str]) -> list[Path]:
    """The Python files of these modules, in order."""
    found: set[Path] = set()
    for name in modules or ("*",):
        matches = [path for path in (ROOT / "minidl").glob(name) if path.name != "kernels"]
        if not matches:
            sys.exit(f"mutate: expected files or folders below minidl/, got {name!r}")
        for match in matches:
            found |= set(match.rglob("*.py") if match.is_dir() else [match] if match.suffix == ".py" else [])
    return sorted(found)


@cache
def words_of(test: Path) -> Counter[str]:
    return Counter(re.findall(r"\w+", test.read_text()))


def ranked(source: Path, changed: str) -> list[str]:
    """The test files of this source, those first whose text names most of what the changed file defines.

    The source is a copy's: what is written into the folder that it was copied from meanwhile does not count.
    """
    path = source / changed
    text = path.read_text()
    words = {path.stem, path.parent.name, *re.findall(r"^ *(?:def|class) ([A-Za-z]\w+)", text, re.MULTILINE),
             *re.findall(r"^([A-Za-z]\w{2,}) = ", text, re.MULTILINE),
             *re.findall(r'^register\(b"(\w+)"', text, re.MULTILINE)}
    of_kernels = path.parent.name == "kernels"
    made = [path.stem, *(root for root, parts in roots().items() if path.name in parts)] if of_kernels else []
    closest = [f"tests/{test}.py" for name in made for test in CLOSEST.get(name, ())]
    if not of_kernels and (source / SIGNATURES).exists():
        closest.append(SIGNATURES)

    def score(test: Path) -> float:
        content = words_of(test)
        used = sum(min(content[word], 20) for word in words)
        return -used / (200 + content.total()) ** 0.5 - 10 * (path.stem in test.stem)

    tests = sorted((source / "tests").glob("test_*.py"))
    return list(dict.fromkeys([*closest, *(f"tests/{test.name}" for test in sorted(tests, key=score))]))


def by_files(files: list[str]) -> list[Batch]:
    return [(part, []) for part in (files[:PARTS[0]], files[PARTS[0]:PARTS[1]], files[PARTS[1]:]) if part]


def by_reach(reached: Reached, change: Change, files: list[str], most: float) -> list[Batch]:
    """The tests that reach a change, by the order of the files and then by their time; files whose processes may."""
    place = {file: i for i, file in enumerate(files)}
    tests = sorted(reached.tests(change.path, change.line), key=lambda test: (
        place.get(test.split("::")[0], len(place)), reached.seconds.get(test, 0)))
    if not tests:
        return by_files(files)
    batches, total = [[]], 0.0
    for test in tests:
        total += reached.seconds.get(test, 0)
        if total > most:
            break
        if len(batches) <= len(SECONDS) and batches[-1] and total > sum(SECONDS[:len(batches)]):
            batches.append([])
        batches[-1].append(test)
    return [*((list(dict.fromkeys(test.split("::")[0] for test in batch)), batch) for batch in batches),
            (files[:PARTS[0]], [])]


class Sample:
    """The changes in their random order, taken by several at the same time until so many have been judged."""

    def __init__(self, drawn: Iterable[Change], count: int):
        self.drawn, self.count = iter(drawn), count
        self.taken = self.judged = self.noticed = 0
        self.lock = threading.Lock()

    def take(self) -> Change | None:
        with self.lock:
            change = next(self.drawn, None) if self.taken < self.count else None
            self.taken += change is not None
            return change

    def put_back(self) -> None:
        """It was no change: another may be taken instead."""
        with self.lock:
            self.taken -= 1

    def judge(self, change: Change, by: str) -> None:
        with self.lock:
            self.judged, self.noticed = self.judged + 1, self.noticed + bool(by)
            where = f"{change.path}:{change.line}, {change.kind}"
            print(f"[{self.judged}/{self.count}]", f"{where}: noticed by {by}" if by else f"NOT NOTICED: {change}",
                  flush=True)


def work(sample: Sample, copy: Copy, options: argparse.Namespace, known: Known, reached: Reached | None) -> None:
    """Judge changes in a copy."""
    rebuilt = Rebuilt(copy, options.target) if options.kernels is not None else None
    while (change := sample.take()) is not None:
        built = rebuilt.changed(change.path, change.text) if rebuilt else [{change.path: change.text.encode()}]
        files, by = ranked(copy.source, change.path)[:options.files], None
        for changed in built:
            by = known.noticed(copy, changed, by_reach(reached, change, files, options.seconds) if reached
                               else by_files(files))
            if by:
                break
        if by is None:
            sample.put_back()
        else:
            sample.judge(change, by)


def record(files: Iterator[str], copy: Copy, reached: Reached) -> None:
    """Find what the tests of these files reach, one file after the other, while there are any."""
    for file in files:
        reached.record(copy, file)


def together(pool: ThreadPoolExecutor, function: Callable, arguments: list[tuple]) -> None:
    """Call the function once with each of the arguments, at the same time."""
    for job in [pool.submit(function, *some) for some in arguments]:
        job.result()


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes small mistakes in copies; says which pass the tests.")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", nargs="+", default=[])
    parser.add_argument("--kernels", nargs="*")
    parser.add_argument("--target")
    parser.add_argument("--files", type=int)
    parser.add_argument("--reached", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--least", type=float, default=98)
    parser.add_argument("--leave-out", nargs="+", default=[])
    parser.add_argument("--at", nargs="+", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--without-torch", action="store_true")
    options = parser.parse_args()
    if options.reached is not None and options.kernels is not None:
        parser.error("--reached knows the tests of Python files, not of kernels")
    if options.kernels is None:
        paths, made = sources(options.modules), changes.changes
    else:
        paths, made = kernel_files(options.kernels), kernel_changes.changes
        if options.target is None:
            from minidl import kernels
            options.target = kernels.isa()
    everything = [change for path in paths for change in made(str(path.relative_to(ROOT)), path.read_text())]
    if options.at:
        drawn = [change for change in everything if f"{change.path}:{change.line}" in options.at]
        count = len(drawn)
        if not drawn:
            parser.error(f"--at: expected lines with changes, as minidl/metrics.py:20, got {' '.join(options.at)}")
    else:
        drawn = random.Random(options.seed).sample(everything, len(everything))
        count = min(options.count, len(drawn))
    print(f"{count} of {len(everything)} changes, {'as told' if options.at else f'seed {options.seed}'}", flush=True)
    if options.list:
        print(*drawn[:count], sep="\n")
        return 0
    sample, known, reached = Sample(drawn, count), Known(options.leave_out), None
    with tempfile.TemporaryDirectory(prefix="minidl-mutate-") as folder, ExitStack() as stack:
        copies = [Copy(Path(folder) / str(job), options.without_torch) for job in range(options.jobs)]
        for copy in copies:
            stack.callback(copy.forks.close)
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        if options.reached is not None:
            reached = Reached(options.reached.absolute(), copies[0].source)
            missing = iter(reached.missing())
            together(pool, record, [(missing, copy, reached) for copy in copies])
            known.take(copies[0], reached)
        together(pool, work, [(sample, copy, options, known, reached) for copy in copies])
    share = 100 * sample.noticed / max(sample.judged, 1)
    print(f"noticed: {sample.noticed} of {sample.judged}, {share:.1f} %")
    return share < options.least


if __name__ == "__main__":
    sys.exit(main())
