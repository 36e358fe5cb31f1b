"""The connection of an association that we ask for: TCP, then TLS where the peer has it, each with a time limit."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from gateway.common.steady_clock import utc_now
from gateway.dimse.protocol.connection import AssociationTransport
from gateway.dimse.protocol.peer_certificate import mismatch, shown_certificate
from gateway.dimse.protocol.tls_contexts import CLIENT_CONTEXTS
from gateway.dimse.protocol.tls_failures import our_certificate_refused, server_refused, shown_unverified
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses, PeerFailure

TLSOverride = tuple[ssl.SSLContext, str | None]
"""A TLS context and a server name in place of the peer's settings."""


async def connect(association: AssociationTransport, peer: Peer, override: TLSOverride | None = None) -> None:
    """Connect `association` to `peer`.

    Raises:
        DestinationDown: connection refused or timed out, name not found, no TLS handshake.
        DestinationRefuses: a certificate that is not taken, by the peer or by us.
        ConfigurationError: TLS files cannot be used.
    """
    tls = peer.associate.tls
    context, server_name = override or (CLIENT_CONTEXTS.get(tls) if tls is not None else None, None)
    wanted_name = server_name or (tls.server_name if tls is not None else "") or peer.host
    transport = await _reached(association, peer)
    if context is None:
        return
    encrypted = await _encrypted(association, peer, transport, context, wanted_name)
    wanted = tls.server_certificate if tls is not None and override is None else None
    if wanted is not None and (unmet := mismatch(wanted, shown_certificate(encrypted))):
        encrypted.abort()
        text = f"{_place_of(peer)} is not who it should be: it shows {unmet}"
        raise DestinationRefuses(text, PeerFailure("certificate"))
    association.attach(encrypted)


async def _reached(association: AssociationTransport, peer: Peer) -> asyncio.Transport:
    """The TCP connection. Raises DestinationDown."""
    where = _place_of(peer)
    try:
        async with asyncio.timeout(peer.timers.connect_s):
            return await _transport(association, peer)
    except TimeoutError:
        text = f"{where} did not take the connection in {peer.timers.connect_s:g} s"
        raise DestinationDown(text, PeerFailure("connect_timeout")) from None
    except OSError as error:
        failure = PeerFailure("name" if isinstance(error, socket.gaierror) else "connect")
        raise DestinationDown(f"{where} cannot be reached: {_in_words(error)}", failure) from error
    except OverflowError as error:
        text = f"{where} cannot be reached: there is no such port"
        raise DestinationDown(text, PeerFailure("connect")) from error


async def _encrypted(
    association: AssociationTransport,
    peer: Peer,
    transport: asyncio.Transport,
    context: ssl.SSLContext,
    wanted_name: str,
) -> asyncio.Transport:
    """The same connection after the TLS handshake. Raises DestinationDown, DestinationRefuses."""
    where, tls = _place_of(peer), peer.associate.tls
    try:
        encrypted = await asyncio.get_running_loop().start_tls(
            transport,
            association,
            context,
            server_hostname=wanted_name,
            ssl_handshake_timeout=peer.timers.tls_handshake_s,
            ssl_shutdown_timeout=peer.timers.tls_handshake_s,
        )
    except ssl.SSLCertVerificationError as error:
        why = server_refused(error, await shown_unverified(peer), wanted_name, tls, utc_now())
        raise DestinationRefuses(f"{where} is not who it should be: {why}", PeerFailure("certificate")) from error
    except ssl.SSLError as error:
        why = our_certificate_refused(error, tls) or f"TLS failed: {error.reason or error}"
        raise DestinationRefuses(f"{where}: {why}", PeerFailure("tls")) from error
    except OSError as error:
        why = our_certificate_refused(error, tls) or f"no TLS handshake: {error}"
        raise DestinationDown(f"{where}: {why}", PeerFailure("tls")) from error
    if encrypted is None:
        raise DestinationDown(f"{where} closed the connection during the TLS handshake", PeerFailure("tls"))
    return encrypted


def _place_of(peer: Peer) -> str:
    return f"{peer.name} at {peer.host}:{peer.port}"


async def _transport(association: AssociationTransport, peer: Peer) -> asyncio.Transport:
    """A TCP connection, from the peer's `bind_address` where it has one. Raises OSError, OverflowError."""
    loop = asyncio.get_running_loop()
    if peer.associate.bind_address is None:
        transport, _ = await loop.create_connection(lambda: association, peer.host, peer.port)
        return transport
    family = socket.AF_INET6 if ":" in peer.associate.bind_address[0] else socket.AF_INET
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last association from this port may linger
        own.bind(peer.associate.bind_address)
        places = await loop.getaddrinfo(peer.host, peer.port, family=family, type=socket.SOCK_STREAM)
        await loop.sock_connect(own, places[0][4])
        transport, _ = await loop.create_connection(lambda: association, sock=own)
    except BaseException:
        own.close()
        raise
    return transport


def _in_words(error: OSError) -> str:
    """The system's words: asyncio says "Connect call failed" of a refusal and of a missing route alike."""
    text = error.strerror or str(error)
    return os.strerror(error.errno) if error.errno and text.startswith("Connect call failed") else text
