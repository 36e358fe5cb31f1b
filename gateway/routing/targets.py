"""Targets of a route that differ from object to object: templates that give the name of a peer or group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.attribute_path import AttributePath
from gateway.model.peer import PeerGroup
from gateway.model.problem import Mark
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.routing.language.template import Template

PeerOfGroup = tuple[str, str]
"""Peer, and the group that it is the first member of; the group is empty for a peer that is named itself."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """The names that a template may give."""

    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The peers behind each name, and the groups of which one member gets the object; all of them are enabled."""
    choosing: Mapping[str, PeerGroup] = field(default_factory=dict)
    """These groups."""

    def places(self, name: str) -> Iterator[PeerOfGroup]:
        """The places behind a name; none for one that is not known, and for what is disabled."""
        for member in self.members.get(name, ()):
            group = self.choosing.get(member)
            yield (member, "") if group is None else (group.members[0], group.name)


@dataclass(frozen=True, slots=True)
class TargetTemplate:
    """One template under `to`."""

    template: Template
    mark: Mark | None = None

    def name_for(self, facts: Facts) -> str:
        """The name that it gives for an object, without spaces at its ends.

        Raises:
            Refusal: it fails on the object's values.
            Temporary, PayloadLost: as `Template.render`.
        """
        return self.template.render(facts).strip(" ")


@dataclass(frozen=True, slots=True)
class Targets:
    """The templates of one route."""

    templates: tuple[TargetTemplate, ...] = ()
    recipients: Recipients = Recipients()

    @property
    def is_choosing(self) -> bool:
        """True when one of them may name a group of which one member gets the object."""
        return bool(self.templates and self.recipients.choosing)

    def attributes(self) -> Iterator[AttributePath]:
        """The attributes that they read."""
        for target in self.templates:
            yield from (path for _, path in target.template.attributes)

    def texts(self) -> tuple[str, ...]:
        """The templates as they are written."""
        return tuple(target.template.text for target in self.templates)

    def of(self, facts: Facts) -> tuple[Sequence[PeerOfGroup], str]:
        """The places that an object goes to, each once; and why a template gives none, which says nothing of the
        object: empty when each gives one. Raises Temporary, PayloadLost."""
        places: dict[PeerOfGroup, None] = {}
        faults: list[str] = []
        for target in self.templates:
            found, fault = self._of(target, facts)
            places.update(dict.fromkeys(found))
            if fault:
                where = f" ({target.mark.file}:{target.mark.line})" if target.mark else ""
                faults.append(f"its `to`{where} {fault}")
        return tuple(places), "; ".join(faults)

    def _of(self, target: TargetTemplate, facts: Facts) -> tuple[Sequence[PeerOfGroup], str]:
        try:
            name = target.name_for(facts)
        except Refusal as refusal:  # the words of a template's failure are free of values
            return (), f"gives no name: {refusal}"
        if not name:
            return (), "gives an empty text"
        places = tuple(self.recipients.places(name))
        return places, "" if places else "gives a name that no enabled destination and no group has"


NO_TARGETS = Targets()
