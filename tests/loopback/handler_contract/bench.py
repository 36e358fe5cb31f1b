"""The two sides, the move destination, and the requestor that tries a row on a side."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from pydicom import dcmread
from pynetdicom import AE, evt

from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.protocol.message import CommandField
from gateway.dimse.protocol.upper_layer import RELEASE_RQ
from gateway.dimse.server import Server
from gateway.model.associate import ProposedContext
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from tests.loopback.handler_contract.row import EVENTS, STORE_STATUSES, WAIT_S, Row, Run
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.dimse import query_rig
from tests.support.dimse.acceptor_rig import read_message
from tests.support.dimse.query_rig import EVERYTHING, MR_ID, STUDY_FIND, STUDY_GET, STUDY_MOVE, Requestor, uid
from tests.support.dimse.rig import IMPLICIT, VERIFICATION, message
from tests.support.processes import free_port, until
from tests.support.stock import no_delay

MESSAGE_ID = 300
ECHO_ID, CT_ID = 9, 11
CONTEXTS = (
    *query_rig.CONTEXTS,
    ProposedContext(VERIFICATION, (IMPLICIT,)),
    ProposedContext("1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2.4.70",)),  # no side accepts it
)
UID = uid(1)
DATA = data_set(UID)


def _number_of(sop_instance_uid: str) -> int:
    return int(str(sop_instance_uid).rpartition(".")[2])


# --- the move destination --------------------------------------------------------------------------------------------


class Destination:
    """A storage SCP of stock pynetdicom, for MR images in Explicit VR Little Endian."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.requests: list[str] = []
        """Move originator and priority of each C-STORE request."""
        self.associations: list[str] = []
        self._lock = threading.Lock()
        ae = AE("STORE")
        ae.maximum_associations = 100
        ae.add_supported_context(MR, EXPLICIT)
        ae.add_supported_context(VERIFICATION, IMPLICIT)
        self.port = free_port()
        handlers: Any = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_CONN_OPEN, no_delay),
        ]
        self._server: Any = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: Any) -> int:
        request = event.request
        number = _number_of(request.AffectedSOPInstanceUID)
        with self._lock:
            self.stored.append(str(number))
            self.requests.append(
                f"originator={request.MoveOriginatorApplicationEntityTitle!r} {request.MoveOriginatorMessageID}"
                f" priority={request.Priority}"
            )
        return STORE_STATUSES.get(number, 0x0000)

    def _requested(self, event: Any) -> None:
        primitive = event.assoc.requestor.primitive
        contexts = [
            f"{context.abstract_syntax.name}: {', '.join(syntax.name for syntax in context.transfer_syntax)}"
            for context in primitive.presentation_context_definition_list
        ]
        with self._lock:
            self.associations.append(
                f"calling={primitive.calling_ae_title!r} called={primitive.called_ae_title!r}"
                f" max_pdu={event.assoc.requestor.maximum_length} contexts={contexts}"
            )

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self.stored.clear()
            self.requests.clear()
            self.associations.clear()

    def close(self) -> None:
        self._server.shutdown()


# --- the sides -------------------------------------------------------------------------------------------------------


class Side(Protocol):
    """A server under test."""

    def serving(self, row: Row, run: Run) -> contextlib.AbstractAsyncContextManager[int]:
        """Bind the handler of `row`; the port."""
        ...


class Stock:
    """pynetdicom's own server. It is made once: handlers are bound and unbound while it runs."""

    def __init__(self) -> None:
        ae = AE("GATEWAY")
        ae.maximum_associations = 100
        for model in (STUDY_FIND, STUDY_MOVE, STUDY_GET):
            ae.add_supported_context(model, EXPLICIT)
        ae.add_supported_context(MR, EXPLICIT, scu_role=True, scp_role=True)
        ae.add_supported_context(VERIFICATION, IMPLICIT)
        ae.add_requested_context(MR, EXPLICIT)
        self._port = free_port()
        self._server: Any = ae.start_server(
            ("127.0.0.1", self._port), block=False, evt_handlers=[(evt.EVT_CONN_OPEN, no_delay)]
        )

    @contextlib.asynccontextmanager
    async def serving(self, row: Row, run: Run) -> AsyncIterator[int]:
        event = EVENTS[row.service]
        run.server = self._server
        if row.handler is not None:
            self._server.bind(event, row.handler, [run])
        try:
            yield self._port
        finally:
            bound = self._server.get_handlers(event)[0]
            self._server.unbind(event, bound)

    def close(self) -> None:
        self._server.shutdown()


