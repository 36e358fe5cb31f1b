"""C-FIND as an SCP: every status with the exact elements of its response, cancel, release, abort, back-pressure."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from structlog.testing import capture_logs

from gateway.dimse.protocol.identifiers import encode_data_set
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.dimse.pynetdicom_contract.yields import EncodedMatches
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.ports.errors import NotAllowed
from tests.support.caller import EXPLICIT, MR
from tests.support.dimse.query_rig import (
    FIND_ID,
    IDENTIFIER,
    MR_ID,
    STUDY_FIND,
    Answer,
    Requestor,
    cancel,
    match,
    request,
    serving,
)
from tests.support.dimse.rig import message
from tests.support.processes import GUARD_S


def saying(status: int, **more: Any) -> Dataset:
    answer = Dataset()
    answer.Status = status
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of a comment that is too long
        for keyword, value in more.items():
            setattr(answer, keyword, value)
    return answer


# --- statuses -----------------------------------------------------------------------------------------------------

FINALS: dict[str, tuple[Any, dict[str, Any]]] = {
    **{
        f"{code:04X}": ((code, None), {"Status": code})
        for code in (0x0000, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0xA700, 0xA710, 0xA900, 0xB001, 0xC000, 0xC123)
    },
    "FE00": ((0xFE00, None), {"Status": 0xFE00}),
    "unknown": ((0x1234, None), {"Status": 0x1234}),
    "bare status": (0xA900, {"Status": 0xA900}),
    "data set": (
        (saying(0xA900, ErrorComment="no level", OffendingElement=[0x00080052]), None),
        {"Status": 0xA900, "ErrorComment": "no level", "OffendingElement": (0x00080052,)},
    ),
    "bare data set": (saying(0xA700, ErrorComment="x"), {"Status": 0xA700, "ErrorComment": "x"}),
    "long comment": (
        (saying(0xC001, ErrorComment="x" * 65), None),
        {"Status": 0xC001, "ErrorComment": "x" * 64},
    ),
    "data set without Status": ((Dataset(), None), {"Status": 0xC001}),
    "no status at all": (("text", None), {"Status": 0xC002}),
    "not a pair": ("text", {"Status": 0xC311}),
    "a triple": ((0, 1, 2), {"Status": 0xC311}),
    "pending without identifier": ((0xFF00, None), {"Status": 0xC312}),
    "pending, empty": ((0xFF00, Dataset()), {"Status": 0xC312}),
    "pending, no data set": ((0xFF00, 17), {"Status": 0xC312}),
}


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "after a match"])
@pytest.mark.parametrize("name", FINALS)
async def test_a_final_status_ends_the_operation(name: str, is_first: bool) -> None:
    said, elements = FINALS[name]
    ended: list[str] = []

    def find(event: Any) -> Iterator[Any]:
        try:
            if not is_first:
                yield saying(0xFF00, ErrorComment="of the match"), match(1)
            yield said
            ended.append("asked on")
            yield 0x0000, None
        finally:
            ended.append("closed")

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find", 513)
        answers = await peer.answers()
        if not is_first:
            assert answers.pop(0).elements == {"Status": 0xFF00, "ErrorComment": "of the match"}
        (answer,) = answers
        assert answer.elements == elements
        assert answer.identifier == b""
        assert answer.command["AffectedSOPClassUID"] == STUDY_FIND
        assert answer.command["CommandField"] == 0x8020
        assert answer.command["MessageIDBeingRespondedTo"] == 513
        assert ended == ["closed"]


async def agen(event: Any) -> AsyncIterator[Any]:
    for number in range(3):
        yield 0xFF00, match(number)


def plain(event: Any) -> Iterator[Any]:
    for number in range(3):
        yield 0xFF00, match(number)


def listed(event: Any) -> list[Any]:
    return [(0xFF00, match(number)) for number in range(3)]


async def listed_later(event: Any) -> list[Any]:
    await asyncio.sleep(0)
    return listed(event)


def bytes_too(event: Any) -> Iterator[Any]:
    for number in range(3):
        yield 0xFF00, encode_data_set(match(number), event.transfer_syntax_uid)


def together(event: Any) -> Iterator[Any]:
    yield EncodedMatches(0xFF00, [encode_data_set(match(number), event.transfer_syntax_uid) for number in range(3)])


@pytest.mark.parametrize(
    "handler", [agen, plain, listed, listed_later, bytes_too, together], ids=lambda item: item.__name__
)
async def test_matches(handler: Any) -> None:
    async with serving(find=handler) as port, await Requestor.open(port) as peer:
        peer.ask("find")
        *matches, final = await peer.answers()
        assert [found.elements for found in matches] == [{"Status": 0xFF00}] * 3
        assert [found.identifier for found in matches] == [encode_data_set(match(n), EXPLICIT) for n in range(3)]
        assert final.elements == {"Status": 0x0000}


async def test_matches_that_go_out_together_and_others() -> None:
    def find(event: Any) -> Iterator[Any]:
        encoded = [encode_data_set(match(number), EXPLICIT) for number in range(300)]
        yield 0xFF00, encoded[0]
        yield EncodedMatches(0xFF01, encoded[1:200])
        yield EncodedMatches(0xFF00, encoded[200:])
        yield 0xA700, None

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find", 7)
        *matches, final = await peer.answers()
        assert [found.identifier for found in matches] == [encode_data_set(match(n), EXPLICIT) for n in range(300)]
        assert [found.status for found in matches] == [0xFF00] + [0xFF01] * 199 + [0xFF00] * 100
        assert {found.command["MessageIDBeingRespondedTo"] for found in matches} == {7}
        assert final.elements == {"Status": 0xA700}


async def test_a_cancel_keeps_back_what_would_go_out_together() -> None:
    async def find(event: Any) -> AsyncIterator[Any]:
        encoded = [encode_data_set(match(number), EXPLICIT) for number in range(10)]
        yield EncodedMatches(0xFF00, encoded)
        await event.until_cancelled()
        yield EncodedMatches(0xFF00, encoded)

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find")
        for _ in range(10):
            assert (await peer.answer()).status == 0xFF00
        peer.cancel("find")
        assert (await peer.answer()).elements == {"Status": 0xFE00}


def nothing(event: Any) -> None:
    return None


def no_matches(event: Any) -> Iterator[Any]:
    yield from ()


async def refusing(event: Any) -> AsyncIterator[Any]:
    if event.message_id:
        raise NotAllowed("not this one")
    yield 0x0000, None


def breaking(event: Any) -> Iterator[Any]:
    yield 0xFF01, match(1)
    raise ValueError("Doe^John was not found")


def not_iterable(event: Any) -> Any:
    return object()


ENDS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "None": (nothing, [{"Status": 0}]),
    "no match": (no_matches, [{"Status": 0}]),
    "a status returned": (lambda event: 0xA700, [{"Status": 0xC311}]),
    "refusing": (refusing, [{"Status": 0x0124, "ErrorComment": "not this one"}]),
    "breaking": (breaking, [{"Status": 0xFF01}, {"Status": 0xC311}]),
    "not iterable": (not_iterable, [{"Status": 0xC311}]),
}


@pytest.mark.parametrize("name", ENDS)
async def test_how_handlers_end(name: str) -> None:
    handler, expected = ENDS[name]
    async with serving(find=handler) as port, await Requestor.open(port) as peer:
        with capture_logs() as logs:
            peer.ask("find")
            assert [answer.elements for answer in await peer.answers()] == expected
        assert "Doe" not in repr(logs)
        if name == "breaking":
            (line,) = [entry for entry in logs if entry["event"] == "handler_failed"]
            assert line["error"] == "ValueError"
            assert "breaking" in line["where"][-1]


# --- what never reaches the handler --------------------------------------------------------------------------------


REFUSED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no identifier": (
        request("find", identifier=None),
        {"Status": 0xA900, "ErrorComment": "the request has no identifier"},
    ),
    "other SOP class": (
        request("find", AffectedSOPClassUID="1.2.3"),
        {"Status": 0x0122, "ErrorComment": "the SOP class of the command is not that of its context"},
    ),
    "other service": (
        request("move", CommandField=0x0020),
        {"Status": 0x0122, "ErrorComment": "C-FIND over a context that is not for it"},
    ),
    "too large": (
        request("find", identifier=bytes(5 * 1024 * 1024)),
        {"Status": 0xA700, "ErrorComment": "the identifier is over the limit of 4194304 bytes"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_before_the_handler(name: str) -> None:
    asked: list[Any] = []
    sent, elements = REFUSED[name]
    async with serving(find=asked.append, move=asked.append) as port, await Requestor.open(port) as peer:
        peer.send(sent)
        assert (await peer.final()).elements == elements
        assert not asked
        peer.ask("find", 2)  # and the association goes on
        assert (await peer.final()).status == 0


@pytest.mark.parametrize("service", ["find", "get", "move"])
async def test_a_peer_that_may_not(service: str) -> None:
    handlers: Any = {service: no_matches}
    async with serving(may=frozenset({"echo", "store"}), **handlers) as port, await Requestor.open(port) as peer:
        peer.ask(service)
        assert (await peer.final()).elements == {
            "Status": 0x0124,
            "ErrorComment": f"C-{service.upper()} is not allowed for TESTER",
        }


async def test_an_operation_without_a_handler() -> None:
    async with serving(find=no_matches) as port, await Requestor.open(port) as peer:
        command = {"AffectedSOPClassUID": STUDY_FIND, "CommandField": 0x0021, "MessageID": 1, "CommandDataSetType": 1}
        peer.send(message(FIND_ID, command, IDENTIFIER))
        assert (await peer.final()).status == 0x0122


async def test_a_message_id_that_is_in_use() -> None:
    async def find(event: Any) -> AsyncIterator[Any]:
        yield 0xFF00, match(1)
        while event.message_id == 5 and len(event.association._queue) < 2:
            await asyncio.sleep(0.001)

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find", 5)
        assert (await peer.answer()).status == 0xFF00
        peer.ask("find", 5)
        peer.ask("find", 6)
        assert (await peer.answer()).elements == {"Status": 0x0000}
        assert (await peer.answer()).elements == {"Status": 0x0210, "ErrorComment": "Message ID 5 is in use"}
        assert (await peer.answer()).status == 0xFF00


MALFORMED = {
    "cut": IDENTIFIER[:-1],
    "length beyond the end": IDENTIFIER[:-4] + b"\xff",
    "text": b"this is no data set at all, whatever one does",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_identifier(name: str) -> None:
    """What can be read of it is there, as pynetdicom documents it; what cannot raises where it is used."""

    def find(event: Any) -> Iterator[Any]:
        yield 0xFF00, match(len(event.identifier.QueryRetrieveLevel))

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find", identifier=MALFORMED[name])
        assert [answer.status for answer in await peer.answers()] == ([0xC311] if name == "text" else [0xFF00, 0])


# --- the event -----------------------------------------------------------------------------------------------------


async def test_what_a_handler_sees() -> None:
    seen: dict[str, Any] = {}

    def find(event: Any) -> Iterator[Any]:
        seen.update(
            identifier=event.identifier,
            encoded=event.encoded_identifier,
            message_id=event.message_id,
            context=event.context,
            request=event.request,
            calling=event.assoc.requestor.ae_title,
            facts=event.facts.calling_ae_title,
            is_cancelled=event.is_cancelled,
            timestamp=event.timestamp,
            event=event.event.name,
        )
        with pytest.raises(AttributeError):
            event.move_destination  # noqa: B018 - it must not be there
        yield 0x0000, None

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find", 77, Priority=2)
        assert (await peer.final()).status == 0
    assert seen["identifier"].StudyInstanceUID == "1.2"
    assert seen["identifier"].QueryRetrieveLevel == "STUDY"
    assert seen["encoded"] == IDENTIFIER == seen["request"].Identifier.getvalue()
    assert (seen["message_id"], seen["request"].MessageID, seen["request"].Priority) == (77, 77, 2)
    assert seen["context"] == (FIND_ID, STUDY_FIND, EXPLICIT)
    assert seen["calling"] == seen["facts"] == "TESTER"
    assert seen["is_cancelled"] is False
    assert seen["timestamp"].tzinfo is None
    assert seen["event"] == "EVT_C_FIND"


async def test_one_match_at_most_of_relevant_patient_information() -> None:
    uid = "1.2.840.10008.5.1.4.37.1"
    contexts = [ProposedContext(uid, (EXPLICIT,))]
    async with serving(find=plain) as port, await Requestor.open(port, contexts=contexts) as peer:
        peer.ask("find", AffectedSOPClassUID=uid)
        assert [answer.status for answer in await peer.answers()] == [0xFF00, 0x0000]


# --- cut short -----------------------------------------------------------------------------------------------------


class Watched:
    """A handler with a given manner; knows how it ended."""

    def __init__(self) -> None:
        self.is_begun = False
        self.is_closed = asyncio.Event()
        self.sent = 0

    async def endless(self, event: Any) -> AsyncIterator[Any]:
        """Never looks at `is_cancelled`."""
        large = match(1)
        large.StudyDescription = "x" * 64
        large.add_new(0x00091010, "UN", bytes(4000))
        identifier = encode_data_set(large, EXPLICIT)
        self.is_begun = True
        try:
            while True:
                self.sent += 1
                yield 0xFF00, identifier
        finally:
            self.is_closed.set()

    async def waiting(self, event: Any) -> AsyncIterator[Any]:
        """Blocks in its own waiting after the first match."""
        self.is_begun = True
        try:
            yield 0xFF00, match(1)
            await asyncio.Event().wait()
        finally:
            self.is_closed.set()

    def looking(self, event: Any) -> Iterator[Any]:
        """As pynetdicom documents it."""
        loop = event.association._loop
        self.is_begun = True
        try:
            while True:
                if event.is_cancelled:
                    assert event.is_cancelled  # as often as asked
                    yield 0xFE00, None
                    return
                yield 0xFF00, match(1)
        finally:
            loop.call_soon_threadsafe(self.is_closed.set)

    async def listening(self, event: Any) -> AsyncIterator[Any]:
        """Waits for the cancel itself."""
        self.is_begun = True
        try:
            yield 0xFF00, match(1)
            await event.until_cancelled()
            yield 0xFE00, None
        finally:
            self.is_closed.set()


MANNERS = ["endless", "waiting", "looking", "listening"]


@pytest.mark.parametrize("manner", MANNERS)
async def test_early_cancel_50_of_50(manner: str) -> None:
    """The C-CANCEL is in the same write as the request. On a busy machine the time of grace may be over before the
    handler's thread has begun with it: then there is nothing to close."""

    async def once() -> None:
        watched = Watched()
        async with serving(find=getattr(watched, manner)) as port, await Requestor.open(port) as peer:
            peer.send(request("find", 9) + cancel("find", 9))
            final = await peer.final()
            assert final.elements == {"Status": 0xFE00}
            if watched.is_begun:
                async with asyncio.timeout(GUARD_S):
                    await watched.is_closed.wait()

    for _ in range(5):
        await asyncio.gather(*(once() for _ in range(10)))


