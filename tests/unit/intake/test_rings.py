"""Every ring of gateways comes to rest, whatever they do to objects; honest traffic is never held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.destinations.dicom import DimseDestination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.intake.loops import LoopWatch, is_forwarder
from gateway.model.association import AssociationFacts
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.model.peer import Peer
from gateway.model.settings import Loops
from tests.support.fakes.meter import MemoryMeter
from tests.support.quick_run import QUICK_RUN
from tests.unit.handlers.test_store import table

LIMITS = Loops()
PLENTY = 1000
"""Rounds after which a ring is called endless."""


@dataclass(frozen=True)
class Sent:
    """One object on its way over an association."""

    facts: AssociationFacts
    uid: str
    size: int


Edit = Callable[["Node", Sent], tuple[str, int]]
"""Its SOP Instance UID and its size after a gateway's actions."""


def as_it_is(node: Node, sent: Sent) -> tuple[str, int]:
    return sent.uid, sent.size


def new_uid(node: Node, sent: Sent) -> tuple[str, int]:
    """As `hash_uid` does: the same of the same."""
    return f"{node.number}.{abs(hash((node.number, sent.uid)))}", sent.size


def larger(node: Node, sent: Sent) -> tuple[str, int]:
    return sent.uid, sent.size + 2


def both(node: Node, sent: Sent) -> tuple[str, int]:
    return new_uid(node, sent)[0], sent.size + 2


EDITS: dict[str, Edit] = {"none": as_it_is, "uid": new_uid, "size": larger, "both": both}


@dataclass
class Node:
    """A gateway that sends what it takes on to `to`."""

    number: int
    title: str
    to: str
    edit: Edit
    now_s: Callable[[], float]
    watch: LoopWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = LoopWatch(LIMITS, self.now_s)
        self.there = Peer("there", ae_title=self.to, host="127.0.0.1", port=104)
        self.table = replace(table(), peers={"there": self.there})
        self.destination = DimseDestination(self.there, AssociationPool(self.title), MemoryMeter())

    def takes(self, sent: Sent) -> Sent | None:
        """What it sends on; None when it holds the object."""
        if is_forwarder(sent.facts, self.table) and self.watch.comes(sent.facts, sent.uid, sent.size):
            return None
        uid, size = self.edit(self, sent)
        self.watch.on_sending(self.there, sent.uid, uid, size)
        hops = self.destination.on_behalf_of(sent.facts).called.associate.hops
        facts = AssociationFacts(
            self.title,
            self.to,
            f"10.0.0.{self.number}",
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=f"{IMPLEMENTATION_VERSION_NAME[:14]}+{hops}",
        )
        return Sent(facts, uid, size)


@dataclass
class Software:
    """A router of another kind: it passes on what it gets."""

    title: str
    to: str
    edit: Edit = as_it_is
    number: int = 99

    def takes(self, sent: Sent) -> Sent | None:
        uid, size = self.edit(self, sent)  # type: ignore[arg-type]
        return Sent(AssociationFacts(self.title, self.to, "10.0.0.99"), uid, size)


FROM_CT = Sent(AssociationFacts("CT1", "G0", "10.0.0.50"), "1.2.3", 100)


def rounds(ring: list[Any], round_s: float, clock: list[float]) -> int:
    """How often an object was passed on before somebody held it."""
    sent: Sent | None = FROM_CT
    for number in range(PLENTY):
        sent = ring[number % len(ring)].takes(sent)
        if sent is None:
            return number
        clock[0] += round_s / len(ring)
    return PLENTY


def gateways(edits: list[str], last_to: str, clock: list[float]) -> list[Any]:
    titles = [f"G{number}" for number in range(len(edits))]
    return [
        Node(number, titles[number], [*titles, last_to][number + 1], EDITS[edit], lambda: clock[0])
        for number, edit in enumerate(edits)
    ]


@settings(max_examples=QUICK_RUN.examples(200), deadline=None)
@given(st.lists(st.sampled_from(list(EDITS)), min_size=2, max_size=4), st.floats(0, 1e6))
def test_every_ring_of_gateways_comes_to_rest(edits: list[str], round_s: float) -> None:
    clock = [0.0]
    ring = gateways(edits, "G0", clock)
    assert rounds(ring, round_s, clock) <= LIMITS.hops + 1


@settings(max_examples=QUICK_RUN.examples(50), deadline=None)
@given(st.sampled_from(list(EDITS)), st.floats(0, LIMITS.within_s / (LIMITS.returns + 2)))
def test_every_ring_of_one_gateway_and_other_software_comes_to_rest(edit: str, round_s: float) -> None:
    clock = [0.0]
    ring = [*gateways([edit], "ROUTER", clock), Software("ROUTER", "G0")]
    assert rounds(ring, round_s, clock) <= 2 * (LIMITS.returns + 2)


