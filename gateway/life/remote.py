"""Speaking to a gateway that runs on this machine: over its HTTP listener, or by signal and pid file."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.life.pid_file import read_pid, read_result
from gateway.model import HTTP
from gateway.ports import GatewayError

POLL_S = 0.05
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class NotRunning(GatewayError):
    """No gateway answers there."""


@dataclass(frozen=True, slots=True)
class Place:
    """How a running gateway is reached."""

    http: HTTP | None
    pid_file: str = ""


def status(place: Place, timeout_s: float = 10.0) -> dict[str, Any]:
    """`GET /status`. Raises NotRunning."""
    if place.http is None:
        raise NotRunning("the configuration has no `gateway.http`, so that a running gateway cannot be asked")
    return _call(place.http, "GET", "/status", timeout_s)


def reload(place: Place, timeout_s: float = 60.0) -> dict[str, Any]:
    """Reload over HTTP when it is configured, else by SIGHUP, and wait for the result. Raises NotRunning."""
    if place.http is not None:
        return _call(place.http, "POST", "/-/reload", timeout_s)
    if not place.pid_file:
        raise NotRunning("the configuration has neither `gateway.http` nor `gateway.pid_file`; send SIGHUP yourself")
    return _hang_up(Path(place.pid_file), timeout_s)


def _call(address: HTTP, method: str, path: str, timeout_s: float) -> dict[str, Any]:
    host = ANY_ADDRESS.get(address.address, address.address)
    connection = http.client.HTTPConnection(host, address.port, timeout=timeout_s)
    try:
        connection.request(method, path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotRunning(f"no gateway answers at {address.address}:{address.port}: {error}") from error
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise NotRunning(f"what answers at {address.address}:{address.port} is no gateway")
    return answer


def _hang_up(
    path: Path,
    timeout_s: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    pid = read_pid(path)
    if pid is None:
        raise NotRunning(f"no gateway runs: there is no process id in {path}")
    asked_at = now()
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        raise NotRunning(f"no gateway runs: process {pid} of {path} is gone") from None
    except PermissionError:
        raise NotRunning(f"process {pid} of {path} belongs to another user") from None
    for _ in range(int(timeout_s / POLL_S)):
        result = read_result(path)
        if result and datetime.fromisoformat(result["started_at"]) >= asked_at:
            return result
        sleep(POLL_S)
    raise NotRunning(f"process {pid} has told no result within {timeout_s:g} s; see its log")
