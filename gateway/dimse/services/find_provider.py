"""C-FIND as an SCP: the handler's matches to the peer, as fast as it takes them (PS3.4 §C.4.1, PS3.7 §9.1.2)."""

from __future__ import annotations

import asyncio
import time

import structlog
from pynetdicom import evt

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.cancellation import Interrupted, OperationScope
from gateway.dimse.protocol.identifiers import as_identifier
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.handler_yields import END, HandlerYields
from gateway.dimse.pynetdicom_contract.yields import EncodedMatches
from gateway.dimse.services.responding import (
    FinalResponse,
    ResponseSender,
    answered,
    note_wrong_yield,
    of_exception,
    read_pair,
    refusal,
)
from gateway.dimse.services.served import INTERRUPTED, count_outcome, request_fields
from gateway.model import dimse_status
from gateway.model.dimse_status import Category
from gateway.query.sop_classes import RELEVANT_PATIENT_INFORMATION

log = structlog.get_logger()


TURN_S = 0.002
"""The time that one query may run without waiting before all others have a turn."""


async def serve_find(association: AcceptorAssociation, message: Message) -> None:
    """Answer one C-FIND request to its end."""
    answer = ResponseSender(association, message)
    refused = refusal(association, message)
    if refused is not None:
        count_outcome(association, "c_find", f"0x{refused['Status']:04X}")
        answer.send(refused)
        return
    with association.watched(message) as watch:
        matches = await _Finding(association, message, answer, watch).run()
    answered(matches.event, matches.outcome)
    count_outcome(association, "c_find", matches.outcome if matches.outcome.startswith("0x") else INTERRUPTED)
    log.info(
        "find_served",
        matches=matches.count,
        status=matches.outcome,
        **request_fields(association, message),
        duration_s=round(time.monotonic() - answer.begun_s, 3),
    )


class _Finding:
    def __init__(
        self, association: AcceptorAssociation, message: Message, answer: ResponseSender, watch: OperationScope
    ) -> None:
        handler, arguments, _ = association.handlers[evt.EVT_C_FIND]
        event = Event(association, evt.EVT_C_FIND, message, watch)
        self.event = event
        self._steps = HandlerYields(handler, (event, *arguments), watch)
        self._answer = answer
        self._watch = watch
        self._transfer_syntax_uid = str(message.context.transfer_syntax)
        self._is_at_most_one = str(message.context.abstract_syntax) in RELEVANT_PATIENT_INFORMATION
        self._late = 0
        self._turn_until_s = 0.0
        self.count = 0
        self.outcome = ""

    async def run(self) -> _Finding:
        """Send all responses; none once the association has ended."""
        try:
            elements: Command | None = await self._all()
        except FinalResponse as final:
            elements = final.elements
        except Interrupted:
            elements = {"Status": dimse_status.CANCEL} if self._watch.ended is None else None
        finally:
            await self._steps.close()
        if elements is None or self._watch.ended is not None:
            self.outcome = self._watch.ended or ""
            return self
        self.outcome = f"0x{elements['Status']:04X}"
        self._answer.send(elements)
        return self

    async def _all(self) -> Command:
        """Send the matches; the elements of the final response.

        Raises:
            FinalResponse: the handler gave a final status.
            Interrupted: the operation was cut short.
        """
        while True:
            try:
                item = await self._steps.next()
                if item is END:
                    return {"Status": dimse_status.CANCEL if self._watch.is_cancelled else dimse_status.SUCCESS}
                pair = None if isinstance(item, EncodedMatches) else read_pair(item)
            except Interrupted:
                raise
            except Exception as error:
                return of_exception(error, dimse_status.FIND_HANDLER_FAILED, self.event)
            if pair is None:
                await self._send_together(item)
                continue
            elements, value = pair
            if Category.of(elements["Status"]) is not Category.PENDING:
                raise FinalResponse(elements)
            if self._watch.is_cancelled:
                self._let_one_pass()
                continue
            try:
                identifier = as_identifier(value, self._transfer_syntax_uid)
            except ValueError as error:
                log.error("identifier_not_encoded", reason=str(error))
                note_wrong_yield(self.event, "an identifier that cannot be encoded")
                return {"Status": dimse_status.FIND_IDENTIFIER_NOT_ENCODED}
            await self._answer.send_with(elements, identifier)
            self.count += 1
            if self._is_at_most_one:
                return {"Status": dimse_status.SUCCESS}
            await self._give_turn()

    async def _send_together(self, matches: EncodedMatches) -> None:
        if self._watch.is_cancelled:
            self._let_one_pass()
            return
        await self._answer.send_with_each({"Status": matches.status}, matches.identifiers)
        self.count += len(matches.identifiers)
        await self._give_turn()

    def _let_one_pass(self) -> None:
        """A match that was on its way when the C-CANCEL came; a second one shows that the handler does not look."""
        self._late += 1
        if self._late > 1:
            raise Interrupted

    async def _give_turn(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._turn_until_s:
            await asyncio.sleep(0)
            self._turn_until_s = time.monotonic() + TURN_S
