"""Members where nobody knows how they stand."""

from __future__ import annotations

from gateway.intake.member_choice import FirstMembers
from gateway.model.delivery import Dispatch
from gateway.model.peer import PeerGroup


async def test_the_first_member_stays_chosen() -> None:
    to_readers = Dispatch("all", "a", group_name="readers")
    groups = {"readers": PeerGroup("readers", ("a", "b"), "balance")}
    assert FirstMembers().at_once([to_readers], groups, "1.2") == (to_readers,)
    assert await FirstMembers().chosen([to_readers], groups, "1.2") == (to_readers,)
