"""Counters of sub-operations, and which of them each response carries."""

from __future__ import annotations

import pytest

from gateway.dimse.pynetdicom_contract.yields import RelayedCounters, SubOperationDone
from gateway.dimse.services.counters import SubOperationCounters
from gateway.model.dimse_status import Category
from gateway.sending.store_outcome import SubOperationResult

OK, WARNED, BAD = SubOperationResult.COMPLETED, SubOperationResult.WARNING, SubOperationResult.FAILED


def numbers(counters: SubOperationCounters, status: int = 0xFF00) -> tuple[int | None, int, int, int]:
    """(remaining, completed, failed, warning)"""
    elements = counters.elements(status)
    return (
        elements.get("NumberOfRemainingSuboperations"),
        elements["NumberOfCompletedSuboperations"],
        elements["NumberOfFailedSuboperations"],
        elements["NumberOfWarningSuboperations"],
    )


@pytest.mark.parametrize(
    ("status", "has_remaining"),
    [
        pytest.param(0xFF00, True, id="pending"),
        pytest.param(0xFF01, True, id="pending with warning"),
        pytest.param(0xFE00, True, id="cancel"),
        pytest.param(0x0000, False, id="success"),
        pytest.param(0xB000, False, id="warning"),
        pytest.param(0xA702, False, id="unable to perform sub-operations"),
        pytest.param(0x0124, False, id="not authorized"),
        pytest.param(0xC511, False, id="unable to process"),
        pytest.param(0x1234, False, id="unknown"),
    ],
)
def test_which_counters_a_status_carries(status: int, has_remaining: bool) -> None:
    counters = SubOperationCounters(5)
    counters.count("1.1", [OK])
    counters.count("1.2", [BAD])
    counters.count("1.3", [WARNED])
    assert numbers(counters, status) == (2 if has_remaining else None, 1, 1, 1)


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        pytest.param([], 0x0000, id="nothing to do"),
        pytest.param([OK, OK], 0x0000, id="all well"),
        pytest.param([OK, WARNED], 0xB000, id="a warning"),
        pytest.param([WARNED], 0xB000, id="nothing but a warning"),
        pytest.param([OK, BAD], 0xB000, id="one failed"),
        pytest.param([WARNED, BAD], 0xB000, id="one failed, one warned"),
        pytest.param([BAD, BAD], 0xA702, id="all failed"),
    ],
)
def test_outcome(results: list[SubOperationResult], outcome: int) -> None:
    counters = SubOperationCounters(len(results))
    for number, result in enumerate(results):
        counters.count(f"1.{number}", [result])
    assert counters.outcome() == outcome


def test_several_destinations_are_counted_each_and_a_uid_is_listed_once() -> None:
    counters = SubOperationCounters(2, destinations=3)
    counters.count("1.1", [OK, BAD, BAD])
    assert numbers(counters) == (3, 1, 2, 0)
    counters.count("1.2", [WARNED, BAD, OK])
    assert numbers(counters) == (0, 2, 3, 1)
    assert counters.failed_sop_instance_uids == ["1.1", "1.2"]


def test_where_counters_would_overflow_an_instance_is_one_sub_operation() -> None:
    counters = SubOperationCounters(65535, destinations=2)
    counters.count("1.1", [OK, BAD])
    counters.count("1.2", [OK, WARNED])
    assert numbers(counters) == (65533, 0, 1, 1)
    assert SubOperationCounters(32767, destinations=2).per_instance == 2


def test_what_never_came_has_failed() -> None:
    counters = SubOperationCounters(5)
    counters.count("1.1", [OK])
    counters.give_up_remaining()
    assert numbers(counters, 0xB000) == (None, 1, 4, 0)
    assert counters.failed_sop_instance_uids == []


def test_sub_operations_done_elsewhere_are_added() -> None:
    counters = SubOperationCounters(10)
    counters.add(SubOperationDone(completed=3, failed=2, warning=1, failed_sop_instance_uids=("1.8", "1.9")))
    assert numbers(counters) == (4, 3, 2, 1)
    counters.add(SubOperationDone(completed=9))
    assert numbers(counters) == (0, 12, 2, 1)
    assert counters.failed_sop_instance_uids == ["1.8", "1.9"]


def test_counters_of_somebody_else_replace_ours() -> None:
    counters = SubOperationCounters()
    assert numbers(counters) == (None, 0, 0, 0)
    counters.replace(RelayedCounters(remaining=7, completed=1, failed=2, warning=3, failed_sop_instance_uids=("1.1",)))
    assert numbers(counters) == (7, 1, 2, 3)
    counters.replace(
        RelayedCounters(remaining=0, completed=8, failed=2, warning=3, failed_sop_instance_uids=("1.1", "1.2"))
    )
    counters.give_up_remaining()
    assert numbers(counters, 0xB000) == (None, 8, 2, 3)
    assert counters.failed_sop_instance_uids == ["1.1", "1.2"]


def test_remaining_of_somebody_else_is_not_failed_by_us() -> None:
    counters = SubOperationCounters()
    counters.replace(RelayedCounters(remaining=7, completed=1))
    counters.give_up_remaining()
    assert numbers(counters, 0xA702) == (None, 1, 0, 0)


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (0x0000, Category.SUCCESS),
        (0xFF00, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFE00, Category.CANCEL),
        (0x0001, Category.WARNING),
        (0x0107, Category.WARNING),
        (0x0116, Category.WARNING),
        (0xB000, Category.WARNING),
        (0xB001, Category.WARNING),
        *((code, Category.FAILURE) for code in (0x0110, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0xA700, 0xA801)),
        *((code, Category.FAILURE) for code in (0xAA00, 0xAA04, 0xC000, 0xCFFF, 0x1234, 0xFF02)),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) else value.name.lower(),
)
def test_categories(status: int, category: Category) -> None:
    assert Category.of(status) is category
