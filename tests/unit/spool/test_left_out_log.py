"""Objects that a collection did not take: counted each, said once a collection, peer and reason."""

from __future__ import annotations

import dataclasses

import pytest
from structlog.testing import capture_logs

from gateway.common.completion import Completion
from gateway.model.collection import LeftOutObject
from gateway.spool import left_out_log
from gateway.spool.commit_requests import Acceptance
from gateway.spool.left_out_log import LeftOutLog
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import instance

LATE = LeftOutObject(7, "chest", "1.2.3", "late")
AGAIN = LeftOutObject(7, "chest", "1.2.3", "again")


def sent_by(peer: str) -> Acceptance:
    made = instance()
    association = dataclasses.replace(made.association, peer=peer)
    return Acceptance(Completion(), instance=dataclasses.replace(made, association=association))


CT, MR = sent_by("ct"), sent_by("mr")


def test_a_line_a_collection_and_a_count_an_object() -> None:
    meter = MemoryMeter()
    said = LeftOutLog(meter)
    with capture_logs() as logs:
        for _ in range(3):
            said.say([LATE], CT)
        said.say([AGAIN], CT)
        said.say([LATE], MR)
    assert [(each["event"], each["why"], each["peer"]) for each in logs] == [
        ("objects_left_out", "late", "ct"),
        ("objects_left_out", "again", "ct"),
        ("objects_left_out", "late", "mr"),
    ]
    assert (logs[0]["collection"], logs[0]["study_instance_uid"]) == ("chest", "1.2.3")
    assert meter.counted["gateway_collection_left_out_total", "chest", "late"] == 4
    assert meter.counted["gateway_collection_left_out_total", "chest", "again"] == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_out_log, "MOST_SAID", 1)
    said = LeftOutLog(MemoryMeter())
    with capture_logs() as logs:
        for each in (LATE, AGAIN, LATE):
            said.say([each], CT)
    assert len(logs) == 3
