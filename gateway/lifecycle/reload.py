"""Reload: read, check, compile, prepare, swap one reference, retire; or report every problem and change nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from gateway.config import Loaded
from gateway.lifecycle.listening import ListenerChange, Listening
from gateway.lifecycle.loading import Loading, NotLoaded
from gateway.model.settings import S3Settings, Settings
from gateway.ports.errors import ConfigurationError, GatewayError
from gateway.ports.meter import Meter
from gateway.routing.table import RoutingTable

log = structlog.get_logger()

CARRIED_OVER = frozenset({"listeners"})
"""Process settings that a reload may change."""

WRITTEN_AS = {
    "log_objects": "log.objects",
    "queue_path": "queue.sqlite",
    "postgresql": "store.postgresql",
    "objects": "store.objects",
    "objects.folder": "store.objects.folder",
    "objects.s3": "store.objects.s3",
    **{f"objects.s3.{field.name}": f"store.objects.s3.{field.name}" for field in dataclasses.fields(S3Settings)},
    "unsealed_limit_bytes": "store.unsealed_limit",
    "node": "store.node",
    "queue_min_free_bytes": "queue.min_free",
    "queue_reserve_bytes": "queue.reserve",
    "is_strict": "strict",
    "spool.segment_bytes": "spool.segment_size",
    "limits.command_bytes": "limits.command_size",
    "limits.object_bytes": "limits.object_size",
    "limits.inflated_bytes": "limits.inflated",
    "http.port": "http.address",
}
"""Settings whose YAML name is not the field's name without its unit."""


REMEDIES = {
    "rules": "correct what `gateway validate` shows, then `gateway reload`",
    "restart": "restart the gateway, or take the change back and `gateway reload`",
    "machine": "`gateway doctor` looks at ports, addresses and files and says what to do; then `gateway reload`",
    "reading": "see that all files of the rules can be read, then `gateway reload`",
    "internal": "the log has the place; rules that differ less from those in force may be taken",
    "stopping": "the next start reads the rules anew",
    "workers": "the workers have different rules now: `gateway reload` again, or restart the gateway",
}
"""Kind of refusal → what to do about it."""


class TableInForce:
    """The one shared reference: the routing table in force. Only the reload writes it."""

    def __init__(self, table: RoutingTable) -> None:
        self.current = table


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """The result of one reload."""

    number: int
    """Counts from 1 in this process."""
    started_at: datetime
    """The time before the rules were read."""
    is_applied: bool
    version: str
    """The version of the table in force after it."""
    problems: tuple[str, ...] = ()
    """Every problem when refused; warnings when applied."""
    cause: str = ""
    """The problem because of which it was refused, the first of them; empty when applied."""
    remedy: str = ""
    """The action to take; empty when applied."""

    def as_json(self) -> dict[str, object]:
        return {
            "result": "applied" if self.is_applied else "refused",
            "number": self.number,
            "started_at": self.started_at.isoformat(),
            "version": self.version,
            "problems": list(self.problems),
            "remedy": self.remedy,
        }


