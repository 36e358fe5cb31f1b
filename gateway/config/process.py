"""The `gateway:` section → `Settings`."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import replace
from urllib.parse import urlsplit

from gateway.common import setting_faults as faults
from gateway.common.ip_network import ANY_ADDRESS
from gateway.common.quantity import duration_s, host_and_port, size_bytes
from gateway.config.compile_context import Context
from gateway.config.hosts import compile_hosts
from gateway.config.operators import compile_operators
from gateway.config.requirements import compile_identity_check
from gateway.config.spec.process import (
    ConversionSpec,
    GatewaySpec,
    LimitsSpec,
    ListenerSpec,
    LoopsSpec,
    ProxyProtocolSpec,
    SpoolSpec,
)
from gateway.config.spec.timers import TimersSpec
from gateway.config.store import compile_node, compile_objects, compile_postgresql, compile_unsealed_limit
from gateway.config.tls import compile_listener_tls
from gateway.config.tree import Place, ScalarNode
from gateway.forms.groups import settings
from gateway.model.listener import Limits, Listener, Timers
from gateway.model.settings import HTTP, ConversionLimits, Loops, Settings, Spool

HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
HTTP_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*|[^\s:\[\]/]+)(:[0-9]{1,5})?")
LEAST_CONVERSION_BYTES = 64 * 1024**2
SMALLEST_SEGMENT_BYTES = 1024**2


def compile_settings(spec: GatewaySpec, place: Place, context: Context) -> Settings:
    """Process settings; what is wrong is reported and stands in them as it was written."""
    listeners = _listeners(spec.listeners, place.at("listeners"), context)
    return Settings(
        ae_title=spec.ae_title.strip(" "),
        listeners=listeners,
        spool=_spool(spec.spool, place.at("spool"), context),
        queue_path=context.at_work(spec.queue.sqlite),
        postgresql=compile_postgresql(spec, place, context),
        objects=compile_objects(spec.store, place.at("store"), context),
        unsealed_limit_bytes=compile_unsealed_limit(spec.store, place.at("store"), context),
        node=compile_node(spec.store, place.at("store"), context),
        queue_min_free_bytes=size_bytes(spec.queue.min_free),
        queue_reserve_bytes=size_bytes(spec.queue.reserve),
        http=_http(spec, place, listeners, context),
        admit=spec.admit,
        is_strict=spec.strict,
        called_ae_titles=tuple(title.strip(" ") for title in spec.called_ae_titles),
        timers=compile_timers(spec.timers, Timers(), place.at("timers"), context),
        limits=_limits(spec.limits, place.at("limits"), context),
        drain_s=duration_s(spec.drain),
        file_access=spec.file_access,
        secret_folders=_secret_folders(spec, place.at("secret_folders"), context),
        pid_file="" if spec.pid_file is None else context.at_work(spec.pid_file),
        loops=_loops(spec.loops, place.at("loops"), context),
        conversion=_conversion(spec.conversion, place.at("conversion"), context),
        log_objects=spec.log.objects,
    )


def compile_timers(spec: TimersSpec, base: Timers, place: Place, context: Context) -> Timers:
    """`base` with what `spec` says."""
    written = {
        f"{name}_s": context.positive_s(place, name, text=text)
        for name in settings(TimersSpec)
        if (text := getattr(spec, name)) is not None
    }
    return replace(base, **written)


def host_fault(host: str, *, is_numeric: bool = False) -> str:
    """The fault of a host; empty when there is none."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if is_numeric:
            return "is not a numeric address such as `10.1.0.5` or `[::1]`"
        if re.fullmatch(r"[0-9.]+", host):
            return "is not an IPv4 address: four numbers from 0 to 255"
        if len(host) > 253 or not HOST_NAME.fullmatch(host):
            return "is not a host name"
    return ""


def compile_address(text: str, place: Place, context: Context, *, is_listener: bool = False) -> tuple[str, int]:
    """(host, port) of ``host:port``, with the mistakes that a pattern cannot see."""
    host, port = host_and_port(text)
    if fault := host_fault(host):
        context.error(place, "bad-host", f"the host of {place.shown} {fault}")
    if not (0 if is_listener else 1) <= port <= 65535:
        context.fault(place, faults.out_of_range("a port from 1 to 65535", place.shown))
    return host, port


