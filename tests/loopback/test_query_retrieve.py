"""C-MOVE and C-GET as an SCP: statuses, counters, identifiers, several destinations, relayed counters."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from structlog.testing import capture_logs

from gateway.dimse.protocol.identifiers import encode_failed_list
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.yields import (
    UNKNOWN,
    EncodedInstance,
    MoveDestinations,
    RelayedCounters,
    SubOperationDone,
)
from gateway.dimse.services import retrieve_responses
from gateway.model.associate import AssociateKeywords, ProposedContext, Role
from gateway.model.peer import Peer
from gateway.ports.errors import NotAllowed, PayloadLost
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.dimse.acceptor_rig import read_message
from tests.support.dimse.query_rig import (
    CONTEXTS,
    STUDY_GET,
    STUDY_MOVE,
    Answer,
    Requestor,
    counters,
    encoded,
    image,
    serving,
    storing,
    uid,
)
from tests.support.dimse.rig import IMPLICIT
from tests.support.processes import GUARD_S, free_port

SERVICES = ["move", "get"]


class Storage:
    """A destination that answers what it is told to, and keeps what it got."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.received: list[Any] = []

    def __call__(self, event: Any) -> int:
        self.received.append((event.sop_instance_uid, event.request, bytes(event.body.view()), event.facts))
        return self.statuses.pop(0) if self.statuses else 0x0000

    @property
    def uids(self) -> list[str]:
        return [row[0] for row in self.received]


def handler_of(service: str, port: int, *items: Any, number: Any = None, head: tuple[Any, ...] | None = None) -> Any:
    """A handler that yields the destination (C-MOVE), the number, then `items`; an exception among them is raised."""
    announced = sum(1 for entry in items if _is_instance(entry)) if number is None else number
    first = (("127.0.0.1", port),) if service == "move" else ()

    def handler(event: Any) -> Iterator[Any]:
        for entry in (*(first if head is None else head), announced, *items):
            if isinstance(entry, Exception):
                raise entry
            yield entry

    return handler


def _is_instance(entry: Any) -> bool:
    return isinstance(entry, tuple) and entry[0] == 0xFF00 and isinstance(entry[1], Dataset | EncodedInstance)


async def ask(service: str, *items: Any, statuses: tuple[int, ...] = (), **more: Any) -> tuple[list[Answer], Storage]:
    """The responses to one request whose handler yields `items`, and what was stored."""
    storage = Storage(*statuses)
    async with storing(storage) as there:
        handlers: Any = {service: handler_of(service, there, *items, **more)}
        async with (
            serving(store=lambda event: 0x0110, **handlers) as port,
            await Requestor.open(port) as peer,
        ):
            peer.ask(service, 700)
            found: list[Answer] = []
            while not found or found[-1].status == 0xFF00:
                found.append(await _next(peer, storage))
            for answer in found:
                assert answer.command["AffectedSOPClassUID"] == {"move": STUDY_MOVE, "get": STUDY_GET}[service]
                assert answer.command["CommandField"] == {"move": 0x8021, "get": 0x8010}[service]
                assert answer.command["MessageIDBeingRespondedTo"] == 700
                assert bool(answer.identifier) == (answer.command["CommandDataSetType"] != 0x0101)
            return found, storage


async def _next(peer: Requestor, storage: Storage) -> Answer:
    while True:
        command, data, _ = await read_message(peer)
        if command["CommandField"] & 0x8000:
            return Answer(command, data)
        storage.received.append((command["AffectedSOPInstanceUID"], command, data, None))
        peer.accept_store(command, storage.statuses.pop(0) if storage.statuses else 0)


