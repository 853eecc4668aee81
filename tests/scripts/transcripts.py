"""The transcripts of a page: each ``$ minidl ...`` in its console blocks is run, and what it says stands below.

    python tests/scripts/transcripts.py docs/table.md --tables docs/tables    # writes the page, and its pictures

``tests/test_table_page.py`` holds the page to what is said now. A transcript has standard error and standard output in
the order of a terminal, without the lines of progress. ``head -N FILE`` shows the first lines of a file.
"""
import argparse
import contextlib
import io
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from minidl import cli

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRESS = re.compile(r"^epoch \d+/\d+ .*\n", re.MULTILINE)
SECONDS = re.compile(r"\b\d+\.\d s\b")
PICTURE = re.compile(r"\]\((tables/([\w-]+)/(\w+\.png))\)")


def commands(block: str) -> list[str]:
    """The commands of a block."""
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def said(command: str) -> str:
    """What a command says in the current folder, and its exit code if that is not 0."""
    name, *words = shlex.split(command)
    if name == "head":
        count, file = words
        return "".join(Path(file).read_text(encoding="utf-8").splitlines(keepends=True)[:-int(count)])
    assert name == "minidl", command
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        code = cli.main(words)
    return PROGRESS.sub("", stream.getvalue()) + (f"(exit code {code})\n" if code else "")


def rewritten(page: str) -> str:
    """The page with what its commands say now, run from top to bottom in the current folder."""
    return BLOCK.sub(lambda block: "```console\n" + "\n".join(
        f"$ {command}\n{said(command)}" for command in commands(block[1])) + "```", page)


def without_times(page: str) -> str:
    """The page with all seconds alike: they differ from run to run, and nothing else does."""
    return SECONDS.sub("0.1 s", page)


@contextlib.contextmanager
def in_a_folder_with(tables: Path):
    """A temporary folder, with copies of these tables, as the current one."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        for path in tables.glob("*.csv"):
            shutil.copy(path, folder)
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--tables", type=Path, required=True)
    args = parser.parse_args()
    page, tables = args.page.resolve(), args.tables.resolve()
    with in_a_folder_with(tables) as folder:
        text = rewritten(page.read_text(encoding="utf-8"))
        for shown, run, name in PICTURE.findall(text):
            (page.parent / shown).parent.mkdir(exist_ok=True)
            shutil.copy(folder / run / name, page.parent / shown)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
