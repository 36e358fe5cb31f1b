"""What the sender is answered when a rule drops, rejects or holds, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import structlog

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.problem import Mark
from gateway.ports.errors import RejectedByRule
from gateway.routing.language.template import Template
from gateway.routing.targets import Targets, TargetTemplate
from tests.support.caller import data_set
from tests.unit.handlers.test_store import UID, Bench, coercion, route, table

COUNTED = "gateway_decided_instances_total"


async def test_a_drop_is_answered_with_its_status_and_leaves_nothing() -> None:
    dropped = coercion({}, [{"drop": {"status": "0xB007", "reason": "not wanted here"}}])
    bench = Bench(table(coercions=(dropped,)), data_set(UID))
    with structlog.testing.capture_logs() as told:
        assert [await bench.handle() for _ in range(3)] == [0xB007] * 3
    assert bench.journal.committed == []
    assert bench.meter.counted == {(COUNTED, "tag", "drop"): 3}
    (line,) = told
    assert (line["event"], line["rule"], line["reason"]) == ("instance_dropped", "tag", "not wanted here")
    assert line["sop_instance_uid"] == UID


async def test_a_rejection_is_answered_with_its_status_and_comment() -> None:
    refused = coercion({}, [{"reject": {"status": "0xA700", "reason": "send it to the archive"}}])
    bench = Bench(table(coercions=(refused,)), data_set(UID))
    with structlog.testing.capture_logs() as told, pytest.raises(RejectedByRule) as raised:
        await bench.handle()
    assert (raised.value.dimse_status, str(raised.value)) == (0xA700, "send it to the archive")
    assert bench.journal.committed == []
    assert bench.meter.counted == {(COUNTED, "tag", "reject"): 1}
    (line,) = told
    assert (line["event"], line["status"], line["rule"]) == ("instance_refused", "0xA700", "tag")
    assert line["reason"] == "send it to the archive"


async def test_what_is_held_is_kept_with_its_edits() -> None:
    held = coercion({}, [{"set": {"InstitutionName": "North"}}, "hold"])
    bench = Bench(table(coercions=(held,)), data_set(UID))
    with structlog.testing.capture_logs() as told:
        assert [await bench.handle() for _ in range(2)] == [0x0000] * 2
    (_, payload, dispatches), _ = bench.journal.committed
    assert dispatches == (Dispatch("mr", "pacs", state=DeliveryState.HELD, reason="held by tag"),)
    assert b"North" in payload
    assert bench.meter.counted == {(COUNTED, "tag", "hold"): 2}
    assert [line["event"] for line in told] == ["instance_held"]


async def test_what_a_template_sends_nowhere_is_held_and_said_without_values() -> None:
    targets = Targets((TargetTemplate(Template("{{ SOPInstanceUID }}"), Mark("routes.yaml", 3, 1)),))
    nowhere = replace(route("by name", {}, "pacs"), targets=targets)
    bench = Bench(table(routes=(nowhere,)), data_set(UID))
    with structlog.testing.capture_logs() as told:
        assert [await bench.handle() for _ in range(2)] == [0x0000] * 2
    (_, _, dispatches), _ = bench.journal.committed
    reason = "held by by name: its `to` (routes.yaml:3) gives a name that no enabled destination and no group has"
    assert dispatches == (
        Dispatch("by name", "pacs"),
        Dispatch("by name", "", state=DeliveryState.HELD, reason=reason),
    )
    assert bench.meter.counted == {(COUNTED, "by name", "hold"): 2}
    (line,) = told
    assert (line["event"], line["rule"], line["reason"]) == ("instance_held", "by name", reason)


async def test_a_rule_that_is_not_asked_decides_nothing() -> None:
    early = route("mr", {"modality": ["MR"]}, "pacs")
    late = coercion({"modality": ["CT"]}, ["drop"])
    bench = Bench(table(coercions=(late,), routes=(early,)), data_set(UID))
    assert await bench.handle() == 0x0000
    assert len(bench.journal.committed) == 1
    assert not bench.meter.counted
