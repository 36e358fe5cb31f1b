"""Which presentation contexts are proposed."""

from gateway.destination.contexts import MAX_CONTEXTS, Kind, Narrowing, RecentKinds, named, propose
from gateway.model import ProposedContext

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
FREE = Narrowing(())
CT_JPEG_FIRST = Narrowing([ProposedContext(CT, (JPEG, EXPLICIT))])


def proposed(needed: list[Kind], recent: RecentKinds, narrowing: Narrowing = FREE) -> list[Kind]:
    contexts = propose(needed, recent, narrowing)
    assert all(len(context.transfer_syntaxes) == 1 for context in contexts)
    return [(context.abstract_syntax, context.transfer_syntaxes[0]) for context in contexts]


def test_one_context_for_each_kind_needed_and_for_those_of_late() -> None:
    recent = RecentKinds()
    recent.add([(MR, IMPLICIT), (MR, EXPLICIT)])
    assert proposed([(CT, JPEG), (CT, EXPLICIT)], recent) == [
        (CT, JPEG),
        (CT, EXPLICIT),
        (MR, EXPLICIT),
        (MR, IMPLICIT),
    ]


def test_kinds_are_proposed_once() -> None:
    recent = RecentKinds()
    recent.add([(CT, JPEG)])
    assert proposed([(CT, JPEG), (CT, JPEG)], recent) == [(CT, JPEG)]


def test_what_is_needed_first_has_the_first_right_to_the_128_places() -> None:
    recent = RecentKinds()
    recent.add([(MR, f"1.2.{number}") for number in range(200)])
    kinds = proposed([(CT, f"1.2.{number}") for number in range(100)], recent)
    assert len(kinds) == MAX_CONTEXTS
    assert kinds[:100] == [(CT, f"1.2.{number}") for number in range(100)]
    assert kinds[100] == (MR, "1.2.199")


def test_each_kind_is_followed_by_its_fallbacks_in_contexts_of_their_own() -> None:
    recent = RecentKinds()
    recent.add([(MR, JPEG)])
    contexts = propose([(CT, JPEG), (CT, IMPLICIT)], recent, FREE, (EXPLICIT, IMPLICIT))
    assert contexts == tuple(
        ProposedContext(sop_class, (syntax,))
        for sop_class, syntax in [
            (CT, JPEG),
            (CT, EXPLICIT),
            (CT, IMPLICIT),
            (MR, JPEG),
            (MR, EXPLICIT),
            (MR, IMPLICIT),
        ]
    )


def test_fallbacks_are_narrowed_too_and_have_their_place_among_the_128() -> None:
    contexts = propose([(CT, JPEG)], RecentKinds(), CT_JPEG_FIRST, (IMPLICIT, EXPLICIT))
    assert [context.transfer_syntaxes for context in contexts] == [(JPEG,), (EXPLICIT,)]
    many = propose([(CT, f"1.2.{number}") for number in range(200)], RecentKinds(), FREE, (EXPLICIT,))
    assert len(many) == MAX_CONTEXTS
    assert many[:2] == (ProposedContext(CT, ("1.2.0",)), ProposedContext(CT, (EXPLICIT,)))


def test_the_oldest_kinds_are_forgotten() -> None:
    recent = RecentKinds(limit=2)
    recent.add([(CT, "1"), (CT, "2")])
    recent.add([(CT, "1"), (CT, "3")])
    assert recent.newest_first() == [(CT, "3"), (CT, "1")]


def test_listed_contexts_narrow_their_class_and_order_it() -> None:
    needed = [(MR, IMPLICIT), (CT, EXPLICIT), (CT, IMPLICIT), (CT, JPEG)]
    assert proposed(needed, RecentKinds(), CT_JPEG_FIRST) == [(CT, JPEG), (CT, EXPLICIT), (MR, IMPLICIT)]


def test_a_class_that_is_not_listed_stays_free() -> None:
    assert CT_JPEG_FIRST.refusal((MR, JPEG)) == ""


def test_what_is_not_listed_is_refused_by_name() -> None:
    reason = CT_JPEG_FIRST.refusal((CT, IMPLICIT))
    for part in ("CT Image Storage", CT, "Implicit VR Little Endian", "JPEG Lossless", "Explicit VR Little Endian"):
        assert part in reason


def test_the_same_class_may_be_listed_twice() -> None:
    narrowing = Narrowing([ProposedContext(CT, (JPEG,)), ProposedContext(CT, (EXPLICIT,))])
    assert proposed([(CT, EXPLICIT), (CT, JPEG)], RecentKinds(), narrowing) == [(CT, JPEG), (CT, EXPLICIT)]


def test_unknown_uids_are_named_by_themselves() -> None:
    assert named("1.2.3.4") == "1.2.3.4"