@pytest.mark.campaign
@pytest.mark.parametrize("manner", MANNERS)
async def test_cancel_in_the_middle_50_of_50(manner: str) -> None:
    async def once() -> None:
        watched = Watched()
        async with serving(find=getattr(watched, manner)) as port, await Requestor.open(port) as peer:
            peer.ask("find", 9)
            assert (await peer.answer()).status == 0xFF00
            peer.cancel("find", 9)
            final = await peer.final()
            assert final.elements == {"Status": 0xFE00}
            await watched.is_closed.wait()
            peer.ask("find", 10)  # the next operation is not cancelled
            assert (await peer.answer()).status == 0xFF00

    for _ in range(5):
        await asyncio.gather(*(once() for _ in range(10)))


async def test_a_cancel_of_something_else_changes_nothing() -> None:
    async with serving(find=plain) as port, await Requestor.open(port) as peer:
        for _ in range(15):
            peer.cancel("find", 4)
        peer.ask("find", 5)
        peer.cancel("find", 6)
        assert [answer.status for answer in await peer.answers()] == [0xFF00] * 3 + [0x0000]


@pytest.mark.parametrize("manner", MANNERS)
async def test_release_in_the_middle(manner: str) -> None:
    watched = Watched()
    async with serving(find=getattr(watched, manner)) as port, await Requestor.open(port) as peer:
        peer.ask("find")
        assert (await peer.answer()).status == 0xFF00
        async with asyncio.timeout(GUARD_S):
            peer.send(RELEASE_RQ)
            while (pdu := await peer.pdu())[0] == 4:
                pass
        assert pdu == RELEASE_RP
        async with asyncio.timeout(GUARD_S):
            await watched.is_closed.wait()