class Ours:
    """The gateway's server."""

    @contextlib.asynccontextmanager
    async def serving(self, row: Row, run: Run) -> AsyncIterator[int]:
        handlers = [] if row.handler is None else [(EVENTS[row.service], row.handler, [run])]
        server = run.server = Server(
            handlers=handlers,
            admission=lambda facts: Admitted(Peer("tester", may=EVERYTHING, accept_transfer_syntaxes=(EXPLICIT,))),
            ae_title="GATEWAY",
        )
        port = await server.listen(Listener("main", 0, "127.0.0.1"))
        try:
            yield port
        finally:
            server.abort_all()
            await server.drain(5.0)

    def close(self) -> None:
        """Nothing is kept."""


# --- the requestor ---------------------------------------------------------------------------------------------------

COUNTERS = (
    "NumberOfRemainingSuboperations",
    "NumberOfCompletedSuboperations",
    "NumberOfFailedSuboperations",
    "NumberOfWarningSuboperations",
)
ALWAYS = ("CommandGroupLength", "CommandDataSetType", "AffectedSOPClassUID", "CommandField")


@dataclass(slots=True)
class Answer:
    """One response, whole."""

    elements: dict[str, Any]
    data: bytes | None
    """None without a data set."""

    @property
    def status(self) -> int:
        return int(self.elements["Status"])

    @property
    def is_pending(self) -> bool:
        return self.status in (0xFF00, 0xFF01)


class Seen(NamedTuple):
    """What one side showed of a row."""

    sees: str
    notes: tuple[str, ...]
    stored: tuple[str, ...]
    ends: str
    associations: tuple[str, ...] = ()


def shown(answer: Answer) -> str:
    """A response in short: status, counters (remaining:completed:failed:warning), Failed SOP Instance UID List in
    brackets, the match, and whatever other element there is."""
    elements = dict(answer.elements)
    words = [f"{elements.pop('Status'):04X}"]
    counters = [elements.pop(keyword, None) for keyword in COUNTERS]
    if any(counter is not None for counter in counters):
        words.append(":".join("-" if counter is None else str(counter) for counter in counters))
    if answer.data is not None:
        words.append(_shown_data(answer.data))
    comment = elements.pop("ErrorComment", None)
    if comment is not None:
        words.append(f'"{comment}"')
    words += ["@" + "+".join(f"{tag:08X}" for tag in elements.pop("OffendingElement", ()))] * (
        "OffendingElement" in answer.elements
    )
    return " ".join(words + [f"{keyword}={value}" for keyword, value in elements.items()])


def _shown_data(data: bytes) -> str:
    dataset = dcmread(BytesIO(data), force=True)
    if "FailedSOPInstanceUIDList" in dataset:
        value = dataset.FailedSOPInstanceUIDList or []
        uids = [value] if isinstance(value, str) else list(value)
        return f"[{' '.join(text.rpartition('.')[2] for text in uids)}]"
    return f"#{str(dataset.get('StudyInstanceUID', '')).rpartition('.')[2]}"


def as_the_standard_has_it(answer: Answer) -> Answer:
    """A response of the stock engine without what it puts into every one of its kind against the standard.

    Number of Remaining Sub-operations is in Pending and Cancel responses alone (PS3.4 §C.4.2.1.6, §C.4.3.1.5); when
    nothing failed there is no Failed SOP Instance UID List, and no data set (PS3.4 §C.4.2.1.4.2, §C.4.3.1.3.2).
    """
    elements, data = dict(answer.elements), answer.data
    if not answer.is_pending and answer.status != 0xFE00:
        elements.pop("NumberOfRemainingSuboperations", None)
    if data is not None and not elements.get("NumberOfFailedSuboperations") and _shown_data(data) == "[]":
        data = None
    return Answer(elements, data)


