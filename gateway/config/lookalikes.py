"""Lookalikes of YAML's own signs: typographic quotation marks, spaces, dashes; near misses of syntax."""

from __future__ import annotations

import re
from collections.abc import Sequence

QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a"
SPACES = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\ufeff"
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022\u00b7"
"""Hyphens, dashes, the minus sign and bullets; of `-` alone YAML makes a list."""

_NO_SPACE_AFTER_DASH = re.compile(r"-[A-Za-z_]")
_EQUALS = re.compile(r"(?:- )?([A-Za-z_]\w*)\s*=[^=]")
_COMMENT_IN_BRACKETS = re.compile(r"[\[{][^\]}]*\s(#.*)")


def message_for_text(text: str) -> str:
    """The problem with an unquoted text, or with the name of a setting; empty when there is none."""
    first, last = text[:1], text[-1:]
    if first and first in QUOTES:
        return f"`{first}` is no quotation mark of YAML, and would be part of the text; write \" or '"
    for character in (first, last):
        if character and character in SPACES:
            return f"U+{ord(character):04X} stands here, which looks like a space and is none; write plain spaces"
    return ""


def near_miss(problem: str, lines: Sequence[str], first: int, last: int) -> tuple[int, int, str] | None:
    """(line, column, what to do), from 0, when a syntax error between two lines comes of such a thing."""
    if "unknown escape character" in problem:
        column = max(0, lines[last].find('"')) if last < len(lines) else 0
        return last, column, "inside double quotes a backslash begins an escape; put the text in single quotes"
    for number in range(min(last, len(lines) - 1), max(first - 1, -1), -1):
        line = lines[number]
        bare = line.lstrip(" ")
        column = len(line) - len(bare)
        if bare[:1] and bare[0] in DASHES:
            return number, column, f"`{bare[0]}` begins no list item; write `- …`, with a hyphen and a space"
        if _NO_SPACE_AFTER_DASH.match(bare):
            return number, column, "a space is missing after `-`"
        if equals := _EQUALS.match(bare):
            return number, column, f"a setting is written with a colon and a space, as `{equals[1]}: …`"
        if "expected ',' or" in problem and (comment := _COMMENT_IN_BRACKETS.search(line)):
            return number, comment.start(1), "`#` after a space begins a comment; put the text around it in quotes"
    return None
