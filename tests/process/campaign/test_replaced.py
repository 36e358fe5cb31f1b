"""Spool and database that are swapped, restored, unmounted, emptied or deleted, under a running and under a starting
gateway: no acknowledged object is lost, and each time it is said in the log, by the metric and by /readyz.

The destination is down meanwhile, so that all that was acknowledged is owed; in the end it gets every object.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.lifecycle import exit_code
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.processes import until

SMALL, LARGE = sample(8192), sample(1_500_000)  # in a segment; in a file of its own
QUICKLY = """
import sys
from gateway.common.without_codecs import hide_codecs
hide_codecs()
from gateway.spool.journal import GroupCommitJournal
GroupCommitJournal.__init__.__kwdefaults__.update(poll_s=0.1, sweep_s=0.2)
from gateway.cli import main
main(prog_name="gateway")
"""
"""The gateway, with housekeeping that looks often."""
SWEEPS_S = 1.0
"""Some sweeps: that nothing happens in them cannot be awaited."""

IS_ROOT = os.geteuid() == 0
CAN_MOUNT = (
    IS_ROOT
    and shutil.which("nsenter") is not None
    and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
)


class Gateway(GatewayProcess):
    """With a mount namespace of its own, in which `prefix` mounts something before it begins."""

    prefix: Sequence[str] = ()

    def command(self) -> list[str]:
        namespace = ["unshare", "-m", "--propagation", "private", *self.prefix] if self.prefix else []
        return [*namespace, *super().command()]


@dataclass
class Site:
    """A gateway with its spool in `volume/spool` and its database in `database/`, both below `folder`."""

    folder: Path
    sink: Sink
    is_linked: bool = False
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("volume", "database"):
            (self.folder / name).mkdir()
        if self.is_linked:
            self.real = self.folder / "volume" / "real"
            self.real.mkdir()
            self.spool.symlink_to("real")
        retry = {"first": "100 ms", "max": "500 ms", "give_up_after": "1 h"}
        peer = {"ae_title": "SINK", "address": f"127.0.0.1:{self.sink.port}", "delivery": {"retry": retry}}
        self.gateway = Gateway(
            self.folder,
            {"peers": {"sink": peer}, "routes": [{"name": "all", "to": ["sink"]}], "unmatched": "reject"},
            settings={
                "spool": {"path": str(self.spool), "min_free": "16 MiB"},
                "queue": {"sqlite": str(self.database)},
            },
            command=[sys.executable, "-c", QUICKLY, "run", "--log-format", "json"],
        )

    @property
    def spool(self) -> Path:
        return self.folder / "volume" / "spool"

    @property
    def database(self) -> Path:
        return self.folder / "database" / "gateway.db"

    @property
    def aside(self) -> Path:
        return self.folder / "aside"

    async def send(self, small: int = 6, large: int = 2) -> Counter[int]:
        """The statuses; what was acknowledged is remembered."""
        statuses: Counter[int] = Counter()
        for what, objects in ((SMALL, small), (LARGE, large)):
            load = Load(Target(self.gateway.port), what=what, objects=objects)
            report = await asyncio.to_thread(load.run)
            assert not report.unanswered
            statuses += report.statuses
            self.acknowledged |= {uid: what.digest(uid) for uid in report.acknowledged}
        self.statuses += statuses
        return statuses

    async def ready(self) -> tuple[int, str]:
        return await self.gateway.http("GET", "/readyz")

    def events(self, name: str) -> list[dict[str, object]]:
        return [event for event in self.gateway.events() if event["event"] == name]

    async def everything_arrives(self) -> None:
        """The destination comes back: it gets all that was acknowledged, each with its bytes, and nothing is dead."""
        if not self.sink.is_running:
            await self.sink.start()
        await self.gateway.idle(timeout_s=90.0)
        arrived: dict[str, list[str]] = self.sink.ask("objects")["objects"]
        lost = self.acknowledged.keys() - arrived.keys()
        print(f"acknowledged {len(self.acknowledged)}, lost {len(lost)}, statuses {dict(self.statuses)}")
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} were lost\n{self.gateway.log[-4000:]}"
        assert all(set(arrived[uid]) == {digest} for uid, digest in self.acknowledged.items())
        assert await self.gateway.metric("gateway_queue_deliveries", state="dead") == 0

    def mount(self, *arguments: str) -> None:
        """In the gateway's own mount namespace."""
        subprocess.run(["nsenter", "-t", str(self.gateway.pid), "-m", *arguments], check=True)


