"""The limit of what the journal holds while the object store takes nothing: the database must not fill up."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.common.quantity import size
from gateway.ports.errors import SpoolFull
from gateway.ports.shared_payloads import UnsealedPayloads

TAKEN_AGAIN_SHARE = 0.9
"""Objects are taken again below this share of the limit, so that a node does not go to and fro at it."""
SHOWN_SHARE = 0.5
"""A journal that holds more than this share of the limit is said to."""
UNCOUNTED = timedelta(seconds=60)
"""A count that is older says that no node seals."""


class UnsealedLimit:
    """Objects are taken up to `limit_bytes`. Used on the event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.unsealed = UnsealedPayloads()
        self.shortage = ""
        """The reason why nothing is taken; empty when objects are."""
        self.warning = ""
        """The reason why so much waits, while objects are taken; empty when all goes well."""

    def counted(self, unsealed: UnsealedPayloads, now: datetime) -> None:
        """Learn how much is not sealed, as it was noted last."""
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
    if unsealed.counted_at is None:
        return ""
    if now - unsealed.counted_at > UNCOUNTED:
        since = f"{unsealed.counted_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"no node has sealed since {since}, see `sealing_interrupted` in the logs"
    return unsealed.problem
