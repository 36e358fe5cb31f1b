"""Objects that are on their way in: the studies that they belong to, as soon as the head of their data set is there."""

from __future__ import annotations

import re
from typing import Protocol

HEAD_BYTES = 64 * 1024
"""The UIDs of nearly all objects stand in the first of these bytes."""
STUDY_INSTANCE_UID = re.compile(
    rb"(?:\x20\x00\x0d\x00(?:UI..|..\x00\x00)|\x00\x20\x00\x0dUI..)([0-9A-Za-z.\-]{1,128})", re.DOTALL
)
"""(0020,000D) in the three encodings of PS3.5 §7.1, at any level: too many studies wait a moment, and none too few."""


class ArrivingObject(Protocol):
    """An object of which not all fragments are there."""

    def head(self) -> bytes:
        """Its first bytes, up to `HEAD_BYTES`."""
        ...


class ArrivingObjects:
    """The objects on their way in. On the event loop; nothing is read of them until somebody asks."""

    def __init__(self) -> None:
        self._objects: set[ArrivingObject] = set()
        self._studies: dict[ArrivingObject, frozenset[str]] = {}
        """Object → its studies, once somebody asked, and all of its head is there."""

    def add(self, arriving: ArrivingObject) -> None:
        """Its first fragment is there."""
        self._objects.add(arriving)

    def remove(self, arriving: ArrivingObject) -> None:
        """It is there, or does not come."""
        self._objects.discard(arriving)
        self._studies.pop(arriving, None)

    def studies(self) -> frozenset[str]:
        """Study Instance UIDs, as they come."""
        found: set[str] = set()
        for one in self._objects:
            studies = self._studies.get(one)
            if studies is None:
                head = one.head()
                studies = frozenset(uid.decode() for uid in STUDY_INSTANCE_UID.findall(head))
                if len(head) >= HEAD_BYTES:  # before that, its own may still come behind one in a sequence
                    self._studies[one] = studies
            found |= studies
        return frozenset(found)
