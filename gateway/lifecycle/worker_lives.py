"""The consequence of a worker of `gateway run --workers` that ends unasked: another start after a pause, or all end."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.lifecycle import exit_code

STEADY_S = 60.0
"""A worker that ran as long did not end quickly."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
MOST_QUICK_ENDS = 6
"""Quick ends of one worker in a row with which the supervisor ends."""


@dataclass(frozen=True, slots=True)
class StartAgain:
    """The worker is started again."""

    after_s: float


@dataclass(frozen=True, slots=True)
class EndAll:
    """All workers are drained, and the supervisor ends."""

    code: int
    """Its exit code."""


class WorkerLives:
    """Knows which workers serve, and how each one's last lives ended.

    Args:
        workers: their number; each has a number from 1 on.
    """

    def __init__(self, workers: int) -> None:
        self._quick_ends = dict.fromkeys(range(1, workers + 1), 0)
        self._serving: set[int] = set()
        self._have_all_served = False

    def serves(self, worker: int) -> None:
        """It has started, and listens."""
        self._serving.add(worker)
        self._have_all_served = self._have_all_served or self._serving == self._quick_ends.keys()

    def ended(self, worker: int, code: int, lived_s: float) -> StartAgain | EndAll:
        """It ended unasked.

        Args:
            worker: its number.
            code: its exit code; negative: the signal that killed it.
            lived_s: time since its process was started.

        A refused configuration ends all at the first start, as it ends a gateway that is alone. Later the others go on
        while one serves: rules that are being edited, and a worker that is started again meanwhile, stop nothing.
        """
        self._serving.discard(worker)
        self._quick_ends[worker] = 1 if lived_s >= STEADY_S else self._quick_ends[worker] + 1
        quick = self._quick_ends[worker]
        do_others_serve = self._have_all_served and bool(self._serving)
        if code == exit_code.CONFIGURATION:
            return _again(quick) if do_others_serve else EndAll(code)
        return EndAll(of_supervisor(code) or exit_code.SOFTWARE) if quick >= MOST_QUICK_ENDS else _again(quick)


def of_supervisor(code: int) -> int:
    """The supervisor's exit code for that of a worker; one that was killed has none of its own."""
    return exit_code.SOFTWARE if code < 0 else code


def _again(quick_ends: int) -> StartAgain:
    return StartAgain(min(FIRST_PAUSE_S * 2 ** min(quick_ends - 1, 16), LONGEST_PAUSE_S))
