"""Predicates on the association an object came over: who sends, from where, to which of our listeners."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from gateway.common import setting_faults as faults
from gateway.common.ip_network import IPNetwork
from gateway.common.setting_faults import did_you_mean
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingPath, SettingProblem
from gateway.ports.facts import Facts
from gateway.ports.kinds import Callers, predicate
from gateway.routing import index_keys
from gateway.routing.index_keys import Keys
from gateway.routing.language.fields import AETitleField
from gateway.routing.language.pattern import Regex


@predicate("calling_ae_title")
@dataclass(frozen=True, slots=True)
class CallingAETitle:
    """True when the requestor's Calling AE Title is one of these (case matters)."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "calling_ae_title: [CT1, CT2]"

    any_of: tuple[AETitleField, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.association.calling_ae_title in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        return (Keys(index_keys.calling_ae_title, frozenset(self.any_of)),)

    def never_holds(self, callers: Callers) -> Iterable[tuple[SettingPath, str]]:
        faults_found = enumerate(_caller_fault(title, callers) for title in self.any_of)
        return [((index,), fault) for index, fault in faults_found if fault]

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the calling AE title is {facts.association.calling_ae_title!r}"


def _caller_fault(title: str, callers: Callers) -> str:
    """The reason why no requestor calls by this title; empty when one may."""
    if title in callers.ae_titles:
        return ""
    if not callers.admits_strangers:
        near = did_you_mean(title, callers.ae_titles)
        return f"only peers with `may` may call (`admit: known`), and none has this AE title{near}"
    same = next((one for one in sorted(callers.ae_titles) if one.casefold() == title.casefold()), "")
    return f"case matters, and the peer's AE title is `{same}`" if same else ""


@predicate("called_ae_title")
@dataclass(frozen=True, slots=True)
class CalledAETitle:
    """True when the Called AE Title that the requestor used is one of these (case matters)."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "called_ae_title: RESEARCH"

    any_of: tuple[AETitleField, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.association.called_ae_title in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        return (Keys(index_keys.called_ae_title, frozenset(self.any_of)),)

    def never_holds(self, callers: Callers) -> Iterable[tuple[SettingPath, str]]:
        ours = callers.called_ae_titles
        for index, title in enumerate(self.any_of):
            if title not in ours and "*" not in ours:
                near = did_you_mean(title, ours) or f"; ours are {', '.join(sorted(ours))}"
                yield (index,), f"who calls a title that is not ours is rejected (`called_ae_titles`){near}"

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the called AE title is {facts.association.called_ae_title!r}"


@predicate("host")
@dataclass(frozen=True, slots=True)
class HostMatch:
    """True when the requestor's address is one of these addresses, or lies in one of these networks (CIDR)."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "host: [10.1.0.0/16, 'fd00::/8']"

    any_of: tuple[IPNetwork, ...]

    def __call__(self, facts: Facts) -> bool:
        return _is_within(facts.association.remote_host, self.any_of)

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        return (Keys(index_keys.networks, frozenset(map(index_keys.network_key, self.any_of))),)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the requestor's address is {facts.association.remote_host!r}"


@lru_cache(maxsize=4096)
def _is_within(host: str, networks: tuple[IPNetwork, ...]) -> bool:
    address = index_keys.address_of(host)
    return address is not None and any(address in network for network in networks)


@predicate("listener")
@dataclass(frozen=True, slots=True)
class ListenerMatch:
    """True when the association came in at one of these listeners, by name (case matters). A listener without a name
    of its own is called port-PORT, or port-PORT-ADDRESS where it has an `address`, as in port-11112-127.0.0.1; colons
    of an address become `-`."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "listener: port-11112"

    any_of: tuple[str, ...]

    def __call__(self, facts: Facts) -> bool:
        return facts.association.listener in self.any_of

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        return (Keys(index_keys.listener, frozenset(self.any_of)),)

    def listeners(self) -> Iterable[tuple[SettingPath, str]]:
        return (((index,), name) for index, name in enumerate(self.any_of))

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"the listener is {facts.association.listener!r}"


@predicate("tls_subject")
@dataclass(frozen=True, slots=True)
class TLSSubject:
    """True when the client certificate's subject has all these parts, each with one of the texts given for it (case
    matters): CN, O, OU, C, L, ST, or a part's long name. False without a client certificate."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "tls_subject: {CN: [ct1.example.org, ct2.example.org], O: Example Hospital}"

    parts: Mapping[str, tuple[str, ...]]

    def __call__(self, facts: Facts) -> bool:
        subject = facts.association.tls_subject
        if not subject:
            return False
        found = subject_parts(subject)
        return all(any(text in found.get(name, ()) for text in texts) for name, texts in self.parts.items())

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        pairs = [frozenset((name, text) for text in texts) for name, texts in self.parts.items()]
        return [Keys(_parts_of_subject, one) for one in pairs]

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        subject = facts.association.tls_subject
        return f"the subject is {subject!r}" if subject else "there is no client certificate"


@lru_cache(maxsize=256)
def subject_parts(subject: str) -> Mapping[str, tuple[str, ...]]:
    """``CN=a,OU=b,OU=c`` → {CN: (a,), OU: (b, c)}; a backslash takes a comma's meaning away (RFC 4514 §2.4)."""
    found: dict[str, tuple[str, ...]] = {}
    for part in re.findall(r"(?:[^\\,]|\\.)+", subject, re.DOTALL):
        name, _, text = part.partition("=")
        found[name] = (*found.get(name, ()), re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL))
    return found


def _parts_of_subject(facts: Facts) -> Iterable[tuple[str, str]]:
    parts = subject_parts(facts.association.tls_subject).items()
    return [(name, text) for name, texts in parts for text in texts]


@predicate("user_identity")
@dataclass(frozen=True, slots=True)
class UserIdentityMatch:
    """True when the user name of the requestor's verified user identity (PS3.7 §D.3.3.7) is one of these.

    matches: an RE2 regular expression, found anywhere unless anchored with ^ and $. exists: whether there is a name at
    all. A name is verified where its listener or peer demands a `user_identity`. verified: false compares a name that
    nobody verified too: any requestor can give it.
    """

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "user_identity: {matches: '@example[.]org$'}"

    shorthand: ClassVar[str] = "any_of"

    any_of: tuple[str, ...] | None = None
    matches: Regex | None = None
    exists: bool | None = None
    verified: bool = True

    def __call__(self, facts: Facts) -> bool:
        name = self._name(facts)
        if self.exists is not None:
            return bool(name) is self.exists
        if self.matches is not None:
            return 0 < len(name) <= self.matches.most_characters and self.matches.search(name)
        return bool(name) and name in (self.any_of or ())

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def keys(self) -> Iterable[Keys]:
        if self.exists is not None or self.matches is not None:
            return ()
        return (
            Keys(index_keys.verified_user if self.verified else index_keys.claimed_user, frozenset(self.any_of or ())),
        )

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        name = self._name(facts)
        if not name:
            claimed = bool(facts.association.claimed_user_identity)
            return "the user name is not verified" if claimed else "there is no user identity"
        return f"the user name is {name!r}" if with_values else "there is a user identity"

    def _name(self, facts: Facts) -> str:
        association = facts.association
        return association.user_identity or ("" if self.verified else association.claimed_user_identity)

    def problems(self) -> Iterable[SettingProblem]:
        ways = [way for way in ("any_of", "matches", "exists") if getattr(self, way) is not None]
        if not ways:
            yield (), faults.needs("user_identity", ("any_of", "matches", "exists")).message
        for extra in ways[1:]:
            yield (extra,), faults.one_way("user_identity", ways[0])
