"""Bytes → PDUs, and messages → P-DATA-TF PDUs (PS3.8 §9.3.1, §9.3.5, Annexes D.1 and E).

Only P-DATA-TF is coded here, without copies; the other PDUs come out whole, for pynetdicom's codecs. P-DATA-TF is never
buffered: every presentation data value comes out in the pieces it arrived in.

Decision on lengths (PS3.8 §D.1): a P-DATA-TF longer than the maximum we offered breaks the standard, yet costs us no
memory, and senders exist that forget the six bytes of the item header. So it is taken up to `TOLERATED` times the
maximum (at least 1 MiB); what is longer is an invalid parameter. The other PDUs are bounded before they are buffered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.dimse.protocol.message import Command, CommandPattern
from gateway.dimse.protocol.upper_layer import AbortReason

COMMAND = 0x01
LAST = 0x02
"""Bits of the message control header (PS3.8 §E.2)."""

PDU_HEADER_BYTES = 6
ITEM_HEADER_BYTES = 6
"""PDV item: length (4), presentation context ID (1), message control header (1)."""

SMALLEST_MAXIMUM = 16
"""A peer's maximum below this cannot carry a message sensibly; such associations are refused."""

TOLERATED = 4
MAX_ASSOCIATE_BYTES = 384 * 1024
"""The longest A-ASSOCIATE-RQ or -AC. 128 contexts, each with all of the standard's transfer syntaxes (about 60, of
30 bytes each), need 240 KiB, and user information ends at 64 KiB, since the length of an item has 16 bits.
"""

MOST_EMPTY = 32
"""Presentation data values without data in a row. PS3.8 §9.3.5 does not forbid one, and some senders end a message
with one; a row of them carries nothing."""

P_DATA_TF = 0x04
_LARGEST = {0x01: MAX_ASSOCIATE_BYTES, 0x02: MAX_ASSOCIATE_BYTES, 0x03: 4, 0x05: 4, 0x06: 4, 0x07: 4}
_SMALLEST = {0x01: 68, 0x02: 68, 0x03: 4, 0x05: 4, 0x06: 4, 0x07: 4}

_PDU_HEADER = struct.Struct(">BxI")
_ITEM_HEADER = struct.Struct(">IBB")
_WHOLE_HEADER = struct.Struct(">BxIIBB")
WHOLE_HEADER_BYTES = PDU_HEADER_BYTES + ITEM_HEADER_BYTES
_EMPTY = memoryview(b"")

Fragment = tuple[int, int, memoryview]
"""(presentation context ID, message control header, data); LAST is set on the last piece only."""


class WholePDU(NamedTuple):
    """A PDU other than P-DATA-TF, header included."""

    pdu_type: int
    data: bytes


class MalformedPData(NamedTuple):
    """The stream cannot be read on."""

    reason: AbortReason
    detail: str


