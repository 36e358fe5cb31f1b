"""The presentation contexts that are proposed, and the transfer syntax that an object is sent in over them."""

from collections.abc import Container, Sequence

import pytest

from gateway.dataset.native import alternatives
from gateway.model.associate import MOST_CONTEXTS, ProposedContext
from gateway.sending.contexts import ConfiguredContexts, Kind, RecentContexts, named, propose, taken_form

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
FREE = ConfiguredContexts(())


def taken_in(kind: Kind, accepted: Container[Kind]) -> str:
    return taken_form(kind[0], alternatives(kind[1]), accepted)


def remembered(*kinds: Kind, fallback: Sequence[str] = ()) -> RecentContexts:
    """The memory after each of these kinds was needed, one after the other."""
    recent = RecentContexts()
    for kind in kinds:
        propose([kind], recent, FREE, fallback)
    return recent


CT_ONLY = ConfiguredContexts([ProposedContext(CT, (JPEG, EXPLICIT)), ProposedContext(CT, (EXPLICIT,))])


def proposed(needed: list[Kind], recent: RecentContexts | None = None) -> list[tuple[str, tuple[str, ...]]]:
    contexts = propose(needed, recent or RecentContexts(), FREE)
    return [(context.abstract_syntax, context.transfer_syntaxes) for context in contexts]


@pytest.mark.parametrize(
    ("own", "beside"),
    [
        (EXPLICIT, (IMPLICIT, BIG)),
        (IMPLICIT, (EXPLICIT, BIG)),
        (BIG, (IMPLICIT, EXPLICIT)),
        (DEFLATED, (IMPLICIT, EXPLICIT, BIG)),
    ],
)
def test_beside_a_native_kind_stand_the_other_native_ones(own: str, beside: tuple[str, ...]) -> None:
    assert proposed([(CT, own)]) == [(CT, (own,)), (CT, beside)]


def test_one_context_for_each_compressed_kind_needed_and_for_those_of_late() -> None:
    recent = remembered((MR, EXPLICIT), (MR, JPEG))
    assert proposed([(CT, JPEG)], recent) == [
        (CT, (JPEG,)),
        (MR, (JPEG,)),
        (MR, (EXPLICIT,)),
        (MR, (IMPLICIT, BIG)),
    ]


def test_kinds_are_proposed_once() -> None:
    recent = remembered((CT, JPEG))
    assert proposed([(CT, JPEG), (CT, JPEG)], recent) == [(CT, (JPEG,))]


def test_what_is_needed_first_has_the_first_right_to_the_128_places() -> None:
    recent = remembered(*((MR, f"1.2.{number}") for number in range(200)))
    kinds = proposed([(CT, f"1.2.{number}") for number in range(100)], recent)
    assert len(kinds) == MOST_CONTEXTS
    assert kinds[:100] == [(CT, (f"1.2.{number}",)) for number in range(100)]
    assert kinds[100] == (MR, ("1.2.199",))


def test_each_kind_is_followed_by_its_fallbacks_in_contexts_of_their_own() -> None:
    recent = remembered((MR, JPEG), fallback=(EXPLICIT, IMPLICIT))
    contexts = propose([(CT, JPEG)], recent, FREE, (EXPLICIT, IMPLICIT))
    assert contexts == tuple(
        ProposedContext(sop_class, (syntax,)) for sop_class in (CT, MR) for syntax in (JPEG, EXPLICIT, IMPLICIT)
    )


def test_fallbacks_have_their_place_among_the_128() -> None:
    many = propose([(CT, f"1.2.{number}") for number in range(200)], RecentContexts(), FREE, (EXPLICIT,))
    assert len(many) == MOST_CONTEXTS
    assert many[:2] == (ProposedContext(CT, ("1.2.0",)), ProposedContext(CT, (EXPLICIT,)))


def test_the_oldest_contexts_are_forgotten() -> None:
    one, two, three = (ProposedContext(CT, (syntax,)) for syntax in ("1", "2", "3"))
    recent = RecentContexts(limit=2)
    assert recent.proposal([two, one]) == (two, one)
    assert recent.proposal([three, one]) == (three, one)
    assert recent.proposal([three]) == (three, one)
    assert recent.proposal([two]) == (two, three)


def test_contexts_that_are_needed_twice_are_proposed_once_where_they_stood_first() -> None:
    one, two = ProposedContext(CT, ("1",)), ProposedContext(CT, ("2",))
    assert RecentContexts().proposal([one, two, one]) == (one, two)


def test_contexts_that_are_given_are_proposed_as_they_are_and_alone() -> None:
    recent = remembered((MR, JPEG))
    assert propose([(MR, IMPLICIT), (CT, EXPLICIT)], recent, CT_ONLY, (IMPLICIT,)) == CT_ONLY.contexts


@pytest.mark.parametrize("syntax", [JPEG, EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_what_fits_a_given_context_is_not_refused(syntax: str) -> None:
    assert CT_ONLY.refusal((CT, syntax)) == ""


def test_what_fits_none_is_refused_by_name() -> None:
    reason = CT_ONLY.refusal((CT, "1.2.840.10008.1.2.4.50"))
    for part in ("CT Image Storage", CT, "JPEG Baseline", "JPEG Lossless", "Explicit VR Little Endian"):
        assert part in reason
    assert "no such SOP class" in CT_ONLY.refusal((MR, EXPLICIT))


@pytest.mark.parametrize(
    ("own", "accepted", "sent"),
    [
        (EXPLICIT, (EXPLICIT, IMPLICIT), EXPLICIT),
        (EXPLICIT, (IMPLICIT,), IMPLICIT),
        (IMPLICIT, (EXPLICIT, BIG), EXPLICIT),
        (IMPLICIT, (BIG,), BIG),
        (DEFLATED, (BIG, IMPLICIT), IMPLICIT),
        (EXPLICIT, (JPEG,), ""),
        (JPEG, (EXPLICIT, IMPLICIT), ""),
        (JPEG, (JPEG, IMPLICIT), JPEG),
    ],
)
def test_in_what_an_object_is_sent(own: str, accepted: tuple[str, ...], sent: str) -> None:
    assert taken_in((CT, own), {(CT, syntax) for syntax in accepted}) == sent


def test_unknown_uids_are_named_by_themselves() -> None:
    assert named("1.2.3.4") == "1.2.3.4"
