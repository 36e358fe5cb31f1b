"""What every `SpoolLedger` must do; run against each implementation."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model.instance import PayloadRef
from gateway.ports.store import Store
from tests.support.samples import TO_PACS, Clock, instance
from tests.support.store_rig import accept


def test_payload_names_tell_the_end_of_each_file(queue: Store, clock: Clock) -> None:
    large = dataclasses.replace(instance(9), payload=PayloadRef("large/0000000000000001.obj", 128, 5000, b"x" * 32))
    accept(queue, *((each, [TO_PACS]) for each in (instance(2), instance(1), large)), clock=clock)
    other = instance(3, payload_name="segments/00000002.seg")
    accept(queue, (other, [TO_PACS]), clock=clock)
    assert queue.spool.payload_names() == {
        "segments/00000001.seg": 2128 + 10,
        "segments/00000002.seg": 3128 + 10,
        "large/0000000000000001.obj": 5128,
    }


def test_the_payloads_that_instances_name(queue: Store, clock: Clock) -> None:
    assert queue.spool.which_are_named([]) == set()
    accept(queue, *((instance(number), [TO_PACS]) for number in (1, 2)), clock=clock)
    one, two, other = (instance(number).payload for number in (1, 2, 3))
    moved = dataclasses.replace(one, name="segments/00000002.seg")
    named = queue.spool.which_are_named([two, other, moved, one])
    assert named == {(each.name, each.offset_bytes) for each in (one, two)}


def test_a_queue_is_bound_to_one_spool(queue: Store) -> None:
    assert queue.spool.spool_id() == ""
    with queue.transaction():
        queue.spool.bind_spool("first")
        queue.spool.bind_spool("second")
    assert queue.spool.spool_id() == "second"


def test_the_replayed_position_is_kept_with_what_it_stands_for(queue: Store) -> None:
    assert queue.spool.replayed_position() == ("", 0)
    with queue.transaction(is_durable=False):
        queue.spool.set_replayed_position("segments/00000002.seg", 4096)
    assert queue.spool.replayed_position() == ("segments/00000002.seg", 4096)

    def fail_midway() -> None:
        with queue.transaction():
            queue.spool.set_replayed_position("segments/00000003.seg", 1)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert queue.spool.replayed_position() == ("segments/00000002.seg", 4096)
