"""Peers with an address: looked up, connected, associated with as the gateway does, and asked for a C-ECHO."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from gateway.certificates import ends_at
from gateway.common.daemon_thread import started
from gateway.dimse.acceptor.hosts import is_within
from gateway.dimse.protocol import tls_failures
from gateway.doctor.catalogue import REJECTIONS
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.site import Site
from gateway.model.listener import Listener, Timers
from gateway.model.peer import Peer
from gateway.ports.errors import ConfigurationError, NoContextAccepted, PeerError, PeerFailure
from gateway.routing.ae_title_templates import is_template
from gateway.scu import echo_store

CONNECTING: dict[int, str] = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ETIMEDOUT: "no-connection",
    errno.EADDRNOTAVAIL: "own-address",
    errno.EADDRINUSE: "own-address",
    errno.EACCES: "own-address",
}
"""Error number of a connection that was not made → code; others: `not-reachable`."""
ENDED_BY_PEER = ("aborted by the", "connection lost", "the peer closed")
STRANGE_TYPES = {"PDU type 0x15": ": that is TLS", "PDU type 0x48": ": that looks like HTTP"}
"""The first byte of an answer that is no PDU of DICOM → its protocol."""
SOON = timedelta(days=30)
FAMILY_OF_ANY_ADDRESS = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}  # noqa: S104 - compared, not bound


async def peer(one: Peer, site: Site) -> list[DoctorFinding]:
    """The findings about one peer; a note when it answers."""
    subject = subject_of(one)
    try:
        addresses = await _look_up(one, site.limit_s)
    except TimeoutError:
        return [found("name-not-looked-up", subject, f"{one.host}: no answer in {site.limit_s:g} s")]
    except OSError as error:
        code = "name-not-looked-up" if error.errno == socket.EAI_AGAIN else "name-not-found"
        return [found(code, subject, f"{one.host}: {error.strerror}")]
    here = [listener for listener in site.settings.listeners if _is_there(listener, addresses, one.port)]
    if here:
        return [found("this-gateway", subject, f"{_listed(addresses)} is this machine, and listener {here[0].name}")]
    return [*_elsewhere(one, subject, addresses), *await _echo(one, subject, addresses, site)]


def subject_of(one: Peer) -> str:
    """The peer, as findings name it."""
    return f"{one.name} ({called(one)} at {one.host}:{one.port})"


def called(one: Peer) -> str:
    """The AE title that we call it by."""
    return _plain(one.associate.called_ae_title) or one.ae_title


def own_title(one: Peer, site: Site) -> str:
    """The AE title by which we call ourselves. One that is made for a requestor is not: the doctor has none."""
    return _plain(one.calling_ae_title) or site.settings.ae_title


def _plain(title: str) -> str:
    return "" if is_template(title) else title


def limited(one: Peer, limit_s: float) -> Peer:
    """The peer with shorter time limits."""
    limits = {name: min(getattr(one.timers, name), limit_s) for name in Timers.__dataclass_fields__}
    return replace(one, timers=Timers(**limits))


async def _look_up(one: Peer, limit_s: float) -> list[str]:
    """Numeric addresses. Raises OSError, TimeoutError."""
    outcome, _ = started(partial(socket.getaddrinfo, one.host, one.port, type=socket.SOCK_STREAM), "name")
    async with asyncio.timeout(limit_s):
        return list(dict.fromkeys(str(place[0]) for *_, place in await outcome))


def _is_there(listener: Listener, addresses: Iterable[str], port: int) -> bool:
    """True when one of the addresses leads to the listener."""
    if listener.port != port or port == 0:
        return False
    family = FAMILY_OF_ANY_ADDRESS.get(listener.address)
    return any(
        address == listener.address or (family == _family(address) and is_own_address(address)) for address in addresses
    )


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def is_own_address(address: str) -> bool:
    """True when it is one of this machine: only those can be bound. Nothing is sent."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _elsewhere(one: Peer, subject: str, addresses: list[str]) -> Iterator[DoctorFinding]:
    """A warning when the peer may call only from other hosts than the one at which we call it."""
    if one.may and one.hosts and not any(is_within(address, one.hosts) for address in addresses):
        what = f"`hosts` is {_listed(one.hosts)}, and we call it at {_listed(addresses)}"
        yield found("calls-from-elsewhere", subject, what)


