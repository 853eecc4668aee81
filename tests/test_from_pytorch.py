"""docs/from_pytorch.md says what is there: it is as its script writes it, with the PyTorch that it names."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "from_pytorch.md").read_text()


@pytest.fixture(scope="module")
def script():
    torch = pytest.importorskip("torch")
    version = torch.__version__.split("+")[0]
    if f"PyTorch {version})" not in PAGE:
        pytest.skip(f"the page compares with another PyTorch than {version}")
    spec = importlib.util.spec_from_file_location("from_pytorch", DOCS / "from_pytorch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script):
    assert script.page() == PAGE, "run: python docs/from_pytorch.py"


def test_what_is_said_of_a_name_is_of_one_that_is_there(script):
    rows = {row.name: row for _, rows in script.sections() for row in rows}
    assert {name for name, text in script.DIFFERENT.items() if text} <= rows.keys()
    assert all(rows[name].state == "missing" for name in script.MISSING)
    assert len(rows) > 700 and sum(row.state == "same" for row in rows.values()) > 450


def test_states_are_told_apart(script):
    def theirs(x, dim=0, largest=True): ...

    def mine(x, dim=0): ...

    assert script.row("f", theirs, None).state == "missing"
    assert script.row("f", theirs, theirs).state == "same"
    assert script.row("f", theirs, mine) == ("f", "different", "without `largest`")
    assert script.row("f", theirs, lambda x, largest=True, dim=0: x).why.startswith("arguments in another order")
