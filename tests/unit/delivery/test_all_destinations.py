"""A gateway that is alone. What all leases must do: `gateway.ports.destination_leases`."""

from __future__ import annotations

import math

from gateway.delivery.all_destinations import AllDestinations


async def test_a_gateway_that_is_alone_works_on_all_and_ends_couriers_without_haste() -> None:
    leases = AllDestinations()
    leases.subscribe(lambda own: None)
    leases.want(["pacs", "vna"])
    assert leases.own == {"pacs", "vna"}
    leases.want(["vna"])
    assert leases.own == {"vna"}
    assert leases.left_s("pacs") == math.inf
    leases.ended("pacs")
    await leases.release_all()
    assert leases.may_send("vna")
    assert leases.node_of("vna") == ""
