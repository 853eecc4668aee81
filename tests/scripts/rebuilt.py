"""A copy's kernels with a change: built for one target, as quickly as it can be, and only what the change reaches.

All modules are built once, hardly optimised, for one target: were there others without the change, the tests that
compare targets would notice what they could not notice in the source. A change is first built for float32; where no
test notices it, then for float64, whose tests may look closer. A text that modules of no type share is built for both
at once, so that all agree on the structures between them.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from copies import ROOT, Copy

DTYPES = ("f32", "f64")
SHARED = "cython_parts"  # no change reaches it: Cython writes it
# In the copy: setup.py with less optimisation, and with the modules whose names are given.
BUILD = """
import sys, setup
names = set(sys.argv[1].split(","))
setup.TARGET_FLAGS[:] = setup.GENERIC_FLAGS[:] = ["-O1"]
setup.PYTHON_FLAGS[:] = ["-O0"]
roots = set(sys.argv[2].split(","))
translate = setup.translated
def translated(extensions):
    for extension in extensions:
        name = extension.name.split(".")[-1]
        extension.sources = (translate([extension])[0].sources if name in roots
                             else [f"{setup.GENERATED}/kernels/{name}.c"])
    return extensions
setup.translated = translated
setup.setup(ext_modules=[e for e in setup.extensions() if e.name.split(".")[-1] in names],
            cmdclass={"build_ext": setup.ParallelBuild},
            script_args=["-q", "build_ext", "--inplace", "--force", "--parallel=1"])
"""


def kernel_files(names: list[str]) -> list[Path]:
    """The texts of these names below kernels/, or all."""
    folder = ROOT / "kernels"
    return [folder / name for name in names] or sorted(
        path for kind in ("*.pyx", "*.pxi", "*.h") for path in folder.glob(kind))


def roots() -> dict[str, set[str]]:
    """The texts that are translated, with the names of all files that each consists of."""
    def parts(name: str) -> set[str]:
        text = (ROOT / "kernels" / name).read_text()
        found = set(re.findall(r'^ *(?:include|#include|cdef extern from) "(.*)"', text, re.MULTILINE))
        found = {part for part in found if (ROOT / "kernels" / part).exists()}
        return {name}.union(*(parts(part) for part in found))

    return {path.stem: parts(path.name) for path in (ROOT / "kernels").glob("*.pyx")}


def modules(root: str, target: str, dtypes: tuple[str, ...] = DTYPES) -> list[str]:
    """The modules that are compiled from a text that is translated."""
    typed = {"python_dtype": list(dtypes), "target_dtype": [f"{target}_{dtype}" for dtype in dtypes]}
    return typed.get(root, [root])


class Rebuilt:
    """The kernels of a copy, built for one target."""

    def __init__(self, copy: Copy, target: str):
        self.copy, self.target, self.roots = copy, target, roots()
        for module in (copy.source / "kernels").glob("*.so"):
            module.unlink()
        if not self._build([*self.roots, SHARED],
                           [SHARED, *(name for root in self.roots for name in modules(root, target))]):
            raise SystemExit("mutate: the kernels don't build without a change")

    def _build(self, translated: list[str], names: list[str]) -> bool:
        status, self.output = self.copy.run(["-c", BUILD, ",".join(names), ",".join(translated)], 1200,
                                            MINIDL_TARGETS=self.target)
        return status == 0

    def changed(self, path: str, text: str) -> Iterator[dict[str, bytes]]:
        """The files that a changed text changes, one element type after the other; none if they are as before."""
        used = [root for root, parts in self.roots.items() if Path(path).name in parts]
        typed = set(used) <= {"python_dtype", "target_dtype"}
        for dtypes in [(dtype,) for dtype in DTYPES] if typed else [DTYPES]:
            names = [name for root in used for name in modules(root, self.target, dtypes)]
            files = [next((self.copy.source / "kernels").glob(f"{name}.*.so")) for name in names]
            paths = [str(file.relative_to(self.copy.source)) for file in files]
            before = {name: file.read_bytes() for name, file in zip(paths, files, strict=True)}
            with self.copy.changed(before | {path: text.encode()}):
                if not self._build(used, names):
                    return
                after = {name: (self.copy.source / name).read_bytes() for name in before}
            if after != before:
                yield {path: text.encode(), **after}
