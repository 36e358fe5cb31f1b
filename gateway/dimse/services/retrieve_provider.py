"""C-GET and C-MOVE as an SCP: sub-operations, counters and the responses about them (PS3.4 §C.4.2, §C.4.3).

A handler's yields come in phases (`retrieve_yields`); each instance becomes sub-operations (`sub_operation_tasks`) that
responses report on (`retrieve_responses`). The operation ends when the handler does, gives a final status, or is
interrupted by C-CANCEL, A-RELEASE or the end of the association; then sub-operations in work have a moment to end, and
the generator is closed.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from pydicom.dataset import Dataset

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.cancellation import Interrupted, OperationScope
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.handler_yields import HandlerYields
from gateway.dimse.pynetdicom_contract.sendable import Sendable, SendableBytes, SendableDataset
from gateway.dimse.pynetdicom_contract.yields import (
    EncodedInstance,
    MissingInstance,
    MoveDestinations,
    RelayedCounters,
    SubOperationDone,
)
from gateway.dimse.services.counters import SubOperationCounters
from gateway.dimse.services.move_targets import move_targets
from gateway.dimse.services.responding import (
    FinalResponse,
    ResponseSender,
    answered,
    note_wrong_yield,
    priority_of,
    refusal,
)
from gateway.dimse.services.retrieve_responses import RetrieveResponses
from gateway.dimse.services.retrieve_statuses import GET, MOVE, ContractStatuses
from gateway.dimse.services.retrieve_yields import RetrieveYields
from gateway.dimse.services.served import count_retrieve, request_fields
from gateway.dimse.services.sub_operation_tasks import SubOperationTasks
from gateway.dimse.services.sub_operations import GetTarget, StoreTarget
from gateway.model import dimse_status
from gateway.query.sop_classes import WITHOUT_BULK_DATA

log = structlog.get_logger()

MOST_AFTER_CANCEL = 1
"""Instances that a handler may yield after a C-CANCEL: the one that was on its way."""


async def serve_get(association: AcceptorAssociation, message: Message) -> None:
    """Answer one C-GET request to its end."""
    await _serve(association, message, GET)


async def serve_move(association: AcceptorAssociation, message: Message) -> None:
    """Answer one C-MOVE request to its end."""
    await _serve(association, message, MOVE)


async def _serve(association: AcceptorAssociation, message: Message, statuses: ContractStatuses) -> None:
    answer = ResponseSender(association, message)
    refused = refusal(association, message)
    if refused is not None:
        count_retrieve(association, statuses.service, f"0x{refused['Status']:04X}", 0.0)
        answer.send(refused)
        return
    with association.watched(message) as watch:
        retrieval = _Retrieval(association, message, answer, watch, statuses)
        await retrieval.run()
    answered(retrieval.event, retrieval.outcome)
    duration_s = time.monotonic() - answer.begun_s
    count_retrieve(association, statuses.service, retrieval.outcome, duration_s)
    fields = retrieval.log_fields(duration_s)
    (log.warning if retrieval.reason else log.info)("retrieve_served", **fields)


class _Retrieval:
    """One C-GET or C-MOVE."""

    def __init__(
        self,
        association: AcceptorAssociation,
        message: Message,
        answer: ResponseSender,
        watch: OperationScope,
        statuses: ContractStatuses,
    ) -> None:
        handler, arguments, _ = association.handlers[statuses.event]
        self.event = event = Event(association, statuses.event, message, watch)
        self.subject = event.subject  # read now: the identifier is closed with the request
        self._association = association
        self._message = message
        self._watch = watch
        self._statuses = statuses
        self._is_without_bulk_data = str(message.context.abstract_syntax) == WITHOUT_BULK_DATA
        self._yields = RetrieveYields(event, HandlerYields(handler, (event, *arguments), watch), statuses)
        self._responses = RetrieveResponses(association, answer, watch, str(message.context.transfer_syntax))
        self._targets: list[StoreTarget] = []
        self._tasks: SubOperationTasks | None = None
        """None until the destinations are open."""
        self._after_cancel = 0
        self.outcome = ""
        """The final status, or how the association ended before it."""

    @property
    def reason(self) -> str:
        """The reason why the gateway's own handler refused the request or broke it off."""
        return self._yields.reason

    def log_fields(self, duration_s: float) -> dict[str, Any]:
        """The fields of the log line about the whole request."""
        counters = self._responses.counters
        counts = counters.elements(dimse_status.SUCCESS) if counters is not None else {}
        fields = {
            "service": self._statuses.service,
            "destinations": [target.name for target in self._targets],
            **self.subject.fields(),
            "completed": counts.get("NumberOfCompletedSuboperations"),
            "failed": counts.get("NumberOfFailedSuboperations"),
            "warning": counts.get("NumberOfWarningSuboperations"),
            "remaining": counters.remaining if counters is not None else None,
            "status": self.outcome,
            **request_fields(self._association, self._message),
            "duration_s": round(duration_s, 3),
        }
        if self._statuses is MOVE:
            fields["move_destination"] = str(self._message.command["MoveDestination"])
        if self.reason:
            fields["reason"] = self.reason
        return fields

    async def run(self) -> None:
        """Serve it to the final response, or to the end of the association."""
        self._responses.keep_alive()
        try:
            final = await self._until_final()
        except Interrupted:
            final = FinalResponse({"Status": dimse_status.CANCEL})
        finally:
            await self._stop()
        if self._watch.ended is not None:
            self.outcome = self._watch.ended
            return
        self.outcome = f"0x{await self._responses.conclude(final):04X}"

    async def _until_final(self) -> FinalResponse:
        """The final response, once nothing is on its way any more. Raises Interrupted."""
        try:
            final = await self._to_the_end()
        except FinalResponse as given:
            final = given
        if self._tasks is not None:
            await self._tasks.settle()
        return final

    async def _stop(self) -> None:
        if self._tasks is not None:
            await self._tasks.close()
        self._responses.stop()
        await self._yields.close()

    # --- phases --------------------------------------------------------------------------------------------------

    async def _to_the_end(self) -> FinalResponse:
        """Raises FinalResponse for a final status of the handler, Interrupted."""
        destinations = await self._yields.destinations() if self._statuses is MOVE else None
        number = await self._yields.number()
        if number is None or number > 0:
            self._targets = await self._open_targets(destinations)
        counters = SubOperationCounters(number, 1 if destinations is None else len(destinations.places))
        self._responses.counters = counters
        self._tasks = tasks = SubOperationTasks(
            self._association,
            self._statuses.service,
            self._watch,
            counters,
            self._targets,
            width=1 if destinations is None else destinations.associations,
            counted=self._responses.report,
        )
        if counters.remaining == 0:
            return FinalResponse({"Status": dimse_status.SUCCESS})
        while (pending := await self._yields.next_pending(is_complete=counters.is_complete)) is not None:
            if not await self._take(*pending, counters, tasks):
                break
        await tasks.settle()
        is_cut = self._watch.is_cancelled and counters.remaining != 0
        return FinalResponse({"Status": dimse_status.CANCEL if is_cut else dimse_status.SUCCESS})

    async def _open_targets(self, destinations: MoveDestinations | None) -> list[StoreTarget]:
        """Raises FinalResponse for a destination that cannot be one, Interrupted."""
        if destinations is None:
            return [GetTarget(self._association, priority=priority_of(self._message.command))]
        return await move_targets(destinations, self.event, self._watch)

    # --- one yield -------------------------------------------------------------------------------------------------

    async def _take(
        self, elements: Command, value: Any, counters: SubOperationCounters, tasks: SubOperationTasks
    ) -> bool:
        """Do what a Pending yield asks for; False when the announced number is reached and this is one too many.

        Args:
            elements: Error Comment and Offending Element of the next response, beside its status.
            value: the instance, or what stands for it.
        """
        self._responses.remarks = {keyword: each for keyword, each in elements.items() if keyword != "Status"}
        if value is None or (isinstance(value, Dataset) and not len(value)):
            return True
        if isinstance(value, SubOperationDone | RelayedCounters):
            await tasks.settle()
            counters.add(value) if isinstance(value, SubOperationDone) else counters.replace(value)
        elif isinstance(value, MissingInstance):
            for sop_instance_uid in value.sop_instance_uids:
                counters.fail_instance(sop_instance_uid)
        elif isinstance(value, EncodedInstance | Dataset):
            return await self._take_instance(value, counters, tasks)
        else:
            log.error("handler_yielded_no_instance", handler=self._statuses.event.name, kind=type(value).__name__)
            note_wrong_yield(self.event, f"{type(value).__name__} in place of an instance")
            counters.fail_instance("")
        self._responses.report()
        return True

    async def _take_instance(
        self, value: Dataset | EncodedInstance, counters: SubOperationCounters, tasks: SubOperationTasks
    ) -> bool:
        if self._watch.is_cancelled:
            self._after_cancel += 1
            _close(value)
            if self._after_cancel > MOST_AFTER_CANCEL:
                raise Interrupted
            return True
        if not tasks.has_room:
            log.warning("handler_yielded_too_many", handler=self._statuses.event.name)
            _close(value)
            return False
        try:
            instance = self._sendable(value)
        except ValueError as error:
            log.error("handler_yielded_no_instance", handler=self._statuses.event.name, reason=str(error))
            note_wrong_yield(self.event, "an instance that cannot be sent")
            counters.fail_instance(_uid_of(value))
            self._responses.report()
            return True
        await tasks.start(instance, is_alone=isinstance(value, Dataset))  # a data set is the handler's to change
        return True

    def _sendable(self, value: Dataset | EncodedInstance) -> Sendable:
        """Raises ValueError for a data set that cannot be sent."""
        if isinstance(value, Dataset):
            self.subject.add(str(value.get("StudyInstanceUID") or ""))
            return SendableDataset(value, is_without_bulk_data=self._is_without_bulk_data)
        return SendableBytes(value, is_without_bulk_data=self._is_without_bulk_data)


def _uid_of(value: Dataset | EncodedInstance) -> str:
    """The SOP Instance UID of a yield; empty when it has none."""
    return str((value.get("SOPInstanceUID") if isinstance(value, Dataset) else value.sop_instance_uid) or "")


def _close(value: Dataset | EncodedInstance) -> None:
    """Free an instance that is not sent."""
    if isinstance(value, EncodedInstance):
        SendableBytes(value).close()
