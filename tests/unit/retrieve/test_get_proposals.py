"""What is proposed to a source."""

from __future__ import annotations

import pytest

from gateway.dimse.protocol.proposal import encode_request
from gateway.dimse.requestor.query_contexts import as_store_scp
from gateway.model.associate import MOST_CONTEXTS, AssociateKeywords, ProposedContext
from gateway.model.peer import Peer
from gateway.query.sop_classes import GET_OF_ROOT
from gateway.retrieve.get_proposals import USUAL_CLASSES, get_contexts

PEER = Peer("pacs", "PACS", "127.0.0.1", 104)
CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG = "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize("number", [1, 3, 10, 20, 40, 60, 126, 200])
def test_every_class_has_every_transfer_syntax_as_far_as_there_is_room(number: int) -> None:
    classes = [f"1.2.3.{each}" for each in range(number)]

    contexts = get_contexts(PEER, classes)

    assert [context.abstract_syntax for context in contexts[:2]] == list(GET_OF_ROOT.values())
    assert len(contexts) <= MOST_CONTEXTS
    proposed: dict[str, list[str]] = {}
    for context in contexts[2:]:
        proposed.setdefault(context.abstract_syntax, []).extend(context.transfer_syntaxes)
    assert list(proposed) == classes[: MOST_CONTEXTS - 2]
    assert len({tuple(sorted(syntaxes)) for syntaxes in proposed.values()}) == 1
    for syntaxes in proposed.values():
        assert len(set(syntaxes)) == len(syntaxes) > 20
        assert JPEG in syntaxes


def test_one_syntax_a_context_where_there_is_room() -> None:
    assert all(len(context.transfer_syntaxes) == 1 for context in get_contexts(PEER, [CT])[2:])


def test_settings_of_the_peer_count() -> None:
    listed = Peer("pacs", "PACS", "h", 1, associate=AssociateKeywords(contexts=(ProposedContext(CT, (JPEG,)),)))

    assert get_contexts(listed, [CT])[2:] == (ProposedContext(CT, (JPEG,)),)


def test_the_usual_classes_fit_with_their_roles() -> None:
    contexts = get_contexts(PEER, USUAL_CLASSES)
    peer = as_store_scp(PEER, USUAL_CLASSES)

    assert len(set(USUAL_CLASSES)) == len(USUAL_CLASSES)
    assert encode_request("GATEWAY", "PACS", contexts, peer.associate)
    assert {role.sop_class_uid for role in peer.associate.roles} == set(USUAL_CLASSES)
