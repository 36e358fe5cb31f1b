"""The one C-STORE sender: the choice of the form, the request, and the turns with other users of a pool in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.associate import ProposedContext
from gateway.sending.store_sender import Answered, StoreResponse, StoreSender

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
CONTEXTS = (ProposedContext(CT, (EXPLICIT,)),)


class Association:
    """Accepts CT images in two transfer syntaxes."""

    def __init__(self) -> None:
        self.accepted = {(CT, IMPLICIT): 1, (CT, JPEG): 3}
        self.is_open, self.is_busy = True, False
        self.window = 1
        self.requests: list[dict[str, Any]] = []
        self.unanswered: list[Answered] = []

    def has_proposed(self, contexts: Iterable[ProposedContext]) -> bool:
        return set(contexts) <= set(CONTEXTS)

    async def c_store(self, **request: Any) -> StoreResponse:
        self.requests.append(request)
        return StoreResponse(0xB000, "coerced")

    async def begin_store(self, *, answered: Answered, **request: Any) -> None:
        if request["sop_instance_uid"] == "cannot be written":
            raise ValueError
        self.requests.append(request)
        self.unanswered.append(answered)


class Pool:
    """Lets the test say that another user waits."""

    def __init__(self) -> None:
        self.is_awaiting = False
        self.released: list[Association] = []
        self.discarded: list[Association] = []
        self.holders: set[Callable[[], None]] = set()

    def release(self, association: Association) -> None:
        self.released.append(association)

    def discard(self, association: Association) -> asyncio.Task[None]:
        self.discarded.append(association)
        return asyncio.create_task(asyncio.sleep(0))

    def is_awaited(self, association: Association) -> bool:
        return self.is_awaiting

    def add_idle_holder(self, release_idle: Callable[[], None]) -> None:
        self.holders.add(release_idle)

    def remove_idle_holder(self, release_idle: Callable[[], None]) -> None:
        self.holders.discard(release_idle)

    def ask(self) -> None:
        """Another user has waited for long."""
        self.is_awaiting = True
        for release_idle in tuple(self.holders):
            release_idle()


def holding() -> tuple[StoreSender[Association], Pool, Association]:
    pool, association = Pool(), Association()
    sender = StoreSender(pool)
    sender.hold(association)
    return sender, pool, association


@pytest.mark.parametrize(
    ("syntaxes", "chosen"),
    [([EXPLICIT, IMPLICIT], IMPLICIT), ([JPEG], JPEG), ([JPEG, IMPLICIT], JPEG), ([EXPLICIT], ""), ([], "")],
)
async def test_the_first_form_that_the_peer_accepted_is_chosen(syntaxes: list[str], chosen: str) -> None:
    sender, _, _ = holding()
    assert sender.form_for(CT, syntaxes) == chosen
    assert sender.form_for("1.2.840.10008.5.1.4.1.1.4", syntaxes) == ""


async def test_without_an_association_there_is_no_form() -> None:
    sender = StoreSender(Pool())
    assert sender.form_for(CT, [IMPLICIT]) == ""
    assert not sender.is_open
    assert not sender.is_fit(CONTEXTS)
    assert sender.discard() is None


async def test_the_request_goes_out_as_it_is_given() -> None:
    sender, _, association = holding()
    body = MemoryDataSet(b"data set")
    assert await sender.send(CT, "1.2.3", IMPLICIT, body) == StoreResponse(0xB000, "coerced")
    await sender.send(CT, "1.2.4", JPEG, body, priority=1, move_originator=("WS1", 7))
    first = {"sop_class_uid": CT, "sop_instance_uid": "1.2.3", "transfer_syntax_uid": IMPLICIT, "body": body}
    second = {"sop_class_uid": CT, "sop_instance_uid": "1.2.4", "transfer_syntax_uid": JPEG, "body": body}
    assert association.requests == [first, {**second, "priority": 1, "move_originator": ("WS1", 7)}]


@pytest.mark.parametrize(
    ("change", "is_fit"),
    [({}, True), ({"is_open": False}, False), ({"is_busy": True}, False), ({"has_proposed": lambda _: False}, False)],
    ids=["as it is", "lost", "in the middle of a request", "other contexts"],
)
async def test_fitness(change: dict[str, Any], *, is_fit: bool) -> None:
    sender, _, association = holding()
    for name, value in change.items():
        setattr(association, name, value)
    assert sender.is_fit(CONTEXTS) is is_fit
    assert sender.is_open is (change != {"is_open": False})


async def test_between_two_objects_another_user_has_its_turn() -> None:
    heard: list[str] = []
    pool, association = Pool(), Association()
    sender = StoreSender(pool, lambda: heard.append("released"))
    sender.hold(association)
    sender.begin()
    pool.ask()
    assert (pool.released, heard) == ([], []), "not in the middle of an object"
    assert not sender.end()
    assert (pool.released, heard, pool.holders) == ([association], ["released"], set())
    assert sender.association is None


async def test_what_nobody_waits_for_stays() -> None:
    sender, pool, association = holding()
    sender.begin()
    assert sender.end()
    assert sender.association is association
    assert pool.released == []
    pool.ask()
    assert pool.released == [association], "an idle one is released as soon as it is asked for"


async def test_release_and_discard_let_go_once() -> None:
    sender, pool, association = holding()
    sender.release()
    sender.release()
    assert (pool.released, pool.discarded, pool.holders) == ([association], [], set())
    sender.hold(association)
    ending = sender.discard()
    assert ending is not None
    await ending
    assert sender.discard() is None
    assert (pool.released, pool.discarded, pool.holders) == ([association], [association], set())


@pytest.mark.parametrize(
    ("window", "change", "expected"),
    [(1, {}, 1), (4, {}, 4), (4, {"is_open": False}, 1), (4, {"is_awaiting": True}, 1)],
    ids=["none was granted", "as granted", "lost", "another user waits"],
)
async def test_the_window_of_the_association(window: int, change: dict[str, bool], expected: int) -> None:
    sender, pool, association = holding()
    association.window = window
    for name, value in change.items():
        setattr(pool if name == "is_awaiting" else association, name, value)
    assert sender.window == expected
    sender.release()
    assert sender.window == 1


async def test_an_association_stays_until_the_last_response_came() -> None:
    sender, pool, association = holding()
    heard: list[StoreResponse | None] = []
    for uid in ("1", "2"):
        await sender.begin_store(CT, uid, JPEG, MemoryDataSet(b""), heard.append)
    with pytest.raises(ValueError, match=r"^$"):
        await sender.begin_store(CT, "cannot be written", JPEG, MemoryDataSet(b""), heard.append)
    pool.ask()
    association.unanswered[1](StoreResponse(0))
    assert pool.released == []
    association.unanswered[0](None)
    assert pool.released == [association]
    assert heard == [StoreResponse(0), None]
    assert [request["sop_instance_uid"] for request in association.requests] == ["1", "2"]
