"""C-GET and C-MOVE as an SCP: sub-operations, counters and the responses about them (PS3.4 §C.4.2, §C.4.3).

A handler's words come in phases: where to (C-MOVE alone), how many, then what. In each a final status may stand in
place of the documented yield, and each has its own status for a handler that fails. The operation ends when the handler
does, says a final status, or is interrupted by C-CANCEL, A-RELEASE or the end of the association; then sub-operations
in work have a moment to end, and the generator is closed.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.cancellation import Interrupted, OperationScope
from gateway.dimse.protocol.identifiers import as_identifier, encode_failed_list
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.associate_keywords import Target, is_place, look_up, target_of
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.handler_yields import END, HandlerYields
from gateway.dimse.pynetdicom_contract.sendable import Sendable, SendableBytes, SendableDataset
from gateway.dimse.pynetdicom_contract.yields import (
    UNKNOWN,
    EncodedInstance,
    MissingInstance,
    MoveDestinations,
    RelayedCounters,
    SubOperationDone,
)
from gateway.dimse.services.counters import MOST, SubOperationCounters
from gateway.dimse.services.responding import (
    FinalResponse,
    ResponseSender,
    answered,
    early_status,
    gave,
    of_exception,
    priority_of,
    read_pair,
    refusal,
)
from gateway.dimse.services.served import count_retrieve, count_sub_operation, request_fields
from gateway.dimse.services.sub_operations import GetTarget, MoveTarget, StoreTarget, to_all
from gateway.model import dimse_status
from gateway.model.dimse_status import Category
from gateway.model.final_status import FinalStatus
from gateway.model.peer import Peer
from gateway.ports.errors import GatewayError
from gateway.query.sop_classes import WITHOUT_BULK_DATA
from gateway.sending.store_outcome import SubOperationResult

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ContractStatuses:
    """What a handler's mistakes are answered with, as pynetdicom documents it."""

    event: evt.InterventionEvent
    service: str
    bad_destination_yield: int
    bad_destination: int
    bad_number: int
    too_many: int
    failed: int


GET = ContractStatuses(
    evt.EVT_C_GET,
    "get",
    bad_destination_yield=dimse_status.GET_BAD_NUMBER,
    bad_destination=dimse_status.GET_BAD_NUMBER,
    bad_number=dimse_status.GET_BAD_NUMBER,
    too_many=dimse_status.GET_TOO_MANY,
    failed=dimse_status.GET_HANDLER_FAILED,
)
MOVE = ContractStatuses(
    evt.EVT_C_MOVE,
    "move",
    bad_destination_yield=dimse_status.MOVE_BAD_DESTINATION_YIELD,
    bad_destination=dimse_status.MOVE_BAD_DESTINATION,
    bad_number=dimse_status.MOVE_BAD_NUMBER,
    too_many=dimse_status.MOVE_TOO_MANY,
    failed=dimse_status.MOVE_HANDLER_FAILED,
)

REPORTED_EACH = 64
"""Sub-operations that have a Pending response each; after them nobody reads as fast as they come."""
REPORT_S = 0.05
"""Least time between two Pending responses after that."""

CARELESS = 1
"""Instances that a handler may yield after a C-CANCEL: the one that was on its way."""


async def serve_get(association: AcceptorAssociation, message: Message) -> None:
    """Answer one C-GET request to its end."""
    await _serve(association, message, GET)


async def serve_move(association: AcceptorAssociation, message: Message) -> None:
    """Answer one C-MOVE request to its end."""
    await _serve(association, message, MOVE)


async def _serve(association: AcceptorAssociation, message: Message, faults: ContractStatuses) -> None:
    answer = ResponseSender(association, message)
    refused = refusal(association, message)
    if refused is not None:
        count_retrieve(association, faults.service, f"0x{refused['Status']:04X}", 0.0)
        answer.send(refused)
        return
    with association.watched(message) as watch:
        retrieval = _Retrieval(association, message, answer, watch, faults)
        await retrieval.run()
    counters = retrieval.counters.elements(dimse_status.SUCCESS) if retrieval.counters is not None else {}
    more = {"move_destination": str(message.command["MoveDestination"])} if faults is MOVE else {}
    answered(retrieval.event, retrieval.outcome)
    count_retrieve(association, faults.service, retrieval.outcome, time.monotonic() - answer.begun_s)
    told = log.info
    if retrieval.reason:
        told, more["reason"] = log.warning, retrieval.reason
    told(
        "retrieve_served",
        service=faults.service,
        destinations=[line.name for line in retrieval.lines],
        **retrieval.subject.fields(),
        completed=counters.get("NumberOfCompletedSuboperations"),
        failed=counters.get("NumberOfFailedSuboperations"),
        warning=counters.get("NumberOfWarningSuboperations"),
        remaining=retrieval.counters.remaining if retrieval.counters is not None else None,
        status=retrieval.outcome,
        **request_fields(association, message),
        duration_s=round(time.monotonic() - answer.begun_s, 3),
        **more,
    )


