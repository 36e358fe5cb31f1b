"""The `peers:` section → `Peer`s."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from gateway.common import setting_faults as faults
from gateway.common.ip_network import IPNetwork
from gateway.common.setting_faults import listed
from gateway.config.compile_context import Context
from gateway.config.delivery_limits import compile_limits
from gateway.config.folder import compile_folder
from gateway.config.hosts import compile_hosts
from gateway.config.keep import compile_keep
from gateway.config.negotiation import compile_associate, title_or_template
from gateway.config.process import compile_address, compile_timers
from gateway.config.reporting import reporter
from gateway.config.requirements import compile_requirements, exclude_each_other
from gateway.config.spec.peers import DeliverySpec, PeerSpec, RetrySpec
from gateway.config.tree import MappingNode, Node, Place, lossless, without
from gateway.dataset.codecs import CODECS, EXPLICIT, IMPLICIT, LOSSLESS, NATIVE, TO_INSTALL, missing, short_name
from gateway.dataset.native import with_default
from gateway.model.listener import Timers
from gateway.model.peer import DestinationSettings, Peer, Retry
from gateway.model.settings import Settings
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import DestinationKind
from gateway.routing.language.kinds import build_destination

ONLY_DICOM = (
    "ae_title",
    "calling_ae_title",
    "associate",
    "may",
    "may_move_to",
    "retrieve",
    "hosts",
    "requires",
    "accept",
    "timers",
)
"""Settings that mean nothing to a folder."""
ONLY_DESTINATION = ("calling_ae_title", "associate", "delivery", "keep", "retrieve")
ONLY_REQUESTOR = ("hosts", "accept", "may_move_to")
TWO_PEERS = "; make two peers"
FIT_TO_FALL_BACK = (EXPLICIT, IMPLICIT, *LOSSLESS)


def take_destination(place: Place, context: Context) -> tuple[DestinationKind | None, Place]:
    """The destination whose kind another package brings, and the peer without it. Mistakes are reported."""
    if not isinstance(place.node, MappingNode):
        return None, place
    foreign = port_kinds.destination.of_packages()
    written = [name for name in place.node.entries if name in foreign]
    if not written:
        return None, place
    first, *others = written
    for other in [*others, *(name for name in ("address", "folder") if place.has(name))]:
        context.fault_of_key(place.at(other), faults.not_both("a peer", first, other, TWO_PEERS))
    _without_effect((*ONLY_DICOM,), f"a peer with `{first}`", place, context)
    if place.has("delivery", "fallback"):
        message = f"`fallback` means nothing for a peer with `{first}`; leave it out"
        context.findings.warning(place.at("delivery", "fallback").holder, "no-effect", message)

    kind = build_destination(first, lossless(place.at(first).node), reporter(place, context))
    node: Node = place.node
    for name in written:
        node = without(node, (name,)) or node
    return kind, Place(node, place.holder)


def compile_peer(
    name: str,
    spec: PeerSpec,
    place: Place,
    context: Context,
    settings: Settings | None,
    destination: DestinationSettings | None = None,
) -> Peer:
    """One peer; settings that it does not have are those of the gateway in `settings`. Problems are reported.
    `destination` is one of another package.
    """
    is_strict = bool(settings and settings.is_strict) if spec.strict is None else spec.strict
    host, port = ("", 0) if spec.address is None else compile_address(spec.address, place.at("address"), context)
    _check_retrieve(spec, place, context)
    classes, syntaxes = place.at("accept", "sop_classes"), place.at("accept", "transfer_syntaxes")
    return Peer(
        name=name,
        ae_title="" if spec.ae_title is None else spec.ae_title.strip(" "),
        host=host,
        port=port,
        calling_ae_title=title_or_template(spec.calling_ae_title, place.at("calling_ae_title"), context),
        associate=compile_associate(spec.associate, place.at("associate"), context),
        may=frozenset(spec.may) | ({"echo"} if spec.may else set()),
        may_move_to=tuple(title.strip(" ") for title in spec.may_move_to),
        retrieve=spec.retrieve,
        hosts=compile_hosts(spec.hosts, place.at("hosts"), context),
        requires=compile_requirements(spec.requires, place.at("requires"), context),
        accept_sop_classes=context.sop_classes(classes, spec.accept.sop_classes or ()),
        accept_transfer_syntaxes=context.transfer_syntaxes(syntaxes, spec.accept.transfer_syntaxes or ()),
        prefer_transfer_syntaxes=_preferred(spec, place.at("accept"), context),
        log_objects=spec.log.objects,
        accepts_odd_uids=spec.accept.uids == "any",
        is_strict=is_strict,
        associations=spec.delivery.associations,
        **compile_limits(spec.delivery, place.at("delivery"), context),
        keep_s=compile_keep(spec.keep, place, context, settings),
        fallback=_fallback(spec.delivery, place.at("delivery", "fallback"), context),
        is_duplicate_delivered=_is_duplicate_delivered(spec, is_strict=is_strict),
        most_refusals=spec.delivery.refusals,
        retry=_retry(spec.delivery.retry, place.at("delivery", "retry"), context),
        timers=compile_timers(spec.timers, settings.timers if settings else Timers(), place.at("timers"), context),
        destination=destination if spec.folder is None else compile_folder(spec.folder, place.at("folder"), context),
    )


def _check_retrieve(spec: PeerSpec, place: Place, context: Context) -> None:
    if spec.retrieve == "move" and "store" not in spec.may:
        message = "`retrieve: move` has the peer send to us; add `store` to its `may`"
        context.error(place.at("retrieve"), "conflict", message)


def _is_duplicate_delivered(spec: PeerSpec, *, is_strict: bool) -> bool:
    if spec.delivery.duplicate is not None:
        return spec.delivery.duplicate == "delivered"
    return not is_strict


def check_combination(place: Place, context: Context) -> None:
    """Check which settings of a peer go together. `place` holds everything that is written, right or wrong."""
    if place.has("folder"):
        if place.has("address"):
            context.fault_of_key(place.at("folder"), faults.not_both("a peer", "address", "folder", TWO_PEERS))
            return
        _without_effect(ONLY_DICOM, "a folder", place, context)
        if place.has("delivery", "fallback"):
            message = "`fallback` means nothing for a folder, which takes every transfer syntax; leave it out"
            context.findings.warning(place.at("delivery", "fallback").holder, "no-effect", message)
        return
    is_called_otherwise = place.has("associate", "ae_title") and not place.has("may")
    if not place.has("ae_title") and (place.has("address") or place.has("may")) and not is_called_otherwise:
        context.fault_of_key(place, faults.missing_setting("ae_title"))
    if not place.has("address"):
        _without_effect(ONLY_DESTINATION, "a peer without `address`", place, context)
    if not place.has("may"):
        _without_effect(ONLY_REQUESTOR, "a peer without `may`", place, context)


def _without_effect(names: Iterable[str], what: str, place: Place, context: Context) -> None:
    for name in names:
        if place.has(name):
            mark = place.at(name).holder
            context.findings.warning(mark, "no-effect", f"`{name}` means nothing for {what}; leave it out")


def _preferred(spec: PeerSpec, accept: Place, context: Context) -> tuple[str, ...]:
    """The transfer syntaxes that are accepted first, of those that are accepted at all."""
    uids = context.transfer_syntaxes(accept.at("prefer"), spec.accept.prefer or ())
    taken = context.transfer_syntaxes(accept.at("transfer_syntaxes"), spec.accept.transfer_syntaxes or ())
    for uid in uids if taken else ():
        if uid not in taken:
            message = f"{short_name(uid)} is not among the `transfer_syntaxes` that are accepted"
            context.findings.warning(accept.at("prefer").holder, "no-effect", message)
    return uids


def _fallback(spec: DeliverySpec, place: Place, context: Context) -> tuple[str, ...]:
    """Transfer syntaxes that can be written without loss."""
    uids: list[str] = []
    for index, word in enumerate(spec.fallback or ()):
        at = place.at(index)
        uid = context.transfer_syntax(at, word)
        uids.append(uid)
        if uid and uid not in FIT_TO_FALL_BACK:
            names = listed(tuple(map(short_name, FIT_TO_FALL_BACK)))
            context.error(at, "not-convertible", f"nothing is converted to {at.shown} without loss; expected {names}")
        elif packages := missing([uid]):
            message = f"{at.shown} needs {', '.join(packages)}; {TO_INSTALL}"
            context.error(at, "codecs-missing", message)
    if NATIVE.intersection(uids) and missing(CODECS):
        message = f"without codecs only objects that are not compressed can be converted; {TO_INSTALL}"
        context.findings.warning(place.holder, "codecs-missing", message)
    return with_default(tuple(dict.fromkeys(filter(None, uids))))


def _retry(spec: RetrySpec, place: Place, context: Context) -> Retry:
    retry = Retry(
        first_delay_s=context.positive_s(place, "first", text=spec.first),
        factor=float(spec.factor),
        max_delay_s=context.positive_s(place, "max", text=spec.max),
        jitter=float(spec.jitter),
        give_up_after_s=context.positive_s(place, "give_up_after", text=spec.give_up_after),
    )
    if retry.first_delay_s > retry.max_delay_s:
        at = place.at("first" if place.has("first") else "max")
        first, longest = place.written("first", spec.first), place.written("max", spec.max)
        context.error(at, "out-of-range", f"`first` ({first}) is more than `max` ({longest})")
    return retry


def check_requestors(peers: Iterable[tuple[Peer, Place]], context: Context) -> None:
    """Report pairs of peers that both fit one requestor: their settings could not be told apart."""
    by_title: dict[str, list[tuple[Peer, Place]]] = {}
    for peer, place in peers:
        if peer.may and peer.ae_title:
            by_title.setdefault(peer.ae_title, []).append((peer, place))
    for same in by_title.values():
        for index, (peer, place) in enumerate(same):
            rival = next((other for other, _ in same[:index] if _overlap(peer, other)), None)
            if rival is not None:
                message = (
                    f"`{peer.name}` and `{rival.name}` both call as {peer.ae_title} from the same hosts; "
                    "give them `hosts` that do not overlap, or a certificate or listener each under `requires`, "
                    "or make them one peer"
                )
                context.findings.error(place.holder, "ambiguous-requestor", message)


def _overlap(one: Peer, other: Peer) -> bool:
    if exclude_each_other(one.requires, other.requires):
        return False
    if not one.hosts or not other.hosts:
        return True
    return any(
        here.version == there.version and here.overlaps(there) for here in _networks(one) for there in _networks(other)
    )


def _networks(peer: Peer) -> list[IPNetwork]:
    return [ipaddress.ip_network(host) for host in peer.hosts]
