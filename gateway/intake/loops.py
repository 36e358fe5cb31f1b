"""Objects that come back again and again: places that forward to each other in a ring would pass them on for ever.

Three things are looked at, of requestors alone that may send us what we sent (`is_forwarder`):

hops      how many gateways of this kind an object came through. Each says it to the next (`hops_of`), so that a ring of
          gateways is noticed whatever they do to the object on its way.
returns   an object that comes back from the peer it was sent to, as it was sent: the same UID and size. Sent on and
          back again, under whatever UID our own edits give it then, it is one round further.
repeats   the same object, whatever its size, from one requestor. A user may send it again, too: only very often.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from gateway.model.association import AssociationFacts
from gateway.model.delivery import LOOP_RULE, DeliveryState, Dispatch
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, hops_of
from gateway.model.peer import Peer
from gateway.model.settings import Loops
from gateway.routing.table import RoutingTable

MOST_REMEMBERED = 50_000
"""Objects of each kind of memory, some 10 MB. When it is full, no further ones are noted until some are too old: those
of a ring with more objects are noticed bit by bit, since what is held goes round no more."""
MOST_CALLERS = 1024
"""Destinations that were seen to send us something."""

T = TypeVar("T")


def is_forwarder(facts: AssociationFacts, table: RoutingTable) -> bool:
    """True for a requestor that may send us what we sent: it calls with a destination's AE title, or it is a gateway
    of this kind that delivers. Only such requestors' objects are remembered.
    """
    if facts.calling_ae_title in table.destination_ae_titles:
        return True
    return facts.implementation_class_uid == IMPLEMENTATION_CLASS_UID and hops_of(facts) > 0


def held(dispatches: Sequence[Dispatch], reason: str) -> tuple[Dispatch, ...]:
    """The same, held for `reason`; what is held for nobody keeps its own."""
    held_ = DeliveryState.HELD
    return tuple(
        replace(dispatch, rule=LOOP_RULE, state=held_, reason=reason) if dispatch.destination else dispatch
        for dispatch in dispatches
    )


class _RecentObjects(Generic[T]):
    """Values by number, each with the time when its count began; what is older than `within_s` is forgotten."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._kept: dict[int, tuple[T, float]] = {}
        """Entries in the order in which they were first noted."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: int, now_s: float) -> tuple[T, float] | None:
        found = self._kept.get(key)
        if found is None or now_s - found[1] <= self._within_s:
            return found
        del self._kept[key]
        return None

    def put(self, key: int, value: T, since_s: float, now_s: float) -> None:
        if key not in self._kept:
            self._make_room(now_s)
            if len(self._kept) >= MOST_REMEMBERED:
                return
        self._kept[key] = value, since_s

    def _make_room(self, now_s: float) -> None:
        """Two that are too old go for each new one, so that no step is long."""
        for _ in range(2):
            first = next(iter(self._kept), None)
            if first is None or now_s - self._kept[first][1] <= self._within_s:
                return
            del self._kept[first]


class LoopWatch:
    """Notes what comes from forwarders and what is sent to them. Only numbers are kept."""

    def __init__(self, settings: Loops, now_s: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._now_s = now_s
        self._held: Counter[str] = Counter()
        self._callers: dict[str, None] = {}
        self._sent: _RecentObjects[int] = _RecentObjects(settings.within_s)
        """Digest of AE title, SOP Instance UID and size of what was sent → times that it had come back before."""
        self._back: _RecentObjects[int] = _RecentObjects(settings.within_s)
        """Digest of the SOP Instance UID of what came back → times."""
        self._origins: _RecentObjects[int] = _RecentObjects(settings.within_s)
        """Digest of a SOP Instance UID that our edits gave → that of the first one of its line."""
        self._times: _RecentObjects[int] = _RecentObjects(settings.within_s)
        """Digest of requestor and object → arrivals."""

    @property
    def held(self) -> Mapping[str, int]:
        """Objects that were held, by peer."""
        return dict(self._held)

    def remembered(self) -> int:
        """Numbers that are kept, of all sorts."""
        return len(self._sent) + len(self._back) + len(self._origins) + len(self._times)

    def comes(self, facts: AssociationFacts, sop_instance_uid: str, length_bytes: int) -> str:
        """Note one arrival from a forwarder; why it is to be held, empty when it is not."""
        limits, now_s, hops = self.settings, self._now_s(), hops_of(facts)
        if limits.hops and hops > limits.hops:
            return f"it came through more than {limits.hops} gateways: it goes round in a ring"
        title = facts.calling_ae_title
        if len(self._callers) < MOST_CALLERS:
            self._callers[title] = None
        times = self._count(self._key(facts, sop_instance_uid, now_s), now_s)
        sent = self._sent.get(hash((title, sop_instance_uid, length_bytes)), now_s)
        if sent is not None:
            rounds = sent[0] + 1
            self._back.put(hash(sop_instance_uid), rounds, sent[1], now_s)
            if 0 < limits.returns < rounds:
                span = f"{limits.within_s / 60:g} min"
                return f"it came back from where it was sent more than {limits.returns} times in {span}: it goes round"
        if 0 < limits.repeats < times:
            span = f"{limits.within_s / 60:g} min"
            return f"the same object came more than {limits.repeats} times in {span}: it goes round in a ring"
        return ""

    def on_sending(self, peer: Peer, sop_instance_uid: str, sent_uid: str, length_bytes: int) -> None:
        """An object is about to be sent to `peer`: it arrived as `sop_instance_uid`, and leaves as `sent_uid`."""
        if not self._callers:
            return
        now_s = self._now_s()
        if sent_uid != sop_instance_uid:
            origin, since_s = self._origins.get(hash(sop_instance_uid), now_s) or (hash(sop_instance_uid), now_s)
            self._origins.put(hash(sent_uid), origin, since_s, now_s)
        if peer.ae_title in self._callers:
            rounds, since_s = self._back.get(hash(sop_instance_uid), now_s) or (0, now_s)
            self._sent.put(hash((peer.ae_title, sent_uid, length_bytes)), rounds, since_s, now_s)

    def not_taken(self, facts: AssociationFacts, sop_instance_uid: str) -> None:
        """The arrival that was noted last came to nothing: its sender was told so, and sends again."""
        now_s = self._now_s()
        key = self._key(facts, sop_instance_uid, now_s)
        if (found := self._times.get(key, now_s)) is not None:
            self._times.put(key, found[0] - 1, found[1], now_s)

    def count_held(self, peer: str) -> None:
        """One was held."""
        self._held[peer] += 1

    def _key(self, facts: AssociationFacts, sop_instance_uid: str, now_s: float) -> int:
        number = hash(sop_instance_uid)
        if (found := self._origins.get(number, now_s)) is not None:
            number = found[0]
        return hash((facts.calling_ae_title, facts.remote_host, number))

    def _count(self, key: int, now_s: float) -> int:
        times, since_s = self._times.get(key, now_s) or (0, now_s)
        self._times.put(key, times + 1, since_s, now_s)
        return times + 1
