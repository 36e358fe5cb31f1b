"""What `gateway explain` tells: whole outputs against files, and single facts in tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config import load
from gateway.model.association import AssociationFacts
from gateway.model.hops import IMPLEMENTATION_CLASS_UID
from gateway.rehearsal import explain
from gateway.rehearsal.explain.as_json import answer_json, as_json
from gateway.rehearsal.explain.as_text import answer_lines
from gateway.rehearsal.stage import staged
from gateway.routing.table import RoutingTable
from tests.support.golden import check_golden
from tests.support.objects import write_part10
from tests.support.unlistable import make_unlistable

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SITE = """\
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112, address: 127.0.0.1}]
  admit: known
peers:
  ct1: {ae_title: CT1, may: [store], hosts: [10.1.0.0/16]}
  finder: {ae_title: FINDER, may: [find]}
  pacs:
    ae_title: PACS
    address: "pacs.example.org:104"
    associate:
      contexts: [{abstract_syntax: CTImageStorage, transfer_syntax: [JPEG2000Lossless]}]
  research: {ae_title: RESEARCH, address: "[2001:db8::7]:11113"}
  files: {folder: {path: "/data/{{ SOPInstanceUID }}.dcm"}}
coercions:
  - name: name the station
    when: {calling_ae_title: [CT1]}
    then: [{set: {StationName: "{{ association.calling_ae_title }}"}}]
  - name: never
    when: {modality: [US]}
    then: [{remove: [StationName]}]
routes:
  - name: images
    when:
      any:
        - modality: [CT, MR]
        - {not: {attribute: {select: StudyDescription, absent: true}}}
    to: [pacs, files]
  - name: heads
    when: {all: [{modality: [CT]}, {attribute: {select: BodyPartExamined, equals: HEAD}}]}
    then:
      - set: {PatientName: Anonymous, 'RequestAttributesSequence[0].ScheduledProcedureStepID': "1"}
      - empty: [PatientID]
      - remove: [PatientAddress]
    to: [research]
    stop: true
  - name: never asked for heads
    to: [files]
