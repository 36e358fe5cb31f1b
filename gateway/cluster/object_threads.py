"""Threads for what waits for the object store, which may be frozen: whoever stops them waits as long as he wants to."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ObjectThreads(Executor):
    """Up to `most` threads, begun as they are needed. The process ends without those that hang."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self.name = name
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._idle = 0
        """Threads that have done what was handed in for them."""
        self._is_stopped = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Raises RuntimeError once it is stopped."""
        done: Future[T] = Future()
        with self._lock:
            if self._is_stopped:
                raise RuntimeError(f"the threads {self.name} are stopped")
            self._work.put((done, lambda: fn(*args, **kwargs)))
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, name=f"{self.name}_{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return done

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            _do(*item)
            del item
            with self._lock:
                self._idle += 1

    def stop(self, limit_s: float) -> bool:
        """Cancel what has not begun, and wait up to `limit_s` for what runs; False when something still does."""
        with self._lock:
            self._is_stopped = True
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._work.get_nowait()
                if item is not None and item[0].cancel():
                    item[0].set_running_or_notify_cancel()
        for _ in self._threads:
            self._work.put(None)
        until_s = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(until_s - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)


def _do(done: Future[T], work: Callable[[], T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        answer = work()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(answer)
