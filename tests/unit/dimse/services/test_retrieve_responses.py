"""Pending and final responses of C-GET and C-MOVE."""

from __future__ import annotations

import asyncio
import io
from typing import Any, cast

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.yields import RelayedCounters
from gateway.dimse.services.counters import SubOperationCounters
from gateway.dimse.services.responding import FinalResponse
from gateway.dimse.services.retrieve_responses import REPORTED_EACH, RetrieveResponses, failed_list
from gateway.sending.store_outcome import SubOperationResult
from tests.support.dimse.rig import EXPLICIT

PENDING, SUCCESS, CANCEL, WARNING, FAILED = 0xFF00, 0x0000, 0xFE00, 0xB000, 0xA702


class Sender:
    """Keeps the responses."""

    begun_s = 0.0

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.identifiers: list[bytes] = []

    def send(self, elements: Command) -> None:
        self.sent.append(elements)

    async def send_with(self, elements: Command, identifier: Any) -> None:
        self.sent.append(elements)
        self.identifiers.append(bytes(identifier.view()))


class Requestor:
    is_sending = False
    keep_alive_s = 0.01


class Bench:
    def __init__(self, instances: int | None = None, *results: SubOperationResult) -> None:
        self.sender = Sender()
        self.watch = OperationScope()
        self.requestor = Requestor()
        requestor, sender = cast(Any, self.requestor), cast(Any, self.sender)
        self.responses = RetrieveResponses(requestor, sender, self.watch, EXPLICIT)
        if instances is not None:
            self.responses.counters = SubOperationCounters(instances)
            for number, result in enumerate(results):
                self.responses.counters.count(f"1.2.{number}", [result])

    async def conclude(self, status: int, value: Any = None) -> int:
        return await self.responses.conclude(FinalResponse({"Status": status}, value))

    @property
    def failed_uids(self) -> list[list[str]]:
        read = [dcmread(io.BytesIO(each), force=True) for each in self.sender.identifiers]
        return [failed_list(dataset) for dataset in read]


COMPLETED, FAILURE = SubOperationResult.COMPLETED, SubOperationResult.FAILED


async def test_a_pending_response_has_the_counters_and_the_remarks_once() -> None:
    bench = Bench(3, COMPLETED)
    bench.responses.remarks = {"ErrorComment": "slow"}
    bench.responses.report()
    bench.responses.report()
    first, second = bench.sender.sent
    assert first["NumberOfRemainingSuboperations"] == 2
    assert (first["Status"], first["ErrorComment"], "ErrorComment" in second) == (PENDING, "slow", False)


async def test_many_sub_operations_share_their_responses() -> None:
    bench = Bench(1000)
    for _ in range(REPORTED_EACH + 100):
        bench.responses.report()
    assert REPORTED_EACH <= len(bench.sender.sent) < REPORTED_EACH + 100
    before = len(bench.sender.sent)
    bench.responses.remarks = {"ErrorComment": "slow"}
    bench.responses.report()  # a remark is not kept back
    assert len(bench.sender.sent) == before + 1


@pytest.mark.parametrize("why", ["interrupted", "sending"])
async def test_no_pending_response_is_sent_where_none_fits(why: str) -> None:
    bench = Bench(1)
    if why == "interrupted":
        bench.watch.end("released")
    else:
        bench.requestor.is_sending = True
    bench.responses.report()
    assert bench.sender.sent == []


async def test_a_long_operation_is_kept_alive_until_it_is_stopped() -> None:
    bench = Bench()
    bench.responses.keep_alive()
    async with asyncio.timeout(60):
        while len(bench.sender.sent) < 3:
            await asyncio.sleep(0.001)
    bench.responses.stop()
    assert {each["Status"] for each in bench.sender.sent} == {PENDING}


@pytest.mark.parametrize(
    ("results", "status", "uids"),
    [
        ((COMPLETED, COMPLETED), SUCCESS, []),
        ((COMPLETED, FAILURE), WARNING, [["1.2.1"]]),
        ((FAILURE, FAILURE), FAILED, [["1.2.0", "1.2.1"]]),
        ((COMPLETED,), WARNING, [[]]),  # one was announced and never came
    ],
)
async def test_a_success_becomes_the_outcome(results: tuple[SubOperationResult, ...], status: int, uids: Any) -> None:
    bench = Bench(2, *results)
    assert await bench.conclude(SUCCESS) == status
    assert bench.failed_uids == uids
    assert "NumberOfRemainingSuboperations" not in bench.sender.sent[0]


async def test_a_cancel_names_what_remains() -> None:
    bench = Bench(3, COMPLETED)
    assert await bench.conclude(CANCEL) == CANCEL
    assert bench.sender.sent[0]["NumberOfRemainingSuboperations"] == 2
    early = Bench()  # before the number was known
    assert await early.conclude(CANCEL) == CANCEL
    assert early.sender.sent[0]["NumberOfCompletedSuboperations"] == 0


async def test_relayed_counters_stay_as_they_are() -> None:
    bench = Bench(9)
    assert await bench.conclude(WARNING, RelayedCounters(0, 5, 1, 0, ("1.2.9",))) == WARNING
    assert bench.sender.sent[0]["NumberOfCompletedSuboperations"] == 5
    assert bench.failed_uids == [["1.2.9"]]


async def test_a_failed_list_of_the_handler_is_passed_on() -> None:
    value = Dataset()
    value.FailedSOPInstanceUIDList = ["1.2.5", "1.2.6"]
    bench = Bench()
    assert await bench.conclude(FAILED, value) == FAILED
    assert bench.failed_uids == [["1.2.5", "1.2.6"]]


def test_the_failed_list_of_a_data_set() -> None:
    one = Dataset()
    one.FailedSOPInstanceUIDList = "1.2.5"
    assert failed_list(one) == ["1.2.5"]
    assert failed_list(Dataset()) == failed_list(None) == []
