"""Random histories: a store and the model in dictionaries must agree after every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import IndexEntry
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import IN_ORDER, ONLY_PASSING, ONLY_URGENT, ClaimOrder
from gateway.ports.store import Store
from gateway.query.compile import Options
from tests.support.fakes.memory_store import MemoryStore
from tests.support.identifiers import attributes, entry, find
from tests.support.quick_run import QUICK_RUN
from tests.support.samples import HELD, NOON, TO_PACS, TO_VNA, Clock, instance, settlement

DISPATCHES = (
    *(TO_PACS, TO_VNA, HELD, Dispatch("other", "pacs", priority=Priority.LOW)),
    Dispatch("other", "vna", '[{"remove":"PatientName"}]', priority=Priority.URGENT, passes_window=True),
    Dispatch("stat", "pacs", '[{"remove":"PatientID"}]', priority=Priority.URGENT),
)
CLAIMS = st.sampled_from(
    [IN_ORDER, ClaimOrder(lower=1), ClaimOrder(lower=2), ClaimOrder(lower=4), ONLY_URGENT, ONLY_PASSING]
)
FILTERS = st.builds(
    DeliveryFilter,
    ids=st.sampled_from([(), (1,), (2, 3), (4, 5, 6)]),
    destination=st.sampled_from([None, "pacs", "vna", ""]),
    state=st.sampled_from([None, *DeliveryState]),
    priority=st.sampled_from([None, None, None, *Priority]),
)
ENTRIES = (
    None,
    *(
        entry(attributes(StudyInstanceUID=study, SeriesInstanceUID=series, **others))
        for study, series, others in (
            ("1.1", "1.1.1", {"PatientID": "P1", "StudyDescription": "BRAIN", "InstanceNumber": "1"}),
            ("1.1", "1.1.1", {"PatientID": "P1", "StudyDescription": "HEAD", "StudyID": "7"}),
            ("1.1", "1.1.2", {"PatientID": "P1", "Modality": "MR"}),
            ("1.2", "1.1.2", {"PatientID": "P1", "PatientName": "Doe^John"}),
            ("1.1", "1.1.1", {"PatientID": "P2"}),
        )
    ),
)
COMPUTED: dict[str, Any] = {
    "ModalitiesInStudy": "",
    "NumberOfStudyRelatedSeries": "",
    "NumberOfStudyRelatedInstances": "",
}
QUERIES = (
    find("PATIENT", "patient", PatientID="", PatientName="", NumberOfPatientRelatedInstances=""),
    find("STUDY", StudyInstanceUID="", StudyDescription="", StudyID="", **COMPUTED),
    find("STUDY", StudyInstanceUID="", ModalitiesInStudy="MR"),
    find("SERIES", options=Options(is_relational=True), SeriesInstanceUID="", StudyID="7"),
    find("IMAGE", options=Options(is_relational=True), SOPInstanceUID="", InstanceNumber="", PatientName="doe*"),
)
ARRIVALS = st.lists(
    st.tuples(st.integers(1, 6), st.lists(st.sampled_from(DISPATCHES), max_size=3), st.sampled_from(ENTRIES)),
    min_size=1,
    max_size=4,
)


class QueueHistory(RuleBasedStateMachine):
    """The clock only moves forward here; what happens when it does not stands in the contract suite."""

    is_index_in_order_of_arrival = True
    """False for a store that keeps what it finds in a stable order of its own."""
    does_begin_end_claims = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.reopen = self.new_store()
        self.real = self.reopen()
        self.model = MemoryStore(self.clock)
        self.claimed: list[Delivery] = []

    def new_store(self) -> Callable[[], Store]:
        """Opens one and the same store, which is empty at first."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.real.close()

    @rule(seconds=st.sampled_from([0.000001, 1.0, 30.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(arrivals=ARRIVALS)
    def accept(self, arrivals: list[tuple[int, list[Dispatch], IndexEntry | None]]) -> None:
        given = [
            (dataclasses.replace(instance(number), index=index), dispatches) for number, dispatches, index in arrivals
        ]
        with self.real.transaction():
            answers = self.real.deliveries.accept(given, self.clock())
        assert answers == self.model.accept(given, self.clock())

    @rule(destination=st.sampled_from(["pacs", "vna", ""]), limit=st.integers(1, 4), order=CLAIMS)
    def claim(self, destination: str, limit: int, order: ClaimOrder) -> None:
        with self.real.transaction(is_durable=False):
            claimed = self.real.deliveries.claim(destination, limit, 20.0, self.clock(), order=order)
        assert claimed == self.model.claim(destination, limit, 20.0, self.clock(), order=order)
        self.claimed += claimed

    @precondition(lambda self: self.claimed)
    @rule(
        data=st.data(),
        state=st.sampled_from(DeliveryState),
        delay_s=st.sampled_from([0.0, 10.0]),
        is_attempt=st.booleans(),
        reason=st.sampled_from(["", "0xA700"]),
    )
    def settle(self, data: st.DataObject, state: DeliveryState, delay_s: float, is_attempt: bool, reason: str) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.claimed), min_size=1, max_size=3))
        state = state if is_attempt else DeliveryState.PENDING
        due_at = self.clock() + timedelta(seconds=delay_s)
        given: list[Settlement] = [
            settlement(each, state, due_at=due_at, reason=reason, is_attempt=is_attempt) for each in chosen
        ]
        with self.real.transaction():
            held = self.real.deliveries.settle(given)
        assert held == self.model.settle(given)

    @rule(which=FILTERS)
    def retry(self, which: DeliveryFilter) -> None:
        with self.real.transaction():
            count = self.real.administration.retry(which, self.clock())
        assert count == self.model.retry(which, self.clock())

    @rule(which=FILTERS)
    def hold(self, which: DeliveryFilter) -> None:
        with self.real.transaction():
            count = self.real.administration.hold(which)
        assert count == self.model.hold(which)

    @rule(which=FILTERS, destination=st.sampled_from([None, "vna"]), even_if_doubtful=st.booleans())
    def release(self, which: DeliveryFilter, destination: str | None, even_if_doubtful: bool) -> None:
        now, also = self.clock(), even_if_doubtful
        with self.real.transaction():
            count = self.real.administration.release(which, now, destination, even_if_doubtful=also)
        assert count == self.model.release(which, now, destination, even_if_doubtful=also)

    @rule(which=FILTERS, destination=st.sampled_from(["pacs", "vna"]), even_if_doubtful=st.booleans())
    def retarget(self, which: DeliveryFilter, destination: str, even_if_doubtful: bool) -> None:
        now, also = self.clock(), even_if_doubtful
        with self.real.transaction():
            count = self.real.administration.retarget(which, now, destination, even_if_doubtful=also)
        assert count == self.model.retarget(which, now, destination, even_if_doubtful=also)

    @rule(which=FILTERS, destination=st.sampled_from([None, "vna"]))
    def send_again(self, which: DeliveryFilter, destination: str | None) -> None:
        with self.real.transaction():
            count = self.real.administration.send_again(which, self.clock(), destination)
        assert count == self.model.send_again(which, self.clock(), destination)

    @rule(which=FILTERS, priority=st.sampled_from(Priority))
    def set_priority(self, which: DeliveryFilter, priority: Priority) -> None:
        with self.real.transaction():
            count = self.real.administration.set_priority(which, priority)
        assert count == self.model.set_priority(which, priority)

    @rule(which=FILTERS)
    def discard(self, which: DeliveryFilter) -> None:
        with self.real.transaction():
            count = self.real.administration.discard(which)
        assert count == self.model.discard(which)

    @rule(age_s=st.sampled_from([0.0, 40.0]), limit=st.sampled_from([1, 100]), keep_s=st.sampled_from([0.0, 100.0]))
    def forget(self, age_s: float, limit: int, keep_s: float) -> None:
        before = self.clock() - timedelta(seconds=age_s)
        indexed_before = before - timedelta(seconds=keep_s)
        with self.real.transaction():
            count = self.real.deliveries.forget(before, limit, indexed_before)
        assert count == self.model.forget(before, limit, indexed_before)

    @rule()
    def restart(self) -> None:
        self.real.close()
        self.real = self.reopen()
        with self.real.transaction():
            count = self.real.deliveries.expire_leases()
        assert count == (self.model.expire_leases() if self.does_begin_end_claims else 0)

    @invariant()
    def agree(self) -> None:
        everything = DeliveryFilter()
        assert self.real.administration.list(everything, 1000) == self.model.list(everything, 1000)
        assert self.real.deliveries.depths() == self.model.depths()
        assert self.real.spool.payload_names() == self.model.payload_names()
        assert sorted(self.real.deliveries.pending_destinations()) == self.model.pending_destinations()
        for destination in ("pacs", "vna", ""):
            assert self.real.deliveries.next_due(destination) == self.model.next_due(destination)
        for delivery in self.real.administration.list(everything, 1000):
            assert self.real.administration.attempts(delivery.delivery_id) == self.model.attempts(delivery.delivery_id)
        for query in QUERIES:
            expected = self.model.matches(query, self.model.find(query))
            found = self.real.index.matches(query, self.real.index.find(query))
            assert self._ordered(found) == self._ordered(expected), query
            instances = self.real.index.find_instances(query)
            assert self._ordered(instances) == self._ordered(self.model.find_instances(query))
        assert self.clock() >= NOON

    def _ordered(self, found: Sequence[object]) -> list[object]:
        return list(found) if self.is_index_in_order_of_arrival else sorted(found, key=repr)


SETTINGS = settings(
    max_examples=QUICK_RUN.examples(40),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
