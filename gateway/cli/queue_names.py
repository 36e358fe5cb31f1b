"""Names that an operator gives `gateway queue`: those of nothing are wrong usage."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.options import load_rules, usable_table
from gateway.cli.queue_verbs import done
from gateway.common.setting_faults import did_you_mean, names_nothing
from gateway.model.ae_title import fault_of_ae_title
from gateway.model.delivery import IN_PLACE_OF_ROUTES
from gateway.operations.delivery_listing import destinations, is_known_destination, is_known_rule
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store_access import StoreAccess


def require_destination(name: str, rules: Path) -> None:
    """Refuse the name of what nothing can be sent to. Exits 2."""
    known = [peer.name for peer in usable_table(rules).peers.values() if peer.is_destination]
    if name not in known:
        raise click.BadParameter(names_nothing(name, "is no destination", known), param_hint="--to")


def require_sender(name: str, rules: Path) -> None:
    """Refuse a sender that no peer is, by name or AE title; where strangers may send, any AE title is one. Exits 2."""
    table = load_rules(rules).table
    peers = {} if table is None else table.peers
    titles = {peer.ae_title for peer in peers.values() if peer.ae_title}
    if name in peers or name in titles:
        return
    if table is not None and table.settings.admit == "any" and not fault_of_ae_title(name):
        return
    what = "is no peer and no AE title of one" if table else "cannot be looked up in rules with errors"
    raise click.BadParameter(names_nothing(name, what, {*peers, *titles}), param_hint="--sender")


def require_rule(name: str, access: StoreAccess, rules: Path) -> None:
    """Refuse the name of a rule that is no route, and made nothing that is there. Exits 2."""
    table = load_rules(rules).table
    known = [route.name for route in table.routes] if table is not None else []
    if name in known or (name not in IN_PLACE_OF_ROUTES and done(is_known_rule(access, name))):
        return
    what = "is no route" if table is not None else "cannot be looked up in rules with errors"
    raise click.BadParameter(names_nothing(name, what, known), param_hint="--rule")


def require_known(which: DeliveryFilter, access: StoreAccess, rules: Path) -> None:
    """Refuse the name of a destination or rule that neither the queue nor the rules know: `nothing` would be no
    answer."""
    _require_known_destination(which, access, rules)
    if not which.rule or which.rule in IN_PLACE_OF_ROUTES or done(is_known_rule(access, which.rule)):
        return
    table = load_rules(rules).table
    known = [route.name for route in table.routes] if table is not None else []
    if which.rule not in known:
        what = "is no route, and" if table is not None else "cannot be looked up in rules with errors, and"
        near = did_you_mean(which.rule, known)
        raise click.BadParameter(f"{which.rule!r} {what} nothing is queued by it{near}", param_hint="--rule")


def _require_known_destination(which: DeliveryFilter, access: StoreAccess, rules: Path) -> None:
    if not which.destination or done(is_known_destination(access, which.destination)):
        return
    table = load_rules(rules).table
    peers = table.peers if table is not None else {}
    if which.destination in peers:
        return
    what = "is no peer, and" if table is not None else "cannot be looked up in rules with errors, and"
    known = {*peers, *done(destinations(access))}
    raise click.BadParameter(
        names_nothing(which.destination, f"{what} nothing is queued for it", known), param_hint="--destination"
    )
