"""Twenty-two of Shakespeare's sonnets (1609), which stand in sonnets.txt, as numbers: one for each character."""
from pathlib import Path

import numpy as np

TEXT = Path(__file__).with_name("sonnets.txt").read_text(encoding="ascii")
LETTERS = sorted(set(TEXT))


def coded(text: str) -> list[int]:
    """The numbers of the characters."""
    return [LETTERS.index(letter) for letter in text]


def decoded(numbers) -> str:
    """The text again."""
    return "".join(LETTERS[i] for i in numbers)


CODES = np.array(coded(TEXT))
