"""Identifiers and requests that cannot be answered: a clear status, a line in the log, nothing of the identifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.query.identifier import IdentifierEncoder
from tests.support.dimse.query_rig import Requestor
from tests.support.federation import VIEWER, Source, answering, ask
from tests.support.identifiers import EXPLICIT, attributes
from tests.support.query_table import OBJECTS

STRICT = dataclasses.replace(VIEWER, is_strict=True)
"""What breaks the hierarchy is answered where the requestor is not."""
SECRET = "Secret^Name"
LEVEL, STUDY_UID, SERIES_UID = 0x00080052, 0x0020000D, 0x0020000E


def encoded(**keywords: Any) -> bytes:
    return IdentifierEncoder(EXPLICIT)(attributes(**keywords))


ROWS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no level": (
        encoded(PatientName=SECRET, StudyInstanceUID=""),
        {
            "Status": 0xA900,
            "ErrorComment": "Query/Retrieve Level (0008,0052) is missing",
            "OffendingElement": (LEVEL,),
        },
    ),
    "a level that the model lacks": (
        encoded(QueryRetrieveLevel="PATIENT", PatientID=SECRET),
        {
            "Status": 0xA900,
            "ErrorComment": "Query/Retrieve Level is not one of STUDY, SERIES, IMAGE",
            "OffendingElement": (LEVEL,),
        },
    ),
    "no key of the level above": (
        encoded(QueryRetrieveLevel="SERIES", PatientName=SECRET),
        {
            "Status": 0xA900,
            "ErrorComment": "SERIES level needs one value of StudyInstanceUID",
            "OffendingElement": (STUDY_UID,),
        },
    ),
    "keys of two levels above": (
        encoded(QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2\\1.3", PatientName=SECRET),
        {
            "Status": 0xA900,
            "ErrorComment": "IMAGE level needs one value of StudyInstanceUID",
            "OffendingElement": (STUDY_UID, SERIES_UID),
        },
    ),
    "a key of a level below": (
        encoded(QueryRetrieveLevel="STUDY", SeriesInstanceUID="1.2", PatientName=SECRET),
        {
            "Status": 0xA900,
            "ErrorComment": "SeriesInstanceUID is a key below the STUDY level",
            "OffendingElement": (SERIES_UID,),
        },
    ),
    "no date": (
        encoded(QueryRetrieveLevel="STUDY", StudyDate=SECRET),
        {
            "Status": 0xC000,
            "ErrorComment": "the value of StudyDate is no DA, nor a range",
            "OffendingElement": (0x00080020,),
        },
    ),
    "cut off": (encoded(QueryRetrieveLevel="STUDY", PatientName=SECRET)[:-3], {"Status": 0xC000}),
    "no data set": (b"\xff" * 64, {"Status": 0xC000}),
    "none": (b"", {"Status": 0xA900}),
    "too large": (
        encoded(QueryRetrieveLevel="STUDY") + b"\x20\x00\x0d\x00UI\x00\x00" * 600_000,
        {"Status": 0xA700},
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_refused(tmp_path: Path, name: str) -> None:
    identifier, expected = ROWS[name]
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source("pacs", OBJECTS).running())
        gateway = await stack.enter_async_context(answering(tmp_path, source, local=OBJECTS, requestor=STRICT))
        async with await Requestor.open(gateway.port) as requestor:
            with capture_logs() as events:
                requestor.ask("find", identifier=identifier or None)
                (final,) = await requestor.answers()
            requestor.ask("find", 2)
            after = await requestor.final()
    found = dict(final.elements)
    if "OffendingElement" not in expected:
        found = {"Status": found["Status"]}
    assert found == expected
    assert after.status == 0x0000
    assert len(source.asked) == 1  # of the good one alone
    assert any(event["log_level"] == "warning" for event in events)
    assert SECRET not in repr(events) + repr(final.elements)


async def test_no_source_to_query(tmp_path: Path) -> None:
    async with answering(tmp_path) as gateway:
        told = await ask(gateway.port, "STUDY")
    assert told.status == 0x0122
    assert told.final.error_comment == "nobody is asked for this SOP class"


async def test_unsupported_keys_are_said_so(tmp_path: Path) -> None:
    """0xFF01, and the keys are not in the answer (PS3.4 Table C.4-1)."""
    async with answering(tmp_path, local=OBJECTS) as gateway:
        told = await ask(gateway.port, "STUDY", PatientID="P-002", WindowCenter="40", PatientName="")
        plain = await ask(gateway.port, "STUDY", PatientID="P-002", PatientName="")
    assert list(told.statuses) == [0xFF01]
    assert list(plain.statuses) == [0xFF00]
    assert 0x00281050 not in told.only()


async def test_the_level_is_ours_whatever_a_source_says(tmp_path: Path) -> None:
    more: Mapping[str, Any] = {
        "QueryRetrieveLevel": "IMAGE",
        "StudyInstanceUID": "1.2.9",
        "RetrieveAETitle": "PACS",
        "Modality": "CT",
    }
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source("pacs", [], more=[more]).running())
        gateway = await stack.enter_async_context(answering(tmp_path, source))
        told = await ask(gateway.port, "STUDY")
    assert told.texts("QueryRetrieveLevel") == ["STUDY"]
    assert told.texts("RetrieveAETitle") == ["GATEWAY"]
    assert attributes(Modality="").keys().isdisjoint(told.only())
