"""Debian's HAProxy before gateways: TCP from callers, a header of the PROXY protocol to a gateway, health checks."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from tests.support.processes import Daemon, free_port, is_listening, program

SOURCE = "127.0.0.2"
"""The address that HAProxy calls the gateway from; callers have others of the loopback network."""


class HAProxy(Daemon):
    """A balancer on 127.0.0.1:`port` for the server 127.0.0.1:`target`, or for several.

    Args:
        target: a port, or a port of each server and the further words of its own.
        server: further words of each `server` line, as ``send-proxy check``.
        bind: further words of the `bind` line.
        backend: further lines of the backend.
    """

    name = "HAProxy"

    def __init__(
        self, folder: Path, target: int | Mapping[int, str], server: str, *, bind: str = "", backend: str = ""
    ) -> None:
        super().__init__(folder / "haproxy.log")
        targets = {target: ""} if isinstance(target, int) else target
        servers = "\n".join(
            f"  server gw{number} 127.0.0.1:{port} source {SOURCE} {server} {words}"
            for number, (port, words) in enumerate(targets.items(), 1)
        )
        self.port = free_port()
        self._folder = folder
        self._settings = dedent(f"""\
            global
              stats socket {folder}/haproxy.sock mode 600 level user
            defaults
              mode tcp
              timeout connect 60s
              timeout client 600s
              timeout server 600s
            frontend dicom
              bind 127.0.0.1:{self.port} {bind}
              default_backend gateways
            backend gateways
              {backend or "balance leastconn"}
            """)
        self._settings += f"{servers}\n"

    def launch(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "haproxy.cfg").write_text(self._settings)
        super().launch()

    def command(self) -> list[str]:
        return [program("haproxy"), "-db", "-f", str(self._folder / "haproxy.cfg")]

    async def is_ready(self) -> bool:
        """Its own socket gets its name after the port is open."""
        return is_listening(self.port) and (self._folder / "haproxy.sock").exists()

    async def server(self) -> dict[str, str]:
        """What it knows of the server: the row of ``show stat``."""
        reader, writer = await asyncio.open_unix_connection(str(self._folder / "haproxy.sock"))
        writer.write(b"show stat\n")
        text = (await reader.read()).decode("ascii").removeprefix("# ")
        writer.close()
        await writer.wait_closed()
        return next(row for row in csv.DictReader(text.splitlines()) if row["svname"] == "gw1")
