"""The local folder of a node: large objects while they arrive, and the cache. Nothing in it is needed by a start.

```text
gateway.lock     held while a node runs
large/…          objects while they arrive
cache/…          payloads that were received or fetched last (`gateway.cluster.payload_cache`)
```
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path

from gateway.cluster.payload_cache import CACHE, PayloadCache
from gateway.model.instance import PayloadRef
from gateway.model.settings import Spool
from gateway.ports.errors import ConfigurationError
from gateway.spool import record
from gateway.spool.disk import Disk
from gateway.spool.folder import SpoolFolder
from gateway.spool.free_space import FreeSpace
from gateway.spool.large import FOLDER, LargeFile
from gateway.spool.lock import SpoolLock
from gateway.spool.recovery import payload_files


class NodeFolder:
    """Taken on construction, given back by `close`.

    Raises (construction): ConfigurationError when the folder cannot be used, another process uses it, or it has
    payloads of a gateway that was alone.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        disk: Disk,
        monotonic: Callable[[], float],
        workers: concurrent.futures.Executor,
    ) -> None:
        self._root = Path(spool.path)
        self._disk = disk
        self._workers = workers
        self._folder = SpoolFolder(self._root)
        try:
            self._lock = SpoolLock(self._root, self._folder.handle)
        except BaseException:
            self._folder.close()
            raise
        try:
            self._begin()
            self.cache = PayloadCache(self._root / CACHE)
        except BaseException:
            self.close()
            raise
        self.room = FreeSpace(self._root, spool.min_free_bytes, disk, monotonic, lambda: self._folder.handle)
        self._numbers = itertools.count(1)

    def _begin(self) -> None:
        """Delete what arrived for a process that is gone. Raises ConfigurationError."""
        if self._folder.read_identity() and any(payload_files(self._root)):
            raise ConfigurationError(
                f"spool {self._root}: it holds payloads of a gateway that ran without `store.objects`; no node would "
                "deliver them; name another folder, or start without `store.objects` until they are delivered"
            )
        for base, _ in list(self._folder.files(FOLDER)):
            self._folder.unlink(f"{FOLDER}/{base}", self._disk)

    def close(self) -> None:
        """Let the next process in."""
        self._lock.release()
        self._folder.close()

    def new_file(self) -> LargeFile:
        """A file for one large object while it arrives."""
        return LargeFile(self._folder, next(self._numbers), self._disk, self._let_go)

    def keep(self, payload: PayloadRef, file: LargeFile) -> None:
        """The cache takes the file of an object that has arrived: it is sent from there."""
        self.cache.adopt(payload.name, self._root / file.name, record.HEADER_BYTES, payload.length_bytes)

    def _let_go(self, file: LargeFile) -> None:
        with contextlib.suppress(RuntimeError):  # workers have stopped: the next start cleans up
            self._workers.submit(file.clean_up)
