"""`EVT_C_FIND`: what is yielded, in which order, and what handlers get wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from tests.loopback.handler_contract.row import Match, Row, Run, returning, saying, yielding
from tests.support.dimse.query_rig import match

FINAL = (
    *(0x0122, 0x0124, 0x0210, 0x0211, 0x0212),
    *(0xA700, 0xA710, 0xA900, 0xC000, 0xC0FF, 0xCFFF),
    0xFE00,
)


def undecodable() -> tuple[int, Any]:
    """A match that cannot be encoded."""
    found = match(1)
    found.update(saying(Rows="text"))
    return 0xFF00, found


YIELDED: dict[str, tuple[tuple[Any, ...], str]] = {
    "nothing": ((), "0000"),
    "one match": ((Match(1),), "FF00 #1; 0000"),
    "three matches": ((Match(1), Match(2), Match(3)), "FF00 #1; FF00 #2; FF00 #3; 0000"),
    "FF01": ((Match(1, 0xFF01), Match(2)), "FF01 #1; FF00 #2; 0000"),
    "Success": (((0x0000, None),), "0000"),
    "Success after matches": ((Match(1), (0x0000, None)), "FF00 #1; 0000"),
    "Success with an identifier": (((0x0000, match(1)),), "0000"),
    "a match after Success": ((Match(1), (0x0000, None), Match(2)), "FF00 #1; 0000"),
    "a match after a failure": (((0xA700, None), Match(2)), "A700"),
    "a match after Cancel": ((Match(1), (0xFE00, None), Match(2)), "FF00 #1; FE00"),
    "a failure after matches": ((Match(1), Match(2), (0xA700, None)), "FF00 #1; FF00 #2; A700"),
    "a failure with an identifier": (((0xA900, match(1)),), "A900"),
    "a warning": ((Match(1), (0xB001, None)), "FF00 #1; B001"),
    "an undocumented status": (((0x1234, None),), "1234"),
    "an undocumented status after a match": ((Match(1), (0x1234, None), Match(2)), "FF00 #1; 1234"),
    "a status as a data set": (((saying(0xA900), None),), "A900"),
    "a Pending status as a data set": ((Match(1, saying(0xFF01)),), "FF01 #1; 0000"),
    "Error Comment": (((saying(0xC000, ErrorComment="why"), None),), 'C000 "why"'),
    "Offending Element": (((saying(0xA900, OffendingElement=0x00080052), None),), "A900 @00080052"),
    "Error Comment and Offending Elements": (
        ((saying(0xA900, ErrorComment="no", OffendingElement=[0x00080052, 0x0020000D]), None),),
        'A900 "no" @00080052+0020000D',
    ),
    "Error Comment with a Pending status": (
        (Match(1, saying(0xFF00, ErrorComment="old")),),
        'FF00 #1 "old"; 0000',
    ),
    "Error Comment with one of two matches": (
        (Match(1, saying(0xFF01, ErrorComment="old")), Match(2)),
        'FF01 #1 "old"; FF00 #2; 0000',
    ),
    "Pending without an identifier": (((0xFF00, None),), "C312"),
    "Pending with an empty identifier": (((0xFF00, saying()),), "C312"),
    "Pending with text": (((0xFF00, "text"),), "C312"),
    "Pending with a number": (((0xFF00, 5),), "C312"),
    "Pending with what cannot be encoded": ((undecodable,), "C312"),
    "what cannot be encoded after a match": ((Match(1), undecodable), "FF00 #1; C312"),
    "text as a status": ((("text", None),), "C002"),
    "None as a status": (((None, None),), "C002"),
    "a float as a status": (((1.0, None),), "C002"),
    "a data set without Status": (((saying(), None),), "C001"),
    "a data set without Status after a match": ((Match(1), (saying(), None)), "FF00 #1; C001"),
    "a number alone": ((0xA900,), "A900"),
    "a status data set alone": ((lambda: saying(0xA900),), "A900"),
    "three values": (((0xFF00, None, None),), "C311"),
    "None alone": ((None,), "C311"),
    "text alone": (("text",), "C311"),
    "a list in place of a pair": ((lambda: [0xFF00, match(1)], Match(2)), "FF00 #1; FF00 #2; 0000"),
    "an iterator in place of a pair": ((lambda: iter((0xFF00, match(1))), Match(2)), "FF00 #1; FF00 #2; 0000"),
    "an empty tuple": (((),), "C311"),
    "a negative number as a status": (((-1, None),), "C002"),
    "another Message ID": ((Match(1, saying(0xFF00, MessageIDBeingRespondedTo=5)),), "FF00 #1; 0000"),
}

RAISED: dict[str, tuple[tuple[Any, ...], str]] = {
    "at once": ((ValueError("x"),), "C311"),
    "NotImplementedError at once": ((NotImplementedError("x"),), "C311"),
    "after a match": ((Match(1), ValueError("x")), "FF00 #1; C311"),
    "after two matches": ((Match(1), Match(2), ValueError("x")), "FF00 #1; FF00 #2; C311"),
    "after Success": ((Match(1), (0x0000, None), ValueError("x")), "FF00 #1; 0000"),
    "SystemExit after a match": ((Match(1), SystemExit(1)), "FF00 #1; C311"),
    "CancelledError after a match": ((Match(1), asyncio.CancelledError()), "FF00 #1; C311"),
}

RETURNED: dict[str, tuple[Any, str]] = {
    "None": (None, "0000"),
    "a list of pairs": (lambda: [(0xFF00, match(1)), (0xA700, None)], "FF00 #1; A700"),
    "an iterator": (lambda: iter([(0xFF00, match(1))]), "FF00 #1; 0000"),
    "a list of lists": (lambda: [[0xFF00, match(1)]], "FF00 #1; 0000"),
    "an empty tuple": ((), "0000"),
    "a number": (0xA700, "C311"),
    "text": ("ab", "C311"),
    "an exception": (ValueError("x"), "C311"),
}


def cleaning_up(event: Any, run: Run) -> Iterator[Any]:
    """Has a `finally` block."""
    try:
        yield 0xFF00, match(1)
        yield 0xFF00, match(2)
    finally:
        run.note(cleaned_up=True)


def cleaning_up_after_a_failure(event: Any, run: Run) -> Iterator[Any]:
    """Has one that is reached by closing the generator."""
    try:
        yield 0xA700, None
    finally:
        run.note(cleaned_up=True)


def cancelled(event: Any, run: Run) -> Iterator[Any]:
    """As documented: yields Cancel and returns when a C-CANCEL came."""
    run.note(before=event.is_cancelled)
    yield 0xFF00, match(1)
    run.note(after=run.wait_for_cancel(event))
    yield 0xFE00, None


def cancelled_at_once(event: Any, run: Run) -> Iterator[Any]:
    """Sees a C-CANCEL before it yields anything."""
    run.wait_for_cancel(event)
    yield 0xFE00, None


def cancelled_and_asking_again(event: Any, run: Run) -> Iterator[Any]:
    """Asks twice."""
    yield 0xFF00, match(1)
    run.wait_for_cancel(event)
    run.note(again=event.is_cancelled)
    yield 0xFE00, None


def going_on(event: Any, run: Run) -> Iterator[Any]:
    """Goes on after a C-CANCEL."""
    yield 0xFF00, match(1)
    run.wait_for_cancel(event)
    for number in range(2, 6):
        yield 0xFF00, match(number)


def released(event: Any, run: Run) -> Iterator[Any]:
    """The requestor releases the association without waiting for the end; the gateway says so as a C-CANCEL."""
    yield 0xFF00, match(1)
    run.wait_for_cancel(event)
    yield 0xFF00, match(2)


def cancelled_with_success(event: Any, run: Run) -> Iterator[Any]:
    """Ends with Success all the same."""
    yield 0xFF00, match(1)
    run.wait_for_cancel(event)
    yield 0x0000, None


def cancelled_with_a_failure(event: Any, run: Run) -> Iterator[Any]:
    """Ends with a failure."""
    yield 0xFF00, match(1)
    run.wait_for_cancel(event)
    yield 0xC000, None


def not_cancelled(event: Any, run: Run) -> Iterator[Any]:
    """No C-CANCEL was sent."""
    for number in range(1, 3):
        run.note(is_cancelled=event.is_cancelled)
        yield 0xFF00, match(number)


ROWS = [
    *(Row(f"C-FIND: {status:04X}", "find", yielding((status, None)), f"{status:04X}") for status in FINAL),
    *(Row(f"C-FIND: yields {name}", "find", yielding(*items), sees) for name, (items, sees) in YIELDED.items()),
    *(Row(f"C-FIND: raises {name}", "find", yielding(*items), sees) for name, (items, sees) in RAISED.items()),
    *(Row(f"C-FIND: returns {name}", "find", returning(value), sees) for name, (value, sees) in RETURNED.items()),
    Row("C-FIND: nothing is bound", "find", None, "C311"),
    Row("C-FIND: is closed at its end", "find", cleaning_up, "FF00 #1; FF00 #2; 0000", ("cleaned_up=True",)),
    Row("C-FIND: is closed after a failure", "find", cleaning_up_after_a_failure, "A700", ("cleaned_up=True",)),
    Row("C-FIND: C-CANCEL", "find", cancelled, "FF00 #1; FE00", ("before=False", "after=True"), cancel_after=1),
    Row("C-FIND: C-CANCEL before any match", "find", cancelled_at_once, "FE00", cancel_after=0),
    Row(
        "C-FIND: C-CANCEL, asked twice",
        "find",
        cancelled_and_asking_again,
        "FF00 #1; FE00",
        ("again=True",),
        cancel_after=1,
    ),
    Row("C-FIND: C-CANCEL, ended with Success", "find", cancelled_with_success, "FF00 #1; 0000", cancel_after=1),
    Row("C-FIND: C-CANCEL, ended with a failure", "find", cancelled_with_a_failure, "FF00 #1; C000", cancel_after=1),
    Row("C-FIND: C-CANCEL, and further matches", "find", going_on, "FF00 #1; FE00", cancel_after=1),
    Row("C-FIND: A-RELEASE meanwhile", "find", released, "FF00 #1", release_after=1, ends="released"),
    Row("C-FIND: no C-CANCEL", "find", not_cancelled, "FF00 #1; FF00 #2; 0000", ("is_cancelled=False",) * 2),
]
