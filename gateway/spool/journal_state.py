"""The state of the journal: not started, working, closed, or broken with its reason."""

from __future__ import annotations

import asyncio

from gateway.model.dimse_status import OUT_OF_RESOURCES
from gateway.ports.errors import GatewayError

NOT_STARTED, CLOSED = "not started", "closed"


class JournalClosed(GatewayError):
    """The gateway is stopping, or the committer died: asking this journal again is of no use."""

    dimse_status = OUT_OF_RESOURCES  # the peer may send again, to the next process


class JournalState:
    """The state of the journal on the spool at `path`. Used on the event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._failure: asyncio.Future[None] | None = None
        self.problem = NOT_STARTED
        """Empty when commits go on; else what is wrong."""

    @property
    def is_closed(self) -> bool:
        """True after `closing`."""
        return self.problem == CLOSED

    @property
    def is_open(self) -> bool:
        """False before the start and after `closing`."""
        return self.problem not in (NOT_STARTED, CLOSED)

    def starting(self) -> None:
        """The journal starts: from now on it may break."""
        self._failure = asyncio.get_running_loop().create_future()

    def started(self) -> None:
        """Commits go on."""
        self.problem = ""

    def closing(self) -> None:
        """Begin to close: nothing new is taken."""
        self.problem = CLOSED

    def closed(self) -> None:
        """Closed in order, unless it broke."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    def check(self) -> None:
        """Raises JournalClosed when nothing is taken."""
        if self.problem:
            raise self.error()

    def error(self) -> JournalClosed:
        """The error that answers requests which are not answered otherwise."""
        return JournalClosed(f"spool {self._path}: {self.problem}; send again after the restart")

    def break_(self, error: BaseException) -> None:
        """Break the journal: no promise can be given any more, and `failed` raises `error`."""
        self.problem = self.problem or f"broken: {type(error).__name__}: {error}"
        if self._failure is None or self._failure.done():
            return
        failure = self.error()
        failure.__cause__ = error
        self._failure.set_exception(failure)
        self._failure.exception()  # seen: `failed` raises it to those who wait

    async def failed(self) -> None:
        """Wait until it breaks, and raise why; returns when it was closed in order."""
        assert self._failure is not None
        await asyncio.shield(self._failure)
