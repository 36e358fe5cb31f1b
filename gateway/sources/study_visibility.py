"""Studies that a requestor must not see, wherever they are: decided study by study, by the attributes at each place.

A study that cannot be looked at counts as hidden. An attribute that a place does not have is absent for the rules.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime

import structlog

from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.model.query import AnyValue, Attributes, Query, QueryKey, QueryLevel, Value
from gateway.query.attributes import NEVER_MATCHED, STUDY_INSTANCE_UID, vr_for
from gateway.query.identifier import UTF_8, first_text
from gateway.routing.table import RoutingTable
from gateway.routing.visibility_rules import StudyFacts, first_tags
from gateway.sources.query_backends import QueryBackends
from gateway.sources.query_steps import SourceQuery
from gateway.sources.source_query import SourceFailed, find

log = structlog.get_logger()

MOST_KNOWN = 100_000
"""Studies whose answer is kept; of more, the first ones are asked about again."""


class StudyVisibility:
    """The studies that one requestor must not see during one request.

    Args:
        table: the association's.
        requestor: whose association it is.
    """

    def __init__(self, table: RoutingTable, requestor: AssociationFacts, backends: QueryBackends) -> None:
        self._rules = tuple(rule for rule in table.hidden if rule.is_for(requestor))
        self._requestor = requestor
        self._backends = backends
        self._timeout_s = table.query_retrieve.timeout_s
        self._now = datetime.now(UTC)
        self._known: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self.needed: tuple[int, ...] = tuple(tag for tag in first_tags(self._rules) if tag not in NEVER_MATCHED)
        """Attributes of a study, and of its patient, that `is_hidden` wants to see."""
        self.failures: dict[str, SourceFailed] = {}
        """By place (empty: the index): the reason why studies could not be looked at. They are hidden, but not by a
        rule.
        """

    @property
    def hides_any(self) -> bool:
        """False when the requestor may see everything: then nothing needs to be asked."""
        return bool(self._rules)

    def is_hidden(self, study: Attributes) -> bool:
        """True when the study is hidden; `study` has what its place says of `needed`."""
        facts = StudyFacts(self._requestor, study, self._now)
        return any(rule.when(facts) for rule in self._rules)

    async def hides(self, study_instance_uid: str, place: Peer | None = None) -> bool:
        """True when the study is hidden: the index (None) or a source is asked once, then the answer is remembered.

        A study that the place does not know, or about which it gives no answer now, is hidden.
        """
        if not self._rules:
            return False
        key = ("" if place is None else place.name, study_instance_uid)
        if key not in self._known:
            studies = await (self._local(key[1]) if place is None else self._at(place, key[1]))
            self._known[key] = not studies or any(self.is_hidden(study) for study in studies)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return self._known[key]

    async def _local(self, uid: str) -> list[Attributes]:
        named = QueryKey(STUDY_INSTANCE_UID, "UI", (AnyValue((uid,)),))
        others = (QueryKey(tag, vr_for(tag)) for tag in self.needed if tag != STUDY_INSTANCE_UID)
        keys = tuple(sorted((named, *others), key=lambda key: key.tag))
        query = Query(QueryLevel.STUDY, "study", keys, is_relational=True)
        async with aclosing(self._backends.index.find(query)) as batches:
            return [study async for batch in batches for study in batch]

    async def _at(self, place: Peer, uid: str) -> list[Attributes]:
        keys: Mapping[int, Value] = {**dict.fromkeys(self.needed, ()), STUDY_INSTANCE_UID: (uid,)}
        source_query = SourceQuery("study", QueryLevel.STUDY, keys, UTF_8)
        studies: list[Attributes] = []
        try:
            found = find(self._backends.sources, place, source_query, limit_s=self._timeout_s, takes_turn=False)
            async with aclosing(found) as answers:
                studies = [study async for study, _ in answers if first_text(study, STUDY_INSTANCE_UID) == uid]
            if not studies:
                raise SourceFailed(place.name, "it does not tell of a study that it has parts of")
        except SourceFailed as error:
            log.warning("study_not_checked", source=place.name, reason=error.reason, study_instance_uid=uid)
            self.failures.setdefault(place.name, SourceFailed(place.name, f"a study was not looked at: {error.reason}"))
            return []
        return studies
