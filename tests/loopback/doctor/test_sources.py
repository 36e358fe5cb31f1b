"""Sources of queries and retrieves that accept more or less of what will be proposed to them: stock pynetdicom."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt

from gateway.doctor.examine import examine
from gateway.doctor.finding import DoctorFinding
from gateway.doctor.sources import SourceDuties, duties_of
from gateway.model.settings import QueryRetrieve
from gateway.query.sop_classes import QueryOperation, uid_of
from tests.support.dimse.rig import CT, VERIFICATION
from tests.unit.doctor.rig import codes, site_in

OPERATIONS: tuple[QueryOperation, ...] = ("find", "move", "get")
STUDY = {operation: uid_of("study", operation) for operation in OPERATIONS}
PATIENT_STUDY_FIND = uid_of("patient_study", "find")
WORKLIST = uid_of("worklist", "find")


@contextmanager
def archive(uids: Iterable[str], *, sends: bool = True, asked: list[str] | None = None) -> Iterator[int]:
    """An archive that accepts these SOP classes, and CT as SCU where it `sends`; its port."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    ae = AE(ae_title="PACS")
    ae.add_supported_context(VERIFICATION)
    for uid in uids:
        ae.add_supported_context(uid)
    if sends:
        ae.add_supported_context(CT, scu_role=True, scp_role=True)

    def note(event: Any) -> None:
        if asked is not None:
            asked.append(type(event.message).__name__)

    server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_DIMSE_RECV, note)])
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


async def examined(folder: Path, port: int, query_retrieve: dict[str, Any], **peer: Any) -> list[DoctorFinding]:
    """What the doctor finds of the peer `pacs`."""
    pacs = {"ae_title": "PACS", "address": f"127.0.0.1:{port}", **peer}
    found = await examine(site_in(folder, peers={"pacs": pacs}, query_retrieve=query_retrieve))
    return [finding for finding in found if finding.area == "peer"]


SOURCE = {"sources": ["pacs"]}
BY_MOVE = {"may": ["store"], "retrieve": "move"}


@pytest.mark.parametrize(
    ("accepted", "sends", "settings", "expected", "said"),
    [
        (STUDY.values(), True, {}, [], ""),
        ([STUDY["find"], STUDY["get"]], True, {}, [], ""),
        ([STUDY["find"], STUDY["move"]], True, {"may": ["store"]}, [], ""),
        ([STUDY["find"], STUDY["move"]], True, BY_MOVE, [], ""),
        ([STUDY["get"]], True, {}, ["query-refused"], "neither of Study Root nor of Patient Root"),
        ([PATIENT_STUDY_FIND, STUDY["get"]], True, {}, ["query-refused"], "neither of Study Root nor of Patient Root"),
        ([STUDY["find"], STUDY["move"]], True, {}, ["retrieve-refused"], "`may` has no `store`"),
        ([STUDY["find"]], True, {"may": ["store"]}, ["retrieve-refused"], "no C-GET; it accepts no C-MOVE"),
        (
            [STUDY["find"], STUDY["get"]],
            True,
            {"may": ["store"], "retrieve": "move"},
            ["retrieve-refused"],
            "no C-MOVE",
        ),
        ([STUDY["find"], STUDY["move"]], True, {"retrieve": "get"}, ["retrieve-refused"], "it accepts no C-GET"),
        ([STUDY["find"], STUDY["get"]], False, {}, ["retrieve-refused"], "no SOP class to send by it"),
        ([], False, {"may": ["store"]}, ["query-refused", "retrieve-refused"], "it accepts no C-GET"),
    ],
)
async def test_what_a_source_accepts(
    tmp_path: Path, accepted: Iterable[str], sends: bool, settings: dict[str, Any], expected: list[str], said: str
) -> None:
    asked: list[str] = []
    with archive(accepted, sends=sends, asked=asked) as port:
        findings = await examined(tmp_path, port, SOURCE, **settings)
    assert codes(findings) == ["echo-answered", *expected, "source-contexts"]
    assert asked == ["C_ECHO_RQ"]
    assert said in findings[-2].what
    for finding in findings[1:-1]:
        assert (finding.severity, bool(finding.remedy)) == ("error", True)


async def test_refused_classes_are_named(tmp_path: Path) -> None:
    with archive([STUDY["find"], STUDY["get"]]) as port:
        *_, note = await examined(tmp_path, port, SOURCE)
    assert note.what == (
        "accepted: Study Root - FIND, Study Root - GET; "
        "refused: Patient Root - FIND, Patient/Study Only - FIND, Patient Root - GET"
    )


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [([WORKLIST], ["source-contexts"]), ([STUDY["find"]], ["relay-refused", "source-contexts"])],
)
async def test_a_peer_that_worklists_are_relayed_to(tmp_path: Path, accepted: list[str], expected: list[str]) -> None:
    with archive(accepted) as port:
        findings = await examined(tmp_path, port, {"sources": [], "relay": {"worklist": ["pacs"]}})
    assert codes(findings) == ["echo-answered", *expected]


async def test_a_destination_is_offered_no_queries(tmp_path: Path) -> None:
    with archive([]) as port:
        pacs = {"ae_title": "PACS", "address": f"127.0.0.1:{port}"}
        found = await examine(site_in(tmp_path, peers={"pacs": pacs}))
    assert codes(finding for finding in found if finding.area == "peer") == ["echo-answered"]


async def test_a_source_that_is_not_there_is_asked_once(tmp_path: Path) -> None:
    with archive([]) as port:
        pass
    assert codes(await examined(tmp_path, port, SOURCE)) == ["connection-refused"]


def test_duties() -> None:
    settings = QueryRetrieve(sources=("pacs",), relay={"hanging_protocol": ("pacs", "other"), "worklist": ("ris",)})
    assert duties_of("pacs", settings) == SourceDuties(True, ("hanging_protocol",))
    assert duties_of("nobody", settings) is None
    other = duties_of("other", settings)
    assert other is not None
    assert other.finds() == [uid_of("hanging_protocol", "find")]
    assert other.moves() == [uid_of("hanging_protocol", "move")]
    assert other.gets() == [uid_of("hanging_protocol", "get")]
    assert other.stored() == ["1.2.840.10008.5.1.4.38.1"]