async def _echo(one: Peer, subject: str, addresses: list[str], site: Site) -> list[DoctorFinding]:
    """The findings of a C-ECHO at the first address that takes a connection; when none does, those of the first one."""
    first: DoctorFinding | None = None
    own = own_title(one, site)
    for address in addresses:
        try:
            answer = await echo_store.echo(_at(one, address, site.limit_s), site.settings.ae_title)
        except NoContextAccepted:
            return [found("no-verification", subject, f"it took an association from {own}; C-ECHO it does not serve")]
        except PeerError as error:
            finding = failed(error, subject, one, own, address)
            if error.failure is None or error.failure.step not in ("connect", "connect_timeout"):
                return [finding]
            first = first or finding
        except (ConfigurationError, ValueError) as error:
            return [found("tls-unusable", subject, str(error), area="peer")]
        else:
            return list(_answered(answer, subject, own, site.machine.now()))
    return [first] if first is not None else []


def _at(one: Peer, address: str, limit_s: float) -> Peer:
    """The peer at one address, with shorter time limits: TLS still sees the name, which its certificate must carry."""
    tls = one.associate.tls
    if tls is not None and not tls.server_name:
        tls = replace(tls, server_name=one.host)
    return replace(limited(one, limit_s), host=address, associate=replace(one.associate, tls=tls))


def _answered(answer: echo_store.EchoResult, subject: str, own: str, now: datetime) -> Iterator[DoctorFinding]:
    if answer.certificate:
        left = ends_at(answer.certificate) - now
        if left <= SOON:
            yield found("certificate-ends", subject, f"it ends in {max(0, left.days)} days")
    if answer.status:
        yield found("echo-refused", subject, f"status 0x{answer.status:04X}, to calling AE title {own}")
        return
    total_s = answer.association_s + answer.echo_s
    yield found("echo-answered", subject, f"in {total_s * 1000:.0f} ms, to calling AE title {own}")


def failed(error: PeerError, subject: str, one: Peer, own: str, address: str) -> DoctorFinding:
    """The finding for a failed association, sorted by who must act."""
    failure, text = error.failure, _own_words(str(error), one, address)
    titles = f"we called it {called(one)} and ourselves {own}"
    match failure:
        case None:
            code = "echo-aborted" if text.startswith(ENDED_BY_PEER) else "echo-not-answered"
            return found(code, subject, f"{text}; {titles}")
        case PeerFailure(step="rejected", reject=(result, source, reason)):
            code = REJECTIONS.get((source, reason), "rejected")
            kind = "for now" if result == 2 else "for good"
            return found(code, subject, f"rejected {kind} ({result}/{source}/{reason}, PS3.8 §9.3.4); {titles}")
        case PeerFailure(step="connect"):
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            code = CONNECTING.get(number or 0, "not-reachable")
            if "attempting to bind" in str(error.__cause__):
                code = "own-address"
            return found(code, subject, f"{address}: {os.strerror(number) if number else text}")
        case PeerFailure(step="connect_timeout"):
            return found("no-connection", subject, f"{address}: nothing in {one_timer(error)}")
        case PeerFailure(step="certificate"):
            return found("certificate-refused", subject, text, remedy=_about_certificate(error.__cause__))
        case PeerFailure(step="tls"):
            return found("tls-failed", subject, text)
        case PeerFailure(step="no_answer"):
            return found("no-answer", subject, f"connected, and then silence; {titles}")
    if text.startswith(ENDED_BY_PEER):
        return found("aborted", subject, f"{text}; {titles}")
    hint = STRANGE_TYPES.get(text, "")
    return found("no-dicom", subject, f"{text}{hint}")


def _about_certificate(error: BaseException | None) -> str:
    """The remedy for the certificate of a peer; empty where the catalogue has it."""
    code = getattr(error, "verify_code", None)
    if code in tls_failures.DATES:
        return "have it renewed; if its dates are right, set the clock of this machine"
    if code in tls_failures.NAMES:
        return (
            "write a name that it is for in `associate.tls_args.server_name`, after a look whether `address` is right"
        )
    if code in tls_failures.STRANGERS:
        return "put the certificate of its authority, or itself where it has none, in `associate.tls_args.ca`"
    if code in tls_failures.LISTS:
        return "put a revocation list of its authority that is in date in `associate.tls_args.crl`"
    return ""


def one_timer(error: PeerError) -> str:
    """The time limit that the message of a time-out ends with."""
    return str(error).rpartition(" in ")[2]


def _own_words(text: str, one: Peer, address: str) -> str:
    """The text without the peer, which stands before it."""
    for name in (f"{one.name} ({called(one)} at {address}:{one.port})", f"{one.name} at {address}:{one.port}"):
        text = text.removeprefix(name).lstrip(": ")
    return text


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
