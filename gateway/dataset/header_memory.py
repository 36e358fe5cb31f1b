"""Patterns of the data sets that came last, by their kind, in bounded memory (`gateway.dataset.header_pattern`).

A kind are the objects of one sender, SOP class and transfer syntax. Its first data set leaves nothing behind: many
kinds come once.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from gateway.dataset.encoding import Encoding
from gateway.dataset.header_pattern import HeaderPattern, RunPlaces, pattern_of
from gateway.ports.errors import Unreadable

MOST_KINDS = 32
MOST_PATTERNS = 4
"""Patterns of one kind: some devices send objects of several sorts by turns."""
LEARNING_COSTS, FIT_EARNS, MOST_CREDIT = 64, 32, 384
"""To make a pattern takes as long as some ten walks. A kind has credit for six; data sets that fit earn the next one
quickly, and those that are always others one in 64 data sets, so that they are hardly slower than without."""


class KnownHeaders:
    """The patterns of one kind, the one that fitted last first."""

    __slots__ = ("_credit", "_is_new", "_patterns")

    def __init__(self) -> None:
        self._patterns: list[HeaderPattern] = []
        self._credit = MOST_CREDIT
        self._is_new = True

    def fitting(self, view: memoryview) -> tuple[HeaderPattern, RunPlaces] | None:
        """The pattern that fits a data set, and where."""
        for pattern in self._patterns:
            if (places := pattern.places(view)) is not None:
                if pattern is not self._patterns[0]:
                    self._patterns.remove(pattern)
                    self._patterns.insert(0, pattern)
                self._credit = min(self._credit + FIT_EARNS, MOST_CREDIT)
                return pattern, places
        return None

    def learn(self, view: memoryview, encoding: Encoding) -> None:
        """From a data set that no pattern fits, and that was read without a fault."""
        if self._is_new:
            self._is_new = False
            return
        self._credit += 1
        if self._credit < LEARNING_COSTS:
            return
        self._credit -= LEARNING_COSTS
        with suppress(Unreadable):
            made = pattern_of(view, encoding, self._patterns)
            if made is not None:
                pattern, index = made
                if index < 0:  # in the last place: it comes to the front when it fits
                    self._patterns[MOST_PATTERNS - 1 :] = [pattern]
                else:
                    self._patterns[index] = pattern


class HeaderMemory:
    """The kinds that were used last."""

    def __init__(self, most: int = MOST_KINDS) -> None:
        self._most = most
        self._kinds: OrderedDict[tuple[str, str, str], KnownHeaders] = OrderedDict()

    def of(self, sender: str, sop_class_uid: str, transfer_syntax_uid: str) -> KnownHeaders:
        """The patterns of one kind."""
        kind = (sender, sop_class_uid, transfer_syntax_uid)
        known = self._kinds.get(kind)
        if known is not None:
            self._kinds.move_to_end(kind)
            return known
        known = self._kinds[kind] = KnownHeaders()
        if len(self._kinds) > self._most:
            self._kinds.popitem(last=False)
        return known