Do = Callable[[Site], object]


@dataclass(frozen=True)
class Mishap:
    """`problem` is part of what the operator reads; `ends` what helps: putting it right alone, or a restart as well, or
    ("delivers") nothing, but what was acknowledged is delivered as long as the gateway runs."""

    problem: str
    happens: Do
    put_right: Do
    ends: str = "heals"
    in_namespace: bool = False
    is_linked: bool = False
    is_refused: bool = True
    """Nothing is taken while it lasts."""


def move(name: str) -> Do:
    return lambda site: (site.folder / name).rename(site.aside)


def move_back(name: str) -> Do:
    def put_right(site: Site) -> None:
        place = site.folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        site.aside.rename(place)

    return put_right


def swap(name: str, content: Callable[[Path, Path], object]) -> Do:
    """Move it aside, and put something else there."""

    def happen(site: Site) -> None:
        replacement = site.folder / "replacement"
        content(site.folder / name, replacement)
        move(name)(site)
        replacement.rename(site.folder / name)

    return happen


def a_copy(original: Path, place: Path) -> None:
    (shutil.copytree if original.is_dir() else shutil.copy)(original, place)


def an_older_copy(original: Path, place: Path) -> None:
    """A copy from before the last objects: the newest segment and the newest large file are not in it."""
    a_copy(original, place)
    for folder in ("segments", "large"):
        os.unlink(max((place / folder).iterdir()))


def anothers(original: Path, place: Path) -> None:
    a_copy(original, place)
    (place / "spool.id").write_text("0123456789abcdef\n")


def an_empty_folder(original: Path, place: Path) -> None:
    place.mkdir()


def empty(site: Site) -> None:
    site.aside.mkdir()
    for path in site.spool.iterdir():
        path.rename(site.aside / path.name)


def fill(site: Site) -> None:
    for path in site.spool.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in site.aside.iterdir():
        path.rename(site.spool / path.name)


def retarget(site: Site) -> None:
    (site.folder / "volume" / "other").mkdir(exist_ok=True)
    site.spool.unlink()
    site.spool.symlink_to("other")


def target(site: Site) -> None:
    site.spool.unlink(missing_ok=True)
    site.spool.symlink_to("real")


def restore_into(site: Site) -> None:
    """A backup is unpacked over it: files of an older time, under their own names and under names of ours."""
    (site.spool / "segments" / "00009999.seg").write_bytes(b"of the backup")
    (site.spool / "large" / "0000000000009999.obj").write_bytes(b"of the backup")


def put_volume_over(site: Site) -> None:
    site.mount("mount", "-t", "tmpfs", "none", str(site.spool))


def take_volume_away(site: Site) -> None:
    site.mount("umount", "-l", str(site.spool))


def write_identity(site: Site) -> None:
    shutil.copy(site.spool / "spool.id", site.aside)
    (site.spool / "spool.id").write_text("0123456789abcdef\n")


def identity_back(site: Site) -> None:
    shutil.copyfile(site.aside, site.spool / "spool.id")


def nothing(site: Site) -> None:
    pass


def delete(*names: str) -> Do:
    def happen(site: Site) -> None:
        for name in names:
            (site.folder / name).unlink()

    return happen


