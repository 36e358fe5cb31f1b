"""The priority that a route gives its deliveries: a word, a template, or that of the C-STORE request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.model.attribute_path import AttributePath
from gateway.model.priority import SENDERS, Priority, of_text
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.routing.language.template import Template

FROM_SENDER = "from sender"


@dataclass(frozen=True, slots=True)
class RoutePriority:
    """Without `fixed` and `template`, the sender's."""

    fixed: Priority | None = None
    template: Template | None = None
    """Its text for an object is a word of ours, or a value of Requested Procedure Priority (0040,1003)."""

    @property
    def is_from_object(self) -> bool:
        """True where it differs from object to object."""
        return self.fixed is None

    def attributes(self) -> Iterator[AttributePath]:
        """The attributes that it is made of."""
        if self.template is not None:
            yield from (path for _, path in self.template.attributes)

    def of(self, facts: Facts, sent_as: int) -> Priority | None:
        """The priority of one object, whose request had `sent_as` as Priority (0000,0700); None: the template gives
        none. Raises Temporary, PayloadLost."""
        if self.fixed is not None:
            return self.fixed
        if self.template is None:
            return SENDERS.get(sent_as, Priority.NORMAL)
        try:
            return of_text(self.template.render(facts))
        except Refusal:  # the object is sent, whatever is wrong with its values
            return None


NORMAL = RoutePriority(Priority.NORMAL)
