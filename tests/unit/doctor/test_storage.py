"""Spool and database: a table of states and the finding that each gives; nothing is changed by looking."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.doctor import storage
from gateway.doctor.mounts import file_system_of
from gateway.doctor.site import Site
from gateway.spool.lock import QueueLock
from gateway.sqlite.store import SQLiteStore
from gateway.sqlite.write_ahead_log import index_of, log_of
from tests.unit.doctor.rig import ON_DISK, as_nobody, codes, on, site_in

IS_ROOT = os.geteuid() == 0
MOUNTS = ON_DISK + "30 22 0:50 / {point} rw,relatime shared:1 - {kind} server:/export rw\n"


def mounted(kind: str) -> Callable[[Path], Site]:
    def made(folder: Path) -> Site:
        site = site_in(folder)
        (folder / "mountinfo").write_text(MOUNTS.format(point=folder, kind=kind))
        return site

    return made


def in_container(folder: Path) -> Site:
    site = site_in(folder)
    (folder / "mountinfo").write_text("22 1 0:40 / / rw,relatime - overlay overlay rw\n")
    return site


def room(text: str) -> Callable[[Path], Site]:
    return lambda folder: site_in(
        folder,
        {
            "spool": {"path": str(folder / "var" / "spool"), "min_free": text},
            "queue": {"sqlite": str(folder / "var" / "gateway.db"), "min_free": text, "reserve": "1 MiB"},
        },
    )


def soon_short(folder: Path) -> Site:
    file_system = os.statvfs(folder)
    free_bytes = file_system.f_bavail * file_system.f_frsize
    return room(f"{int(free_bytes * 0.7)} B")(folder)


def with_file_in_the_way(folder: Path) -> Site:
    (folder / "var").write_text("")
    return site_in(folder)


@pytest.mark.parametrize(
    ("made", "spool", "database"),
    [
        (site_in, ["room"], ["room"]),
        (mounted("nfs4"), ["network-file-system"], ["network-file-system"]),
        (mounted("cifs"), ["network-file-system"], ["network-file-system"]),
        (mounted("fuse.sshfs"), ["network-file-system"], ["network-file-system"]),
        (mounted("tmpfs"), ["memory-file-system"], ["memory-file-system"]),
        (mounted("xfs"), ["room"], ["room"]),
        (in_container, ["container-layer"], ["container-layer"]),
        (room("900 TiB"), ["room-short"], ["room-short"]),
        (soon_short, ["room-soon-short"], ["room-soon-short"]),
        (with_file_in_the_way, ["not-a-folder"], ["not-a-folder"]),
    ],
    ids=["fine", "NFS", "CIFS", "sshfs", "tmpfs", "XFS", "container", "full", "soon full", "a file in the way"],
)
def test_states_of_spool_and_database(
    tmp_path: Path, made: Callable[[Path], Site], spool: list[str], database: list[str]
) -> None:
    site = made(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert codes(storage.spool(site)) == spool
    assert codes(storage.database(site)) == database
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_this_user_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_in(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode, **more: False)  # as root the tests may write everywhere
    assert codes(storage.spool(site)) == ["not-writable"]
    assert codes(storage.database(site)) == ["not-writable"]


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_what_another_user_may_not_write(tmp_path: Path) -> None:
    site = site_in(tmp_path, {"spool": {"path": "/root/none/spool"}, "queue": {"sqlite": "/root/none/gateway.db"}})
    with as_nobody():
        [spool] = [one for one in storage.spool(site) if one.code == "not-writable"]
        [database] = [one for one in storage.database(site) if one.code == "not-writable"]
    assert "user nobody may not write into /root" in spool.what
    assert "install -d -m 700 -o USER /root/none/spool" in spool.remedy
    assert "install -d -m 700 -o USER /root/none`" in database.remedy


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_in(tmp_path)
    values = list(os.statvfs(tmp_path))
    values[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))
    assert codes(storage.spool(site)) == ["not-writable"]
    assert "read-only" in next(iter(storage.spool(site))).what


def test_no_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_in(tmp_path)
    values = list(os.statvfs(tmp_path))
    values[5], values[7] = 100_000, 3
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))
    assert "no-file-numbers" in codes(storage.spool(site))


def test_files_that_others_may_read(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    segments = tmp_path / "var" / "spool" / "segments"
    segments.mkdir(parents=True)
    segments.chmod(0o755)
    database = tmp_path / "var" / "gateway.db"
    database.touch()
    database.chmod(0o644)
    [spool], [queue] = list(storage.spool(site)), list(storage.database(site))
    assert (spool.code, spool.subject) == ("open-to-others", str(segments))
    assert (queue.code, queue.subject) == ("open-to-others", str(database))
    assert "0644" in queue.what
    assert stat.S_IMODE(database.stat().st_mode) == 0o644


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_files_of_another_user(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    folder = tmp_path / "var" / "spool"
    folder.mkdir(parents=True)
    lock = folder / "gateway.lock"
    lock.touch(mode=0o600)
    os.chown(lock, 12345, 12345)
    assert codes(storage.spool(site)) == ["asked-as-another-user", "room"]
    lock.chmod(0o644)
    assert codes(storage.spool(site)) == ["asked-as-another-user", "of-another-user"]


def test_a_damaged_database_that_nobody_uses(tmp_path: Path) -> None:
    """Beside a running gateway it is left alone; nothing is made or changed by looking."""
    site = site_in(tmp_path)
    assert codes(storage.damage(site)) == []
    path = Path(site.settings.queue_path)
    path.parent.mkdir()
    SQLiteStore(path).close()
    assert sorted(path.parent.iterdir()) == [path]
    assert codes(storage.damage(site)) == []
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes([0xDE, 0xAD]) * 2048)
    damaged = path.read_bytes()
    assert codes(storage.damage(site)) == ["database-damaged"]
    assert (sorted(path.parent.iterdir()), path.read_bytes()) == ([path], damaged)
    lock = QueueLock(path)
    assert codes(storage.damage(site)) == []
    lock.release()
    path.write_bytes(b"no database" * 1000)
    assert codes(storage.damage(site)) == ["database-damaged"]


KILLED = """
import os, pathlib, signal, sys
from datetime import UTC, datetime
from gateway.sqlite.store import SQLiteStore
from gateway.sqlite.write_ahead_log import index_of, log_of
from gateway.spool.lock import QueueLock
from tests.support.samples import TO_PACS, instance
queue = SQLiteStore(pathlib.Path(sys.argv[1]))
with queue.transaction():
    for number in range(1, 201):
        queue.deliveries.accept([(instance(number), [TO_PACS])], datetime.now(UTC))
