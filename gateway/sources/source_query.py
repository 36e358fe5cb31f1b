"""A query to one source: C-FIND in a model that it supports, its answers decoded, within a time limit."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from gateway.dimse.requestor.query_contexts import query_contexts
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.dimse.requestor.response import Response
from gateway.dimse.requestor.responses import Responses
from gateway.model.associate import ProposedContext
from gateway.model.dimse_status import OUT_OF_RESOURCES, PENDING, SUCCESS
from gateway.model.peer import Peer
from gateway.model.query import Attributes, QueryLevel, QueryRoot
from gateway.ports.errors import DestinationDown, GatewayError, NoContextAccepted, Unreadable
from gateway.query.attributes import STUDY_INSTANCE_UID, UNIQUE
from gateway.query.identifier import IdentifierEncoder, first_text, read_identifier
from gateway.query.sop_classes import FIND_OF_ROOT
from gateway.sources.query_steps import (
    PatientUnknown,
    QueryStep,
    SourceQuery,
    choose_root,
    completed,
    first_step,
    is_by_studies,
    names_patient,
    next_steps,
    patients_having,
    patients_of,
)
from gateway.sources.same_patient import are_different
from gateway.sources.source_clock import A_DAY_S, SourceClock
from gateway.sources.sources import Sources

log = structlog.get_logger()

MOST_STEPS = 2000
"""C-FIND requests that one query may become at one source."""
MOST_STUDIES = 100_000
"""Studies that are read to answer a query about patients."""
MOST_UIDS = 200
"""The most UIDs in one request."""

_RELATIONAL = b"\x01"


class SourceFailed(GatewayError):
    """A source did not answer, or not to the end. The text is fit for a log and for an Error Comment."""

    dimse_status = OUT_OF_RESOURCES

    def __init__(self, source: str, reason: str, *, is_worth_another: bool = False) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason
        self.is_worth_another = is_worth_another
        """True when a kept association was lost: the request may be sent once more."""


class _Late(DestinationDown):
    """The time limit is over."""


async def next_of(association: RequestorAssociation, responses: Responses, clock: SourceClock) -> Response | None:
    """The next response, None after the last. Raises DestinationDown; then the association is aborted."""
    try:
        if responses.is_ready:
            response = await anext(responses)
        else:
            async with clock.limited():
                response = await anext(responses)
        clock.answered()
        if response.is_pending and clock.is_over:
            raise TimeoutError  # one after the other was there already: nothing had to be waited for
        return response
    except TimeoutError:
        association.abort("a source did not come to an end in time")
        raise _Late(f"its answer had no end in {clock.limit_s:g} s") from None
    except StopAsyncIteration:
        return None


@contextlib.asynccontextmanager
async def source_association(
    sources: Sources, peer: Peer, contexts: Sequence[ProposedContext], clock: SourceClock, *, takes_turn: bool = False
) -> AsyncIterator[RequestorAssociation]:
    """An association to a source; with `takes_turn`, when it is our turn. Raises SourceFailed for any fault of the
    source meanwhile."""
    is_kept = False
    try:
        async with (
            sources.conversing(peer, clock),
            sources.turn(peer, clock) if takes_turn else contextlib.nullcontext(),
            sources.association(peer, contexts, clock) as association,
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
    """The text of the error, without the peer's name and address that our errors begin with."""
    text = str(error)
    return text.partition("): ")[2] or text.removeprefix(f"{peer.name} ") if text.startswith(peer.name) else text


