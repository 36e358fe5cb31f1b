"""The meaning of a C-STORE response status for a delivery and for a sub-operation."""

import pytest

from gateway.model.delivery import Deferred, Delivered, Refused
from gateway.model.dimse_status import STORE_STATUSES
from gateway.sending.store_outcome import SubOperationResult, outcome_of, result_of


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0000, Delivered()),
        (0xB000, Delivered(warning=0xB000)),
        (0xB006, Delivered(warning=0xB006)),
        (0xB007, Delivered(warning=0xB007)),
        (0xBFFF, Delivered(warning=0xBFFF)),
        (0x0001, Delivered(warning=0x0001)),
        (0x0107, Delivered(warning=0x0107)),
        (0x0116, Delivered(warning=0x0116)),
    ],
)
def test_success_and_warnings_are_delivered(status: int, expected: Delivered) -> None:
    assert outcome_of(status) == expected


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0110, 0x0210, 0x0213, 0xFE00])
def test_trouble_that_passes_is_deferred_and_held_against_the_object_only(status: int) -> None:
    outcome = outcome_of(status)
    assert isinstance(outcome, Deferred)
    assert not outcome.is_destination_down
    assert f"0x{status:04X}" in outcome.reason


@pytest.mark.parametrize(
    "status",
    [
        0x0122,
        0x0124,
        0x0117,
        0x0211,
        0x0212,
        0x0111,
        0xA900,
        0xA9FF,
        0xC000,
        0xC123,
        0xCFFF,
        0xA800,
        0x1234,
        0xFF00,
        0xD000,
    ],
)
def test_refusals_and_unknown_statuses_are_refused_with_their_status(status: int) -> None:
    outcome = outcome_of(status)
    assert isinstance(outcome, Refused)
    assert outcome.dimse_status == status
    assert f"0x{status:04X}" in outcome.reason


def test_the_peers_error_comment_is_kept() -> None:
    assert outcome_of(0xC001, "no patient") == Refused(
        "0xC001 Error: Cannot Understand; the peer says: no patient", 0xC001
    )


def test_every_row_is_a_range_that_some_status_reaches() -> None:
    for row in STORE_STATUSES:
        assert row.first <= row.last
        assert any(
            next(other for other in STORE_STATUSES if other.first <= status <= other.last) is row
            for status in range(row.first, row.last + 1)
        ), row


@pytest.mark.parametrize(
    ("status", "settings", "expected"),
    [
        (0x0000, {}, SubOperationResult.COMPLETED),
        (0xB000, {}, SubOperationResult.WARNING),
        (0xC000, {}, SubOperationResult.FAILED),
        (0x0111, {}, SubOperationResult.WARNING),
        (0x0111, {"is_duplicate_delivered": False}, SubOperationResult.FAILED),
    ],
)
def test_what_a_response_means(status: int, settings: dict[str, bool], expected: SubOperationResult) -> None:
    assert result_of(status, **settings) is expected