@settings(max_examples=QUICK_RUN.examples(50), deadline=None)
@given(
    st.lists(st.sampled_from(["none", "size"]), min_size=2, max_size=3),
    st.sampled_from([as_it_is, larger]),
    st.floats(0, LIMITS.within_s / (LIMITS.repeats + 2)),
)
def test_a_ring_of_gateways_that_is_broken_by_other_software_comes_to_rest(
    edits: list[str], edit: Edit, round_s: float
) -> None:
    """It hides how many gateways the object came through, and is nobody's destination that it sends to."""
    clock = [0.0]
    ring = [*gateways(edits, "ROUTER", clock), Software("ROUTER", "G0", edit)]
    assert rounds(ring, round_s, clock) <= (len(edits) + 1) * (LIMITS.repeats + 2)


def test_other_software_that_changes_the_size_is_noticed_when_the_ring_is_quick() -> None:
    clock = [0.0]
    ring = [*gateways(["none"], "ROUTER", clock), Software("ROUTER", "G0", larger)]
    assert rounds(ring, 10.0, clock) <= 2 * (LIMITS.repeats + 2)


def test_what_is_not_noticed() -> None:
    """Other software that gives new UIDs: nothing tells the object from a new one. docs/design.md says so."""
    clock = [0.0]
    ring = [*gateways(["none"], "ROUTER", clock), Software("ROUTER", "G0", new_uid)]
    assert rounds(ring, 1.0, clock) == PLENTY


# --- honest traffic -------------------------------------------------------------------------------------------------

PACS, VNA, AI = (Peer(name, ae_title=name.upper(), host="127.0.0.1", port=104) for name in ("pacs", "vna", "ai"))


@dataclass
class Site:
    """A gateway between modalities, an archive, a second one and an AI service."""

    now_s: float = 0.0
    derived: int = 0
    held: list[str] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watch = LoopWatch(LIMITS, lambda: self.now_s)
        self.table = replace(table(), peers={"pacs": PACS, "vna": VNA, "ai": AI})

    def comes(self, title: str, uid: str, size: int, *to: Peer, sent_uid: str = "", more: int = 0) -> None:
        """From a requestor; and goes on to `to`."""
        facts = AssociationFacts(title, "GATEWAY", "10.0.0.9")
        if is_forwarder(facts, self.table):
            self.counts[title, uid] = self.counts.get((title, uid), 0) + 1
            if self.counts[title, uid] > LIMITS.repeats:
                return  # nobody clicks so often
            if reason := self.watch.comes(facts, uid, size):
                self.held.append(reason)
        for peer in to:
            self.watch.on_sending(peer, uid, sent_uid or uid, size + more)


def by_modality(site: Site, uid: str, size: int) -> None:
    site.comes("CT1", uid, size, PACS, AI)


def again_by_a_user(site: Site, uid: str, size: int) -> None:
    site.comes("PACS", uid, size, VNA, AI)


def corrected(site: Site, uid: str, size: int) -> None:
    """A study comes back from the archive it went to, with another patient; it goes on to the second one."""
    site.comes("PACS", uid, size + 2, VNA)


def through_and_back(site: Site, uid: str, size: int) -> None:
    """The archive has its objects edited by the gateway; a user does so again and again."""
    site.comes("PACS", uid, size, PACS, more=2)


def anonymized_and_back(site: Site, uid: str, size: int) -> None:
    site.comes("PACS", uid, size, PACS, sent_uid=f"9.{uid}")


def analysed(site: Site, uid: str, size: int) -> None:
    """Results of the same study: new objects."""
    for _ in range(20):
        site.derived += 1
        site.comes("AI", f"8.{site.derived}", 50, PACS, VNA)


EVENTS = [by_modality, again_by_a_user, corrected, through_and_back, anonymized_and_back, analysed]


@settings(max_examples=QUICK_RUN.examples(200), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.sampled_from(["1.1", "1.2"]), st.integers(0, 60)),
        min_size=1,
        max_size=80,
    )
)
def test_honest_traffic_is_never_held(events: list[tuple[Any, str, int]]) -> None:
    site = Site()
    for event, uid, wait_s in events:
        site.now_s += wait_s
        event(site, uid, 100)
    assert site.held == []


def test_a_chain_of_gateways_is_no_ring() -> None:
    clock = [0.0]
    sent: Sent | None = FROM_CT
    for gateway in gateways(["none", "uid", "size", "both"] * 2, "PACS", clock):
        assert sent is not None
        sent = gateway.takes(sent)
    assert sent is not None
