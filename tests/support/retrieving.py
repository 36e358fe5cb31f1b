"""Requestors of C-MOVE and C-GET: dcmtk's movescu and getscu, and our own; and what they were told."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.dimse.protocol.message import Command
from gateway.dimse.requestor.incoming_stores import OnStore
from gateway.dimse.requestor.query_contexts import as_store_scp
from gateway.dimse.requestor.requestor_association import associate
from gateway.dimse.requestor.response import Response
from gateway.dimse.requestor.responses import Responses
from gateway.model.associate import ProposedContext
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.model.query import Value
from gateway.query.attributes import QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from gateway.query.identifier import IdentifierEncoder
from tests.support.archive import MODELS
from tests.support.processes import program, run
from tests.support.spread import STUDY_UID

STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
SPREAD: Mapping[int, Value] = {QUERY_RETRIEVE_LEVEL: ("STUDY",), STUDY_INSTANCE_UID: (STUDY_UID,)}
"""Identifier of the whole study of `tests.support.spread`."""

Identifier = Mapping[int, Value] | bytes
"""What is asked, or the bytes of it in Implicit VR Little Endian."""

_COUNTER = r"(?:Completed|Failed|Warning) Suboperations\s*: (\d+|none)"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The final response, as the requestor shows it."""

    status: int | None
    """None when there was none."""
    counters: tuple[int, ...]
    """Completed, failed, warning."""
    log: str

    @property
    def is_success(self) -> bool:
        return self.status == 0x0000


async def movescu(
    port: int,
    model: str,
    keys: Sequence[str],
    *,
    destination: str,
    calling: str = "VIEWER",
    options: Sequence[str] = (),
    timeout_s: float = 120.0,
) -> Retrieved:
    """C-MOVE with dcmtk's movescu; `keys` as ``Keyword=value``."""
    return await _asked("movescu", port, model, keys, calling, ("-aem", destination, *options), timeout_s)


async def getscu(
    port: int,
    model: str,
    keys: Sequence[str],
    folder: Path,
    *,
    calling: str = "VIEWER",
    options: Sequence[str] = (),
    timeout_s: float = 120.0,
) -> Retrieved:
    """C-GET with dcmtk's getscu into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return await _asked("getscu", port, model, keys, calling, ("-od", str(folder), "+B", *options), timeout_s)


async def _asked(
    name: str,
    port: int,
    model: str,
    keys: Sequence[str],
    calling: str,
    options: Sequence[str],
    timeout_s: float,
) -> Retrieved:
    command = [program(name), "-d", MODELS[model], "-aet", calling, "-aec", "GATEWAY", *options, "127.0.0.1", str(port)]
    command += [word for key in keys for word in ("-k", key)]
    done = await run(command, timeout_s=timeout_s, environment={"TCP_NODELAY": "1"})
    return read_retrieved(done.output)


def read_retrieved(log: str) -> Retrieved:
    """The last response in what movescu or getscu says with ``-d``."""
    statuses = re.findall(r"DIMSE Status\s*: 0x([0-9a-fA-F]{4})", log)
    last = log[log.rfind("Completed Suboperations") :] if "Completed Suboperations" in log else ""
    found = re.findall(_COUNTER, last)[:3]
    counters = tuple(int(word) if word.isdigit() else 0 for word in found)
    return Retrieved(int(statuses[-1], 16) if statuses else None, counters, log)


def elements(response: Response) -> Command:
    """What is not in every response."""
    always = (
        "CommandGroupLength",
        "AffectedSOPClassUID",
        "CommandField",
        "MessageIDBeingRespondedTo",
        "CommandDataSetType",
    )
    return {keyword: value for keyword, value in response.command.items() if keyword not in always}


def counters(completed: int, failed: int, warning: int, remaining: int | None = None) -> Command:
    """As they stand in a response."""
    found: Command = {
        "NumberOfCompletedSuboperations": completed,
        "NumberOfFailedSuboperations": failed,
        "NumberOfWarningSuboperations": warning,
    }
    return found if remaining is None else {**found, "NumberOfRemainingSuboperations": remaining}


class Moving:
    """Our own requestor: the exact elements of the responses."""

    def __init__(self, port: int, *, calling: str = "VIEWER", called: str = "GATEWAY") -> None:
        self._peer = Peer(
            name="gateway",
            ae_title=called,
            host="127.0.0.1",
            port=port,
            calling_ae_title=calling,
            timers=Timers(dimse_s=300.0),
        )

    @contextlib.asynccontextmanager
    async def begun(
        self, destination: str, identifier: Identifier, sop_class_uid: str = STUDY_MOVE, priority: int = 0
    ) -> AsyncIterator[Responses]:
        """The responses to one C-MOVE."""
        contexts = [ProposedContext(sop_class_uid, ("1.2.840.10008.1.2",))]
        association = await associate(self._peer, own_ae_title="VIEWER", contexts=contexts)
        try:
            encoded = _encoded(identifier)
            moving = association.c_move(
                encoded, sop_class_uid=sop_class_uid, destination=destination, priority=priority
            )
            async with moving as responses:
                yield responses
        finally:
            await association.release()

    async def move(self, destination: str, identifier: Identifier, sop_class_uid: str = STUDY_MOVE) -> Response:
        """The final response."""
        async with self.begun(destination, identifier, sop_class_uid) as responses:
            return await responses.final()

    async def get(
        self,
        identifier: Identifier,
        on_store: OnStore,
        sop_class_uid: str = STUDY_GET,
        storage: Sequence[ProposedContext] = (),
    ) -> Response:
        """The final response to a C-GET; `on_store` gets the instances."""
        contexts = [ProposedContext(sop_class_uid, ("1.2.840.10008.1.2",)), *storage]
        peer = as_store_scp(self._peer, (context.abstract_syntax for context in storage))
        association = await associate(peer, own_ae_title="VIEWER", contexts=contexts)
        try:
            encoded = _encoded(identifier)
            async with association.c_get(encoded, sop_class_uid=sop_class_uid, on_store=on_store) as responses:
                return await responses.final()
        finally:
            await association.release()

    async def study(self, destination: str) -> Response:
        """The final response of the C-MOVE of the spread study."""
        return await self.move(destination, SPREAD)

    async def cancelled(self, after: int) -> Response:
        """Final response to a C-MOVE of the spread study that is cancelled once `after` instances went."""
        async with self.begun("WS1", SPREAD) as responses:
            async for response in responses:
                if (response.completed or 0) >= after:
                    break
            responses.cancel()
            return await responses.final()


def _encoded(identifier: Identifier) -> bytes:
    return identifier if isinstance(identifier, bytes) else IdentifierEncoder("1.2.840.10008.1.2")(identifier)
