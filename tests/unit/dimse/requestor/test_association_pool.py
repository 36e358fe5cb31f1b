"""What the pool remembers of those it associates with."""

from __future__ import annotations

from typing import Any, cast

from gateway.dimse.requestor.association_pool import MOST_REMEMBERED, AssociationPool
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer


class Opened:
    """An association that is lost as soon as it is given back."""

    is_open = False


def held_by(pool: AssociationPool) -> int:
    """Entries of all its tables."""
    tables = (value for value in vars(pool).values() if isinstance(value, dict | list | set))
    return sum(map(len, tables))


async def test_requestors_with_ever_new_titles_take_no_more_memory() -> None:
    proposed: list[int] = []

    async def associate(peer: Peer, *, contexts: Any, **more: Any) -> RequestorAssociation:
        proposed.append(len(contexts))
        return cast(RequestorAssociation, Opened())

    pool = AssociationPool("GATEWAY", associate=associate)
    for number in range(MOST_REMEMBERED + 50):
        peer = Peer("pacs", "PACS", "127.0.0.1", 104, calling_ae_title=f"V{number}")
        pool.give(await pool.take(peer, [ProposedContext("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]))
    assert held_by(pool) == MOST_REMEMBERED
    more = [ProposedContext("1.2.840.10008.5.1.4.1.2.2.1", ("1.2.840.10008.1.2",))]
    pool.give(await pool.take(peer, more))
    assert proposed[-1] == 2  # the newest is remembered
    pool.give(await pool.take(Peer("pacs", "PACS", "127.0.0.1", 104, calling_ae_title="V0"), more))
    assert proposed[-1] == 1  # the oldest is not
    await pool.close()
