"""C-FIND, C-GET and C-MOVE as an SCU, on an association that has one request in work at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import Association, AssociationEnded
from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.identifiers import as_identifier
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.message import Command, CommandField
from gateway.dimse.requestor.incoming_stores import OnStore
from gateway.dimse.requestor.responses import Responses
from gateway.model.listener import Limits, Timers
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.errors import DestinationRefuses


class MultiResponseAssociation(Association):
    """An association whose requests have many responses."""

    def __init__(self, *, timers: Timers, limits: Limits) -> None:
        super().__init__(is_requestor=True, timers=timers, limits=limits)
        self._by_syntax: dict[tuple[str, str], AcceptedContext] = {}
        """(abstract syntax, transfer syntax) → context where we are the SCU."""
        self._responses: Responses | None = None
        self._last_responses: Responses | None = None
        """The responses that ended last: some peers send more after their final response."""

    @property
    def name(self) -> str:
        """The peer, for messages."""
        raise NotImplementedError

    @property
    def is_busy(self) -> bool:
        """True between a request and its last response."""
        return bool(self._waiting) or self.is_sending or self._responses is not None

    def number_from(self, message_id: int) -> None:
        """The next request has this message ID, 1 to 65535."""
        self._message_id = message_id - 1

    def c_find(
        self,
        identifier: Any,
        *,
        sop_class_uid: str,
        priority: int = 0,
        response_s: float | None = None,
        limit_s: float | None = None,
    ) -> Responses:
        """C-FIND: ``async with association.c_find(…) as responses: async for response in responses: …``.

        Args:
            identifier: a data set, or its bytes in `identifier_syntax(sop_class_uid)`.
            sop_class_uid: of the information model; it must be accepted.
            priority: 0 medium, 1 high, 2 low.
            response_s: time limit of every response; None: the peer's `timers.dimse_s`.
            limit_s: time limit of the whole operation; None: none.

        Raises:
            DestinationRefuses: no accepted context.
            ValueError: the identifier cannot be encoded.
        """
        return self._start_request(
            "find", CommandField.C_FIND, identifier, sop_class_uid, priority, response_s, limit_s
        )

    def c_move(
        self,
        identifier: Any,
        *,
        sop_class_uid: str,
        destination: str,
        priority: int = 0,
        response_s: float | None = None,
        limit_s: float | None = None,
    ) -> Responses:
        """C-MOVE to the AE title `destination`; the rest as `c_find`. Raises DestinationRefuses, ValueError."""
        more: Command = {"MoveDestination": destination}
        return self._start_request(
            "move", CommandField.C_MOVE, identifier, sop_class_uid, priority, response_s, limit_s, more
        )

    def c_get(
        self,
        identifier: Any,
        *,
        sop_class_uid: str,
        on_store: OnStore,
        receiver: Callable[[], DataSetReceiver] = MemoryReceiver,
        priority: int = 0,
        response_s: float | None = None,
        limit_s: float | None = None,
    ) -> Responses:
        """C-GET; the rest as `c_find`. The storage classes need the SCP role
        (`gateway.dimse.requestor.query_contexts.as_store_scp`).

        Args:
            on_store: called with every instance that arrives, one at a time, in order; gives the C-STORE status.
            receiver: takes the data set of one instance while it arrives.

        Raises:
            DestinationRefuses, ValueError: as `c_find`.
        """
        field = CommandField.C_GET
        return self._start_request(
            "get",
            field,
            identifier,
            sop_class_uid,
            priority,
            response_s,
            limit_s,
            on_store=on_store,
            receiver=receiver,
        )

    def identifier_syntax(self, sop_class_uid: str) -> str:
        """Transfer syntax of the context for an information model. Raises DestinationRefuses."""
        return str(self._context_of(sop_class_uid).transfer_syntax)

    def _context_of(self, sop_class_uid: str) -> AcceptedContext:
        found = (context for (uid, _), context in self._by_syntax.items() if uid == sop_class_uid)
        context = next(found, None)
        if context is None:
            raise DestinationRefuses(f"{self.name} accepted no context for {sop_class_uid}")
        return context

    def _start_request(
        self,
        service: str,
        field: CommandField,
        identifier: Any,
        sop_class_uid: str,
        priority: int,
        response_s: float | None,
        limit_s: float | None,
        more: Command | None = None,
        **stores: Any,
    ) -> Responses:
        context = self._context_of(sop_class_uid)
        if context.service != service:
            raise DestinationRefuses(f"{sop_class_uid} is not for C-{service.upper()}")
        request: Command = {
            "AffectedSOPClassUID": sop_class_uid,
            "CommandField": field,
            "Priority": priority,
            **(more or {}),
        }
        body = as_identifier(identifier, str(context.transfer_syntax))
        seconds = self._timers.dimse_s if response_s is None else response_s
        return Responses(self, context, request, body, response_s=seconds, limit_s=limit_s, **stores)

    def begin_request(self, responses: Responses, request: Command) -> None:
        """Give `request` its Message ID, and its responses to `responses`. Raises AssociationEnded."""
        if self._ended is not None:
            raise AssociationEnded(self._ended)
        if self.is_busy:
            raise RuntimeError("one request at a time on an association")
        self._message_id = request["MessageID"] = self._message_id % 65535 + 1
        self._responses = responses
        self._deadlines.stop(AssociationTimer.IDLE)

    def end_request(self, responses: Responses) -> None:
        """End the request of `responses`: no more of them are wanted."""
        if self._responses is responses:
            self._responses, self._last_responses = None, responses
            self.read_on()

    def read_no_more(self) -> None:
        """Read nothing until `read_on`."""
        self._hold(ReadingHeld.QUEUE)

    def read_on(self) -> None:
        """Read again."""
        if self._held & ReadingHeld.QUEUE:
            self._unhold(ReadingHeld.QUEUE)

    # --- for the responses ---------------------------------------------------------------------------------------

    def _is_for_responses(self, message: Message) -> bool:
        if message.command.get("MessageIDBeingRespondedTo") in self._waiting:
            return False
        for responses in (self._responses, self._last_responses):
            if responses is not None and responses.is_answered_by(message):
                responses.received(message)
                return True
        return False

    def _open_data_set(self, message: Message) -> DataSetReceiver | None:
        return self._responses.receiver_for(message) if self._responses is not None else None
