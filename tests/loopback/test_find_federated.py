"""C-FIND of several sources side by side: merged, checked, in each one's model, within its time, cancelled."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.dataset.dictionary import tag_of
from gateway.model.peer import Peer
from gateway.sources.sources import MOST_AT_ONCE, MOST_HOPS
from tests.support.dimse.query_rig import Requestor
from tests.support.dimse.rig import TIMERS
from tests.support.federation import LOOPBACK, Source, Told, answering, ask
from tests.support.identifiers import EXPLICIT
from tests.support.load.black_hole import BlackHole
from tests.support.processes import GUARD_S, free_port
from tests.support.query_table import DOE, MUELLER, OBJECTS, ROE, ROE_AGAIN, UNIQUE, YAMADA

Objects = Sequence[Mapping[str, Any]]
R1, R2, D1, M1, Y1 = (each["StudyInstanceUID"] for each in (ROE, ROE_AGAIN, DOE, MUELLER, YAMADA))


def of(*studies: str, **changes: str) -> Objects:
    """The objects of these studies, with changes."""
    return [{**each, **changes} for each in OBJECTS if each["StudyInstanceUID"] in studies]


async def with_sources(stack: AsyncExitStack, folder: Path, *sources: Source | Peer, **settings: Any) -> Any:
    for source in sources:
        if isinstance(source, Source):
            await stack.enter_async_context(source.running())
    return await stack.enter_async_context(answering(folder, *sources, **settings))


# --- merging ----------------------------------------------------------------------------------------------------------

LEVELS: dict[str, tuple[str, str, dict[str, str], list[str]]] = {
    "patients": ("patient", "PATIENT", {}, ["P-001", "P-002", "P-003"]),
    "studies": ("study", "STUDY", {}, [R1, R2, D1, M1]),
    "studies of a patient": ("patient", "STUDY", {"PatientID": "P-001"}, [R1, R2]),
    "studies, patient/study only": ("patient_study", "STUDY", {"PatientID": "P-001"}, [R1, R2]),
    "series": ("study", "SERIES", {"StudyInstanceUID": R2}, [f"{R2}.1", f"{R2}.2", f"{R2}.3"]),
    "images": (
        "study",
        "IMAGE",
        {"StudyInstanceUID": R1, "SeriesInstanceUID": f"{R1}.1"},
        [f"{R1}.1.1", f"{R1}.1.2"],
    ),
}


@pytest.mark.parametrize("name", LEVELS)
async def test_what_several_know_is_answered_once(tmp_path: Path, name: str) -> None:
    root, level, keys, expected = LEVELS[name]
    unique = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}
    async with AsyncExitStack() as stack:
        one, two = Source("one", of(R1, R2)), Source("two", of(R2, D1))
        gateway = await with_sources(stack, tmp_path, one, two, local=of(R1, M1))
        told = await ask(gateway.port, level, root, **keys)  # type: ignore[arg-type]
    assert told.texts(unique.get(level, "SOPInstanceUID")) == sorted(expected)
    assert told.status == 0x0000
    assert told.texts("RetrieveAETitle") == ["GATEWAY"] * len(expected)
    assert told.texts("QueryRetrieveLevel") == [level] * len(expected)


async def test_attributes_are_merged_one_by_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one = Source("one", of(R2, StudyDescription="", AccessionNumber="FIRST")[:2])
        two = Source("two", of(R2, StudyDescription="SECOND", AccessionNumber="SECOND"))
        gateway = await with_sources(stack, tmp_path, one, two)
        told = await ask(
            gateway.port,
            "STUDY",
            StudyDescription="",
            AccessionNumber="",
            ModalitiesInStudy="",
            NumberOfStudyRelatedInstances="",
            NumberOfStudyRelatedSeries="",
        )
    answer = told.only()
    assert answer[tag_of("AccessionNumber")] == ("FIRST",)
    assert answer[tag_of("StudyDescription")] == ("SECOND",)
    assert set(answer[tag_of("ModalitiesInStudy")]) == {"MR", "SR"}
    assert answer[tag_of("NumberOfStudyRelatedInstances")] == ("3",)
    assert answer[tag_of("NumberOfStudyRelatedSeries")] == ("3",)


async def test_the_order_of_sources_decides_not_who_is_faster(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        slow = Source("slow", of(D1, AccessionNumber="OF SLOW"))
        fast = Source("fast", of(D1, AccessionNumber="OF FAST"))
        slow.go.clear()
        gateway = await with_sources(stack, tmp_path, slow, fast)
        asking = asyncio.create_task(ask(gateway.port, "STUDY", AccessionNumber=""))
        await _until(lambda: bool(slow.asked and fast.asked))
        slow.go.set()
        told = await asking
    assert told.texts("AccessionNumber") == ["OF SLOW"]


async def test_a_match_does_not_wait_longer_than_patience(tmp_path: Path) -> None:
    """The slow source's own study still comes."""
    async with AsyncExitStack() as stack:
        slow, fast = Source("slow", of(D1, M1)), Source("fast", of(D1, R1))
        slow.go.clear()
        gateway = await with_sources(stack, tmp_path, slow, fast, patience_s=0.05)
        async with await Requestor.open(gateway.port) as requestor:
            requestor.ask("find", identifier=_studies())
            early = [await requestor.answer(), await requestor.answer()]
            slow.go.set()
            late = await requestor.answers()
    assert [answer.status for answer in early] == [0xFF00, 0xFF00]
    assert [answer.status for answer in late] == [0xFF00, 0x0000]


