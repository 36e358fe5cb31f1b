"""Verbs of operators at one moment with settlements, and with each other."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from tests.support.samples import TO_PACS, TO_VNA, Clock, settlement
from tests.support.store_rig import claim, settle_all
from tests.unit.postgresql.conftest import Beside, OpenStore
from tests.unit.postgresql.test_acceptance import accept, indexed

pytestmark = pytest.mark.postgresql


@pytest.mark.parametrize("node", ["one", ""], ids=["node", "alone"])
def test_an_instance_is_settled_whose_last_delivery_is_discarded_at_one_moment_with_a_settlement(
    open_store: OpenStore, clock: Clock, look: psycopg.Connection[Any], beside: Beside, node: str
) -> None:
    gateway, operator = open_store(is_committing=True, node=node), open_store(must_exist=True)
    with gateway.transaction():
        gateway.deliveries.accept([(indexed(1), [TO_PACS, TO_VNA])], clock())
    to_pacs, to_vna = claim(gateway, clock, "pacs"), claim(gateway, clock, "vna")
    with gateway.transaction():
        gateway.deliveries.settle([settlement(each, DeliveryState.DEAD) for each in to_vna])

    def discard() -> int:
        with operator.transaction():
            return operator.administration.discard(DeliveryFilter(state=DeliveryState.DEAD))

    with gateway.transaction():
        gateway.deliveries.settle([settlement(each) for each in to_pacs])
        discarding = beside.until_it_waits(discard)
    assert discarding.result() == 1
    assert look.execute("SELECT settled_at IS NOT NULL FROM instance").fetchall() == [(True,)]


def test_a_verb_of_an_operator_sees_what_another_one_did_meanwhile(
    open_store: OpenStore, clock: Clock, look: psycopg.Connection[Any], beside: Beside
) -> None:
    gateway, one, other = open_store(is_committing=True), open_store(), open_store()
    accept(gateway, clock, indexed(1))
    settle_all(gateway, claim(gateway, clock), DeliveryState.DEAD)

    def hold() -> int:
        with other.transaction():
            return other.administration.hold(DeliveryFilter())

    with one.transaction():
        assert one.administration.discard(DeliveryFilter()) == 1
        holding = beside.until_it_waits(hold)
        assert not holding.done()
    assert holding.result() == 0
    assert look.execute("SELECT count(*) FROM due").fetchone() == (0,)
