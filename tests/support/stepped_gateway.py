"""`python -m tests.support.stepped_gateway run …`: the gateway on a machine whose wall clock is set.

The file that the variable STEP_FILE names says how many seconds ahead of the true time the wall clock is; it is read at
every look at the clock. Monotonic clocks stay as they are.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import gateway.app.process
import gateway.cli
from gateway.common.steady_clock import utc_now

_STEP = Path(os.environ["STEP_FILE"])
_true_time = time.time
_TrueDatetime = datetime


def _step_s() -> float:
    return float(_STEP.read_text() or 0)


class SteppedDatetime(datetime):
    """`datetime` whose `now` is the wall clock's."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return _TrueDatetime.now(tz) + timedelta(seconds=_step_s())


def step() -> None:
    """Every module of the gateway sees the wall clock that is set."""
    time.time = lambda: _true_time() + _step_s()
    for name, module in list(sys.modules.items()):
        if name.startswith("gateway") and getattr(module, "datetime", None) is _TrueDatetime:
            module.datetime = SteppedDatetime  # type: ignore[attr-defined]
    assert abs((utc_now() - _TrueDatetime.now(utc_now().tzinfo)).total_seconds() - _step_s()) < 60


if __name__ == "__main__":
    step()
    gateway.cli.main(sys.argv[1:])
