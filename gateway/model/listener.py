"""Listeners, with the time limits and bounds of their associations."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.security import TLS, IdentityCheck


@dataclass(frozen=True, slots=True)
class Timers:
    """Time limits of associations, in seconds."""

    connect_s: float = 10.0
    tls_handshake_s: float = 10.0
    association_s: float = 30.0
    """ARTIM (PS3.8 §9.1.5): for A-ASSOCIATE, A-RELEASE, and closing the connection."""
    dimse_s: float = 60.0
    """From a request's last byte to its response; also between two fragments of one message, both ways."""
    idle_s: float = 600.0
    """An accepted association without any message is aborted after this."""
    progress_s: float = 30.0
    """The longest time for 16 KiB of a message, both ways; a slower association is aborted."""
    message_s: float = 86400.0
    """From the first byte of a message to its last one, when we receive it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what peers may make us hold."""

    associations: int = 512
    associations_per_peer: int = 64
    """Per remote host and calling AE title."""
    max_pdu_bytes: int = 131072
    """The maximum length we offer (PS3.8 §D.1)."""
    command_bytes: int = 65536
    """The size limit of one command set."""
    object_bytes: int = 16 * 1024**3
    """The size limit of one encoded data set."""
    associations_of_strangers: int = 0
    """The part of `associations` that requestors without a peer may have; the others are reserved for known peers.
    0: as `strangers` says.
    """
    associations_per_host: int = 64
    """Associations of strangers from one remote host."""
    unassociated: int = 256
    """Connections that have no association yet, or no more. Hosts that known peers call from, and all other hosts, have
    as many each."""
    unassociated_per_host: int = 64
    """The same of one host that no known peer calls from."""
    inflated_bytes: int = 1024**3
    """The size limit of an inflated data set."""
    inflated_ratio: int = 250
    """The same as a multiple of its own size."""

    @property
    def strangers(self) -> int:
        """`associations_of_strangers` with its default: a quarter of `associations`."""
        return self.associations_of_strangers or max(1, self.associations // 4)


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that associations are accepted at."""

    name: str
    port: int
    address: str = "0.0.0.0"  # noqa: S104 - a DICOM listener serves the network unless told otherwise
    tls: TLS | None = None
    user_identity: IdentityCheck | None = None
    """The identity check that every requestor at this listener must pass."""
    proxies: tuple[str, ...] = ()
    """Numeric addresses and networks whose connections begin with a header of the PROXY protocol."""
