"""Operators' verbs over HTTP on a store: names are checked, dry runs do nothing, undos put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.app.operators import GatewayOperators, answered
from gateway.model.delivery import DeliveryState
from gateway.operations.background_verbs import TooManyVerbs
from gateway.operations.store_on_file import StoreOnFile
from gateway.operations.undoing import CannotUndo
from gateway.operations.verb_request import WrongRequest
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import QueueBroken, SpoolFull
from gateway.spool.journal_state import JournalClosed
from gateway.web.operators import Answer
from tests.support.fakes.memory_store import MemoryStore
from tests.support.processes import until
from tests.support.samples import TO_PACS, Clock, instance

NUMBER = 30
TO_PACS_ALL = {"filter": {"destination": "pacs"}}


class Site:
    def __init__(self, clock: Clock) -> None:
        self.access = StoreOnFile(MemoryStore(clock))
        self.operators = GatewayOperators(self.access, lambda: ["vna", "archive"], clock)

    async def number(self, state: DeliveryState, destination: str | None = None) -> int:
        which = DeliveryFilter(destination=destination)
        return await self.access.read(lambda store: store.administration.count(which, (state,)))


@pytest.fixture
async def site() -> Site:
    clock = Clock()
    made = Site(clock)
    arrivals = [(instance(number), [TO_PACS]) for number in range(NUMBER)]
    await made.access.write(lambda store: store.deliveries.accept(arrivals, clock()))
    return made


def body(answer: Answer, status: int = 200) -> Mapping[str, Any]:
    assert answer.status == status, answer
    return answer.body


async def test_a_verb_and_its_undo(site: Site) -> None:
    dry = body(await site.operators.begin_verb("hold", TO_PACS_ALL | {"dry_run": True}, "night"))
    assert dry == {"verb": "hold", "dry_run": True, "meant": NUMBER, "operation": 0, "left_out": []}
    assert body(await site.operators.operations(10)) == {"operations": []}
    begun = body(await site.operators.begin_verb("hold", TO_PACS_ALL | {"why": "full"}, "night"), 202)
    assert (begun["meant"], begun["operation"]) == (NUMBER, 1)

    async def is_complete() -> bool:
        return bool(body(await site.operators.operation(1))["state"] == "complete")

    await until(is_complete, what="the end of the verb")
    (listed,) = body(await site.operators.operations(10))["operations"]
    assert (listed["operator"], listed["why"], listed["done"]) == ("night (HTTP)", "full", NUMBER)
    assert await site.number(DeliveryState.HELD) == NUMBER
    looked_at = body(await site.operators.undo(1, {"dry_run": True}, "day"))
    assert (looked_at["dry_run"], looked_at["done"]) == (True, NUMBER)
    assert await site.number(DeliveryState.HELD) == NUMBER
    with capture_logs() as logs:
        undone = body(await site.operators.undo(1, {"why": "the wrong one"}, "day"))
    said = {"event": "operation_undone", "verb": "hold", "deliveries": NUMBER, "user": "day (HTTP)", "operation": 1}
    assert logs == [{**said, "log_level": "info"}]
    assert (undone["verb"], undone["done"], undone["not_kept"]) == ("hold", NUMBER, 0)
    assert await site.number(DeliveryState.PENDING) == NUMBER
    assert "was undone already" in body(await site.operators.undo(1, {}, "day"), 409)["message"]
    assert body(await site.operators.operation(99), 404) == {"message": "there is no operation 99"}
    await site.operators.end()


@pytest.mark.parametrize(
    ("verb", "wanted", "words"),
    [
        ("retarget", TO_PACS_ALL | {"to": "vnb"}, "`to`: 'vnb' is no destination (did you mean `vna`?)"),
        ("hold", {"filter": {"destination": "pasc"}}, "`filter.destination`: 'pasc' is no destination"),
        ("hold", {"al": True}, "`al` is not known"),
    ],
)
async def test_what_is_wrong_is_refused(site: Site, verb: str, wanted: dict[str, object], words: str) -> None:
    assert words in body(await site.operators.begin_verb(verb, wanted, "night"), 400)["message"]


async def test_a_destination_that_only_the_queue_knows(site: Site) -> None:
    begun = body(await site.operators.begin_verb("retarget", TO_PACS_ALL | {"to": "vna"}, "night"), 202)
    assert begun["meant"] == NUMBER, "`pacs` is no peer any more"
    await site.operators.end()


@pytest.mark.parametrize("wanted", [{"al": True}, {"dry_run": 1}, {"why": "a\nb"}])
async def test_an_undo_that_is_none(site: Site, wanted: dict[str, object]) -> None:
    body(await site.operators.undo(1, wanted, "night"), 400)


ERRORS: dict[str, tuple[Exception, int]] = {
    "wrong": (WrongRequest("`all` is missing"), 400),
    "too late": (CannotUndo("operation 7 ended 90 s ago"), 409),
    "no room": (SpoolFull("the disk takes no more"), 503),
    "too many": (TooManyVerbs("4 verbs are under way"), 503),
    "closed": (JournalClosed("the gateway is stopping"), 503),
    "broken": (QueueBroken("restore it"), 500),
}


@pytest.mark.parametrize(("error", "status"), ERRORS.values(), ids=ERRORS)
async def test_errors_are_answers(error: Exception, status: int) -> None:
    async def fail() -> Answer:
        raise error

    assert await answered(fail()) == Answer(status, {"message": str(error)})
