"""The Python of a page of the documentation, run from top to bottom."""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(page: str, file: str) -> dict:
    """Run the Python of a page, from top to bottom; the names that it leaves."""
    names: dict = {"__name__": "__examples__"}
    for block in BLOCK.finditer(page):
        if block[1] == "python":
            lines = page[:block.start(2)].count("\n")  # so that an error tells the line of the page
            exec(compile("\n" * lines + block[2], file, "exec"), names)
    return names
