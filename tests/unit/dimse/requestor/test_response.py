"""One response of a query or a retrieve: its class, counters and identifier."""

from __future__ import annotations

import pytest

from gateway.dimse.protocol.message import Command
from gateway.dimse.requestor.response import Response
from gateway.ports.errors import Unreadable

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
LEVEL = {  # Query/Retrieve Level (0008,0052) STUDY
    EXPLICIT: bytes.fromhex("0800520043530600") + b"STUDY ",
    IMPLICIT: bytes.fromhex("0800520006000000") + b"STUDY ",
    BIG: bytes.fromhex("0008005243530006") + b"STUDY ",
}
COUNTERS: Command = {
    "NumberOfRemainingSuboperations": 4,
    "NumberOfCompletedSuboperations": 3,
    "NumberOfFailedSuboperations": 2,
    "NumberOfWarningSuboperations": 1,
    "ErrorComment": "no such study",
}


@pytest.mark.parametrize(
    ("status", "is_pending"), [(0xFF00, True), (0xFF01, True), (0x0000, False), (0xFE00, False), (0xA700, False)]
)
def test_pending_responses_are_followed_by_more(status: int, *, is_pending: bool) -> None:
    assert Response(status, b"", EXPLICIT, {}).is_pending is is_pending


def test_the_elements_of_the_command_set() -> None:
    full, bare = Response(0xFF00, b"", EXPLICIT, COUNTERS), Response(0x0000, b"", EXPLICIT, {})
    assert (full.remaining, full.completed, full.failed, full.warning) == (4, 3, 2, 1)
    assert (bare.remaining, bare.completed, bare.failed, bare.warning) == (None, None, None, None)
    assert (full.error_comment, bare.error_comment) == ("no such study", "")


@pytest.mark.parametrize("syntax", LEVEL)
def test_the_identifier_is_decoded_in_its_transfer_syntax(syntax: str) -> None:
    assert Response(0xFF00, LEVEL[syntax], syntax, {}).dataset.QueryRetrieveLevel == "STUDY"


def test_without_an_identifier_the_data_set_is_empty() -> None:
    assert len(Response(0x0000, b"", EXPLICIT, {}).dataset) == 0


def test_bytes_that_are_no_data_set_are_not_decoded() -> None:
    with pytest.raises(Unreadable):
        _ = Response(0xFF00, b"\x08\x00\x52", EXPLICIT, {}).dataset


def test_the_failed_list() -> None:
    uids = b"1.2.3\\1.2.4 "
    listed = bytes.fromhex("0800580055490c00") + uids
    assert Response(0xB000, listed, EXPLICIT, {}).failed_sop_instance_uids == ("1.2.3", "1.2.4")
    assert Response(0xB000, b"\x08", EXPLICIT, {}).failed_sop_instance_uids == ()


def test_its_text_has_no_word_of_the_peer() -> None:
    assert "no such study" not in repr(Response(0xFF00, b"", EXPLICIT, COUNTERS))
