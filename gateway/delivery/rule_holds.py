"""Deliveries of paused rules at one destination: held as their turn comes, and let go when their rule is resumed.

The courier of a destination is the only one who holds them, and lets them go after all that it held is settled. So none
stays behind, whichever node has the destination, and whenever that learns of pauses.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.delivery.ledger import Ledger
from gateway.delivery.settling import persistently
from gateway.model.delivery import RULE_PAUSED, Delivery
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.journal import Journal
from gateway.ports.pauses import PausedNames

log = structlog.get_logger()

LOOK_S = 0.25
"""The time between two looks at the rules that were resumed."""
PAGE = 200
"""Deliveries a transaction."""


class RuleHolds:
    """Those of one destination. `paused` follows the pauses of the store."""

    def __init__(self, destination: str, ledger: Ledger, journal: Journal, paused: PausedNames) -> None:
        self._destination = destination
        self._ledger = ledger
        self._journal = journal
        self._paused = paused
        self._let_go: frozenset[str] = frozenset()
        """The resumed rules whose deliveries go on."""

    @property
    def are_expected(self) -> bool:
        """True while a rule is paused: what is claimed may be held."""
        return bool(self._paused.rules)

    def hold(self, delivery: Delivery) -> bool:
        """Settle a claimed delivery as held, if its rule is paused now; False if it is not."""
        if delivery.rule not in self._paused.rules:
            return False
        self._ledger.held(delivery, RULE_PAUSED)
        self._let_go -= {delivery.rule}  # it may be resumed before the next look
        return True

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Let go what is held of rules that were resumed since the last look; at the first one, of all such rules."""
        resumed = self._paused.resumed_rules
        new, self._let_go = resumed - self._let_go, resumed
        if not new:
            return
        await self._ledger.settler.settled()
        for rule in sorted(new):
            await self._release(rule)

    async def _release(self, rule: str) -> None:
        which = DeliveryFilter(destination=self._destination, rule=rule, reason=RULE_PAUSED)
        number, last_id = 0, 0
        while True:
            released, last_id = await self._released(which, last_id)
            number += released
            if not last_id:
                break
        if number:
            log.info("rule_resumed", destination=self._destination, rule=rule, deliveries=number)

    async def _released(self, which: DeliveryFilter, after: int) -> tuple[int, int]:
        return await persistently(lambda: self._journal.release_held(which, after, PAGE), "release_held")
