"""`gateway test`: each kind of expectation holds and fails, and reports say where and why."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gateway.rehearsal import rule_tests
from gateway.rehearsal.rule_tests import FileResult, report
from tests.support.golden import check_golden
from tests.support.objects import write_part10

ROOT = Path(__file__).parents[4]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SITE = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: "${ADMIT:-any}"}
peers:
  pacs: {ae_title: PACS, address: "pacs:104"}
  research: {ae_title: RESEARCH, address: "research:104"}
  ct1: {ae_title: CT1, may: [store], hosts: [10.1.0.0/16]}
coercions:
  - {name: station, when: {calling_ae_title: [CT1]}, then: [{set: {StationName: CT-ONE}}]}
  - {name: too long, when: {modality: [XX]}, then: [{set: {StationName: "{{ PatientName }} and more than it takes"}}]}
routes:
  - {name: images, when: {modality: [CT, MR]}, to: [pacs]}
  - name: heads
    when: {attribute: {select: BodyPartExamined, equals: HEAD}}
    then: [{set: {PatientName: Anonymous}}, {remove: [PatientAddress]}]
    to: [research]
  - name: impossible
    when: {modality: [YY]}
    then: [{set: {StationName: "{{ PatientName }} and more than it takes"}}]
    to: [research]
unmatched: "${UNMATCHED:-hold}"
"""
HEAD = "{Modality: CT, BodyPartExamined: HEAD, PatientName: Doe^Jane, PatientAddress: High Street}"

