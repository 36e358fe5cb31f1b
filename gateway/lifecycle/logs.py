"""Log events to standard error, as text or JSON; exceptions by type and place, since messages may quote an object."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from typing import Any, Literal, TextIO

import structlog

from gateway.common.plain_text import printable, shown_uid
from gateway.lifecycle.log_summary import SUMMARY
from gateway.ports.errors import GatewayError

LEVELS = ("debug", "info", "warning", "error")
Format = Literal["text", "json"]


def configure(level: str = "info", form: Format = "text", stream: TextIO | None = None, worker: int = 0) -> None:
    """Set up the log for this process; once, at start. The lines of a worker of several have its number."""
    output = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([partial(_add_worker, worker)] if worker else []),
            SUMMARY,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            place_of_exception,
            without_free_text,
            _renderer(form, output),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(output),  # a line at once: workers write to one file
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Forward(max(number, logging.WARNING))], level=logging.WARNING, force=True)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its codecs log what they decode


def _add_worker(worker: int, logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.setdefault("worker", worker)
    return event


@contextlib.contextmanager
def warnings_to_stderr(level: int = logging.WARNING) -> Iterator[None]:
    """Log warnings, or events of at least `level`, to standard error: for commands whose standard output is their
    answer."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def place_of_exception(logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`exc_info` → `exception`: type and stack. Only our own and the system's errors show their message."""
    found = event.pop("exc_info", None)
    if not found:
        return event
    error = found if isinstance(found, BaseException) else sys.exc_info()[1]
    if error is None:
        return event
    stack = "".join(traceback.format_tb(error.__traceback__))
    event["exception"] = f"{stack}{describe(error)}"
    return event


def without_free_text(logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Fields of UIDs show UIDs alone, and no text commands a terminal or ends its line; a stack keeps its lines."""
    for key, value in event.items():
        if key == "exception":
            event[key] = "\n".join(printable(line) for line in str(value).split("\n"))
        elif key.endswith(("_uid", "_uids")):
            event[key] = _each_text(value, lambda text: printable(shown_uid(text)))
        else:
            event[key] = _each_text(value, printable)
    return event


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {_each_text(key, change): _each_text(below, change) for key, below in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_each_text(below, change) for below in value]
        case _:
            return value


def describe(error: BaseException) -> str:
    """An exception in one line without values that may come from an object."""
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}: {'; '.join(describe(inner) for inner in error.exceptions)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"  # its file name may be made of a patient's attributes
    if isinstance(error, GatewayError | OSError):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def _renderer(form: Format, output: TextIO) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
    )


class _Forward(logging.Handler):
    """Warnings of libraries, as our events."""

    def emit(self, record: logging.LogRecord) -> None:
        event: dict[str, object] = {"library": record.name}
        if record.exc_info and record.exc_info[1]:
            event["exc_info"] = record.exc_info[1]
        else:
            event["message"] = record.getMessage()
        log = structlog.get_logger()
        (log.error if record.levelno >= logging.ERROR else log.warning)("library_message_logged", **event)
