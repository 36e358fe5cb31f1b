"""Operators' verbs over HTTP: the same as `gateway queue` and `gateway operations`, for those who have a token.

| call | answer |
|---|---|
| `POST /-/queue/VERB` | 202: begun, with its operation; 200: a dry run, or nothing fits; 400: what is wrong with it |
| `GET /-/operations` | 200: the last ones, the newest first (`limit`) |
| `GET /-/operations/ID` | 200: how far it is |
| `POST /-/operations/ID/undo` | 200: what was put back; 409: why it cannot be |

401 without a token of `gateway.http.operators`, 403 from another machine or from a web page, 503 while the store takes
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from aiohttp import web

DEFAULT_LIMIT, LARGEST_LIMIT = 100, 10_000
BEARER = "Bearer "


class Answer(NamedTuple):
    """The HTTP status and the JSON object of an answer."""

    status: int
    body: Mapping[str, object]


class OperatorSurface(Protocol):
    """The things that operators may do. An answer says what is wrong in `message`."""

    async def begin_verb(self, name: str, body: Mapping[str, object], operator: str) -> Answer: ...

    async def operations(self, limit: int) -> Answer: ...

    async def operation(self, operation_id: int) -> Answer: ...

    async def undo(self, operation_id: int, body: Mapping[str, object], operator: str) -> Answer: ...


class _WrongBody(Exception):
    """The body is no JSON object; `str()` says why."""


class OperatorPages:
    """The routes of the table above.

    `tokens`: operators and their tokens. `objection`: why a request from there, with these headers, is not taken; empty
    when it is.
    """

    def __init__(
        self,
        surface: OperatorSurface,
        tokens: Sequence[tuple[str, str]],
        objection: Callable[[str, Mapping[str, str]], str],
    ) -> None:
        self._surface = surface
        self._digests = [(name, _digest(token)) for name, token in tokens]
        self._objection = objection

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/-/queue/{verb}", self._for_operators(self._verb))
        router.add_get("/-/operations", self._for_operators(self._operations))
        router.add_get(r"/-/operations/{id:[0-9]{1,18}}", self._for_operators(self._operation))
        router.add_post(r"/-/operations/{id:[0-9]{1,18}}/undo", self._for_operators(self._undo))

    def _for_operators(
        self, handler: Callable[[web.Request, str], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if objection := self._objection(request.remote or "", request.headers):
                return _said(403, objection)
            if not self._digests:
                return _said(403, "no operator has a token; name some in `gateway.http.operators`")
            operator = self._operator(request.headers.get("Authorization", ""))
            if not operator:
                refused = _said(401, "send `Authorization: Bearer TOKEN`, with a token of `gateway.http.operators`")
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
            try:
                status, body = await handler(request, operator)
            except _WrongBody as error:
                status, body = 400, {"message": str(error)}
            return web.json_response(body, status=status, headers={"Retry-After": "5"} if status == 503 else None)

        return answer

    def _operator(self, authorization: str) -> str:
        """The operator whose token it is; empty when it is nobody's. All are compared, so that time says nothing."""
        scheme, token = authorization[: len(BEARER)], authorization[len(BEARER) :].strip()
        digest = _digest(token)
        found = [name for name, known in self._digests if hmac.compare_digest(known, digest)]
        return found[0] if found and scheme.lower() == BEARER.lower() else ""

    async def _verb(self, request: web.Request, operator: str) -> Answer:
        return await self._surface.begin_verb(request.match_info["verb"], await _body(request), operator)

    async def _operations(self, request: web.Request, operator: str) -> Answer:
        text = request.query.get("limit", str(DEFAULT_LIMIT))
        if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= LARGEST_LIMIT):
            return Answer(400, {"message": f"`limit`: expected a whole number from 1 to {LARGEST_LIMIT}"})
        return await self._surface.operations(int(text))

    async def _operation(self, request: web.Request, operator: str) -> Answer:
        return await self._surface.operation(int(request.match_info["id"]))

    async def _undo(self, request: web.Request, operator: str) -> Answer:
        return await self._surface.undo(int(request.match_info["id"]), await _body(request), operator)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _said(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


async def _body(request: web.Request) -> Mapping[str, object]:
    """The JSON object that was sent; empty without one. Raises _WrongBody."""
    try:
        text = await request.text()
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _WrongBody(f"the body is no JSON: {error}") from error
    if text.strip() and request.content_type != "application/json":
        raise _WrongBody("send the body as `Content-Type: application/json`")
    if not isinstance(found, dict):
        raise _WrongBody("the body is no JSON object")
    return found
