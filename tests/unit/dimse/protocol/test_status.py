"""What handlers return and raise, as statuses (pynetdicom's handler contract, PS3.7 §9 and Annex C)."""

import enum
from typing import Any

import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from gateway.dimse.protocol.status import comment, of_error, of_result
from gateway.ports.errors import ClassMismatch, GatewayError, NotAllowed, SpoolFull, Unreadable


class Status(enum.IntEnum):
    OUT_OF_RESOURCES = 0xA700


def status(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    return dataset


RESULTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "success": (0x0000, {"Status": 0}),
    "warning": (0xB000, {"Status": 0xB000}),
    "enumeration": (Status.OUT_OF_RESOURCES, {"Status": 0xA700}),
    "unknown status": (0x1234, {"Status": 0x1234}),
    "too large": (0x10000, {"Status": 0xC002}),
    "negative": (-1, {"Status": 0xC002}),
    "nothing": (None, {"Status": 0xC002}),
    "text": ("0000", {"Status": 0xC002}),
    "data set without a status": (status(ErrorComment="x"), {"Status": 0xC001}),
    "data set": (status(Status=0xA900), {"Status": 0xA900}),
    "data set with more": (
        status(Status=0xC000, ErrorComment="why", OffendingElement=0x00100010, PatientName="never"),
        {"Status": 0xC000, "ErrorComment": "why", "OffendingElement": (0x00100010,)},
    ),
    "text as Status": (status(Status="0"), {"Status": 0xC002}),
    "several Statuses": (status(Status=[0, 0xA700]), {"Status": 0xC002}),
    "Status of more than 16 bits": (status(Status=0x10000), {"Status": 0xC002}),
    "no comment": (status(Status=0xC000, ErrorComment=None), {"Status": 0xC000}),
    "comment with a backslash": (status(Status=0xC000, ErrorComment="a\\b"), {"Status": 0xC000, "ErrorComment": "a?b"}),
    "no offending element": (status(Status=0xC000, OffendingElement=None), {"Status": 0xC000}),
    "what no C-STORE response has": (status(Status=0xC000, ErrorID=5), {"Status": 0xC000}),
    "several offending elements": (
        status(Status=0xC000, OffendingElement=[0x00100010, 0x00080018]),
        {"Status": 0xC000, "OffendingElement": (0x00100010, 0x00080018)},
    ),
}


@pytest.mark.parametrize(("result", "elements"), RESULTS.values(), ids=RESULTS.keys())
def test_results(result: Any, elements: dict[str, Any]) -> None:
    assert of_result(result) == elements


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (SpoolFull("no room"), 0xA700),
        (Unreadable("cut off"), 0xC000),
        (ClassMismatch("another class"), 0xA900),
        (NotAllowed("no"), 0x0124),
        (GatewayError("something"), 0x0110),
        (ValueError("patient Doe"), 0xC211),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else f"{value:04X}",
)
def test_errors(error: Exception, number: int) -> None:
    elements = of_error(error, 0xC211)
    assert elements["Status"] == number
    assert elements.get("ErrorComment") == (str(error) if isinstance(error, GatewayError) else None)


FITS = "exactly sixty-four characters are what an Error Comment can hold"
UID = "1.2.840.10008.5.1.4.1.1.481.10"
UIDS = f"SOPClassUID differs: {UID} in the data set, {UID} in the command"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a" * 70, "a" * 64),  # no word ends
        ("a\\b\nc", "a?b?c"),
        ("größe", "gr??e"),
        ("", ""),
        (FITS, FITS),
        (f"{FITS}, not more", "exactly sixty-four characters are what an Error Comment can..."),
        (UIDS, f"SOPClassUID differs: {UID} in the..."),
        (
            "incomplete: no answer from one, two, three, four, five, six, seven",
            "incomplete: no answer from one, two, three, four, five, six...",
        ),
        (f"{'a' * 60} b c d", f"{'a' * 60}..."),
        (f"{'a' * 61} bcd", f"{'a' * 61}..."),
        (f"{'a' * 62} bcd", f"{'a' * 62} b"),
    ],
    ids=repr,
)
def test_comments_fit_their_element(text: str, shown: str) -> None:
    assert comment(text) == shown
    assert len(comment(text)) <= 64
