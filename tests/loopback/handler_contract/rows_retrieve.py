"""`EVT_C_GET` and `EVT_C_MOVE`: the number, the pairs, counters, Failed SOP Instance UID Lists, C-CANCEL.

The rows stand once for both; a C-MOVE handler yields the destination first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context

from tests.loopback.handler_contract.row import Handler, Image, Row, Run, There, failed, saying, yielding
from tests.support.caller import EXPLICIT
from tests.support.dimse.query_rig import image

FAILURES = (0xA701, 0xA702, 0xA900, 0xAA00, 0xAA01, 0xAA02, 0xAA03, 0xAA04, 0xC000, 0xCFFF)
FAILURES_OF_MOVE = (0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0xA801)


def nameless() -> tuple[int, Dataset]:
    """An image without SOP Instance UID."""
    found = image(1)
    del found.SOPInstanceUID
    return 0xFF00, found


def of_another_class() -> tuple[int, Dataset]:
    """An image for which there is no context."""
    found = image(1)
    found.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    return 0xFF00, found


def not_encodable() -> tuple[int, Dataset]:
    """An image with a value that cannot be written."""
    found = image(1)
    found.update(saying(Rows="text"))
    return 0xFF00, found


def classless() -> tuple[int, Dataset]:
    """An image without SOP Class UID."""
    found = image(1)
    del found.SOPClassUID
    return 0xFF00, found


def without_meta() -> tuple[int, Dataset]:
    """An image without file meta information, as `event.dataset` of a C-STORE is."""
    found = image(1)
    del found.file_meta
    return 0xFF00, found


def compressed_without_meta() -> tuple[int, Dataset]:
    """The encoding of its pixels is not known."""
    _, found = without_meta()
    found.PixelData = bytes.fromhex("FEFF00E000000000 FEFF00E002000000 FFD8 FEFFDDE000000000")
    found["PixelData"].is_undefined_length = True
    return 0xFF00, found


def in_transfer_syntax(uid: str) -> tuple[int, Dataset]:
    """An image in a transfer syntax for which there is no context."""
    found = image(1)
    found.file_meta.TransferSyntaxUID = UID(uid)
    return 0xFF00, found


YIELDED: dict[str, tuple[tuple[Any, ...], str]] = {
    # the number
    "0": ((0,), "0000 -:0:0:0"),
    "a negative number": ((-1,), "0000 -:0:0:0"),
    "65536": ((65536,), "{too_many}"),
    "the number as text": (("1", Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "the number as float": ((1.9, Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "text that is no number": (("x",), "{bad_number}"),
    "None as number": ((None,), "{bad_number}"),
    "a list as number": (([1],), "{bad_number}"),
    "a pair with an image in place of the number": ((Image(1),), "{bad_number}"),
    "0 and then an image": ((0, Image(1)), "0000 -:0:0:0"),
    # all well
    "one image": ((1, Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "three images": (
        (3, Image(1), Image(7), Image(8)),
        "FF00 2:1:0:0; FF00 1:2:0:0; FF00 0:3:0:0; 0000 -:3:0:0",
    ),
    "Success at the end": ((1, Image(1), (0x0000, None)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "Success in the middle": ((2, Image(1), (0x0000, None)), "FF00 1:1:0:0; B000 -:1:1:0 []"),
    "Success at once": ((2, (0x0000, None)), "A702 -:0:2:0 []"),
    "Success after a failed image": (
        (2, Image(2), Image(1), (0x0000, None)),
        "FF00 1:0:1:0; FF00 0:1:1:0; B000 -:1:1:0 [2]",
    ),
    "fewer than announced": ((3, Image(1)), "FF00 2:1:0:0; B000 -:1:2:0 []"),
    "none of those announced": ((2,), "A702 -:0:2:0 []"),
    "more than announced": ((1, Image(1), Image(7)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "a failure after all": ((1, Image(1), (0xA702, None)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "FF01": ((1, (0xFF01, None)), "A702 -:0:1:0 []; C-ECHO 0000"),
    # how sub-operations end
    "an image that fails": ((2, Image(2), Image(1)), "FF00 1:0:1:0; FF00 0:1:1:0; B000 -:1:1:0 [2]"),
    "only images that fail": ((1, Image(2)), "FF00 0:0:1:0; A702 -:0:1:0 [2]"),
    "the same failing image twice": ((2, Image(2), Image(2)), "FF00 1:0:1:0; FF00 0:0:2:0; A702 -:0:2:0 [2]"),
    "an image with a warning": ((1, Image(3)), "FF00 0:0:0:1; B000 -:0:0:1"),
    "an image with the warning 0107": ((1, Image(6)), "FF00 0:0:0:1; B000 -:0:0:1"),
    "one of each": (
        (3, Image(1), Image(3), Image(2)),
        "FF00 2:1:0:0; FF00 1:1:0:1; FF00 0:1:1:1; B000 -:1:1:1 [2]",
    ),
    "an image answered with an undocumented status": ((1, Image(4)), "FF00 0:0:1:0; A702 -:0:1:0 [4]"),
    "an image answered FE00": ((1, Image(5)), "FF00 0:0:1:0; A702 -:0:1:0 [5]"),
    "an image without a context": ((1, of_another_class), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    "an image without SOP Instance UID": ((2, nameless, Image(7)), "FF00 1:0:1:0; FF00 0:1:1:0; B000 -:1:1:0 []"),
    "an image without SOP Class UID": ((1, classless), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    "an image without file_meta": ((1, without_meta), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "a compressed image without file_meta": ((1, compressed_without_meta), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    "an image in implicit VR": (
        (1, lambda: in_transfer_syntax("1.2.840.10008.1.2")),
        "FF00 0:1:0:0; 0000 -:1:0:0",
    ),
    "an image in big endian": ((1, lambda: in_transfer_syntax("1.2.840.10008.1.2.2")), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "an image in JPEG": ((1, lambda: in_transfer_syntax("1.2.840.10008.1.2.4.50")), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    "an image that cannot be encoded": ((1, not_encodable), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    # pairs that hold no image
    "Pending with None": ((1, (0xFF00, None), Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "Pending with an empty data set": ((1, (0xFF00, saying()), Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "Pending with text": ((2, (0xFF00, "text"), Image(1)), "FF00 1:0:1:0; FF00 0:1:1:0; B000 -:1:1:0 []"),
    "Pending as a data set": (
        (1, lambda: (saying(0xFF00), image(1))),
        "FF00 0:1:0:0; 0000 -:1:0:0",
    ),
    "Error Comment with Pending": (
        (2, lambda: (saying(0xFF00, ErrorComment="old"), image(1)), Image(7)),
        'FF00 1:1:0:0 "old"; FF00 0:2:0:0; 0000 -:2:0:0',
    ),
    # final statuses
    "a failure after an image": ((2, Image(1), (0xA702, None)), "FF00 1:1:0:0; A702 -:1:1:0 []"),
    "a failure after a failed image": ((3, Image(2), (0xA702, None)), "FF00 2:0:1:0; A702 -:0:3:0 [2]"),
    "a failure with a list": ((2, (0xC000, failed("1.8", "1.9"))), "C000 -:0:2:0 [8 9]"),
    "a failure with a list of one": ((1, (0xC000, failed("1.8"))), "C000 -:0:1:0 [8]"),
    "a failure with another data set": (
        (2, Image(2), (0xC000, saying(PatientID="x"))),
        "FF00 1:0:1:0; C000 -:0:2:0 [2]",
    ),
    "a failure with text": ((1, (0xC000, "text")), "C000 -:0:1:0 []"),
    "a failure as a data set": (
        (1, (saying(0xA702, ErrorComment="why", OffendingElement=0x00100020), None)),
        'A702 -:0:1:0 [] "why" @00100020',
    ),
    "a warning": ((1, (0xB000, None)), "B000 -:0:1:0 []"),
    "a warning after images": ((3, Image(1), Image(2), (0xB000, None)), "FF00 2:1:0:0; FF00 1:1:1:0; B000 -:1:2:0 [2]"),
    "a warning with a list": ((2, Image(1), (0xB000, failed("1.8"))), "FF00 1:1:0:0; B000 -:1:1:0 [8]"),
    "Cancel at once": ((2, (0xFE00, None)), "FE00 2:0:0:0"),
    "Cancel after an image": ((2, Image(1), (0xFE00, None)), "FF00 1:1:0:0; FE00 1:1:0:0"),
    "Cancel after a failed image": ((2, Image(2), (0xFE00, None)), "FF00 1:0:1:0; FE00 1:0:1:0 [2]"),
    "Cancel with a list": ((2, Image(2), (0xFE00, failed("1.8", "1.9"))), "FF00 1:0:1:0; FE00 1:0:1:0 [2 8 9]"),
    "an image after a failure": ((2, (0xA702, None), Image(1)), "A702 -:0:2:0 []"),
    "an undocumented status": ((1, (0x1234, None)), "1234 -:0:1:0 []"),
    "an undocumented status after an image": ((2, Image(1), (0x1234, None)), "FF00 1:1:0:0; 1234 -:1:1:0 []"),
    "text as a status": ((1, ("text", None)), "C002 -:0:1:0 []"),
    "None as a status": ((1, (None, None)), "C002 -:0:1:0 []"),
    "a data set without Status": ((1, (saying(), None)), "C001 -:0:1:0 []"),
    "three values": ((1, (0xFF00, None, None)), "{failed} -:0:1:0 []"),
    "None in place of a pair": ((1, None), "{failed} -:0:1:0 []"),
    "a number in place of a pair": ((1, 0xA702), "A702 -:0:1:0 []"),
    "a list in place of a pair": ((1, lambda: [0xFF00, image(1)]), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "a negative number as a status": ((1, (-1, None)), "C002 -:0:1:0 []"),
    "a data set whose Status is None": ((1, lambda: (saying(Status=None), None)), "C002 -:0:1:0 []"),
    "SystemExit after an image": ((2, Image(1), SystemExit(1)), "FF00 1:1:0:0; {failed} -:1:1:0 []"),
    # final statuses before the number
    "a data set without Status in place of the number": ((lambda: saying(ErrorComment="x"),), "{bad_number}"),
    "a failure in place of the number": (((0xA900, None),), "A900"),
    "a failure as a data set in place of the number": (((saying(0xA701, ErrorComment="why"), None),), 'A701 "why"'),
    "nothing in place of the number": ((), "{bad_number}"),
    # exceptions
    "an exception in place of the number": ((ValueError("x"),), "{bad_number}"),
    "an exception after the number": ((2, ValueError("x")), "{failed} -:0:2:0 []"),
    "an exception after an image": ((2, Image(1), ValueError("x")), "FF00 1:1:0:0; {failed} -:1:1:0 []"),
    "an exception after a failed image": ((3, Image(2), ValueError("x")), "FF00 2:0:1:0; {failed} -:0:3:0 [2]"),
    "an exception after all": ((1, Image(1), ValueError("x")), "FF00 0:1:0:0; 0000 -:1:0:0"),
}

OF_GET = {"bad_number": "C413", "too_many": "C416", "failed": "C411"}
OF_MOVE = {"bad_number": "C513", "too_many": "C516", "failed": "C511"}


def get(event: Any, run: Run, handler: Handler) -> Iterator[Any]:
    yield from handler(event, run)


def preceded(handler: Handler) -> Handler:
    """The same as a handler of C-MOVE."""

    def move(event: Any, run: Run) -> Iterator[Any]:
        yield run.there
        yield from handler(event, run)

    return move


def cancelled(event: Any, run: Run) -> Iterator[Any]:
    """As documented: yields Cancel and returns when a C-CANCEL came."""
    yield 3
    yield 0xFF00, image(1)
    run.note(cancelled=run.wait_for_cancel(event))
    yield 0xFE00, None


def cancelled_after_a_failure(event: Any, run: Run) -> Iterator[Any]:
    """Something failed before."""
    yield 3
    yield 0xFF00, image(2)
    run.wait_for_cancel(event)
    yield 0xFE00, None


def cancelled_at_once(event: Any, run: Run) -> Iterator[Any]:
    """Sees the C-CANCEL before the first image."""
    yield 3
    run.wait_for_cancel(event)
    yield 0xFE00, None


def cancelled_with_a_list(event: Any, run: Run) -> Iterator[Any]:
    """Lists what failed."""
    yield 3
    yield 0xFF00, image(2)
    run.wait_for_cancel(event)
    yield 0xFE00, failed("1.8")


def going_on(event: Any, run: Run) -> Iterator[Any]:
    """Goes on after a C-CANCEL."""
    yield 4
    yield 0xFF00, image(1)
    run.wait_for_cancel(event)
    for number in (7, 8, 9):
        yield 0xFF00, image(number)


def not_cancelled(event: Any, run: Run) -> Iterator[Any]:
    """No C-CANCEL was sent."""
    yield 1
    run.note(is_cancelled=event.is_cancelled)
    yield 0xFF00, image(1)


def cleaning_up(event: Any, run: Run) -> Iterator[Any]:
    """Has a `finally` block that is reached by closing the generator."""
    try:
        yield 2
        yield 0xFF00, image(1)
        yield 0xA702, None
    finally:
        run.note(cleaned_up=True)


def rows(service: str, letters: dict[str, str]) -> Iterator[Row]:
    """The rows of one of the two."""
    name = f"C-{service.upper()}"
    on = preceded if service == "move" else lambda handler: handler

    def row(what: str, handler: Handler, sees: str, **more: Any) -> Row:
        return Row(f"{name}: {what}", service, on(handler), sees.format(**letters), **more)

    for status in (*FAILURES, *(FAILURES_OF_MOVE if service == "move" else ())):
        yield row(f"{status:04X}", yielding(1, (status, None)), f"{status:04X} -:0:1:0 []")
    for what, (items, sees) in YIELDED.items():
        yield row(f"yields {what}", yielding(*items), sees, is_echoed="C-ECHO" in sees)
    yield row("C-CANCEL", cancelled, "FF00 2:1:0:0; FE00 2:1:0:0", notes=("cancelled=True",), cancel_after=1)
    yield row("C-CANCEL after a failure", cancelled_after_a_failure, "FF00 2:0:1:0; FE00 2:0:1:0 [2]", cancel_after=1)
    yield row("C-CANCEL at once", cancelled_at_once, "FE00 3:0:0:0", cancel_after=0)
    yield row("C-CANCEL, ended with a list", cancelled_with_a_list, "FF00 2:0:1:0; FE00 2:0:1:0 [2 8]", cancel_after=1)
    yield row("C-CANCEL, and further images", going_on, "FF00 3:1:0:0; FE00 3:1:0:0", cancel_after=1)
    yield row("no C-CANCEL", not_cancelled, "FF00 0:1:0:0; 0000 -:1:0:0", notes=("is_cancelled=False",))
    yield row("is closed after a failure", cleaning_up, "FF00 1:1:0:0; A702 -:1:1:0 []", notes=("cleaned_up=True",))


def returning_nothing(event: Any, run: Run) -> None:
    """No generator."""


def returning_a_number(event: Any, run: Run) -> int:
    return 5


def raising(event: Any, run: Run) -> Any:
    """No generator function: it raises before there is anything to iterate."""
    raise ValueError("x")


def two(first: Any, *rest: Any) -> Handler:
    return yielding(first, *rest)


NOT_GENERATORS = [
    Row("C-GET: nothing is bound", "get", None, "C411"),
    Row("C-GET: a plain function raises", "get", raising, "C411"),
    Row("C-GET: a plain function returns None", "get", returning_nothing, "C413"),
    Row("C-GET: a plain function returns a number", "get", returning_a_number, "C413"),
    Row("C-MOVE: nothing is bound", "move", None, "C511"),
    Row("C-MOVE: a plain function raises", "move", raising, "C511"),
    Row("C-MOVE: a plain function returns None", "move", returning_nothing, "C514"),
    Row("C-MOVE: a plain function returns a number", "move", returning_a_number, "C514"),
]

DESTINATIONS: dict[str, tuple[tuple[Any, ...], str]] = {
    "(None, None)": (((None, None),), "A801"),
    "(None, None, None)": (((None, None, None),), "A801"),
    "(None, port)": (((None, 104),), "A801"),
    "(address, None)": ((("127.0.0.1", None),), "A801"),
    "Pending and None in place of the destination": (((0xFF00, None), 1, Image(1)), "A801"),
    "a number after (None, None)": (((None, None), 1, Image(1)), "A801"),
    "nothing at all": ((), "C514"),
    "an exception at once": ((ValueError("x"),), "C514"),
    "a number in place of the destination": ((5,), "C515"),
    "None in place of the destination": ((None,), "C515"),
    "a failure in place of the destination": (((0xA900, None),), "A900"),
    "a status data set in place of the destination": (((saying(0x0124, ErrorComment="no"), None),), '0124 "no"'),
    "keywords that are None": ((There(None), 1, Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "keywords that are empty": ((There({}), 1, Image(1)), "FF00 0:1:0:0; 0000 -:1:0:0"),
    "an unknown keyword": ((There({"colour": 1}), 1, Image(1)), "C515"),
    "an unknown keyword and 0": ((There({"colour": 1}), 0), "0000 -:0:0:0"),
    "two numbers": (((5, 104), 1, Image(1)), "C515"),
    "a match": ((lambda: (0xFF00, image(1)),), "C513"),
    "a port that is none": ((("127.0.0.1", -1), 1, Image(1)), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    "tls_args that cannot be used": ((There({"tls_args": (None, None)}), 1, Image(1)), "C515"),
    "a port where nobody listens": ((("127.0.0.1", 1), 1, Image(1)), "FF00 0:0:1:0; A702 -:0:1:0 [1]"),
    "a destination that accepts no context": (
        (There({"contexts": [build_context("1.2.840.10008.5.1.4.1.1.2", EXPLICIT)]}), 1, of_another_class),
        "FF00 0:0:1:0; A702 -:0:1:0 [1]",
    ),
    "a port where nobody listens and 0": ((("127.0.0.1", 1), 0), "0000 -:0:0:0"),
}


ROWS = [
    *rows("get", OF_GET),
    *rows("move", OF_MOVE),
    *NOT_GENERATORS,
    Row(
        "C-MOVE: Move Originator of a sub-operation",
        "move",
        yielding(There(), 1, Image(1)),
        "FF00 0:1:0:0; 0000 -:1:0:0",
        ("originator='TESTER' 300 priority=2",),
        request={"Priority": 2},
        shows_requests=True,
    ),
    Row(
        "C-MOVE: priority of a sub-operation",
        "move",
        yielding(There(), 1, Image(1)),
        "FF00 0:1:0:0; 0000 -:1:0:0",
        ("originator='TESTER' 300 priority=1",),
        request={"Priority": 1},
        shows_requests=True,
    ),
    *(Row(f"C-MOVE: yields {name}", "move", yielding(*items), sees) for name, (items, sees) in DESTINATIONS.items()),
]