class Reloader:
    """Does reloads one after the other; each ends in a report, and always reads the rules after it was asked for.

    Args:
        loading: reads the rules.
        live: the table in force.
        listening: opens and closes listeners.
        prepare: makes everything that a table needs and changes nothing; it may raise. What it gives puts all of that
            in force, and cannot fail.
        afterwards: what is worth saying of the rules in force, a sentence each.
        report: is given each result.
        requested: set when a reload is asked for (SIGHUP).
        now: the wall clock.
    """

    def __init__(
        self,
        *,
        loading: Loading,
        live: TableInForce,
        listening: Listening,
        prepare: Callable[[RoutingTable], Callable[[], None]],
        afterwards: Callable[[], Awaitable[Sequence[str]]],
        report: Callable[[ReloadReport], None],
        requested: asyncio.Event,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._loading = loading
        self._live = live
        self._listening = listening
        self._prepare = prepare
        self._afterwards = afterwards
        self._report = report
        self._now = now
        self._one_at_a_time = asyncio.Lock()
        self._requested = requested
        self.last: ReloadReport | None = None
        self._closing = asyncio.Event()

    @property
    def is_reloading(self) -> bool:
        """True while rules are read and put in force."""
        return self._one_at_a_time.locked()

    async def serve_requests(self) -> None:
        """Reload whenever `requested` is set (SIGHUP), until cancelled.

        Requests that come before a reload has begun to read share it; none is lost.
        """
        while True:
            await self._requested.wait()
            self._requested.clear()  # before reading: who asks from here on gets a reload of its own
            await self.reload()

    async def reload(self) -> ReloadReport:
        """One reload. Never raises for a bad configuration."""
        async with self._one_at_a_time:
            started_at = self._now()
            number = 1 if self.last is None else self.last.number + 1
            try:
                problems = await self._loaded_and_put_in_force()
            except ReloadRefused as refused:
                self.last = ReloadReport(
                    number,
                    started_at,
                    is_applied=False,
                    version=self._live.current.version,
                    problems=refused.problems,
                    cause=refused.cause,
                    remedy=refused.remedy,
                )
            else:
                self.last = ReloadReport(number, started_at, True, self._live.current.version, problems)
            self._report(self.last)
            return self.last

    async def close(self) -> None:
        """End the reload that is going on, without waiting for files that it reads, and refuse those that come."""
        self._closing.set()
        async with self._one_at_a_time:
            pass

    async def _loaded_and_put_in_force(self) -> tuple[str, ...]:
        """The warnings. Raises ReloadRefused, and then nothing has changed."""
        try:
            loaded = await self._loading.load(self._closing)
            if self._closing.is_set():
                raise ReloadRefused("stopping", ("the gateway is stopping",))
            return await self._put_in_force(loaded)
        except ReloadRefused:
            raise
        except NotLoaded as error:
            raise ReloadRefused("stopping" if self._closing.is_set() else "reading", (str(error),)) from error
        except Exception as error:  # a fault of ours, on rules that were not foreseen: those in force go on
            log.exception("config_reload_failed", reason="nothing has changed")
            raise ReloadRefused("internal", (_internal(error),)) from error

    async def _put_in_force(self, loaded: Loaded) -> tuple[str, ...]:
        """The warnings. Raises ReloadRefused, and then nothing has changed."""
        found = tuple(str(problem) for problem in loaded.problems)
        table = checked(loaded, self._live.current.settings)
        try:
            swap = self._prepare(table)
            change = self._listening.compare(table.settings.listeners)
            await self._listening.prepare(change)  # last: it is what others see
        except ConfigurationError as error:
            raise ReloadRefused("machine", (*found, str(error)), (str(error),)) from error
        except Exception as error:
            log.exception("config_reload_failed", reason="nothing has changed")
            raise ReloadRefused("internal", (*found, _internal(error)), (_internal(error),)) from error
        self._live.current = table
        swap()
        return (*found, *await self._finish(change))

    async def _finish(self, change: ListenerChange) -> tuple[str, ...]:
        """Finish a reload after the new rules are in force. An error here is reported, and changes nothing in that."""
        problems: list[str] = []
        steps: Sequence[tuple[str, Callable[[], Awaitable[Sequence[str] | None]]]] = (
            ("old listeners were not all closed", lambda: self._listening.retire(change)),
            ("what is in the queue was not looked at", self._afterwards),
        )
        for what, step in steps:
            try:
                problems += await step() or ()
            except Exception as error:
                log.exception("config_reload_not_finished", reason=what)
                problems.append(f"in force, but {what}: {type(error).__name__}; see the log")
        return tuple(problems)


def _internal(error: Exception) -> str:
    return f"internal error: {type(error).__name__}; see the log"


class ReloadRefused(GatewayError):
    """The reload is refused.

    Args:
        kind: of `REMEDIES`.
        problems: all that was found, warnings too.
        causes: those of them for which it is refused; () for all.
    """

    def __init__(self, kind: str, problems: tuple[str, ...], causes: tuple[str, ...] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.cause = next(iter(causes or problems), "")
        self.remedy = REMEDIES[kind]


class Reporter:
    """Writes a reload's result to the log and the metrics."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __call__(self, report: ReloadReport) -> None:
        result = "applied" if report.is_applied else "refused"
        self._meter.count("gateway_config_reloads_total", result=result)
        self._meter.set("gateway_config_last_reload_successful", float(report.is_applied))
        for problem in report.problems:
            (log.warning if report.is_applied else log.error)(
                "config_problem_found", problem=problem, reload=report.number
            )
        if report.is_applied:
            self._meter.set("gateway_config_last_reload_success_timestamp_seconds", report.started_at.timestamp())
            log.info("config_reloaded", version=report.version, reload=report.number)
            return
        log.error("config_reload_refused", version=report.version, reload=report.number, problems=len(report.problems))


def checked(loaded: Loaded, in_force: Settings) -> RoutingTable:
    """The table of rules that have no error, and that need no restart. Raises ReloadRefused."""
    found = tuple(str(problem) for problem in loaded.problems)
    errors = tuple(str(problem) for problem in loaded.problems if problem.severity == "error")
    if loaded.table is None or errors:
        raise ReloadRefused("rules", found, errors)
    needs_restart = tuple(
        f"{name} has changed: process settings need a restart"
        for name in changed_process_settings(in_force, loaded.table.settings)
    )
    if needs_restart:
        raise ReloadRefused("restart", (*found, *needs_restart), needs_restart)
    return loaded.table


def changed_process_settings(before: Settings, after: Settings) -> tuple[str, ...]:
    """The settings of `gateway:` that differ and need a restart, as they are written, sorted."""
    names = _differences(before, after, "")
    return tuple(sorted({f"gateway.{WRITTEN_AS.get(name, _without_unit(name))}" for name in names}))


def _differences(before: Any, after: Any, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        name = f"{prefix}{field.name}"
        if old == new or name in CARRIED_OVER:
            continue
        if dataclasses.is_dataclass(old) and dataclasses.is_dataclass(new):
            yield from _differences(old, new, f"{name}.")
        else:
            yield name


def _without_unit(name: str) -> str:
    return name.removesuffix("_bytes").removesuffix("_s")
