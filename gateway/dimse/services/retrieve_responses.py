"""The responses to one C-GET or C-MOVE: Pending ones with counters, and the final one (PS3.4 §C.4.2.1, §C.4.3.1)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pydicom.dataset import Dataset

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.protocol.identifiers import as_identifier, encode_failed_list
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.yields import RelayedCounters
from gateway.dimse.services.counters import SubOperationCounters
from gateway.dimse.services.responding import FinalResponse, ResponseSender
from gateway.model import dimse_status
from gateway.model.dimse_status import Category

REPORTED_EACH = 64
"""Sub-operations that have a Pending response each; after them responses would come faster than they are read."""
REPORT_S = 0.05
"""Least time between two Pending responses after that."""


class RetrieveResponses:
    """Reports on one C-GET or C-MOVE.

    Args:
        association: the requestor's.
        answer: sends the responses.
        watch: shows whether a response is still waited for.
        transfer_syntax_uid: of identifiers.
    """

    def __init__(
        self, association: AcceptorAssociation, answer: ResponseSender, watch: OperationScope, transfer_syntax_uid: str
    ) -> None:
        self._association = association
        self._answer = answer
        self._watch = watch
        self._transfer_syntax_uid = transfer_syntax_uid
        self._last_response_s = answer.begun_s
        self._reported = 0
        self._keep_alive: asyncio.TimerHandle | None = None
        self.counters: SubOperationCounters | None = None
        """None until the number of sub-operations is known."""
        self.remarks: Command = {}
        """Error Comment and Offending Element of the next Pending response."""

    def report(self) -> None:
        """Send a Pending response, unless none is waited for, a message is on its way, or there was one just now."""
        if self._watch.is_interrupted or self._association.is_sending:
            return
        now_s = time.monotonic()
        self._reported += 1
        if self._reported > REPORTED_EACH and now_s < self._last_response_s + REPORT_S and not self.remarks:
            return
        counters = self.counters.elements(dimse_status.PENDING) if self.counters is not None else {}
        self._last_response_s = now_s
        remarks, self.remarks = self.remarks, {}
        self._answer.send({"Status": dimse_status.PENDING, **counters, **remarks})

    def keep_alive(self) -> None:
        """Report whenever nothing was sent for the association's `keep_alive_s`, until `stop`."""
        interval_s = self._association.keep_alive_s
        due_s = self._last_response_s + interval_s - time.monotonic()
        if due_s <= 0:
            self.report()
            due_s = interval_s
        self._keep_alive = asyncio.get_running_loop().call_later(due_s, self.keep_alive)

    def stop(self) -> None:
        """End `keep_alive`."""
        if self._keep_alive is not None:
            self._keep_alive.cancel()

    async def conclude(self, final: FinalResponse) -> int:
        """Send the final response; its status (PS3.4 §C.4.2.1.4.2 to §C.4.2.1.9)."""
        elements, value = dict(final.elements), final.value
        counters = self.counters
        if counters is None and elements["Status"] == dimse_status.CANCEL:
            counters = SubOperationCounters()
        if counters is not None:
            if isinstance(value, RelayedCounters):
                counters.replace(value)
            elif isinstance(value, Dataset):
                counters.list_failed(failed_list(value))
            if elements["Status"] != dimse_status.CANCEL:
                counters.give_up_remaining()
            if elements["Status"] == dimse_status.SUCCESS and not isinstance(value, RelayedCounters):
                elements["Status"] = counters.outcome()
            elements.update(counters.elements(elements["Status"]))
        identifier = self._identifier(elements["Status"], counters, value)
        if identifier is None:
            self._answer.send(elements)
        else:
            await self._answer.send_with(elements, MemoryDataSet(identifier))
        return int(elements["Status"])

    def _identifier(self, final_status: int, counters: SubOperationCounters | None, value: Any) -> bytes | None:
        """The Failed SOP Instance UID List; none when nothing failed, nor in a Success (PS3.4 §C.4.2.1.4.2). It is
        empty when all that failed was announced and never given a UID."""
        if Category.of(final_status) is Category.SUCCESS:
            return None
        if isinstance(value, bytes | bytearray | memoryview) and len(value):
            return bytes(as_identifier(value, self._transfer_syntax_uid).view())
        uids = counters.failed_sop_instance_uids if counters is not None else failed_list(value)
        has_failed = bool(uids) or (counters is not None and counters.has_failed)
        return encode_failed_list(uids, self._transfer_syntax_uid) if has_failed else None


def failed_list(value: Any) -> list[str]:
    """The Failed SOP Instance UID List of a handler's data set; empty without one."""
    if not isinstance(value, Dataset):
        return []
    uids = value.get("FailedSOPInstanceUIDList") or ()
    return [uids] if isinstance(uids, str) else [str(uid) for uid in uids]
