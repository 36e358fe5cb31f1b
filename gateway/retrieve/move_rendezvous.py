"""Where instances are handed over that a source sends us because we asked it for a C-MOVE to ourselves.

The association they come over need not be one of the process that asked. Every process that waits for such instances
listens on a UNIX socket, and says so by a file in a folder that all processes of the gateway see:

    FOLDER/NAME-OF-THE-SOURCE@TOKEN    the path of the socket

Whoever receives an instance looks into the folder, asks those who wait for this source whether they want it, and hands
the bytes over; the answer is the status of the C-STORE response. One connection an instance, in frames of a length (4
bytes, big endian) and JSON:

    → {"sop_instance_uid": …, …, "length_bytes": N}    ← {"is_wanted": true}    → N bytes    ← {"status": 0, …}

A file whose socket nobody listens on any more is deleted by whoever finds it. Where it cannot be told whether anybody
listens, the instance is refused for now.

Instances are taken only from the peer that was asked (`gateway.retrieve.expected_sender`): knowing a SOP Instance
UID, an AE title or a Message ID gives nobody the right to hand over an instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import structlog

from gateway.common.file_modes import FOLDER
from gateway.dimse.protocol.status import stack_lines
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError, Refusal, Temporary
from gateway.retrieve.expected_sender import ExpectedSender
from gateway.retrieve.get_fetcher import Arrived, Take
from gateway.retrieve.shared_data_set import SharedDataSet

log = structlog.get_logger()

LONGEST_SOCKET_PATH = 100  # sockaddr_un holds 108 bytes on Linux, 104 elsewhere
LONGEST_FRAME_BYTES = 64 * 1024
LARGEST_MESSAGE_ID = 0xFFFF
CHUNK_BYTES = 256 * 1024
LATE_S = 60.0
"""How long after the end of a C-MOVE its instances are known as such."""
ANSWER_S = 5.0
"""How long somebody who waits may take to say whether he wants an instance."""


class NotHandedOver(Temporary):
    """Whoever asked for the instance is gone."""


class RefusedByTaker(Refusal):
    """Whoever asked for the instance does not take it in this form."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.dimse_status = status


@dataclass(frozen=True, slots=True)
class IncomingInstance:
    """An instance that came, as the one who waits is asked about it."""

    peer: str
    """Name of the peer that it came from."""
    remote_host: str
    """Numeric address that it came from."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length_bytes: int
    originator_ae_title: str = ""
    originator_message_id: int | None = None
    is_for_named: bool = False
    """Asked first where several processes wait: whether it is of one's own C-MOVE."""


@dataclass(slots=True)
class ExpectedMove:
    """What one C-MOVE to ourselves is to bring."""

    sender: ExpectedSender
    our_ae_title: str
    """Calling AE title of the C-MOVE."""
    sop_instance_uids: frozenset[str]
    take: Take
    touch: Callable[[], None]
    """Told of every sign of life."""
    message_id: int | None = None
    """Of the C-MOVE, once it is sent."""
    is_over: bool = False
    """Nobody waits any more; what still comes is refused, for nobody wants it in the gateway either."""

    def sent_as(self, message_id: int) -> None:
        """The C-MOVE is on its way."""
        self.message_id = message_id

    def is_meant(self, offer: IncomingInstance) -> bool:
        """True for an instance that was asked for, of the peer that was asked. Sources that leave the originator out
        are common; after the end only what names the C-MOVE is known."""
        if offer.sop_instance_uid not in self.sop_instance_uids:
            return False
        refusal = self.sender.refusal(offer.peer, offer.remote_host)
        if refusal:
            log.warning(
                "retrieve_instance_not_taken",
                source=self.sender.peer,
                reason=refusal,
                sop_instance_uid=offer.sop_instance_uid,
                remote_host=offer.remote_host,
            )
            return False
        return not self.is_over or self._is_named(offer)

    def is_of_this(self, offer: IncomingInstance) -> bool:
        """True when it is meant, and has the message ID of this C-MOVE, whoever the source calls the originator."""
        return not self.is_over and self.message_id is not None and self.message_id == offer.originator_message_id

    def _is_named(self, offer: IncomingInstance) -> bool:
        return offer.originator_ae_title == self.our_ae_title and offer.originator_message_id == self.message_id


