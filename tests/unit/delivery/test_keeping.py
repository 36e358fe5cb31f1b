"""How long the copy of what was delivered is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from gateway.delivery.keeping import keep_by_rule, keep_s
from gateway.delivery.worker import Worker
from gateway.model.delivery import Deferred, Delivered, Outcome, Refused
from tests.support.fakes.delivery import peer
from tests.unit.delivery.parts import Parts


@dataclass(frozen=True)
class Route:
    name: str
    keep_s: float = 0.0


BY_RULE = keep_by_rule([Route("all", 100.0), Route("short")])


@pytest.mark.parametrize(
    ("rule", "of_peer", "expected"),
    [("all", 0.0, 100.0), ("all", 50.0, 100.0), ("all", 150.0, 150.0), ("short", 0.0, 0.0), ("gone", 50.0, 50.0)],
)
def test_the_longer_one_counts(rule: str, of_peer: float, expected: float) -> None:
    assert keep_s(peer(keep_s=of_peer), rule, BY_RULE) == expected


@pytest.mark.parametrize(
    ("outcome", "keeps", "is_kept"),
    [
        (Delivered(), 7 * 86400.0, True),
        (Delivered(0xB000), 7 * 86400.0, True),
        (Delivered(), 0.0, False),
        (Refused("0x0124 Not Authorized", dimse_status=0x0124), 7 * 86400.0, False),
        (Deferred("out of resources"), 7 * 86400.0, False),
    ],
)
async def test_what_was_delivered_is_settled_with_the_time_until_which_it_is_kept(
    outcome: Outcome, keeps: float, is_kept: bool
) -> None:
    parts, worker = Parts({"keep_s": keeps}), Worker()
    delivery = await parts.claimed()
    parts.outcomes.finish(worker, delivery, outcome, 0.5)
    await parts.settle()
    [settled] = parts.journal.settlements
    assert settled.kept_until == (parts.clock() + timedelta(days=7) if is_kept else None)
