"""The payloads that were written last."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.model.instance import PayloadRef
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.spool.body import InMemoryDataSet
from gateway.spool.recent_payloads import RecentPayloads
from tests.support.samples import HELD, TO_PACS, TO_VNA, instance
from tests.unit.spool.test_journal import Site


def place(number: int, length_bytes: int = 10) -> PayloadRef:
    return PayloadRef("segments/00000001.seg", number * 1000, length_bytes, b"d" * 32)


def test_a_payload_is_there_for_each_delivery_that_wants_it() -> None:
    recent = RecentPayloads(100)
    recent.keep(place(1), [b"one"], 2)
    recent.keep(place(2), [b"two"], 1)
    assert [recent.take(place(number)) for number in (1, 2, 1, 1, 2, 3)] == [
        [b"one"],
        [b"two"],
        [b"one"],
        None,
        None,
        None,
    ]


def test_an_empty_one_is_not_the_one_behind_it() -> None:
    recent = RecentPayloads(100)
    recent.keep(place(1, 0), [b""], 1)
    recent.keep(place(1, 3), [b"one"], 1)
    assert recent.take(place(1, 0)) == [b""]
    assert recent.take(place(1, 3)) == [b"one"]


def test_other_bytes_at_the_same_place_are_another_payload() -> None:
    recent = RecentPayloads(100)
    recent.keep(place(1), [b"one"], 1)
    assert recent.take(dataclasses.replace(place(1), digest=b"e" * 32)) is None
    assert recent.take(place(1)) == [b"one"]


def test_older_ones_leave_for_newer_ones() -> None:
    recent = RecentPayloads(25)
    for number in (1, 2, 3):
        recent.keep(place(number), [b"%d" % number], 1)
    assert [recent.take(place(number)) for number in (1, 2, 3)] == [None, [b"2"], [b"3"]]
    recent.keep(place(4, 20), [b"4"], 1)
    assert recent.take(place(4, 20)) == [b"4"], "what was taken gave its room back"


def test_one_that_is_larger_than_all_room_drives_nothing_out() -> None:
    recent = RecentPayloads(25)
    recent.keep(place(1), [b"1"], 1)
    recent.keep(place(2, 26), [b"2"], 1)
    assert (recent.take(place(1)), recent.take(place(2))) == ([b"1"], None)


async def test_a_journal_reads_back_only_what_nobody_wanted_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    async with site.journal() as journal:
        stored = []
        for number, dispatches in enumerate([[TO_PACS, TO_VNA], [HELD]]):
            body = InMemoryDataSet([b"%d" % number, b" data"])
            stored.append(await journal.commit(instance(number), body, None, dispatches))
            body.close()
        reads: list[PayloadRef] = []
        read = journal._payloads.open

        def counted(ref: PayloadRef) -> EncodedDataSet:
            reads.append(ref)
            return read(ref)

        monkeypatch.setattr(journal._payloads, "open", counted)
        for number in (0, 0, 0, 1):
            opened = journal.open(stored[number].payload)
            assert bytes(opened.view()) == b"%d data" % number
            opened.close()
        assert reads == [stored[0].payload, stored[1].payload]
