"""The limit of what the journal holds while the object store takes nothing: the database must not fill up."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from gateway.common.quantity import size
from gateway.ports.errors import SpoolFull
from gateway.ports.shared_payloads import UnsealedPayloads

TAKEN_AGAIN_SHARE = 0.9
"""Objects are taken again below this share of the limit, so that a node does not go to and fro at it."""
SHOWN_SHARE = 0.5
"""A journal that holds more than this share of the limit is said to."""
UNCOUNTED = timedelta(seconds=60)
"""A count that is older says that no node seals. Each node counts for itself then what came since."""
COUNTED_AGAIN = timedelta(seconds=5)
"""The interval of these counts."""


class UnsealedLimit:
    """Objects are taken up to `limit_bytes`. Used on the event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.unsealed = UnsealedPayloads()
        self.shortage = ""
        """The reason why nothing is taken; empty when objects are."""
        self.warning = ""
        """The reason why so much waits, while objects are taken; empty when all goes well."""
        self._came: tuple[int, int] = 0, 0
        """Groups and bytes that came since no node counts any more."""
        self._came_at: datetime | None = None
        """When they were counted; None while a node counts for all."""

    def since(self, unsealed: UnsealedPayloads, now: datetime) -> datetime | None:
        """The moment since which this node is to count, and tell by `came`; None when it need not now."""
        is_counted = self._came_at is not None and now - self._came_at < COUNTED_AGAIN
        return unsealed.counted_at if _is_stale(unsealed, now) and not is_counted else None

    def came(self, groups: int, length_bytes: int, now: datetime) -> None:
        """Learn how much came since the count that was noted last. None of it is sealed: who seals counts first."""
        self._came, self._came_at = (groups, length_bytes), now

    def counted(self, unsealed: UnsealedPayloads, now: datetime) -> None:
        """Learn how much is not sealed, as it was noted last."""
        if _is_stale(unsealed, now):
            groups, length_bytes = unsealed.groups + self._came[0], unsealed.length_bytes + self._came[1]
            unsealed = dataclasses.replace(unsealed, groups=groups, length_bytes=length_bytes)
        else:
            self._came, self._came_at = (0, 0), None
        self.unsealed = unsealed
        share = TAKEN_AGAIN_SHARE if self.shortage else 1.0
        reason = _reason(unsealed, now)
        self.shortage = self.warning = ""
        if unsealed.length_bytes >= self.limit_bytes * share:
            self.shortage = f"{self._shown} {reason or 'they are being sealed'}; {ACTION}"
        elif reason or unsealed.length_bytes >= self.limit_bytes * SHOWN_SHARE:
            self.warning = f"{self._shown} {reason or 'they are being sealed'}; at the limit objects get 0xA700"

    @property
    def _shown(self) -> str:
        found = self.unsealed
        return (
            f"the journal in the database holds {size(found.length_bytes)} in {found.groups} groups that are not in "
            f"the object store, of at most {size(self.limit_bytes)}:"
        )

    def check(self) -> None:
        """Raises SpoolFull at the limit."""
        if self.shortage:
            raise SpoolFull(self.shortage)


ACTION = "mend the object store, or make room for the database and raise `store.unsealed_limit`"


def _reason(unsealed: UnsealedPayloads, now: datetime) -> str:
    if not _is_stale(unsealed, now):
        return unsealed.problem if unsealed.counted_at is not None else ""
    since = f"{unsealed.counted_at:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"no node has sealed since {since}, see `sealing_interrupted` in the logs, or end the one that stands still; "
        "each counts for itself what came since"
    )


def _is_stale(unsealed: UnsealedPayloads, now: datetime) -> bool:
    return unsealed.counted_at is not None and now - unsealed.counted_at > UNCOUNTED
