"""Calls to a gateway that runs on this machine: over its HTTP listener, or by signal and PID file."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from gateway.lifecycle.pid_file import read_pid, read_result
from gateway.model.settings import HTTP, Settings
from gateway.ports.errors import GatewayError
from gateway.spool.folder import identity_at

POLL_S = 0.05
LOOPBACK_OF_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class NotRunning(GatewayError):
    """No gateway answers there."""


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """The two ways to reach a running gateway: its HTTP surface and its PID file."""

    http: HTTP | None
    pid_file: str = ""


def status(place: RunningGateway, timeout_s: float = 10.0) -> dict[str, Any]:
    """`GET /status`. Raises NotRunning."""
    if place.http is None:
        raise NotRunning("the configuration has no `gateway.http`, so that a running gateway cannot be asked")
    return _call(place.http, "GET", "/status", timeout_s)[0]


def status_and_date(place: HTTP, timeout_s: float) -> tuple[dict[str, Any], datetime | None]:
    """`GET /status`, and the time of the gateway's clock then, to the second. Raises NotRunning."""
    return _call(place, "GET", "/status", timeout_s)


def reload(place: RunningGateway, timeout_s: float = 60.0) -> dict[str, Any]:
    """Reload over HTTP when it is configured, else by SIGHUP, and wait for the result. Raises NotRunning."""
    if place.http is not None:
        return _call(place.http, "POST", "/-/reload", timeout_s)[0]
    if not place.pid_file:
        raise NotRunning("the configuration has neither `gateway.http` nor `gateway.pid_file`; send SIGHUP yourself")
    return _hang_up(Path(place.pid_file), timeout_s)


def _call(address: HTTP, method: str, path: str, timeout_s: float) -> tuple[dict[str, Any], datetime | None]:
    """Its answer, and the answer's Date (RFC 9110 §6.6.1)."""
    host = LOOPBACK_OF_ANY_ADDRESS.get(address.address, address.address)
    connection = http.client.HTTPConnection(host, address.port, timeout=timeout_s)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotRunning(f"no gateway answers at {address.address}:{address.port}: {error}") from error
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise NotRunning(f"what answers at {address.address}:{address.port} is no gateway")
    return answer, _date(response.headers.get("Date", ""))


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def other_gateway(found: Mapping[str, Any], settings: Settings) -> str:
    """The reason why the status `found` is not of the gateway of `settings`; empty when it is. Their spools tell them
    apart."""
    theirs, path = str(found["spool"].get("id", "")), str(found["spool"]["path"])
    folder = os.path.realpath(settings.spool.path)
    if found.get("worker"):  # each has a folder of its own in that of the rules
        folder = os.path.join(folder, os.path.basename(path))
    ours = _spool_id(folder)
    is_same_folder = os.path.realpath(path) == folder
    if ours == theirs if ours and theirs else is_same_folder:  # else it is starting, or the file is not ours to read
        return ""
    here = os.path.abspath(settings.spool.path)
    return f"its spool is {path} ({theirs or 'not known yet'}), that of these rules is {here} ({ours or 'not known'})"


def _spool_id(folder: str) -> str:
    """Empty when it cannot be read."""
    try:
        return identity_at(Path(folder))
    except OSError:
        return ""


def _hang_up(
    path: Path,
    timeout_s: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    pid = read_pid(path)
    if pid is None:
        raise NotRunning(f"no gateway runs: there is no process id in {path}")
    requested_at = now()
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        raise NotRunning(f"no gateway runs: process {pid} of {path} is gone") from None
    except PermissionError:
        raise NotRunning(f"process {pid} of {path} belongs to another user") from None
    for _ in range(int(timeout_s / POLL_S)):
        result = read_result(path)
        if result and datetime.fromisoformat(result["started_at"]) >= requested_at:
            return result
        sleep(POLL_S)
    raise NotRunning(f"process {pid} has told no result within {timeout_s:g} s; see its log")