unmatched: hold
"""
HEAD: dict[str, object] = {
    "Modality": "CT",
    "BodyPartExamined": "HEAD",
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientAddress": "1 High Street",
    "RequestAttributesSequence": [{"ScheduledProcedureStepID": "secret-7"}],
}
NO_LAST_ROUTE = {"to: [files]\n": "to: [files]\n    enabled: false\n"}
NEVER = "    when: {modality: [US]}\n    then: [{remove: [StationName]}]\n"
REPORT: dict[str, object] = {"Modality": "SR"}
SECRETS = ("Doe", "4711", "High Street", "secret-7")
NOT_ADMITTED = ("not admitted", None, ())
CT1 = AssociationFacts("CT1", "GATEWAY", "10.1.0.7", listener="port-11112")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RoutingTable]:
    """The site above, some text of it replaced; the current folder is a temporary one."""
    monkeypatch.chdir(tmp_path)

    def loaded(**replaced: str) -> RoutingTable:
        text = SITE
        for old, new in replaced.items():
            text = text.replace(old, new)
        Path("site.yaml").write_text(text)
        found = load(Path("site.yaml"), {})
        assert found.table is not None, found.problems
        return found.table

    return loaded


async def answer_for(
    table: RoutingTable, attributes: dict[str, object], facts: AssociationFacts = CT1, *, with_values: bool = False
) -> explain.InstanceExplanation:
    path = write_part10(Path("object.dcm"), attributes)
    async with staged(table) as stage:
        for subject in explain.of_files([path], facts, NOON):
            assert isinstance(subject, explain.ExplainedObject), subject
            return await explain.explain(stage, subject, with_values=with_values)
    raise AssertionError("no object")


async def test_a_destination_whose_window_is_closed_when_the_object_comes_says_so(
    table: Callable[..., RoutingTable],
) -> None:
    delivery = "delivery: {window: Mo-Fr, time_zone: UTC}"
    answer = await answer_for(table(**{"    associate:\n": f"    {delivery}\n    associate:\n"}), HEAD)
    waits = {one.destination: one.waits for one in answer.leaving}
    until = "its window is closed until Mon 2026-11-23 00:00 UTC"
    assert waits == {"pacs": until, "files": "", "research": ""}
    assert [row["waits"] for row in answer_json(answer, with_values=False)["deliveries"]].count(until) == 1
    assert f"         {until}" in list(answer_lines(answer))


@pytest.mark.parametrize("with_values", [False, True], ids=["discreet", "with values"])
async def test_text_and_json_are_these(table: Callable[..., RoutingTable], *, with_values: bool) -> None:
    answer = await answer_for(table(), HEAD, with_values=with_values)
    name = "head-with-values" if with_values else "head"

    check_golden(f"explain/{name}.txt", "\n".join(answer_lines(answer, with_values=with_values)) + "\n")
    counters = explain.ExplanationSummary()
    counters.add(answer)
    found = json.dumps(as_json([answer], counters, with_values=with_values), indent=2, ensure_ascii=False)
    check_golden(f"explain/{name}.json", found + "\n")


async def test_values_of_the_object_are_shown_only_when_asked_for(table: Callable[..., RoutingTable]) -> None:
    answer = await answer_for(table(), HEAD)
    said = "\n".join(answer_lines(answer)) + json.dumps(answer_json(answer, with_values=False))
    assert [word for word in SECRETS if word in said] == []
    shown = "\n".join(answer_lines(await answer_for(table(), HEAD, with_values=True), with_values=True))
    assert [word for word in SECRETS if word not in shown] == []


@pytest.mark.parametrize(
    ("replaced", "attributes", "facts", "expected"),
    [
        pytest.param({}, HEAD, CT1, ("routed", 0, ("pacs", "files", "research")), id="routed"),
        pytest.param({}, REPORT, CT1, ("routed", 0, ("files",)), id="by the last route"),
        pytest.param(NO_LAST_ROUTE, REPORT, CT1, ("held", 0, ()), id="held"),
        pytest.param(
            NO_LAST_ROUTE | {"unmatched: hold": "unmatched: reject"},
            REPORT,
            CT1,
            ("refused", 0x0124, ()),
            id="rejected",
        ),
        pytest.param(
            NO_LAST_ROUTE | {"unmatched: hold": "unmatched: discard"}, REPORT, CT1, ("discarded", 0, ()), id="discarded"
        ),
        pytest.param(
            {'"{{ association.calling_ae_title }}"': '"{{ PatientName }} is much too long"'},
            HEAD,
            CT1,
            ("refused", 0xC000, ()),
            id="a coercion that cannot be done",
        ),
        pytest.param({NEVER: "    then: [drop]\n"}, HEAD, CT1, ("discarded", 0, ()), id="dropped"),
        pytest.param(
            {NEVER: "    then: [{drop: {status: 0xB006}}]\n"},
            HEAD,
            CT1,
            ("discarded", 0xB006, ()),
            id="dropped, warned",
        ),
        pytest.param(
            {NEVER: "    then: [{reject: {status: 0xA701}}]\n"}, HEAD, CT1, ("refused", 0xA701, ()), id="by a rule"
        ),
        pytest.param({NEVER: "    then: [hold]\n"}, HEAD, CT1, ("held", 0, ()), id="held by a rule"),
        pytest.param({}, HEAD, replace(CT1, remote_host="10.9.0.1"), NOT_ADMITTED, id="from elsewhere"),
        pytest.param({}, HEAD, replace(CT1, calling_ae_title="FINDER"), NOT_ADMITTED, id="may not store"),
        pytest.param({}, HEAD, replace(CT1, called_ae_title="OTHER"), NOT_ADMITTED, id="calls another"),
        pytest.param(
            {"hosts:": "accept: {sop_classes: [MRImageStorage]}, hosts:"}, HEAD, CT1, NOT_ADMITTED, id="another class"
        ),
        pytest.param(
            {"hosts:": "accept: {transfer_syntaxes: [ImplicitVRLittleEndian]}, hosts:"},
            HEAD,
            CT1,
            NOT_ADMITTED,
            id="another transfer syntax",
        ),
        pytest.param(
            {"hosts:": "accept: {transfer_syntaxes: [ExplicitVRLittleEndian]}, hosts:"},
            HEAD,
            CT1,
            ("routed", 0, ("pacs", "files", "research")),
            id="an accepted transfer syntax",
        ),
        pytest.param(
            {"  admit: known": "  admit: known\n  limits: {object_size: 1 KiB}"},
            {**HEAD, "ImageComments": "x" * 1024},
            CT1,
            ("refused", 0xA700, ()),
            id="over the limit",
        ),
    ],
)
async def test_fate(
    table: Callable[..., RoutingTable],
    replaced: dict[str, str],
    attributes: dict[str, object],
    facts: AssociationFacts,
    expected: tuple[str, int | None, tuple[str, ...]],
) -> None:
    answer = await answer_for(table(**replaced), attributes, facts)
    assert (answer.fate, answer.status, answer.destinations) == expected


async def test_a_member_of_a_group_is_shown_with_those_that_stand_in_for_it(table: Callable[..., RoutingTable]) -> None:
    groups = "groups: {either: {failover: [research, files]}}\nunmatched: hold\n"
    answer = await answer_for(table(**{"unmatched: hold\n": groups, "to: [research]": "to: [either]"}), HEAD)
    (leaving,) = [each for each in answer.leaving if each.group_name]
    assert (leaving.destination, leaving.group_name, leaving.stand_ins) == ("research", "either", ("files",))
    assert "of the group either; while it is given up: files" in "\n".join(answer_lines(answer))
    shown = answer_json(answer, with_values=False)["deliveries"]
    assert [(each["group"], each["stand_ins"]) for each in shown if "group" in each] == [("either", ["files"])]


async def test_a_member_of_a_balance_group_is_shown_with_those_that_may_get_it(
    table: Callable[..., RoutingTable],
) -> None:
    groups = "groups: {either: {balance: [research, files]}}\nunmatched: hold\n"
    answer = await answer_for(table(**{"unmatched: hold\n": groups, "to: [research]": "to: [either]"}), HEAD)
    assert "of the group either; or to files, by what waits" in "\n".join(answer_lines(answer))
    shown = answer_json(answer, with_values=False)["deliveries"]
    assert [each["group_kind"] for each in shown if "group" in each] == ["balance"]


async def test_what_goes_over_one_association_says_so(table: Callable[..., RoutingTable]) -> None:
    answer = await answer_for(table(**{"to: [research]": "to: [research]\n    one_association: true"}), HEAD)
    together = {each.destination for each in answer.leaving if each.is_one_association}
    assert together == {"research"}
    text = "\n".join(answer_lines(answer))
    assert text.count("over one association in the order of Series Number and Instance Number") == 1
    shown = answer_json(answer, with_values=False)["deliveries"]
    assert {each["destination"] for each in shown if each["one_association"]} == {"research"}


async def test_a_rule_that_decides_is_named(table: Callable[..., RoutingTable]) -> None:
    answer = await answer_for(table(**{NEVER: "    then: [drop]\n"}), HEAD)
    assert answer.decided_by == "never"
    assert "accepted and thrown away (by 'never'), status 0x0000" in "\n".join(answer_lines(answer))


async def test_why_an_action_cannot_be_done_is_reported_with_values_alone(table: Callable[..., RoutingTable]) -> None:
    routes = table(**{"PatientName: Anonymous": 'StationName: "{{ PatientName }} is much too long"'})
    answer = await answer_for(routes, HEAD)
    (research,) = [one for one in answer.leaving if one.destination == "research"]
    assert "at most 16 characters" in research.refusal
    assert "at most 16" not in "\n".join(answer_lines(answer))
    assert "at most 16" not in json.dumps(answer_json(answer, with_values=False))
    assert "at most 16" in "\n".join(answer_lines(answer, with_values=True))


async def test_what_a_coercion_refuses_reaches_nothing_after_it(table: Callable[..., RoutingTable]) -> None:
    routes = table(**{'"{{ association.calling_ae_title }}"': '"{{ PatientName }} is much too long"'})
    answer = await answer_for(routes, HEAD)
    assert [one.verdict.is_reached for one in (*answer.coercions, *answer.routes)] == [True, False, False, False, False]
    assert "16 characters" in answer.coercions[0].refusal
    assert "status 0xC000" in "\n".join(answer_lines(answer))


async def test_predicates_have_their_place(table: Callable[..., RoutingTable]) -> None:
    answer = await answer_for(table(), HEAD)
    images = answer.routes[0].verdict
    places = {reason.path: reason.mark for reason in images.reason.deciding()}
    lines = SITE.splitlines()
    for path, mark in places.items():
        assert mark is not None
        assert str(path[-1]) in lines[mark.line - 1], path


async def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not DICOM")
    named = list(explain.of_files([tmp_path / "notes.txt"], CT1, NOON))
    assert named == [explain.Unexplained(str(tmp_path / "notes.txt"), "is no DICOM file: no DICM after the preamble")]
    assert list(explain.of_files([tmp_path], CT1, NOON)) == []


async def test_a_folder_that_cannot_be_listed_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    make_unlistable(monkeypatch, tmp_path / "shut")
    found = list(explain.of_files([tmp_path], CT1, NOON))
    assert found == [explain.Unexplained(str(tmp_path / "shut"), "cannot be listed: Permission denied")]


async def test_a_folder_is_walked_in_order(tmp_path: Path) -> None:
    for name in ("b/2.dcm", "a.dcm", "b/1.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_part10(tmp_path / name, HEAD)
    names = [Path(one.name).name for one in explain.of_files([tmp_path], CT1, NOON)]
    assert names == ["a.dcm", "1.dcm", "2.dcm"]


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ({"pacs", "files", "research"}, ""),
        ({"pacs", "files"}, "expected files, pacs, would go to pacs, files, research: research would get it"),
        ({"vna", "pacs", "files", "research"}, "vna would not get it"),
        (set(), "expected no destination"),
    ],
    ids=["as expected", "one too many", "one is missing", "none expected"],
)
async def test_verify(table: Callable[..., RoutingTable], expected: set[str], difference: str) -> None:
    counters = explain.ExplanationSummary(frozenset(expected))
    counters.add(await answer_for(table(), HEAD))
    assert counters.is_as_expected is not bool(difference)
    assert difference in "".join(text for _name, text in counters.mismatches)


def through(hops: int) -> AssociationFacts:
    """From another gateway, at the address of the modality."""
    name = f"GATEWAY_0.1.0+{hops}"
    return replace(CT1, implementation_class_uid=IMPLEMENTATION_CLASS_UID, implementation_version_name=name)


RINGS = [
    pytest.param({}, CT1, "", id="none"),
    pytest.param(
        {"pacs.example.org:104": "127.0.0.1:11112", "ae_title: PACS": "ae_title: GATEWAY"},
        CT1,
        "a ring: 127.0.0.1:11112 is this gateway's own listener 'port-11112-127.0.0.1', so that it comes back",
        id="to ourselves",
    ),
    pytest.param(
        {
            "pacs.example.org:104": "localhost:11112",
            "ae_title: PACS": "ae_title: GATEWAY",
            "address: 127.0.0.1}": "address: 0.0.0.0}",
        },
        CT1,
        "a ring: localhost:11112 is this gateway's own listener 'port-11112', so that it comes back",
        id="to ourselves by name",
    ),
    pytest.param({"pacs.example.org:104": "127.0.0.1:11112"}, CT1, "", id="to another title, which we do not answer"),
    pytest.param({"pacs.example.org:104": "127.0.0.1:11113"}, CT1, "", id="to another port"),
    pytest.param(
        {"ae_title: PACS": "ae_title: CT1"}, CT1, "it goes back to the requestor, whose AE title that is", id="back"
    ),
    pytest.param({}, through(8), "", id="through eight gateways"),
    pytest.param({}, through(9), "it came through 9 gateways, so that it is held", id="through nine"),
]


@pytest.mark.parametrize(("replaced", "facts", "expected"), RINGS)
async def test_rings(
    table: Callable[..., RoutingTable], replaced: dict[str, str], facts: AssociationFacts, expected: str
) -> None:
    answer = await answer_for(table(**replaced), HEAD, facts)
    rings = [one.ring for one in answer.leaving if one.destination == "pacs"]
    assert [ring.startswith(expected) if expected else ring == "" for ring in rings] == [True], rings
    lines = "\n".join(answer_lines(answer))
    assert expected in lines
    assert [one["ring"] for one in answer_json(answer, with_values=False)["deliveries"]][:1] == rings
    is_held = facts.implementation_version_name.endswith("+9")
    assert answer.fate == ("held" if is_held else "routed")
    assert not is_held or "(by '(loop)')" in lines


async def test_how_long_a_copy_is_kept_is_said(table: Callable[..., RoutingTable]) -> None:
    site = table(
        **{
            "    associate:\n": "    keep: 36 h\n    associate:\n",
            "    to: [research]\n": "    to: [research]\n    keep: 7 d\n",
        }
    )
    answer = await answer_for(site, HEAD)
    assert {one.destination: one.keep_s for one in answer.leaving} == {
        **{"pacs": 36 * 3600.0, "files": 0.0, "research": 7 * 86400.0}
    }
    assert [row.get("keep_s") for row in answer_json(answer, with_values=False)["deliveries"]].count(36 * 3600.0) == 1
    said = [line.strip() for line in answer_lines(answer) if "copy" in line]
    assert said == [f"its copy here is kept for {time} after delivery" for time in ("36 h", "7 d")]
    assert "kept_until" not in answer_json(answer, with_values=False)
    kept = replace(answer, kept_until=NOON)
    assert answer_json(kept, with_values=False)["kept_until"] == NOON.isoformat()
    assert list(answer_lines(kept))[-1].startswith("     nothing is owed; the copy here is kept until 2026-11-2")
