"""Log and metrics of instances that are not stored, or not as they should be."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from gateway.intake.incoming import Incoming
from gateway.leniency import tolerated
from gateway.model.delivery import LOOP_RULE, Dispatch
from gateway.ports.errors import GatewayError, RejectedByRule, fit_for_log
from gateway.ports.meter import Meter, peer_label
from gateway.routing.facts import ObjectFacts
from gateway.routing.fate_decision import FateDecision

MORE = "counted, not logged, for this association"
MOST_LOGGED = 256
"""Associations, and rules of an association, of which it is known that a line was written."""


class IntakeLog:
    """Counts every instance; of those that stand in the queue for all to see, or are dropped as the rules say, one line
    an association and rule is written.

    Args:
        log: a structlog logger.
    """

    def __init__(self, meter: Meter, log: Any = None) -> None:
        self.meter = meter
        self._log = structlog.get_logger() if log is None else log
        self._logged: deque[str] = deque(maxlen=MOST_LOGGED)

    def unmatched(self, incoming: Incoming, action: str, reason: str, facts: ObjectFacts) -> None:
        """No rule wants it: `action` is done. Rejected and discarded instances have a line of their own."""
        self.meter.count("gateway_unmatched_instances_total", peer=peer_label(incoming.facts), action=action)
        if action == "hold" and not self._is_first(incoming.facts.association_id):
            return
        fields = {"study_instance_uid": facts.study_instance_uid, "action": action, "reason": reason}
        self._warn("instance_unmatched", incoming, **fields, **({"more": MORE} if action == "hold" else {}))

    def decided(self, incoming: Incoming, decision: FateDecision, facts: ObjectFacts) -> None:
        """A rule drops, rejects or holds it. A rejected instance is logged as refused."""
        fate = decision.fate
        self.meter.count("gateway_decided_instances_total", rule=decision.rule, action=fate.kind)
        if fate.kind == "reject" or not self._is_first(f"{incoming.facts.association_id} {decision.rule}"):
            return
        name = "instance_dropped" if fate.kind == "drop" else "instance_held"
        fields = {"rule": decision.rule, "reason": fate.reason or f"the rule says `{fate.kind}`"}
        study = facts.study_instance_uid
        self._warn(name, incoming, study_instance_uid=study, **fields, more=f"{MORE} and rule")

    def priority_unclear(self, incoming: Incoming, rule: str) -> None:
        """The template of a route gave no priority for it: its delivery is normal."""
        self.meter.count("gateway_unclear_priorities_total", rule=rule)
        if self._is_first(f"{incoming.facts.association_id} priority {rule}"):
            hint = f"`gateway explain` shows what `priority` gives; {MORE} and rule"
            self._warn("priority_not_recognised", incoming, rule=rule, consequence="its delivery is normal", more=hint)

    def unaimed(self, incoming: Incoming, dispatch: Dispatch, facts: ObjectFacts) -> None:
        """A template under `to` of a route gave no destination for it."""
        self.meter.count("gateway_decided_instances_total", rule=dispatch.rule, action="hold")
        if self._is_first(f"{incoming.facts.association_id} to {dispatch.rule}"):
            fields = {"rule": dispatch.rule, "reason": dispatch.reason, "more": f"{MORE} and rule"}
            self._warn("instance_held", incoming, study_instance_uid=facts.study_instance_uid, **fields)

    def looping(self, incoming: Incoming, reason: str, facts: ObjectFacts) -> None:
        """It goes round in a ring, and is held."""
        self.meter.count("gateway_looping_instances_total", peer=peer_label(incoming.facts))
        if not self._is_first(f"{incoming.facts.association_id} {LOOP_RULE}"):
            return
        study = facts.study_instance_uid
        fields = {"rule": LOOP_RULE, "reason": reason, "more": f"{MORE} and rule"}
        self._warn("instance_loop_detected", incoming, study_instance_uid=study, **fields)

    def unreadable_held(self, incoming: Incoming, rule: str, error: GatewayError) -> None:
        """`unreadable: hold` holds it."""
        self.meter.count("gateway_decided_instances_total", rule=rule, action="hold")
        self._warn("instance_held", incoming, rule=rule, reason=str(error))

    def oddities(self, incoming: Incoming, found: Mapping[str, str]) -> None:
        """It was taken although the standard does not allow what was `found`, by kind of leniency."""
        for kind, where in found.items():
            tolerated(
                self.meter,
                kind,
                peer_label(incoming.facts),
                where=where,
                sop_instance_uid=incoming.sop_instance_uid,
                association=incoming.facts.association_id,
                log=self._log,
            )

    def refused(self, incoming: Incoming, error: GatewayError) -> None:
        """Its sender is answered with the status of `error`. An instance that came for a retrieve has no such
        sender.
        """
        if not incoming.is_retrieved:
            self._warn("instance_refused", incoming, status=f"0x{error.dimse_status:04X}", **_why(error))

    def _is_first(self, key: str) -> bool:
        if key in self._logged:
            return False
        self._logged.append(key)
        return True

    def _warn(self, name: str, incoming: Incoming, **fields: str) -> None:
        self._log.warning(
            name,
            sop_instance_uid=incoming.sop_instance_uid,
            sop_class_uid=incoming.sop_class_uid,
            **incoming.facts.log_fields(),
            **fields,
        )


def _why(error: GatewayError) -> dict[str, str]:
    """The reason of `error` for the log. The text of a plain Refusal is an action's and may quote the object."""
    if isinstance(error, RejectedByRule):
        return {"error": "RejectedByRule", "rule": error.rule, "reason": str(error)}
    words = fit_for_log(error)
    return {"error": type(error).__name__, **({"reason": words} if words else {})}
