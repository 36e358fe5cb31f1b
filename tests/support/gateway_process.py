"""The gateway as its users run it: `python -m gateway run RULES`, in a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import Daemon, free_port, is_listening, until

Rules = Mapping[str, Any]

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class GatewayProcess(Daemon):
    """A gateway on free ports with spool, queue and rules below `folder`.

    `rules` are the sections beside `gateway:` (peers, groups, coercions, routes, unmatched), as one mapping or as
    YAML text; `settings` goes over the `gateway:` section that is made here. Ready when /readyz answers 200.
    """

    name = "gateway"

    def __init__(
        self,
        folder: Path,
        rules: Rules | str,
        *,
        settings: Mapping[str, Any] | None = None,
        port: int = 0,
        ae_title: str = "GATEWAY",
        variables: Mapping[str, str] | None = None,
        command: list[str] | None = None,
    ) -> None:
        super().__init__(folder / "gateway.log")
        self.folder = folder
        self.rules_folder = folder / "rules"
        self.port = port or free_port()
        self.http_port = free_port()
        self.ae_title = ae_title
        self.variables = dict(variables or {})
        self.settings = dict(settings or {})
        self._command = command or [sys.executable, "-m", "gateway", "run", "--log-format", "json"]
        self.write_rules(rules)

    @property
    def spool_folder(self) -> Path:
        return self.folder / "spool"

    def gateway_section(self) -> dict[str, Any]:
        """The `gateway:` section."""
        queue = {"queue": {"sqlite": str(self.folder / "gateway.db"), "reserve": "1 MiB"}}
        return {
            "ae_title": self.ae_title,
            "listeners": [{"port": self.port, "address": "127.0.0.1"}],
            "spool": {"path": str(self.spool_folder), "min_free": "64 MiB"},
            **({} if "store" in self.settings else queue),
            "http": {"address": f"127.0.0.1:{self.http_port}"},
            "admit": "any",
            **self.settings,
        }

    def write_rules(self, rules: Rules | str) -> None:
        """Put the configuration in force at the next start or reload."""
        self.rules_folder.mkdir(parents=True, exist_ok=True)
        gateway = yaml.safe_dump({"gateway": self.gateway_section()}, sort_keys=False)
        text = rules if isinstance(rules, str) else yaml.safe_dump(dict(rules), sort_keys=False)
        _replace(self.rules_folder / "00-gateway.yaml", gateway)
        _replace(self.rules_folder / "10-site.yaml", text)

    def command(self) -> list[str]:
        return [*self._command, str(self.rules_folder)]

    def environment(self) -> dict[str, str]:
        return {"PYTHONUNBUFFERED": "1", **self.variables}

    async def is_ready(self) -> bool:
        if not is_listening(self.http_port):
            return False
        try:
            return (await self.http("GET", "/readyz"))[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    async def http(self, method: str, path: str, timeout_s: float = 60.0) -> tuple[int, str]:
        """Status and body of a call of its HTTP listener."""
        return await asyncio.to_thread(_call, self.http_port, method, path, timeout_s)

    async def metrics(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """/metrics: name → (labels, value) of each sample."""
        status, text = await self.http("GET", "/metrics")
        assert status == 200, text
        return parse_metrics(text)

    async def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of `name` that carry `labels`; 0 when there is none."""
        samples = (await self.metrics()).get(name, [])
        return sum(value for found, value in samples if labels.items() <= found.items())

    async def restart(self) -> None:
        """Start again after `kill` or `wait`."""
        self.stop()
        await self.start()

    def reload(self) -> None:
        """SIGHUP; the result shows in `metric("gateway_config_last_reload_successful")` and in the log."""
        self.signal(signal.SIGHUP)

    async def drain(self, timeout_s: float = 90.0) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait(timeout_s)

    def events(self) -> list[dict[str, Any]]:
        """The log lines that are JSON; one that is being written is none yet."""
        *lines, _ = self.log.split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def times_logged(self, event: str) -> int:
        """How often `event` was logged, with the lines that a summary stands for."""
        whole = len([line for line in self.events() if line.get("event") == event])
        return whole + int(await self.metric("gateway_log_lines_left_out_total", event=event))

    async def idle(self, timeout_s: float = 120.0) -> None:
        """Wait until no delivery is pending (metric `gateway_queue_deliveries`). Raises TimeoutError, with the queue
        and the end of the log, when their number did not fall for `timeout_s`."""
        fewest: float = math.inf

        async def is_empty_or_less() -> bool:
            nonlocal fewest
            was, pending = fewest, await self.metric("gateway_queue_deliveries", state="pending")
            fewest = min(was, pending)
            return pending < was or pending == 0

        while fewest:
            try:
                await until(is_empty_or_less, timeout_s, "an empty queue")
            except TimeoutError as error:
                seen = {name: samples for name, samples in (await self.metrics()).items() if "_queue_" in name}
                raise TimeoutError(f"{error}; {fewest:.0f} pending; {seen}\n{self.log[-6000:]}") from error


def parse_metrics(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The Prometheus text format: name → (labels, value) of each sample."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            name, labels, value = match.groups()
            found.setdefault(name, []).append((dict(_LABEL.findall(labels or "")), float(value)))
    return found


def _replace(path: Path, text: str) -> None:
    """Swap the file in one step: a reload never reads half of it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def _call(port: int, method: str, path: str, timeout_s: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
