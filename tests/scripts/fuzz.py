"""Call the kernels, take captured steps, and read files, in ways that nobody expects: a right answer or an exception.

    python tests/scripts/fuzz.py --seconds 60            random cases for a minute
    python tests/scripts/fuzz.py --calls 1000000         until a million calls are done
    python tests/scripts/fuzz.py --kind files --calls 100000          damaged files, with a limit to the memory
    python tests/scripts/fuzz.py --kind steps --seed 3 --case 17      one case again, told as it goes

Cases are numbered; each depends on the seed and its number alone. They run in processes of their own, whose
end by a signal, or standstill, is a finding like a wrong result. Prints each kind of finding once, with what
repeats it, and the calls a second. Status 1 if there was a finding.
"""
from __future__ import annotations

import argparse
import faulthandler
import mmap
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

KINDS = {"kernels": 20000, "steps": 1000, "files": 1000}  # cases of each process
DEFAULT = ["kernels", "steps"]
PATIENCE = 30  # seconds without progress
PLACE = struct.Struct("qq")  # the case at hand, and the calls so far


def cases_of(kind: str):
    """case(rng) -> the number of calls; raises Finding."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        import exact_memory  # noqa: F401
    if kind == "kernels":
        from fuzz_kernels import case
    elif kind == "files":
        from fuzz_files import case
    else:
        from fuzz_steps import case
    return case


def run_cases(kind: str, seed: int, first: int, last: int, progress: Path, told: bool) -> None:
    """In the child: the cases from first to last, each noted before it begins."""
    from fuzz_kernels import Finding
    warnings.simplefilter("ignore")
    if "asan" not in os.environ.get("LD_PRELOAD", ""):
        faulthandler.enable()
    case, calls = cases_of(kind), 0
    with progress.open("r+b") as file, mmap.mmap(file.fileno(), PLACE.size) as place:
        for number in range(first, last):
            PLACE.pack_into(place, 0, number, calls)
            rng = random.Random(f"{kind} {seed} {number}")
            try:
                calls += case(rng, told) if kind == "steps" else case(rng)
            except Finding as finding:
                print(f"FINDING\t{number}\t{finding.key}\t{' '.join(str(finding).split())[:600]}", flush=True)
        PLACE.pack_into(place, 0, last, calls)


class Fuzzer:
    """The parent: children one after the other, and what they found."""

    def __init__(self, seed: int, progress: Path):
        self.seed, self.progress = seed, progress
        self.found: Counter[tuple[str, str]] = Counter()
        self.calls = Counter()
        self.next_case = Counter()

    def note(self, kind: str, number: int, key: str, text: str) -> None:
        self.found[kind, key] += 1
        if self.found[kind, key] == 1:
            print(f"FINDING {kind}: {key}\n    {text}\n    again: python {Path(__file__).name} --kind {kind} "
                  f"--seed {self.seed} --case {number}", flush=True)

    def batch(self, kind: str, count: int, until: float) -> None:
        """One child, for some cases; it goes on behind the case that ended it."""
        first = self.next_case[kind]
        self.progress.write_bytes(PLACE.pack(first, 0))
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen(
                [sys.executable, __file__, "--kind", kind, "--seed", str(self.seed), "--child", str(self.progress),
                 str(first), str(first + count)], stdout=output, stderr=errors, text=True)
            stopped = self._wait(child, until)
            number, calls = PLACE.unpack(self.progress.read_bytes())
            output.seek(0)
            errors.seek(0)
            for line in output:
                if line.startswith("FINDING\t"):
                    _, at, key, text = line.rstrip("\n").split("\t", 3)
                    self.note(kind, int(at), key, text)
            said = errors.read()
        self.calls[kind] += calls
        self.next_case[kind] = number if number == first + count else number + 1
        if stopped == "time":
            return
        if stopped or child.returncode:
            key = stopped or f"status {child.returncode}"
            self.note(kind, number, f"{key} {where(said)}", said[-200:] if stopped else shortened(said))

    def _wait(self, child: subprocess.Popen, until: float) -> str:
        """Until it ends; why it was stopped, if it was."""
        seen, since = b"", time.monotonic()
        while True:
            try:
                child.wait(0.2)
                return ""
            except subprocess.TimeoutExpired:
                now, place = time.monotonic(), self.progress.read_bytes()
                if place != seen:
                    seen, since = place, now
                if now > until or now - since > PATIENCE:
                    child.kill()
                    child.wait()
                    return "standstill" if now - since > PATIENCE else "time"


def where(said: str) -> str:
    """What went wrong and in which function of which call: what tells one crash from another."""
    error = re.search(r"AddressSanitizer: ([\w-]+)|runtime error: (.*?)(?: 0x\w+| for|,|$)", said, re.M)
    if not error:
        lines = said.splitlines()
        if any("Traceback" in line for line in lines):
            return lines[-1].strip()[:120]
        python = [line.split("/")[-1] for line in lines if line.strip().startswith("File")]
        return "; ".join(python[:2])
    entry = re.search(r"__pyx_p[fw]_\w*?f(?:32|64)_\d+(\w+)", said)
    inner = re.search(r"#0 0x\w+ in (?:__pyx_f_\w*?f(?:32|64)_)?(\w+)", said)
    return " in ".join([error[1] or error[2], *(found[1] for found in (inner, entry) if found)])


def shortened(said: str) -> str:
    """The beginning of a sanitizer's report, or the end of a traceback."""
    lines = said.splitlines()
    begin = next((i for i, line in enumerate(lines) if "ERROR:" in line or "runtime error" in line), None)
    chosen = lines[-14:] if begin is None else lines[begin:begin + 9]
    return "\n    ".join(line[:180] for line in chosen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=0, help="until so many calls are done")
    parser.add_argument("--seconds", type=float, default=0, help="for so long; 60 unless calls are given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        progress, first, last = options.child
        run_cases(options.kind, options.seed, int(first), int(last), Path(progress), told=False)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        if options.case is not None:
            progress.write_bytes(PLACE.pack(0, 0))
            run_cases(options.kind, options.seed, options.case, options.case + 1, progress, told=True)
            return 0
        return fuzz(Fuzzer(options.seed, progress), [options.kind] if options.kind else DEFAULT,
                    options.calls, options.seconds)


def fuzz(fuzzer: Fuzzer, kinds: list[str], calls: int, seconds: float) -> int:
    began = time.monotonic()
    until = began + (seconds or (60 if not calls else float("inf")))
    print(f"seed {fuzzer.seed}", flush=True)
    spent: Counter[str] = Counter()
    while time.monotonic() < until and not 0 < calls <= fuzzer.calls.total():
        kind = min(kinds, key=lambda one: spent[one])  # as much time for each
        start = time.monotonic()
        fuzzer.batch(kind, KINDS[kind], until)
        spent[kind] += time.monotonic() - start
    for kind in kinds:
        print(f"{kind}: {fuzzer.next_case[kind]} cases, {fuzzer.calls[kind]} calls in {spent[kind]:.0f} s, "
              f"{fuzzer.calls[kind] / max(spent[kind], 1e-9):.0f} a second")
    for (kind, key), count in fuzzer.found.most_common():
        print(f"  {count:6} x {kind}: {key}")
    print(f"{fuzzer.calls.total()} calls, {len(fuzzer.found)} kinds of findings")
    return 1 if fuzzer.found else 0


if __name__ == "__main__":
    sys.exit(main())
