"""All checks, run side by side, each bounded in time: a dead peer or mount delays no other check."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from gateway.common.daemon_thread import started
from gateway.destinations.folder import Folder
from gateway.doctor import configuration, folders, machine, peers, ports, sources, storage
from gateway.doctor.database_server import database_server
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.object_store import object_store
from gateway.doctor.running import AnsweringGateway, running
from gateway.doctor.site import Site
from gateway.model.peer import Peer

STEPS = 6
"""A check takes at most so many times the limit of a step: name, connection, TLS, association, C-ECHO, release; or the
requests to an object store."""
REACHED = frozenset({"echo-answered", "no-verification", "echo-refused", "echo-not-answered"})
"""Codes of peers with which there was an association."""
PEERS_AT_A_TIME = 256

DoctorCheck = Callable[[], Iterable[DoctorFinding]]


async def examine(site: Site) -> list[DoctorFinding]:
    """All findings in the order of the areas: configuration, running gateway, ports, storage, peers, folders, clock,
    limits."""
    table = site.loaded.table
    known = list(table.peers.values()) if table is not None else []
    running_gateway = asyncio.ensure_future(_running(site))
    slots = asyncio.Semaphore(PEERS_AT_A_TIME)
    checks: list[Awaitable[list[DoctorFinding]]] = [
        _in_thread("rules files", partial(configuration.writers, site.rules), site),
        _findings_of(running_gateway),
        *(_after(running_gateway, partial(ports.listener, one), site) for one in site.settings.listeners if one.port),
        _http(running_gateway, site),
        _in_thread("spool", partial(storage.spool, site), site),
        _in_thread("database", partial(storage.database, site), site),
        _in_thread("database server", partial(database_server, site), site),
        _in_thread("object store", partial(object_store, site), site, steps=STEPS),
        _in_thread("pages of the database", partial(storage.damage, site), site),
        *(_peer(one, site, slots) for one in known if one.host),
        *(
            _in_thread(f"folder {one.name}", partial(folders.folder, one, one.destination), site)
            for one in known
            if isinstance(one.destination, Folder)
        ),
        _in_thread("clock", partial(machine.clock, site), site),
        _in_thread("limits", partial(machine.limits, site, known, machine.hard_limit()), site),
    ]
    results = await asyncio.gather(*checks)
    first = configuration.problem_findings(site.loaded.problems, site.rules)
    unseen = [] if table is not None else [not_looked_at(site.rules, "peers and folders")]
    return [*first, *(finding for result in results for finding in result), *unseen]


def not_looked_at(rules: Path, what: str) -> DoctorFinding:
    """The checks that are left out: rules with errors do not say what there is."""
    return found("not-looked-at", str(rules), f"{what} were not looked at, for the rules have errors")


async def _in_thread(name: str, check: DoctorCheck, site: Site, steps: int = 1) -> list[DoctorFinding]:
    try:
        outcome, _ = started(lambda: list(check()), name)
        async with asyncio.timeout(steps * site.limit_s):
            return await outcome
    except TimeoutError:
        return [_not_finished(name, f"not within {steps * site.limit_s:g} s")]
    except OSError as error:
        return [_not_finished(name, f"{error.strerror or error} ({error.filename})")]


def _not_finished(name: str, what: str) -> DoctorFinding:
    return found("check-not-finished", name, what)


async def _running(site: Site) -> AnsweringGateway:
    try:
        outcome, _ = started(partial(running, site), "running gateway")
        async with asyncio.timeout(2 * site.limit_s):
            return await outcome
    except TimeoutError:
        return AnsweringGateway((_not_finished("running gateway", f"not within {2 * site.limit_s:g} s"),), {})


async def _findings_of(running_gateway: asyncio.Future[AnsweringGateway]) -> list[DoctorFinding]:
    return list((await running_gateway).findings)


async def _after(
    running_gateway: asyncio.Future[AnsweringGateway],
    check: Callable[[frozenset[tuple[str, int]]], Iterable[DoctorFinding]],
    site: Site,
) -> list[DoctorFinding]:
    """The check of ports, once it is known which of them our own gateway has."""
    open_ports = (await running_gateway).open_ports
    return await _in_thread("listener", partial(check, open_ports), site)


async def _http(running_gateway: asyncio.Future[AnsweringGateway], site: Site) -> list[DoctorFinding]:
    if site.settings.http is None or not site.settings.http.port:
        return []
    answer = await running_gateway
    if any(finding.code == "another-gateway" for finding in answer.findings):
        return []
    return await _in_thread("HTTP", partial(ports.http, site.settings.http, is_open=bool(answer.status)), site)


async def _peer(one: Peer, site: Site, slots: asyncio.Semaphore) -> list[DoctorFinding]:
    table = site.loaded.table
    duties = sources.duties_of(one.name, table.query_retrieve) if table is not None else None
    steps = STEPS if duties is None else STEPS * (1 + sources.ASSOCIATIONS)
    async with slots:
        try:
            async with asyncio.timeout(steps * site.limit_s):
                findings = await peers.peer(one, site)
                if duties is not None and any(finding.code in REACHED for finding in findings):
                    findings += await sources.source(one, duties, site)
                return findings
        except TimeoutError:
            return [_not_finished(f"peer {one.name}", f"not within {steps * site.limit_s:g} s")]
