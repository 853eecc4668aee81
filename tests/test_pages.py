"""Every page of the documentation: its Python runs, its links lead somewhere, and the index lists it."""
from __future__ import annotations

import re
from textwrap import indent

import pytest
from pages import BLOCK, ROOT, run_examples

import minidl
from minidl.papers import EXPERIMENTS

PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
QUOTED_FROM = {"cython": "kernels/activations.pxi"}  # others name their file where the language stands
QUOTES = [(page.name, QUOTED_FROM.get(language, language), text)
          for page in PAGES for language, text in BLOCK.findall(page.read_text())
          if "/" in QUOTED_FROM.get(language, language)]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_python_runs(page, tmp_path, monkeypatch, capsys):
    """A page whose Python needs a library that is not here is skipped."""
    monkeypatch.chdir(tmp_path)
    threads = minidl.get_num_threads()
    try:
        run_examples(page.read_text(), page.name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("minidl"):
            raise
        pytest.skip(f"needs {error.name}")
    finally:
        minidl.set_num_threads(threads)


@pytest.mark.parametrize(("page", "file", "text"), QUOTES)
def test_what_is_quoted_stands_in_the_source(page, file, text):
    source = (ROOT / file).read_text()
    assert any(indent(text, " " * depth) in source for depth in (0, 4, 8, 12))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page):
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    trees = [block[2] for block in BLOCK.finditer(index) if "toctree" in block[1]]
    listed = {line.strip() for tree in trees for line in tree.splitlines()}
    missing = {page.stem for page in PAGES if page.parent.name == "docs"} - listed - {"index"}
    assert not missing


def test_the_reference_has_every_public_name_once(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import reference

    reference.write(tmp_path)
    text = "\n".join(path.read_text() for path in tmp_path.glob("*.rst"))
    for name in ("nn.Linear", "nn.LSTM", "optim.AdamW", "optim.lr_scheduler.OneCycleLR", "fit", "capture", "Tensor"):
        assert text.count(f":: minidl.{name}\n") == 1, name
    shown = re.findall(r"^\.\. (?:autoclass|autofunction|py:function):: ([\w.]+)", text, re.MULTILINE)
    assert len(shown) == len(set(shown)) > 250


def test_the_page_of_the_reports_has_every_experiment():
    text = (ROOT / "docs" / "reports.md").read_text()
    for name in EXPERIMENTS:
        assert f"\n## {name}\n" in text and f"reports/{name}_" in text


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_no_marks_of_a_merge_are_left(page):
    assert not re.findall(r"^(?:<{7} |={7}$|>{7} ).*$", page.read_text(), re.MULTILINE)
