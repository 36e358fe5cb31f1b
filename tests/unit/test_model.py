"""Values that all parts share."""

import dataclasses
from datetime import UTC, datetime

from gateway.model.association import AssociationFacts
from gateway.model.instance import IndexEntry, Instance, PayloadRef


def test_a_stored_instance_differs_in_its_place_alone() -> None:
    before = Instance(
        "1.2",
        "1.2.3",
        "1.2.840.10008.1.2",
        "1.2.4",
        "1.2.5",
        AssociationFacts("CT1", "GATEWAY", "10.0.0.1"),
        PayloadRef("", 0, 0, b""),
        datetime(2026, 1, 1, tzinfo=UTC),
        index=IndexEntry("{}", "{}", "{}", "{}"),
        kept_facts="{}",
    )
    place = PayloadRef("segments/1", 128, 10, b"digest")
    assert len({field.name for field in dataclasses.fields(Instance)}) == 11, "`stored` names every field"
    stored, expected = before.stored(place, 7), dataclasses.replace(before, payload=place, instance_id=7)
    assert stored == expected
    assert stored.index is before.index
