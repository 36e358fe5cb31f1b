"""One located tree → `Settings` and `RoutingTable`, with every mistake reported."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from gateway.common import setting_faults as faults
from gateway.common.ip_network import ANY_ADDRESS
from gateway.common.setting_faults import listed
from gateway.config.compile_context import Context
from gateway.config.conditions import Conditions
from gateway.config.fault_messages import unknown_setting
from gateway.config.identities import compile_identity_method
from gateway.config.never import Never
from gateway.config.peers import check_combination, check_requestors, compile_peer, take_destination
from gateway.config.query_retrieve import compile_query_retrieve
from gateway.config.requirements import check_requirements, warn_of_clear_secrets, warn_of_unknown_users
from gateway.config.rules import (
    Names,
    compile_coercions,
    compile_hide,
    compile_retrieve_coercions,
    compile_routes,
    expand,
    names_of,
)
from gateway.config.schema import definitions
from gateway.config.section import compile_section, names_in, with_identity_methods
from gateway.config.source import Source
from gateway.config.spec import GroupSpec, IdentityMethodSpec, PeerSpec, QueryRetrieveSpec
from gateway.config.tree import BrokenNode, MappingNode, Place, ScalarNode, SequenceNode
from gateway.config.typed_tree import check
from gateway.config.unsendable import warn_of_unsendable
from gateway.model.peer import Peer, PeerGroup
from gateway.model.security import IdentityMethod, Requirements
from gateway.model.settings import QueryRetrieve, Settings, UnmatchedPolicy, UnreadablePolicy
from gateway.query.attributes import indexed_paths
from gateway.routing.language.resources import MIN_KEY_CHARACTERS, FileResources
from gateway.routing.table import RetrieveCoercion, RoutingTable
from gateway.routing.visibility_rules import VisibilityRule

Word = TypeVar("Word", bound=str)

UNMATCHED: tuple[UnmatchedPolicy, ...] = ("hold", "reject", "discard")
UNREADABLE: tuple[UnreadablePolicy, ...] = ("reject", "hold")


@dataclass(frozen=True, slots=True)
class Compiled:
    """The result of compiling."""

    table: RoutingTable | None
    """Only to be used when no error was found."""
    process_settings: Settings | None
    """None when reading the files or the `gateway:` section found an error."""


def compile_source(source: Source, context: Context) -> Compiled:
    """Compile everything, whatever is wrong."""
    root = Place(source.root, source.root.mark)
    context = with_identity_methods(root, context)
    settings = compile_section(root, context)
    process_settings = None if context.findings.has_errors else settings
    _check_sections(root, context)
    unmatched = _word(root, "unmatched", UNMATCHED, context)
    unreadable = _word(root, "unreadable", UNREADABLE, context) or "reject"
    peers, not_destinations, written = _peers(root, settings, context)
    if process_settings and settings:
        check_requirements(written, settings.listeners, context)
    identity_methods = _identity_methods(root, context)
    if process_settings and settings:
        warn_of_clear_secrets(written, settings.listeners, root.at("gateway"), identity_methods, context)
        warn_of_unknown_users(written, settings.listeners, root.at("gateway"), identity_methods, context)
    groups = _groups(root, peers, not_destinations, context)
    conditions = Conditions(dict(_named(root, "conditions", context)))
    secrets = _secrets(root, context)
    listeners = frozenset(one.name for one in settings.listeners) if process_settings and settings else None
    resources = FileResources(secrets, source.folders, conditions.named)
    never = Never(settings, peers) if settings and not context.findings.has_errors else None
    context = replace(context, files=resources, listeners=listeners, never=never)
    conditions.compile(context)
    names = names_of(peers, groups, names_in(root, "peers"), names_in(root, "groups"), not_destinations)
    coercions = compile_coercions(root.at("coercions"), context) if root.has("coercions") else ()
    routes = compile_routes(root.at("routes"), names, context) if root.has("routes") else ()
    query_retrieve, retrieve_coercions, hidden = _query_retrieve(root, peers, names, context)
    conditions.close()
    if settings is None or unmatched is None:
        return Compiled(None, process_settings)
    _warn_of_loops(root, settings, peers, context)
    if not context.findings.has_errors:  # else a mistake in a name would show as two
        _warn_of_unused(root, peers, context)
        conditions.warn_of_unused(context)
        _warn_of_admission(root, settings, peers, context)
        warn_of_unsendable(root, routes, peers, context)
    table = RoutingTable(
        version=_version(source, context.resources),
        settings=settings,
        coercions=coercions,
        routes=routes,
        peers=peers,
        groups=groups,
        unmatched=unmatched,
        unreadable=unreadable,
        identity_methods=identity_methods,
        reserved_ae_titles=_reserved(written, peers),
        resources=context.resources,
        query_retrieve=query_retrieve,
        retrieve_coercions=retrieve_coercions,
        hidden=hidden,
        indexed=indexed_paths() if query_retrieve.is_local else (),
    )
    return Compiled(table, process_settings)


@cache
def _sections() -> dict[str, Any]:
    return dict(definitions()["RulesSpec"]["properties"])


def _check_sections(root: Place, context: Context) -> None:
    assert isinstance(root.node, MappingNode)
    for name, entry in root.node.entries.items():
        section = _sections().get(name)
        if section is None:
            finding = unknown_setting(entry.mark, name, _sections(), (name,))
            context.findings.error(finding.mark, finding.code, finding.message)
            continue
        wanted, words = _shape(section)
        if not isinstance(entry.node, wanted):
            found = "nothing" if _is_nothing(entry.node) else Place(entry.node, entry.mark).shown
            message = f"`{name}` is {words}, found {found}"
            context.findings.error(entry.mark, "wrong-type", message)
    for name in ("gateway", "unmatched"):
        if not root.has(name) and context.is_complete:
            message = f"the section `{name}` is missing"
            if name == "unmatched":
                message += f"; say what happens to an object that no route wants: {listed(UNMATCHED)}"
            context.findings.error(root.holder, "missing-section", message)


def _shape(section: dict[str, Any]) -> tuple[tuple[type, ...], str]:
    match section.get("type", "object" if "$ref" in section else "text"):
        case "object":
            is_of_names = "additionalProperties" in section
            names = "a mapping of names, as `NAME: {…}` indented below it"
            return (MappingNode, BrokenNode), names if is_of_names else "a mapping"
        case "array":
            return (SequenceNode, BrokenNode), "a list, each item as `- name: …`"
        case _:
            return (ScalarNode, BrokenNode), "one word"


def _is_nothing(node: object) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _word(root: Place, section: str, words: tuple[Word, ...], context: Context) -> Word | None:
    """The section, which is one of `words`; None when it is absent or wrong."""
    place = root.child(section)
    if place is None or not isinstance(place.node, ScalarNode):
        return None
    for word in words:
        if place.node.text == word:
            return word
    context.fault(place, faults.not_one_of(words, place.shown, "" if place.node.is_secret else place.node.text))
    return None


def _named(root: Place, section: str, context: Context) -> Iterator[tuple[str, Place]]:
    """The items of a section by name, with names checked."""
    place = root.child(section)
    if place is None or not isinstance(place.node, MappingNode):
        return
    pattern = re.compile(_sections()[section]["propertyNames"]["pattern"])
    for name in place.node.entries:
        at = place.at(name)
        if not pattern.search(name):
            message = f"`{name}` is not a name: letters, digits, `_`, `-` and `.`, at most 64"
            context.findings.error(at.holder, "bad-name", message)
        if not isinstance(at.node, BrokenNode):
            yield name, at


def _secrets(root: Place, context: Context) -> dict[str, bytes]:
    """The section `keys`. A problem is reported, and the key gets a stand-in so that its users are not reported too."""
    secrets = dict.fromkeys(names_in(root, "keys"), bytes(MIN_KEY_CHARACTERS))
    for name, place in _named(root, "keys", context):
        node = place.node
        if not isinstance(node, ScalarNode) or node.value is None:
            context.fault(place, faults.wrong_type("a secret such as ${file:PATH}", "none"))
        elif len(node.text) < MIN_KEY_CHARACTERS:
            message = f"the secret has {len(node.text)} characters; at least {MIN_KEY_CHARACTERS} are needed"
            context.error(place, "short-key", message)
        else:
            secrets[name] = node.text.encode()
            if not node.is_secret:
                message = "the secret stands in the file; keep it in one of its own, as ${file:PATH}"
                context.findings.warning(place.mark, "plain-secret", message)
    return secrets


def _version(source: Source, resources: FileResources) -> str:
    """The version of the YAML files and of the tables that they name."""
    tables = resources.digest()
    return hashlib.sha256(source.version.encode() + tables).hexdigest()[:12] if tables else source.version


def _peers(
    root: Place, settings: Settings | None, context: Context
) -> tuple[dict[str, Peer], set[str], list[tuple[Peer, Place]]]:
    """Enabled peers by name, the names of those that only call us, and all peers, disabled or not, where they stand."""
    enabled: dict[str, Peer] = {}
    not_destinations: set[str] = set()
    requestors: list[tuple[Peer, Place]] = []
    written: list[tuple[Peer, Place]] = []
    for name, place in _named(root, "peers", context):
        destination, rest = take_destination(place, context)
        if isinstance(rest.node, MappingNode) and rest is place:
            check_combination(place, context)
        spec, at = check(rest, PeerSpec, context.findings)
        if spec is None:
            continue
        peer = compile_peer(name, spec, at, context, settings, destination)
        if not peer.is_destination and not _lost(at) and rest is place:
            not_destinations.add(name)
        written.append((peer, at))
        if spec.enabled:
            enabled[name] = peer
            requestors.append((peer, place))
    check_requestors(requestors, context)
    return enabled, not_destinations, written


def _reserved(written: Iterable[tuple[Peer, Place]], enabled: Mapping[str, Peer]) -> frozenset[str]:
    """AE titles of disabled peers that may call when they are enabled."""
    disabled = [peer for peer, _ in written if peer.name not in enabled]
    return frozenset(peer.ae_title for peer in disabled if peer.may or peer.requires != Requirements())


def _identity_methods(root: Place, context: Context) -> dict[str, IdentityMethod]:
    methods: dict[str, IdentityMethod] = {}
    for name, place in _named(root, "user_identities", context):
        spec, at = check(place, IdentityMethodSpec, context.findings)
        method = None if spec is None else compile_identity_method(spec, at, context)
        if method is not None:
            methods[name] = method
    return methods


def _query_retrieve(
    root: Place, peers: dict[str, Peer], names: Names, context: Context
) -> tuple[QueryRetrieve, tuple[RetrieveCoercion, ...], tuple[VisibilityRule, ...]]:
    place = root.child("query_retrieve")
    if place is None or not isinstance(place.node, MappingNode):
        return QueryRetrieve(), (), ()
    spec, at = check(place, QueryRetrieveSpec, context.findings)
    if spec is None:
        return QueryRetrieve(), (), ()
    coercions = compile_retrieve_coercions(at.at("coercions"), names, context) if spec.coercions else ()
    hidden = compile_hide(at.at("hide"), names, context) if spec.hide else ()
    return compile_query_retrieve(spec, at, peers, names, context), coercions, hidden


def _lost(place: Place) -> frozenset[str]:
    return place.node.lost if isinstance(place.node, MappingNode) else frozenset()


def _groups(root: Place, peers: dict[str, Peer], not_destinations: set[str], context: Context) -> dict[str, PeerGroup]:
    """Groups with at least one enabled peer, by name."""
    groups: dict[str, PeerGroup] = {}
    written_peers = names_in(root, "peers")
    members = names_of(peers, {}, written_peers, (), not_destinations)
    for name, place in _named(root, "groups", context):
        if name in written_peers:
            first = root.at("peers", name).holder
            message = f"`{name}` is the name of a peer already, at {first.file}:{first.line}:{first.column}"
            context.findings.error(place.holder, "duplicate-name", message)
        spec, at = check(place, GroupSpec, context.findings)
        if spec is None:
            continue
        group = PeerGroup(name, _members(spec, at.at("all"), members, root, context))
        if group.members:
            groups[name] = group
    return groups


def _members(spec: GroupSpec, place: Place, names: Names, root: Place, context: Context) -> tuple[str, ...]:
    groups = set(names_in(root, "groups")) - names.peers
    for index, word in enumerate(spec.all):
        if word in groups:
            message = f"{place.at(index).shown} is a group; a group holds peers"
            context.error(place.at(index), "nested-group", message)
    known = Names(names.peers, frozenset(groups), names.not_destinations, names.members)
    return expand(spec.all, place, known, context)


def _warn_of_unused(root: Place, peers: dict[str, Peer], context: Context) -> None:
    in_groups = {word for name in names_in(root, "groups") for word in _words(root, "groups", name, "all")}
    in_routes = {word for index in range(_length(root, "routes")) for word in _words(root, "routes", index, "to")}
    in_queries = set(_words(root, "query_retrieve", "sources"))
    for section in ("move_destinations", "relay") if root.has("query_retrieve") else ():
        for title in names_in(root.at("query_retrieve"), section):
            in_queries |= set(_words(root, "query_retrieve", section, title))
    used = in_groups | in_routes | in_queries
    for name, peer in peers.items():
        if name not in used and not peer.may:
            message = f"no route and no group names the peer `{name}`, and it may not call us (`may`)"
            context.findings.warning(root.at("peers", name).holder, "unused-peer", message)
    for name in names_in(root, "groups"):
        if name not in in_routes | in_queries:
            message = f"no route names the group `{name}`"
            context.findings.warning(root.at("groups", name).holder, "unused-group", message)


def _length(root: Place, section: str) -> int:
    node = root.at(section).node
    return len(node.items) if isinstance(node, SequenceNode) else 0


def _words(root: Place, *path: str | int) -> list[str]:
    node = root.at(*path).node
    if not root.has(*path) or not isinstance(node, SequenceNode):
        return []
    return [item.text for item in node.items if isinstance(item, ScalarNode)]


def _warn_of_admission(root: Place, settings: Settings, peers: dict[str, Peer], context: Context) -> None:
    if settings.admit == "known" and not any(peer.may for peer in peers.values()):
        message = "`admit: known` and no peer has `may`: nobody may call us"
        context.findings.warning(root.at("gateway").holder, "nobody-admitted", message)


def _warn_of_loops(root: Place, settings: Settings, peers: dict[str, Peer], context: Context) -> None:
    """A peer that is one of our own listeners gets its objects back for ever."""
    for name, peer in peers.items():
        if peer.host and any(_is_own(peer, listener.address, listener.port) for listener in settings.listeners):
            message = f"{root.at('peers', name, 'address').shown} is our own listener: objects sent there come back"
            context.findings.warning(root.at("peers", name, "address").mark, "own-address", message)


def _is_own(peer: Peer, address: str, port: int) -> bool:
    if peer.port != port or port == 0:
        return False
    return peer.host == address or (address in ANY_ADDRESS and _is_loopback(peer.host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
