"""Studies that some peers do not see: the `query_retrieve.hide` rules, decided on what an answer says of a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import Mark
from gateway.model.query import Attributes
from gateway.ports.kinds import Predicate


@dataclass(frozen=True, slots=True)
class VisibilityRule:
    """One rule of `query_retrieve.hide`: these studies are not shown to these peers."""

    name: str
    when: Predicate
    """Decided on `StudyFacts`."""
    peers: tuple[str, ...]
    """Peers that do not see these studies; () means all requestors."""
    mark: Mark

    def is_for(self, requestor: AssociationFacts) -> bool:
        """True when the rule holds for this requestor."""
        return not self.peers or requestor.peer in self.peers


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """`gateway.ports.facts.Facts` of a study and its patient, from an answer to a query. An attribute without a
    value in an answer is absent: an answer does not tell an empty value from an unknown one.
    """

    association: AssociationFacts
    """The requestor's."""
    attributes: Attributes
    received_at: datetime
    """The time of the query."""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    length_bytes: int = 0

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """The values at `path`; None when there are none."""
        levels: list[Attributes] = [self.attributes]
        for tag, index in path.steps:
            inner = [[item for item in level.get(tag, ()) if not isinstance(item, str)] for level in levels]
            levels = [item for items in inner for item in (items if index is None else items[index : index + 1])]
        texts = tuple(text for level in levels for text in level.get(path.tag, ()) if isinstance(text, str))
        return texts if any(texts) else None

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """`path` itself, where it has a value."""
        return () if self.values(path) is None else (path,)


def first_tags(rules: Iterable[VisibilityRule]) -> tuple[int, ...]:
    """The attributes of a study that must be known: tags at its top, each once."""
    paths = (path for rule in rules for path in rule.when.attributes())
    return tuple(dict.fromkeys(path.steps[0][0] if path.steps else path.tag for path in paths))
