"""Bundles in hand: their order, the associations that they need, and what stands for them among what is ready."""

from __future__ import annotations

import pytest

from gateway.delivery.bundles import Bundle, Bundles, mark_of
from gateway.delivery.ready_line import ClaimedDelivery
from gateway.model.bundle import place_in_bundle
from gateway.model.priority import Priority
from tests.support.fakes.memory_journal import CT, EXPLICIT, MR, MemoryJournal

IMPLICIT = "1.2.840.10008.1.2"
JPEG = "1.2.840.10008.1.2.4.50"


def place(series: int, number: int) -> int:
    return place_in_bundle((str(series),), (str(number),))


def claim(journal: MemoryJournal, at: int = 0, bundle: str = "1.2", **options: object) -> ClaimedDelivery:
    delivery_id = journal.add(bundle=bundle, bundle_place=at, **options)  # type: ignore[arg-type]
    return ClaimedDelivery(0.0, journal.rows[delivery_id])


def taken(bundle: Bundle) -> list[int]:
    return [bundle.take().delivery.delivery_id for _ in range(len(bundle))]


def test_the_order_is_that_of_the_numbers_whenever_the_claims_come() -> None:
    journal, bundle = MemoryJournal(), Bundle("1.2")
    bundle.add([claim(journal, place(2, 1)), claim(journal, place(1, 2))])
    bundle.add([claim(journal, place(1, 1)), claim(journal, place(1, 10))])
    assert taken(bundle) == [3, 2, 4, 1]


def test_each_goes_when_the_one_before_has_its_outcome() -> None:
    journal, bundle = MemoryJournal(), Bundle("1.2")
    bundle.add([claim(journal)])
    assert bundle.take().is_alone


def test_the_association_is_made_for_all_kinds() -> None:
    journal, bundle = MemoryJournal(), Bundle("1.2")
    bundle.add([claim(journal, 1), claim(journal, 2, sop_class_uid=MR), claim(journal, 3)])
    bundle.take()
    assert bundle.kinds((CT, EXPLICIT)) == ((CT, EXPLICIT), (MR, EXPLICIT))
    assert bundle.kinds((MR, EXPLICIT)) == ((MR, EXPLICIT), (CT, EXPLICIT))
    assert bundle.kinds((CT, JPEG)) == ((CT, JPEG), (MR, JPEG), (CT, EXPLICIT), (MR, EXPLICIT)), "transcoded"
    assert bundle.associations == 1


@pytest.mark.parametrize(("classes", "fallback", "associations"), [(64, (), 1), (65, (), 2), (43, (JPEG,), 2)])
def test_more_contexts_than_one_association_can_have_are_split(
    classes: int, fallback: tuple[str, ...], associations: int
) -> None:
    """Explicit VR Little Endian is proposed alone, and beside it the other native transfer syntaxes: two contexts."""
    journal, bundle = MemoryJournal(), Bundle("1.2", fallback)
    claims = [
        claim(journal, number % classes, sop_class_uid=f"1.2.3.{number % classes}") for number in range(3 * classes)
    ]
    bundle.add(claims)
    assert bundle.associations == associations
    order = [bundle.take().delivery for _ in claims]
    first_of_last = classes if associations == 1 else 128 // (2 + len(fallback))
    first = [each for each in order if int(each.instance.sop_class_uid.rpartition(".")[2]) < first_of_last]
    assert order[: len(first)] == first, "one association after the other"
    assert [each.bundle_place for each in order] == sorted(each.bundle_place for each in order)


def test_the_kinds_of_a_part_are_those_of_its_association() -> None:
    journal, bundle = MemoryJournal(), Bundle("1.2")
    bundle.add([claim(journal, number, sop_class_uid=f"1.2.3.{number}") for number in range(65)])
    assert len(bundle.kinds((bundle.take().delivery.instance.sop_class_uid, EXPLICIT))) == 64
    for _ in range(63):
        bundle.take()
    assert bundle.kinds((bundle.take().delivery.instance.sop_class_uid, EXPLICIT)) == (("1.2.3.64", EXPLICIT),)


def test_objects_that_came_through_other_numbers_of_gateways_do_not_alternate() -> None:
    journal, bundle = MemoryJournal(), Bundle("1.2")
    versions = ["GATEWAY_0.1.0+1", "GATEWAY_0.1.0", "GATEWAY_0.1.0+1", "GATEWAY_0.1.0"]
    bundle.add([claim(journal, at, implementation_version_name=name) for at, name in enumerate(versions)])
    order = [bundle.take().delivery for _ in versions]
    assert [each.delivery_id for each in order] == [2, 4, 1, 3]
    assert [mark_of(each) for each in order] == ["", "", "1", "1"]


def test_one_stands_for_each_bundle_that_is_new() -> None:
    journal, bundles = MemoryJournal(), Bundles()
    alone, first, other, second = (claim(journal, bundle=name) for name in ("", "1.2", "1.3", "1.2"))
    assert list(bundles.sort_out([alone, first, other, second], ())) == [alone, first, other]
    assert len(bundles) == 3
    late = claim(journal)
    assert list(bundles.sort_out([late], ())) == [], "it is in hand"
    begun = bundles.begin(first)
    assert list(bundles.sort_out([claim(journal)], ())) == [], "a worker sends it"
    assert taken(begun) == [2, 4, 5, 6]
    assert list(bundles.end(begun)) == []
    assert list(bundles.sort_out([again := claim(journal)], ())) == [again]


def test_what_is_left_comes_back() -> None:
    journal, bundles = MemoryJournal(), Bundles()
    alone, first, second = (claim(journal, bundle=name) for name in ("", "1.2", "1.2"))
    assert [*bundles.sort_out([alone, first, second], ())] == [alone, first]
    assert list(bundles.dissolve(alone)) == [alone]
    assert {each.delivery.delivery_id for each in bundles.dissolve(first)} == {2, 3}
    assert len(bundles) == 0


def test_all_but_the_first_and_what_a_closed_window_holds_up_can_be_taken_out() -> None:
    journal, bundle = MemoryJournal(), Bundle("1.2")
    bundle.add([claim(journal, at) for at in (3, 1, 2)])
    bundle.add([claim(journal, at, priority=Priority.URGENT, passes_window=True) for at in (9, 8)])
    assert bundle.take_out() == []
    assert [each.delivery.delivery_id for each in bundle.take_out(are_passing_kept=True)] == [2, 3, 1]
    assert [each.delivery.delivery_id for each in bundle.take_out(is_first_kept=True)] == [4]
    assert bundle.next.delivery_id == 5
    assert taken(bundle) == [5]