class PDUReader:
    """Cuts a byte stream into `Fragment`s and `WholePDU`s, however it is split. Feed, then call `next` until None."""

    __slots__ = (
        "_carry",
        "_collected",
        "_collecting_bytes",
        "_context_id",
        "_control",
        "_empty",
        "_end",
        "_is_own",
        "_item_left",
        "_pdu_left",
        "_position",
        "_view",
        "is_broken",
        "largest_data_bytes",
    )

    def __init__(self, max_pdu_bytes: int) -> None:
        self.largest_data_bytes = max(TOLERATED * max_pdu_bytes, 1024 * 1024)
        self.is_broken = False
        self._view = _EMPTY
        self._is_own = False
        """True when the view is of bytes, which stay as they are."""
        self._position = self._end = 0
        self._carry = b""
        """Start of a header that arrived in parts."""
        self._collected: bytearray | None = None
        self._collecting_bytes = 0
        self._pdu_left = self._item_left = 0
        self._context_id = self._control = 0
        self._empty = 0
        """Values without data since the last one with data."""

    @property
    def has_more(self) -> bool:
        """True while there are bytes that were fed and not taken."""
        return self._position < self._end

    @property
    def is_mid_pdu(self) -> bool:
        """True when the peer owes us the rest of a PDU."""
        return bool(self._pdu_left or self._item_left or self._carry or self._collected is not None)

    def feed(self, view: memoryview) -> None:
        """Give the next bytes; a buffer must stay as it is until `next` returned None or `hold` was called."""
        if self.is_broken:
            return
        if self._position < self._end:
            view = memoryview(bytes(self._view[self._position : self._end]) + bytes(view))
        self._is_own = isinstance(view.obj, bytes)
        self._view, self._position, self._end = view, 0, len(view)

    def hold(self) -> None:
        """Copy what was not taken yet, so that the fed buffer may be used again."""
        if self._position >= self._end:
            self._release()
        elif not self._is_own:
            self._view = memoryview(bytes(self._view[self._position : self._end]))
            self._position, self._end, self._is_own = 0, len(self._view), True

    def next(self) -> Fragment | WholePDU | MalformedPData | None:
        """The next piece; None when more bytes are needed, or after `MalformedPData`."""
        if not (self._item_left or self._pdu_left or self._carry or self._collected is not None or self.is_broken):
            whole = self._take_whole()
            if whole is not None:
                return whole
        while not self.is_broken:
            if self._item_left:
                return self._take_data()
            if self._collected is not None:
                pdu: Fragment | WholePDU | MalformedPData | None = self._collect(self._collected)
            elif self._pdu_left:
                pdu = self._open_item()
            else:
                pdu = self._open_pdu()
            if pdu is not None:
                return pdu
            if self._position >= self._end and not self._item_left:
                self._release()
                return None
        return None

    def whole_message(self, known: CommandPattern) -> tuple[Command, memoryview, int] | None:
        """A message that is all there, as small ones are, whose command set is like one that is known.

        Args:
            known: that command set behind the header of its P-DATA-TF; the data set is the one presentation data value
                of the P-DATA-TF behind it.

        Returns:
            Command, data set and the place behind it; None for anything else. Nothing is taken: `skip_to` does that.
        """
        if self._item_left or self._pdu_left or self._carry or self._collected is not None or self.is_broken:
            return None
        view, start, end = self._view, self._position, self._end
        middle = start + known.length_bytes
        if middle + WHOLE_HEADER_BYTES > end:
            return None
        command = known.command_of(bytes(view[start:middle]))
        if command is None:
            return None
        pdu_type, length, item_length, context_id, control = _WHOLE_HEADER.unpack_from(view, middle)
        stop = middle + PDU_HEADER_BYTES + length
        if (
            control != LAST
            or pdu_type != P_DATA_TF
            or length != item_length + 4
            or context_id != view[start + WHOLE_HEADER_BYTES - 2]
            or not ITEM_HEADER_BYTES < length <= self.largest_data_bytes
            or stop > end
        ):
            return None
        return command, view[middle + WHOLE_HEADER_BYTES : stop], stop

    def skip_to(self, stop: int) -> None:
        """Go on at `stop`: the bytes before it were taken."""
        self._empty = 0
        if stop < self._end:
            self._position = stop
        else:
            self._release()

    def _take_whole(self) -> Fragment | None:
        """A P-DATA-TF with one presentation data value that is all there, as most are; None for anything else."""
        start = self._position
        if self._end - start < PDU_HEADER_BYTES + ITEM_HEADER_BYTES:
            return None
        pdu_type, length, item_length, context_id, control = _WHOLE_HEADER.unpack_from(self._view, start)
        stop = start + PDU_HEADER_BYTES + length
        if (
            pdu_type != P_DATA_TF
            or length != item_length + 4
            or item_length <= 2
            or length > self.largest_data_bytes
            or stop > self._end
        ):
            return None
        self._position = stop
        self._empty = 0
        return context_id, control, self._view[start + PDU_HEADER_BYTES + ITEM_HEADER_BYTES : stop]

    def _release(self) -> None:
        self._view, self._position, self._end = _EMPTY, 0, 0

    def _break(self, reason: AbortReason, detail: str) -> MalformedPData:
        self.is_broken = True
        self._release()
        return MalformedPData(reason, detail)

    def _take_data(self) -> Fragment | None:
        start = self._position
        available = self._end - start
        if available >= self._item_left:
            self._position = end = start + self._item_left
            self._item_left = 0
            return self._context_id, self._control, self._view[start:end]
        if not available:
            self._release()
            return None
        self._position = self._end
        self._item_left -= available
        return self._context_id, self._control & ~LAST, self._view[start : self._end]

    def _header(self, header: struct.Struct) -> tuple[int, ...] | None:
        """Unpack six bytes, or keep the part that is there."""
        start = self._position
        if not self._carry and self._end - start >= 6:
            self._position = start + 6
            return header.unpack_from(self._view, start)
        stop = min(self._end, start + 6 - len(self._carry))
        self._carry += bytes(self._view[start:stop])
        self._position = stop
        if len(self._carry) < 6:
            return None
        whole, self._carry = self._carry, b""
        return header.unpack(whole)

    def _open_pdu(self) -> MalformedPData | None:
        header = self._header(_PDU_HEADER)
        if header is None:
            return None
        pdu_type, length = header
        if pdu_type == P_DATA_TF:
            if not ITEM_HEADER_BYTES <= length <= self.largest_data_bytes:
                return self._break(AbortReason.INVALID_PARAMETER, f"P-DATA-TF of {length} bytes")
            self._pdu_left = length
            return None
        if pdu_type not in _LARGEST:
            return self._break(AbortReason.UNRECOGNIZED_PDU, f"PDU type 0x{pdu_type:02X}")
        if not _SMALLEST[pdu_type] <= length <= _LARGEST[pdu_type]:
            return self._break(AbortReason.INVALID_PARAMETER, f"PDU type 0x{pdu_type:02X} of {length} bytes")
        self._collected = bytearray(_PDU_HEADER.pack(pdu_type, length))
        self._collecting_bytes = PDU_HEADER_BYTES + length
        return None

    def _open_item(self) -> Fragment | MalformedPData | None:
        header = self._header(_ITEM_HEADER)
        if header is None:
            return None
        length, self._context_id, self._control = header
        self._pdu_left -= 4 + length
        if length < 2 or self._pdu_left < 0 or 0 < self._pdu_left < ITEM_HEADER_BYTES:
            return self._break(AbortReason.INVALID_PARAMETER, f"presentation data value item of {length} bytes")
        self._item_left = length - 2
        if self._item_left:
            self._empty = 0
            return None
        self._empty += 1
        if self._empty > MOST_EMPTY:
            text = f"more than {MOST_EMPTY} presentation data values without data in a row"
            return self._break(AbortReason.INVALID_PARAMETER, text)
        return self._context_id, self._control, _EMPTY

    def _collect(self, collected: bytearray) -> WholePDU | None:
        stop = min(self._end, self._position + self._collecting_bytes - len(collected))
        collected += self._view[self._position : stop]
        self._position = stop
        if len(collected) < self._collecting_bytes:
            return None
        self._collected = None
        return WholePDU(collected[0], bytes(collected))


