"""All instances of a study or series, as a source has them: over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.metrics import Metrics
from gateway.model.collection import digest_of
from gateway.model.peer import Peer
from gateway.sources.source_asker import SourceAsker
from gateway.sources.source_query import SourceFailed
from gateway.sources.sources import Sources
from tests.support.federation import Source
from tests.support.processes import free_port
from tests.support.query_table import OBJECTS, ROE, ROE_AGAIN

R1, R2 = ROE["StudyInstanceUID"], ROE_AGAIN["StudyInstanceUID"]
LIMIT_S = 60.0


@contextlib.asynccontextmanager
async def asking(peer: Peer) -> AsyncIterator[SourceAsker]:
    pool = AssociationPool("GATEWAY", Metrics())
    try:
        yield SourceAsker(Sources(pool), lambda: {peer.name: peer})
    finally:
        await pool.close()


def instances(study: str, series: str = "") -> list[str]:
    of_study = (each for each in OBJECTS if each["StudyInstanceUID"] == study)
    return sorted(each["SOPInstanceUID"] for each in of_study if series in ("", each["SeriesInstanceUID"]))


@pytest.mark.parametrize("is_relational", [True, False])
@pytest.mark.parametrize("roots", [("study",), ("patient", "study"), ("patient",)])
async def test_a_study_has_the_instances_of_all_its_series(is_relational: bool, roots: tuple[str, ...]) -> None:
    source = Source("vna", OBJECTS, roots=roots, is_relational=is_relational)  # type: ignore[arg-type]
    async with source.running(), asking(source.peer) as asker:
        found = await asker.uids("vna", R2, "", LIMIT_S)
    assert sorted(found.values()) == instances(R2)
    assert found == {digest_of(uid): uid for uid in found.values()}
    assert len(instances(R2)) > len(instances(R2, f"{R2}.1")), "it has several series"


async def test_a_series_has_its_own() -> None:
    source = Source("vna", OBJECTS)
    async with source.running(), asking(source.peer) as asker:
        found = await asker.uids("vna", R1, f"{R1}.1", LIMIT_S)
    assert sorted(found.values()) == instances(R1, f"{R1}.1")


async def test_numbers_of_related_instances_need_not_come() -> None:
    source = Source(
        "vna", OBJECTS, lacks=frozenset({"NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"})
    )
    async with source.running(), asking(source.peer) as asker:
        assert sorted((await asker.uids("vna", R1, "", LIMIT_S)).values()) == instances(R1)


async def test_a_source_that_does_not_have_it_says_so() -> None:
    source = Source("vna", OBJECTS)
    async with source.running(), asking(source.peer) as asker:
        assert await asker.uids("vna", "1.2.3.4.5", "", LIMIT_S) == {}


STRANGER = next(each for each in OBJECTS if each["StudyInstanceUID"] == R2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": 0xA700}, "it answered 0xA700"),
        ({"status": 0xC001}, "it answered 0xC001"),
        ({"garbage": 1}, "could not be read"),
        ({"lacks": frozenset({"SOPInstanceUID"})}, "do not say what they are of"),
        ({"more": [STRANGER]}, "not asked"),
    ],
    ids=["A700", "C001", "garbage", "nameless", "of another study"],
)
async def test_half_an_answer_is_none(changes: dict[str, object], reason: str) -> None:
    source = dataclasses.replace(Source("vna", OBJECTS), **changes)  # type: ignore[arg-type]
    async with source.running(), asking(source.peer) as asker:
        with pytest.raises(SourceFailed, match=reason):
            await asker.uids("vna", R1, "", LIMIT_S)


async def test_a_source_that_hangs_is_left_after_its_limit() -> None:
    source = Source("vna", OBJECTS)
    source.go.clear()
    async with source.running(), asking(source.peer) as asker:
        with pytest.raises(SourceFailed, match="had no end in"):
            await asker.uids("vna", R1, "", 0.5)


async def test_a_source_without_an_end_is_left_too() -> None:
    source = Source("vna", OBJECTS, endless=True)
    async with source.running(), asking(source.peer) as asker:
        with pytest.raises(SourceFailed):
            await asker.uids("vna", R1, "", 0.5)


async def test_nobody_listens() -> None:
    peer = dataclasses.replace(Source("vna", OBJECTS).peer, port=free_port())
    async with asking(peer) as asker:
        with pytest.raises(SourceFailed):
            await asker.uids("vna", R1, "", LIMIT_S)


@pytest.mark.parametrize("peer", [Peer("other"), Peer("vna")], ids=["gone", "without an address"])
async def test_a_reload_took_it_away(peer: Peer) -> None:
    async with asking(peer) as asker:
        with pytest.raises(SourceFailed, match="no such source"):
            await asker.uids("vna", R1, "", LIMIT_S)


async def test_who_does_not_wait_any_more_leaves_nothing_behind() -> None:
    source = Source("vna", OBJECTS)
    source.go.clear()
    async with source.running(), asking(source.peer) as asker:
        task = asyncio.create_task(asker.uids("vna", R1, "", LIMIT_S))
        while not source.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        source.go.set()
        assert sorted((await asker.uids("vna", R1, "", LIMIT_S)).values()) == instances(R1)
