"""Which handlers fail, since when, over what and where."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.dimse.acceptor.handler_failures import HandlerFailures
from gateway.lifecycle.conditions import of_handlers
from tests.support.fakes.meter import MemoryMeter

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def store(event: Any) -> int:
    return int(event["DOE^JANE"])


class Callable:
    def __call__(self, event: Any) -> int:
        return store(event)


def raised(handler: Any) -> Exception:
    try:
        handler({})
    except KeyError as error:
        return error
    raise AssertionError


@pytest.fixture
def failures() -> HandlerFailures:
    moments = iter(NOON + timedelta(seconds=number) for number in range(100))
    return HandlerFailures(MemoryMeter(), lambda: next(moments))


def test_a_row_of_failures_is_one_entry_until_a_request_is_answered(failures: HandlerFailures) -> None:
    for _ in range(3):
        failures.failed("EVT_C_STORE", store, raised(store))
    (one,) = failures.failing.values()
    assert (one.event, one.count, one.since, one.error) == ("EVT_C_STORE", 3, NOON, "KeyError")
    assert one.handler == f"{__name__}.store"
    line = store.__code__.co_firstlineno + 1
    assert one.where == f"{__file__}:{line} store"
    assert "DOE" not in repr(one)
    (condition,) = of_handlers(failures.failing.values())
    assert (condition.code, condition.is_blocking) == ("handler_failing", False)
    assert condition.text == (
        f"{__name__}.store, which takes EVT_C_STORE, has failed 3 times since 2026-01-02 12:00:00 UTC and answered no "
        f"request: last with KeyError at {__file__}:{line} store; see `handler_failed` in the log"
    )
    failures.answered("EVT_C_FIND")
    assert list(failures.failing) == ["EVT_C_STORE"]
    failures.answered("EVT_C_STORE")
    assert failures.failing == {}
    failures.failed("EVT_C_STORE", store, raised(store))
    assert [(one.count, one.since) for one in failures.failing.values()] == [(1, NOON + timedelta(seconds=1))]
    meter: Any = failures._meter
    assert meter.counted == {("gateway_handler_failures_total", "EVT_C_STORE"): 4}


def test_another_handler_of_the_event_begins_anew(failures: HandlerFailures) -> None:
    failures.failed("EVT_C_STORE", store, raised(store))
    failures.failed("EVT_C_STORE", Callable(), raised(Callable()))
    assert [(one.handler, one.count) for one in failures.failing.values()] == [(f"{__name__}.Callable", 1)]


@pytest.mark.parametrize(
    ("handler", "name", "place"),
    [
        (store, "store", "store"),
        (functools.partial(store), "store", "store"),
        (Callable(), "Callable", "store"),
        (Callable().__call__, "Callable.__call__", "store"),
        (lambda event: event["x"], "<lambda>", "<lambda>"),
    ],
)
def test_names_and_places(failures: HandlerFailures, handler: Any, name: str, place: str) -> None:
    failures.failed("EVT_C_ECHO", handler, raised(handler))
    (one,) = failures.failing.values()
    assert one.handler == f"{__name__}.{name}"
    assert one.where.startswith(f"{__file__}:")
    assert one.where.endswith(f" {place}")


def test_the_place_is_in_the_handlers_own_file_where_it_raised_elsewhere(failures: HandlerFailures) -> None:
    def parse(event: Any) -> int:
        return int(datetime.fromisoformat("DOE^JANE").year)

    try:
        parse({})
    except ValueError as error:
        failures.failed("EVT_C_STORE", parse, error)
    (one,) = failures.failing.values()
    assert one.where == f"{__file__}:{parse.__code__.co_firstlineno + 1} parse"


def test_what_is_no_status_is_shown_with_the_handlers_place(failures: HandlerFailures) -> None:
    failures.failed("EVT_C_STORE", store, "NoneType in place of a status")
    (one,) = failures.failing.values()
    assert (one.error, one.where) == (
        "NoneType in place of a status",
        f"{__file__}:{store.__code__.co_firstlineno} store",
    )
