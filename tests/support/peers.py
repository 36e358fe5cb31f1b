"""Real peers for tests on the wire: dcmtk, Orthanc, stock pynetdicom, and the gateway itself in a process of its own.

Everything is an asynchronous context manager (`async with StoreSCP(tmp_path / "scp") as peer: …`) that is ready when
it is entered and gone when it is left. `port` is chosen free, on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.corpus import Part10, corpus, read_part10
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import Daemon, Finished, free_port, is_listening, program, run, until

__all__ = [
    "Finished",
    "GatewayProcess",
    "Orthanc",
    "Part10",
    "StockSCP",
    "StoreSCP",
    "corpus",
    "dcmsend",
    "echoscu",
    "free_port",
    "read_part10",
    "run",
    "stock_scu",
    "storescu",
    "until",
]

NO_DELAY = {"TCP_NODELAY": "1"}  # dcmtk leaves Nagle's algorithm on unless told so; 40 ms a message


def stored(folder: Path) -> list[Path]:
    """The files that are complete in `folder` and below, sorted by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


class FolderSCP(Daemon):
    """A C-STORE SCP that writes what it gets into `folder`."""

    def __init__(self, folder: Path, *, port: int = 0, ae_title: str) -> None:
        super().__init__(folder.with_name(f"{folder.name}.log"))
        self.folder = folder
        self.port = port or free_port()
        self.ae_title = ae_title

    async def is_ready(self) -> bool:
        return is_listening(self.port)

    def files(self) -> list[Path]:
        """What it has stored."""
        return stored(self.folder)

    async def received(self, count: int, timeout_s: float = 60.0) -> list[Path]:
        """Wait for at least `count` files."""
        await until(lambda: len(self.files()) >= count, timeout_s, f"{count} objects at {self.name}")
        return self.files()


class StoreSCP(FolderSCP):
    """dcmtk's `storescp +xa`; `bit_preserving` writes the data set bytes as they came instead of parsing them."""

    name = "storescp"

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        ae_title: str = "STORESCP",
        bit_preserving: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, port=port, ae_title=ae_title)
        self.options = (*(("+B",) if bit_preserving else ()), *options)

    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        super().launch()

    def command(self) -> list[str]:
        options = ["+xa", "+uf", "-aet", self.ae_title, "-od", str(self.folder), *self.options]
        return [program("storescp"), *options, str(self.port)]

    def environment(self) -> dict[str, str]:
        return NO_DELAY

    def files(self) -> list[Path]:
        """What it has stored; a file that it still writes is none yet."""
        there = super().files()
        being_written = self._open_files()
        return [path for path in there if str(path) not in being_written]

    def _open_files(self) -> set[str]:
        found = set()
        with contextlib.suppress(FileNotFoundError):  # it has ended
            for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    found.add(os.readlink(descriptor))
        return found


class StockSCP(FolderSCP):
    """Stock pynetdicom; answers `status`, after `delay_s`; takes any SOP class unless `only` names some."""

    name = "pynetdicom"

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        ae_title: str = "STOCK",
        status: int = 0x0000,
        delay_s: float = 0.0,
        only: Iterable[str] = (),
        transfer_syntaxes: Iterable[str] = (),
    ) -> None:
        super().__init__(folder, port=port, ae_title=ae_title)
        self.options = ["--status", str(status), "--delay", str(delay_s), "--ae-title", ae_title]
        self.options += [f"--only={uid}" for uid in only]
        self.options += [f"--transfer-syntax={uid}" for uid in transfer_syntaxes]

    def command(self) -> list[str]:
        place = ["--folder", str(self.folder), "--port", str(self.port)]
        return [sys.executable, "-m", "tests.support.stock", "scp", *place, *self.options]


@dataclass(frozen=True, slots=True)
class Modality:
    """Another peer as Orthanc knows it."""

    ae_title: str
    port: int
    host: str = "127.0.0.1"


