"""Studies that are hidden from a requestor: at every level, of the index and of sources, in every model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.dataset.dictionary import tag_of
from gateway.model.association import AssociationFacts
from gateway.model.problem import Mark
from gateway.routing.language.kinds import build_predicate
from gateway.routing.visibility_rules import VisibilityRule
from gateway.sources.study_visibility import StudyVisibility
from tests.support.federation import Source, answering, ask
from tests.support.query_table import DOE, MUELLER, OBJECTS, ROE, ROE_AGAIN, YAMADA

R1, R2, D1, M1, Y1 = (each["StudyInstanceUID"] for each in (ROE, ROE_AGAIN, DOE, MUELLER, YAMADA))
KNEE = {"attribute": {"select": "StudyDescription", "starts_with": "MR KNEE"}}
MARK = Mark("rules.yaml", 1, 1)


def hiding(when: Mapping[str, Any], *peers: str) -> tuple[VisibilityRule, ...]:
    problems: list[str] = []
    predicate = build_predicate(when, lambda path, code, message: problems.append(message))
    assert predicate is not None, problems
    return (VisibilityRule("hide-1", predicate, peers, MARK),)


ROOTS = {"every model": ("patient", "study", "patient_study"), "study root": ("study",), "patient root": ("patient",)}


@pytest.fixture(params=["index", *ROOTS])
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where the studies are."""
    if request.param == "index":
        return {"sources": [], "local": OBJECTS}
    return {"sources": [Source("pacs", OBJECTS, roots=ROOTS[request.param])], "local": None}  # type: ignore[arg-type]


async def behind(stack: AsyncExitStack, folder: Path, place: Mapping[str, Any], rules: Any, **more: Any) -> Any:
    for source in place["sources"]:
        await stack.enter_async_context(source.running())
    gateway = answering(folder, *place["sources"], local=place["local"], table={"hidden": rules}, **more)
    return await stack.enter_async_context(gateway)