if sys.argv[2:]:
    queue.consolidate()
    with queue.transaction():
        queue.deliveries.accept([(instance(201), [TO_PACS])], datetime.now(UTC))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.campaign
@pytest.mark.process
@pytest.mark.parametrize("has_index", [True, False], ids=["as it was left", "without -shm"])
@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
def test_the_database_of_a_gateway_that_was_killed(tmp_path: Path, is_damaged: bool, has_index: bool) -> None:
    """Its log is read too, and stays for the next start."""
    site = site_in(tmp_path)
    path = Path(site.settings.queue_path)
    path.parent.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(path), "checkpoint"], check=False)
    if is_damaged:
        pages = path.stat().st_size // 4096
        with path.open("r+b") as file:
            for page in range(pages - 12, pages):  # those that the log has are read from there
                file.seek(page * 4096 + 2000)
                file.write(bytes([0xDE, 0xAD]))
    if not has_index:
        index_of(path).unlink()
    before = {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in path.parent.iterdir()}
    assert log_of(path).name in before
    assert codes(storage.damage(site)) == (["database-damaged"] if is_damaged else [])
    assert {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in path.parent.iterdir()} == before


def test_what_was_not_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_in(tmp_path)
    path = Path(site.settings.queue_path)
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE somebody (else_ TEXT)")
    (finding,) = storage.damage(site)
    assert (finding.code, finding.what) == (
        "database-unreadable",
        "this SQLite file is not a gateway's queue; name another file",
    )
    monkeypatch.setattr(storage, "READ_WHOLE_BYTES", 4096)
    (finding,) = storage.damage(site)
    assert (finding.severity, finding.code) == ("note", "database-not-read")
    assert finding.what == "8.0 KiB are more than the 4.0 KiB that are read here; `gateway check` reads all"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/data/x", ("nfs4", "/srv/data")),
        ("/srv/database", ("ext4", "/")),
        ("/srv/with space/x", ("cifs", "/srv/with space")),
        ("/srv/twice", ("xfs", "/srv/twice")),
    ],
)
def test_the_file_system_of_a_path(tmp_path: Path, path: str, expected: tuple[str, str]) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        ON_DISK
        + "30 22 0:50 / /srv/data rw - nfs4 server:/a rw\n"
        + "31 22 0:51 / /srv/with\\040space rw master:1 - cifs //server/b rw\n"
        + "32 22 0:52 / /srv/twice rw - nfs server:/c rw\n"
        + "33 22 0:53 / /srv/twice rw - xfs /dev/sdb rw\n"
        + "no mount\n"
    )
    assert file_system_of(path, table) == expected


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert file_system_of("/", tmp_path / "none") == ("", "")
    assert codes(storage.spool(on(site_in(tmp_path), mounts=tmp_path / "none"))) == ["room"]
