"""What a request for an association may cost: numbers of items, bytes that are remembered, names."""

from __future__ import annotations

import struct

import pytest

from gateway.dimse.acceptor import negotiation
from gateway.dimse.acceptor.negotiation import REMEMBERED_BYTES, Policy, negotiate
from gateway.dimse.protocol.associate_request import (
    LONGEST_USER_NAME,
    MOST_ITEMS,
    MOST_RELATED_CLASSES,
    MOST_TRANSFER_SYNTAXES,
    MalformedAssociate,
    parse,
    proposals,
)
from gateway.dimse.protocol.context import LONGEST_UID
from gateway.dimse.protocol.pdata import MAX_ASSOCIATE_BYTES, MalformedPData, PDUReader
from gateway.dimse.protocol.proposal import decode_accept
from gateway.model.associate import MOST_CONTEXTS, AssociateKeywords, ProposedContext

CT, IMPLICIT = b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.1.2"
POLICY = Policy(frozenset({"echo", "store"}))


def item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(data)) + data


def counted(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def context(context_id: int, *syntaxes: bytes, abstract: bytes = CT) -> bytes:
    return item(
        0x20, bytes((context_id, 0, 0, 0)) + item(0x30, abstract) + b"".join(item(0x40, one) for one in syntaxes)
    )


def pdu(*items: bytes) -> bytes:
    body = struct.pack(">HH", 1, 0) + b"GATEWAY         CALLER          " + bytes(32) + b"".join(items)
    return struct.pack(">BxI", 1, len(body)) + body


ROLE = item(0x54, counted(CT) + b"\1\1")
EXTENDED = item(0x56, counted(CT) + b"\1")
RELATED = item(0x57, counted(CT) + counted(CT) + counted(counted(b"1") * (MOST_RELATED_CLASSES + 1)))

TOO_MUCH = {
    "roles": item(0x50, ROLE * (MOST_ITEMS + 1)),
    "extended negotiation": item(0x50, EXTENDED * (MOST_ITEMS + 1)),
    "sub-items that nobody knows": item(0x50, item(0x99, b"") * (MOST_ITEMS + 1)),
    "items that nobody knows": item(0x99, b"") * (MOST_ITEMS + 1),
    "contexts": context(1, IMPLICIT) * (MOST_CONTEXTS + 1),
    "related classes": item(0x50, RELATED),
    "a long user name": item(0x50, item(0x58, b"\1\0" + counted(b"x" * (LONGEST_USER_NAME + 1)) + counted(b""))),
}


@pytest.mark.parametrize("items", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_too_much_is_malformed(items: bytes) -> None:
    with pytest.raises(MalformedAssociate):
        parse(pdu(items))


def test_as_much_as_somebody_may_mean_is_read() -> None:
    contexts = b"".join(context(2 * number + 1, IMPLICIT, abstract=CT + b"." + b"%d" % number) for number in range(128))
    parsed = parse(pdu(item(0x10, b"1.2"), contexts, item(0x50, (ROLE + EXTENDED + item(0x77, b"x")) * 300)))
    assert (len(parsed.roles), len(parsed.extended)) == (300, 300)
    assert len(negotiate(parsed.contexts, parsed.roles, POLICY).contexts) == 128


def test_too_many_transfer_syntaxes_are_malformed() -> None:
    assert len(proposals(context(1, *[IMPLICIT] * MOST_TRANSFER_SYNTAXES))[0].transfer_syntaxes) == 128
    with pytest.raises(MalformedAssociate):
        proposals(context(1, *[IMPLICIT] * (MOST_TRANSFER_SYNTAXES + 1)))


def test_the_largest_request_that_the_standard_has_use_for_fits() -> None:
    syntaxes = [b"1.2.840.10008.1.2.4.%03d" % number for number in range(60)]
    contexts = b"".join(context(2 * number + 1, *syntaxes, abstract=b"1" * 64) for number in range(128))
    assert len(pdu(contexts)) + 65536 < MAX_ASSOCIATE_BYTES
    reader = PDUReader(16384)
    reader.feed(memoryview(struct.pack(">BxI", 1, MAX_ASSOCIATE_BYTES + 1)))
    assert isinstance(reader.next(), MalformedPData)


def test_answers_are_remembered_up_to_a_number_of_bytes() -> None:
    for number in range(200):
        syntaxes = [b"1.2.%d.%d.%s" % (number, each, b"1" * 100) for each in range(100)]
        proposed = b"".join(context(2 * each + 1, *syntaxes) for each in range(20))
        negotiate(proposed, (), POLICY)
        assert negotiation._answers.held_bytes <= REMEMBERED_BYTES
    first = negotiate(proposed, (), POLICY)
    assert negotiate(bytes(bytearray(proposed)), (), POLICY) is first
    assert len(negotiation._answers) < 200


def test_uids_that_are_none_by_their_length() -> None:
    long = b"1" * (LONGEST_UID + 1)
    answer = negotiate(context(1, IMPLICIT, abstract=long) + context(3, long, IMPLICIT) + context(5, long), (), POLICY)
    assert {key: str(one.transfer_syntax) for key, one in answer.contexts.items()} == {3: IMPLICIT.decode()}
    assert long not in answer.items


def accepted(*items: bytes) -> bytes:
    """An A-ASSOCIATE-AC."""
    return b"\x02" + pdu(*items)[1:]


def answered(context_id: int, result: int, syntax: bytes) -> bytes:
    return item(0x21, bytes((context_id, 0, result, 0)) + (item(0x40, syntax) if syntax else b""))


PROPOSED = [ProposedContext(CT.decode(), (IMPLICIT.decode(),)), ProposedContext(CT.decode(), ("1.2.840.10008.1.2.1",))]
MAXIMUM = item(0x51, struct.pack(">L", 4096))


def test_an_accept_is_read_in_one_pass() -> None:
    """Items and sub-items that nobody knows, and odd names, hurt nobody."""
    name = item(0x55, b"A name of more than sixteen characters \xff")
    information = item(0x50, MAXIMUM + name + item(0x77, b"?"))
    answers = accepted(answered(1, 0, IMPLICIT), item(0x99, b"?"), answered(3, 3, b""), information)
    read = decode_accept(answers, PROPOSED, AssociateKeywords())
    assert {key: str(one.transfer_syntax) for key, one in read.contexts.items()} == {1: IMPLICIT.decode()}
    assert (read.max_pdu_bytes, read.contexts[1].is_scu, read.contexts[1].is_scp) == (4096, True, False)


UNREADABLE = {
    "nothing": b"",
    "too many roles": item(0x50, ROLE * (MOST_ITEMS + 1)),
    "an item beyond the end": item(0x50, MAXIMUM)[:-1],
}


@pytest.mark.parametrize("items", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_accepts_that_cannot_be_read(items: bytes) -> None:
    with pytest.raises(ValueError, match="malformed A-ASSOCIATE-AC"):
        decode_accept(accepted(items), PROPOSED, AssociateKeywords())
