"""Replacements by regular expression: what they give, what they refuse, and that they stay short and quick."""

from __future__ import annotations

import itertools
import time

import pytest

from gateway.routing.language.pattern import MAX_PROGRAM, MAX_REPLACING_S, Allowance, Regex, replacement_of
from tests.support.effort import processor_time_below

REPLACED = {
    "text": (r"\^+$", "", "Doe^Jane^^^", "Doe^Jane"),
    "groups": (r"^(\w+)\^(\w+).*", r"\2 \1", "Doe^Jane^X", "Jane Doe"),
    "all-that-was-found": (r"\d+", r"<\0>", "a1b22", "a<1>b<22>"),
    "every-place": ("a", "b", "banana", "bbnbnb"),
    "nothing-found": ("x", "y", "banana", "banana"),
    "empty-matches": ("", "-", "abc", "-a-b-c-"),
    "group-that-took-no-part": (r"(a)|(b)", r"[\1\2]", "ab", "[a][b]"),
    "backslash": ("/", r"\\", "a/b", "a\\b"),
    "no-ascii": ("ü+", r"ue", "Müüller ß", "Mueller ß"),
    "behind-no-ascii": (r"(?i)(straße) (\d)", r"\2 \1", "日本 Straße 5 ü", "日本 5 Straße ü"),
    "empty-value": ("^$", "none", "", "none"),
}


@pytest.mark.parametrize(("pattern", "replacement", "text", "expected"), REPLACED.values(), ids=REPLACED)
def test_replacements(pattern: str, replacement: str, text: str, expected: str) -> None:
    regex = Regex(pattern)
    assert regex.replaced(text, replacement_of(replacement, regex), 100) == expected


WRONG = {
    "no-such-group": ("(a)", r"\2", r"names group 2, but the pattern has 1"),
    "no-group-at-all": ("a", r"\1", r"names group 1, but the pattern has none"),
    "letter": ("a", r"\n", r"'\\\\n' in a replacement means nothing"),
    "backslash-at-the-end": ("a", "x\\", "means nothing"),
    "other-digits": ("(a)", "\\¹", "means nothing"),
}


@pytest.mark.parametrize(("pattern", "replacement", "message"), WRONG.values(), ids=WRONG)
def test_wrong_replacements(pattern: str, replacement: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replacement_of(replacement, Regex(pattern))


GROWING = {
    "everywhere": ("", "x" * 5000, "a" * 10_000),
    "groups-of-groups": ("(.*)", r"\1" * 5000, "a" * 10_000),
    "tail": ("^", "x", "a" * 10_240),
}


@pytest.mark.parametrize(("pattern", "replacement", "text"), GROWING.values(), ids=GROWING)
def test_results_over_the_limit_are_never_made(pattern: str, replacement: str, text: str) -> None:
    regex = Regex(pattern)
    with processor_time_below(2), pytest.raises(OverflowError):
        regex.replaced(text, replacement_of(replacement, regex), 10_240)


CATASTROPHIC = {
    "nested-quantifiers": r"^(a+)+$",
    "alternatives": r"^(a|aa)+$",
    "many-optional": "a?" * 60 + "a" * 60,
    "counted": r"^((a{0,30}){0,30})$",
}


@pytest.mark.parametrize("pattern", CATASTROPHIC.values(), ids=CATASTROPHIC)
def test_catastrophic_expressions_are_linear(pattern: str) -> None:
    regex = Regex(pattern)
    text = "a" * 5000 + "!"
    with processor_time_below(2):
        assert regex.replaced(text, (), 10_240) in ("!", text, "a" * (5000 % 120) + "!", "a" * (5000 % 60) + "!")


SLOW = "(?:a?){1000}b"
"""RE2's automaton for it grows too large: then it follows 2000 steps at every character."""


def test_texts_that_are_too_long_for_a_large_expression_are_not_begun() -> None:
    regex = Regex(SLOW)
    assert regex.most_characters < 50_000
    with processor_time_below(10):
        assert not regex.search("a" * regex.most_characters)
        with pytest.raises(OverflowError, match="too long for so large an expression"):
            regex.replaced("a" * (regex.most_characters + 1), (), 1 << 20)


def test_finding_place_after_place_has_an_allowance() -> None:
    """The expression looks as far as the end of the text before each of its places: quadratic in all."""
    ticks = itertools.count()
    allowance = Allowance(limit_s=50.0, clock=lambda: float(next(ticks)))
    regex = Regex(".*b|a")
    assert regex.replaced("a" * 49, (), 100, allowance) == ""
    with pytest.raises(OverflowError, match="takes too long"):
        regex.replaced("aa", (), 100, allowance)
    started = time.thread_time()
    with pytest.raises(OverflowError, match="takes too long"):
        regex.replaced("a" * 200_000, (), 1 << 20)
    assert time.thread_time() - started < 10 * MAX_REPLACING_S


@pytest.mark.parametrize("pattern", ["(a?|b)" * 2000, "|".join(f"{number}!" for number in range(2000, 9000))], ids=len)
def test_expressions_that_are_too_large_are_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=f"too large: .* at most {MAX_PROGRAM} are allowed"):
        Regex(pattern)


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(a)\1", r"(?<!a)", "a{1001}", "(a{1000}){1000}", "("], ids=str)
def test_what_re2_does_not_take_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression that RE2 takes"):
        Regex(pattern)


LITERALS = (
    "BENCH-01",
    "^BENCH-01",
    "BENCH-01$",
    "^BENCH-01$",
    " ",
    "^a",
    "a$",
    "^a$",
    "t1 se",
    "A/B:1,2;x=y@z#%&<>!~'\"",
)
OTHERS = (
    "",
    "^",
    "$",
    "^$",
    "a.c",
    "a|b",
    "(a)",
    "[a]",
    "a*",
    "a+",
    "a?",
    "a{2}",
    "a\\b",
    "(?i)a",
    "ä",
    "a^",
    "$a",
    "a\n",
)
SEARCHED = (
    *("", "a", "b", "A", "aa", "ab", "ba", "a\n", "\na", "a\nb", "b\na", "ä", "aä", "äa", "a\0", "\0a"),
    *("BENCH-01", "BENCH-012", "xBENCH-01", "xBENCH-01x", "bench-01", "BENCH-01\n", "\nBENCH-01", "BENCH-0"),
    *(" ", "t1 se sag", "A/B:1,2;x=y@z#%&<>!~'\"", "山田a", "a\ufffd"),
)


@pytest.mark.parametrize("pattern", [*LITERALS, *OTHERS])
def test_a_plain_text_is_found_where_re2_finds_it(pattern: str) -> None:
    regex = Regex(pattern)
    assert (regex.search != regex._found) is (pattern in LITERALS)
    assert [regex.search(text) for text in SEARCHED] == [regex._found(text) for text in SEARCHED]
