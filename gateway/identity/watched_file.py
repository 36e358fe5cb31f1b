"""A file whose content is read again when it changes; a bad new content leaves the old one in force."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from gateway.common.regular_file import read_regular_file
from gateway.identity.values import NotVerifiable

log = structlog.get_logger()

T = TypeVar("T")

LIMIT_BYTES = 8 * 1024 * 1024


def read_bounded(path: str) -> bytes:
    """The content of a regular file of at most 8 MiB. Raises OSError; ValueError when it is longer."""
    content = read_regular_file(Path(path), LIMIT_BYTES)
    if len(content) > LIMIT_BYTES:
        raise ValueError("it is larger than 8 MiB")
    return content


class WatchedFile(Generic[T]):
    """A file whose parsed value follows its changes. Any thread may use it.

    Args:
        path: the file.
        parse: makes something of its content; raises ValueError with the reason.
    """

    def __init__(self, path: str, parse: Callable[[bytes], T]) -> None:
        self._path = path
        self._parse = parse
        self._lock = threading.Lock()
        self._identity: object = None
        self._value: T | None = None

    def value(self) -> T:
        """The value of the file as it is now, or as it was when it was last good.

        Raises:
            NotVerifiable: it cannot be read, or was never good.
        """
        with self._lock:
            try:
                identity = _identity(self._path)
                if identity != self._identity:
                    self._read_again(identity)
            except OSError as error:
                raise NotVerifiable(f"cannot read {self._path}: {error.strerror or error}") from None
            if self._value is None:
                raise NotVerifiable(f"{self._path} cannot be used")
            return self._value

    def _read_again(self, identity: object) -> None:
        content = read_bounded_or_none(self._path)
        self._identity = identity  # a file that changed while it was read is seen at the next call
        try:
            if content is None:
                raise ValueError("it is larger than 8 MiB")
            self._value = self._parse(content)
        except ValueError as error:
            kept = self._value is not None
            log.error("user_identity_file_not_used", file=self._path, reason=str(error), is_former_kept=kept)


def read_bounded_or_none(path: str) -> bytes | None:
    """The content as from `read_bounded`; None when it is longer."""
    try:
        return read_bounded(path)
    except ValueError:
        return None


def _identity(path: str) -> object:
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_dev
