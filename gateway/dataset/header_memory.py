"""Patterns of the data sets that came last, by their kind, in bounded memory (`gateway.dataset.header_pattern`).

A kind are the objects of one sender, SOP class and transfer syntax. Its first data set leaves nothing behind: many
kinds come once.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from gateway.dataset.encoding import Encoding
from gateway.dataset.header_pattern import HeaderFit, HeaderPattern, pattern_of
from gateway.ports.errors import Unreadable

MOST_KINDS = 32
MOST_PATTERNS = 4
"""Patterns of one kind: some devices send objects of several sorts by turns."""
LEARNING_COSTS, FIT_EARNS, MOST_CREDIT = 64, 32, 384
"""To make a pattern takes as long as some ten walks. A kind has credit for six; data sets that fit earn the next one
quickly, and those that are always others one in 64 data sets, so that they are hardly slower than without."""


class KnownHeaders:
    """The patterns of one kind, the one that fitted last first. Threads may share it."""

    __slots__ = ("_credit", "_is_new", "_patterns")

    def __init__(self) -> None:
        self._patterns: list[HeaderPattern] = []
        self._credit = MOST_CREDIT
        self._is_new = True

    def fitting(self, view: memoryview, length_bytes: int) -> HeaderFit | None:
        """The pattern that fits a data set, and where; see `HeaderPattern.fit`."""
        patterns = self._patterns
        for pattern in patterns:
            if (fit := pattern.fit(view, length_bytes)) is not None:
                if pattern is not patterns[0]:
                    self._patterns = [pattern, *(one for one in patterns if one is not pattern)]
                if self._credit < MOST_CREDIT:
                    self._credit += FIT_EARNS
                return fit
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
        patterns = self._patterns
        with suppress(Unreadable):
            made = pattern_of(view, encoding, patterns)
            if made is not None:
                pattern, index = made
                if index < 0:  # in the last place: it comes to the front when it fits
                    self._patterns = [*patterns[: MOST_PATTERNS - 1], pattern]
                else:
                    self._patterns = [*patterns[:index], pattern, *patterns[index + 1 :]]


class HeaderMemory:
    """The kinds that were used last."""

    def __init__(self, most: int = MOST_KINDS) -> None:
        self._most = most
        self._kinds: OrderedDict[tuple[str, str, str], KnownHeaders] = OrderedDict()

    def of(self, sender: str, sop_class_uid: str, transfer_syntax_uid: str) -> KnownHeaders:
        """The patterns of one kind."""
        kind = (sender, sop_class_uid, transfer_syntax_uid)
        known = self._kinds.get(kind)
        try:
            if known is not None:
                self._kinds.move_to_end(kind)
                return known
            self._kinds[kind] = made = KnownHeaders()
            if len(self._kinds) > self._most:
                self._kinds.popitem(last=False)
        except KeyError:  # another thread took it away meanwhile
            return known or KnownHeaders()
        return made
