"""A requestor made of bytes that queries and retrieves, and servers to ask."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.protocol.identifiers import encode_failed_list
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import Command, CommandField, encode
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.dimse.server import Server
from gateway.model.associate import AssociateKeywords, ProposedContext, Role
from gateway.model.listener import Limits, Listener, Timers
from gateway.model.peer import Peer
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.dimse.acceptor_rig import read_message
from tests.support.dimse.rig import Peer as Bytes
from tests.support.dimse.rig import item, message, p_data

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
FIND_ID, MOVE_ID, GET_ID, MR_ID = 1, 3, 5, 7
CONTEXTS = (
    ProposedContext(STUDY_FIND, (EXPLICIT,)),
    ProposedContext(STUDY_MOVE, (EXPLICIT,)),
    ProposedContext(STUDY_GET, (EXPLICIT,)),
    ProposedContext(MR, (EXPLICIT,)),
)
SCP_OF_MR = AssociateKeywords(roles=(Role(MR, scu_role=True, scp_role=True),))
EVERYTHING = frozenset({"echo", "store", "find", "move", "get"})
ASKING = {"find": (FIND_ID, STUDY_FIND, 0x20), "move": (MOVE_ID, STUDY_MOVE, 0x21), "get": (GET_ID, STUDY_GET, 0x10)}
EVENTS = {"find": evt.EVT_C_FIND, "move": evt.EVT_C_MOVE, "get": evt.EVT_C_GET}

FRAGMENT_BYTES = 64 * 1024

IDENTIFIER = bytes.fromhex("0800520043530600") + b"STUDY " + bytes.fromhex("20000d0055490400") + b"1.2\0"
"""Query/Retrieve Level STUDY, Study Instance UID 1.2, in Explicit VR Little Endian."""


class Answer(NamedTuple):
    """One response."""

    command: Command
    identifier: bytes

    @property
    def status(self) -> int:
        return int(self.command["Status"])

    @property
    def elements(self) -> Command:
        """What is not in every response."""
        always = (
            "CommandGroupLength",
            "AffectedSOPClassUID",
            "CommandField",
            "MessageIDBeingRespondedTo",
            "CommandDataSetType",
        )
        return {keyword: value for keyword, value in self.command.items() if keyword not in always}

    @property
    def failed_uids(self) -> list[str]:
        """Failed SOP Instance UID List."""
        if not self.identifier:
            return []
        dataset = dcmread(io.BytesIO(self.identifier), force=True)
        assert list(dataset.keys()) == [0x00080058]
        value = dataset.FailedSOPInstanceUIDList
        return [value] if isinstance(value, str) else list(value)


class Requestor(Bytes):
    """Sends requests, reads responses, and stores what a C-GET brings."""

    @classmethod
    async def open(
        cls, port: int, *, contexts: Any = CONTEXTS, associate: AssociateKeywords = SCP_OF_MR, **more: Any
    ) -> Self:
        return await cls.associated(port, contexts=contexts, associate=associate, **more)

    def ask(self, service: str, message_id: int = 1, identifier: bytes | None = IDENTIFIER, **more: Any) -> None:
        self.send(request(service, message_id, identifier, **more))

    def cancel(self, service: str, message_id: int = 1) -> None:
        self.send(cancel(service, message_id))

    async def answer(self) -> Answer:
        """The next response; no request may come before it."""
        command, identifier, _ = await read_message(self)
        assert command["CommandField"] & 0x8000, command
        return Answer(command, identifier)

    async def answers(self, status: int = 0) -> list[Answer]:
        """Responses up to the final one; C-STORE requests are answered with `status`."""
        found: list[Answer] = []
        while not found or found[-1].status in (0xFF00, 0xFF01):
            command, data, _ = await read_message(self)
            if command["CommandField"] == CommandField.C_STORE:
                self.accept_store(command, status)
            else:
                found.append(Answer(command, data))
        return found

    async def final(self) -> Answer:
        return (await self.answers())[-1]

    def accept_store(self, command: Command, status: int = 0) -> None:
        self.send(
            message(
                MR_ID,
                {
                    "AffectedSOPClassUID": command["AffectedSOPClassUID"],
                    "CommandField": 0x8001,
                    "MessageIDBeingRespondedTo": command["MessageID"],
                    "CommandDataSetType": 0x0101,
                    "Status": status,
                    "AffectedSOPInstanceUID": command["AffectedSOPInstanceUID"],
                },
            )
        )


def request(service: str, message_id: int = 1, identifier: bytes | None = IDENTIFIER, **more: Any) -> bytes:
    """The PDUs of one request."""
    context_id, uid, field = ASKING[service]
    command: Command = {
        "AffectedSOPClassUID": uid,
        "CommandField": field,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": 0x0101 if identifier is None else 1,
        **({"MoveDestination": "STORE"} if service == "move" else {}),
        **more,
    }
    if identifier is None or len(identifier) <= FRAGMENT_BYTES:
        return message(context_id, command, identifier)
    pieces = [identifier[start : start + FRAGMENT_BYTES] for start in range(0, len(identifier), FRAGMENT_BYTES)]
    data = [p_data(item(context_id, 2 if piece is pieces[-1] else 0, piece)) for piece in pieces]
    return p_data(item(context_id, 3, encode(command))) + b"".join(data)


def cancel(service: str, message_id: int = 1) -> bytes:
    """The PDU of a C-CANCEL."""
    command: Command = {
        "CommandField": 0x0FFF,
        "MessageIDBeingRespondedTo": message_id,
        "CommandDataSetType": 0x0101,
    }
    return message(ASKING[service][0], command)


@contextlib.asynccontextmanager
async def serving(
    *,
    may: frozenset[str] = EVERYTHING,
    keep_alive_s: float = 60.0,
    timers: Timers | None = None,
    store: Any = None,
    peer: Peer | None = None,
    **handlers: Any,
) -> AsyncIterator[int]:
    """A server with handlers by service (`find=…`), and its port. When it is left, nothing may be left in it."""
    bound = [(EVENTS[service], handler) for service, handler in handlers.items()]
    if store is not None:
        bound.append((evt.EVT_C_STORE, store))
    server = Server(
        handlers=bound,
        admission=lambda facts: Admitted(peer or Peer("tester", may=may)),
        ae_title="GATEWAY",
        timers=timers or Timers(association_s=120.0, dimse_s=120.0),
        limits=Limits(),
        keep_alive_s=keep_alive_s,
    )
    port = await server.listen(Listener("main", 0, "127.0.0.1"))
    try:
        yield port
    finally:
        server.abort_all()
        await server.drain(5.0)


@contextlib.asynccontextmanager
async def storing(handler: Any = lambda event: 0x0000, **more: Any) -> AsyncIterator[int]:
    """A storage SCP of ours, and its port."""
    async with serving(store=handler, **more) as port:
        yield port


def match(number: int) -> Dataset:
    """A study that a C-FIND gives."""
    found = Dataset()
    found.QueryRetrieveLevel = "STUDY"
    found.StudyInstanceUID = f"1.2.{number}"
    return found


def uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.8.498.99.{number}"


def image(number: int) -> Dataset:
    """An MR image as a data set."""
    dataset = dcmread(io.BytesIO(data_set(uid(number))), force=True)
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    return dataset


def encoded(number: int, size_bytes: int = 1000) -> EncodedInstance:
    """The same as bytes."""
    return EncodedInstance(MR, uid(number), EXPLICIT, MemoryDataSet(data_set(uid(number), size_bytes)))


def counters(completed: int, failed: int, warning: int, remaining: int | None = None) -> Command:
    """As they stand in a response."""
    elements: Command = {
        "NumberOfCompletedSuboperations": completed,
        "NumberOfFailedSuboperations": failed,
        "NumberOfWarningSuboperations": warning,
    }
    if remaining is not None:
        elements["NumberOfRemainingSuboperations"] = remaining
    return elements


def failed_list(uids: Sequence[str]) -> bytes:
    """An identifier with a Failed SOP Instance UID List, encoded by us."""
    return encode_failed_list(uids, EXPLICIT) if uids else b""
