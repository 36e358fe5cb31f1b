"""One located tree → `Settings` and `RoutingTable`, with every mistake reported."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, replace

from gateway.common import setting_faults as faults
from gateway.common.ip_network import ANY_ADDRESS
from gateway.config.collections import compile_collections, warn_of_unused_collections
from gateway.config.compile_context import Context
from gateway.config.conditions import Conditions
from gateway.config.destination_names import Names
from gateway.config.hidden_studies import compile_hide
from gateway.config.never import Never
from gateway.config.parties import Parties, compile_parties
from gateway.config.query_retrieve import compile_query_retrieve
from gateway.config.rules import compile_coercions, compile_retrieve_coercions, compile_routes
from gateway.config.section import compile_section, names_in, with_identity_methods
from gateway.config.source import Source
from gateway.config.spec.query_retrieve import QueryRetrieveSpec
from gateway.config.targets import is_template
from gateway.config.top_level import check_sections, named, unmatched_policy, unreadable_policy
from gateway.config.tree import MappingNode, Place, ScalarNode, SequenceNode
from gateway.config.typed_tree import check
from gateway.config.unsendable import warn_of_unsendable
from gateway.model.peer import Peer
from gateway.model.settings import QueryRetrieve, Settings, UnmatchedPolicy
from gateway.query.attributes import indexed_paths
from gateway.routing.language.resources import MIN_KEY_CHARACTERS, FileResources
from gateway.routing.table import Coercion, RetrieveCoercion, Route, RoutingTable
from gateway.routing.visibility_rules import VisibilityRule


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
    check_sections(root, context)
    unmatched = unmatched_policy(root, context)
    unreadable = unreadable_policy(root, context)
    parties = compile_parties(root, settings, context, is_checked=process_settings is not None)
    conditions = Conditions(dict(named(root, "conditions", context)))
    listeners = frozenset(one.name for one in process_settings.listeners) if process_settings else None
    resources = FileResources(_secrets(root, context), source.folders, conditions.named)
    never = Never(settings, parties.peers) if settings and not context.findings.has_errors else None
    context = replace(context, files=resources, listeners=listeners, never=never)
    conditions.compile(context)
    rules = _rules(root, parties, settings, unmatched, context)
    conditions.close()
    if settings is None or unmatched is None:
        return Compiled(None, process_settings)
    _warn(root, settings, parties.peers, rules.routes, conditions, context)
    table = RoutingTable(
        version=_version(source, context.resources),
        settings=settings,
        coercions=rules.coercions,
        routes=rules.routes,
        peers=parties.peers,
        groups=parties.groups,
        unmatched=unmatched,
        unreadable=unreadable,
        identity_methods=parties.identity_methods,
        reserved_ae_titles=parties.reserved_ae_titles,
        resources=context.resources,
        query_retrieve=rules.query_retrieve,
        retrieve_coercions=rules.retrieve_coercions,
        hidden=rules.hidden,
        indexed=indexed_paths() if rules.query_retrieve.is_local else (),
    )
    return Compiled(table, process_settings)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The compiled rules for objects and queries."""

    coercions: tuple[Coercion, ...]
    routes: tuple[Route, ...]
    query_retrieve: QueryRetrieve
    retrieve_coercions: tuple[RetrieveCoercion, ...]
    hidden: tuple[VisibilityRule, ...]


def _rules(
    root: Place, parties: Parties, settings: Settings | None, unmatched: UnmatchedPolicy | None, context: Context
) -> _Rules:
    coercions = compile_coercions(root.at("coercions"), context) if root.has("coercions") else ()
    collections = compile_collections(root, parties, unmatched, context)
    routes: tuple[Route, ...] = ()
    if root.has("routes"):
        routes = compile_routes(root.at("routes"), parties.names, collections, context, settings)
    if not context.findings.has_errors:
        warn_of_unused_collections(root, collections, routes, context)
    return _Rules(coercions, routes, *_query_retrieve(root, parties.peers, parties.names, context))


def _warn(
    root: Place,
    settings: Settings,
    peers: dict[str, Peer],
    routes: tuple[Route, ...],
    conditions: Conditions,
    context: Context,
) -> None:
    """Warn of settings that are no mistake, but hardly meant."""
    _warn_of_loops(root, settings, peers, context)
    if context.findings.has_errors:
        return  # a mistake in a name would show as two
    _warn_of_unused(root, peers, context)
    conditions.warn_of_unused(context)
    _warn_of_admission(root, settings, peers, context)
    warn_of_unsendable(root, routes, peers, context)


def _query_retrieve(
    root: Place, peers: dict[str, Peer], names: Names, context: Context
) -> tuple[QueryRetrieve, tuple[RetrieveCoercion, ...], tuple[VisibilityRule, ...]]:
    place = root.child("query_retrieve")
    if place is None or not isinstance(place.node, MappingNode):
        return QueryRetrieve(), (), ()
    spec, at = check(place, QueryRetrieveSpec, context.findings)
    if spec is None:
        return QueryRetrieve(), (), ()
    coercions = compile_retrieve_coercions(spec.coercions, at.at("coercions"), names, context) if spec.coercions else ()
    hidden = compile_hide(spec.hide, at.at("hide"), names, context) if spec.hide else ()
    return compile_query_retrieve(spec, at, peers, names, context), coercions, hidden


def _secrets(root: Place, context: Context) -> dict[str, bytes]:
    """The section `keys`. A problem is reported, and the key gets a stand-in so that its users are not reported too."""
    secrets = dict.fromkeys(names_in(root, "keys"), bytes(MIN_KEY_CHARACTERS))
    for name, place in named(root, "keys", context):
        node = place.node
        if not isinstance(node, ScalarNode) or node.value is None:
            context.fault(place, faults.wrong_type("a secret such as ${file:PATH}", "none"))
        elif len(node.text) < MIN_KEY_CHARACTERS:
            message = f"the secret has {len(node.text)} characters; at least {MIN_KEY_CHARACTERS} are needed"
            context.error(place, "short-key", message)
        else:
            secrets[name] = node.text.encode()
            context.warn_of_plain(place, "secret")
    return secrets


def _version(source: Source, resources: FileResources) -> str:
    """The version of the YAML files and of the tables that they name."""
    tables = resources.digest()
    return hashlib.sha256(source.version.encode() + tables).hexdigest()[:12] if tables else source.version


def _warn_of_unused(root: Place, peers: dict[str, Peer], context: Context) -> None:
    in_groups = {word for name in names_in(root, "groups") for word in _words(root, "groups", name, "all")}
    every_word = [word for index in range(_length(root, "routes")) for word in _words(root, "routes", index, "to")]
    if any(map(is_template, every_word)):
        return  # it may name any of them
    in_routes = set(every_word)
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
