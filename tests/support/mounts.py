"""A mount namespace of a test's own, in which small file systems stand: they can be filled and made read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import REPOSITORY, Finished, run, until

CAN_MOUNT = (
    os.geteuid() == 0
    and shutil.which("nsenter") is not None
    and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
)
"""True for root outside of most containers."""


class MountNamespace:
    """Lives as long as it is entered; what is mounted in it goes with it, whatever becomes of the test."""

    async def __aenter__(self) -> Self:
        hold = ["setpriv", "--pdeathsig", "KILL", "unshare", "-m", "--propagation", "private", "sleep", "infinity"]
        self._holder = subprocess.Popen(hold, stdin=subprocess.DEVNULL)
        name = Path(f"/proc/{self._holder.pid}/comm")
        await until(lambda: name.read_text() == "sleep\n", what="a private mount namespace")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.kill()
        self._holder.wait()

    def inside(self, *command: str | Path) -> list[str]:
        """A command that sees what is mounted here."""
        enter = ["nsenter", "-t", str(self._holder.pid), "-m", f"--wd={REPOSITORY}"]
        return [*enter, *map(str, command)]

    def do(self, *command: str | Path) -> None:
        """Raises subprocess.CalledProcessError."""
        subprocess.run(self.inside(*command), check=True, capture_output=True)

    async def run(self, *command: str | Path) -> Finished:
        """A program to its end."""
        return await run(self.inside(*command))

    def mount(self, folder: Path, size: str) -> None:
        """A file system of `size` (`24m`) at `folder`."""
        folder.mkdir(exist_ok=True)
        self.do("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", folder)

    def fill(self, folder: Path) -> None:
        """Somebody else takes all room there is; what remains is less than a page."""
        self.do("sh", "-c", 'dd if=/dev/zero of="$0/ballast" bs=4096 status=none 2>/dev/null; true', folder)

    def free(self, folder: Path) -> None:
        """He gives it back."""
        self.do("rm", folder / "ballast")

    def remount(self, folder: Path, how: str) -> None:
        """`ro` or `rw`."""
        self.do("mount", "-o", f"remount,{how}", folder)


class GatewayInNamespace(GatewayProcess):
    """A gateway that sees the mounts of `namespace`."""

    namespace: MountNamespace

    def command(self) -> list[str]:
        return self.namespace.inside(*super().command())
