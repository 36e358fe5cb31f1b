"""The keys of a condition, by which thousands of rules are found without evaluating each.

A predicate may have a method ``keys() -> Iterable[Keys]`` with the values of which an object must have one for it to
hold: `CallingAETitle` holds only where the calling AE title is one of its own. That is a necessary condition only: the
predicate itself is evaluated all the same. A look finds its values among the keys of all rules; a method ``finding`` of
it is another way to do so (`finding`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.common.ip_network import IPNetwork
from gateway.model.attribute_path import AttributePath
from gateway.ports.facts import Facts
from gateway.routing.language.scale import number

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Look = Callable[[Facts], Iterable[Hashable]]
"""Gives the values that an object has of one kind. Equal looks find the same."""

Filed = Mapping[Hashable, tuple[int, ...]]
"""The numbers of rules by their key."""
Find = Callable[[Facts], list[tuple[int, ...]]]
"""The rules that an object may be for."""

LONGEST_TEXT = 4096
"""Longer texts are not searched for parts."""
LONGEST_START = 16
"""Characters of the beginning of a text that are looked for."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The predicate holds only for objects in which `look` finds one of `any_of`."""

    look: Look
    any_of: frozenset[Hashable]


def calling_ae_title(facts: Facts) -> Iterable[Hashable]:
    return (facts.association.calling_ae_title,)


def called_ae_title(facts: Facts) -> Iterable[Hashable]:
    return (facts.association.called_ae_title,)


def listener(facts: Facts) -> Iterable[Hashable]:
    return (facts.association.listener,)


def verified_user(facts: Facts) -> Iterable[Hashable]:
    return (facts.association.user_identity,)


def claimed_user(facts: Facts) -> Iterable[Hashable]:
    return (facts.association.user_identity or facts.association.claimed_user_identity,)


def sop_class(facts: Facts) -> Iterable[Hashable]:
    return (facts.sop_class_uid,)


def transfer_syntax(facts: Facts) -> Iterable[Hashable]:
    return (facts.transfer_syntax_uid,)


def networks(facts: Facts) -> Iterable[Hashable]:
    """Every network that the requestor's address lies in."""
    return _networks_of(facts.association.remote_host)


@lru_cache(maxsize=4096)
def _networks_of(host: str) -> tuple[Hashable, ...]:
    address = address_of(host)
    if address is None:
        return ()
    bits = address.max_prefixlen
    return tuple((bits, length, int(address) >> (bits - length)) for length in range(bits + 1))


def network_key(network: IPNetwork) -> Hashable:
    """The value that `networks` has for addresses of `network`."""
    bits, length = network.max_prefixlen, network.prefixlen
    return (bits, length, int(network.network_address) >> (bits - length))


def address_of(host: str) -> Address | None:
    """The address that a host's text is; an IPv4 address inside IPv6 is the former. None for what is none."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@dataclass(frozen=True, slots=True)
class FirstValue:
    """The first value of an attribute, if there is any."""

    path: AttributePath

    def __call__(self, facts: Facts) -> Iterable[Hashable]:
        values = facts.values(self.path)
        return values[:1] if values else ()


@dataclass(frozen=True, slots=True)
class ValueKeys:
    """Each value of an attribute, and all of them as one text."""

    path: AttributePath

    def __call__(self, facts: Facts) -> Iterable[Hashable]:
        values = facts.values(self.path)
        if values is None or len(values) == 1:
            return values or ()
        return (*values, "\\".join(values))


@dataclass(frozen=True, slots=True)
class Starts:
    """The beginnings of each value of an attribute, from one character to `LONGEST_START`."""

    path: AttributePath

    def __call__(self, facts: Facts) -> Iterable[Hashable]:
        for value in facts.values(self.path) or ():
            for length in range(1, min(len(value), LONGEST_START) + 1):
                yield value[:length]


@dataclass(frozen=True, slots=True)
class NumberKeys:
    """As `ValueKeys`, and each value as the number that it says."""

    path: AttributePath

    def __call__(self, facts: Facts) -> Iterable[Hashable]:
        numbers = map(number, facts.values(self.path) or ())
        return (*ValueKeys(self.path)(facts), *(known for known in numbers if known is not None))


@dataclass(frozen=True, slots=True)
class ValueParts:
    """Texts inside the values of an attribute; with `is_folded` they are small letters, and any letters are found."""

    path: AttributePath
    is_folded: bool = False

    def __call__(self, facts: Facts) -> Iterable[Hashable]:
        """All of them; `finding` looks for those that are wanted alone."""
        for value in facts.values(self.path) or ():
            text = value.casefold() if self.is_folded else value
            yield from {text[start:end] for start in range(len(text)) for end in range(start + 1, len(text) + 1)}

    def finding(self, filed: Filed) -> Find:
        parts = [(str(part), numbers) for part, numbers in filed.items()]

        def find(facts: Facts) -> list[tuple[int, ...]]:
            values = facts.values(self.path)
            if not values:
                return []
            text = values[0] if len(values) == 1 else "\\".join(values)
            if len(text) > LONGEST_TEXT:
                return [numbers for _part, numbers in parts]
            if self.is_folded:
                text = text.casefold()
            return [numbers for part, numbers in parts if part in text]

        return find


def finding(look: Look, filed: Filed) -> Find:
    """Finds the rules filed under the values that `look` gives."""
    own: Callable[[Filed], Find] | None = getattr(look, "finding", None)
    if own is not None:
        return own(filed)
    return lambda facts: [filed[key] for key in look(facts) if key in filed]


_LITERALS = re.compile(r"([A-Za-z0-9 _/,:;#&'<>=@!~%-]+)([*?]?)", re.ASCII)


def part_of(pattern: str) -> tuple[str, bool]:
    """A text that whatever an RE2 expression is found in must contain, and whether letters count for their small ones;
    empty when that cannot be told simply.
    """
    is_folded = pattern.startswith("(?i)")
    pattern = pattern[4:] if is_folded else pattern
    if re.search(r"[|()\[\]{}\\]", pattern):
        return "", is_folded
    parts = [match[1][:-1] if match[2] else match[1] for match in _LITERALS.finditer(pattern)]
    longest = max(parts, key=len, default="")
    return longest.lower() if is_folded else longest, is_folded


def start_of(pattern: str) -> str:
    """The text with which whatever an RE2 expression is found in must begin; empty when that cannot be told simply."""
    if "|" in pattern or not pattern.startswith("^"):
        return ""
    match = re.match(r"\^([A-Za-z0-9 _/-]*)(.?)", pattern, re.DOTALL)
    assert match is not None  # it matches nothing too
    text = match[1][:-1] if match[2] and match[2] in "*?{" else match[1]
    return text[:LONGEST_START]
