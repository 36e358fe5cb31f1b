"""Questions to sources: each on its own, so many at a time, said once."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from gateway.delivery import source_questions
from gateway.delivery.collection_steps import SourceAnswer
from gateway.delivery.source_questions import MOST_QUERIES, TRIES, SourceQuestions
from gateway.model.collection import Collection, CollectionState, CollectionTerms
from gateway.model.expectation import Expectation, ExpectedTerms
from gateway.ports.errors import Temporary
from tests.support.samples import NOON

TERMS = CollectionTerms("chest", expect=ExpectedTerms("vna", timeout_s=7))
ONE = dataclasses.replace(
    Collection(1, TERMS, "1.2", "1.3", "p", 1, CollectionState.OPEN, NOON, NOON, NOON, NOON, NOON),
    expectation=Expectation(question=4),
)


class Site:
    """Sources and who takes their answers."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.faults: list[Exception | None] = []
        self.asked: list[tuple[str, str, str, float]] = []
        self.taken: list[tuple[int, SourceAnswer]] = []
        self.refusals = 0
        self.questions = SourceQuestions(self.query_source, self.answered)

    async def query_source(self, source: str, study: str, series: str, limit_s: float) -> Mapping[str, str]:
        self.asked.append((source, study, series, limit_s))
        await self.go.wait()
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return {"key": "1.2.3"}

    async def answered(self, collection_id: int, answer: SourceAnswer) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.taken.append((collection_id, answer))
        return True

    async def all_answered(self) -> None:
        self.go.set()
        while self.questions.waiting("vna"):
            await asyncio.sleep(0)
        self.questions.check()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(source_questions, "PAUSE_S", 0.0)
    return Site()


async def test_an_answer_is_handed_on_with_its_question(site: Site) -> None:
    site.questions.begin(ONE)
    await site.all_answered()
    assert site.asked == [("vna", "1.2", "1.3", 7)]
    assert site.taken == [(1, SourceAnswer(4, {"key": "1.2.3"}))]


async def test_so_many_questions_wait_at_a_time(site: Site) -> None:
    for number in range(MOST_QUERIES):
        assert site.questions.has_room("vna")
        site.questions.begin(dataclasses.replace(ONE, collection_id=number))
    assert not site.questions.has_room("vna")
    assert site.questions.has_room("other"), "one source is not in the way of another"
    await site.all_answered()
    assert site.questions.has_room("vna")
    assert sorted(number for number, _ in site.taken) == list(range(MOST_QUERIES))


async def test_a_collection_that_is_held_takes_its_answer_a_little_later(site: Site) -> None:
    site.refusals = TRIES - 1
    site.questions.begin(ONE)
    await site.all_answered()
    assert len(site.taken) == 1


async def test_one_that_is_held_for_long_is_asked_about_again(site: Site) -> None:
    site.refusals = TRIES
    site.questions.begin(ONE)
    await site.all_answered()
    assert (site.taken, site.refusals) == ([], 0)


async def test_the_fault_of_a_source_is_said_once_and_its_end_too(site: Site) -> None:
    site.go.set()
    faults = [Temporary("vna: refused"), Temporary("vna: refused"), ValueError("odd"), None, None]
    with capture_logs() as logs:
        for fault in faults:
            site.faults = [fault]
            site.questions.begin(ONE)
            await site.all_answered()
    assert [answer.fault for _, answer in site.taken] == ["refused", "refused", "ValueError: odd", "", ""]
    assert [(entry["event"], entry.get("reason")) for entry in logs] == [
        ("collection_source_not_queried", "refused"),
        ("collection_source_not_queried", "ValueError: odd"),
        ("collection_source_recovered", None),
    ]


async def test_who_takes_answers_and_dies_of_one_is_heard(site: Site) -> None:
    async def answered(collection_id: int, answer: SourceAnswer) -> bool:
        raise ZeroDivisionError

    site.questions = SourceQuestions(site.query_source, answered)
    site.questions.begin(ONE)
    with pytest.raises(ZeroDivisionError):
        await site.all_answered()


async def test_questions_are_given_up_at_the_end(site: Site) -> None:
    site.questions.begin(ONE)
    await asyncio.sleep(0)
    await site.questions.close()
    assert (len(site.asked), site.taken, site.questions.waiting("vna")) == (1, [], 0)
