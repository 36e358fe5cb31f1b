"""The known word that is nearest to a mistyped one. Thousands of mistakes of one kind must not take minutes."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

FEW = 200
"""Up to this number of known words, all are compared."""
SHORTEST = 5
"""Shorter words have too few parts to be found by."""
MOST_COMPARED = 100
"""Among many known words, only those are compared that share most with the mistyped one: this many."""


def nearest(word: str, known: Iterable[str], cutoff: float) -> str:
    """The word of `known` that is most like `word`, upper and lower case aside; empty when none is `cutoff` alike (from
    0 to 1, as difflib counts)."""
    return _nearest(word.casefold(), tuple(known), cutoff)


@lru_cache(maxsize=1024)
def _nearest(word: str, known: tuple[str, ...], cutoff: float) -> str:
    by_folded = _by_folded(known)
    candidates = by_folded if len(known) <= FEW or len(word) < SHORTEST else _alike(word, known)
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else ""


@lru_cache(maxsize=16)
def _by_folded(known: tuple[str, ...]) -> Mapping[str, str]:
    return {name.casefold(): name for name in known}


def _alike(word: str, known: tuple[str, ...]) -> list[str]:
    """The known words that share most parts with `word`; a part counts more where few words have it."""
    by_part = _by_part(known)
    shared: dict[str, float] = defaultdict(float)
    for part in _parts(word):
        having = by_part.get(part, ())
        for one in having:
            shared[one] += 1 / len(having)
    return sorted(shared, key=shared.__getitem__, reverse=True)[:MOST_COMPARED]


@lru_cache(maxsize=4)
def _by_part(known: tuple[str, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in _by_folded(known):
        for part in _parts(name):
            found[part].append(name)
    return found


def _parts(word: str) -> Iterable[str]:
    """The groups of three consecutive letters, each once, in order: the same word always finds the same."""
    return dict.fromkeys(word[start : start + 3] for start in range(len(word) - 2))