# --- encoding ----------------------------------------------------------------------------------------------------


def fragment_bytes(max_pdu_bytes: int) -> int:
    """Largest even fragment for a peer's maximum length (PS3.8 §D.1; the PDV item header counts)."""
    return (max_pdu_bytes - ITEM_HEADER_BYTES) & ~1


def header(context_id: int, control: int, length_bytes: int) -> bytes:
    """PDU and item header of a P-DATA-TF with one fragment of `length_bytes`."""
    return _WHOLE_HEADER.pack(P_DATA_TF, length_bytes + 6, length_bytes + 2, context_id, control)


def encode_command(context_id: int, command: bytes, largest_fragment_bytes: int) -> bytes:
    """A command set as one P-DATA-TF, or as several when the peer's maximum is small."""
    length = len(command)
    if length <= largest_fragment_bytes:
        return _WHOLE_HEADER.pack(P_DATA_TF, length + 6, length + 2, context_id, COMMAND | LAST) + command
    return b"".join(fragments(context_id, COMMAND, (command,), length, largest_fragment_bytes))


def encode_data_set(context_id: int, data_set: bytes, largest_fragment_bytes: int) -> bytes:
    """A data set in memory as one P-DATA-TF, or as several when the peer's maximum is small."""
    length = len(data_set)
    if length <= largest_fragment_bytes and not length & 1:
        return _WHOLE_HEADER.pack(P_DATA_TF, length + 6, length + 2, context_id, LAST) + data_set
    return b"".join(fragments(context_id, 0, (data_set,), length, largest_fragment_bytes))


def fragments(
    context_id: int,
    kind: int,
    chunks: Iterable[memoryview | bytes],
    length_bytes: int,
    largest_fragment_bytes: int,
) -> Iterator[bytes | memoryview]:
    """Headers and data of P-DATA-TFs for `chunks` of `length_bytes` in all; `kind` is COMMAND or 0.

    Every fragment of a data set has an even length (PS3.8 §E.1), however the chunks lie; a zero follows one whose own
    length is odd. `largest_fragment_bytes` is even.

    Raises:
        ValueError: the chunks are shorter or longer than `length_bytes`.
    """
    left = length_bytes
    if not left:
        yield header(context_id, kind | LAST, 0)
    carried = b""
    for chunk in chunks:
        size = len(chunk)
        if size > left:
            raise ValueError(f"more than the {length_bytes} bytes that were announced")
        if not size:
            continue
        left -= size
        if (size & 1 or carried) and not kind:
            chunk, carried = _even(carried, chunk, is_last=not left)
            size = len(chunk)
            if not size:
                continue
        if size <= largest_fragment_bytes:
            yield header(context_id, kind if left else kind | LAST, size)
            yield chunk
            continue
        view = memoryview(chunk)
        last = (size - 1) // largest_fragment_bytes * largest_fragment_bytes
        for start in range(0, size, largest_fragment_bytes):
            piece = view[start : start + largest_fragment_bytes]
            yield header(context_id, kind if left or start < last else kind | LAST, len(piece))
            yield piece
    if left:
        raise ValueError(f"{left} of {length_bytes} bytes are missing")


def _even(carried: bytes, chunk: memoryview | bytes, *, is_last: bool) -> tuple[bytes, bytes]:
    """(what leaves, with what the chunk before left over; what is left for the next one)."""
    joined = carried + chunk
    if len(joined) % 2 == 0:
        return joined, b""
    return (joined + b"\0", b"") if is_last else (joined[:-1], joined[-1:])
