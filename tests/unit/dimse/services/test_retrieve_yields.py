"""Yields of C-GET and C-MOVE handlers, read phase after phase."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.dataset import Dataset

from gateway.dimse.protocol.cancellation import Interrupted, OperationScope
from gateway.dimse.pynetdicom_contract.handler_yields import HandlerYields
from gateway.dimse.pynetdicom_contract.yields import UNKNOWN, MoveDestinations, RelayedCounters, SubOperationDone
from gateway.dimse.services.responding import FinalResponse, read_pair
from gateway.dimse.services.retrieve_statuses import GET, MOVE, ContractStatuses
from gateway.dimse.services.retrieve_yields import RetrieveYields, as_destinations, attempt
from gateway.model.dimse_status import HANDLER_GAVE_NO_ANSWER, SUCCESS, UNABLE_TO_PROCESS
from gateway.model.final_status import FinalStatus
from gateway.model.peer import Peer
from gateway.ports.errors import NotAllowed

PEER = Peer("ws1", "WS1", "127.0.0.1", 104)


class Failures:
    """An association that keeps what its handler did wrong."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def handler_failed(self, event: Any, error: Exception | str) -> None:
        self.found.append(error if isinstance(error, str) else type(error).__name__)


def event_of(statuses: ContractStatuses) -> Any:
    return SimpleNamespace(event=statuses.event, association=Failures(), has_failed=False)


def reading(*items: Any, statuses: ContractStatuses = MOVE, watch: OperationScope | None = None) -> RetrieveYields:
    """The yields of a handler that yields `items`; it raises those that are exceptions."""

    async def handler(event: Any) -> AsyncIterator[Any]:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item

    event = event_of(statuses)
    return RetrieveYields(event, HandlerYields(handler, (event,), watch or OperationScope()), statuses)


async def status_of(awaited: Any) -> int:
    with pytest.raises(FinalResponse) as raised:
        await awaited
    return int(raised.value.elements["Status"])


async def test_a_good_handler_is_read_to_its_end() -> None:
    first, second = Dataset(), Dataset()
    yields = reading(("127.0.0.1", 104), 2, (0xFF00, first), (0xFF00, second))
    assert (await yields.destinations()).places == [("127.0.0.1", 104)]
    assert await yields.number() == 2
    assert await yields.next_pending(is_complete=False) == ({"Status": 0xFF00}, first)
    assert await yields.next_pending(is_complete=False) == ({"Status": 0xFF00}, second)
    assert await yields.next_pending(is_complete=True) is None
    assert yields.reason == ""
    await yields.close()


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ((None, None), 0xA801),
        (42, MOVE.bad_destination),
        (KeyError(), MOVE.bad_destination_yield),
        (NotAllowed("not for you"), NotAllowed.dimse_status),
        (FinalStatus(UNABLE_TO_PROCESS, "no"), UNABLE_TO_PROCESS),
        ((0xA702, None), 0xA702),
    ],
)
async def test_no_destination(item: Any, status: int) -> None:
    assert await status_of(reading(item).destinations()) == status


async def test_a_handler_that_ends_without_a_destination() -> None:
    assert await status_of(reading().destinations()) == MOVE.bad_destination_yield


@pytest.mark.parametrize(("item", "number"), [(3, 3), ("4", 4), (-1, 0), (UNKNOWN, None)])
async def test_a_number(item: Any, number: int | None) -> None:
    assert await reading(item, statuses=GET).number() == number


@pytest.mark.parametrize(
    ("items", "status"),
    [(("many",), GET.bad_number), ((), GET.bad_number), ((0x10000,), GET.too_many), ((OSError(),), GET.bad_number)],
)
async def test_no_number(items: tuple[Any, ...], status: int) -> None:
    assert await status_of(reading(*items, statuses=GET).number()) == status


async def test_a_handler_that_raises_when_it_is_called_has_the_status_of_all_failures() -> None:
    def handler(event: Any) -> Any:
        raise KeyError

    event = event_of(GET)
    yields = RetrieveYields(event, HandlerYields(handler, (event,), OperationScope()), GET)
    assert await status_of(yields.number()) == GET.failed
    assert event.association.found == ["KeyError"]
    await yields.close()


async def test_a_final_status_of_the_gateways_own_has_its_reason() -> None:
    yields = reading(FinalStatus(UNABLE_TO_PROCESS, "the archive is down"))
    assert await status_of(yields.next_pending(is_complete=False)) == UNABLE_TO_PROCESS
    assert yields.reason == "the archive is down"


@pytest.mark.parametrize("item", [(0xB000, None), KeyError(), (0xFF00, Dataset())])
async def test_nothing_counts_after_all_are_complete(item: Any) -> None:
    assert await reading(item).next_pending(is_complete=True) is None


async def test_counters_and_final_statuses_of_the_gateway_count_after_all_are_complete() -> None:
    yields = reading((0xFF00, done := SubOperationDone(1)), (FinalStatus(SUCCESS), relayed := RelayedCounters(0, 1)))
    assert await yields.next_pending(is_complete=True) == ({"Status": 0xFF00}, done)
    with pytest.raises(FinalResponse) as raised:
        await yields.next_pending(is_complete=True)
    assert raised.value.value is relayed


async def test_an_interrupted_operation_reads_nothing_more() -> None:
    watch = OperationScope()
    watch.end("gone")
    with pytest.raises(Interrupted):
        await reading(1, watch=watch).number()


@pytest.mark.parametrize(
    ("item", "places"),
    [
        (PEER, [PEER]),
        (("127.0.0.1", 104), [("127.0.0.1", 104)]),
        (["127.0.0.1", 104], [("127.0.0.1", 104)]),
        ([PEER, ("127.0.0.1", 104)], [PEER, ("127.0.0.1", 104)]),
        (MoveDestinations([PEER], associations=3), [PEER]),
    ],
)
def test_destinations(item: Any, places: list[Any]) -> None:
    assert list(as_destinations(item).places) == places


def test_an_attempt_that_fails_is_the_handlers_fault() -> None:
    event = event_of(GET)
    with pytest.raises(FinalResponse) as raised:
        attempt(event, lambda: int("x"), 0xC413)
    assert raised.value.elements == {"Status": 0xC413}
    assert (event.has_failed, event.association.found) == (True, ["ValueError"])


@pytest.mark.parametrize(
    ("item", "elements", "value"),
    [
        ((0xFF00, "it"), {"Status": 0xFF00}, "it"),
        ([0xFF00, "it"], {"Status": 0xFF00}, "it"),
        ((0, None), {"Status": 0}, None),
        (0xFE00, {"Status": 0xFE00}, None),
        ((0x10000, None), {"Status": HANDLER_GAVE_NO_ANSWER}, None),
        ((-1, None), {"Status": HANDLER_GAVE_NO_ANSWER}, None),
        (("0", None), {"Status": HANDLER_GAVE_NO_ANSWER}, None),
    ],
)
def test_a_pair_is_read_alike_whatever_it_comes_in(item: Any, elements: dict[str, int], value: Any) -> None:
    assert read_pair(item) == (elements, value)


@pytest.mark.parametrize("item", [(), (1, 2, 3), None, object()])
def test_what_is_no_pair_is_refused(item: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_pair(item)