# --- the documented way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [image, encoded], ids=["data sets", "bytes"])
@pytest.mark.parametrize("service", SERVICES)
async def test_all_well(service: str, make: Any) -> None:
    answers, storage = await ask(service, *((0xFF00, make(number)) for number in range(3)))
    assert [answer.elements for answer in answers] == [
        {"Status": 0xFF00, **counters(1, 0, 0, remaining=2)},
        {"Status": 0xFF00, **counters(2, 0, 0, remaining=1)},
        {"Status": 0xFF00, **counters(3, 0, 0, remaining=0)},
        {"Status": 0x0000, **counters(3, 0, 0)},
    ]
    assert all(not answer.identifier for answer in answers)
    assert storage.uids == [uid(0), uid(1), uid(2)]
    assert [row[2] for row in storage.received] == [data_set(uid(number)) for number in range(3)]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("statuses", "final", "counted", "failed"),
    [
        pytest.param((0, 0xA700, 0xB000), 0xB000, (1, 1, 1), [1], id="one failed, one warned"),
        pytest.param((0xB007, 0, 0), 0xB000, (2, 0, 1), [], id="a warning alone"),
        pytest.param((0xC000, 0x0122, 0xFE00), 0xA702, (0, 3, 0), [0, 1, 2], id="all failed"),
        pytest.param((0x0107, 0x0001, 0x0116), 0xB000, (0, 0, 3), [], id="warnings of PS3.7"),
        pytest.param((0x1234, 0, 0), 0xB000, (2, 1, 0), [0], id="an unknown status"),
    ],
)
async def test_failures_are_counted_and_listed(
    service: str, statuses: tuple[int, ...], final: int, counted: tuple[int, int, int], failed: list[int]
) -> None:
    answers, _ = await ask(service, *((0xFF00, image(number)) for number in range(3)), statuses=statuses)
    assert len(answers) == 4
    assert answers[-1].elements == {"Status": final, **counters(*counted)}
    assert answers[-1].failed_uids == [uid(number) for number in failed]
    assert all(not answer.identifier for answer in answers[:-1])


async def test_what_a_destination_is_reported() -> None:
    _, storage = await ask("move", (0xFF00, image(1)))
    ((_, request, _, facts),) = storage.received
    assert facts.calling_ae_title == "GATEWAY"
    assert facts.called_ae_title == "STORE"
    assert request.MoveOriginatorApplicationEntityTitle == "TESTER"
    assert request.MoveOriginatorMessageID == 700
    assert request.Priority == 0


@pytest.mark.parametrize(("said", "told"), [(1, 1), (2, 2), (7, 0)])
async def test_priority_and_keywords_reach_the_destination(said: int, told: int) -> None:
    storage = Storage()
    async with storing(storage) as there:
        keywords = {"ae_title": "OTHER", "contexts": [ProposedContext(MR, (IMPLICIT,))], "max_pdu": 4096}
        head = (("127.0.0.1", there, keywords),)
        handler = handler_of("move", there, (0xFF00, image(1)), head=head)
        async with serving(move=handler) as port, await Requestor.open(port) as peer:
            peer.ask("move", Priority=said)
            assert (await peer.final()).elements == {"Status": 0, **counters(1, 0, 0)}
    ((_, request, data, facts),) = storage.received
    assert facts.called_ae_title == "OTHER"
    assert request.Priority == told
    assert data != data_set(uid(1))  # in Implicit VR, as the contexts ask
    assert data[4:8] == (len(MR) + 1 & ~1).to_bytes(4, "little")


# --- final statuses ------------------------------------------------------------------------------------------------

FINAL_STATUSES = [0xA701, 0xA702, 0xA801, 0xA900, 0xAA00, 0xAA01, 0xAA02, 0xAA03, 0xAA04, 0xC000, 0xC0FF, 0xCFFF]
FINAL_STATUSES += [0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0xA700, 0x1234]


def commented(status: int) -> Dataset:
    said = Dataset()
    said.Status = status
    said.ErrorComment = "why"
    said.OffendingElement = [0x0020000D]
    return said