@dataclass(slots=True)
class Conversation:
    """Sends the request of a row and keeps what comes back."""

    peer: Requestor
    row: Row
    run: Run
    answers: list[Answer] = field(default_factory=list)
    echoes: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    ends: str = ""

    async def converse(self) -> None:
        """To the final response, or to the end."""
        self._ask()
        self._react()
        while not self._is_done():
            try:
                async with asyncio.timeout(WAIT_S):
                    command, data, _ = await read_message(self.peer)
            except AssertionError as other:  # no P-DATA-TF
                self.ends = {5: "release asked", 6: "released", 7: "aborted"}[other.args[0][0]]
                break
            except IndexError:
                self.ends = "connection closed"
                break
            self._take(command, data)
        self.run.went_on.set()

    def _is_done(self) -> bool:
        if self.row.is_echoed:
            return bool(self.echoes)
        finals = sum(not answer.is_pending for answer in self.answers)
        return finals > self.row.is_repeated

    def _ask(self) -> None:
        row = self.row
        if row.service == "store":
            command = {
                "AffectedSOPClassUID": MR,
                "CommandField": 0x0001,
                "MessageID": MESSAGE_ID,
                "Priority": 0,
                "CommandDataSetType": 1,
                "AffectedSOPInstanceUID": UID,
                **row.request,
            }
            self.peer.send(message(MR_ID, command, DATA))
        else:
            self.peer.ask(row.service, MESSAGE_ID, row.identifier, **row.request)
        if row.is_echoed:
            echo = {
                "AffectedSOPClassUID": VERIFICATION,
                "CommandField": 0x0030,
                "MessageID": MESSAGE_ID + 1,
                "CommandDataSetType": 0x0101,
            }
            self.peer.send(message(ECHO_ID, echo))

    def _take(self, command: dict[str, Any], data: bytes) -> None:
        if command["CommandField"] == CommandField.C_STORE:
            number = _number_of(command["AffectedSOPInstanceUID"])
            self.stored.append(str(number))
            self.peer.accept_store(command, STORE_STATUSES.get(number, 0x0000))
            return
        if command["CommandField"] == 0x8030:
            self.echoes.append(f"{command['Status']:04X}")
            return
        if command["MessageIDBeingRespondedTo"] == MESSAGE_ID:
            del command["MessageIDBeingRespondedTo"]
        has_data = command["CommandDataSetType"] != 0x0101
        assert command.get("AffectedSOPInstanceUID", UID) == self.row.request.get("AffectedSOPInstanceUID", UID)
        elements = {
            keyword: value
            for keyword, value in command.items()
            if keyword not in ALWAYS and keyword != "AffectedSOPInstanceUID"
        }
        self.answers.append(Answer(elements, data if has_data else None))
        self._react()
        if self.row.is_repeated and len(self.answers) == 1:
            self._ask()

    def _react(self) -> None:
        if self.row.cancel_after == len(self.answers):
            self.peer.cancel(self.row.service, MESSAGE_ID)
            self.run.went_on.set()
        if self.row.release_after == len(self.answers):
            self.peer.send(RELEASE_RQ)


async def tried(side: Any, row: Row, destination: Destination) -> tuple[Seen, Seen]:
    """What a side shows of a row: whole, and without what the stock engine puts into every response."""
    destination.forget()
    run = Run(destination.port)
    async with side.serving(row, run) as port, await Requestor.open(port, contexts=CONTEXTS) as peer:
        requestor = Conversation(peer, row, run)
        await requestor.converse()
        if not row.shows_requests:  # stock pynetdicom closes a generator after the final response
            await until(lambda: len(run.notes) >= len(row.notes), what="notes of the handler")
    stored = tuple(requestor.stored or destination.stored)
    associations = tuple(destination.associations) if row.shows_associations else ()
    more = [f"C-ECHO {echo}" for echo in requestor.echoes]
    notes = tuple(run.notes)
    if row.shows_requests:
        notes += tuple(destination.requests)

    def seen(answers: list[Answer]) -> Seen:
        return Seen("; ".join([*map(shown, answers), *more]), notes, stored, requestor.ends, associations)

    return seen(requestor.answers), seen([as_the_standard_has_it(answer) for answer in requestor.answers])
