"""Spool and database: room, rights, modes, and the file system below them."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.common.file_modes import OTHERS
from gateway.common.quantity import size
from gateway.doctor.catalogue import Area
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.mounts import LAYERS, MEMORY, NETWORK, file_system_of, nearest_there
from gateway.doctor.site import Site
from gateway.lifecycle.access import places
from gateway.model.settings import Settings
from gateway.ports.errors import GatewayError, QueueBroken
from gateway.spool.lock import is_gateway_running
from gateway.stores import opening

LOW_FACTOR = 2
LEAST_INODES = 1000
READ_WHOLE_BYTES = 64 * 1024**2
"""A larger database is not read: that could take longer than the limit of a check."""


def spool(site: Site) -> Iterator[DoctorFinding]:
    """The spool's folder."""
    path = site.settings.spool.path
    yield from _as_another_user(path)
    yield from _place("spool", path, path, site.settings.spool.min_free_bytes, site)


def database(site: Site) -> Iterator[DoctorFinding]:
    """The database's file and its folder; nothing where it is no file of this machine."""
    settings = site.settings
    if settings.postgresql:
        return
    path = settings.queue_path
    to_reserve = max(0, settings.queue_reserve_bytes - opening.store_room(settings).reserved_bytes)
    yield from _place("database", path, os.path.dirname(path), settings.queue_min_free_bytes + to_reserve, site)


def damage(site: Site) -> Iterator[DoctorFinding]:
    """The database's pages and its log, while no gateway uses them. Nothing is changed by looking, so that the next
    start finds all as it was."""
    path = opening.local_path(site.settings)
    if path is None or not path.is_file() or not _may(str(path), os.R_OK) or is_gateway_running(path):
        return
    size_bytes = sum(file.stat().st_size for file in opening.files(site.settings) if file.is_file())
    if size_bytes > READ_WHOLE_BYTES:
        most = size(READ_WHOLE_BYTES)
        text = f"{size(size_bytes)} are more than the {most} that are read here; `gateway check` reads all"
        yield found("database-not-read", str(path), text)
        return
    if size_bytes:
        yield from _problems(site.settings)


def _problems(settings: Settings) -> Iterator[DoctorFinding]:
    path = Path(settings.queue_path)
    damaged, unread = "", ""
    try:
        damaged = next(iter(opening.problems(settings)), "")
    except QueueBroken as error:
        damaged = str(error)
    except (GatewayError, OSError) as error:
        unread = str(error)
    if is_gateway_running(path):  # it was writing meanwhile, and reads the pages itself
        return
    if damaged:
        yield found("database-damaged", str(path), damaged.partition("; ")[0])
    elif unread:
        yield found("database-unreadable", str(path), unread.removeprefix(f"queue {path}: "))


def _place(area: Area, path: str, folder: str, min_free_bytes: int, site: Site) -> Iterator[DoctorFinding]:
    there = nearest_there(folder)
    problems = [
        *_file_system(area, path, there, site),
        *_rights(area, path, there),
        *_modes(area, site),
    ]
    room = list(_room(area, path, there, min_free_bytes))
    yield from (problem for problem in (*problems, *room) if problem.severity != "note")
    if not problems:
        yield from (note for note in room if note.severity == "note")


def _file_system(area: Area, path: str, there: str, site: Site) -> Iterator[DoctorFinding]:
    kind, point = file_system_of(there, site.machine.mounts)
    if NETWORK.fullmatch(kind):
        yield found("network-file-system", path, f"{point} is {kind}", area=area)
    elif kind in MEMORY:
        yield found("memory-file-system", path, f"{point} is {kind}", area=area)
    elif kind in LAYERS and point == "/":
        yield found("container-layer", path, f"/ is {kind}", area=area)


def _rights(area: Area, path: str, there: str) -> Iterator[DoctorFinding]:
    """Check the rights of this user; nothing is written."""
    if not os.path.isdir(there):
        yield found("not-a-folder", path, f"{there} is no folder", area=area)
        return
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        remedy = "mount it writable; a file system with errors becomes read-only: see `dmesg`"
        yield found("not-writable", path, f"the file system of {there} is read-only", area=area, remedy=remedy)
        return
    if not _may(there, os.W_OK | os.X_OK):
        folder = path if area == "spool" else os.path.dirname(path)
        make = f"make it for the gateway's user (`install -d -m 700 -o USER {folder}`), or name another folder"
        remedy = "" if there == os.path.realpath(folder) else make
        yield found("not-writable", path, f"user {_user()} may not write into {there}", area=area, remedy=remedy)
    elif os.path.isfile(path) and not _may(path, os.R_OK | os.W_OK):
        yield found("not-writable", path, f"user {_user()} may not read and write it", area=area)


def _room(area: Area, path: str, there: str, min_free_bytes: int) -> Iterator[DoctorFinding]:
    """The space that this user may still fill there."""
    file_system = os.statvfs(there)
    free_bytes = file_system.f_bavail * file_system.f_frsize
    text = f"{size(free_bytes)} free, {size(min_free_bytes)} must stay free"
    if free_bytes < min_free_bytes:
        yield found("room-short", path, text, area=area)
    elif free_bytes < LOW_FACTOR * min_free_bytes:
        yield found("room-soon-short", path, text, area=area)
    else:
        yield found("room", path, text, area=area)
    if file_system.f_files and file_system.f_favail < LEAST_INODES:
        yield found("no-file-numbers", path, f"{file_system.f_favail} inodes are free", area=area)


def _modes(area: Area, site: Site) -> Iterator[DoctorFinding]:
    """Files that others may read; the gateway closes its own at each start."""
    spool_folder = Path(site.settings.spool.path)
    for path in places(site.settings):
        if (spool_folder in path.parents) != (area == "spool"):
            continue
        try:
            status = path.lstat()
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode) or not mode & OTHERS:
            continue
        code = "open-to-others" if status.st_uid == os.geteuid() else "of-another-user"
        yield found(code, str(path), f"its mode is {mode:04o}, its owner {_user(status.st_uid)}", area=area)


def _as_another_user(path: str) -> Iterator[DoctorFinding]:
    """A warning that the doctor runs as another user than the gateway: their rights may differ."""
    try:
        owner = os.stat(os.path.join(path, "gateway.lock")).st_uid
    except OSError:
        return
    if owner != os.geteuid():
        what = f"the spool belongs to {_user(owner)}, and this is {_user()}"
        yield found("asked-as-another-user", path, what, area="spool")


def _may(path: str, how: int) -> bool:
    return os.access(path, how, effective_ids=True)


def _user(number: int | None = None) -> str:
    number = os.geteuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