COMMENT = {"ErrorComment": "why", "OffendingElement": (0x0020000D,)}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", FINAL_STATUSES, ids="{:04X}".format)
async def test_a_failure_at_any_point(status: int, service: str) -> None:
    answers, _ = await ask(service, number=(status, None), head=() if service == "get" else None)
    assert [answer.elements for answer in answers] == [{"Status": status}]
    assert not answers[0].identifier
    if service == "move":
        answers, _ = await ask(service, head=((commented(status), None),))
        assert [answer.elements for answer in answers] == [{"Status": status, **COMMENT}]
    answers, _ = await ask(service, (0xFF00, image(1)), (commented(status), None), number=3, statuses=(0xC000,))
    assert answers[-1].elements == {"Status": status, **COMMENT, **counters(0, 3, 0)}
    assert answers[-1].failed_uids == [uid(1)]
    answers, _ = await ask(service, (0xFF00, image(1)), status, number=2)
    assert answers[-1].elements == {"Status": status, **counters(1, 1, 0)}
    assert answers[-1].identifier == failed_uids_unknown()


def failed_uids_unknown() -> bytes:
    """An empty list: something has failed, and nobody said which instance."""
    return encode_failed_list((), EXPLICIT)


def failed_list(*uids: str) -> Dataset:
    dataset = Dataset()
    dataset.FailedSOPInstanceUIDList = list(uids)
    return dataset


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("said", "status", "expected", "failed"),
    [
        pytest.param((0xFE00, None), 0xFE00, counters(1, 1, 0, remaining=2), [2], id="cancel"),
        pytest.param(
            (0xFE00, failed_list("1.9", uid(2))),
            0xFE00,
            counters(1, 1, 0, remaining=2),
            [2, "1.9"],
            id="cancel with list",
        ),
        pytest.param((0xB000, None), 0xB000, counters(1, 3, 0), [2], id="warning"),
        pytest.param((0xB000, failed_list("1.8", "1.9")), 0xB000, counters(1, 3, 0), [2, "1.8", "1.9"], id="with list"),
        pytest.param((0x0000, None), 0xB000, counters(1, 3, 0), [2], id="success too early"),
        pytest.param((0xA702, failed_list("1.7")), 0xA702, counters(1, 3, 0), [2, "1.7"], id="failure with list"),
    ],
)
async def test_ends_before_the_announced_number(
    service: str, said: Any, status: int, expected: dict[str, int], failed: list[Any]
) -> None:
    pairs = [(0xFF00, image(1)), (0xFF00, image(2)), said, (0xFF00, image(3))]
    answers, storage = await ask(service, *pairs, number=4, statuses=(0, 0xA700))
    assert answers[-1].elements == {"Status": status, **expected}
    assert answers[-1].failed_uids == [uid(item) if isinstance(item, int) else item for item in failed]
    assert storage.uids == [uid(1), uid(2)]


