"""Signals that come before the gateway can act on them: kept until it can, instead of ending the process.

Imports take a second, and a service manager or `logrotate` may send SIGHUP meanwhile. A blocked signal stays pending
until `gateway.lifecycle.signals.handled` has its handlers in place. This module imports nothing of the gateway: it is
the first that `python -m gateway` runs.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

OURS = frozenset({signal.SIGHUP, signal.SIGTERM, signal.SIGINT})
"""The signals that the running gateway handles."""


def hold(arguments: Sequence[str]) -> None:
    """Block what `gateway run` handles; other commands are ended by signals as every program is.

    Args:
        arguments: of the command line, without the program's name.
    """
    if arguments[:1] == ["run"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def blocked() -> frozenset[signal.Signals]:
    """The signals of `OURS` that this thread has blocked now."""
    return OURS.intersection(signal.Signals(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
