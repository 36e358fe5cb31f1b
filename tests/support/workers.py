"""`gateway run --workers N` in processes of their own, as nodes over PostgreSQL and a shared folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.gateway_process import GatewayProcess, Rules, parse_metrics
from tests.support.processes import free_ports, until


class WorkersProcess(GatewayProcess):
    """The supervisor of `workers` gateways, with the database `url`. Ready when each worker is."""

    name = "supervisor"

    def __init__(
        self, folder: Path, rules: Rules, url: str, *, workers: int = 3, settings: Mapping[str, Any] | None = None
    ) -> None:
        shared = folder / "objects"
        shared.mkdir(parents=True, exist_ok=True)
        store = {"postgresql": url, "objects": {"folder": str(shared)}, "node": "north"}
        super().__init__(
            folder,
            rules,
            settings={"store": store, **(settings or {})},
            command=[sys.executable, "-m", "gateway", "run", "--log-format", "json", "--workers", str(workers)],
        )
        self.numbers = range(1, workers + 1)
        self.http_port = free_ports(workers + 1)
        self.write_rules(rules)

    def worker(self, number: int) -> GatewayProcess:
        """One worker by its own HTTP port."""
        one = object.__new__(GatewayProcess)
        one.http_port = self.http_port + number
        return one

    async def is_ready(self) -> bool:
        return all([await self.worker(number).is_ready() for number in self.numbers])

    def pids(self) -> dict[int, int]:
        """Worker → its process, as the log has them."""
        return {event["worker"]: event["pid"] for event in self.events() if event["event"] == "worker_launched"}

    async def all_gone(self) -> None:
        """Wait until no worker of the log is there."""
        pids = {event["pid"] for event in self.events() if event["event"] == "worker_launched"}
        await until(lambda: not any(map(is_alive, pids)), 90.0, f"the end of workers {sorted(pids)}")

    async def metrics_of(self, number: int) -> dict[str, list[tuple[dict[str, str], float]]]:
        status, text = await self.worker(number).http("GET", "/metrics")
        assert status == 200, text
        return parse_metrics(text)

    async def idle(self, timeout_s: float = 120.0) -> None:
        """Wait until no delivery is pending, as a worker sees all."""
        await self.worker(1).idle(timeout_s)

    def stop(self, grace_s: float = 30.0) -> None:
        super().stop(grace_s)


def is_alive(pid: int) -> bool:
    """False for one that ended, also where its parent has not taken notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
