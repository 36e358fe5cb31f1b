"""Bundles in hand: deliveries of one destination that go over one association with nothing else in it, in order.

A claim finds deliveries by when they are due. One of a bundle stands for the whole of it: the worker that takes it
claims the rest, sends all of it over a new association, and ends that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from gateway.delivery.ready_line import ClaimedDelivery
from gateway.delivery.refusals import kind_of
from gateway.model.associate import MOST_CONTEXTS, ProposedContext
from gateway.model.bundle import order_in_bundle
from gateway.model.delivery import Delivery
from gateway.sending.contexts import Kind, contexts_of

MOST_IN_HAND = 5000
"""Deliveries of bundles in hand. While there are so many nothing else is claimed; a larger bundle is claimed in pages,
in its order."""


class Bundle:
    """The deliveries of one bundle in hand. `fallback`: further transfer syntaxes of the destination."""

    def __init__(self, name: str, fallback: Sequence[str] = ()) -> None:
        self.name = name
        self._claims: deque[ClaimedDelivery] = deque()
        self._fallback = fallback
        self._parts: dict[Kind, int] = {}
        """The association, counted from 0, over which objects of a kind go: it has a limit of presentation contexts."""
        self._contexts: set[ProposedContext] = set()
        """Those of the last part."""
        self._last = self._part = 0
        """The last part, and the one that is sent."""

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def associations(self) -> int:
        """The number of associations that its presentation contexts need."""
        return self._last + 1

    def add(self, claims: Iterable[ClaimedDelivery]) -> None:
        """These belong to it."""
        claims = sorted((*self._claims, *claims), key=lambda claim: order_in_bundle(claim.delivery))
        for claim in claims:
            kind = kind_of(claim.delivery)
            if kind not in self._parts:
                self._parts[kind] = self._part_for(kind)
        self._claims = deque(sorted(claims, key=self._association_of))

    def _part_for(self, kind: Kind) -> int:
        contexts = self._contexts | set(contexts_of(*kind, self._fallback))
        if len(contexts) > MOST_CONTEXTS:
            contexts, self._last = set(contexts_of(*kind, self._fallback)), self._last + 1
        self._contexts = contexts
        return self._last

    def _association_of(self, claim: ClaimedDelivery) -> tuple[int, str]:
        """Objects that came through different numbers of gateways go over different associations as well."""
        return self._parts[kind_of(claim.delivery)], mark_of(claim.delivery)

    @property
    def next(self) -> Delivery:
        """The next one; there is one."""
        return self._claims[0].delivery

    def take(self) -> ClaimedDelivery:
        """The next one. It is sent when the one before has its outcome."""
        claim = self._claims.popleft()
        self._part = self._parts[kind_of(claim.delivery)]
        return claim._replace(is_alone=True)

    def take_out(self, *, are_passing_kept: bool = False, is_first_kept: bool = False) -> list[ClaimedDelivery]:
        """Take out those that a closed window holds up, where `are_passing_kept`; then all but the next one, where
        `is_first_kept`."""
        kept = [claim for claim in self._claims if claim.delivery.is_passing or not are_passing_kept]
        kept = kept[:1] if is_first_kept else kept
        ids = {claim.delivery.delivery_id for claim in kept}
        gone = [claim for claim in self._claims if claim.delivery.delivery_id not in ids]
        self._claims = deque(kept)
        return gone

    def kinds(self, kind: Kind) -> tuple[Kind, ...]:
        """The kinds that an association is to be made for: `kind`, which comes next, then those of its part. Where
        `kind` is none of those that are stored, the others are likely to be changed in the same way."""
        own = [each for each, part in self._parts.items() if part == self._part]
        changed = [] if kind in self._parts else [(sop_class, kind[1]) for sop_class, _ in own]
        return tuple(dict.fromkeys((kind, *changed, *own)))


class Bundles:
    """The bundles that a courier has in hand: those that wait for a worker, and those that one sends."""

    def __init__(self) -> None:
        self._waiting: dict[str, Bundle] = {}
        self._begun: dict[str, Bundle] = {}

    def __len__(self) -> int:
        """The number of deliveries."""
        return sum(map(len, (*self._waiting.values(), *self._begun.values())))

    def sort_out(self, claims: Iterable[ClaimedDelivery], fallback: Sequence[str]) -> Iterator[ClaimedDelivery]:
        """Those that go alone, and the first one of each bundle that was not in hand, which stands for it."""
        of_bundles: dict[str, list[ClaimedDelivery]] = {}
        for claim in claims:
            name = claim.delivery.bundle
            if not name:
                yield claim
                continue
            if name not in of_bundles and name not in self._begun and name not in self._waiting:
                self._waiting[name] = Bundle(name, fallback)
                yield claim
            of_bundles.setdefault(name, []).append(claim)
        for name, found in of_bundles.items():
            (self._begun if name in self._begun else self._waiting)[name].add(found)

    def begin(self, claim: ClaimedDelivery) -> Bundle:
        """A worker sends the bundle that `claim` stands for, until `end`."""
        bundle = self._begun[claim.delivery.bundle] = self._waiting.pop(claim.delivery.bundle)
        return bundle

    def end(self, bundle: Bundle) -> Iterator[ClaimedDelivery]:
        """The worker is done: what is left of it."""
        del self._begun[bundle.name]
        while bundle:
            yield bundle.take()

    def dissolve(self, claim: ClaimedDelivery) -> Iterator[ClaimedDelivery]:
        """All that `claim` stands for, which no worker began."""
        if not claim.delivery.bundle:
            yield claim
            return
        yield from self.end(self.begin(claim))


def mark_of(delivery: Delivery) -> str:
    """The number that `gateway.model.hops.hops_of` reads, as text."""
    name = delivery.instance.association.implementation_version_name
    return name[-1] if name[-2:-1] == "+" else ""