@pytest.mark.parametrize("how", ["abort", "closed"])
@pytest.mark.parametrize("manner", MANNERS)
async def test_abort_in_the_middle(manner: str, how: str) -> None:
    watched = Watched()
    async with serving(find=getattr(watched, manner)) as port:
        async with await Requestor.open(port) as peer:
            peer.ask("find")
            assert (await peer.answer()).status == 0xFF00
            if how == "abort":
                peer.send(encode_abort(0, 0))
        async with asyncio.timeout(GUARD_S):
            await watched.is_closed.wait()


async def test_a_stuck_thread_does_not_hold_up_the_end() -> None:
    go_on, closed = threading.Event(), threading.Event()

    def find(event: Any) -> Iterator[Any]:
        try:
            yield 0xFF00, match(1)
            go_on.wait(120.0)
            yield 0xFF00, match(2)
        finally:
            closed.set()

    async with serving(find=find) as port, await Requestor.open(port) as peer:
        peer.ask("find")
        assert (await peer.answer()).status == 0xFF00
        async with asyncio.timeout(GUARD_S):
            peer.cancel("find")
            assert (await peer.final()).elements == {"Status": 0xFE00}
        go_on.set()
        assert await asyncio.to_thread(closed.wait, GUARD_S)


# --- many ------------------------------------------------------------------------------------------------------------


