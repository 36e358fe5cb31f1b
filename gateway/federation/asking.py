"""Asking one source: C-FIND in the model that it speaks, its answers decoded, within a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing

import structlog

from gateway.dimse.asking import query_contexts
from gateway.dimse.client import ClientAssociation
from gateway.dimse.responses import Response
from gateway.dimse.status import PENDING, SUCCESS
from gateway.federation.question import (
    FIND_MODELS,
    Question,
    Step,
    choose_root,
    first_step,
    is_by_studies,
    next_step,
    patients_of,
)
from gateway.federation.sources import Sources
from gateway.model import Attributes, Peer, ProposedContext, QueryRoot
from gateway.ports import DestinationDown, GatewayError, NoContextAccepted, Unreadable
from gateway.query.identifier import IdentifierEncoder, read_identifier

log = structlog.get_logger()

MOST_STEPS = 2000
"""C-FIND requests that one question may become at one source."""
MOST_STUDIES = 100_000
"""Studies that are read to answer a question about patients."""

_RELATIONAL = b"\x01"


class SourceFailed(GatewayError):
    """A source did not answer, or not to the end. The text is fit for a log and for an Error Comment."""

    dimse_status = 0xA700  # Refused: Out of Resources (PS3.4 Table C.4-1)

    def __init__(self, source: str, reason: str, *, is_worth_another: bool = False) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason
        self.is_worth_another = is_worth_another
        """It was lost on an association that was kept from earlier."""


class _Late(DestinationDown):
    """The time limit is over."""


class Clock:
    """How long a source may keep us busy, all in all; the time that whoever takes its answers needs is not counted."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._until_s = asyncio.get_running_loop().time() + limit_s

    @property
    def left_s(self) -> float:
        """More than 0."""
        return max(self._until_s - asyncio.get_running_loop().time(), 0.001)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """In here it stands still."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            yield
        finally:
            self._until_s += loop.time() - began_s

    async def next(self, association: ClientAssociation, responses: AsyncIterator[Response]) -> Response | None:
        """The next response, None after the last. Raises DestinationDown; then the association is aborted."""
        try:
            async with asyncio.timeout_at(self._until_s):
                response = await anext(responses)
            if response.is_pending and asyncio.get_running_loop().time() > self._until_s:
                raise TimeoutError  # one after the other was there already: nothing had to be waited for
            return response
        except TimeoutError:
            association.abort("a source did not come to an end in time")
            raise _Late(f"its answer had no end in {self.limit_s:g} s") from None
        except StopAsyncIteration:
            return None


@contextlib.asynccontextmanager
async def asked(
    sources: Sources, peer: Peer, contexts: Sequence[ProposedContext], clock: Clock, *, takes_turn: bool = False
) -> AsyncIterator[ClientAssociation]:
    """An association to a source; with `takes_turn`, when it is our turn. Raises SourceFailed for whatever goes wrong
    with the source meanwhile."""
    is_kept = False
    try:
        async with (
            sources.turn(peer, clock.left_s) if takes_turn else contextlib.nullcontext(),
            sources.lend(peer, contexts, limit_s=clock.left_s) as association,
        ):
            is_kept = sources.is_kept(association)
            yield association
            sources.answered(peer)
    except _Late as error:
        sources.kept_waiting(peer)
        raise SourceFailed(peer.name, str(error)) from error
    except SourceFailed:
        sources.answered(peer)
        raise
    except NoContextAccepted as error:
        raise SourceFailed(peer.name, "it does not offer this query") from error
    except DestinationDown as error:
        raise SourceFailed(peer.name, _plain(error, peer), is_worth_another=is_kept) from error
    except (GatewayError, ValueError) as error:
        raise SourceFailed(peer.name, _plain(error, peer)) from error


def _plain(error: Exception, peer: Peer) -> str:
    """What happened, without the name and address that our errors begin with."""
    text = str(error)
    return text.partition("): ")[2] or text.removeprefix(f"{peer.name} ") if text.startswith(peer.name) else text


async def find(
    sources: Sources, peer: Peer, question: Question, *, limit_s: float, most: int = 0, takes_turn: bool = True
) -> AsyncGenerator[tuple[Attributes, int]]:
    """Answers of one source to a question of Query/Retrieve, with the pending status they came with.

    The source is asked in its own information model: levels that it cannot search at once are asked one by one. Close
    the generator (`aclosing`) when it is left early: C-CANCEL is sent then.

    Args:
        peer: as `gateway.federation.sources.sources_of` gives it.
        limit_s: how long the source may keep us waiting, all in all.
        most: answers after which no more is asked for; 0: all.
        takes_turn: False in the middle of another question to the same source.

    Raises:
        SourceFailed: it could not be asked, failed, or was too slow. Answers may have come before.
    """
    contexts = query_contexts(peer, FIND_MODELS.values())
    if question.is_relational:
        peer = _proposing_relational(peer)
    clock = Clock(limit_s)
    given = 0
    while True:
        try:
            async with (
                asked(sources, peer, contexts, clock, takes_turn=takes_turn) as association,
                aclosing(_Conversation(association, peer, question, clock).answers()) as answers,
            ):
                async for answer in answers:
                    given += 1
                    with clock.stopped():
                        yield answer
                    if given == most:
                        return
            return
        except SourceFailed as error:
            if given or not error.is_worth_another:
                raise


def _proposing_relational(peer: Peer) -> Peer:
    """The peer, asked to search relationally (PS3.4 §C.5.1.1.1)."""
    extended = dict(peer.associate.extended)
    for uid in FIND_MODELS.values():
        extended.setdefault(uid, _RELATIONAL)
    return dataclasses.replace(peer, associate=dataclasses.replace(peer.associate, extended=tuple(extended.items())))


class _Conversation:
    """One question on one association."""

    def __init__(self, association: ClientAssociation, peer: Peer, question: Question, clock: Clock) -> None:
        self._association = association
        self._peer = peer
        self._question = question
        self._clock = clock
        self._steps = 0
        root = choose_root(question, (uid for uid, _ in association.accepted))
        if root is None:
            raise SourceFailed(peer.name, "it does not offer this query")
        self._root: QueryRoot = root
        self._sop_class_uid = FIND_MODELS[root]

    async def answers(self) -> AsyncGenerator[tuple[Attributes, int]]:
        agreed = self._association.extended.get(self._sop_class_uid, b"")
        is_relational = self._question.is_relational and agreed[:1] == _RELATIONAL
        step = first_step(self._question, self._root, is_relational=is_relational)
        if is_by_studies(self._question, step):
            studies = []
            async with aclosing(self._ask(step)) as found:
                async for study, _ in found:
                    studies.append(study)
                    if len(studies) > MOST_STUDIES:
                        raise SourceFailed(self._peer.name, f"more than {MOST_STUDIES} studies; ask for less")
            for patient in patients_of(self._question, studies):
                yield patient, PENDING
            return
        async with aclosing(self._walk(step)) as answers:
            async for answer in answers:
                yield answer

    async def _walk(self, step: Step) -> AsyncGenerator[tuple[Attributes, int]]:
        """What `step` finds; where it is not the last one, what the next steps find below."""
        below: list[Attributes] = []
        async with aclosing(self._ask(step)) as answers:
            async for answer, status in answers:
                if step.is_last:
                    yield ({**answer, **_unsaid(step.known, answer)} if step.known else answer), status
                else:
                    below.append(answer)
        for above in below:
            following = next_step(self._question, self._root, step, above)
            if following is None:
                continue
            async with aclosing(self._walk(following)) as answers:
                async for answer, status in answers:
                    yield answer, status

    async def _ask(self, step: Step) -> AsyncGenerator[tuple[Attributes, int]]:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise SourceFailed(self._peer.name, f"more than {MOST_STEPS} queries are needed; ask for less")
        syntax = self._association.identifier_syntax(self._sop_class_uid)
        encoder = IdentifierEncoder(syntax, self._question.character_sets, is_always_declared=True)
        async with self._association.c_find(
            encoder(step.identifier),
            sop_class_uid=self._sop_class_uid,
            priority=self._question.priority,
            response_s=self._clock.limit_s + 1,
        ) as responses:
            unreadable = 0
            while (response := await self._clock.next(self._association, responses)) is not None:
                if not response.is_pending:
                    check_final(self._peer, response, unreadable)
                    continue
                answer = decoded(self._peer, response)
                unreadable += answer is None
                if answer is not None:
                    yield answer, response.status


def _unsaid(known: Attributes, answer: Attributes) -> Attributes:
    return {tag: value for tag, value in known.items() if not any(answer.get(tag, ()))}


def check_final(peer: Peer, response: Response, unreadable: int = 0) -> None:
    """Raises SourceFailed unless the source says that these were all, and all could be read."""
    if response.status != SUCCESS:
        raise SourceFailed(peer.name, f"it answered 0x{response.status:04X}")
    if unreadable:
        raise SourceFailed(peer.name, f"{unreadable} of its answers could not be read")


def decoded(peer: Peer, response: Response) -> Attributes | None:
    """The identifier of a pending response; None, and a line in the log, when it cannot be read."""
    try:
        return read_identifier(response.identifier, response.transfer_syntax_uid)
    except Unreadable as error:
        log.warning("answer_unreadable", source=peer.name, reason=str(error))
        return None
