"""Answers as JSON. The shape is stable: names are only added. `docs/explain.md` describes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gateway.dataset.difference import Difference
from gateway.leniency import LENIENCIES
from gateway.model.problem import Mark
from gateway.rehearsal.explain.as_text import name_of
from gateway.rehearsal.explain.explanation import (
    DestinationProposal,
    InstanceExplanation,
    OutgoingObject,
    RuleOutcome,
)
from gateway.rehearsal.explain.summary import ExplanationSummary
from gateway.routing.verdicts import Reason
from gateway.sending.contexts import named


def as_json(shown: Sequence[InstanceExplanation], summary: ExplanationSummary, *, with_values: bool) -> dict[str, Any]:
    """The whole answer: `shown` in full, everything counted."""
    return {
        "objects": [answer_json(answer, with_values=with_values) for answer in shown],
        "not_explained": [{"name": one.name, "reason": one.reason} for one in summary.unexplained],
        "mismatches": [{"name": name, "difference": text} for name, text in summary.mismatches],
        "summary": {
            "objects": summary.objects,
            "shown": len(shown),
            "not_explained": summary.unexplained_count,
            "mismatches": summary.mismatch_count,
            "outcomes": dict(summary.outcomes),
        },
    }


def answer_json(answer: InstanceExplanation, *, with_values: bool) -> dict[str, Any]:
    """One object."""
    association = dataclasses.asdict(answer.association)
    del association["association_id"]
    is_failed = any(one.refusal for one in (*answer.coercions, *answer.routes))
    return {
        "name": answer.name,
        "sop_class_uid": answer.sop_class_uid,
        "sop_class": named(answer.sop_class_uid),
        "sop_instance_uid": answer.sop_instance_uid,
        "transfer_syntax_uid": answer.transfer_syntax_uid,
        "transfer_syntax": named(answer.transfer_syntax_uid),
        "association": association,
        "is_admitted": answer.admission.is_admitted,
        "admission": answer.admission.text,
        "fate": answer.fate,
        "status": None if answer.status is None else f"0x{answer.status:04X}",
        "error_comment": answer.error_comment if with_values or not is_failed else "",
        "decided_by": answer.decided_by,
        "leniencies": [
            {"kind": kind, "section": LENIENCIES[kind].section, "where": where}
            for kind, where in answer.oddities.items()
        ],
        "destinations": list(answer.destinations),
        "coercions": [_judged(one, with_values=with_values) for one in answer.coercions],
        "routes": [_judged(one, with_values=with_values) for one in answer.routes],
        "deliveries": [_leaving(one, with_values=with_values) for one in answer.leaving],
        "owed": [
            {"delivery": one.delivery_id, **_leaving(one, with_values=with_values)} for one in answer.owed
        ],
        **({} if answer.kept_until is None else {"kept_until": answer.kept_until.isoformat()}),
    }  # fmt: skip


def _judged(judged: RuleOutcome, *, with_values: bool) -> dict[str, Any]:
    verdict = judged.verdict
    return {
        "name": verdict.name,
        "place": _place(verdict.mark),
        "is_applied": verdict.is_applied,
        "is_reached": verdict.is_reached,
        "reasons": [_reason(reason, with_values=with_values) for reason in verdict.reason.deciding()],
        "changes": [_difference(one, with_values=with_values) for one in judged.differences],
        "failure": _failure(judged.refusal, with_values=with_values),
        "to": list(verdict.to),
    }


def _reason(reason: Reason, *, with_values: bool) -> dict[str, Any]:
    values = reason.values if with_values and reason.values is not None else [None] * len(reason.attributes)
    return {
        "predicate": reason.kind,
        "path": list(reason.path),
        "place": _place(reason.mark),
        "holds": reason.holds,
        "text": reason.compared,
        "compared": [
            {"attribute": name_of(path)} | ({"values": None if one is None else list(one)} if with_values else {})
            for path, one in zip(reason.attributes, values, strict=True)
        ],
    }


def _difference(one: Difference, *, with_values: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "path": one.path,
        "tag": f"{one.tag:08X}",
        "vr": one.vr,
        "kind": one.kind,
        "before_bytes": one.before_bytes,
        "after_bytes": one.after_bytes,
    }
    if not with_values:
        return described
    before, after = (None if text is None else list(text) for text in (one.before, one.after))
    return described | {"before": before, "after": after}


def _leaving(leaving: OutgoingObject, *, with_values: bool) -> dict[str, Any]:
    return {
        "destination": leaving.destination,
        "rule": leaving.rule,
        "state": leaving.state.value,
        "sop_instance_uid": leaving.sop_instance_uid,
        "transfer_syntax_uid": leaving.transfer_syntax_uid,
        "changes": [_difference(one, with_values=with_values) for one in leaving.differences],
        "failure": _failure(leaving.refusal, with_values=with_values),
        "proposal": None if leaving.proposal is None else _proposal(leaving.proposal),
        "ring": leaving.ring,
        "waits": leaving.waits,
        "priority": leaving.priority.word,
        "one_association": leaving.is_one_association,
        **({"reason": leaving.reason} if leaving.reason else {}),
        **({"keep_s": leaving.keep_s} if leaving.keep_s else {}),
        **(_group_json(leaving) if leaving.group_name else {}),
    }


def _proposal(proposal: DestinationProposal) -> dict[str, Any]:
    return {
        "kind": proposal.kind,
        "where": proposal.where,
        "contexts": [
            {"abstract_syntax": one.abstract_syntax, "transfer_syntaxes": list(one.transfer_syntaxes)}
            for one in proposal.contexts
        ],
        "refusal": proposal.refusal,
    }


def _failure(refusal: str, *, with_values: bool) -> str:
    """Empty when nothing failed; why it failed may quote the object."""
    return refusal if with_values or not refusal else "cannot be done on this object"


def _place(mark: Mark | None) -> dict[str, Any] | None:
    return None if mark is None else mark._asdict()


def _group_json(leaving: OutgoingObject) -> dict[str, Any]:
    return {"group": leaving.group_name, "group_kind": leaving.group_kind, "stand_ins": list(leaving.stand_ins)}
