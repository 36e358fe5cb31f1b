"""Objects that come back again and again: places that forward to each other in a ring would pass them on for ever."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.dimse.protocol.associate_items import IMPLEMENTATION_CLASS_UID
from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.routing.table import RoutingTable
from gateway.sources.sources import hops_of

AGAIN = 5
"""Times that an object may come from one requestor within `WITHIN_S` before it is held."""
WITHIN_S = 600.0
MOST_REMEMBERED = 50_000
"""Objects; the one that was seen longest ago is forgotten. About 10 MB."""
LOOP_RULE = "(loop)"
"""The rule name of what is held."""


def is_forwarder(facts: AssociationFacts, table: RoutingTable) -> bool:
    """True for a requestor that may send us what we sent: it calls with a destination's AE title, or it is a gateway of
    this kind that delivers. Nobody else's objects are remembered."""
    if facts.calling_ae_title in table.destination_ae_titles:
        return True
    return facts.implementation_class_uid == IMPLEMENTATION_CLASS_UID and hops_of(facts) > 0


def held(routes: Sequence[Dispatch]) -> tuple[Dispatch, ...]:
    """The same, held."""
    return tuple(replace(route, rule=LOOP_RULE, state=DeliveryState.HELD) for route in routes)


class LoopWatch:
    """Counts how often the same object comes from the same requestor. Only numbers are kept."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._seen: OrderedDict[int, tuple[int, float]] = OrderedDict()
        """Digest of requestor, SOP Instance UID and size → times, when it came first."""
        self._held: Counter[str] = Counter()

    @property
    def held(self) -> Mapping[str, int]:
        """Objects that were held, by peer."""
        return dict(self._held)

    def comes_again(self, facts: AssociationFacts, sop_instance_uid: str, length_bytes: int) -> bool:
        """Note one arrival; True when it is one too many."""
        key = _key(facts, sop_instance_uid, length_bytes)
        now_s = self._now_s()
        times, since_s = self._seen.pop(key, (0, now_s))
        if now_s - since_s > WITHIN_S:
            times, since_s = 0, now_s
        self._seen[key] = times + 1, since_s
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return times >= AGAIN

    def not_taken(self, facts: AssociationFacts, sop_instance_uid: str, length_bytes: int) -> None:
        """The arrival that was noted last came to nothing: its sender was told so, and sends again."""
        key = _key(facts, sop_instance_uid, length_bytes)
        times, since_s = self._seen.get(key, (0, 0.0))
        if times:
            self._seen[key] = times - 1, since_s

    def count_held(self, peer: str) -> None:
        """One was held."""
        self._held[peer] += 1


def _key(facts: AssociationFacts, sop_instance_uid: str, length_bytes: int) -> int:
    return hash((facts.calling_ae_title, facts.remote_host, sop_instance_uid, length_bytes))