async def test_availability_is_the_best(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        study = {"StudyInstanceUID": D1, "PatientID": "P-002"}
        one = Source("one", [], more=[{**study, "InstanceAvailability": "OFFLINE"}])
        two = Source("two", [], more=[{**study, "InstanceAvailability": "NEARLINE"}])
        gateway = await with_sources(stack, tmp_path, one, two, local=of(R1))
        told = await ask(gateway.port, "STUDY", InstanceAvailability="")
        silent = await ask(gateway.port, "STUDY")
    found = {answer[tag_of("StudyInstanceUID")]: answer[tag_of("InstanceAvailability")] for answer in told.answers}
    assert found == {(R1,): ("ONLINE",), (D1,): ("NEARLINE",)}
    assert all(tag_of("InstanceAvailability") not in answer for answer in silent.answers)


# --- models, character sets, transfer syntaxes ------------------------------------------------------------------------

MODELS: dict[str, tuple[str, ...]] = {
    "all models": ("patient", "study", "patient_study"),
    "study root alone": ("study",),
    "patient root alone": ("patient",),
}
QUESTIONS: dict[str, tuple[str, str, dict[str, str], str, list[str]]] = {
    "patients": ("patient", "PATIENT", {"PatientName": "roe*"}, "PatientID", ["P-001"]),
    "patient/study only": ("patient_study", "STUDY", {"PatientID": "P-001"}, "StudyInstanceUID", [R1, R2]),
    "studies by name": ("study", "STUDY", {"PatientName": "DOE*"}, "StudyInstanceUID", [D1]),
    "series": (
        "study",
        "SERIES",
        {"StudyInstanceUID": R2, "Modality": "MR"},
        "SeriesInstanceUID",
        [f"{R2}.1", f"{R2}.2"],
    ),
    "series, patient root": (
        "patient",
        "SERIES",
        {"PatientID": "P-001", "StudyInstanceUID": R2, "Modality": "SR"},
        "SeriesInstanceUID",
        [f"{R2}.3"],
    ),
    "images": (
        "study",
        "IMAGE",
        {"StudyInstanceUID": R1, "SeriesInstanceUID": f"{R1}.1", "InstanceNumber": "2"},
        "SOPInstanceUID",
        [f"{R1}.1.2"],
    ),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_source_is_asked_in_its_own_model(tmp_path: Path, model: str, question: str) -> None:
    root, level, keys, unique, expected = QUESTIONS[question]
    async with AsyncExitStack() as stack:
        source = Source("pacs", OBJECTS, roots=MODELS[model])  # type: ignore[arg-type]
        gateway = await with_sources(stack, tmp_path, source)
        told = await ask(gateway.port, level, root, **keys)  # type: ignore[arg-type]
    assert (told.status, told.texts(unique)) == (0x0000, sorted(expected))


async def test_patients_of_a_study_root_source_are_counted(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        gateway = await with_sources(stack, tmp_path, Source("pacs", OBJECTS, roots=("study",)))
        told = await ask(
            gateway.port,
            "PATIENT",
            "patient",
            PatientID="P-001",
            PatientName="",
            NumberOfPatientRelatedStudies="",
            NumberOfPatientRelatedInstances="",
        )
    answer = told.only()
    assert answer[tag_of("PatientName")] == ("Roe^Jane",)
    assert answer[tag_of("NumberOfPatientRelatedStudies")] == ("2",)
    assert answer[tag_of("NumberOfPatientRelatedInstances")] == ("6",)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("is_relational", [True, False], ids=["relational", "hierarchical"])
async def test_relational_questions(tmp_path: Path, model: str, *, is_relational: bool) -> None:
    """A source that searches hierarchically is asked level by level."""
    async with AsyncExitStack() as stack:
        source = Source("pacs", OBJECTS, roots=MODELS[model], is_relational=is_relational)  # type: ignore[arg-type]
        gateway = await with_sources(stack, tmp_path, source, local=of(M1))
        told = await ask(gateway.port, "SERIES", relational=True, Modality="MR", PatientID="")
    assert told.status == 0x0000
    assert told.texts("SeriesInstanceUID") == sorted([f"{R2}.1", f"{R2}.2", f"{Y1}.1"])
    assert told.texts("PatientID") == ["P-001", "P-001", "P-004"]


CHARACTER_SETS = {
    "Latin-1 wanted, UTF-8 given": ("ISO_IR 100", "ISO_IR 192", "Müller^Jörg", "iso8859_1", "ISO_IR 100"),
    "UTF-8 wanted, Latin-1 given": ("ISO_IR 192", "ISO_IR 100", "Müller^Jörg", "utf_8", "ISO_IR 192"),
    "nothing wanted": ("", "ISO_IR 192", "Müller^Jörg", "utf_8", "ISO_IR 192"),
    "nothing wanted, Latin-4 given": ("", "ISO_IR 110", "Ķīlis^Ģirts", "iso8859_4", "ISO_IR 110"),
    "Latin-1 wanted, Latin-4 given": ("ISO_IR 100", "ISO_IR 110", "Ķīlis^Ģirts", "iso8859_4", "ISO_IR 110"),
    "not to be written as wanted": ("ISO_IR 100", "ISO_IR 192", "山田^太郎", "utf_8", "ISO_IR 192"),
    "Greek": ("ISO_IR 126", "ISO_IR 192", "Διονυσιος", "iso8859_7", "ISO_IR 126"),
}


@pytest.mark.parametrize("name", CHARACTER_SETS)
async def test_character_sets_are_the_requestor_s(tmp_path: Path, name: str) -> None:
    wanted, given, text, codec, answered = CHARACTER_SETS[name]
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(D1, PatientName=text, SpecificCharacterSet="ISO_IR 192"), character_set=given)
        gateway = await with_sources(stack, tmp_path, source)
        told = await ask(gateway.port, "STUDY", character_set=wanted, PatientName="")
    assert told.only()[tag_of("PatientName")] == (text,)
    assert told.only()[tag_of("SpecificCharacterSet")] == (answered,)
    assert text.encode(codec) in told.raw[0]


@pytest.mark.parametrize("syntax", [EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
async def test_transfer_syntaxes_are_the_requestor_s(tmp_path: Path, syntax: str) -> None:
    async with AsyncExitStack() as stack:
        gateway = await with_sources(stack, tmp_path, Source("pacs", of(D1)), local=of(R1))
        told = await ask(gateway.port, "STUDY", syntax=syntax, PatientName="")
    assert told.texts("PatientName") == ["DOE^JOHN^Q^Dr", "Roe^Jane"]


# --- sources that answer wrongly --------------------------------------------------------------------------------------

UNNAMED = "1 of its answers do not say what they are of"
UNFIT = "1 of its answers do not fit the question"
STRANGE: dict[str, tuple[dict[str, str], str]] = {
    "another patient": ({"StudyInstanceUID": "1.2.3", "PatientID": "P-999"}, UNFIT),
    "no unique key": ({"PatientID": "P-002"}, UNNAMED),
}


@pytest.mark.parametrize("partial", ["fail", "accept"])
@pytest.mark.parametrize("name", STRANGE)
async def test_what_cannot_be_passed_on_is_a_failure_of_its_source(tmp_path: Path, name: str, partial: str) -> None:
    answer, reason = STRANGE[name]
    async with AsyncExitStack() as stack:
        gateway = await with_sources(stack, tmp_path, Source("pacs", of(D1), more=[answer]), partial=partial)
        with capture_logs() as events:
            told = await ask(gateway.port, "STUDY", PatientID="P-002")
    assert told.texts("StudyInstanceUID") == [D1]
    assert told.status == (0xC001 if partial == "fail" else 0x0000)
    assert told.final.error_comment == (f"incomplete: pacs: {reason}" if partial == "fail" else "")
    (line,) = (event for event in events if event["event"] == "source_failed")
    assert (line["source"], line["reason"], line["partial"]) == ("pacs", reason, partial)
    assert gateway.metric("gateway_find_partial_total") == (partial == "accept")
    assert gateway.metric("gateway_source_answers_total", source="pacs", outcome="unfit") == (reason == UNFIT)


async def test_what_an_optional_key_excludes_is_left_out(tmp_path: Path) -> None:
    """A source need not compare it, and the question says what is wanted."""
    async with AsyncExitStack() as stack:
        surplus = {"StudyInstanceUID": "1.2.3", "StudyDescription": "OTHER"}
        gateway = await with_sources(stack, tmp_path, Source("pacs", of(D1), more=[surplus]))
        with capture_logs() as events:
            told = await ask(gateway.port, "STUDY", StudyDescription=DOE["StudyDescription"])
    assert (told.status, told.texts("StudyInstanceUID")) == (0x0000, [D1])
    (line,) = (event for event in events if event["event"] == "answers_left_out")
    assert (line["source"], line["number"]) == ("pacs", 1)
    assert gateway.metric("gateway_source_answers_total", source="pacs", outcome="unfit") == 1


async def test_text_in_other_case_fits(tmp_path: Path) -> None:
    """Some sources compare text without case."""
    async with AsyncExitStack() as stack:
        found = {"StudyInstanceUID": "1.2.3", "StudyDescription": "CT HEAD"}
        gateway = await with_sources(stack, tmp_path, Source("pacs", [], more=[found]))
        told = await ask(gateway.port, "STUDY", StudyDescription="ct head")
    assert (told.status, told.texts("StudyInstanceUID")) == (0x0000, ["1.2.3"])


@pytest.mark.parametrize("is_local", [True, False], ids=["with the index", "sources alone"])
@pytest.mark.parametrize("name", LEVELS)
async def test_unique_keys_that_are_not_asked_for_are_asked_and_not_answered(
    tmp_path: Path, name: str, *, is_local: bool
) -> None:
    root, level, keys, expected = LEVELS[name]
    async with AsyncExitStack() as stack:
        one, two = Source("one", of(R1, R2)), Source("two", of(R2, D1))
        local = of(R1, M1) if is_local else of()
        gateway = await with_sources(stack, tmp_path, one, two, local=local)
        more = {"PatientName": "", "Modality": "", "InstanceNumber": ""}
        told = await ask(gateway.port, level, root, is_unique_asked=False, **more, **keys)  # type: ignore[arg-type]
        named = await ask(gateway.port, level, root, **more, **keys)  # type: ignore[arg-type]
    assert told.status == named.status == 0x0000
    unique = tag_of(UNIQUE[level])
    without = [{tag: value for tag, value in answer.items() if tag != unique} for answer in named.answers]
    assert sorted(map(repr, told.answers)) == sorted(map(repr, without))
    if is_local:
        assert len(told.answers) == len(expected)


async def test_a_source_that_never_says_what_its_answers_are_of(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", OBJECTS, lacks=frozenset({"StudyInstanceUID"}))
        gateway = await with_sources(stack, tmp_path, source)
        told = await ask(gateway.port, "STUDY", is_unique_asked=False, PatientName="")
    assert (told.status, told.answers) == (0xC001, ())
    assert told.final.error_comment == "incomplete: pacs: 5 of its answers do not say what they are of"


async def test_what_does_not_fit_is_passed_on_when_nobody_checks(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(D1), more=[STRANGE["another patient"][0]])
        gateway = await with_sources(stack, tmp_path, source, is_checked=False)
        told = await ask(gateway.port, "STUDY", PatientID="P-002")
    assert told.texts("StudyInstanceUID") == sorted([D1, "1.2.3"])


async def test_optional_keys_that_a_source_does_not_know_do_not_speak_against_its_answers(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(D1), lacks=frozenset({"StudyDescription"}))
        gateway = await with_sources(stack, tmp_path, source)
        told = await ask(gateway.port, "STUDY", StudyDescription="ct head")
    assert told.only()[tag_of("StudyDescription")] == ()


# --- sources that fail ------------------------------------------------------------------------------------------------


def nobody(stack: AsyncExitStack | None = None, **more: Any) -> Peer:
    return Peer("gone", "GONE", LOOPBACK, free_port(), timers=TIMERS, **more)


async def outcome(folder: Path, partial: str, *makers: Any, **settings: Any) -> tuple[Told, Any]:
    """As the gateway answers with one good source more."""
    async with AsyncExitStack() as stack:
        sources = [maker(stack) for maker in makers]
        good = Source("good", of(R1))
        gateway = await with_sources(stack, folder, good, *sources, partial=partial, timeout_s=3.0, **settings)
        return await ask(gateway.port, "STUDY"), gateway


def black_hole(stack: AsyncExitStack | None = None) -> Source:
    hole = Source("hole", of(D1))
    hole.go.clear()
    return hole


def black_holed(stack: AsyncExitStack) -> Peer:
    """Its address swallows what asks for a connection."""
    hole = stack.enter_context(BlackHole())
    return dataclasses.replace(nobody(), port=hole.port)


FAILING: dict[str, tuple[Any, str]] = {
    "refused": (nobody, "gone"),
    "black-holed": (black_holed, "gone"),
    "silent": (black_hole, "hole"),
    "a failure status": (lambda stack: Source("bad", of(D1), status=0xA700), "bad"),
    "an answer that is larger than is taken": (
        lambda stack: Source("bad", of(D1), more=[{"StudyInstanceUID": "1.2.3", "TextValue": "x" * 5_000_000}]),
        "bad",
    ),
    "answers that cannot be read": (lambda stack: Source("bad", of(D1), garbage=2), "bad"),
    "endless": (lambda stack: Source("endless", of(D1), endless=True), "endless"),
}
TIME_LIMIT = {"silent", "endless"}
"""What fails when the time limit of the source is over."""


@pytest.mark.parametrize("partial", ["fail", "accept"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.campaign] * (name in TIME_LIMIT)) for name in FAILING]
)
async def test_a_source_that_fails(tmp_path: Path, name: str, partial: str) -> None:
    make, failing = FAILING[name]
    with capture_logs() as events:
        told, gateway = await outcome(tmp_path, partial, make)
    assert R1 in told.texts("StudyInstanceUID")
    if partial == "accept":
        assert (told.status, told.final.error_comment) == (0x0000, "")
        assert gateway.metric("gateway_find_partial_total") == 1
    else:
        assert told.status == 0xC001
        assert told.final.error_comment.startswith(f"incomplete: {failing}: ")
    assert gateway.metric("gateway_source_queries_total", source=failing, outcome="failed") == 1
    (line,) = (event for event in events if event["event"] == "source_failed")
    assert (line["source"], line["partial"]) == (failing, partial)


async def test_a_source_without_the_level_is_a_failure(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        other = Source("other", of(D1), roots=("patient_study",))
        gateway = await with_sources(stack, tmp_path, other, local=of(R1))
        told = await ask(gateway.port, "SERIES", StudyInstanceUID=R1)
    assert told.status == 0xC001
    assert told.final.error_comment == "incomplete: other: it does not offer this query"
    assert told.texts("SeriesInstanceUID") == [f"{R1}.1", f"{R1}.2"]


async def test_several_that_fail_are_all_named(tmp_path: Path) -> None:
    told, _ = await outcome(tmp_path, "fail", nobody, lambda stack: dataclasses.replace(nobody(), name="lost"))
    assert told.status == 0xC001
    assert sorted(told.final.error_comment.removeprefix("incomplete: no answer from ").split(", ")) == ["gone", "lost"]


async def test_a_source_that_dies_in_the_middle(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        dying, good = Source("dying", of(D1)), Source("good", of(R1))
        dying.go.clear()
        gateway = await with_sources(stack, tmp_path, dying, good)
        asking = asyncio.create_task(ask(gateway.port, "STUDY"))
        await _until(lambda: bool(dying.asked))
        assert dying.server is not None
        dying.server.abort_all()
        told = await asking
    assert told.status == 0xC001
    assert told.final.error_comment.startswith("incomplete: dying: ")
    assert told.texts("StudyInstanceUID") == [R1]


@pytest.mark.campaign
async def test_a_dead_source_costs_less_the_second_time(tmp_path: Path) -> None:
    """It is left alone for a while; when it answers again, it is asked again."""
    async with AsyncExitStack() as stack:
        hole = black_hole()
        gateway = await with_sources(stack, tmp_path, hole, local=of(R1), timeout_s=3.0, partial="accept")
        await ask(gateway.port, "STUDY")
        again = await ask(gateway.port, "STUDY")
        asked = len(hole.asked)
        hole.go.set()

        async def is_back() -> bool:
            return D1 in (await ask(gateway.port, "STUDY")).texts("StudyInstanceUID")

        await _until_async(is_back)
    assert asked == 1
    assert again.texts("StudyInstanceUID") == [R1]
    assert len(hole.asked) == 2


async def test_kept_associations_are_used_again_and_their_loss_is_no_failure(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(D1))
        gateway = await with_sources(stack, tmp_path, source)
        for _ in range(3):
            assert (await ask(gateway.port, "STUDY")).texts("StudyInstanceUID") == [D1]
        assert source.server is not None
        assert len(source.server.associations) == 1
        opened = gateway.metric("gateway_associations_total", direction="out", peer="pacs", result="accepted")
        source.server.abort_all()
        told = await ask(gateway.port, "STUDY")
    assert opened == 1
    assert (told.status, told.texts("StudyInstanceUID")) == (0x0000, [D1])


# --- limits and cancel ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_local", [True, False], ids=["index alone", "with a source"])
@pytest.mark.parametrize(("partial", "status"), [("fail", 0xA700), ("accept", 0x0000)])
async def test_limit(tmp_path: Path, partial: str, status: int, *, is_local: bool) -> None:
    async with AsyncExitStack() as stack:
        sources = () if is_local else (Source("endless", of(D1, M1, Y1), endless=True),)
        gateway = await with_sources(stack, tmp_path, *sources, local=OBJECTS, limit=2, partial=partial)
        told = await ask(gateway.port, "STUDY")
    assert (len(told.answers), told.status) == (2, status)
    assert told.final.error_comment == ("" if status == 0 else "more than 2 matches; the first ones were sent")


async def test_as_many_as_the_limit_are_no_failure(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        gateway = await with_sources(stack, tmp_path, local=OBJECTS, limit=5)
        told = await ask(gateway.port, "STUDY")
    assert (len(told.answers), told.status) == (5, 0x0000)


async def test_cancel_is_answered_at_once_and_passed_on(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        silent, endless = black_hole(), Source("endless", of(D1), endless=True)
        gateway = await with_sources(stack, tmp_path, silent, endless, local=of(R1), patience_s=0.01)
        async with await Requestor.open(gateway.port) as requestor:
            requestor.ask("find", identifier=_studies())
            assert (await requestor.answer()).status == 0xFF00
            requestor.cancel("find")
            final = await requestor.final()
        await _until(lambda: silent.cancelled == 1 and endless.cancelled == 1)
    assert (final.status, final.elements) == (0xFE00, {"Status": 0xFE00})
    assert gateway.metric("gateway_find_requests_total", peer="viewer", status="0xFE00") == 1


async def test_the_priority_is_the_requestor_s(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(D1))
        gateway = await with_sources(stack, tmp_path, source)
        async with await Requestor.open(gateway.port) as requestor:
            for priority in (2, 1, 0, 7):
                requestor.ask("find", 1 + priority, _studies(), Priority=priority)
                await requestor.final()
    assert source.priorities == [2, 1, 0, 0]  # 7 is none, and some peers end the association over it


@pytest.mark.parametrize("is_early", [True, False], ids=["early", "after a match"])
async def test_fifty_of_fifty_cancels(tmp_path: Path, *, is_early: bool) -> None:
    async with AsyncExitStack() as stack:
        silent, other = black_hole(), dataclasses.replace(black_hole(), name="other")
        gateway = await with_sources(stack, tmp_path, silent, other, local=OBJECTS, patience_s=0.01)
        finals = []
        async with await Requestor.open(gateway.port) as requestor:
            for number in range(1, 51):
                requestor.ask("find", number, identifier=_studies())
                if not is_early:
                    assert (await requestor.answer()).status == 0xFF00
                requestor.cancel("find", number)
                finals.append((await requestor.final()).elements)
    assert finals == [{"Status": 0xFE00}] * 50


async def test_a_requestor_that_leaves_ends_the_questions(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        silent = black_hole()
        gateway = await with_sources(stack, tmp_path, silent, local=of(R1))
        async with await Requestor.open(gateway.port) as requestor:
            requestor.ask("find", identifier=_studies())
            await _until(lambda: bool(silent.asked))
        await _until(lambda: silent.cancelled == 1)


async def test_many_requestors_at_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one, two = Source("one", of(R1, R2)), Source("two", of(R2, D1))
        gateway = await with_sources(stack, tmp_path, one, two, local=of(M1))
        questions = {"P-001": [R1, R2], "P-002": [D1], "P-003": [M1], "P-009": []}
        wanted = [*questions] * 8
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, *(len(source.server.associations) for source in (one, two) if source.server))
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        told = await asyncio.gather(*(ask(gateway.port, "STUDY", PatientID=patient) for patient in wanted))
        watching.cancel()
        await _until(lambda: gateway.metric("gateway_find_requests_total", peer="viewer", status="0x0000") == 32)
    assert [each.texts("StudyInstanceUID") for each in told] == [questions[patient] for patient in wanted]
    assert 1 < most <= MOST_AT_ONCE
    for source in ("one", "two"):
        assert gateway.metric("gateway_source_queries_total", source=source, outcome="answered") == 32


async def test_nothing_of_questions_and_answers_is_logged(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(R1), status=0xA700, garbage=1, more=[STRANGE["another patient"][0]])
        gateway = await with_sources(stack, tmp_path, source, nobody(), local=OBJECTS, limit=2)
        with capture_logs() as events:
            told = await ask(gateway.port, "STUDY", PatientName="Roe*", PatientID="")
    assert told.answers
    assert events
    assert [word for word in ("Roe", "P-001", "P-999", "CT HEAD") if word in repr(events)] == []


# --- loops ------------------------------------------------------------------------------------------------------------


async def test_a_source_is_not_asked_its_own_question(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source, other = Source("viewer", of(D1)), Source("other", of(M1))
        gateway = await with_sources(stack, tmp_path, source, other, local=of(R1))
        told = await ask(gateway.port, "STUDY")
    assert told.texts("StudyInstanceUID") == sorted([R1, M1])
    assert (source.asked, len(other.asked)) == ([], 1)


@pytest.mark.parametrize("hops", range(MOST_HOPS + 1))
async def test_questions_go_through_so_many_gateways_only(tmp_path: Path, hops: int) -> None:
    async with AsyncExitStack() as stack:
        source = Source("pacs", of(D1))
        gateway = await with_sources(stack, tmp_path, source, local=of(R1))
        told = await ask(gateway.port, "STUDY", hops=hops)
    is_passed_on = hops < MOST_HOPS
    assert told.texts("StudyInstanceUID") == ([R1, D1] if is_passed_on else [R1])
    assert [version[-2:] for version in source.implementation] == ([f"+{hops + 1}"] if is_passed_on else [])


def _studies() -> bytes:
    return bytes.fromhex("0800520043530600") + b"STUDY " + bytes.fromhex("20000d0055490000")


async def _until(condition: Any) -> None:
    async with asyncio.timeout(GUARD_S):
        while not condition():
            await asyncio.sleep(0.005)


async def _until_async(condition: Any) -> None:
    async with asyncio.timeout(GUARD_S):
        while not await condition():
            await asyncio.sleep(0.02)
