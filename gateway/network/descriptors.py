"""The file descriptors that this process may have, and the limits that they allow."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
from collections.abc import Iterable

from gateway.model.listener import Limits
from gateway.model.peer import Peer
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError

MOST = 1_048_576
"""More is never needed, and some systems call the hard limit infinite."""
FIXED = 128
"""Listeners, database, spool, log, event loop, worker processes."""
LEAST_FOR_PEERS = 64
"""The least number of descriptors for connections; with fewer a gateway is of no use."""


def raise_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; how many there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return available()


def available() -> int:
    """The number of descriptors that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)


def needed(limits: Limits) -> int:
    """Descriptors that `limits` let requestors use.

    An association may have a large object of its own in work beside its connection, and connections without one are
    counted for known and for other hosts.
    """
    return 2 * limits.associations + 2 * limits.unassociated


def reserved(settings: Settings, peers: Iterable[Peer]) -> int:
    """Descriptors for our own work: deliveries, and questions and retrieves, for each peer; HTTP; conversions."""
    outgoing = 2 * sum(peer.associations for peer in peers)
    http = settings.http.connections if settings.http is not None else 0
    http *= 2 if settings.worker else 1  # its own listener, and that of all workers
    return outgoing + http + 8 * settings.conversion.workers


def fit(limits: Limits, *, descriptors: int, reserved: int) -> Limits:
    """`limits` as they are when `descriptors` suffice beside those `reserved` for our own work, else in proportion.

    Args:
        limits: as configured.
        descriptors: what the process may have open.
        reserved: for outgoing associations, HTTP and the like, besides `FIXED`. No more than a quarter of all is taken
            for it, since not all of it is used at once.

    Raises:
        ConfigurationError: there are too few for any use.
    """
    left = descriptors - FIXED - min(reserved, descriptors // 4)
    if left < LEAST_FOR_PEERS:
        least = (FIXED + LEAST_FOR_PEERS) * 4 // 3 + 1
        raise ConfigurationError(
            f"this process may open {descriptors} files and connections; at least {least} are needed: raise the hard "
            "limit (`ulimit -Hn`, or LimitNOFILE of the service)"
        )
    share = left / needed(limits)
    if share >= 1:
        return limits
    return dataclasses.replace(
        limits,
        associations=_share(limits.associations, share),
        associations_of_strangers=_share(limits.strangers, share),
        unassociated=_share(limits.unassociated, share),
    )


def _share(number: int, share: float) -> int:
    return max(1, int(number * share))
