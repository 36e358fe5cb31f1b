"""C-STORE-RSP with status 0x0000, encoded: those of one association differ in Message ID and SOP Instance UID alone."""

from __future__ import annotations

from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.message import NO_DATA_SET, RESPONSE, Command, CommandField, encode, encode_uid
from gateway.dimse.protocol.pdata import encode_command
from gateway.model.dimse_status import SUCCESS

MOST_KEPT = 16
"""Presentation contexts with a length of SOP Instance UIDs, of which the bytes are kept."""
_MESSAGE_ID_HEADER = b"\x00\x00\x20\x01\x02\x00\x00\x00"
"""MessageIDBeingRespondedTo (0000,0120) in Implicit VR Little Endian."""


class StoreSuccess:
    """The encoded responses of one association; `largest_fragment_bytes` as `encode_command` takes it."""

    __slots__ = ("_kept", "_largest_fragment_bytes")

    def __init__(self, largest_fragment_bytes: int) -> None:
        self._largest_fragment_bytes = largest_fragment_bytes
        self._kept: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        """By context ID and length of the SOP Instance UID: what is before the Message ID, and behind it up to the
        UID."""

    def encoded(self, context: AcceptedContext, request: Command) -> bytes:
        """The response to `request` as P-DATA-TF; the SOP class of the request is that of its context."""
        uid = encode_uid(request["AffectedSOPInstanceUID"])
        kept = self._kept.get((context.context_id, len(uid)))
        if kept is None:
            return self._anew(context.context_id, request, len(uid))
        return b"".join((kept[0], request["MessageID"].to_bytes(2, "little"), kept[1], uid))

    def _anew(self, context_id: int, request: Command, uid_bytes: int) -> bytes:
        command = encode(
            {
                "AffectedSOPClassUID": request["AffectedSOPClassUID"],
                "CommandField": CommandField.C_STORE | RESPONSE,
                "MessageIDBeingRespondedTo": request["MessageID"],
                "CommandDataSetType": NO_DATA_SET,
                "Status": SUCCESS,
                "AffectedSOPInstanceUID": request["AffectedSOPInstanceUID"],
            }
        )
        whole = encode_command(context_id, command, self._largest_fragment_bytes)
        if len(command) <= self._largest_fragment_bytes:
            at = whole.index(_MESSAGE_ID_HEADER) + len(_MESSAGE_ID_HEADER)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[context_id, uid_bytes] = whole[:at], whole[at + 2 : len(whole) - uid_bytes]
        return whole
