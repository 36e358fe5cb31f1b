"""The rate of bytes both ways: a peer is slow when it makes less than `PROGRESS_BYTES` in `timers.progress`."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

PROGRESS_BYTES = 16 * 1024
"""The least bytes of a message in `timers.progress`: 546 bytes a second by default, a fifteenth of a 64 kbit/s line."""

PAUSE_SHARE = 0.3
"""A sender that has been silent for this share of `timers.progress` pauses."""
MOST_PAUSES = 3
"""The most pauses in a row with less than `PROGRESS_BYTES` between each two."""

LEFTOVER_BYTES = 8 * 1024**2
"""The most bytes that a peer may still send when its association is over. It may have had this much under way before
it read our A-ABORT, A-ASSOCIATE-RJ or A-RELEASE-RP; a peer that sends more does not read.
"""


def enough_bytes(seconds: float, progress_s: float) -> int:
    """The bytes that must go through in `seconds`."""
    return int(PROGRESS_BYTES * min(1.0, seconds / progress_s))


class Inflow:
    """The rate at which a message arrives; read when a `timers.progress` has passed without `PROGRESS_BYTES`.

    A trickle is too slow at once. A sender that has sent nothing for a while may be making the rest: `timers.dimse`
    bounds that, unless it happens `MOST_PAUSES` times in a row.
    """

    __slots__ = ("_pauses", "_since_bytes", "received_bytes", "received_s")

    def __init__(self) -> None:
        self.received_bytes = 0
        self.received_s = 0.0
        """The time at which bytes came last."""
        self._since_bytes = 0
        self._pauses = 0

    @property
    def is_enough(self) -> bool:
        """True when `PROGRESS_BYTES` have come since `begin` or `go_on`."""
        return self.received_bytes - self._since_bytes >= PROGRESS_BYTES

    def begin(self) -> None:
        """Measure from here on: a message begins, or enough of it has come."""
        self._since_bytes = self.received_bytes
        self._pauses = 0

    def is_too_slow(self, now_s: float, progress_s: float) -> bool:
        """True when the sender is to be let go; else it is measured from here on."""
        self._since_bytes = self.received_bytes
        self._pauses += 1
        return self._pauses > MOST_PAUSES or now_s - self.received_s < PAUSE_SHARE * progress_s


class Outflow:
    """The bytes that were written to a transport, and how many of them have reached the peer."""

    __slots__ = ("_marked_bytes", "_transport", "written_bytes")

    def __init__(self, transport: asyncio.Transport | None = None) -> None:
        self._transport = transport
        self.written_bytes = 0
        self._marked_bytes = 0

    @property
    def arrived_bytes(self) -> int:
        """Written, and neither in our buffer nor in the system's: the peer's system has it."""
        transport = self._transport
        if transport is None:
            return self.written_bytes
        return self.written_bytes - transport.get_write_buffer_size() - _unacknowledged_bytes(transport)

    def mark(self) -> None:
        """Count `progress_bytes` from here on."""
        self._marked_bytes = self.arrived_bytes

    def mark_at(self, arrived_bytes: int) -> None:
        """Count `progress_bytes` from the time at which as many had arrived."""
        self._marked_bytes = arrived_bytes

    def progress_bytes(self) -> int:
        """The bytes that arrived since the last mark; sets a new mark."""
        before = self._marked_bytes
        self.mark()
        return self._marked_bytes - before


def _unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """The bytes in the socket's send queue; 0 where the system does not give them."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return 0
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
