"""The keys of a condition, by which thousands of rules are found without evaluating each.

A predicate may have a method ``keys() -> Iterable[Keys]`` with the values of which an object must have one for it to
hold: `CallingAETitle` holds only where the calling AE title is one of its own. That is a necessary condition only: the
predicate itself is evaluated all the same.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from gateway.common.ip_network import IPNetwork
from gateway.model.attribute_path import AttributePath
from gateway.ports.facts import Facts

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Look = Callable[[Facts], Iterable[Hashable]]
"""Gives the values that an object has of one kind. Equal looks find the same."""

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


def start_of(pattern: str) -> str:
    """The text with which whatever an RE2 expression is found in must begin; empty when that cannot be told simply."""
    if "|" in pattern or not pattern.startswith("^"):
        return ""
    match = re.match(r"\^([A-Za-z0-9 _/-]*)(.?)", pattern, re.DOTALL)
    assert match is not None  # it matches nothing too
    text = match[1][:-1] if match[2] and match[2] in "*?{" else match[1]
    return text[:LONGEST_START]