# --- odd handlers ---------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    "get: number is text": (("get", "x"), {"Status": 0xC413}),
    "get: nothing at all": (("get", ValueError("Doe^John")), {"Status": 0xC413}),
    "get: too many": (("get", 65536), {"Status": 0xC416}),
    "get: none": (("get", 0), {"Status": 0x0000, **counters(0, 0, 0)}),
    "get: pending too early": (("get", (0xFF00, None)), {"Status": 0xC413}),
    "get: text in a pair": (("get", 1, ("text", None)), {"Status": 0xC002, **counters(0, 1, 0)}),
    "get: no pair": (("get", 1, "text"), {"Status": 0xC411, **counters(0, 1, 0)}),
    "get: breaks": (("get", 2, ValueError("Doe^John")), {"Status": 0xC411, **counters(0, 2, 0)}),
    "get: refuses": (
        ("get", 2, NotAllowed("not you")),
        {"Status": 0x0124, "ErrorComment": "not you", **counters(0, 2, 0)},
    ),
    "get: fewer than announced": (("get", 3), {"Status": 0xA702, **counters(0, 3, 0)}),
    "get: an empty number": (("get", None), {"Status": 0xC413}),
    "get: an unknown number, and nothing": (("get", UNKNOWN), {"Status": 0x0000, **counters(0, 0, 0)}),
    "move: breaks first": (("move", ValueError("Doe^John")), {"Status": 0xC514}),
    "move: nothing": (("move",), {"Status": 0xC514}),
    "move: unknown": (("move", (None, None)), {"Status": 0xA801}),
    "move: unknown, with keywords": (("move", (None, None, {})), {"Status": 0xA801}),
    "move: a number first": (("move", 5), {"Status": 0xC515}),
    "move: port is text": (("move", ("127.0.0.1", "104"), 1), {"Status": 0xC515}),
    "move: unknown keyword": (("move", ("127.0.0.1", 104, {"colour": 1}), 1), {"Status": 0xC515}),
    "move: pending first": (("move", (0xFF00, None)), {"Status": 0xA801}),
    "move: pending and a data set first": (("move", (0xFF00, Dataset())), {"Status": 0xC513}),
    "move: no number": (("move", ("127.0.0.1", 104)), {"Status": 0xC513}),
    "move: number is text": (("move", ("127.0.0.1", 104), "x"), {"Status": 0xC513}),
    "move: number breaks": (("move", ("127.0.0.1", 104), ValueError("Doe^John")), {"Status": 0xC513}),
    "move: too many": (("move", ("127.0.0.1", 104), 65536), {"Status": 0xC516}),
    "move: none": (("move", ("127.0.0.1", 104), 0), {"Status": 0x0000, **counters(0, 0, 0)}),
    "move: breaks later": (
        ("move", ("127.0.0.1", 104), 2, ValueError("Doe^John")),
        {"Status": 0xC511, **counters(0, 2, 0)},
    ),
}


@pytest.mark.parametrize("is_async", [False, True], ids=["generator", "async generator"])
@pytest.mark.parametrize("name", WRONG)
async def test_odd_handlers(name: str, is_async: bool) -> None:
    (service, *said), elements = WRONG[name]

    def plain(event: Any) -> Iterator[Any]:
        for entry in said:
            if isinstance(entry, Exception):
                raise entry
            yield entry

    async def later(event: Any) -> AsyncIterator[Any]:
        for entry in said:
            if isinstance(entry, Exception):
                raise entry
            yield entry

    handlers: Any = {service: later if is_async else plain}
    async with serving(**handlers) as port, await Requestor.open(port) as peer:
        with capture_logs() as logs:
            peer.ask(service)
            (answer,) = await peer.answers()
        assert answer.elements == elements
        has_failed = elements.get("NumberOfFailedSuboperations", 0) > 0
        assert answer.identifier == (failed_uids_unknown() if has_failed else b"")
        assert "Doe" not in repr(logs)


@pytest.mark.parametrize("service", SERVICES)
async def test_more_than_announced_is_not_sent(service: str) -> None:
    answers, storage = await ask(service, *((0xFF00, image(number)) for number in range(3)), number=2)
    assert answers[-1].elements == {"Status": 0x0000, **counters(2, 0, 0)}
    assert storage.uids == [uid(0), uid(1)]


@pytest.mark.parametrize("service", SERVICES)
async def test_pairs_without_an_instance(service: str) -> None:
    nameless = image(5)
    del nameless.SOPInstanceUID
    pairs = [(0xFF00, None), (0xFF00, Dataset()), (0xFF00, "text"), (0xFF00, nameless), (0xFF00, image(1))]
    answers, storage = await ask(service, *pairs, number=3)
    assert [answer.elements for answer in answers] == [
        {"Status": 0xFF00, **counters(0, 1, 0, remaining=2)},
        {"Status": 0xFF00, **counters(0, 2, 0, remaining=1)},
        {"Status": 0xFF00, **counters(1, 2, 0, remaining=0)},
        {"Status": 0xB000, **counters(1, 2, 0)},
    ]
    assert storage.uids == [uid(1)]


