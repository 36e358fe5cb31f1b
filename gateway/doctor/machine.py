"""The clock, and how many files the process may open."""

from __future__ import annotations

import os
import resource
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.site import Machine, Site
from gateway.lifecycle.access import places
from gateway.model.peer import Peer
from gateway.network import descriptors
from gateway.ports.errors import ConfigurationError

EARLIEST_YEAR = 2025
"""The earliest year that a clock may show: no gateway ran before."""
LATEST_YEAR = 2100
SKEW = timedelta(seconds=30)
"""The difference between two clocks that is tolerated."""


def clock(site: Site) -> Iterator[DoctorFinding]:
    """Year, time zone, and the times of our own files."""
    now = site.machine.now()
    problems = [*_year(now), *_time_zone(site.machine), *_files(site, now)]
    yield from problems
    if not problems:
        yield found("clock", f"{now.astimezone():%Y-%m-%d %H:%M:%S %Z}", "it agrees with the times of our files")


def difference(now: datetime, theirs: datetime, where: str) -> Iterator[DoctorFinding]:
    """Compare our clock with that of the gateway that answered."""
    if abs(now - theirs) > SKEW:
        seconds = (theirs - now).total_seconds()
        what = f"its clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
        yield found("clock-differs", where, what)


def _year(now: datetime) -> Iterator[DoctorFinding]:
    if not EARLIEST_YEAR <= now.year <= LATEST_YEAR:
        yield found("clock-implausible", f"{now:%Y-%m-%d %H:%M UTC}", f"it is not the year {now.year}")


def _time_zone(machine: Machine) -> Iterator[DoctorFinding]:
    name = machine.environ.get("TZ", "").removeprefix(":")
    if not name:
        if not machine.local_time.exists():
            yield found("time-zone-unset", "time zone", f"neither TZ nor {machine.local_time} is there")
        return
    if name.startswith("/"):
        is_known = os.path.isfile(name)
    else:
        is_known = _is_zone(name) or any(character in name for character in ",<0123456789")  # POSIX: CET-1CEST
    if not is_known:
        yield found("time-zone-unknown", f"TZ={name}", "there is no such time zone")


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _files(site: Site, now: datetime) -> Iterator[DoctorFinding]:
    """The newest of our files, which the clock of their file system stamped."""
    newest = max(((_changed_at(path), path) for path in places(site.settings)), key=lambda pair: pair[0])
    changed_at, path = newest
    if changed_at > now + SKEW:
        yield found("clock-behind-files", str(path), f"it was changed at {changed_at:%Y-%m-%d %H:%M:%S} UTC")


def _changed_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def hard_limit() -> int:
    """The number of descriptors of a gateway that is started from here: it raises its soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return descriptors.MOST if hard == resource.RLIM_INFINITY else min(hard, descriptors.MOST)


def limits(site: Site, peers: list[Peer], available: int) -> Iterator[DoctorFinding]:
    """`gateway.limits` against `available` descriptors."""
    wanted = site.settings.limits
    subject = f"{available} files and connections"
    try:
        reserved = descriptors.reserved(site.settings, peers)
        fit = descriptors.fit(wanted, descriptors=available, reserved=reserved)
    except ConfigurationError as error:
        yield found("descriptors-too-few", subject, str(error).partition(":")[0])
        return
    if fit == wanted:
        yield found(
            "descriptors", subject, f"enough for {wanted.associations} associations; a service has its own limit"
        )
        return
    what = f"{fit.associations} associations instead of {wanted.associations}, {fit.unassociated} other connections "
    yield found("descriptors-short", subject, f"{what}instead of {wanted.unassociated}")
