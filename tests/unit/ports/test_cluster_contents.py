"""Where a payload lies in its object."""

from __future__ import annotations

from gateway.model.instance import PayloadRef
from gateway.ports.cluster_contents import HeldPayload


def test_offsets_in_a_group_count_from_the_groups_own() -> None:
    held = HeldPayload(1, "1.2", PayloadRef("journal/1/1", 30, 7, b""), "segments/a", 100, 200)
    assert (held.start_bytes, held.end_bytes) == (130, 137)
