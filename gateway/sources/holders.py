"""Who holds what: remembered from the answers of sources, for the retrieves that follow a query."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.model.query import Attributes, QueryLevel
from gateway.query.attributes import UNIQUE
from gateway.query.identifier import first_text

MOST = 200_000
KEEP_S = 900.0
LONGEST_UID = 64
"""PS3.5 §9.1; what is longer is not remembered."""

LEVELS = (QueryLevel.STUDY, QueryLevel.SERIES, QueryLevel.IMAGE)
"""Patients are too many things at many places to be retrieved by memory."""

_Key = tuple[QueryLevel, str]


class HolderMemory:
    """Bounded and forgetful: an aid, never the truth. A source that is named held (a part of) the thing when it was
    asked; one that is not named may hold it as well.

    Args:
        most: entries; the ones that were not seen for the longest go first.
        keep_s: how long an entry counts.
    """

    def __init__(
        self, *, most: int = MOST, keep_s: float = KEEP_S, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._keep_s = keep_s
        self._now_s = now_s
        self._seen: OrderedDict[_Key, dict[str, float]] = OrderedDict()

    def remember(self, source: str, attributes: Attributes) -> None:
        """`source` (a peer's name) answered with these attributes: it holds each study, series and instance that they
        name."""
        now_s = self._now_s()
        for level in LEVELS:
            uid = first_text(attributes, UNIQUE[level])
            if not uid or len(uid) > LONGEST_UID:
                continue
            key = (level, uid)
            self._seen.setdefault(key, {})[source] = now_s
            self._seen.move_to_end(key)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def holders(self, level: QueryLevel, uid: str) -> tuple[str, ...]:
        """Names of peers, in the order in which they were first remembered; () when nothing is known."""
        found = self._seen.get((level, uid), {})
        oldest_s = self._now_s() - self._keep_s
        return tuple(name for name, seen_s in found.items() if seen_s >= oldest_s)

    def forget(self, source: str, level: QueryLevel, uid: str) -> None:
        """It does not hold it (any more)."""
        found = self._seen.get((level, uid))
        if found is not None:
            found.pop(source, None)

    def __len__(self) -> int:
        return len(self._seen)
