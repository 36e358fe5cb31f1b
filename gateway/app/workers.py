"""The process of `gateway run --workers N`: the supervisor of N gateways that listen on the same ports.

```text
start   rules → ports are free → pid file → workers
reload  rules, ports of new listeners → each worker → one result
stop    workers drain, each as a gateway does → pid file
```
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from gateway.app.first_table import Load, first_table
from gateway.config import Loaded
from gateway.lifecycle import exit_code
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.log_summary import SUMMARY
from gateway.lifecycle.pid_file import pid_file, report_result
from gateway.lifecycle.reload import ReloadReport
from gateway.lifecycle.shared_ports import refuse_taken, refuse_taken_http, refuse_unshareable
from gateway.lifecycle.signals import Stop, handled
from gateway.lifecycle.supervisor import SupervisedWorker, Supervisor
from gateway.lifecycle.worker_process import SupervisedProcess, own_command
from gateway.lifecycle.workers_reload import WorkersReload
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError

log = structlog.get_logger()


def supervise(load: Load, workers: int, command: Sequence[str] = ()) -> int:
    """`gateway run --workers`: run the workers until a signal; the exit code (`gateway.lifecycle.exit_code`).

    Args:
        load: gives the configuration.
        workers: their number.
        command: of a worker; that of this process but for tests.
    """
    try:
        return asyncio.run(_serve(load, workers, command or own_command()))
    except ConfigurationError as error:
        log.error("gateway_not_started", reason=str(error))
        return exit_code.CONFIGURATION
    except Exception as error:  # workers drain: their links end with this process
        log.critical("gateway_failed", exc_info=error)
        return exit_code.SOFTWARE
    finally:
        SUMMARY.write_due(is_final=True)


async def _serve(load: Load, workers: int, command: Sequence[str]) -> int:
    stop, reload_requested = Stop(), asyncio.Event()
    with handled(stop, reload_requested.set):
        loading = Loading(load)
        table = await first_table(loading, stop)
        if isinstance(table, int):
            return table
        settings = table.settings
        await refuse_workers(settings, workers)

        async def start(number: int, on_event: Callable[[SupervisedWorker, str], None]) -> SupervisedWorker:
            return await SupervisedProcess.start(command, number, on_event)

        def report(result: ReloadReport) -> None:
            log_result(result)
            report_result(settings.pid_file, result.as_json())

        reloading, version = WorkersReload(loading, table, report), table.version
        del table  # rules may be large, and only workers need them
        with pid_file(Path(settings.pid_file) if settings.pid_file else None):
            log.info("supervisor_started", workers=workers, config=version)
            supervisor = Supervisor(workers, start=start, reloading=reloading, drain_s=settings.drain_s)
            return await supervisor.run(stop, reload_requested)


async def refuse_workers(settings: Settings, workers: int) -> None:
    """Raises ConfigurationError where several processes cannot serve by these settings."""
    if settings.objects is None:
        raise ConfigurationError(
            f"--workers {workers}: several processes need `gateway.store.objects`, a place of payloads that each can "
            "read; without it the payloads of one would lie where the others cannot read them"
        )
    refuse_unshareable(settings, workers)
    await refuse_taken(settings)
    if settings.http is not None:
        await refuse_taken_http(settings.http, workers)


def log_result(result: ReloadReport) -> None:
    """The result of a reload of all workers; each worker logs its own beside it."""
    if result.is_applied:
        log.info("workers_reloaded", version=result.version, reload=result.number)
        return
    log.error(
        "workers_reload_refused",
        version=result.version,
        reload=result.number,
        reason=result.cause,
        problems=len(result.problems),
        remedy=result.remedy,
    )


def load_of_worker(load: Load, number: int) -> Load:
    """`load` with the settings of one worker."""

    def loaded() -> Loaded:
        found = load()
        if found.table is None:
            return found
        table = dataclasses.replace(found.table, settings=settings_of_worker(found.table.settings, number))
        return dataclasses.replace(found, table=table, settings=table.settings)

    return loaded


def settings_of_worker(settings: Settings, number: int) -> Settings:
    """A worker is a node of its own, with a spool folder of its own; the pid file is the supervisor's."""
    node = f"{settings.node}-{number}"
    spool = dataclasses.replace(settings.spool, path=os.path.join(settings.spool.path, node))
    return dataclasses.replace(settings, worker=number, node=node, spool=spool, pid_file="")