def _conversion(spec: ConversionSpec, place: Place, context: Context) -> ConversionLimits:
    memory_bytes = size_bytes(spec.memory)
    if memory_bytes < LEAST_CONVERSION_BYTES:
        context.fault(place.at("memory"), faults.out_of_range("at least 64 MiB", place.at("memory").shown))
    return ConversionLimits(
        workers=spec.workers,
        memory_bytes=memory_bytes,
        time_limit_s=context.positive_s(place, "time_limit", text=spec.time_limit),
    )


def _loops(spec: LoopsSpec, place: Place, context: Context) -> Loops:
    return Loops(
        hops=spec.hops,
        returns=spec.returns,
        repeats=spec.repeats,
        within_s=context.positive_s(place, "within", text=spec.within),
    )


def _spool(spec: SpoolSpec, place: Place, context: Context) -> Spool:
    segment_bytes = size_bytes(spec.segment_size)
    if not SMALLEST_SEGMENT_BYTES <= segment_bytes <= 4 * 1024**3:
        at = place.at("segment_size")
        context.fault(at, faults.out_of_range("1 MiB to 4 GiB", at.shown))
    large_object_bytes = size_bytes(spec.large_object)
    if large_object_bytes > segment_bytes:
        at = place.at("large_object" if place.has("large_object") else "segment_size")
        large = place.written("large_object", spec.large_object)
        segment = place.written("segment_size", spec.segment_size)
        message = f"`large_object` ({large}) is more than `segment_size` ({segment})"
        context.error(at, "out-of-range", message)
    return Spool(
        path=context.at_work(spec.path),
        min_free_bytes=size_bytes(spec.min_free),
        retention_s=duration_s(spec.retention),
        quarantine_retention_s=duration_s(spec.quarantine_retention),
        keep_trace_s=duration_s(spec.keep_trace),
        segment_bytes=segment_bytes,
        large_object_bytes=large_object_bytes,
    )


def _secret_folders(spec: GatewaySpec, place: Place, context: Context) -> tuple[str, ...]:
    if spec.secret_folders is None:
        return ()
    for index, folder in enumerate(spec.secret_folders):
        at = place.at(index)
        path = os.path.realpath(context.beside(at, folder))
        if path == os.path.sep:
            message = "${file:…} could read every file of the machine; name the folder that holds the secrets"
            context.error(at, "root-is-everything", message)
        elif not os.path.exists(path):
            message = f"the folder {at.shown} is not there ({path})"
            context.findings.warning(at.mark, "no-such-folder", message)
        elif not os.path.isdir(path):
            message = f"{at.shown} is no folder, so that nothing can be read from it; name the folder that holds it"
            context.findings.warning(at.mark, "not-a-folder", message)
    return spec.secret_folders


def _warn_of_limits(place: Place, context: Context, *pairs: tuple[str, int, str, int]) -> None:
    """A limit of some that is written and more than that of all: only the lower one ever holds."""
    for name, value, of_all, most in pairs:
        if place.has(name) and value > most:
            at = place.at(name)
            message = (
                f"{at.shown} is more than `{of_all}` ({most}), so that it limits nothing; lower it, or leave it out"
            )
            context.findings.warning(at.mark, "no-effect", message)


def _limits(spec: LimitsSpec, place: Place, context: Context) -> Limits:
    for name in ("command_size", "object_size", "inflated"):
        if size_bytes(getattr(spec, name)) < 1024:
            context.fault(place.at(name), faults.out_of_range("at least 1 KiB", place.at(name).shown))
    strangers = spec.associations_of_strangers
    if strangers is not None and strangers > spec.associations:
        message = f"{place.at('associations_of_strangers').shown} is more than `associations` ({spec.associations})"
        context.error(place.at("associations_of_strangers"), "out-of-range", message)
    _warn_of_limits(
        place,
        context,
        ("associations_per_peer", spec.associations_per_peer, "associations", spec.associations),
        ("associations_per_host", spec.associations_per_host, "associations", spec.associations),
        ("unassociated_per_host", spec.unassociated_per_host, "unassociated", spec.unassociated),
    )
    return Limits(
        associations=spec.associations,
        associations_per_peer=spec.associations_per_peer,
        max_pdu_bytes=spec.max_pdu,
        command_bytes=size_bytes(spec.command_size),
        object_bytes=size_bytes(spec.object_size),
        inflated_bytes=size_bytes(spec.inflated),
        inflated_ratio=spec.inflated_ratio,
        associations_of_strangers=strangers or 0,
        associations_per_host=spec.associations_per_host,
        unassociated=spec.unassociated,
        unassociated_per_host=spec.unassociated_per_host,
    )