@pytest.mark.parametrize("service", SERVICES)
async def test_an_instance_that_cannot_be_opened(service: str) -> None:
    async def lost() -> MemoryDataSet:
        raise PayloadLost("gone")

    async def found() -> MemoryDataSet:
        await asyncio.sleep(0)
        return MemoryDataSet(data_set(uid(2)))

    pairs = [
        (0xFF00, EncodedInstance(MR, uid(1), EXPLICIT, lost)),
        (0xFF00, EncodedInstance(MR, uid(2), EXPLICIT, found)),
    ]
    answers, storage = await ask(service, *pairs)
    assert answers[-1].elements == {"Status": 0xB000, **counters(1, 1, 0)}
    assert answers[-1].failed_uids == [uid(1)]
    assert storage.uids == [uid(2)]


async def test_the_same_data_set_changed_between_yields() -> None:
    """As handlers do that make many of one."""

    def move(event: Any) -> Iterator[Any]:
        yield "127.0.0.1", there
        yield 3
        dataset = image(0)
        for number in range(3):
            dataset.SOPInstanceUID = uid(number)
            yield 0xFF00, dataset

    storage = Storage()
    async with storing(storage) as there, serving(move=move) as port, await Requestor.open(port) as peer:
        peer.ask("move")
        assert (await peer.final()).elements == {"Status": 0, **counters(3, 0, 0)}
    assert storage.uids == [uid(0), uid(1), uid(2)]
    assert [row[2] for row in storage.received] == [data_set(uid(number)) for number in range(3)]


@pytest.mark.parametrize("destination", ["", "   "], ids=["empty", "spaces"])
async def test_a_move_destination_of_nothing(destination: str) -> None:
    async with serving(move=handler_of("move", 104)) as port, await Requestor.open(port) as peer:
        peer.ask("move", MoveDestination=destination)
        assert (await peer.final()).elements == {"Status": 0xA801, "ErrorComment": "the Move Destination is empty"}


# --- destinations ----------------------------------------------------------------------------------------------------


async def test_several_destinations_at_once() -> None:
    first, second = Storage(0, 0xA700), Storage(0xB000)
    async with storing(first) as one, storing(second) as two:
        head = ([("127.0.0.1", one, {"ae_title": "ONE"}), Peer("two", "TWO", "127.0.0.1", two)],)
        handler = handler_of("move", 0, *((0xFF00, encoded(number)) for number in range(3)), head=head)
        async with serving(move=handler) as port, await Requestor.open(port) as peer:
            peer.ask("move")
            answers = await peer.answers()
    assert [answer.elements for answer in answers] == [
        {"Status": 0xFF00, **counters(1, 0, 1, remaining=4)},
        {"Status": 0xFF00, **counters(2, 1, 1, remaining=2)},
        {"Status": 0xFF00, **counters(4, 1, 1, remaining=0)},
        {"Status": 0xB000, **counters(4, 1, 1)},
    ]
    assert answers[-1].failed_uids == [uid(1)]
    assert first.uids == second.uids == [uid(0), uid(1), uid(2)]
    assert {row[3].called_ae_title for row in first.received} == {"ONE"}
    assert {row[3].called_ae_title for row in second.received} == {"TWO"}


async def test_one_dead_destination_does_not_stop_the_others() -> None:
    storage = Storage()
    async with storing(storage) as there:
        head = ([("127.0.0.1", free_port()), ("127.0.0.1", there)],)
        handler = handler_of("move", 0, *((0xFF00, image(number)) for number in range(3)), head=head)
        async with serving(move=handler) as port, await Requestor.open(port) as peer:
            peer.ask("move")
            final = await peer.final()
    assert final.elements == {"Status": 0xB000, **counters(3, 3, 0)}
    assert final.failed_uids == storage.uids == [uid(0), uid(1), uid(2)]


