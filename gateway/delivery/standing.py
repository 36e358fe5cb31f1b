"""The standing of one destination: its circuit, whose changes go to the log and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import cast

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.circuit import CLOSED, Circuit
from gateway.model.node import DestinationStanding
from gateway.model.peer import Retry
from gateway.ports.meter import Meter

log = structlog.get_logger()


class Standing:
    """Up, in doubt, or down since when and until when."""

    def __init__(self, destination: str, meter: Meter, random: Random) -> None:
        self._destination = destination
        self._meter = meter
        self._random = random
        self._circuit = CLOSED
        self._reported = ""
        """The last fault that was logged at level error and that an operator must mend."""
        self._down_since_s = 0.0
        self.is_up: bool | None = None
        """None before the first answer or failure."""

    @property
    def is_closed(self) -> bool:
        """True while objects may flow freely; else they probe one by one."""
        return self._circuit.is_closed

    @property
    def reason(self) -> str:
        """The reason why it is down; empty when it is not."""
        return self._circuit.reason

    def wait_s(self) -> float:
        """The seconds until something may be sent again; 0 when it may."""
        return self._circuit.wait_s(loop_clock_s())

    def down_s(self) -> float:
        """The seconds for which it has been down; 0 while it is not."""
        return 0.0 if self._circuit.is_closed else loop_clock_s() - self._down_since_s

    def shared(self, refusals: str) -> DestinationStanding | None:
        """As other nodes are told; None before the first answer or failure."""
        if self.is_up is None:
            return None
        return DestinationStanding(
            self.is_up, self.reason, self._circuit.openings, self.wait_s(), refusals, self.down_s()
        )

    def go_on(self, standing: DestinationStanding) -> None:
        """Go on with how it stood at another node. One that is down is tried with one object at once: it may be down
        for that node alone. In vain, it waits longer than it did before."""
        self.is_up = standing.is_up
        if standing.failures:
            self._circuit = Circuit(standing.failures, 0, 0.0, standing.reason)
            self._down_since_s = loop_clock_s() - standing.down_s
        self._meter.set("gateway_destination_up", int(standing.is_up), destination=self._destination)

    def probe_now(self) -> None:
        """Do not wait any longer."""
        self._circuit = self._circuit.probe_now()

    def answered(self) -> bool:
        """The destination answered; True when it was down until now."""
        if self.is_up and self._circuit is CLOSED:
            return False
        was_down = not self._circuit.is_closed
        if was_down:
            log.info("destination_recovered", destination=self._destination)
        self._circuit = CLOSED
        self._reported = ""
        self.is_up = True
        self._meter.set("gateway_destination_up", 1, destination=self._destination)
        return was_down

    def doubt(self, retry: Retry, reason: str) -> bool:
        """One object was deferred; True when that opened the circuit."""
        return self._follow(self._circuit.doubted(retry, loop_clock_s(), self._random, reason), needs_operator=False)

    def fail(self, retry: Retry, reason: str, *, after_s: float | None = None, needs_operator: bool = False) -> bool:
        """The destination is down; True when that opened the circuit. `needs_operator`: waiting alone will not help."""
        circuit = self._circuit.down(retry, loop_clock_s(), self._random, reason, after_s)
        return self._follow(circuit, needs_operator=needs_operator)

    def _follow(self, circuit: Circuit, *, needs_operator: bool) -> bool:
        if circuit is self._circuit:
            return False
        if self._circuit.is_closed:
            self._down_since_s = loop_clock_s()
        self._circuit = circuit
        if circuit.is_closed:
            return False
        self._log_method(needs_operator=needs_operator)(
            "destination_refused" if needs_operator else "destination_failed",
            destination=self._destination,
            reason=circuit.reason,
            failures=circuit.openings,
            next_try_s=round(self.wait_s(), 3),
        )
        self.is_up = False
        self._meter.set("gateway_destination_up", 0, destination=self._destination)
        return True

    def _log_method(self, *, needs_operator: bool) -> Callable[..., None]:
        """The logger's method: a fault that an operator must mend is an error, once until the destination is up."""
        if not needs_operator:
            return cast("Callable[..., None]", log.warning)
        was_reported, self._reported = bool(self._reported), self._circuit.reason
        return cast("Callable[..., None]", log.info if was_reported else log.error)