class MoveRendezvous:
    """Both sides: who waits (`expecting`), and who receives (`hand_over`).

    Args:
        folder: shared by all processes of the gateway.
        receiver: for the bytes of one instance.
    """

    def __init__(self, folder: Path, receiver: Callable[[], DataSetReceiver]) -> None:
        self._folder = folder
        self._receiver = receiver
        self._token = uuid4().hex
        self._socket: Path | None = None
        self._server: asyncio.Server | None = None
        self._starting = asyncio.Lock()
        self._expected: list[ExpectedMove] = []
        self._message_id = secrets.randbelow(LARGEST_MESSAGE_ID)
        self._later: dict[int, asyncio.TimerHandle] = {}

    async def close(self) -> None:
        """Wait for nothing any more."""
        for timer in self._later.values():
            timer.cancel()
        for notice in self._folder.glob(f"*@{self._token}"):
            notice.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            if self._socket.parent != self._folder:
                with contextlib.suppress(OSError):
                    self._socket.parent.rmdir()
        self._server = self._socket = None

    # --- who waits ---------------------------------------------------------------------------------------------------

    def next_message_id(self) -> int:
        """For a C-MOVE to ourselves. No two of them have the same one for a long time, also in other processes, so that
        what arrives tells which of several retrieves of one study it is for."""
        self._message_id = self._message_id % LARGEST_MESSAGE_ID + 1
        return self._message_id

    @contextlib.asynccontextmanager
    async def expecting(self, expectation: ExpectedMove) -> AsyncIterator[None]:
        """In here, what is meant by `expectation` is taken, whichever process receives it. Raises OSError."""
        async with self._starting:
            if self._server is None:
                await self._listen()
        notice = self._folder / f"{quote(expectation.sender.peer, safe='')}@{self._token}"
        self._expected.append(expectation)
        temporary = self._folder / f".{uuid4().hex}"
        temporary.write_text(str(self._socket))
        temporary.replace(notice)
        try:
            yield
        finally:
            expectation.is_over = True
            self._later[id(expectation)] = asyncio.get_running_loop().call_later(
                LATE_S, self._forget, expectation, notice
            )

    def _forget(self, expectation: ExpectedMove, notice: Path) -> None:
        self._later.pop(id(expectation), None)
        self._expected.remove(expectation)
        if not any(other.sender.peer == expectation.sender.peer for other in self._expected):
            notice.unlink(missing_ok=True)

    async def _listen(self) -> None:
        self._folder.mkdir(mode=FOLDER, exist_ok=True)  # without its parents: where the spool is not, nothing is made
        path = self._folder / f".{self._token}.socket"
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            path = Path(tempfile.mkdtemp(prefix="gateway-")) / "socket"
        self._server = await asyncio.start_unix_server(self._asked, str(path))
        path.chmod(0o600)
        self._socket = path

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One instance that somebody received."""
        try:
            offer = IncomingInstance(**await _read_frame(reader))
            meant = self._meant(offer)
            _write_frame(writer, {"is_wanted": bool(meant)})
            if meant:
                for expectation in meant:
                    expectation.touch()
                _write_frame(writer, await self._taken(meant, offer, reader))
            await writer.drain()
        except (OSError, EOFError, ValueError, TypeError) as error:
            log.warning("hand_over_failed", error=type(error).__name__)
        finally:
            writer.close()

    def _meant(self, offer: IncomingInstance) -> list[ExpectedMove]:
        """For whom it is: the C-MOVE that it names; else everybody who waits for it, since any copy is as good and each
        C-MOVE brings one; else who waited for it until just now."""
        meant = [one for one in self._expected if one.is_meant(offer)]
        own = [one for one in meant if one.is_of_this(offer)][:1]
        if own or offer.is_for_named:
            return own
        return [one for one in meant if not one.is_over] or meant[:1]

    async def _taken(
        self, meant: Sequence[ExpectedMove], offer: IncomingInstance, reader: asyncio.StreamReader
    ) -> dict[str, Any]:
        """The answer: good when one of them could take it."""
        try:
            body = await self._received(offer.length_bytes, reader)
        except GatewayError as error:
            return {"status": error.dimse_status, "text": str(error)}
        try:
            answers = await asyncio.gather(*(_taken_by(one, offer, body) for one in meant))
        finally:
            body.close()
        return min(answers, key=lambda answer: bool(answer["status"]))

    async def _received(self, length_bytes: int, reader: asyncio.StreamReader) -> SharedDataSet:
        """Raises EOFError, and whatever a receiver raises."""
        receiver = self._receiver()
        try:
            left_bytes = length_bytes
            while left_bytes:
                chunk = await reader.read(min(left_bytes, CHUNK_BYTES))
                if not chunk:
                    raise EOFError("the bytes end too early")
                left_bytes -= len(chunk)
                writing = receiver.write(memoryview(chunk))
                if writing is not None:
                    await writing
            return SharedDataSet(receiver.finish())
        except BaseException:
            receiver.discard()
            raise

    # --- who receives ------------------------------------------------------------------------------------------------

    async def hand_over(self, offer: IncomingInstance, body: EncodedDataSet) -> int | None:
        """Offer an instance to everybody who waits for its source; the status to answer. None: nobody wants it.

        Raises:
            RefusedByTaker, NotHandedOver: with the status to answer.
        """
        notices = self._notices(offer)
        offers = [offer]
        if len(notices) > 1 and offer.originator_message_id is not None:
            offers.insert(0, replace(offer, is_for_named=True))
        for each in offers:
            for notice in notices:
                status = await self._offered(notice, each, body)
                if status is not None:
                    return status
        return None

    def _notices(self, offer: IncomingInstance) -> Sequence[Path]:
        """Files of those who wait for what its sender sends; nobody waits for strangers."""
        if not offer.peer:
            return ()
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return ()
        beginning = f"{quote(offer.peer, safe='')}@"
        return [self._folder / name for name in names if name.startswith(beginning)]

    async def _offered(self, notice: Path, offer: IncomingInstance, body: EncodedDataSet) -> int | None:
        try:
            reader, writer = await asyncio.open_unix_connection(notice.read_text())
        except (FileNotFoundError, ConnectionRefusedError):  # whoever waited there has ended
            notice.unlink(missing_ok=True)
            return None
        except OSError as error:  # who waits there may be well, and cannot be asked now
            raise NotHandedOver(f"who may have asked for this instance cannot be asked: {error.strerror}") from error
        is_wanted = False
        try:
            _write_frame(writer, asdict(offer))
            async with asyncio.timeout(ANSWER_S):
                is_wanted = bool((await _read_frame(reader))["is_wanted"])
            if not is_wanted:
                return None
            for chunk in body.chunks(CHUNK_BYTES):
                writer.write(chunk)
                await writer.drain()
            answer = await _read_frame(reader)
        except (OSError, EOFError, ValueError) as error:  # a time-out is an OSError
            if not is_wanted:
                return None
            raise NotHandedOver("who asked for this instance is gone") from error
        finally:
            writer.close()
        status = int(answer["status"])
        if status:
            raise RefusedByTaker(status, str(answer["text"]))
        return status


async def _taken_by(expectation: ExpectedMove, offer: IncomingInstance, body: SharedDataSet) -> dict[str, Any]:
    if expectation.is_over:
        return {"status": NotHandedOver.dimse_status, "text": "the retrieve that asked for this has ended"}
    share = body.share()
    arrived = Arrived(offer.sop_class_uid, offer.sop_instance_uid, offer.transfer_syntax_uid, share)
    try:
        return {"status": await expectation.take(arrived), "text": ""}
    except GatewayError as error:
        return {"status": error.dimse_status, "text": str(error)}
    except Exception as error:
        log.error("hand_over_failed", error=type(error).__name__, where=stack_lines(error))
        return {"status": RefusedByTaker.dimse_status, "text": ""}
    finally:
        share.close()


async def _read_frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Raises EOFError, ValueError."""
    length_bytes = int.from_bytes(await reader.readexactly(4), "big")
    if length_bytes > LONGEST_FRAME_BYTES:
        raise ValueError(f"a frame of {length_bytes} bytes")
    frame = json.loads(await reader.readexactly(length_bytes))
    if not isinstance(frame, dict):
        raise ValueError("a frame that is no object")
    return frame


def _write_frame(writer: asyncio.StreamWriter, frame: dict[str, Any]) -> None:
    data = json.dumps(frame).encode()
    writer.write(len(data).to_bytes(4, "big") + data)


Offered = Callable[[IncomingInstance, EncodedDataSet], Awaitable[int | None]]
"""`MoveRendezvous.hand_over`."""