class Orthanc(Daemon):
    """Debian's Orthanc 1.10 with a storage of its own, everything accepted, its REST on 127.0.0.1:`http_port`."""

    name = "Orthanc"
    ready_timeout_s = 90.0

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        ae_title: str = "ORTHANC",
        modalities: Mapping[str, Modality] | None = None,
        lua: str = "",
        settings: Mapping[str, Any] | None = None,
        no_delay: bool = True,
    ) -> None:
        super().__init__(folder / "orthanc.log")
        self.no_delay = no_delay
        self.folder = folder
        self.port = port or free_port()
        self.http_port = free_port()
        self.ae_title = ae_title
        self.modalities = dict(modalities or {})
        self.lua = lua
        self.settings = dict(settings or {})

    def configuration(self) -> dict[str, Any]:
        """What is written to its configuration file."""
        lua_path = self.folder / "orthanc.lua"
        modalities = {
            name: {"AET": peer.ae_title, "Host": peer.host, "Port": peer.port, "AllowTranscoding": False}
            for name, peer in self.modalities.items()
        }
        return {
            "Name": self.ae_title,
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "UnknownSopClassAccepted": True,
            "AcceptedTransferSyntaxes": ["1.*", "2.*"],
            "TranscodeDicomProtocol": False,
            "DicomModalities": modalities,
            "LuaScripts": [str(lua_path)] if self.lua else [],
            "OverwriteInstances": True,
            "Plugins": [],
            "JobsHistorySize": 1000,
            "DicomScuTimeout": 60,
            "SaveJobs": False,
            **self.settings,
        }

    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "orthanc.lua").write_text(self.lua)
        (self.folder / "orthanc.json").write_text(json.dumps(self.configuration(), indent=2))
        super().launch()

    def command(self) -> list[str]:
        return [program("Orthanc"), str(self.folder / "orthanc.json")]

    def environment(self) -> dict[str, str]:
        return NO_DELAY if self.no_delay else {}

    async def is_ready(self) -> bool:
        if not is_listening(self.http_port):
            return False
        try:
            await self.get("/system")
        except (OSError, ValueError):
            return False
        return is_listening(self.port)

    async def get(self, path: str) -> Any:
        """The JSON behind a REST path."""
        return json.loads(await self.request("GET", path))

    async def post(self, path: str, body: bytes | Mapping[str, Any] | Sequence[Any]) -> Any:
        """The JSON answer to a REST call; `body` is sent as it is, or as JSON."""
        return json.loads(await self.request("POST", path, body if isinstance(body, bytes) else _json(body)))

    async def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Any REST call.

        Raises:
            RuntimeError: Orthanc answered with an error; the message is its own.
        """
        url = f"http://127.0.0.1:{self.http_port}{path}"
        return await asyncio.to_thread(_http, urllib.request.Request(url, data=body, method=method))

    async def instances(self) -> list[str]:
        """Orthanc's identifiers of what it holds."""
        names: list[str] = await self.get("/instances")
        return names

    async def file(self, instance: str) -> bytes:
        """The Part 10 file it holds."""
        return await self.request("GET", f"/instances/{instance}/file")

    async def send(self, modality: str, instances: Sequence[str]) -> Any:
        """Send what it holds to one of its modalities, and wait for the end."""
        body = {"Resources": list(instances), "Synchronous": True, "Timeout": 60}
        return await self.post(f"/modalities/{modality}/store", body)

    async def received(self, count: int, timeout_s: float = 60.0) -> list[str]:
        """Wait until it holds at least `count` instances."""

        async def enough() -> bool:
            return len(await self.instances()) >= count

        await until(enough, timeout_s, f"{count} objects at Orthanc")
        return await self.instances()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _http(request: urllib.request.Request) -> bytes:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(f"{request.full_url}: {error.code}: {error.read().decode(errors='replace')}") from None


# --- senders ----------------------------------------------------------------------------------------------------


async def storescu(
    port: int,
    paths: Iterable[Path],
    *,
    called: str = "GATEWAY",
    calling: str = "STORESCU",
    options: Sequence[str] = (),
    timeout_s: float = 600.0,
) -> Finished:
    """dcmtk's storescu; says what it does (`-v`)."""
    command: list[str | Path] = [
        program("storescu"),
        "-v",
        "-aet",
        calling,
        "-aec",
        called,
        *options,
        "127.0.0.1",
        str(port),
        *paths,
    ]
    return await run(command, timeout_s=timeout_s, environment=NO_DELAY)


async def dcmsend(
    port: int,
    paths: Iterable[Path],
    *,
    called: str = "GATEWAY",
    calling: str = "DCMSEND",
    options: Sequence[str] = (),
    timeout_s: float = 600.0,
) -> Finished:
    """dcmtk's dcmsend; says what it does (`-v`)."""
    command: list[str | Path] = [
        program("dcmsend"),
        "-v",
        "-aet",
        calling,
        "-aec",
        called,
        *options,
        "127.0.0.1",
        str(port),
        *paths,
    ]
    return await run(command, timeout_s=timeout_s, environment=NO_DELAY)


async def echoscu(
    port: int,
    *,
    called: str = "GATEWAY",
    calling: str = "ECHOSCU",
    options: Sequence[str] = (),
    timeout_s: float = 60.0,
) -> Finished:
    """dcmtk's echoscu; returncode 0 when the echo was answered."""
    command = [program("echoscu"), "-v", "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port)]
    return await run(command, timeout_s=timeout_s, environment=NO_DELAY)


async def stock_scu(
    port: int,
    paths: Iterable[Path],
    *,
    called: str = "GATEWAY",
    calling: str = "STOCK",
    options: Sequence[str] = ("--raw",),
    timeout_s: float = 600.0,
) -> Finished:
    """Stock pynetdicom's `send_c_store` in a process of its own; one line a file, see `tests.support.stock`."""
    place = ["--port", str(port), "--called-ae-title", called, "--ae-title", calling]
    command: list[str | Path] = [sys.executable, "-m", "tests.support.stock", "scu", *place, *options, *paths]
    return await run(command, timeout_s=timeout_s)
