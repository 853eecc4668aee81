"""What minidl offers keeps the names, order and defaults of its arguments. What is new need not be listed."""
from pathlib import Path

import signatures

KNOWN = (Path(__file__).parent / "signatures.txt").read_text(encoding="utf-8").splitlines()


def test_arguments_and_defaults_stay_as_they_are():
    now = set(signatures.lines())
    gone = [line for line in KNOWN if line not in now]
    assert not gone, "changed; if they should be: python tests/signatures.py > tests/signatures.txt"


def test_all_places_are_listed():
    assert all([any(line.startswith(f"{place.__name__}.") for line in KNOWN) for place in signatures.PLACES])
