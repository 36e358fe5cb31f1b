"""Predicates: what a rule may ask of an object. One frozen dataclass a kind, see `gateway.ports`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from gateway.model import AttributePath
from gateway.ports import Facts, Predicate, predicate
from gateway.routing.attribute import parse
from gateway.routing.field import AETitle, Network, Regex, SOPClassUID, TransferSyntaxUID

MODALITY = parse("Modality")


@predicate("all")
@dataclass(frozen=True, slots=True)
class All:
    """True when every condition in the list holds; an empty list always holds."""

    conditions: tuple[Predicate, ...]

    def __call__(self, facts: Facts) -> bool:
        for condition in self.conditions:  # noqa: SIM110 - a loop is half the cost of all() on the hot path
            if not condition(facts):
                return False
        return True

    def attributes(self) -> Iterable[AttributePath]:
        return [path for condition in self.conditions for path in condition.attributes()]


@predicate("any")
@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one condition in the list holds."""

    conditions: tuple[Predicate, ...]

    def __call__(self, facts: Facts) -> bool:
        for condition in self.conditions:  # noqa: SIM110 - as in All
            if condition(facts):
                return True
        return False

    def attributes(self) -> Iterable[AttributePath]:
        return [path for condition in self.conditions for path in condition.attributes()]

    def problems(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        if not self.conditions:
            yield (), "the list is empty: it would never hold"


@predicate("not")
@dataclass(frozen=True, slots=True)
class Not:
    """True when the condition does not hold."""

    condition: Predicate

    def __call__(self, facts: Facts) -> bool:
        return not self.condition(facts)

    def attributes(self) -> Iterable[AttributePath]:
        return self.condition.attributes()


@predicate("calling_ae_title")
@dataclass(frozen=True, slots=True)
class CallingAETitle:
    """True when the requestor's Calling AE Title is one of these (case matters)."""

    any_of: tuple[AETitle, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.association.calling_ae_title in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()


@predicate("called_ae_title")
@dataclass(frozen=True, slots=True)
class CalledAETitle:
    """True when the Called AE Title that the requestor used is one of these (case matters)."""

    any_of: tuple[AETitle, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.association.called_ae_title in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()


@predicate("host")
@dataclass(frozen=True, slots=True)
class Host:
    """True when the requestor's address is one of these addresses, or lies in one of these networks (CIDR)."""

    any_of: tuple[Network, ...]

    def __call__(self, facts: Facts) -> bool:
        return _is_within(facts.association.remote_host, self.any_of)

    def attributes(self) -> Iterable[AttributePath]:
        return ()


@lru_cache(maxsize=4096)
def _is_within(host: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)


@predicate("sop_class")
@dataclass(frozen=True, slots=True)
class SOPClass:
    """True when the object's SOP class is one of these: keyword (CTImageStorage), name or UID."""

    any_of: tuple[SOPClassUID, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.sop_class_uid in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()


@predicate("transfer_syntax")
@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """True when the object came in one of these transfer syntaxes: keyword (JPEG2000Lossless), name or UID."""

    any_of: tuple[TransferSyntaxUID, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.transfer_syntax_uid in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()


@predicate("modality")
@dataclass(frozen=True, slots=True)
class Modality:
    """True when Modality (0008,0060) is one of these (case matters)."""

    any_of: tuple[str, ...]

    def __call__(self, facts: Facts) -> bool:
        values = facts.values(MODALITY)
        return bool(values) and values[0] in self.any_of  # type: ignore[index]

    def attributes(self) -> Iterable[AttributePath]:
        return (MODALITY,)


@predicate("attribute")
@dataclass(frozen=True, slots=True)
class Attribute:
    """Compares the attribute `select` in exactly one way. Of several values, one that fits is enough.

    equals: a value is this text (with backslashes in it: all values joined are). in: a value is one of these texts.
    matches: this RE2 regular expression is found in a value; anchor it with ^ and $ to match all of it.
    exists: true when the attribute is there, empty or not. absent: true when it is not there.
    """

    select: AttributePath
    equals: str | None = None
    in_: tuple[str, ...] | None = None
    matches: Regex | None = None
    exists: bool | None = None
    absent: bool | None = None

    def __call__(self, facts: Facts) -> bool:
        values = facts.values(self.select)
        if self.equals is not None:
            return values is not None and (self.equals in values or "\\".join(values) == self.equals)
        if self.in_ is not None:
            return values is not None and any(value in self.in_ for value in values)
        if self.matches is not None:
            return values is not None and any(map(self.matches.search, values))
        if self.exists is not None:
            return (values is not None) is self.exists
        return (values is None) is self.absent

    def attributes(self) -> Iterable[AttributePath]:
        return (self.select,)

    def problems(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        ways = [name for name in _WAYS if getattr(self, name) is not None]
        if not ways:
            yield (), f"attribute needs one of {', '.join(name.rstrip('_') for name in _WAYS)}"
        for extra in ways[1:]:
            yield (
                (extra.rstrip("_"),),
                f"attribute compares in one way only, and has {ways[0].rstrip('_')!r} already; combine with all:",
            )


_WAYS = ("equals", "in_", "matches", "exists", "absent")
