"""Facts: what predicates, templates and actions see of an object."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, runtime_checkable

from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath


class Facts(Protocol):
    """The facts of an object that predicates and templates read."""

    @property
    def association(self) -> AssociationFacts: ...
    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def length_bytes(self) -> int: ...
    @property
    def received_at(self) -> datetime:
        """The time at which the object arrived, which "now" means to rules."""
        ...

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """The values at `path` as text, split at backslashes, padding gone; () when empty; None when absent."""
        ...

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """The places of the attribute of `path`, empty or not: one path an item, every ``*`` being an index."""
        ...


@runtime_checkable
class ReadTogether(Protocol):
    """Facts of an object that is read on demand: a caller that needs several attributes names them first."""

    def read(self, paths: Iterable[AttributePath]) -> None:
        """Read the object once for all of `paths`.

        Raises:
            Refusal: it is no data set, or inflates too far.
            Temporary, PayloadLost: it cannot be read now, or never again.
        """
        ...
