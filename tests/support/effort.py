"""What something costs, in processor time: the same on a machine that others use too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def processor_time_below(limit_s: float) -> Iterator[None]:
    """The block may use `limit_s` seconds of processor time of this process, all threads together.

    Limits are ten times what the block takes on a quiet machine, or more: a cost that grows with the square of its
    input is over them by far, caches and hyper-threads that are shared with others are not.

    Raises:
        AssertionError: it took more.
    """
    started_s = time.process_time()
    yield
    used_s = time.process_time() - started_s
    assert used_s < limit_s, f"{used_s:.2f} s of processor time, {limit_s:g} s at most"
