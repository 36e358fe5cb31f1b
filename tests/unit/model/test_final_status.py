"""The end of a request as a value."""

from __future__ import annotations

from gateway.dimse.protocol import status
from gateway.model.final_status import DONE, FinalStatus
from gateway.ports.errors import NotAllowed
from gateway.query.compile import BadIdentifier


def test_success_has_nothing_but_its_code() -> None:
    assert DONE.is_success
    assert str(DONE) == "0x0000"
    assert status.of_result(DONE) == {"Status": 0x0000}


def test_all_of_it_stands_in_the_response() -> None:
    final = FinalStatus(0xA900, "no \\ level\n" + "x" * 80, (0x00080052,))
    assert not final.is_success
    assert str(final) == "0xA900"
    elements = status.of_result(final)
    assert elements["Status"] == 0xA900
    assert elements["OffendingElement"] == (0x00080052,)
    assert elements["ErrorComment"] == "no ?..."
    assert status.is_answer(final)


def test_each_error_says_its_own() -> None:
    assert NotAllowed("not you").final_status() == FinalStatus(0x0124, "not you")
    error = BadIdentifier(0xA900, "no level", [0x00080052])
    assert error.final_status() == FinalStatus(0xA900, "no level", (0x00080052,))
