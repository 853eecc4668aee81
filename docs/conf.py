"""Sphinx: these pages in Markdown (MyST), and the reference from the docstrings.

    sphinx-build -W docs docs/_build        # after pip install '.[docs]'
"""
import re
import sys
from pathlib import Path

import docutils.nodes
from latex2mathml.converter import convert

import minidl

sys.path.insert(0, str(Path(__file__).parent))
import reference

project = "minidl"
author = "The minidl authors"
copyright = "the minidl authors"
version = release = minidl.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
exclude_patterns = ["_build"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "minidl"
html_static_path = ["_static"]
html_css_files = ["minidl.css"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
add_module_names = False
nitpicky = False

CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
ITEM = re.compile(r"\s*([-*]|\d+\.) ")


def as_text(app, what, name, thing, options, lines):
    """Docstrings are plain text, with code in backticks and formulas or code that are indented.

    Signs in formulas must not be read as reStructuredText's, and what is indented is shown as it stands.
    """
    told, literal, item = [], False, False
    for line in lines:
        indented = line.startswith(" ") and not item
        if line.strip():
            if indented and not literal:
                told += ["", "::", ""]
            elif literal and not indented:
                told.append("")
            literal = indented
            item = bool(ITEM.match(line)) or (item and line.startswith(" "))
        else:
            item = False
        told.append(line if literal else escaped(line))
    lines[:] = told


def escaped(line):
    return "".join(f"``{part.strip('`')}``" if CODE.fullmatch(part) else reference.SPECIAL.sub(r"\\\1", part)
                   for part in CODE.split(line))


def formula(self, node):
    """Formulas as MathML, which browsers draw by themselves: no script from elsewhere."""
    display = "block" if node.tagname == "math_block" else "inline"
    self.body.append(convert(node.astext(), display=display))
    raise docutils.nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    reference.write(Path(app.srcdir) / "api")
    app.connect("autodoc-process-docstring", as_text)
