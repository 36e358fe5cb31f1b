"""dcmtk's archive: `dcmqrscp` with a storage area of its own, and `findscu` to ask it or anybody else."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.support.processes import Daemon, free_port, is_listening, program

MODELS = {"patient": "-P", "study": "-S", "patient_study": "-O"}
"""Information model → findscu's option."""

CONFIGURATION = """\
NetworkTCPPort  = {port}
MaxPDUSize      = 131072
MaxAssociations = 16

HostTable BEGIN
{hosts}
HostTable END

VendorTable BEGIN
VendorTable END

AETable BEGIN
{ae_title} {storage} RW (500, 1024mb) ANY
AETable END
"""


class QRSCP(Daemon):
    """`dcmqrscp`: takes C-STORE, answers C-FIND, C-MOVE and C-GET. `destinations`: AE title → port on 127.0.0.1."""

    name = "dcmqrscp"

    def __init__(
        self, folder: Path, *, ae_title: str = "QRSCP", port: int = 0, destinations: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(folder / "dcmqrscp.log")
        self.folder = folder
        self.ae_title = ae_title
        self.port = port or free_port()
        self.destinations = dict(destinations or {})

    def launch(self) -> None:
        storage = self.folder / "storage"
        storage.mkdir(parents=True, exist_ok=True)
        hosts = "\n".join(f"host{port} = ({title}, localhost, {port})" for title, port in self.destinations.items())
        text = CONFIGURATION.format(port=self.port, hosts=hosts, ae_title=self.ae_title, storage=storage)
        (self.folder / "dcmqrscp.cfg").write_text(text)
        super().launch()

    def command(self) -> list[str]:
        return [program("dcmqrscp"), "--log-level", "warn", "-c", str(self.folder / "dcmqrscp.cfg")]

    def environment(self) -> dict[str, str]:
        return {"TCP_NODELAY": "1"}

    async def is_ready(self) -> bool:
        return is_listening(self.port)

    def begin(self) -> None:
        """Start it from outside of an event loop, and wait until it is ready."""
        asyncio.run(self.start())


@dataclass(frozen=True, slots=True)
class Found:
    """What findscu was told."""

    is_success: bool
    log: str
    answers: tuple[Dataset, ...]


def findscu(
    port: int,
    model: str,
    keys: Sequence[str],
    *,
    called: str = "QRSCP",
    calling: str = "FINDSCU",
    options: Sequence[str] = (),
    timeout_s: float = 120.0,
) -> Found:
    """Ask with dcmtk's findscu; `keys` as ``Keyword=value``, in the bytes of their character set."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program("findscu"), "-v", "-X", "-od", folder, MODELS[model], "-aet", calling, "-aec", called]
        command += [*options, "127.0.0.1", str(port)]
        command += [word for key in keys for word in ("-k", key)]
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"},
        )
        answers = tuple(dcmread(path, force=True) for path in sorted(Path(folder).glob("rsp*.dcm")))
    log = (done.stdout + done.stderr).decode("utf-8", "replace")
    return Found(done.returncode == 0 and "Success" in log, log, answers)
