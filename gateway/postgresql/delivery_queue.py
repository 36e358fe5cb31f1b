"""The delivery queue on PostgreSQL: one statement claims, beside those of other gateways."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gateway.model.delivery import Delivery, DeliveryState, Settlement
from gateway.model.instance import PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.priority import Due, in_turn
from gateway.ports.delivery_queue import IN_ORDER, AcceptedInstance, ClaimOrder
from gateway.postgresql.due_bounds import DueBounds, DueSearch
from gateway.postgresql.due_notices import Announce
from gateway.postgresql.statements import SQL
from gateway.relational.collection_arrivals import Arrivals
from gateway.relational.delivery_queue import InstanceAcceptor, RelationalDeliveryQueue
from gateway.relational.index_tables import IndexTables
from gateway.relational.row_reader import RowReader
from gateway.relational.rows import batch, microseconds
from gateway.relational.statements import Statements

FOLDED_EACH_US = 60_000_000
FOLDED_ABOVE, FOLDED_AT_ONCE = 500, 10_000
"""Changes of what is kept that lie as they are, and those that are replaced by their sum in one transaction."""


class PostgreSQLDeliveryQueue(RelationalDeliveryQueue):
    """The `DeliveryQueue` port on one connection.

    What is pending has a row in `due`, which is all that a claim changes; a settlement deletes it, or gives it another
    time. No row is changed by the settlements of several deliveries.

    `announce` gets the destinations that deliveries are due for now.
    `tokens`: destination → fencing token, of the leases that this node holds; nothing else is claimed and settled. None
    for a gateway that is alone.
    `bounds`: from where claims look; what another process changes is to be forgotten there.
    `node`: the name of this one, where other nodes write at the same time.
    """

    _find_due_urgent = SQL["find_due_urgent"]
    _which_urgent = MappingProxyType({"urgent": "priority = 0", "passing": "priority = 0 AND passes_window = 1"})

    def __init__(
        self,
        statements: Statements,
        index: IndexTables,
        reader: RowReader,
        acceptor: InstanceAcceptor,
        announce: Announce,
        tokens: Callable[[], Mapping[str, int]] | None = None,
        node: str = "",
    ) -> None:
        super().__init__(statements, index, reader, acceptor)
        self._announce = announce
        self._tokens = tokens
        self._is_node = bool(node)
        self._folded_at_us = 0
        self.bounds = DueBounds()
        statements.on_roll_back.append(self.bounds.forget)

    def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        now: datetime,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        """Take due deliveries under a lease of `lease_s` seconds, by priority as `order` says, oldest due first, then
        in order of arrival; with `apart` by likeness. What another transaction takes at this moment is passed over."""
        token = None if self._tokens is None else self._tokens().get(destination)
        if self._tokens is not None and token is None:
            return []
        now_us = microseconds(now)
        values: dict[str, Any] = {
            "destination": destination,
            "now": now_us,
            "horizon": self._acceptor.horizon(now_us),
            "until": now_us + round(lease_s * 1_000_000),
            "limit": limit,
            "token": token,
        }
        if order.only:
            look = self.bounds.look(destination, token, now_us)
            found = self._urgent({**values, **_places(look)}, apart, order)
            ids = found if found == "[]" else self._chosen(found, values)
        else:
            ids = self._first(values, order) if apart is None else self._apart("claim_apart", values, apart)
        return [] if ids == "[]" else self._reader.deliveries(ids)

    def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float, now: datetime) -> list[Delivery]:
        """The same of one bundle, in its order."""
        token = None if self._tokens is None else self._tokens().get(destination)
        if self._tokens is not None and token is None:
            return []
        now_us = microseconds(now)
        until = now_us + round(lease_s * 1_000_000)
        values = {"destination": destination, "bundle": bundle, "limit": limit, "token": token, "until": until}
        ids = self._statements.single("claim_bundle", **values, now=now_us, horizon=self._acceptor.horizon(now_us))
        return [] if ids == "[]" else self._reader.deliveries(ids)

    def _first(self, values: dict[str, Any], order: ClaimOrder) -> str:
        """Identifiers of what goes first, as JSON."""
        look = self.bounds.look(values["destination"], values["token"], values["now"])
        ids, first_us, mixed = self._statements.single("claim", **values, **_places(look))
        urgent, _, low = levels = json.loads(mixed) if mixed else ((), (), ())
        self.bounds.looked(look, (_due_first(urgent), first_us, _due_first(low)))
        if not mixed:
            return str(ids)
        return self._chosen(batch(in_turn(levels, values["limit"], order.lower)), values)

    def _chosen(self, ids: str, values: dict[str, Any]) -> str:
        """Those of these that are still due and that nobody else works on are under a lease now; as JSON."""
        return str(self._statements.single("claim_chosen", ids=ids, **values))

    def accept(
        self, arrivals: Arrivals, now: datetime, is_readable: Callable[[PayloadRef], bool] = lambda _: True
    ) -> list[AcceptedInstance]:
        """Add instances with a delivery a dispatch, due at `now`, except what is still owed already and can be read."""
        self.bounds.lower_all(microseconds(now))
        return super().accept(arrivals, now, is_readable)

    def _hold_studies(self, collected_keys: Sequence[str]) -> None:
        """Until the transaction ends no other node begins a collection of these."""
        if self._is_node:
            self._statements.single("hold_studies", collected_keys=batch([*collected_keys]))

    def _leased(self, settlements: Sequence[Settlement], leases: str) -> Iterable[tuple[int, int]]:
        """Claims look for those again that come back: one without an attempt takes its old place."""
        tokens = None if self._tokens is None else json.dumps(self._tokens())
        for index, attempts, destination, ready_at_us in self._statements.json(
            "find_leased", settlements=leases, tokens=tokens
        ):
            if settlements[index].state is DeliveryState.PENDING:
                self.bounds.lower(destination, min(ready_at_us, microseconds(settlements[index].due_at)))
            yield index, attempts

    def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, now: datetime, *, are_doubtful: bool = False
    ) -> int:
        """Give pending deliveries of a group to another destination, whose node is told: the number."""
        token = None if self._tokens is None else self._tokens().get(source)
        self.bounds.lower_all(microseconds(now))
        values = {"group": group_name, "source": source, "target": target, "limit": limit, "token": token}
        moved = self._statements.do("move_in_group", **values, is_doubtful=int(are_doubtful), now=microseconds(now))
        if moved:
            self._announce({target})
        return moved

    def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]], now: datetime) -> int:
        """Give these deliveries each to its destination, whose node is told: how many."""
        token = None if self._tokens is None else self._tokens().get(source)
        self.bounds.lower_all(microseconds(now))
        values = {"group": group_name, "source": source, "moves": batch(moves), "token": token}
        moved = self._statements.do("move_each_in_group", **values, now=microseconds(now))
        if moved:
            self._announce({target for _, target in moves})
        return moved

    def expire_leases(self) -> int:
        """Leases of a process that is gone end now. A node ends none: another one may have claimed them. Those of its
        process before end where it takes the lease of their destination (`free_claimed`)."""
        self.bounds.forget()
        return 0 if self._is_node else super().expire_leases()

    def _mark_settled(self, delivery_ids: str, now_us: int, keeps: str) -> None:
        """Instances of these that owe nothing any more may go when retention is over. Of two nodes that deliver the
        last two of one instance at one moment, the later one sees that nothing is owed."""
        if self._is_node:
            self._statements.post("lock_delivered", ids=delivery_ids)
        super()._mark_settled(delivery_ids, now_us, keeps)

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        """Delete up to `limit` instances that owe nothing and settled earlier; once a minute the changes of what is
        kept are replaced by their sum."""
        now_us = self._clock.now_us()
        if abs(now_us - self._folded_at_us) >= FOLDED_EACH_US:
            folded = self._statements.single("fold_changes", few=FOLDED_ABOVE, limit=FOLDED_AT_ONCE)
            self._folded_at_us = self._folded_at_us if folded == FOLDED_AT_ONCE else now_us
        return super().forget(settled_before, limit, indexed_before)


def _places(look: DueSearch) -> dict[str, int]:
    """From where a statement looks."""
    urgent_us, normal_us, low_us = look.from_us
    return {"from_urgent": urgent_us, "from": normal_us, "from_low": low_us, "late": look.late_us}


def _due_first(level: Sequence[Due]) -> int | None:
    return level[0][1] if level else None