async def test_no_destination_at_all_is_a_failure_with_every_instance_listed() -> None:
    handler = handler_of("move", free_port(), *((0xFF00, image(number)) for number in range(3)))
    async with serving(move=handler) as port, await Requestor.open(port) as peer:
        peer.ask("move")
        final = await peer.final()
    assert final.elements == {"Status": 0xA702, **counters(0, 3, 0)}
    assert final.failed_uids == [uid(0), uid(1), uid(2)]


async def test_a_destination_that_loses_an_association_is_asked_again() -> None:
    class Losing(Storage):
        def __call__(self, event: Any) -> int:
            status = super().__call__(event)
            if len(self.received) == 2:
                event.assoc.abort()
            return status

    storage = Losing()
    answers, _ = await ask_of(storage, *((0xFF00, image(number)) for number in range(3)))
    assert answers[-1].elements == {"Status": 0x0000, **counters(3, 0, 0)}
    assert storage.uids == [uid(0), uid(1), uid(1), uid(2)]


async def test_a_destination_that_always_aborts_is_given_up() -> None:
    class Aborting(Storage):
        def __call__(self, event: Any) -> int:
            super().__call__(event)
            event.assoc.abort()
            return 0

    storage = Aborting()
    answers, _ = await ask_of(storage, *((0xFF00, image(number)) for number in range(3)))
    assert answers[-1].elements == {"Status": 0xA702, **counters(0, 3, 0)}
    assert answers[-1].failed_uids == [uid(0), uid(1), uid(2)]
    assert storage.uids == [uid(0), uid(0)]


async def ask_of(storage: Storage, *items: Any) -> tuple[list[Answer], Storage]:
    async with storing(storage) as there:
        handler = handler_of("move", there, *items)
        async with serving(move=handler) as port, await Requestor.open(port) as peer:
            peer.ask("move")
            return await peer.answers(), storage


async def test_several_associations_to_a_destination() -> None:
    at_once: list[int] = []
    working = 0
    are_three = asyncio.Event()

    async def store(event: Any) -> int:
        nonlocal working
        working += 1
        at_once.append(working)
        if working >= 3:
            are_three.set()
        await are_three.wait()
        await asyncio.sleep(0)
        working -= 1
        return 0

    async with storing(store) as there:
        head = (MoveDestinations([("127.0.0.1", there)], associations=3, originator_ae_title="SOMEBODY"),)
        handler = handler_of("move", 0, *((0xFF00, encoded(number)) for number in range(9)), head=head)
        async with serving(move=handler) as port, await Requestor.open(port) as peer:
            peer.ask("move")
            answers = await peer.answers()
    assert max(at_once) == 3
    assert len(answers) == 10
    assert answers[-1].elements == {"Status": 0, **counters(9, 0, 0)}


async def test_associations_are_kept_for_the_next_operation() -> None:
    seen: list[str] = []

    def store(event: Any) -> int:
        seen.append(event.facts.association_id)
        return 0

    async with storing(store) as there:
        handler = handler_of("move", there, (0xFF00, image(1)))
        async with serving(move=handler) as port, await Requestor.open(port) as peer:
            for number in range(1, 4):
                peer.ask("move", number)
                assert (await peer.final()).status == 0
    assert len(seen) == 3
    assert len(set(seen)) == 1


# --- done elsewhere -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
async def test_sub_operations_done_elsewhere(service: str) -> None:
    done = SubOperationDone(completed=2, failed=1, failed_sop_instance_uids=("1.9",))
    answers, storage = await ask(service, (0xFF00, done), (0xFF00, image(1)), number=4)
    assert [answer.elements for answer in answers] == [
        {"Status": 0xFF00, **counters(2, 1, 0, remaining=1)},
        {"Status": 0xFF00, **counters(3, 1, 0, remaining=0)},
        {"Status": 0xB000, **counters(3, 1, 0)},
    ]
    assert answers[-1].failed_uids == ["1.9"]
    assert storage.uids == [uid(1)]


