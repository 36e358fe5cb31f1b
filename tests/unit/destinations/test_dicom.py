"""The channel to a DICOM peer, against a requestor in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.destinations.dicom import DimseChannel, DimseDestination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Deferred, Delivered, Refused
from gateway.model.hops import IMPLEMENTATION_CLASS_UID
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.ports.errors import ConfigurationError, DestinationDown, DestinationRefuses
from gateway.ports.meter import NoMeter
from gateway.sending.store_outcome import HAS_IT_ALREADY, outcome_of
from gateway.sending.store_sender import StoreResponse
from tests.unit.destinations.fakes import CT, EXPLICIT, IMPLICIT, JPEG, MR, FakeAssociation, FakePeer, outbound

CT_EXPLICIT, CT_JPEG, MR_EXPLICIT = (CT, EXPLICIT), (CT, JPEG), (MR, EXPLICIT)


def destination(there: FakePeer, **settings: Any) -> DimseDestination:
    return DimseDestination(
        Peer("pacs", "PACS", "127.0.0.1", 104, **settings), AssociationPool("GATEWAY", associate=there), NoMeter()
    )


async def test_an_object_goes_out_as_it_is() -> None:
    there = FakePeer()
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    one = outbound("1.2.3")
    assert await channel.send(one) == Delivered()
    assert there.stored == [
        {"sop_class_uid": CT, "sop_instance_uid": "1.2.3", "transfer_syntax_uid": EXPLICIT, "body": one.body}
    ]


@pytest.mark.parametrize(("size", "is_strict", "is_sent"), [(7, False, True), (7, True, False), (8, True, True)])
async def test_a_strict_peer_gets_no_odd_lengths(size: int, *, is_strict: bool, is_sent: bool) -> None:
    there = FakePeer()
    channel = destination(there, is_strict=is_strict).channel()
    await channel.prepare([CT_EXPLICIT])
    outcome = await channel.send(outbound("1.2.3", bytes(size)))
    assert bool(there.stored) is is_sent
    assert isinstance(outcome, Delivered if is_sent else Refused)


async def test_the_association_is_kept_while_it_has_the_contexts() -> None:
    there = FakePeer()
    channel = destination(there).channel()
    for kinds in ([CT_EXPLICIT, MR_EXPLICIT], [MR_EXPLICIT], [CT_EXPLICIT]):
        await channel.prepare(kinds)
    assert there.proposals == [[CT_EXPLICIT, MR_EXPLICIT]]


async def test_a_new_kind_is_associated_for_together_with_the_old_ones() -> None:
    there = FakePeer()
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    await channel.prepare([CT_JPEG, MR_EXPLICIT])
    assert there.proposals[1] == [CT_JPEG, MR_EXPLICIT, CT_EXPLICIT]
    assert there.released == 1
    await channel.prepare([CT_EXPLICIT])
    assert len(there.proposals) == 2


async def test_channels_of_one_destination_share_what_they_know() -> None:
    there = FakePeer()
    pacs = destination(there)
    await pacs.channel().prepare([CT_EXPLICIT])
    await pacs.channel().prepare([MR_EXPLICIT])
    assert there.proposals[1] == [MR_EXPLICIT, CT_EXPLICIT]


async def test_it_says_how_many_gateways_an_object_came_through() -> None:
    there = FakePeer()
    pacs = destination(there)
    of_a_gateway = AssociationFacts("G", "GATEWAY", "10.0.0.8", implementation_class_uid=IMPLEMENTATION_CLASS_UID)
    said = []
    for name in ("GATEWAY_0.1.0", "GATEWAY_0.1.0+1", "GATEWAY_0.1.0+2", "GATEWAY_0.1.0+9"):
        made = pacs.on_behalf_of(replace(of_a_gateway, implementation_version_name=name))
        assert made is pacs.on_behalf_of(replace(of_a_gateway, implementation_version_name=name))
        assert made.recent is pacs.recent
        said.append(made.called.associate.hops)
    assert said == [1, 2, 3, 9]
    other = replace(of_a_gateway, implementation_class_uid="1.2.3", implementation_version_name="X+3")
    assert pacs.on_behalf_of(other) is pacs
    assert pacs.channels_at_once == 1, "another number takes the place of the one before"


async def test_more_than_128_kinds_take_turns() -> None:
    there = FakePeer()
    channel = destination(there).channel()
    kinds = [(CT, f"1.2.{number}") for number in range(200)]
    for position, kind in enumerate(kinds):
        await channel.prepare([kind, *kinds[:position], *kinds[position + 1 :]])
        assert isinstance(await channel.send(outbound(kind=kind)), Delivered)
    assert all(len(proposal) == 128 for proposal in there.proposals)
    assert len(there.proposals) <= 73


async def test_a_lost_association_is_made_anew() -> None:
    there = FakePeer()
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    there.associations[0].is_open = False
    await channel.prepare([CT_EXPLICIT])
    assert isinstance(await channel.send(outbound()), Delivered)
    assert len(there.associations) == 2


async def test_a_kind_that_the_peer_does_not_accept_is_refused_by_name_and_the_others_go_on() -> None:
    there = FakePeer(accepts=lambda kind: kind != CT_JPEG)
    channel = destination(there).channel()
    await channel.prepare([CT_JPEG, CT_EXPLICIT])
    refused = await channel.send(outbound(kind=CT_JPEG))
    assert isinstance(refused, Refused)
    assert (refused.is_without_context, refused.is_nothing_accepted) == (True, False)
    assert "CT Image Storage" in refused.reason
    assert "JPEG Lossless" in refused.reason
    await channel.prepare([CT_EXPLICIT])
    assert isinstance(await channel.send(outbound(kind=CT_EXPLICIT)), Delivered)
    await channel.prepare([CT_JPEG])
    assert isinstance(await channel.send(outbound(kind=CT_JPEG)), Refused)
    assert len(there.proposals) == 1


async def test_a_peer_that_accepts_nothing_refuses_each_object_and_is_not_asked_for_each() -> None:
    there = FakePeer(accepts=lambda kind: kind == MR_EXPLICIT)
    channel = destination(there).channel()
    for _ in range(3):
        await channel.prepare([CT_EXPLICIT])
        refused = await channel.send(outbound(kind=CT_EXPLICIT))
        assert isinstance(refused, Refused)
        assert (refused.is_without_context, refused.is_nothing_accepted) == (True, True)
    assert len(there.proposals) == 1
    await channel.prepare([MR_EXPLICIT])
    assert isinstance(await channel.send(outbound(kind=MR_EXPLICIT)), Delivered)


async def test_configured_contexts_are_proposed_as_they_are_on_one_association() -> None:
    there = FakePeer()
    given = (ProposedContext(CT, (JPEG, IMPLICIT)), ProposedContext(MR, (IMPLICIT,)), ProposedContext(MR, (EXPLICIT,)))
    channel = destination(there, associate=AssociateKeywords(contexts=given)).channel()
    other = (CT, "1.2.840.10008.1.2.4.50")
    await channel.prepare([other, MR_EXPLICIT])
    refused = await channel.send(outbound(kind=other))
    assert isinstance(refused, Refused)
    assert "configured contexts" in refused.reason
    assert not refused.is_without_context, "the settings are to blame, and not the peer"
    assert there.contexts == []  # not even asked
    for kind in (MR_EXPLICIT, CT_JPEG, (MR, IMPLICIT)):
        await channel.prepare([kind])
        assert await channel.send(outbound(kind=kind)) == Delivered()
    assert there.contexts == [given]


async def test_a_given_context_that_the_peer_does_not_take_makes_a_refusal() -> None:
    there = FakePeer(accepts=lambda kind: kind == MR_EXPLICIT)
    given = (ProposedContext(CT, (JPEG,)), ProposedContext(MR, (EXPLICIT,)))
    channel = destination(there, associate=AssociateKeywords(contexts=given)).channel()
    await channel.prepare([CT_JPEG])
    refused = await channel.send(outbound(kind=CT_JPEG))
    assert isinstance(refused, Refused)
    assert "accepted no presentation context" in refused.reason


EXPLICIT_CT = bytes.fromhex("0800160055491a00") + b"1.2.840.10008.5.1.4.1.1.2\0" + bytes.fromhex("280010005553020007ff")
IMPLICIT_CT = bytes.fromhex("080016001a000000") + b"1.2.840.10008.5.1.4.1.1.2\0" + bytes.fromhex("280010000200000007ff")
BIG_CT = bytes.fromhex("000800165549001a") + b"1.2.840.10008.5.1.4.1.1.2\0" + bytes.fromhex("00280010555300 02ff07")
BIG = "1.2.840.10008.1.2.2"
IN = {EXPLICIT: EXPLICIT_CT, IMPLICIT: IMPLICIT_CT, BIG: BIG_CT}


@pytest.mark.parametrize("taken", IN)
@pytest.mark.parametrize("own", IN)
async def test_a_native_object_goes_to_a_peer_that_takes_another_native_form_alone(own: str, taken: str) -> None:
    there = FakePeer(accepts=lambda kind: kind == (CT, taken))
    channel = destination(there).channel()
    await channel.prepare([(CT, own)])
    assert await channel.send(outbound(data=IN[own], kind=(CT, own))) == Delivered()
    [stored] = there.stored
    assert stored["transfer_syntax_uid"] == taken
    if own == taken:
        assert stored["body"].view() == IN[own]


async def test_what_a_native_peer_gets_is_the_same_values_in_its_form(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[bytes] = []

    async def c_store(self: Any, **request: Any) -> StoreResponse:
        got.append(b"".join(request["body"].chunks(16)))
        return StoreResponse(0)

    monkeypatch.setattr(FakeAssociation, "c_store", c_store)
    for own in IN:
        for taken in IN:
            channel = destination(FakePeer(accepts=lambda kind, taken=taken: kind == (CT, taken))).channel()
            await channel.prepare([(CT, own)])
            await channel.send(outbound(data=IN[own], kind=(CT, own)))
            assert got.pop() == IN[taken], (own, taken)


async def test_what_cannot_be_written_in_the_peers_form_is_refused_with_the_reason() -> None:
    channel = destination(FakePeer(accepts=lambda kind: kind == (CT, IMPLICIT))).channel()
    await channel.prepare([CT_EXPLICIT])
    refused = await channel.send(outbound(data=b"no data set", kind=CT_EXPLICIT))
    assert isinstance(refused, Refused)
    assert refused.is_about_form
    assert "Implicit VR Little Endian" in refused.reason


async def test_the_own_form_is_asked_for_before_an_object_is_written_in_another() -> None:
    """The peer chose Explicit VR Big Endian among the native ones, but takes Implicit VR Little Endian as well."""
    there = FakePeer()
    channel = destination(there).channel()
    there.accepts = lambda kind: kind[1] in (EXPLICIT, BIG)
    await channel.prepare([CT_EXPLICIT])
    there.accepts = lambda kind: True
    await channel.prepare([(CT, IMPLICIT)])
    assert await channel.send(outbound(data=IMPLICIT_CT, kind=(CT, IMPLICIT))) == Delivered()
    assert [stored["transfer_syntax_uid"] for stored in there.stored] == [IMPLICIT]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DestinationDown("refused"), DestinationDown),
        (DestinationRefuses("called AE title not recognized"), DestinationRefuses),
        (ConfigurationError("no such TLS file"), DestinationRefuses),
        (ValueError("AE title too long"), DestinationRefuses),
    ],
)
async def test_no_association_is_reported_to_the_courier(error: Exception, expected: type[Exception]) -> None:
    channel = destination(FakePeer(refusal=error)).channel()
    with pytest.raises(expected, match=str(error)):
        await channel.prepare([CT_EXPLICIT])


async def test_a_lost_association_is_held_against_the_object() -> None:
    channel = destination(FakePeer(loses=True)).channel()
    await channel.prepare([CT_EXPLICIT])
    assert await channel.send(outbound()) == Deferred("association lost", is_destination_down=False)


async def test_one_that_is_lost_after_it_served_is_opened_anew_at_once() -> None:
    there = FakePeer(closes_after=1)
    channel = destination(there).channel()
    for _ in range(5):
        await channel.prepare([CT_EXPLICIT])
        assert await channel.send(outbound()) == Delivered()
    assert (len(there.associations), len(there.stored)) == (5, 5)


async def test_an_object_that_ends_every_association_is_not_sent_for_ever() -> None:
    there = FakePeer()
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    assert await channel.send(outbound()) == Delivered()
    there.loses = True
    assert await channel.send(outbound()) == Deferred("association lost", is_destination_down=False)
    assert len(there.associations) == 2


@pytest.mark.parametrize("is_whole", [True, False], ids=["sent whole", "broken off"])
async def test_an_object_that_was_sent_whole_without_a_response_is_doubtful(*, is_whole: bool) -> None:
    channel = destination(FakePeer(loses=True, loses_whole=is_whole)).channel()
    await channel.prepare([CT_EXPLICIT])
    outcome = await channel.send(outbound())
    assert isinstance(outcome, Deferred)
    assert outcome.is_doubtful is is_whole


AGAIN: dict[str, Callable[[FakePeer], None]] = {
    "no association": lambda there: setattr(there, "refusal", DestinationDown("connection refused")),
    "rejected": lambda there: setattr(there, "refusal", DestinationRefuses("rejected")),
    "no room": lambda there: setattr(there, "status", 0xA700),
    "refused": lambda there: setattr(there, "status", 0xC000),
}


@pytest.mark.parametrize("then", AGAIN.values(), ids=AGAIN)
async def test_a_doubt_about_the_first_association_outlasts_the_second(then: Callable[[FakePeer], None]) -> None:
    there = FakePeer(closes_after=1, loses_whole=True)
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    assert await channel.send(outbound()) == Delivered()
    then(there)
    found: Any
    try:
        found = await channel.send(outbound())
    except (DestinationDown, DestinationRefuses) as error:
        found = error
    assert not isinstance(found, Delivered)
    assert found.is_doubtful


@pytest.mark.parametrize("is_delivered", [True, False], ids=["by default", "as a failure"])
async def test_what_the_peer_has_already(is_delivered: bool) -> None:
    there = FakePeer(status=0x0111)
    channel = destination(there, is_duplicate_delivered=is_delivered).channel()
    await channel.prepare([CT_EXPLICIT])
    with capture_logs() as logs:
        outcome = await channel.send(outbound())
    assert isinstance(outcome, Delivered if is_delivered else Refused)
    assert [line["kind"] for line in logs] == ["duplicate_sop_instance"] * is_delivered


async def test_silence_is_held_against_the_peer() -> None:
    there = FakePeer(loses=True, answers_after_s=0.02)
    channel = destination(there, timers=Timers(dimse_s=0.02)).channel()
    await channel.prepare([CT_EXPLICIT])
    assert await channel.send(outbound()) == Deferred("association lost", is_destination_down=True)


async def test_the_status_decides() -> None:
    there = FakePeer(status=0xA700)
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    assert await channel.send(outbound()) == Deferred("0xA700 Refused: Out of Resources; the peer says: because")


async def test_closing_releases_and_can_be_done_twice() -> None:
    there = FakePeer()
    channel: DimseChannel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    await channel.close()
    await channel.close()
    assert there.released == 1


async def test_closing_in_haste_aborts() -> None:
    there = FakePeer(releases_after_s=60.0)
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(channel.close(), 0.01)
    assert there.associations[0].is_aborted


async def test_what_was_never_prepared_is_not_lost() -> None:
    channel = destination(FakePeer()).channel()
    assert isinstance(await channel.send(outbound(kind=(CT, IMPLICIT))), Deferred)


async def test_the_window_opens_when_the_association_has_served() -> None:
    there = FakePeer(window=4)
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    assert channel.window == 1
    await channel.send(outbound())
    assert channel.window == 4
    there.associations[0].is_open = False
    assert channel.window == 1
    await channel.prepare([CT_EXPLICIT])
    assert channel.window == 1, "the next one has not served yet"


STATUSES: dict[str, tuple[StoreResponse | None, Any]] = {
    "success": (StoreResponse(0), Delivered()),
    "warning": (StoreResponse(0xB000), Delivered(warning=0xB000)),
    "no room": (StoreResponse(0xA700, "because"), outcome_of(0xA700, "because")),
    "not understood": (StoreResponse(0xC000), outcome_of(0xC000)),
    "has it already": (StoreResponse(0x0111), HAS_IT_ALREADY),
    "lost": (None, None),
}


@pytest.mark.parametrize(("response", "expected"), STATUSES.values(), ids=STATUSES)
async def test_the_outcome_of_an_object_that_did_not_wait(response: StoreResponse | None, expected: Any) -> None:
    there = FakePeer(window=4)
    channel = destination(there).channel()
    await channel.prepare([CT_EXPLICIT])
    came: list[Any] = []
    assert await channel.begin(outbound("1.2.3"), came.append) is None
    assert came == []
    there.unanswered[0](response)
    assert came == [expected]


async def test_what_cannot_be_sent_has_its_outcome_at_once() -> None:
    there = FakePeer(window=4)
    channel = destination(there, is_strict=True).channel()
    await channel.prepare([CT_EXPLICIT])
    came: list[Any] = []
    odd = await channel.begin(outbound("1.2.3", b"odd"), came.append)
    there.refusal = ValueError("too long a title")
    unwritten = await channel.begin(outbound("1.2.4"), came.append)
    assert isinstance(odd, Refused)
    assert "odd length" in odd.reason
    assert isinstance(unwritten, Refused)
    assert unwritten.reason == "this object cannot be sent: too long a title"
    assert (came, there.stored) == ([], [])


async def test_an_undivided_channel_has_an_association_of_its_own_that_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = FakePeer()
    pacs = destination(there)
    idle = pacs.channel()
    await idle.prepare([CT_EXPLICIT])
    idle._sender.release()  # as for another user
    channel = pacs.channel()
    channel.keep_undivided()
    await channel.prepare([CT_EXPLICIT])
    assert len(there.associations) == 2
    monkeypatch.setattr(pacs.associations, "is_awaited", lambda association: True)
    for number in range(3):
        assert await channel.send(outbound(f"1.2.{number}")) == Delivered()
    assert [each.served for each in there.associations] == [0, 3], "nobody else had it between two objects"
    await channel.close()
    await pacs.channel().prepare([CT_EXPLICIT])
    assert there.associations[1].is_released
    assert there.associations[1].served == 3


async def test_an_undivided_channel_says_when_it_needs_another_association() -> None:
    there = FakePeer(closes_after=2)
    channel = destination(there).channel()
    channel.keep_undivided()
    await channel.prepare([CT_EXPLICIT])
    with capture_logs() as logs:
        for number in range(3):
            assert await channel.send(outbound(f"1.2.{number}")) == Delivered()
    assert [(line["event"], line["associations"]) for line in logs if line["log_level"] == "warning"] == [
        ("one_association_divided", 2)
    ]
    assert [each.served for each in there.associations] == [2, 1]
