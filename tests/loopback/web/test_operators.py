"""Operators' verbs over HTTP: who may, what is refused, and what the answers are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from gateway.model.settings import HTTP
from gateway.web.operators import Answer
from gateway.web.server import WebServer
from tests.loopback.web.test_server import FakeSurface

NIGHT, DAY = "n" * 32, "d" * 32
TOKENS = (("night-shift", NIGHT), ("day-shift", DAY))
AS_NIGHT = {"Authorization": f"Bearer {NIGHT}"}


class FakeOperators:
    """Notes what it is asked for, and answers as a test says."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer = Answer(202, {"operation": 7})

    def _note(self, *what: Any) -> Answer:
        self.asked.append(what)
        return self.answer

    async def begin_verb(self, name: str, body: Mapping[str, object], operator: str) -> Answer:
        return self._note("begin", name, body, operator)

    async def operations(self, limit: int) -> Answer:
        return self._note("operations", limit)

    async def operation(self, operation_id: int) -> Answer:
        return self._note("operation", operation_id)

    async def undo(self, operation_id: int, body: Mapping[str, object], operator: str) -> Answer:
        return self._note("undo", operation_id, body, operator)


@pytest.fixture
def operators() -> FakeOperators:
    return FakeOperators()


@pytest.fixture
async def http(operators: FakeOperators) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        WebServer(FakeSurface(), HTTP(port=0, operators=TOKENS), operators=operators) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
    ):
        yield session


async def test_a_verb_is_begun_by_the_operator_whose_token_it_is(
    http: aiohttp.ClientSession, operators: FakeOperators
) -> None:
    body = {"filter": {"destination": "pacs"}}
    async with http.post("/-/queue/hold", json=body, headers={"Authorization": f"bearer {DAY}"}) as answer:
        assert (answer.status, await answer.json()) == (202, {"operation": 7})
    assert operators.asked == [("begin", "hold", body, "day-shift")]
    async with http.post("/-/queue/hold", headers=AS_NIGHT) as answer:
        assert answer.status == 202
    assert operators.asked[-1] == ("begin", "hold", {}, "night-shift")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", f"Bearer {NIGHT[:-1]}", f"Bearer {NIGHT}x", f"Basic {NIGHT}", NIGHT, "Bearer night-shift"],
)
async def test_without_a_token_nothing_is_done(
    http: aiohttp.ClientSession, operators: FakeOperators, authorization: str
) -> None:
    for method, path in (
        ("POST", "/-/queue/hold"),
        ("GET", "/-/operations"),
        ("GET", "/-/operations/7"),
        ("POST", "/-/operations/7/undo"),
    ):
        async with http.request(method, path, headers={"Authorization": authorization}) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert operators.asked == []


async def test_where_nobody_has_a_token_it_says_how_to_give_one(operators: FakeOperators) -> None:
    async with (
        WebServer(FakeSurface(), HTTP(port=0), operators=operators) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
        session.post("/-/queue/hold", headers=AS_NIGHT) as answer,
    ):
        assert answer.status == 403
        assert "gateway.http.operators" in (await answer.json())["message"]


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://127.0.0.1"}, {"Referer": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_a_web_page_changes_nothing(
    http: aiohttp.ClientSession, operators: FakeOperators, headers: dict[str, str]
) -> None:
    async with http.post("/-/queue/hold", headers=AS_NIGHT | headers) as answer:
        assert answer.status == 403
    assert operators.asked == []


@pytest.mark.parametrize("status", [200, 400, 409, 500, 503])
async def test_an_answer_is_passed_on(http: aiohttp.ClientSession, operators: FakeOperators, status: int) -> None:
    operators.answer = Answer(status, {"message": "so it is"})
    async with http.post("/-/queue/hold", headers=AS_NIGHT) as answer:
        assert (answer.status, await answer.json()) == (status, {"message": "so it is"})
        assert ("Retry-After" in answer.headers) is (status == 503)


BODIES: dict[str, tuple[str | bytes, str, str]] = {
    "too deep": ("[" * 60_000, "application/json", "the body is no JSON"),
    "no UTF-8": (b"\xff", "application/json", "the body is no JSON"),
    "no JSON": ("{", "application/json", "the body is no JSON"),
    "a list": ("[]", "application/json", "the body is no JSON object"),
    "a form": ("{}", "application/x-www-form-urlencoded", "Content-Type: application/json"),
}


@pytest.mark.parametrize(("body", "kind", "words"), BODIES.values(), ids=BODIES)
async def test_a_body_that_is_none(
    http: aiohttp.ClientSession, operators: FakeOperators, body: str | bytes, kind: str, words: str
) -> None:
    async with http.post("/-/queue/hold", data=body, headers=AS_NIGHT | {"Content-Type": kind}) as answer:
        assert answer.status == 400
        assert words in (await answer.json())["message"]
    assert operators.asked == []


async def test_operations_are_listed_looked_up_and_undone(
    http: aiohttp.ClientSession, operators: FakeOperators
) -> None:
    for path, asked in (
        ("/-/operations", ("operations", 100)),
        ("/-/operations?limit=3", ("operations", 3)),
        ("/-/operations/7", ("operation", 7)),
    ):
        async with http.get(path, headers=AS_NIGHT) as answer:
            assert answer.status == 202
        assert operators.asked[-1] == asked
    async with http.post("/-/operations/7/undo", json={"why": "wrong peer"}, headers=AS_NIGHT) as answer:
        assert answer.status == 202
    assert operators.asked[-1] == ("undo", 7, {"why": "wrong peer"}, "night-shift")
    number = len(operators.asked)
    for path, status in {
        "/-/operations?limit=0": 400,
        "/-/operations?limit=10001": 400,
        "/-/operations?limit=x": 400,
        "/-/operations?limit=-1": 400,
        f"/-/operations?limit={'1' * 30}": 400,
        f"/-/operations?limit={'0' * 8}1{'9' * 30}": 400,
        "/-/operations/x": 404,
        f"/-/operations/{'9' * 30}": 404,
    }.items():
        async with http.get(path, headers=AS_NIGHT) as answer:
            assert answer.status == status
    assert len(operators.asked) == number