async def find(
    sources: Sources, peer: Peer, source_query: SourceQuery, *, limit_s: float, most: int = 0, takes_turn: bool = True
) -> AsyncGenerator[tuple[Attributes, int]]:
    """The answers of one source to a Query/Retrieve query, each with its pending status.

    The source is asked in its own information model: levels that it cannot search at once are asked one by one. Close
    the generator (`aclosing`) when it is left early: C-CANCEL is sent then.

    Args:
        peer: as `gateway.sources.sources.sources_of` gives it.
        limit_s: how long the source may keep us waiting, all in all.
        most: answers after which no more is asked for; 0: all.
        takes_turn: False in the middle of another query to the same source.

    Raises:
        SourceFailed: it could not be asked, failed, or was too slow. Answers may have come before.
    """
    contexts = query_contexts(peer, FIND_OF_ROOT.values())
    if source_query.is_relational:
        peer = _proposing_relational(peer)
    clock = SourceClock(limit_s)
    given = 0
    while True:
        try:
            async with (
                source_association(sources, peer, contexts, clock, takes_turn=takes_turn) as association,
                aclosing(_RunningQuery(association, peer, source_query, clock).answers()) as answers,
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
    for uid in FIND_OF_ROOT.values():
        extended.setdefault(uid, _RELATIONAL)
    return dataclasses.replace(peer, associate=dataclasses.replace(peer.associate, extended=tuple(extended.items())))


class _RunningQuery:
    """One query on one association."""

    def __init__(
        self, association: RequestorAssociation, peer: Peer, source_query: SourceQuery, clock: SourceClock
    ) -> None:
        self._association = association
        self._peer = peer
        self._source_query = source_query
        self._clock = clock
        self._steps = 0
        self._left_out = LeftOut()
        root = choose_root(source_query, (uid for uid, _ in association.accepted))
        if root is None:
            raise SourceFailed(peer.name, "it does not offer this query")
        self._root: QueryRoot = root
        self._sop_class_uid = FIND_OF_ROOT[root]

    async def answers(self) -> AsyncGenerator[tuple[Attributes, int]]:
        """Raises SourceFailed; for answers that had to be left out, after all others were given."""
        agreed = self._association.extended.get(self._sop_class_uid, b"")
        is_relational = self._source_query.is_relational and agreed[:1] == _RELATIONAL
        step = first_step(self._source_query, self._root, is_relational=is_relational)
        if is_by_studies(self._source_query, step):
            for patient in patients_of(self._source_query, await self._studies(step)):
                yield patient, PENDING
        else:
            async with aclosing(self._walk(step)) as answers:
                async for answer in answers:
                    yield answer
        self._left_out.check(self._peer)

    async def _studies(self, step: QueryStep) -> list[Attributes]:
        studies = []
        async with aclosing(self._query_step(step)) as found:
            async for study, _ in found:
                studies.append(study)
                if len(studies) > MOST_STUDIES:
                    raise SourceFailed(self._peer.name, f"more than {MOST_STUDIES} studies; ask for less")
        return studies

    async def _walk(self, step: QueryStep) -> AsyncGenerator[tuple[Attributes, int]]:
        """The answers to `step`, or those to the steps below it when it is not the last one."""
        below: list[Attributes] = []
        async with aclosing(self._query_step(step)) as answers:
            async for answer, status in answers:
                if not step.is_last:
                    below.append(answer)
                    continue
                try:
                    whole = completed(step, answer)
                except PatientUnknown:
                    self._left_out.without_patient += 1
                    continue
                if whole is not None:
                    yield whole, status
        for following in await self._next_steps(step, below):
            async with aclosing(self._walk(following)) as answers:
                async for answer, status in answers:
                    yield answer, status

    async def _next_steps(self, step: QueryStep, below: Sequence[Attributes]) -> list[QueryStep]:
        if not below:
            return []
        others: set[str] = set()
        if self._root == "study" and step.level is QueryLevel.STUDY and names_patient(self._source_query):
            others = await self._shared(below)
        uids = {first_text(answer, UNIQUE[step.level]) for answer in below}
        steps = next_steps(self._source_query, self._root, step, below, others)
        followed = {first_text(following.known, UNIQUE[step.level]) for following in steps}
        self._left_out.unfit += len(uids - followed)
        return steps

    async def _shared(self, studies: Sequence[Attributes]) -> set[str]:
        """Study Instance UIDs that this source has of further patients as well."""
        patients: dict[str, list[Attributes]] = {}
        for study in studies:
            patients.setdefault(first_text(study, STUDY_INSTANCE_UID), []).append(study)
        uids = list(patients)
        shared: set[str] = set()
        for start in range(0, len(uids), MOST_UIDS):
            async with aclosing(self._query_step(patients_having(uids[start : start + MOST_UIDS]))) as answers:
                async for answer, _ in answers:
                    uid = first_text(answer, STUDY_INSTANCE_UID)
                    if all(are_different(answer, patient) for patient in patients.get(uid, ())):
                        shared.add(uid)
        return shared

    async def _query_step(self, step: QueryStep) -> AsyncGenerator[tuple[Attributes, int]]:
        """The answers of one step that have the unique key of their level."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise SourceFailed(self._peer.name, f"more than {MOST_STEPS} queries are needed; ask for less")
        syntax = self._association.identifier_syntax(self._sop_class_uid)
        encoder = IdentifierEncoder(syntax, self._source_query.character_sets, is_always_declared=True)
        may_be_unnamed = step.is_last and step.level is QueryLevel.PATIENT  # patients without an identifier exist
        async with self._association.c_find(
            encoder(step.identifier),
            sop_class_uid=self._sop_class_uid,
            priority=self._source_query.priority,
            response_s=A_DAY_S,
        ) as responses:
            while (response := await next_of(self._association, responses, self._clock)) is not None:
                if not response.is_pending:
                    check_final(self._peer, response)
                    continue
                answer = decoded(self._peer, response)
                if answer is None:
                    self._left_out.unreadable += 1
                elif not may_be_unnamed and not first_text(answer, UNIQUE[step.level]):
                    self._left_out.unnamed += 1
                else:
                    yield answer, response.status
            self._left_out.unreadable += responses.matches_lost


@dataclass(slots=True)
class LeftOut:
    """Answers of one source that cannot be passed on."""

    unreadable: int = 0
    unnamed: int = 0
    """Answers without a value for the unique key of their level."""
    without_patient: int = 0
    """Answers that do not say to which of several patients they belong."""
    unfit: int = 0
    """Answers that differ from the query in a unique key, or in another key that every source compares."""

    def check(self, peer: Peer) -> None:
        """Raises SourceFailed when there is one: what the source knows was not all given."""
        reasons = {
            "could not be read": self.unreadable,
            "do not say what they are of": self.unnamed,
            "do not say which patient they are of": self.without_patient,
            "do not fit the question": self.unfit,
        }
        reasons_given = [f"{number} of its answers {reason}" for reason, number in reasons.items() if number]
        if reasons_given:
            raise SourceFailed(peer.name, ", ".join(reasons_given))


def check_final(peer: Peer, response: Response) -> None:
    """Raises SourceFailed unless the final status is Success."""
    if response.status != SUCCESS:
        raise SourceFailed(peer.name, f"it answered 0x{response.status:04X}")


def decoded(peer: Peer, response: Response) -> Attributes | None:
    """The identifier of a pending response; None, and a line in the log, when it cannot be read."""
    try:
        return read_identifier(response.identifier, response.transfer_syntax_uid)
    except Unreadable as error:
        log.warning("answer_not_read", source=peer.name, reason=str(error))
        return None
