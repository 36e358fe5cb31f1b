"""The nearest known word is the one that comparing all would find, with far fewer comparisons."""

from __future__ import annotations

import difflib
import random

import pytest
from pydicom.datadict import keyword_dict

from gateway.common.nearest import MOST_COMPARED, _alike, nearest

KEYWORDS = tuple(keyword_dict)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def mistyped(word: str, choice: random.Random) -> str:
    """One letter left out, doubled, exchanged or wrong."""
    place = choice.randrange(1, len(word) - 1)
    kinds = (
        word[:place] + word[place + 1 :],
        word[:place] + word[place] + word[place:],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + choice.choice(LETTERS) + word[place + 1 :],
    )
    return choice.choice(kinds)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(5))
def test_a_mistyped_keyword_is_found_as_by_comparing_all(seed: int) -> None:
    choice = random.Random(seed)
    folded = {word.casefold(): word for word in KEYWORDS}
    for word in choice.sample([word for word in KEYWORDS if len(word) > 5], 30):
        wrong = mistyped(word, choice)
        expected = folded[difflib.get_close_matches(wrong.casefold(), folded, n=1, cutoff=0.7)[0]]
        assert nearest(wrong, KEYWORDS, 0.7) == expected


def test_of_thousands_of_words_few_are_compared() -> None:
    assert 0 < len(_alike("statoinname", KEYWORDS)) <= MOST_COMPARED


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("PACX", ("pacs", "vna"), "pacs"),
        ("pacs", ("PACS",), "PACS"),
        ("nothing", ("pacs", "vna"), ""),
        ("", ("pacs",), ""),
        ("pacs", (), ""),
        ("Rowz", KEYWORDS, "Rows"),
        ("qqqqqqqq", KEYWORDS, ""),
    ],
)
def test_few_and_short_words(word: str, known: tuple[str, ...], expected: str) -> None:
    assert nearest(word, known, 0.7) == expected


def test_the_same_word_finds_the_same_in_any_process() -> None:
    """What is shared is counted in the order of the word, not of a set."""
    assert _alike("studydescription", KEYWORDS) == _alike("studydescription", KEYWORDS)
    assert _alike("studydescription", KEYWORDS)[0] == "studydescription"