Run = Callable[..., Awaitable[list[FileResult]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one test of `SITE`: its lines beside the name, or a whole file."""
    monkeypatch.chdir(tmp_path)
    Path("site.yaml").write_text(SITE)

    async def one(*lines: str, file: str = "", keyword: str = "") -> list[FileResult]:
        text = file or "tests:\n  - name: it\n" + "".join(f"    {line}\n" for line in lines)
        Path("site.test.yaml").write_text(text)
        return await rule_tests.run(Path(), {}, keyword=keyword, now=lambda: NOON, clock_s=lambda: 0.0)

    return one


@pytest.mark.parametrize(
    ("attributes", "expect", "failure"),
    [
        (HEAD, "{destinations: [research, pacs]}", None),
        (HEAD, "{destinations: [pacs]}", ("destinations", "pacs", "pacs, research")),
        (HEAD, "{destinations: []}", ("destinations", "none", "pacs, research")),
        ("{Modality: SR}", "{destinations: [], unmatched: true, held: true, status: 0x0000}", None),
        ("{Modality: SR}", "{unmatched: false}", ("unmatched", "no", "yes")),
        ("{Modality: SR}", "{held: false}", ("held", "no", "yes")),
        (HEAD, "{held: false, unmatched: false}", None),
        (HEAD, "{status: 0xA700}", ("status", "0xA700", "0x0000")),
        ("{Modality: XX, PatientName: A}", "{status: 0xC000, destinations: []}", None),
        ("{Modality: XX, PatientName: A}", "{values: {Modality: XX}}", ("values", "an object that is kept", "0xC000")),
        ("{Modality: XX, PatientName: A}", "{destinations: [pacs]}", ("destinations", "pacs", "none (status 0xC000)")),
        (HEAD, "{rules: [images, heads], coercions: []}", None),
        (HEAD, "{rules: [images]}", ("rules", "images", "heads, images")),
        (HEAD, "{coercions: [station]}", ("coercions", "station", "none")),
        (HEAD, "{values: {PatientName: Doe^Jane, StationName: []}}", ("StationName", "empty", "absent")),
        (HEAD, "{values: {PatientName: Doe^John}}", ("PatientName", "'Doe^John'", "'Doe^Jane'")),
        (HEAD, "{absent: [StationName, PatientName]}", ("PatientName", "absent", "'Doe^Jane'")),
        (HEAD, "{at: {research: {values: {PatientName: Anonymous}, absent: [PatientAddress]}}}", None),
        (HEAD, "{at: {pacs: {values: {PatientName: Anonymous}}}}", ("PatientName at pacs", "'Anonymous'", "'Doe")),
        (HEAD, "{at: {pacs: {absent: [PatientAddress]}}}", ("PatientAddress at pacs", "absent", "'High Street'")),
        (HEAD, "{at: {vna: {}}}", ("at vna", "the object", "it goes to pacs, research")),
        (HEAD, "{at: {pacs: {transfer_syntax: ExplicitVRLittleEndian}}}", None),
        (HEAD, "{at: {pacs: {transfer_syntax: JPEG2000}}}", ("transfer syntax at pacs", "JPEG 2000", "Explicit VR")),
        (HEAD, "{at: {pacs: {refused: true}}}", ("refused at pacs", "yes", "no")),
        ("{Modality: YY, PatientName: A}", "{at: {research: {refused: true}}}", None),
        (
            "{Modality: YY, PatientName: A}",
            "{at: {research: {absent: []}}}",
            ("sent at research", "an object", "cannot be done"),
        ),
        (HEAD, "{admitted: false}", ("the association", "not admitted", "admitted as a stranger")),
        ("{Rows: many}", "{status: 0x0000}", ("the object", "attributes that can be encoded", "Rows: not a value")),
    ],
    ids=str,
)
async def test_expectations(run: Run, attributes: str, expect: str, failure: tuple[str, str, str] | None) -> None:
    (file,) = await run(f"attributes: {attributes}", f"expect: {expect}")
    (result,) = file.results
    if failure is None:
        assert result.failures == ()
        return
    (found,) = result.failures
    what, expected, said = failure
    assert found.what == what
    assert expected in found.expected
    assert said in found.found
    assert re.fullmatch(r"site\.test\.yaml:[34]", f"{found.mark.file}:{found.mark.line}")


@pytest.mark.parametrize(
    ("environment", "association", "expect"),
    [
        ("{}", "{calling_ae_title: CT1, remote_host: 10.1.0.7}", "{values: {StationName: CT-ONE}}"),
        ("{}", "{calling_ae_title: CT1, remote_host: 10.2.0.7}", "{admitted: false}"),
        ("{}", "{calling_ae_title: OTHER}", "{absent: [StationName]}"),
        ("{}", "{called_ae_title: OTHER}", "{admitted: false}"),
        ("{ADMIT: known}", "{calling_ae_title: OTHER}", "{admitted: false}"),
        ("{UNMATCHED: reject}", "{}", '{status: "0x0124", destinations: [], unmatched: true, held: false}'),
        ("{UNMATCHED: discard}", "{}", '{status: "0x0000", destinations: [], unmatched: true, held: false}'),
    ],
    ids=str,
)
async def test_association_and_environment(run: Run, environment: str, association: str, expect: str) -> None:
    (file,) = await run(
        file=f"environment: {environment}\n"
        "tests:\n"
        f"  - {{name: it, attributes: {{Modality: SR}}, association: {association}, expect: {expect}}}\n"
    )
    assert [result.failures for result in file.results] == [()]


async def test_what_was_found_in_a_file_is_hidden(run: Run) -> None:
    write_part10(Path("head.dcm"), {"Modality": "CT", "PatientName": "Doe^Jane"})
    (file,) = await run("file: head.dcm", "expect: {values: {PatientName: A}, destinations: [research]}")
    without_secrets = "\n".join(report.text([file], with_values=False))
    assert "Doe" not in without_secrets + json.dumps(report.as_json([file], with_values=False))
    assert "Doe" not in report.junit([file], with_values=False)
    assert "found     pacs" in without_secrets
    assert "Doe^Jane" in "\n".join(report.text([file], with_values=True))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("none.dcm", None, "No such file"), ("text.dcm", "text", "is no DICOM file")],
    ids=["not there", "not DICOM"],
)
async def test_a_file_that_is_no_object(run: Run, name: str, content: str | None, said: str) -> None:
    if content is not None:
        Path(name).write_text(content)
    (file,) = await run(f"file: {name}", "expect: {admitted: true}")
    assert said in file.results[0].failures[0].found


async def test_rules_with_errors_are_reported(run: Run) -> None:
    Path("site.yaml").write_text(SITE.replace("to: [pacs]", "to: [pax]"))
    with pytest.raises(rule_tests.RulesUnusable) as caught:
        await run("attributes: {}", "expect: {held: true}")
    assert [problem.code for problem in caught.value.problems] == ["unknown-destination"]


SEVERAL = """\
tests:
  - name: right
    attributes: {Modality: CT, PatientName: Doe^Jane}
    expect: {destinations: [pacs]}
  - name: wrong
    attributes: {Modality: CT, PatientName: Doe^Jane}
    expect:
      destinations: [research]
      values: {PatientName: Nobody}
"""


async def test_reports_are_these(run: Run) -> None:
    Path("broken.test.yaml").write_text("tests:\n  - {name: a, atributes: {}, expect: {held: true}}\n")
    files = await run(file=SEVERAL)
    check_golden("rule_tests/report.txt", "\n".join(report.text(files, with_values=False)) + "\n")
    found = json.dumps(report.as_json(files, with_values=False), indent=2, ensure_ascii=False)
    check_golden("rule_tests/report.json", found + "\n")
    check_golden("rule_tests/report.xml", report.junit(files, with_values=False) + "\n")
    ElementTree.fromstring(report.junit(files, with_values=False))


@pytest.mark.parametrize(
    ("keyword", "passed", "failed", "deselected", "is_good"),
    [("", 1, 1, 0, False), ("RIGHT", 1, 0, 1, True), ("site.test.yaml::wr", 0, 1, 1, False), ("no", 0, 0, 2, False)],
)
async def test_a_selection(run: Run, keyword: str, passed: int, failed: int, deselected: int, *, is_good: bool) -> None:
    total = report.summary(await run(file=SEVERAL, keyword=keyword))
    assert (total.passed, total.failed, total.deselected, total.is_good) == (passed, failed, deselected, is_good)


async def test_the_time_of_reception_is_the_tests(run: Run) -> None:
    Path("site.yaml").write_text(
        SITE.replace("when: {modality: [CT, MR]}", "when: {attribute: {select: StudyDate, older_than: 7 D}}")
    )
    expect = "expect: {destinations: [pacs]}"
    attributes = 'attributes: {StudyDate: "20260101"}'
    (file,) = await run(attributes, 'received_at: "2026-01-20T10:00:00Z"', expect)
    assert file.results[0].is_passed
    (file,) = await run(attributes, 'received_at: "2026-01-02T10:00:00Z"', expect)
    assert not file.results[0].is_passed


async def test_the_shipped_rules_pass_their_tests() -> None:
    files = await rule_tests.run(ROOT / "rules", {})
    failures = [line for line in report.text(files, with_values=True) if line.lstrip().startswith(("FAIL", "found"))]
    assert failures == []
    assert report.summary(files).passed >= 7