class _Retrieval:
    """One C-GET or C-MOVE."""

    def __init__(
        self,
        association: AcceptorAssociation,
        message: Message,
        answer: ResponseSender,
        watch: OperationScope,
        faults: ContractStatuses,
    ) -> None:
        handler, arguments, _ = association.handlers[faults.event]
        self.event = event = Event(association, faults.event, message, watch)
        self.subject = event.subject  # read now: the identifier is closed with the request
        self._steps = HandlerYields(handler, (event, *arguments), watch)
        self._association = association
        self._message = message
        self._answer = answer
        self._watch = watch
        self._faults = faults
        self._priority = priority_of(message.command)
        self._transfer_syntax_uid = str(message.context.transfer_syntax)
        self._is_without_bulk_data = str(message.context.abstract_syntax) == WITHOUT_BULK_DATA
        self._width = 1
        self._in_work: set[asyncio.Task[None]] = set()
        self._one_less: asyncio.Future[None] | None = None
        """Done when fewer are in work."""
        self._uncounted = 0
        """Instances in work that the tally does not know of yet."""
        self._not_begun: dict[asyncio.Task[None], Sendable] = {}
        """Instances in work whose task has not run yet."""
        self._careless = 0
        self._remarks: Command = {}
        """Error Comment and Offending Element of the next Pending response."""
        self._last_response_s = answer.begun_s
        self._reported = 0
        self._keep_alive: asyncio.TimerHandle | None = None
        self.lines: list[StoreTarget] = []
        self.counters: SubOperationCounters | None = None
        """None until the number of sub-operations was asked for."""
        self.outcome = ""
        self.reason = ""
        """Why the gateway's own handler refused or broke it off."""

    async def run(self) -> None:
        """To the final response, or to the end of the association."""
        self._arm_keep_alive()
        try:
            final = await self._until_final()
        except Interrupted:
            final = FinalResponse({"Status": dimse_status.CANCEL})
        finally:
            await self._stop()
        if self._watch.ended is not None:
            self.outcome = self._watch.ended
            return
        await self._conclude(final)

    async def _until_final(self) -> FinalResponse:
        """The last word. Raises Interrupted."""
        try:
            final = await self._to_the_end()
        except FinalResponse as said:
            final = said
        await self._settled()
        return final

    # --- phases --------------------------------------------------------------------------------------------------

    async def _to_the_end(self) -> FinalResponse:
        """Raises Final for a final status of the handler, Interrupted."""
        destinations = await self._read_destinations() if self._faults is MOVE else None
        number = await self._read_number()
        if number is None or number > 0:
            self.lines = await self._open_lines(destinations)
        self.counters = SubOperationCounters(number, 1 if destinations is None else len(destinations.places))
        if self.counters.remaining == 0:
            return FinalResponse({"Status": dimse_status.SUCCESS})
        while (item := await self._next_pair()) is not END:
            elements, value = self._attempt(functools.partial(read_pair, item), self._faults.failed)
            if Category.of(elements["Status"]) is not Category.PENDING:
                self._note_reason(item)
                raise FinalResponse(elements, value)
            if not await self._pending(elements, value):
                break
        await self._settled()
        return FinalResponse({"Status": dimse_status.CANCEL if self._is_cut() else dimse_status.SUCCESS})

    async def _next_pair(self) -> Any:
        """The next pair. When all sub-operations are complete nothing more is heard, as pynetdicom does it: neither a
        status nor an exception, unless it is one of the gateway's own."""
        counters = self.counters
        assert counters is not None
        if not counters.is_complete:
            return await self._next(self._faults.failed)
        try:
            item = await self._steps.next()
        except Interrupted:
            raise
        except GatewayError as error:
            self.reason = str(error)
            raise FinalResponse(of_exception(error, self._faults.failed, self.event)) from None
        except Exception as error:
            of_exception(error, self._faults.failed, self.event)
            return END
        is_heard = item is END or (
            isinstance(item, tuple)
            and (isinstance(item[0], FinalStatus) or isinstance(item[-1], RelayedCounters | SubOperationDone))
        )
        if not is_heard:
            log.warning("handler_yielded_too_many", handler=self._faults.event.name)
        return item if is_heard else END

    async def _read_destinations(self) -> MoveDestinations:
        """Where to. The places themselves are looked at once there is something to send."""
        item = await self._next(self._faults.bad_destination_yield)
        if item is END:
            log.error("handler_yielded_nothing", handler=self._faults.event.name)
            gave(self.event, "nothing")
            raise FinalResponse({"Status": self._faults.bad_destination_yield})
        self._end_early(item)
        if isinstance(item, tuple | list) and None in item[:2]:
            raise FinalResponse({"Status": dimse_status.MOVE_DESTINATION_UNKNOWN})
        destinations: MoveDestinations = self._attempt(lambda: _as_destinations(item), self._faults.bad_destination)
        return destinations

    async def _open_lines(self, destinations: MoveDestinations | None) -> list[StoreTarget]:
        """Raises Final for a destination that cannot be one."""
        if destinations is None:
            return [GetTarget(self._association, priority=self._priority)]
        return await self._lines_to(destinations)

    async def _lines_to(self, destinations: MoveDestinations) -> list[StoreTarget]:
        failed, title = self._faults.bad_destination, str(self._message.command["MoveDestination"])
        targets: list[Target] = self._attempt(
            lambda: [target_of(place, title) for place in destinations.places], failed
        )
        for place, target in zip(destinations.places, targets, strict=True):
            if isinstance(place, Peer):
                continue
            try:
                async with self._watch.guard():
                    await look_up(target)
            except OSError as error:
                raise FinalResponse(of_exception(error, failed, self.event, is_handlers=False)) from None
        self._width = destinations.associations
        originator = destinations.originator_ae_title
        if originator is None:
            originator = self._association.facts.calling_ae_title
        return [
            MoveTarget(
                target,
                self._association.pool,
                width=self._width,
                priority=self._priority,
                originator=(originator, int(self._message.command["MessageID"])),
            )
            for target in targets
        ]

    async def _read_number(self) -> int | None:
        """How many instances; None when the handler does not know it."""
        item = await self._next(self._faults.bad_number)
        self._end_early(item)
        number: int | None = None if item is UNKNOWN else self._attempt(lambda: int(item), self._faults.bad_number)
        if number is not None and number > MOST:
            log.error("sub_operation_limit_exceeded", handler=self._faults.event.name, number=number)
            gave(self.event, f"{number} sub-operations")
            raise FinalResponse({"Status": self._faults.too_many})
        return None if number is None else max(0, number)

    def _end_early(self, item: Any) -> None:
        """Raises Final when the handler says a final status where something else is documented."""
        said = early_status(item)
        if said is not None:
            self._note_reason(item)
            raise FinalResponse(*said)

    def _note_reason(self, item: Any) -> None:
        """Of a final status of the gateway's own handlers."""
        final = item[0] if isinstance(item, tuple) else item
        if isinstance(final, FinalStatus):
            self.reason = final.comment

    async def _next(self, status_of_failure: int) -> Any:
        """The handler's next yield. Raises Final for what it raises, Interrupted.

        A handler that raises when it is called, and gives nothing to iterate over, has a status of its own.
        """
        try:
            return await self._steps.next()
        except Interrupted:
            raise
        except Exception as error:
            self.reason = str(error) if isinstance(error, GatewayError) else ""
            otherwise = status_of_failure if self._steps.is_begun else self._faults.failed
            raise FinalResponse(of_exception(error, otherwise, self.event)) from None

    def _attempt(self, read: Callable[[], Any], status_of_failure: int) -> Any:
        """What `read` makes of a yield. Raises Final when it makes nothing."""
        try:
            return read()
        except Exception as error:
            elements = of_exception(error, status_of_failure, self.event)
            raise FinalResponse(elements) from None

    # --- one yield -------------------------------------------------------------------------------------------------

    async def _pending(self, elements: Command, value: Any) -> bool:
        """Do what a Pending yield asks for; False when the announced number is reached and this is one too many.

        Args:
            elements: Error Comment and Offending Element of the next response, beside its status.
            value: the instance, or what stands for it.
        """
        counters = self.counters
        assert counters is not None
        self._remarks = {keyword: element for keyword, element in elements.items() if keyword != "Status"}
        if value is None or (isinstance(value, Dataset) and not len(value)):
            return True
        if isinstance(value, SubOperationDone | RelayedCounters):
            await self._settled()
            counters.add(value) if isinstance(value, SubOperationDone) else counters.replace(value)
        elif isinstance(value, MissingInstance):
            for sop_instance_uid in value.sop_instance_uids:
                counters.fail_instance(sop_instance_uid)
        elif isinstance(value, EncodedInstance | Dataset):
            return await self._instance(value)
        else:
            log.error("handler_yielded_no_instance", handler=self._faults.event.name, kind=type(value).__name__)
            gave(self.event, f"{type(value).__name__} in place of an instance")
            counters.fail_instance("")
        self._report()
        return True

    async def _instance(self, value: Dataset | EncodedInstance) -> bool:
        counters = self.counters
        assert counters is not None
        if self._watch.is_cancelled:
            self._careless += 1
            _close(value)
            if self._careless > CARELESS:
                raise Interrupted
            return True
        if counters.remaining is not None and counters.remaining <= self._uncounted * counters.per_instance:
            log.warning("handler_yielded_too_many", handler=self._faults.event.name)
            _close(value)
            return False
        try:
            instance = self._sendable(value)
        except ValueError as error:
            log.error("handler_yielded_no_instance", handler=self._faults.event.name, reason=str(error))
            gave(self.event, "an instance that cannot be sent")
            counters.fail_instance(_uid_of(value))
            self._report()
            return True
        await self._dispatch(instance, is_alone=isinstance(value, Dataset))
        return True

    def _sendable(self, value: Dataset | EncodedInstance) -> Sendable:
        if isinstance(value, Dataset):
            self.subject.add(str(value.get("StudyInstanceUID") or ""))
            return SendableDataset(value, is_without_bulk_data=self._is_without_bulk_data)
        return SendableBytes(value, is_without_bulk_data=self._is_without_bulk_data)

    async def _dispatch(self, instance: Sendable, *, is_alone: bool) -> None:
        """Begin its sub-operations. A data set is the handler's to change, so it is sent before the next yield."""
        self._uncounted += 1
        task = asyncio.get_running_loop().create_task(self._send(instance))
        self._in_work.add(task)
        self._not_begun[task] = instance
        task.add_done_callback(self._sent)
        room = 0 if is_alone else self._width - 1
        await self._until_in_work(room)

    async def _until_in_work(self, most: int) -> None:
        """Return when at most `most` instances are on their way. Raises Interrupted."""
        while len(self._in_work) > most:
            async with self._watch.guard():
                self._one_less = asyncio.get_running_loop().create_future()
                await self._one_less

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._in_work.discard(task)
        instance = self._not_begun.pop(task, None)
        if instance is not None:  # cancelled before its own code could run
            self._uncounted -= 1
            instance.close()
        if self._one_less is not None and not self._one_less.done():
            self._one_less.set_result(None)

    async def _settled(self) -> None:
        await self._until_in_work(0)

    async def _send(self, instance: Sendable) -> None:
        assert self.counters is not None
        task = asyncio.current_task()
        assert task is not None
        self._not_begun.pop(task, None)
        results = [SubOperationResult.FAILED] * len(self.lines)
        try:
            if len(self.lines) == 1:
                results = await to_all(self.lines, instance)
            else:
                await asyncio.gather(*(self._send_to(number, instance, results) for number in range(len(self.lines))))
        finally:  # given up in the middle: nobody knows what became of those that have not answered
            self._uncounted -= 1
            instance.close()
            self.counters.count(instance.sop_instance_uid, results)
            for line, result in zip(self.lines, results, strict=True):
                count_sub_operation(self._association, self._faults.service, line.label, result.name.lower())
        self._report()

    async def _send_to(self, number: int, instance: Sendable, results: list[SubOperationResult]) -> None:
        """To one of several destinations: what it has answered counts, also when the others are given up."""
        (results[number],) = await to_all((self.lines[number],), instance)

    # --- responses -------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """A Pending response, unless nobody waits for it, a message is on its way, or there was one just now."""
        if self._watch.is_interrupted or self._association.is_sending:
            return
        now_s = time.monotonic()
        self._reported += 1
        if self._reported > REPORTED_EACH and now_s < self._last_response_s + REPORT_S and not self._remarks:
            return
        counters = self.counters.elements(dimse_status.PENDING) if self.counters is not None else {}
        self._last_response_s = now_s
        remarks, self._remarks = self._remarks, {}
        self._answer.send({"Status": dimse_status.PENDING, **counters, **remarks})

    def _arm_keep_alive(self) -> None:
        interval_s = self._association.keep_alive_s
        due_s = self._last_response_s + interval_s - time.monotonic()
        if due_s <= 0:
            self._report()
            due_s = interval_s
        self._keep_alive = asyncio.get_running_loop().call_later(due_s, self._arm_keep_alive)

    async def _stop(self) -> None:
        """What is in work ends by itself, or is cut off when its time is over; then everything is let go."""
        if self._in_work and self._watch.is_interrupted:
            await asyncio.wait(set(self._in_work), timeout=self._watch.grace_left_s)
        for task in list(self._in_work):
            task.cancel()
        if self._in_work:
            await asyncio.wait(set(self._in_work))
        for line in self.lines:
            line.close()
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        await self._steps.close()

    def _is_cut(self) -> bool:
        """True when a C-CANCEL came before everything was done."""
        return self._watch.is_cancelled and (self.counters is None or self.counters.remaining != 0)

    async def _conclude(self, final: FinalResponse) -> None:
        """The final response (PS3.4 §C.4.2.1.4.2 to §C.4.2.1.9)."""
        elements, value = dict(final.elements), final.value
        counters = self.counters
        if counters is None and elements["Status"] == dimse_status.CANCEL:
            counters = SubOperationCounters()
        if counters is not None:
            if isinstance(value, RelayedCounters):
                counters.replace(value)
            elif isinstance(value, Dataset):
                counters.list_failed(_failed_list(value))
            if elements["Status"] != dimse_status.CANCEL:
                counters.give_up_remaining()
            if elements["Status"] == dimse_status.SUCCESS and not isinstance(value, RelayedCounters):
                elements["Status"] = counters.outcome()
            elements.update(counters.elements(elements["Status"]))
        identifier = self._identifier(elements["Status"], counters, value)
        self.outcome = f"0x{elements['Status']:04X}"
        if identifier is None:
            self._answer.send(elements)
        else:
            await self._answer.send_with(elements, MemoryDataSet(identifier))

    def _identifier(self, final_status: int, counters: SubOperationCounters | None, value: Any) -> bytes | None:
        """The Failed SOP Instance UID List; none when nothing failed, nor in a Success (PS3.4 §C.4.2.1.4.2). It is
        empty when all that failed was announced and never given a UID."""
        if Category.of(final_status) is Category.SUCCESS:
            return None
        if isinstance(value, bytes | bytearray | memoryview) and len(value):
            return bytes(as_identifier(value, self._transfer_syntax_uid).view())
        uids = counters.failed_sop_instance_uids if counters is not None else _failed_list(value)
        has_failed = bool(uids) or (counters is not None and counters.has_failed)
        return encode_failed_list(uids, self._transfer_syntax_uid) if has_failed else None


def _as_destinations(item: Any) -> MoveDestinations:
    """Raises TypeError for what cannot be one place or several."""
    if isinstance(item, MoveDestinations):
        return item
    if isinstance(item, list) and not is_place(item):
        return MoveDestinations(item)
    if not isinstance(item, Peer | tuple | list | str):
        raise TypeError("a destination is (addr, port) or (addr, port, kwargs)")
    return MoveDestinations([item if isinstance(item, Peer) else tuple(item)])


def _uid_of(value: Dataset | EncodedInstance) -> str:
    """Empty when it has none."""
    return str((value.get("SOPInstanceUID") if isinstance(value, Dataset) else value.sop_instance_uid) or "")


def _failed_list(value: Any) -> list[str]:
    if not isinstance(value, Dataset):
        return []
    uids = value.get("FailedSOPInstanceUIDList") or ()
    return [uids] if isinstance(uids, str) else [str(uid) for uid in uids]


def _close(value: Dataset | EncodedInstance) -> None:
    """An instance that nobody gets."""
    if isinstance(value, EncodedInstance):
        SendableBytes(value).close()
