"""The sections `peers`, `groups` and `user_identities`: the peers that take part, and how users are verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.config.compile_context import Context
from gateway.config.destination_names import Names, names_of
from gateway.config.groups import compile_groups
from gateway.config.hosts import warn_of_balancers
from gateway.config.identities import compile_identity_method
from gateway.config.peers import check_combination, check_requestors, compile_peer, take_destination
from gateway.config.requirements import check_requirements, warn_of_clear_secrets, warn_of_unknown_users
from gateway.config.section import names_in
from gateway.config.spec.peers import PeerSpec
from gateway.config.spec.user_identities import IdentityMethodSpec
from gateway.config.top_level import named
from gateway.config.tree import MappingNode, Place
from gateway.config.typed_tree import check
from gateway.model.peer import Peer, PeerGroup
from gateway.model.security import IdentityMethod, Requirements
from gateway.model.settings import Settings


@dataclass(frozen=True, slots=True)
class Parties:
    """Peers, groups, and verifications of users."""

    peers: dict[str, Peer]
    """The enabled peers, by name."""
    groups: dict[str, PeerGroup]
    """The groups with an enabled peer, by name."""
    identity_methods: dict[str, IdentityMethod]
    reserved_ae_titles: frozenset[str]
    """AE titles of disabled peers that may call when they are enabled."""
    names: Names
    """The names for `to`."""


def compile_parties(root: Place, settings: Settings | None, context: Context, *, is_checked: bool) -> Parties:
    """Peers, listeners and groups; problems are reported. Their demands on listeners are checked only when `settings`
    have no mistake: `is_checked`."""
    peers, not_destinations, written = _peers(root, settings, context)
    listeners = settings.listeners if settings and is_checked else None
    if listeners is not None:
        check_requirements(written, listeners, context)
        warn_of_balancers(written, listeners, context)
    identity_methods = _identity_methods(root, context)
    if listeners is not None:
        warn_of_clear_secrets(written, listeners, root.at("gateway"), identity_methods, context)
        warn_of_unknown_users(written, listeners, root.at("gateway"), identity_methods, context)
    groups = compile_groups(root, peers, not_destinations, context)
    names = names_of(peers, groups, names_in(root, "peers"), names_in(root, "groups"), not_destinations)
    return Parties(peers, groups, identity_methods, _reserved(written, peers), names)


def _peers(
    root: Place, settings: Settings | None, context: Context
) -> tuple[dict[str, Peer], set[str], list[tuple[Peer, Place]]]:
    """Enabled peers by name, the names of those that only call us, and all peers, disabled or not, where they stand."""
    enabled: dict[str, Peer] = {}
    not_destinations: set[str] = set()
    requestors: list[tuple[Peer, Place]] = []
    written: list[tuple[Peer, Place]] = []
    for name, place in named(root, "peers", context):
        destination, rest = take_destination(place, context)
        if isinstance(rest.node, MappingNode) and rest is place:
            check_combination(place, context)
        spec, at = check(rest, PeerSpec, context.findings)
        if spec is None:
            continue
        peer = compile_peer(name, spec, at, context, settings, destination)
        if not peer.is_destination and not at.lost and rest is place:
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
    for name, place in named(root, "user_identities", context):
        spec, at = check(place, IdentityMethodSpec, context.findings)
        method = None if spec is None else compile_identity_method(spec, at, context)
        if method is not None:
            methods[name] = method
    return methods
