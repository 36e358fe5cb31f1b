"""What the gateway writes is closed to other users of the machine, wherever it lies and whatever the umask."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.objects import write_part10
from tests.support.processes import until

PATIENT = b"SECRETPATIENT"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and list, as below /srv."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-access-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def running(open_folder: Path) -> AsyncIterator[AsyncExitStack]:
    """What runs in the folder ends before it is removed."""
    async with AsyncExitStack() as stack:
        yield stack


def leaks(folder: Path) -> list[str]:
    """Files and names below `folder` that tell another user of the patient, and where that user may write."""
    found: list[str] = []
    for entry in sorted(folder.iterdir()):
        mode = entry.lstat().st_mode
        if PATIENT in os.fsencode(entry.name):
            found.append(f"name {entry}")
        if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
            found.append(f"writable {entry}")
        if stat.S_ISREG(mode) and mode & stat.S_IROTH and PATIENT in entry.read_bytes():
            found.append(f"content {entry}")
        if stat.S_ISDIR(mode) and mode & stat.S_IROTH and mode & stat.S_IXOTH:
            found += leaks(entry)
    return found


def rules(folder: Path, access: str) -> dict[str, object]:
    path = f"{folder}/files/{{{{ PatientName }}}}/{{{{ SOPInstanceUID }}}}.dcm"
    return {
        "peers": {
            "files": {"folder": {"path": path, "access": access}},
            "gone": {"ae_title": "X", "address": "127.0.0.1:1"},
        },
        "routes": [{"name": "all", "to": ["files", "gone"]}],
        "unmatched": "hold",
        "query_retrieve": {"sources": ["local"], "keep": "1 h"},
    }


def gateway_in(folder: Path, umask: str, access: str = "owner", **settings: object) -> GatewayProcess:
    """With spool, queue, pid file and folder destination in folders that are still to be made."""
    command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
    command += [sys.executable, "-m", "gateway", "run", "--log-format", "json"]
    places = {
        "spool": {"path": str(folder / "a/b/spool"), "min_free": "64 MiB"},
        "queue": {"sqlite": str(folder / "c/gateway.db")},
        "pid_file": str(folder / "run/gateway.pid"),
    }
    return GatewayProcess(folder, rules(folder, access), settings={**places, **settings}, command=command)


async def send_two(gateway: GatewayProcess, folder: Path) -> None:
    """A small object, and one that gets a file of its own in the spool."""
    source = folder / "source"
    source.mkdir(mode=0o700, exist_ok=True)
    name = PATIENT.decode()
    files = [
        write_part10(source / "small", {"PatientName": name, "PatientID": name, "SOPInstanceUID": "1.2.3.1"}),
        write_part10(source / "large", {"PatientName": name, "TextValue": name * 200_000, "SOPInstanceUID": "1.2.3.2"}),
    ]
    command = [sys.executable, "-m", "gateway", "send", f"127.0.0.1:{gateway.port}", *map(str, files)]
    done = subprocess.run([*command, "--called-ae", "GATEWAY"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def delivered(gateway: GatewayProcess, number: int) -> None:
    async def is_there() -> bool:
        return await gateway.metric("gateway_deliveries_total", destination="files", outcome="delivered") >= number

    await until(is_there, what="deliveries to the folder")


@pytest.mark.parametrize("umask", ["000", "022", "077"])
async def test_another_user_reads_nothing(running: AsyncExitStack, open_folder: Path, umask: str) -> None:
    gateway = await running.enter_async_context(gateway_in(open_folder, umask))
    await send_two(gateway, open_folder)
    await delivered(gateway, 2)
    assert leaks(open_folder) == []
    assert (open_folder / "a/b/spool").is_dir()
    assert stat.S_IMODE((open_folder / "c/gateway.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((open_folder / "c/gateway.db-wal").stat().st_mode) == 0o600
    assert stat.S_IMODE((open_folder / "files" / PATIENT.decode() / "1.2.3.1.dcm").stat().st_mode) == 0o600
    await gateway.drain()
    assert leaks(open_folder) == []


async def test_the_group_reads_where_it_may(running: AsyncExitStack, open_folder: Path) -> None:
    gateway = await running.enter_async_context(gateway_in(open_folder, "077", "group", file_access="group"))
    await send_two(gateway, open_folder)
    await delivered(gateway, 2)
    assert leaks(open_folder) == []
    modes = {
        name: stat.S_IMODE((open_folder / name).stat().st_mode)
        for name in ("c/gateway.db", "c/gateway.db-shm", "a/b/spool", "files", f"files/{PATIENT.decode()}/1.2.3.2.dcm")
    }
    assert modes == {
        "c/gateway.db": 0o660,
        "c/gateway.db-shm": 0o660,
        "a/b/spool": 0o770,
        "files": 0o750,
        f"files/{PATIENT.decode()}/1.2.3.2.dcm": 0o640,
    }


async def test_what_was_left_open_is_closed_at_the_start(running: AsyncExitStack, open_folder: Path) -> None:
    """By an earlier version, a copy or a backup."""
    gateway = await running.enter_async_context(gateway_in(open_folder, "022"))
    await send_two(gateway, open_folder)
    await delivered(gateway, 2)
    await gateway.drain()
    for path in [open_folder / "c", *(open_folder / "c").iterdir(), *(open_folder / "a").rglob("*"), open_folder / "a"]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    foreign = open_folder / "a/b/spool/somebody-else"
    foreign.touch()
    foreign.chmod(0o644)
    assert leaks(open_folder) != []
    await gateway.restart()
    assert leaks(open_folder) == []
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o644
    changed = [event for event in gateway.events() if event["event"] == "file_mode_changed"]
    assert str(open_folder / "c/gateway.db") in {event["path"] for event in changed}


def downs(gateway: GatewayProcess) -> list[dict[str, Any]]:
    found = [event for event in gateway.events() if event["event"] == "destination_failed"]
    return [event for event in found if event["destination"] == "files"]


async def test_a_folder_that_everybody_may_list_takes_nothing_until_it_is_closed(
    running: AsyncExitStack, open_folder: Path
) -> None:
    (open_folder / "files").mkdir(mode=0o755)
    (open_folder / "files").chmod(0o755)
    gateway = await running.enter_async_context(gateway_in(open_folder, "022"))
    await send_two(gateway, open_folder)
    await until(lambda: downs(gateway) != [], what="the destination is down")
    assert "every user may list or enter it" in downs(gateway)[0]["reason"]
    assert downs(gateway)[0]["failures"] == 1
    assert list((open_folder / "files").iterdir()) == []
    (open_folder / "files").chmod(0o700)
    command = [sys.executable, "-m", "gateway", "queue", "retry", "--all", "--rules", str(gateway.rules_folder)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    await delivered(gateway, 2)
    assert leaks(open_folder) == []


async def test_others_may_read_where_the_rules_say_so(running: AsyncExitStack, open_folder: Path) -> None:
    gateway = await running.enter_async_context(gateway_in(open_folder, "077", "others"))
    await send_two(gateway, open_folder)
    await delivered(gateway, 2)
    found = [line.split(f" {open_folder}/files")[0] for line in leaks(open_folder)]
    assert found == ["name", "content", "content"]


async def test_the_pid_file_follows_no_link_of_others(running: AsyncExitStack, open_folder: Path) -> None:
    victim = open_folder / "victim"
    victim.write_text("untouched")
    (open_folder / "run").mkdir()
    (open_folder / "run/gateway.pid.reload.json").symlink_to(victim)
    gateway = await running.enter_async_context(gateway_in(open_folder, "022"))
    gateway.reload()
    await until(lambda: any(event["event"] == "config_reloaded" for event in gateway.events()), what="a reload")
    assert victim.read_text() == "untouched"
    assert not (open_folder / "run/gateway.pid.reload.json").is_symlink()


async def test_a_link_in_place_of_the_pid_file_is_refused(open_folder: Path) -> None:
    victim = open_folder / "victim"
    victim.write_text("untouched")
    (open_folder / "run").mkdir()
    (open_folder / "run/gateway.pid").symlink_to(victim)
    with pytest.raises(AssertionError, match="is not a pid file"):
        async with gateway_in(open_folder, "022"):
            pass
    assert victim.read_text() == "untouched"