QUESTIONS: dict[str, tuple[str, str, dict[str, str], str, list[str]]] = {
    "studies": ("study", "STUDY", {}, "StudyInstanceUID", [R1, D1, M1, Y1]),
    "studies of a patient": ("patient", "STUDY", {"PatientID": "P-001"}, "StudyInstanceUID", [R1]),
    "the study itself": ("study", "STUDY", {"StudyInstanceUID": R2}, "StudyInstanceUID", []),
    "patients": ("patient", "PATIENT", {}, "PatientID", ["P-001", "P-002", "P-003", "P-004"]),
    "its series": ("study", "SERIES", {"StudyInstanceUID": R2}, "SeriesInstanceUID", []),
    "other series": ("study", "SERIES", {"StudyInstanceUID": R1}, "SeriesInstanceUID", [f"{R1}.1", f"{R1}.2"]),
    "its images": (
        "study",
        "IMAGE",
        {"StudyInstanceUID": R2, "SeriesInstanceUID": f"{R2}.1"},
        "SOPInstanceUID",
        [],
    ),
    "other images": (
        "study",
        "IMAGE",
        {"StudyInstanceUID": D1, "SeriesInstanceUID": f"{D1}.1"},
        "SOPInstanceUID",
        [f"{D1}.1.1", f"{D1}.1.10"],
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_hidden_at_every_level(tmp_path: Path, place: dict[str, Any], question: str) -> None:
    root, level, keys, unique, expected = QUESTIONS[question]
    async with AsyncExitStack() as stack:
        gateway = await behind(stack, tmp_path, place, hiding(KNEE, "viewer"))
        told = await ask(gateway.port, level, root, **keys)  # type: ignore[arg-type]
    assert (told.status, told.texts(unique)) == (0x0000, sorted(expected))
    assert all(tag_of("StudyDescription") not in answer for answer in told.answers)


async def test_counts_of_patients_are_of_what_is_shown(tmp_path: Path, place: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        gateway = await behind(stack, tmp_path, place, hiding(KNEE))
        told = await ask(gateway.port, "PATIENT", "patient", PatientName="roe*", NumberOfPatientRelatedStudies="")
    assert told.only()[tag_of("NumberOfPatientRelatedStudies")] == ("1",)
    assert told.only()[tag_of("PatientName")] == ("Roe^Jane",)


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
async def test_numbers_of_a_patient_are_not_given_below_patients(
    tmp_path: Path, place: dict[str, Any], level: str
) -> None:
    """They would count what is hidden."""
    counts: dict[str, Any] = dict.fromkeys(("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"), "")
    async with AsyncExitStack() as stack:
        gateway = await behind(stack, tmp_path, place, hiding(KNEE))
        told = await ask(gateway.port, level, StudyInstanceUID=R1, NumberOfStudyRelatedSeries="", **counts)
    assert told.answers
    for answer in told.answers:
        assert answer[tag_of("NumberOfStudyRelatedSeries")] == ("2",)
        assert [answer[tag_of(keyword)] for keyword in counts] == [(), ()]


async def test_a_patient_with_hidden_studies_alone_is_hidden(tmp_path: Path, place: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        rules = hiding({"attribute": {"select": "PatientID", "in": ["P-002", "P-003"]}})
        gateway = await behind(stack, tmp_path, place, rules)
        told = await ask(gateway.port, "PATIENT", "patient")
    assert told.texts("PatientID") == ["P-001", "P-004"]


SEEN: dict[str, tuple[Mapping[str, Any], tuple[str, ...], bool]] = {
    "from others": (KNEE, ("research",), True),
    "from us among others": (KNEE, ("research", "viewer"), False),
    "from all": (KNEE, (), False),
    "by who asks": ({"all": [KNEE, {"calling_ae_title": ["VIEWER"]}]}, (), False),
    "by who does not ask": ({"all": [KNEE, {"not": {"calling_ae_title": ["VIEWER"]}}]}, (), True),
    "by what is counted": ({"attribute": {"select": "ModalitiesInStudy", "equals": "SR"}}, (), False),
    "by what nobody knows": ({"attribute": {"select": "InstitutionName", "equals": "X"}}, (), True),
    "by what is absent": ({"attribute": {"select": "InstitutionName", "absent": True}}, (), False),
}


@pytest.mark.parametrize("name", SEEN)
async def test_who_sees_what(tmp_path: Path, place: dict[str, Any], name: str) -> None:
    when, peers, is_seen = SEEN[name]
    async with AsyncExitStack() as stack:
        gateway = await behind(stack, tmp_path, place, hiding(when, *peers))
        told = await ask(gateway.port, "STUDY", StudyInstanceUID=R2)
    assert told.texts("StudyInstanceUID") == ([R2] if is_seen else [])


async def test_relational_questions_show_no_part_of_it(tmp_path: Path, place: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        gateway = await behind(stack, tmp_path, place, hiding(KNEE))
        told = await ask(gateway.port, "SERIES", relational=True, Modality="MR")
    assert told.texts("SeriesInstanceUID") == [f"{Y1}.1"]


async def test_hidden_at_one_place_is_hidden_at_all(tmp_path: Path) -> None:
    """The other place does not know what the rule asks about."""
    async with AsyncExitStack() as stack:
        one = Source("one", OBJECTS)
        two = Source("two", OBJECTS, lacks=frozenset({"StudyDescription"}))
        gateway = await behind(stack, tmp_path, {"sources": [one, two], "local": None}, hiding(KNEE))
        told = await ask(gateway.port, "STUDY")
    assert told.texts("StudyInstanceUID") == sorted([R1, D1, M1, Y1])
    assert gateway.metric("gateway_source_answers_total", source="one", outcome="hidden") == 1


async def test_what_cannot_be_looked_at_is_hidden(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pacs = Source("pacs", OBJECTS, status=0xA700)
        gateway = await behind(stack, tmp_path, {"sources": [pacs], "local": OBJECTS}, hiding(KNEE))
        peer = gateway.table.peers["pacs"]
        visibility = StudyVisibility(
            gateway.table, AssociationFacts("VIEWER", "GATEWAY", "127.0.0.1", peer="viewer"), gateway.backends
        )
        assert visibility.hides_any
        assert [await visibility.hides(uid) for uid in (R1, R2, "1.2.3")] == [False, True, True]
        assert await visibility.hides(R1, peer)
        pacs.status = 0
        assert [await visibility.hides(uid, peer) for uid in (R1, R2, D1, "1.2.3")] == [True, True, False, True]
        asked = len(pacs.asked)
        assert not await visibility.hides(D1, peer)
        assert len(pacs.asked) == asked


@pytest.mark.parametrize("partial", ["fail", "accept"])
async def test_what_cannot_be_looked_at_is_reported(tmp_path: Path, partial: str) -> None:
    """The source answers about series and fails about their study: they stay hidden, and the answer is not complete."""
    async with AsyncExitStack() as stack:
        pacs = Source("pacs", OBJECTS, fails_at="STUDY")
        settings = {"sources": [pacs], "local": OBJECTS}
        gateway = await behind(stack, tmp_path, settings, hiding(KNEE), partial=partial)
        told = await ask(gateway.port, "SERIES", StudyInstanceUID=D1)
    assert told.texts("SeriesInstanceUID") == []
    assert told.status == (0xC001 if partial == "fail" else 0x0000)
    if partial == "fail":
        assert told.final.error_comment == "incomplete: pacs: a study was not looked at: it answered 0xA700"
    assert gateway.metric("gateway_find_partial_total") == (partial == "accept")
