"""Queries to the index and to sources that keep hidden studies hidden, and the answers that may be seen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.model.dimse_status import PENDING
from gateway.model.peer import Peer
from gateway.model.query import Attributes, Query, QueryLevel, QueryRoot
from gateway.query.attributes import COMPUTED, QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from gateway.query.compile import Options, compile_find
from gateway.query.identifier import first_text
from gateway.query.sop_classes import LEVELS_OF_ROOT
from gateway.sources.federated_query import MatchFromPlace
from gateway.sources.query_steps import SourceQuery, identifying, patients_of, source_query_of, studies_of_patients
from gateway.sources.study_visibility import StudyVisibility


@dataclass(frozen=True, slots=True)
class VisibleQuery:
    """One query in the forms for the index and for sources."""

    query: Query
    """The query for the index, which also checks the answers of sources."""
    source_query: SourceQuery
    """The query for sources."""

    @classmethod
    def of(cls, identifier: Attributes, root: QueryRoot, options: Options) -> VisibleQuery:
        """The query with keys that say what an answer is about, where the identifier has none. Raises BadIdentifier."""
        word = first_text(identifier, QUERY_RETRIEVE_LEVEL)
        level = next((each for each in LEVELS_OF_ROOT[root] if each == word), None)
        more = {} if level is None else identifying(level, root, is_relational=options.is_relational)
        given = {**more, **identifier}
        query = compile_find(given, root, options)
        return cls(query, source_query_of(given, query))


def visible_query(
    identifier: Attributes, search: VisibleQuery, options: Options, visibility: StudyVisibility
) -> VisibleQuery:
    """The query with the keys that `visibility` needs of studies. A query for patients becomes one for their studies:
    a patient is shown by those that are not hidden. Below the patient level the keys that count studies and their
    parts are left out, since they would count hidden ones; the answers have them empty."""
    query = search.query
    more = {**dict.fromkeys(visibility.needed, ()), STUDY_INSTANCE_UID: ()}
    if query.level is not QueryLevel.PATIENT:
        given = {tag: value for tag, value in identifier.items() if COMPUTED.get(tag) is not QueryLevel.PATIENT}
        return VisibleQuery.of({**more, **given}, query.root, options)
    studies = {**more, **studies_of_patients(identifier), QUERY_RETRIEVE_LEVEL: (QueryLevel.STUDY.value,)}
    relational = Options(True, options.is_date_time_combined, options.is_timezone_adjusted)
    return VisibleQuery.of(studies, "study", relational)


class VisibleAnswers:
    """The answers of one place after `visibility` removed those about hidden studies.

    Args:
        source_query: the requestor's own.
        on_hidden: called for each study or part of one that is left out.
    """

    def __init__(
        self, visibility: StudyVisibility, source_query: SourceQuery, on_hidden: Callable[[str], None]
    ) -> None:
        self._visibility = visibility
        self._source_query = source_query
        self._on_hidden = on_hidden
        self.hidden: set[str] = set()
        """Studies that were hidden at one place; what others say of them is not shown either."""

    def is_hidden(self, attributes: Attributes) -> bool:
        """True for (a part of) a study that one of the places hid."""
        return bool(self.hidden) and self._study_of(attributes) in self.hidden

    async def of(self, answers: AsyncGenerator[MatchFromPlace], place: Peer | None) -> AsyncGenerator[MatchFromPlace]:
        """The answers to a `visible_query` that may be seen, as answers to the requestor's own query.

        Raises:
            SourceFailed: at the end, when some could not be looked at.
        """
        async with aclosing(self._visible(answers, place)) as visible:
            if self._source_query.level is QueryLevel.PATIENT:
                for patient in patients_of(self._source_query, [study async for study, _ in visible]):
                    yield patient, PENDING
            else:
                async for found in visible:
                    yield found
        failure = None if place is None else self._visibility.failures.get(place.name)
        if failure is not None:
            raise failure

    async def _visible(
        self, answers: AsyncGenerator[MatchFromPlace], place: Peer | None
    ) -> AsyncGenerator[MatchFromPlace]:
        is_below = self._source_query.level in (QueryLevel.SERIES, QueryLevel.IMAGE)
        async with aclosing(answers):
            async for attributes, code in answers:
                uid = self._study_of(attributes)
                if await self._visibility.hides(uid, place) if is_below else self._visibility.is_hidden(attributes):
                    self.hidden.add(uid)
                    self._on_hidden("" if place is None else place.name)
                    continue
                yield attributes, code

    def _study_of(self, attributes: Attributes) -> str:
        """Sources may leave out a value that is in the query."""
        return first_text(attributes, STUDY_INSTANCE_UID) or first_text(self._source_query.keys, STUDY_INSTANCE_UID)