GONE, ANOTHER = "is not there any more", "another folder than at the start"
SPOOL, DATABASE = "volume/spool", "database/gateway.db"
RUNNING = {
    "swapped for an empty folder": Mishap(ANOTHER, swap(SPOOL, an_empty_folder), move_back(SPOOL)),
    "swapped for its copy": Mishap(ANOTHER, swap(SPOOL, a_copy), move_back(SPOOL)),
    "swapped for another gateway's": Mishap(ANOTHER, swap(SPOOL, anothers), move_back(SPOOL)),
    "restored from an older copy": Mishap(ANOTHER, swap(SPOOL, an_older_copy), move_back(SPOOL)),
    "older copy, right after a restart": Mishap(ANOTHER, swap(SPOOL, an_older_copy), move_back(SPOOL), ends="restart"),
    "backup restored into it": Mishap("", restore_into, nothing, is_refused=False),
    "moved away": Mishap(GONE, move(SPOOL), move_back(SPOOL)),
    "parent renamed": Mishap(GONE, move("volume"), move_back("volume")),
    "parent swapped for its copy": Mishap(ANOTHER, swap("volume", a_copy), move_back("volume")),
    "emptied": Mishap(GONE, empty, fill),
    "segments moved away": Mishap(GONE, move(f"{SPOOL}/segments"), move_back(f"{SPOOL}/segments")),
    "large files moved away": Mishap(GONE, move(f"{SPOOL}/large"), move_back(f"{SPOOL}/large")),
    "symlink retargeted": Mishap(ANOTHER, retarget, target, is_linked=True),
    "symlink deleted": Mishap(GONE, delete(SPOOL), target, is_linked=True),
    "spool.id changed": Mishap("spool.id holds", write_identity, identity_back),
    "spool.id deleted": Mishap("spool.id is missing", move(f"{SPOOL}/spool.id"), move_back(f"{SPOOL}/spool.id")),
    "lock file deleted": Mishap("gateway.lock was deleted", delete(f"{SPOOL}/gateway.lock"), nothing, is_refused=False),
    "lock file replaced": Mishap(
        "gateway.lock was replaced", swap(f"{SPOOL}/gateway.lock", a_copy), move_back(f"{SPOOL}/gateway.lock")
    ),
    "volume mounted over it": Mishap(ANOTHER, put_volume_over, take_volume_away, in_namespace=True),
    "unmounted and mounted again": Mishap(
        ANOTHER,
        lambda site: site.mount("umount", "-l", str(site.spool)),
        lambda site: site.mount("mount", "--bind", str(site.folder / "device"), str(site.spool)),
        in_namespace=True,
    ),
    "database moved away": Mishap("gateway.db was deleted", move(DATABASE), move_back(DATABASE)),
    "database swapped for its copy": Mishap("gateway.db was replaced", swap(DATABASE, a_copy), move_back(DATABASE)),
    "database deleted": Mishap("gateway.db was deleted", delete(DATABASE), nothing, ends="delivers"),
    "database and its log deleted": Mishap(
        "gateway.db was deleted", delete(DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"), nothing, ends="delivers"
    ),
    "write-ahead log deleted": Mishap("gateway.db-wal was deleted", delete(f"{DATABASE}-wal"), nothing, ends="restart"),
    "write-ahead log deleted, then killed": Mishap(
        "gateway.db-wal was deleted", delete(f"{DATABASE}-wal"), nothing, ends="kill"
    ),
    "index of the log deleted": Mishap(
        "gateway.db-shm was deleted", delete(f"{DATABASE}-shm"), nothing, ends="restart"
    ),
    "lock of the database deleted": Mishap(
        "gateway.db.lock was deleted", move(f"{DATABASE}.lock"), move_back(f"{DATABASE}.lock")
    ),
}
NEEDS_MOUNT = pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs root and mount namespaces")


def parameters(mishaps: dict[str, Mishap]) -> list[object]:
    return [
        pytest.param(mishap, id=name, marks=[NEEDS_MOUNT] if mishap.in_namespace else [])
        for name, mishap in mishaps.items()
    ]


async def prepared(mishap: Mishap, folder: Path, sink: Sink) -> Site:
    """A site with some objects that were acknowledged, in more than one segment."""
    site = Site(folder, sink, is_linked=mishap.is_linked)
    if mishap.in_namespace:  # the spool is a volume of its own, so that its mount can be changed
        (folder / "device").mkdir()
        site.spool.mkdir()
        mount = 'mount --bind "$0/device" "$1" && { [ ! -e "$0/read-only" ] || mount -o remount,bind,ro "$1"; }'
        site.gateway.prefix = ["sh", "-c", f'{mount} && shift && exec "$@"', str(folder), str(site.spool)]
    await site.gateway.start()
    await site.send()
    return site


async def finished(site: Site) -> None:
    site.gateway.stop()
    site.sink.stop()


@pytest.mark.parametrize("mishap", parameters(RUNNING))
async def test_under_a_running_gateway(tmp_path: Path, mishap: Mishap) -> None:
    site = await prepared(mishap, tmp_path, Sink(tmp_path / "sink.log", digest=True))
    try:
        if mishap.ends == "restart" and mishap.happens is not nothing:
            await restarted(site)  # the newest segment then is not the one that is written
        site.gateway.pause()  # it looks before or afterwards: what it would see in the middle is another mishap
        mishap.happens(site)
        site.gateway.resume()
        assert set(await site.send(small=3, large=1)) <= {0x0000, 0xA700}
        await is_told(site, mishap)
        await asyncio.sleep(SWEEPS_S)
        if mishap.is_refused:
            assert set(await site.send(small=2, large=1)) == {0xA700}
        await ENDS[mishap.ends](site, mishap)
    finally:
        await finished(site)


async def is_told(site: Site, mishap: Mishap) -> None:
    if mishap.happens is restore_into:
        await until(lambda: len(site.events("file_quarantined")) == 2)
        assert {event["level"] for event in site.events("file_quarantined")} == {"error"}
        assert await site.gateway.metric("gateway_spool_quarantined_total", kind="file") == 2
        return
    await until(lambda: site.events("spool_not_found"), what="a line in the log")
    (event,) = site.events("spool_not_found")
    assert event["level"] == "error"
    assert mishap.problem in str(event["problem"])
    if not mishap.is_refused:  # made good by the gateway itself
        await until(lambda: site.events("spool_found_again"), what="the gateway to put it right")
        return
    status, reason = await site.ready()
    assert status == 503
    assert mishap.problem in reason
    assert await site.gateway.metric("gateway_spool_in_place") == 0


async def restarted(site: Site) -> None:
    assert await site.gateway.drain() == exit_code.SUCCESS
    await site.gateway.start()


async def heals(site: Site, mishap: Mishap) -> None:
    mishap.put_right(site)
    await site.gateway.wait_ready()
    assert await site.gateway.metric("gateway_spool_in_place") == 1
    assert set(await site.send(small=2, large=1)) == {0x0000}
    await site.everything_arrives()


async def restart(site: Site, mishap: Mishap) -> None:
    await site.gateway.drain()
    await started_again(site, mishap)


async def kill(site: Site, mishap: Mishap) -> None:
    site.gateway.kill()
    await started_again(site, mishap)


async def started_again(site: Site, mishap: Mishap) -> None:
    mishap.put_right(site)
    await site.gateway.start()
    assert set(await site.send(small=2, large=1)) == {0x0000}
    await site.everything_arrives()


async def delivers(site: Site, mishap: Mishap) -> None:
    await site.everything_arrives()


ENDS: dict[str, Callable[[Site, Mishap], Awaitable[None]]] = {
    "heals": heals,
    "restart": restart,
    "kill": kill,
    "delivers": delivers,
}

# --- starting ---------------------------------------------------------------------------------------------------

ANOTHERS, UNKNOWN, CANNOT = "payloads of another spool", "the queue does not know them", "cannot be"
NONE = "there is no spool in this folder"
STARTING = {
    "moved away": Mishap(NONE, move(SPOOL), move_back(SPOOL)),
    "an empty folder there": Mishap(NONE, swap(SPOOL, an_empty_folder), move_back(SPOOL)),
    "another gateway's there": Mishap(ANOTHERS, swap(SPOOL, anothers), move_back(SPOOL)),
    "parent renamed": Mishap(NONE, move("volume"), move_back("volume")),
    "emptied": Mishap(NONE, empty, fill),
    "symlink retargeted": Mishap(NONE, retarget, target, is_linked=True),
    "symlink to nothing": Mishap(
        NONE,
        lambda site: (site.folder / "volume/real").rename(site.aside),
        lambda site: site.aside.rename(site.folder / "volume/real"),
        is_linked=True,
    ),
    "spool.id changed": Mishap(ANOTHERS, write_identity, identity_back),
    "spool.id deleted": Mishap("run `gateway rebuild`", move(f"{SPOOL}/spool.id"), move_back(f"{SPOOL}/spool.id")),
    "a file in its place": Mishap(
        CANNOT,
        swap(SPOOL, lambda original, place: place.touch()),
        lambda site: [delete(SPOOL)(site), move_back(SPOOL)(site)],
    ),
    "lock file of somebody else's": Mishap(
        "is not the lock file of a gateway",
        swap(f"{SPOOL}/gateway.lock", lambda original, place: place.write_text("not a number")),
        move_back(f"{SPOOL}/gateway.lock"),
    ),
    "database moved away": Mishap(UNKNOWN, move(DATABASE), lambda site: move_back_database(site)),
    "database of another gateway": Mishap(
        ANOTHERS,
        lambda site: [move(f"{SPOOL}/spool.id")(site), (site.spool / "spool.id").write_text("else\n")],
        move_back(f"{SPOOL}/spool.id"),
    ),
    "database damaged": Mishap(
        "run `gateway rebuild`",
        swap(DATABASE, lambda original, place: place.write_bytes(b"no database" * 1000)),
        move_back(DATABASE),
    ),
    "read-only": Mishap(
        CANNOT,
        lambda site: (site.folder / "read-only").touch(),
        lambda site: (site.folder / "read-only").unlink(),
        in_namespace=True,
    ),
    "restored from an older copy": Mishap("", swap(SPOOL, an_older_copy), move_back(SPOOL)),
    "segments moved away": Mishap("", move(f"{SPOOL}/segments"), move_back(f"{SPOOL}/segments")),
    "large files moved away": Mishap("", move(f"{SPOOL}/large"), move_back(f"{SPOOL}/large")),
}


def names(site: Site) -> set[str]:
    """All that lies in the folders of spool and database, or in what stands at their places."""
    folders = [site.folder / "volume", site.folder / "database"]
    return {str(path) for folder in folders for path in folder.rglob("*") if not path.name.endswith("-shm")}


def move_back_database(site: Site) -> None:
    """What the start that failed made in its place goes."""
    for path in site.database.parent.glob("gateway.db*"):
        path.unlink()
    move_back(DATABASE)(site)


@pytest.mark.parametrize("mishap", parameters(STARTING))
async def test_under_a_starting_gateway(tmp_path: Path, mishap: Mishap) -> None:
    site = await prepared(mishap, tmp_path, Sink(tmp_path / "sink.log", digest=True))
    try:
        await restarted(site)
        await site.send(small=2, large=1)
        assert await site.gateway.drain() == exit_code.SUCCESS
        mishap.happens(site)
        before = names(site)
        site.gateway.launch()
        if mishap.problem:
            assert await site.gateway.wait() == exit_code.CONFIGURATION, site.gateway.log[-2000:]
            (event,) = site.events("gateway_not_started")
            assert event["level"] == "error"
            assert mishap.problem in str(event["reason"])
            assert names(site) == before, "a start that fails makes nothing"
        else:
            await is_missed(site)
        mishap.put_right(site)
        await site.gateway.start()
        assert set(await site.send(small=2, large=1)) == {0x0000}
        await site.everything_arrives()
    finally:
        await finished(site)


async def is_missed(site: Site) -> None:
    """It starts, for the rest is there; what is not there is named, and waits."""
    await site.gateway.wait_ready()
    missing = site.events("payload_file_not_found")
    assert missing
    assert {event["level"] for event in missing} == {"error"}
    await site.sink.start()
    await until(lambda: site.events("payload_not_read"), what="a try to deliver what is missing")
    assert await site.gateway.metric("gateway_payload_read_failures_total", kind="missing") > 0
    assert await site.gateway.metric("gateway_queue_deliveries", state="dead") == 0
    assert await site.gateway.drain() == exit_code.SUCCESS
