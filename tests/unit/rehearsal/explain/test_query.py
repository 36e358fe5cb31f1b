"""What `gateway explain --query` and `--leniencies` tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.cli.explain import explain
from gateway.config import load
from gateway.leniency import LENIENCIES
from gateway.model.association import AssociationFacts
from gateway.model.query import QueryRoot
from gateway.query.identifier import IdentifierEncoder
from gateway.rehearsal.explain.query import ON_THE_WIRE, QueryAnswer, Request, explain_query
from gateway.rehearsal.explain.query_text import leniency_json, leniency_lines, query_json, query_lines
from gateway.routing.table import RoutingTable
from tests.support.identifiers import attributes

SITE = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
unmatched: hold
peers:
  ws1: {ae_title: WS1, address: "10.0.0.1:104", may: [find, move, get]}
  exact: {ae_title: EXACT, may: [find, move, get], strict: true}
  ct1: {ae_title: CT1, may: [store]}
  narrow: {ae_title: NARROW, may: [find], accept: {sop_classes: [CTImageStorage]}}
  pacs: {ae_title: PACS, address: "10.0.0.2:104", may: [find], delivery: {duplicate: failure}}
  vna: {ae_title: VNA, address: "10.0.0.3:104", strict: true, delivery: {duplicate: delivered}}
query_retrieve:
  sources: [pacs, local, vna]
  hide:
    - {when: {attribute: {select: ModalitiesInStudy, equals: SR}}, from: [ws1], name: reports}
"""
STUDY, SERIES, IMAGE = ({"StudyInstanceUID": "1.2"}, {"SeriesInstanceUID": "1.2.3"}, {"SOPInstanceUID": "1.2.3.4"})
ALL = ("pacs", "local", "vna")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> RoutingTable:
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(SITE)
    loaded = load(path, {})
    assert loaded.table is not None, list(map(str, loaded.problems))
    return loaded.table


@dataclass(frozen=True)
class Row:
    """A requestor, its request, and the explanation."""

    calling: str
    operation: Any
    keys: dict[str, Any]
    outcome: str | int
    """The level that is read, or the status; `not heard`."""
    oddities: tuple[str, ...] = ()
    asked: tuple[str, ...] = ALL
    root: QueryRoot = "study"
    destination: str = ""
    is_relational: bool = False


ROWS = {
    "to the letter": Row("WS1", "find", {"QueryRetrieveLevel": "SERIES", **STUDY}, "SERIES"),
    "level IMAGES": Row("WS1", "find", {"QueryRetrieveLevel": "IMAGES", **STUDY, **SERIES}, "IMAGE", ("level_word",)),
    "no study": Row(
        "WS1", "find", {"QueryRetrieveLevel": "SERIES", "Modality": "MR"}, "SERIES", ("keys_of_other_levels",)
    ),
    "both": Row("WS1", "find", {"QueryRetrieveLevel": "series"}, "SERIES", ("level_word", "keys_of_other_levels")),
    "no study, relational": Row("WS1", "find", {"QueryRetrieveLevel": "SERIES"}, "SERIES", is_relational=True),
    "level IMAGES, to the letter": Row("EXACT", "find", {"QueryRetrieveLevel": "IMAGES", **STUDY}, 0xA900),
    "no study, to the letter": Row("EXACT", "find", {"QueryRetrieveLevel": "SERIES"}, 0xA900),
    "no level": Row("WS1", "find", STUDY, 0xA900),
    "odd, and refused for something else": Row(
        "WS1", "find", {"QueryRetrieveLevel": "studies", "StudyDate": "soon"}, 0xC000, ("level_word",)
    ),
    "a stranger": Row("NOBODY", "find", {"QueryRetrieveLevel": "STUDY"}, "not heard"),
    "who may only store": Row("CT1", "find", {"QueryRetrieveLevel": "STUDY"}, 0x0124),
    "a peer that accepts other SOP classes": Row("NARROW", "find", {"QueryRetrieveLevel": "STUDY"}, "not heard"),
    "a source is not asked for itself": Row(
        "PACS", "find", {"QueryRetrieveLevel": "STUDY"}, "STUDY", asked=("local", "vna")
    ),
    "a move": Row("WS1", "move", {"QueryRetrieveLevel": "STUDY", **STUDY}, "STUDY", destination="WS1"),
    "a move nowhere": Row("WS1", "move", {"QueryRetrieveLevel": "STUDY", **STUDY}, 0xA801, destination="WS9"),
    "a move without a level": Row("WS1", "move", IMAGE, "IMAGE", ("retrieve_without_level",), destination="WS1"),
    "a get by Accession Number": Row(
        "WS1", "get", {"AccessionNumber": "A1"}, "STUDY", ("retrieve_without_level", "retrieve_by_accession_number")
    ),
    "a get by Accession Number, to the letter": Row("EXACT", "get", {"AccessionNumber": "A1"}, 0xA900),
    "a get of nothing": Row("WS1", "get", {"QueryRetrieveLevel": "STUDY"}, 0xA900),
}


def explained(table: RoutingTable, row: Row) -> QueryAnswer:
    facts = AssociationFacts(row.calling, "GATEWAY", "10.0.0.9", listener=table.settings.listeners[0].name)
    request = Request("it", row.operation, row.root, attributes(**row.keys), row.destination, row.is_relational)
    return explain_query(table, facts, request)