@pytest.mark.parametrize("service", SERVICES)
async def test_counters_of_somebody_else(service: str) -> None:
    def handler(event: Any) -> Iterator[Any]:
        if service == "move":
            yield []
        yield UNKNOWN
        yield 0xFF00, RelayedCounters()
        yield 0xFF00, RelayedCounters(remaining=2, completed=1)
        yield 0xFF00, RelayedCounters(remaining=0, completed=1, failed=2, failed_sop_instance_uids=("1.1", "1.2"))
        yield 0xB000, RelayedCounters(completed=1, failed=2)

    handlers: Any = {service: handler}
    async with serving(**handlers) as port, await Requestor.open(port) as peer:
        peer.ask(service)
        answers = await peer.answers()
    assert [answer.elements for answer in answers] == [
        {"Status": 0xFF00, **counters(0, 0, 0)},
        {"Status": 0xFF00, **counters(1, 0, 0, remaining=2)},
        {"Status": 0xFF00, **counters(1, 2, 0, remaining=0)},
        {"Status": 0xB000, **counters(1, 2, 0)},
    ]
    assert answers[-1].failed_uids == ["1.1", "1.2"]


# --- C-GET ----------------------------------------------------------------------------------------------------------


async def test_contexts_that_were_not_accepted_are_failures() -> None:
    ct = image(2)
    ct.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    answers, storage = await ask("get", (0xFF00, image(1)), (0xFF00, ct), (0xFF00, encoded(3)))
    assert answers[-1].elements == {"Status": 0xB000, **counters(2, 1, 0)}
    assert answers[-1].failed_uids == [uid(2)]
    assert storage.uids == [uid(1), uid(3)]


@pytest.mark.parametrize(
    ("may", "associate", "completed"),
    [
        pytest.param({"get"}, AssociateKeywords(roles=(Role(MR, False, True),)), 1, id="scp alone"),
        pytest.param({"get"}, AssociateKeywords(roles=(Role(MR, True, True),)), 1, id="both, without C-STORE"),
        pytest.param({"get", "store"}, AssociateKeywords(roles=(Role(MR, True, True),)), 1, id="both"),
        pytest.param({"get", "store"}, AssociateKeywords(), 0, id="no role"),
        pytest.param({"get", "store"}, AssociateKeywords(roles=(Role(MR, True, False),)), 0, id="scu alone"),
    ],
)
async def test_roles(may: set[str], associate: AssociateKeywords, completed: int) -> None:
    handler = handler_of("get", 0, (0xFF00, encoded(1)))
    async with (
        serving(get=handler, store=lambda event: 0, may=frozenset(may)) as port,
        await Requestor.open(port, associate=associate) as peer,
    ):
        peer.ask("get")
        final = await peer.final()
    assert final.elements["NumberOfCompletedSuboperations"] == completed
    assert final.status == (0 if completed else 0xA702)


@pytest.mark.parametrize("make", [image, encoded], ids=["data set", "bytes"])
async def test_an_uncompressed_instance_is_rewritten_for_the_context(make: Any) -> None:
    contexts = (*CONTEXTS[:3], ProposedContext(MR, (IMPLICIT,)))
    handler = handler_of("get", 0, (0xFF00, make(1)))
    async with serving(get=handler) as port, await Requestor.open(port, contexts=contexts) as peer:
        storage = Storage()
        peer.ask("get")
        while (answer := await _next(peer, storage)).status == 0xFF00:
            pass
    assert answer.elements == {"Status": 0, **counters(1, 0, 0)}
    ((_, _, data, _),) = storage.received
    assert data[4:8] == (len(MR) + 1 & ~1).to_bytes(4, "little")
    assert len(data) > 1000


