"""The priority that a route gives an object."""

from __future__ import annotations

import pytest

from gateway.model.priority import Priority
from gateway.routing.language.template import Template
from gateway.routing.route_priority import NORMAL, RoutePriority
from tests.unit.routing.build import facts

STAT = Template("{{ RequestedProcedurePriority }}")
BY_CALLER = Template("{{ 'urgent' if association.calling_ae_title == 'MR1' else 'low' }}")


@pytest.mark.parametrize(
    ("priority", "attributes", "sent_as", "expected"),
    [
        (NORMAL, {}, 1, Priority.NORMAL),
        (RoutePriority(Priority.LOW), {}, 1, Priority.LOW),
        (RoutePriority(), {}, 0, Priority.NORMAL),
        (RoutePriority(), {}, 1, Priority.URGENT),
        (RoutePriority(), {}, 2, Priority.LOW),
        (RoutePriority(), {}, 7, Priority.NORMAL),
        (RoutePriority(template=STAT), {"RequestedProcedurePriority": "STAT"}, 2, Priority.URGENT),
        (RoutePriority(template=STAT), {"RequestedProcedurePriority": "ROUTINE"}, 1, Priority.NORMAL),
        (RoutePriority(template=STAT), {"PatientID": "1"}, 1, Priority.NORMAL),
        (RoutePriority(template=STAT), {"RequestedProcedurePriority": "SOON"}, 1, None),
        (RoutePriority(template=BY_CALLER), {}, 0, Priority.URGENT),
        (RoutePriority(template=Template("{{ Rows|int }}")), {"PatientID": "1"}, 0, None),
    ],
)
def test_the_priority_of_an_object(
    priority: RoutePriority, attributes: dict[str, str], sent_as: int, expected: Priority | None
) -> None:
    assert priority.of(facts(attributes), sent_as) is expected
    assert priority.is_from_object is (priority.fixed is None)


def test_a_template_that_fails_on_an_object_gives_none() -> None:
    failing = RoutePriority(template=Template("{{ 1 // (Rows|int) }}"))
    assert failing.of(facts({"PatientID": "1"}), 1) is None


def test_it_reads_what_its_template_names() -> None:
    assert [path.text for path in RoutePriority(template=STAT).attributes()] == ["RequestedProcedurePriority"]
    assert [*NORMAL.attributes()] == [*RoutePriority().attributes()] == []
