"""Instances from several sources: who brings what, and who steps in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance, MissingInstance
from gateway.dimse.requestor.response import Response
from gateway.model.peer import Peer
from gateway.model.query import QueryLevel
from gateway.ports.errors import GatewayError, NoContextAccepted
from gateway.ports.meter import NoMeter
from gateway.retrieve.fetch_requests import FetchRequest
from gateway.retrieve.get_fetcher import FetchedInstance, NotOffered, Take
from gateway.retrieve.shared_data_set import SharedDataSet
from gateway.retrieve.source_fetch import Fetcher, SourceFetch
from gateway.retrieve.source_instances import SourceInstance, SourceInstances
from gateway.sources.fan_out import BackgroundTasks
from gateway.sources.source_query import SourceFailed


def final(status: int = 0x0000) -> Response:
    return Response(status, b"", "1.2.840.10008.1.2", {})


class Line:
    """Gives of what it is asked for what is in `gives` (None: all), then ends as told."""

    def __init__(
        self,
        gives: str | None = None,
        end: Response | Exception | None = None,
        *,
        foreign: Sequence[str] = (),
        service: str = "get",
    ) -> None:
        self.service = service
        self.asked: list[str] = []
        self.refused: list[int] = []
        self._gives = None if gives is None else gives.split()
        self._end = end or final()
        self._foreign = foreign

    async def fetch(self, request: FetchRequest, take: Take) -> Response:
        uids = [item.sop_instance_uid for item in request.items]
        self.asked += uids
        for uid in (*self._foreign, *uids):
            if uid in self._foreign or self._gives is None or uid in self._gives:
                body = SharedDataSet(MemoryDataSet(uid.encode()))
                try:
                    await take(FetchedInstance("1.2", uid, "1.2.840.10008.1.2", body))
                except GatewayError as error:
                    self.refused.append(error.dimse_status)
                body.close()
                await asyncio.sleep(0)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


async def collected(
    here: str = "",
    unlisted: dict[str, set[str]] | None = None,
    level: QueryLevel = QueryLevel.STUDY,
    **sources: tuple[str, Line | list[Line]],
) -> tuple[list[str], list[str]]:
    """(fetched, missing): sources by name, in order, each with what it holds and its lines. `unlisted` is filled."""
    lines = {name: lines if isinstance(lines, list) else [lines] for name, (_, lines) in sources.items()}
    background = BackgroundTasks()

    def fetchers_of(holding: SourceInstances) -> list[Fetcher]:
        return list(lines[holding.peer.name])

    async def made(arrived: FetchedInstance, peer: Peer) -> EncodedInstance:
        return EncodedInstance("1.2", arrived.sop_instance_uid, "1.2.840.10008.1.2", arrived.body.share())

    collection = SourceFetch(
        level,
        [
            SourceInstances(Peer(name), {uid: SourceInstance(uid, "1.2", "1.1", "1", "P") for uid in held.split()})
            for name, (held, _) in sources.items()
        ],
        frozenset(here.split()),
        fetchers_of=fetchers_of,
        made=made,
        meter=NoMeter(),
        run=background.add,
    )
    fetched: list[str] = []
    missing: list[str] = []
    collection.start()
    async with asyncio.timeout(60):
        while (item := await collection.handoff.take()) is not None:
            if isinstance(item, MissingInstance):
                missing += item.sop_instance_uids
            else:
                fetched.append(item.sop_instance_uid)
    collection.stop()
    await background.close()
    if unlisted is not None:
        unlisted |= collection.unlisted
    return sorted(fetched), sorted(missing)


LOST = SourceFailed("a", "connection lost")


async def test_each_brings_its_own_and_the_first_what_several_have() -> None:
    a, b = Line(), Line()
    assert await collected(a=("1 2", a), b=("2 3", b)) == (["1", "2", "3"], [])
    assert (a.asked, b.asked) == (["1", "2"], ["3"])


async def test_what_is_here_is_not_fetched() -> None:
    a, b = Line(), Line()
    assert await collected("1 2", a=("1 2", a), b=("2 3", b)) == (["3"], [])
    assert (a.asked, b.asked) == ([], ["3"])


async def test_nothing_to_fetch() -> None:
    assert await collected("1", a=("1", Line())) == ([], [])
    assert await collected() == ([], [])


@pytest.mark.parametrize("end", [LOST, final(0xA702), final(0xB000), final()], ids=["lost", "A702", "B000", "0000"])
async def test_what_one_does_not_give_is_asked_of_the_next(end: Response | Exception) -> None:
    a, b, c = Line("1", end), Line("2", end), Line()
    assert await collected(a=("1 2 3 4", a), b=("2 3", b), c=("3", c)) == (["1", "2", "3"], ["4"])
    assert b.asked == ["2", "3"]
    assert c.asked == ["3"]


async def test_a_source_that_is_lost_is_not_asked_again() -> None:
    a, b = Line("", LOST), Line("", final(0xA702))
    assert await collected(a=("1 2", a), b=("1 2 3", b)) == ([], ["1", "2", "3"])
    assert a.asked == ["1", "2"]


def not_accepted() -> SourceFailed:
    error = SourceFailed("a", "no context")
    error.__cause__ = NoContextAccepted("none")
    return error


@pytest.mark.parametrize(
    ("gives", "end"),
    [("", NotOffered("a", "no C-GET")), ("", not_accepted()), ("1", final(0xB000)), ("", final(0x0122))],
    ids=["not offered", "no context", "some of them", "refused"],
)
async def test_another_way_to_the_same_source(gives: str, end: Response | Exception) -> None:
    get, move = Line(gives, end), Line(service="move")
    assert await collected(a=("1 2", [get, move])) == (["1", "2"], [])
    assert get.asked == ["1", "2"]
    assert move.asked == ["1", "2"] if not gives else ["2"]


async def test_no_other_way_to_a_source_that_is_lost() -> None:
    move = Line(service="move")
    assert await collected(a=("1 2", [Line("1", LOST), move])) == (["1"], ["2"])
    assert not move.asked


async def test_what_was_not_asked_for_is_refused_and_doubles_are_dropped() -> None:
    a = Line(foreign=["9", "1", "1"])
    assert await collected(a=("1 2", a)) == (["1", "2"], [])
    assert a.refused == [0x0124]


async def test_what_nobody_listed_of_a_study_is_known_to_be_left_out() -> None:
    unlisted: dict[str, set[str]] = {}
    a = Line(foreign=["9", "8", "3", "4", "9"])
    assert await collected("4", unlisted, a=("1 2", a), b=("3", Line())) == (["1", "2", "3"], [])
    assert unlisted == {"a": {"8", "9"}}


@pytest.mark.parametrize("level", [QueryLevel.SERIES, QueryLevel.IMAGE])
async def test_what_a_source_sends_beside_a_part_of_a_study_is_left_out_rightly(level: QueryLevel) -> None:
    unlisted: dict[str, set[str]] = {}
    assert await collected("", unlisted, level, a=("1 2", Line(foreign=["9"]))) == (["1", "2"], [])
    assert not unlisted


async def test_a_fault_of_ours_ends_in_missing_instances() -> None:
    assert await collected(a=("1 2", Line("1", ZeroDivisionError()))) == (["1"], ["2"])
