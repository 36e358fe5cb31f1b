"""Requests to the committer."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.common.completion import Completion
from gateway.model.instance import PayloadRef
from gateway.spool.commit_requests import Acceptance
from tests.support.samples import TO_PACS, instance

THERE = PayloadRef("segments/00000001.seg", 128, 4, b"d" * 32)
ELSEWHERE = dataclasses.replace(THERE, offset_bytes=4096)


@pytest.mark.parametrize(
    ("before", "given", "expected"),
    [(None, THERE, THERE), (THERE, None, THERE), (THERE, ELSEWHERE, ELSEWHERE)],
    ids=["a small one", "a large one that is sealed", "another place"],
)
def test_an_instance_is_placed(before: PayloadRef | None, given: PayloadRef | None, expected: PayloadRef) -> None:
    acceptance = Acceptance(Completion(), instance=instance(1), dispatches=[TO_PACS], payload=before)
    placed = acceptance.place(given)
    assert placed.payload == acceptance.payload == expected
    assert acceptance.placed is placed
    assert dataclasses.replace(placed, payload=instance(1).payload) == instance(1)
