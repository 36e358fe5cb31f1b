"""`EVT_C_STORE`: statuses, and what handlers get wrong."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator
from typing import Any

from tests.loopback.handler_contract.row import Row, Run, returning, saying


class Status(enum.IntEnum):
    """Statuses as some handlers have them."""

    WARNING = 0xB000


def generator(event: Any, run: Run) -> Iterator[int]:
    """A handler that yields where it should return."""
    yield 0x0000


DOCUMENTED = (
    *(0x0000, 0xB000, 0xB006, 0xB007),
    *(0x0117, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212),
    *(0xA700, 0xA7FF, 0xA900, 0xA9FF, 0xC000, 0xCFFF),
)

RETURNED: dict[str, tuple[Any, str]] = {
    "a warning as IntEnum": (Status.WARNING, "B000"),
    "a status that is not documented": (0x1234, "1234"),
    "a data set with Success": (lambda: saying(0x0000), "0000"),
    "a data set with a warning": (lambda: saying(0xB006), "B006"),
    "a data set with a failure": (lambda: saying(0xA900), "A900"),
    "a data set with an undocumented status": (lambda: saying(0x1234), "1234"),
    "Error Comment": (lambda: saying(0xA700, ErrorComment="no room"), 'A700 "no room"'),
    "Error Comment of 64 characters": (lambda: saying(0xC000, ErrorComment="x" * 64), f'C000 "{"x" * 64}"'),
    "Error Comment of 65 characters": (lambda: saying(0xC000, ErrorComment="x" * 65), f'C000 "{"x" * 64}"'),
    "Error Comment with a warning": (lambda: saying(0xB000, ErrorComment="changed"), 'B000 "changed"'),
    "Offending Element": (lambda: saying(0xA900, OffendingElement=0x00080016), "A900 @00080016"),
    "two Offending Elements": (
        lambda: saying(0xC000, OffendingElement=[0x00080016, 0x00080018]),
        "C000 @00080016+00080018",
    ),
    "Error Comment and Offending Element": (
        lambda: saying(0xA900, ErrorComment="which?", OffendingElement=0x00100020),
        'A900 "which?" @00100020',
    ),
    "an element that no response has": (lambda: saying(0xA700, PatientComments="x"), "A700"),
    "a data set without Status": (lambda: saying(ErrorComment="x"), "C001"),
    "an empty data set": (lambda: saying(), "C001"),
    "a data set whose Status is None": (lambda: saying(Status=None), "C002"),
    "a data set whose Status is text": (lambda: saying(Status="0"), "C002"),
    "a data set with two Statuses": (lambda: saying(Status=[0x0000, 0xA700]), "C002"),
    "a data set whose Status has more than 16 bits": (lambda: saying(Status=0x10000), "C002"),
    "no Error Comment": (lambda: saying(0xC000, ErrorComment=None), "C000"),
    "an empty Error Comment": (lambda: saying(0xC000, ErrorComment=""), 'C000 ""'),
    "Error Comment that is not ASCII": (lambda: saying(0xC000, ErrorComment="Größe"), 'C000 "Gr??e"'),
    "Error Comment with a backslash": (lambda: saying(0xC000, ErrorComment="a\\b"), 'C000 "a?b"'),
    "Error Comment with a line break": (lambda: saying(0xC000, ErrorComment="a\nb"), 'C000 "a?b"'),
    "no Offending Element": (lambda: saying(0xC000, OffendingElement=None), "C000"),
    "Error ID": (lambda: saying(0xC000, ErrorID=5), "C000"),
    "another Message ID": (lambda: saying(0xB000, MessageIDBeingRespondedTo=5), "B000"),
    "None": (None, "C002"),
    "text": ("0x0000", "C002"),
    "a float": (0.0, "C002"),
    "a tuple": ((0x0000, None), "C002"),
    "a list": ([0x0000], "C002"),
    "True": (True, "0001"),
    "a negative number": (-1, "C002"),
    "a number of more than 16 bits": (0x10000, "C002"),
}

RAISED: dict[str, BaseException] = {
    "ValueError": ValueError("x"),
    "NotImplementedError": NotImplementedError("x"),
    "StopIteration": StopIteration(),
    "KeyError": KeyError("x"),
    "SystemExit": SystemExit(1),
    "GeneratorExit": GeneratorExit(),
    "CancelledError": asyncio.CancelledError(),
}


def wrong_arguments(event: Any) -> int:
    """Takes less than what it is bound with."""
    return 0x0000


wrong: Any = wrong_arguments
ROWS = [
    *(Row(f"C-STORE: {status:04X}", "store", returning(status), f"{status:04X}") for status in DOCUMENTED),
    *(Row(f"C-STORE: returns {name}", "store", returning(value), sees) for name, (value, sees) in RETURNED.items()),
    *(Row(f"C-STORE: raises {name}", "store", returning(error), "C211") for name, error in RAISED.items()),
    Row("C-STORE: yields", "store", generator, "C002"),
    Row("C-STORE: takes other arguments", "store", wrong, "C211"),
    Row("C-STORE: nothing is bound", "store", None, "C211"),
]
