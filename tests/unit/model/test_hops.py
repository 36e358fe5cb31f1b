"""How many gateways a request came through stands at the end of the Implementation Version Name."""

from __future__ import annotations

import pytest

from gateway.model.association import AssociationFacts
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, hops_of


@pytest.mark.parametrize(
    ("class_uid", "name", "hops"),
    [
        (IMPLEMENTATION_CLASS_UID, "GATEWAY_0.1.0", 0),
        (IMPLEMENTATION_CLASS_UID, "GATEWAY_0.1.0+1", 1),
        (IMPLEMENTATION_CLASS_UID, "GATEWAY_0.1.0+9", 9),
        (IMPLEMENTATION_CLASS_UID, "", 0),
        ("1.2.3", "GATEWAY_0.1.0+1", 0),
    ],
)
def test_only_gateways_of_this_kind_are_believed(class_uid: str, name: str, hops: int) -> None:
    facts = AssociationFacts("A", "B", "h", implementation_class_uid=class_uid, implementation_version_name=name)
    assert hops_of(facts) == hops