def _listeners(specs: tuple[ListenerSpec, ...], place: Place, context: Context) -> tuple[Listener, ...]:
    listeners: list[Listener] = []
    names: dict[str, Place] = {}
    for index, spec in enumerate(specs):
        here = place.at(index)
        listener = _listener(spec, here, context)
        for other in listeners:
            if _is_same_place(listener.address, listener.port, other.address, other.port):
                message = f"the port {listener.port} is taken by the listener `{other.name}` already"
                context.error(here.at("port"), "duplicate-port", message)
                break
        else:
            if listener.name in names:
                first = names[listener.name].mark
                message = f"two listeners are named `{listener.name}`; the first is at {first.line}:{first.column}"
                context.error(here.at("name"), "duplicate-name", message)
        names.setdefault(listener.name, here)
        listeners.append(listener)
    return tuple(listeners)


def _listener(spec: ListenerSpec, place: Place, context: Context) -> Listener:
    address = spec.address.removeprefix("[").removesuffix("]")
    if fault := host_fault(address, is_numeric=True):
        at = place.at("address")
        context.error(at, "bad-host", f"{at.shown} {fault}")
    is_everywhere = address in ANY_ADDRESS
    default_name = f"port-{spec.port}" if is_everywhere else f"port-{spec.port}-{address.replace(':', '-')}"
    return Listener(
        name=default_name if spec.name is None else spec.name,
        port=spec.port,
        address=address,
        tls=None if spec.tls is None else compile_listener_tls(spec.tls, place.at("tls"), context),
        user_identity=None
        if spec.user_identity is None
        else compile_identity_check(spec.user_identity, place.at("user_identity"), context),
        proxies=() if spec.proxy_protocol is None else _proxies(spec.proxy_protocol, place, context),
    )


def _proxies(spec: ProxyProtocolSpec, place: Place, context: Context) -> tuple[str, ...]:
    at = place.at("proxy_protocol", "from")
    proxies = compile_hosts(spec.from_, at, context)
    for index, text in enumerate(spec.from_):
        if text.endswith("/0"):
            message = (
                f"{at.at(index).shown} is every address: whoever reaches the port can say to call from any other; "
                "name the balancers"
            )
            context.findings.warning(at.at(index).mark, "every-address", message)
    return proxies


def _check_http_host(text: str, place: Place, context: Context) -> None:
    """A Host header is compared with these as they stand: what is no host fits none (RFC 9110 §7.2)."""
    match = HTTP_HOST.fullmatch(text)
    if match is not None and not host_fault(match[1].removeprefix("[").removesuffix("]")):
        return
    try:
        meant = urlsplit(text).hostname or ""
    except ValueError:
        meant = ""
    is_secret = isinstance(place.node, ScalarNode) and place.node.is_secret
    near = f" (did you mean `{meant}`?)" if meant and not host_fault(meant) and not is_secret else ""
    message = (
        f"expected a host name such as `gateway.example.org`, without scheme, path and wild card, found {place.shown}"
    )
    context.error(place, "bad-host", f"{message}{near}")


def _is_same_place(address: str, port: int, other_address: str, other_port: int) -> bool:
    if port != other_port or port == 0:
        return False
    if (":" in address) != (":" in other_address):
        return False
    return address == other_address or bool(ANY_ADDRESS & {address, other_address})


def _http(spec: GatewaySpec, place: Place, listeners: tuple[Listener, ...], context: Context) -> HTTP | None:
    if spec.http is None:
        return None
    at = place.at("http", "address")
    address, port = compile_address(spec.http.address, at, context, is_listener=True)
    for listener in listeners:
        if _is_same_place(address, port, listener.address, listener.port):
            context.error(at, "duplicate-port", f"the port {port} is taken by the listener `{listener.name}` already")
    for index, host in enumerate(spec.http.hosts):
        _check_http_host(host, place.at("http", "hosts", index), context)
    here, connections = place.at("http"), spec.http.connections
    _warn_of_limits(here, context, ("connections_per_host", spec.http.connections_per_host, "connections", connections))
    operators = compile_operators(spec.http.operators, place.at("http", "operators"), context)
    return HTTP(address, port, spec.http.hosts, connections, spec.http.connections_per_host, operators)