@pytest.mark.parametrize("make", [image, encoded], ids=["data set", "bytes"])
async def test_without_bulk_data(make: Any) -> None:
    model = "1.2.840.10008.5.1.4.1.2.5.3"
    contexts = (*CONTEXTS[:2], ProposedContext(model, (EXPLICIT,)), CONTEXTS[3])
    handler = handler_of("get", 0, (0xFF00, make(1)))
    async with serving(get=handler) as port, await Requestor.open(port, contexts=contexts) as peer:
        storage = Storage()
        peer.ask("get", AffectedSOPClassUID=model)
        while (answer := await _next(peer, storage)).status == 0xFF00:
            pass
    assert answer.status == 0
    ((_, _, data, _),) = storage.received
    whole = data_set(uid(1))
    assert data == whole[: len(data)]
    assert whole[len(data) : len(data) + 4] == bytes.fromhex("e07f1000")


async def test_keep_alive() -> None:
    async def get(event: Any) -> AsyncIterator[Any]:
        await event.until_cancelled()
        yield 4
        yield 0xFE00, None

    async with serving(get=get, keep_alive_s=0.02) as port, await Requestor.open(port) as peer:
        peer.ask("get")
        assert [(await peer.answer()).elements for _ in range(3)] == [{"Status": 0xFF00}] * 3
        peer.cancel("get")
        final = await peer.final()
        assert final.elements == {"Status": 0xFE00, **counters(0, 0, 0, remaining=4)}


# --- many ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(8))
async def test_the_last_instance_while_those_before_it_are_counted(turns: int) -> None:
    """The second of two at once is answered some turns of the loop after the first."""
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    arrived = itertools.count(1)

    async def store(event: Any) -> int:
        number = next(arrived)
        if number == 1:
            await first
        if number == 2:
            first.set_result(None)
            for _ in range(turns):
                await asyncio.sleep(0)
        return 0x0000

    async with storing(store) as there:

        async def move(event: Any) -> AsyncIterator[Any]:
            yield MoveDestinations([("127.0.0.1", there)], associations=2)
            yield 3
            for number in range(3):
                yield 0xFF00, encoded(number)

        async with serving(move=move) as port, await Requestor.open(port) as peer:
            peer.ask("move")
            final = await peer.final()
    assert final.elements == {"Status": 0x0000, **counters(3, 0, 0)}


async def test_pending_responses_become_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the sub-operations take on a machine that is busy."""
    monkeypatch.setattr(retrieve_responses, "REPORT_S", GUARD_S)
    number = 500
    answers, storage = await ask("move", *((0xFF00, encoded(each)) for each in range(number)))
    assert len(storage.uids) == number
    assert 64 <= len(answers) < number / 2
    assert answers[-1].elements == {"Status": 0x0000, **counters(number, 0, 0)}
    for before, after in itertools.pairwise(answers[:-1]):
        assert before.elements["NumberOfRemainingSuboperations"] > after.elements["NumberOfRemainingSuboperations"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("error", "level", "reason"),
    [
        (NotAllowed("ws1 may not move to STORE"), "warning", "ws1 may not move to STORE"),
        (ValueError("Doe^Jane"), "info", None),  # of a site's own handler; its text is not for the log
        (None, "info", None),
    ],
    ids=["refused by the gateway", "failed", "served"],
)
async def test_the_log_says_where_a_retrieve_was_to_go_and_why_it_was_refused(
    service: str, error: Exception | None, level: str, reason: str | None
) -> None:
    async def handler(event: Any) -> AsyncIterator[Any]:
        if error is not None:
            raise error
        if service == "move":
            yield MoveDestinations([("127.0.0.1", 1)])
        yield 0

    handlers: dict[str, Any] = {service: handler}
    with capture_logs() as logs:
        async with serving(**handlers) as port, await Requestor.open(port) as peer:
            peer.ask(service)
            await peer.final()
    (line,) = [line for line in logs if line["event"] == "retrieve_served"]
    assert (line["log_level"], line.get("reason")) == (level, reason)
    assert line.get("move_destination") == ("STORE" if service == "move" else None)
