"""The watch over the files of TLS, each minute: renewed ones are taken, and those that end soon stand in log and
metrics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from gateway.certificates import Validity, validities
from gateway.common.daemon_thread import started
from gateway.dimse.protocol.tls_contexts import CLIENT_CONTEXTS, ClientContexts, ReloadedContext
from gateway.model.peer import Peer
from gateway.model.security import TLS

log = structlog.get_logger()

INTERVAL_S = 60.0
LIMIT_S = 30.0
"""Time limit for reading the files: a mount may hang."""
DEAD_MOUNT = "does a file lie on a dead mount?"
WARNED_DAYS = (30, 7, 1)
"""The days before the end at which a warning is logged, once each; at the end an error is logged."""

CERTIFICATE_METRIC = "gateway_certificate_expiry_timestamp_seconds"
REVOCATION_LIST_METRIC = "gateway_revocation_list_expiry_timestamp_seconds"


class Gauges(Protocol):
    """The interface that shows the rows (`gateway.metrics.Metrics`)."""

    def replace(self, name: str, values: Mapping[tuple[str, ...], float], /) -> None: ...


@dataclass(frozen=True, slots=True)
class CertificateUse:
    """One place where TLS is used."""

    kind: str
    """listener or peer."""
    name: str
    tls: TLS

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class CertificateWatch:
    """The watch over certificates and revocation lists. One look runs at a time.

    Args:
        listeners: contexts of open listeners, by name.
        peers: as the table in force has them.
        gauges: where ends of validity are shown.
        now: aware UTC.
    """

    def __init__(
        self,
        listeners: Callable[[], Mapping[str, ReloadedContext]],
        peers: Callable[[], Mapping[str, Peer]],
        gauges: Gauges,
        now: Callable[[], datetime],
        clients: ClientContexts = CLIENT_CONTEXTS,
    ) -> None:
        self._listeners = listeners
        self._peers = peers
        self._gauges = gauges
        self._now = now
        self._clients = clients
        self._logged: dict[tuple[str, str], tuple[datetime, int]] = {}
        """(use, file) → the end of its validity, and the least number of days that was logged."""
        self._is_reading = False
        """A thread is at the files."""
        self._requested = asyncio.Event()

    @property
    def ended(self) -> list[tuple[str, str, datetime]]:
        """The certificates that are out of date, as of the last look: user, file, end of validity."""
        now = self._now()
        return [(used_by, file, until) for (used_by, file), (until, _) in sorted(self._logged.items()) if until <= now]

    def look_soon(self) -> None:
        """Do not wait for the minute to be over: rules were put in force."""
        self._requested.set()

    async def run(self) -> None:
        """Look each minute, until cancelled."""
        while True:
            self._requested.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._requested.wait()

    async def look(self) -> None:
        """Take renewed files; show and log those that end. Files on a mount that hangs are left for a later look."""
        if self._is_reading:
            log.error("certificate_files_not_read", reason=f"the last look has not ended; {DEAD_MOUNT}")
            return
        contexts = dict(self._listeners())
        uses = [CertificateUse("listener", name, context.tls) for name, context in sorted(contexts.items())]
        tls_of_peers = ((peer.name, peer.associate.tls) for peer in self._peers().values())
        uses += [CertificateUse("peer", name, tls) for name, tls in tls_of_peers if tls is not None]
        self._clients.keep({use.tls for use in uses if use.kind == "peer"})
        self._is_reading = True
        outcome, _ = started(partial(self._work, contexts, uses), "certificates")
        try:
            async with asyncio.timeout(LIMIT_S):
                self._show(await outcome)
        except TimeoutError:
            log.error("certificate_files_not_read", reason=f"not within {LIMIT_S:g} s; {DEAD_MOUNT}")
        except Exception:
            log.exception("certificate_watch_failed")  # it is tried again at the next minute

    def _work(
        self, contexts: Mapping[str, ReloadedContext], uses: Iterable[CertificateUse]
    ) -> list[tuple[CertificateUse, Validity]]:
        try:
            found: list[tuple[CertificateUse, Validity]] = []
            for use in uses:
                if use.kind == "listener":
                    contexts[use.name].refresh(str(use))
                else:
                    self._clients.refresh(use.tls, str(use))
                found += [(use, validity) for validity in validities(use.tls)]
            return found
        finally:
            self._is_reading = False

    def _show(self, found: Iterable[tuple[CertificateUse, Validity]]) -> None:
        rows: dict[str, dict[tuple[str, ...], float]] = {CERTIFICATE_METRIC: {}, REVOCATION_LIST_METRIC: {}}
        logged: dict[tuple[str, str], tuple[datetime, int]] = {}
        for use, validity in found:
            metric = REVOCATION_LIST_METRIC if validity.is_revocation_list else CERTIFICATE_METRIC
            rows[metric][use.kind, use.name, validity.file] = validity.until.timestamp()
            key = (str(use), validity.file)
            logged[key] = (validity.until, self._log_limit(use, validity, self._logged.get(key)))
        self._logged = logged
        for metric, values in rows.items():
            self._gauges.replace(metric, values)

    def _log_limit(self, use: CertificateUse, validity: Validity, before: tuple[datetime, int] | None) -> int:
        """Log when another of the limits is reached; return the least number of days that was logged so far."""
        logged = before[1] if before is not None and before[0] == validity.until else NOTHING_LOGGED
        left = validity.until - self._now()
        reached = [days for days in (*WARNED_DAYS, 0) if left <= timedelta(days=days)]
        if not reached or min(reached) >= logged:
            return logged
        name = "revocation_list" if validity.is_revocation_list else "certificate"
        facts = {"used_by": str(use), "file": validity.file, "until": validity.until.isoformat()}
        if min(reached) == 0:
            log.error(f"{name}_expired", **facts)
        else:
            log.warning(f"{name}_expiry_approached", **facts, days=max(0, left.days))
        return min(reached)


NOTHING_LOGGED = 1 << 30