@pytest.mark.parametrize("name", ROWS)
def test_what_is_reported(table: RoutingTable, name: str) -> None:
    row = ROWS[name]
    answer = explained(table, row)
    if isinstance(row.outcome, int):
        assert (answer.status, answer.query) == (row.outcome, None)
    elif row.outcome == "not heard":
        assert (answer.admission.is_admitted, answer.status, answer.query) == (False, None, None)
    else:
        assert answer.query is not None
        assert (answer.query.level.value, answer.queried, answer.status) == (row.outcome, row.asked, None)
    assert answer.oddities == row.oddities
    assert answer.sent_to == (("ws1",) if row.operation == "move" and answer.query else ())


@pytest.mark.parametrize("name", ROWS)
def test_lines_and_json_say_the_same(table: RoutingTable, name: str) -> None:
    answer = explained(table, ROWS[name])
    text, found = "\n".join(query_lines(answer)), query_json(answer)
    for kind in answer.oddities:
        assert f"against {LENIENCIES[kind].section} ({kind})" in text
    assert [one["kind"] for one in found["leniencies"]] == list(answer.oddities)
    assert found["status"] == (None if answer.status is None else f"0x{answer.status:04X}")
    if answer.status is not None:
        assert f"status 0x{answer.status:04X}: {answer.error_comment}" in text
    if answer.query is not None:
        assert all(kind in text for kind in ON_THE_WIRE)
        assert ("'reports' hides" in text) is (answer.admission.association.peer == "ws1")


def test_values_of_keys_are_shown_only_when_asked_for(table: RoutingTable) -> None:
    row = Row("WS1", "find", {"QueryRetrieveLevel": "STUDY", "PatientName": "Doe^Jane"}, "STUDY")
    answer = explained(table, row)
    hidden, shown = "\n".join(query_lines(answer)), "\n".join(query_lines(answer, with_values=True))
    assert "Doe" not in hidden + json.dumps(query_json(answer))
    assert "QueryRetrieveLevel=STUDY" in hidden
    assert "PatientName=Doe^Jane" in shown


def test_leniencies_in_force(table: RoutingTable) -> None:
    lines = list(leniency_lines(table))
    assert lines[-4:] == [
        "in force for: ct1, narrow, pacs, ws1, strangers",
        "held to the letter (`strict`): exact, vna",
        "duplicate_sop_instance otherwise (`delivery.duplicate: failure`): pacs",
        "duplicate_sop_instance otherwise (`delivery.duplicate: delivered`): vna",
    ]
    assert [line.split()[0] for line in lines[:-4:2]] == list(LENIENCIES)
    found = leniency_json(table)
    assert [each["peer"] for each in found["peers"] if each["is_strict"]] == ["exact", "vna"]
    assert found["duplicate_sop_instance"] == ["vna", "ws1"]


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def rules(tmp_path: Path) -> list[str]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "site.yaml").write_text(SITE)
    return ["--rules", str(tmp_path / "rules")]


def test_keys_on_the_command_line(rules: list[str]) -> None:
    words = ["--query", "find", "-k", "QueryRetrieveLevel=IMAGES", "-k", "StudyInstanceUID=1.2", "--calling-ae", "WS1"]
    told = CliRunner().invoke(explain, [*rules, *words])
    assert told.exit_code == 0, told.output
    assert "(level_word)" in told.output
    assert "(keys_of_other_levels)" in told.output
    assert "=> level IMAGE, relational, asked of pacs, local, vna" in told.output


@pytest.mark.parametrize("form", ["part 10", "implicit", "explicit"])
def test_identifiers_in_files(rules: list[str], form: str, tmp_path: Path) -> None:
    path = tmp_path / "query"
    if form == "part 10":
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDIES", "1.2"
        query.file_meta = Dataset()  # type: ignore[assignment]
        query.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        query.save_as(path, enforce_file_format=False, implicit_vr=False, little_endian=True)
        path.write_bytes(bytes(128) + b"DICM" + path.read_bytes().removeprefix(bytes(128) + b"DICM"))
    else:
        syntax = "1.2.840.10008.1.2" + (".1" if form == "explicit" else "")
        path.write_bytes(IdentifierEncoder(syntax)(attributes(QueryRetrieveLevel="STUDIES", StudyInstanceUID="1.2")))
    told = CliRunner().invoke(explain, [*rules, str(path), "--query", "get", "--calling-ae", "WS1", "--format", "json"])
    assert told.exit_code == 0, told.output
    (found,) = json.loads(told.output)["queries"]
    assert (found["level"], [one["kind"] for one in found["leniencies"]]) == ("STUDY", ["level_word"])


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no requestor": (["--query", "find"], 2, "--calling-ae"),
    "keys without a query": (["-k", "StudyInstanceUID=1.2", "--calling-ae", "WS1"], 2, "--query"),
    "a move without a destination": (["--query", "move", "--calling-ae", "WS1"], 2, "--destination"),
    "a find with a destination": (
        ["--query", "find", "--calling-ae", "WS1", "--destination", "WS1"],
        2,
        "--destination",
    ),
    "no such key": (["--query", "find", "--calling-ae", "WS1", "-k", "Nonsense=1"], 2, "Nonsense"),
    "no identifier": (["--query", "find", "--calling-ae", "WS1", __file__], 1, ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage(rules: list[str], name: str) -> None:
    words, code, text = WRONG[name]
    told = CliRunner().invoke(explain, [*rules, *words])
    assert (told.exit_code, text in told.output) == (code, True), told.output


def test_the_list_of_leniencies(rules: list[str]) -> None:
    told = CliRunner().invoke(explain, [*rules, "--leniencies"])
    assert told.exit_code == 0, told.output
    assert all(kind in told.output for kind in LENIENCIES)
    told = CliRunner().invoke(explain, [*rules, "--leniencies", "--format", "json"])
    assert [one["kind"] for one in json.loads(told.output)["leniencies"]] == list(LENIENCIES)
