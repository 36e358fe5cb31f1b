"""The limit of what waits in the database for the object store: it is named before, and objects do not flap at it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.cluster.unsealed_limit import UnsealedLimit
from gateway.ports.errors import SpoolFull
from gateway.ports.shared_payloads import UnsealedPayloads
from tests.support.samples import NOON

AWAY = "the object store is away"
SEALED = "they are being sealed"


def unsealed(length_bytes: int, problem: str = "", *, age_s: float = 0.0) -> UnsealedPayloads:
    return UnsealedPayloads(3, length_bytes, NOON, problem, NOON - timedelta(seconds=age_s))


@pytest.mark.parametrize(
    ("found", "shortage", "warning"),
    [
        pytest.param(UnsealedPayloads(), "", "", id="nobody has counted yet"),
        pytest.param(unsealed(499), "", "", id="less than half"),
        pytest.param(unsealed(500), "", SEALED, id="half of it"),
        pytest.param(unsealed(0, AWAY), "", AWAY, id="little, but the store is away"),
        pytest.param(unsealed(999, AWAY), "", AWAY, id="just below the limit"),
        pytest.param(unsealed(1000, AWAY), AWAY, "", id="the limit"),
        pytest.param(unsealed(1000), SEALED, "", id="the limit, while it is sealed"),
        pytest.param(unsealed(5, age_s=60), "", "", id="counted a while ago"),
        pytest.param(unsealed(5, AWAY, age_s=61), "", "no node has sealed since 20", id="nobody counts any more"),
    ],
)
def test_what_is_said(found: UnsealedPayloads, shortage: str, warning: str) -> None:
    limit = UnsealedLimit(1000)
    limit.counted(found, NOON)
    assert (bool(limit.shortage), bool(limit.warning)) == (bool(shortage), bool(warning))
    assert shortage in limit.shortage
    assert warning in limit.warning
    if not shortage:
        limit.check()
        return
    with pytest.raises(SpoolFull, match="in 3 groups that are not in the object store"):
        limit.check()


def test_a_node_counts_for_itself_what_came_since_no_node_counts_any_more() -> None:
    limit, stale = UnsealedLimit(1000), unsealed(900, age_s=61)
    assert limit.since(unsealed(900, age_s=60), NOON) is None
    assert limit.since(UnsealedPayloads(), NOON) is None
    assert limit.since(stale, NOON) == stale.counted_at
    limit.came(2, 99, NOON)
    limit.counted(stale, NOON)
    assert "each counts for itself" in limit.warning
    limit.came(3, 100, NOON)
    limit.counted(stale, NOON)
    with pytest.raises(SpoolFull, match=r"holds 1000 B in 6 groups.*no node has sealed since"):
        limit.check()
    assert limit.since(stale, NOON + timedelta(seconds=4)) is None
    limit.counted(stale, NOON + timedelta(seconds=4))
    assert limit.shortage
    assert limit.since(stale, NOON + timedelta(seconds=5)) == stale.counted_at
    limit.counted(unsealed(100), NOON)
    assert (limit.shortage, limit.unsealed.length_bytes) == ("", 100)
    assert limit.since(stale, NOON) == stale.counted_at, "counted anew"


def test_objects_are_taken_again_below_nine_tenths() -> None:
    limit = UnsealedLimit(1000)
    states = []
    for length_bytes in (999, 1000, 950, 900, 899, 950, 1000):
        limit.counted(unsealed(length_bytes), NOON)
        states.append(bool(limit.shortage))
    assert states == [False, True, True, True, False, False, True]