async def test_the_handler_is_not_read_faster_than_the_peer_takes() -> None:
    watched = Watched()
    async with serving(find=watched.endless) as port, await Requestor.open(port) as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        peer.ask("find")
        before, same = -1, 0
        while same < 5:
            await asyncio.sleep(0.05)
            same = same + 1 if watched.sent == before else 0
            before = watched.sent
        assert 0 < watched.sent < 10_000  # socket buffers and 256 KiB of ours, whatever they hold
        held = watched.sent
        peer.cancel("find")  # it is seen although the peer does not read
        async with asyncio.timeout(GUARD_S):
            await watched.is_closed.wait()
        assert watched.sent <= held + 2
        peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert (await peer.final()).elements == {"Status": 0xFE00}


async def test_several_operations_one_after_the_other_and_ahead() -> None:
    async with serving(find=plain) as port, await Requestor.open(port) as peer:
        for number in range(1, 21):
            peer.ask("find", number)
        for number in range(1, 21):
            answers: list[Answer] = await peer.answers()
            assert [answer.status for answer in answers] == [0xFF00] * 3 + [0x0000]
            assert {answer.command["MessageIDBeingRespondedTo"] for answer in answers} == {number}


async def test_others_have_their_turn_while_one_is_answered() -> None:
    watched = Watched()
    async with (
        serving(find=watched.endless) as port,
        await Requestor.open(port) as busy,
        await Requestor.open(port) as other,
    ):
        busy.ask("find")
        assert (await busy.answer()).status == 0xFF00
        async with asyncio.timeout(GUARD_S):
            other.ask("find")
            assert (await other.answer()).status == 0xFF00


async def test_what_arrives_during_an_operation_waits_for_its_end() -> None:
    go_on = asyncio.Event()
    stored: list[bytes] = []

    async def find(event: Any) -> AsyncIterator[Any]:
        yield 0xFF00, match(1)
        await go_on.wait()
        yield 0xFF00, match(2)

    def store(event: Any) -> int:
        stored.append(bytes(event.body.view()))
        return 0

    async with (
        serving(find=find, store=store) as port,
        await Requestor.open(port, associate=AssociateKeywords()) as peer,
    ):
        peer.ask("find", 1)
        assert (await peer.answer()).status == 0xFF00
        command = {
            "AffectedSOPClassUID": MR,
            "CommandField": 1,
            "MessageID": 2,
            "CommandDataSetType": 1,
            "AffectedSOPInstanceUID": "1.2.3",
        }
        peer.send(message(MR_ID, command, b"x" * 3000))
        go_on.set()
        assert [(await peer.answer()).status for _ in range(2)] == [0xFF00, 0x0000]
        answer = await peer.answer()
        assert (answer.command["CommandField"], answer.status) == (0x8001, 0)
    assert stored == [b"x" * 3000]
