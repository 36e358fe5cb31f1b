"""The gateway of these rules that runs on this machine: whether it is there, ready, and has these rules in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.doctor.catalogue import FindingSeverity
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.machine import difference
from gateway.doctor.site import Site
from gateway.lifecycle import remote
from gateway.ports.errors import GatewayError
from gateway.stores import opening


@dataclass(frozen=True, slots=True)
class AnsweringGateway:
    """The gateway that answered. `status` is empty unless it is the gateway of these rules."""

    findings: tuple[DoctorFinding, ...]
    status: Mapping[str, Any]

    @property
    def open_ports(self) -> frozenset[tuple[str, int]]:
        """Address and port of its listeners."""
        rows = self.status.get("listeners", ())
        return frozenset((str(row["address"]), int(row["port"])) for row in rows)


def running(site: Site) -> AnsweringGateway:
    """Ask it. Blocks up to the site's limit."""
    is_held = _is_held(site)
    http = site.settings.http
    subject = opening.shown(site.settings) if http is None else f"{http.address}:{http.port}"
    if http is None:
        what = "a gateway runs" if is_held else "no gateway is seen to run"
        return AnsweringGateway((found("no-http", subject, f"{what}; `gateway.http` is not configured"),), {})
    try:
        status, date = remote.status_and_date(http, site.limit_s)
    except remote.NotRunning as error:
        if is_held:
            return AnsweringGateway((found("not-answering", subject, str(error)),), {})
        return AnsweringGateway(
            (found("not-running", subject, "no gateway answers there, and none is seen to run"),), {}
        )
    if "spool" not in status or "conditions" not in status:
        return AnsweringGateway(
            (found("another-gateway", subject, "what answers there is no gateway of this version"),), {}
        )
    if other := remote.other_gateway(status, site.settings):
        return AnsweringGateway((found("another-gateway", subject, other),), {})
    return AnsweringGateway(tuple(_of_status(status, date, subject, site)), status)


def _is_held(site: Site) -> bool:
    """True while a gateway uses the store; False where nobody can say, which another check reports."""
    try:
        return opening.is_gateway_running(site.settings)
    except GatewayError:
        return False


def _of_status(status: Mapping[str, Any], date: datetime | None, subject: str, site: Site) -> Iterator[DoctorFinding]:
    """The findings in its own status (`docs/states.md`), its rules, and its clock."""
    if date is not None:
        yield from difference(site.machine.now(), date, subject)
    table = site.loaded.table
    is_in_force = table is None or table.version == status["config"]
    if not is_in_force:
        yield found("not-in-force", subject, f"it has {status['config']}, and the files are {table and table.version}")
    for row in status["conditions"]:
        severity: FindingSeverity = "error" if row["is_blocking"] else "warning"
        remedy = "the sentence says it; see `gateway status` and its log"
        yield DoctorFinding(severity, "running", str(row["code"]), subject, str(row["text"]), remedy)
    if is_in_force and not status["conditions"]:
        yield found("running", subject, f"version {status['version']}, takes objects, these rules are in force")
