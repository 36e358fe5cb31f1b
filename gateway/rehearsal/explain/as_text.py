"""Answers as lines for people. Values of objects stand in them only where `with_values` is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.common.quantity import duration
from gateway.dataset.dictionary import name_of as keyword_or_tag
from gateway.dataset.difference import Difference
from gateway.leniency import LENIENCIES
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import IN_PLACE_OF_ROUTES, DeliveryState
from gateway.model.priority import Priority
from gateway.rehearsal.explain.explanation import (
    DestinationProposal,
    FateWord,
    InstanceExplanation,
    OutgoingObject,
    RuleOutcome,
)
from gateway.routing.verdicts import Reason
from gateway.sending.contexts import named

MOST_DIFFERENCES = 200
"""Lines about the elements that one rule changes; JSON has all of them."""

ONE_ASSOCIATION = (
    "with what waits of its study, over one association in the order of Series Number and Instance Number; more than "
    "128 presentation contexts are split over several"
)

FATES: dict[FateWord, str] = {
    "not admitted": "nothing is stored",
    "refused": "refused",
    "discarded": "accepted and thrown away",
    "held": "held in the queue until an operator releases it",
    "routed": "to",
}


def answer_lines(answer: InstanceExplanation, *, with_values: bool = False) -> Iterator[str]:
    """Everything about one object."""
    yield f"{answer.name}: {named(answer.sop_class_uid)} in {named(answer.transfer_syntax_uid)}"
    yield f"  {answer.admission.text}"
    for kind, where in answer.oddities.items():
        row = LENIENCIES[kind]
        yield f"  against {row.section} ({kind}): {where}; {row.then}"
    for title, judged in (("coercion", answer.coercions), ("route", answer.routes)):
        for one in judged:
            yield from _judged_lines(title, one, with_values=with_values)
    yield f"  => {outcome(answer, with_values=with_values)}"
    for leaving in answer.leaving:
        if leaving.destination:
            yield f"     {_leaving_text(leaving, with_values=with_values)}"
            if leaving.priority is not Priority.NORMAL:
                yield f"         {leaving.priority.word}"
            if leaving.group_name:
                yield f"         {_group_text(leaving)}"
            yield from (f"         {text}" for text in (_together(leaving), leaving.ring, leaving.waits) if text)
            if leaving.keep_s:
                yield f"         its copy here is kept for {duration(leaving.keep_s)} after delivery"
        elif leaving.reason and leaving.rule not in IN_PLACE_OF_ROUTES:
            yield f"     {leaving.reason}"
    for owed in answer.owed:
        what = "delivered" if owed.state.value == "delivered" else f"{owed.state.value}, owed"
        where = owed.destination or "no destination yet"
        yield f"     delivery {owed.delivery_id} ({what} since it arrived, by rule {owed.rule!r}): {where}"
        if owed.priority is not Priority.NORMAL:
            yield f"         {owed.priority.word}"
        yield from (f"         {line}" for line in _difference_lines(owed.differences, with_values=with_values))
        if owed.refusal:
            yield f"         {_refusal_text(owed.refusal, with_values=with_values)}"
        yield from (f"         {text}" for text in (_together(owed), owed.ring, owed.waits) if text)
    if answer.kept_until is not None:
        until = f"{answer.kept_until.astimezone():%Y-%m-%d %H:%M:%S %Z}"
        yield f"     nothing is owed; the copy here is kept until {until}"


def _together(leaving: OutgoingObject) -> str:
    return ONE_ASSOCIATION if leaving.is_one_association else ""


def _group_text(leaving: OutgoingObject) -> str:
    """The other members, and how one of them gets the object."""
    if leaving.group_kind == "balance":
        others = " or ".join(leaving.stand_ins) or "nobody else"
        return f"of the group {leaving.group_name}; or to {others}, by what waits and where the study is when it comes"
    others = ", then ".join(leaving.stand_ins) or "nobody"
    return f"of the group {leaving.group_name}; while it is given up: {others}"


def outcome(answer: InstanceExplanation, *, with_values: bool = False) -> str:
    """The object's destinations, in one line."""
    if answer.fate == "routed":
        places = [f"{one.destination} ({one.rule})" for one in answer.leaving if one.state is DeliveryState.PENDING]
        held = [
            f"{one.destination or 'nobody'} ({one.rule})" for one in answer.leaving if one.state is DeliveryState.HELD
        ]
        return f"to {', '.join(places)}" + (f"; held for {', '.join(held)}" if held else "")
    rules = dict.fromkeys([answer.decided_by] if answer.decided_by else [one.rule for one in answer.leaving])
    why = f" (by {', '.join(map(repr, rules))})" if rules else ""
    if answer.status is None:
        return FATES[answer.fate]
    comment = f": {answer.error_comment}" if answer.error_comment and (with_values or _may_show_comment(answer)) else ""
    return f"{FATES[answer.fate]}{why}, status 0x{answer.status:04X}{comment}"


def difference_text(one: Difference, *, with_values: bool) -> str:
    """One element, before and after."""
    tag = f"({one.tag >> 16:04X},{one.tag & 0xFFFF:04X})"
    name = tag if one.path == tag else f"{tag} {one.path}"
    lengths = f"{_length(one.before_bytes)} → {_length(one.after_bytes)}"
    if with_values and (one.before is not None or one.after is not None):
        return f"{name}: {_text(one.before, one.before_bytes)} → {_text(one.after, one.after_bytes)}"
    return f"{name}: {one.kind}, {lengths}"


def reason_text(reason: Reason, *, with_values: bool) -> str:
    """One predicate's verdict."""
    if reason.kind == "all" and not reason.inner:
        return "always holds"
    place = ".".join(str(step) for step in reason.path)
    mark = f" [{reason.mark.file}:{reason.mark.line}]" if reason.mark else ""
    text = f"{place}{mark}: {'holds' if reason.holds else 'does not hold'}"
    if reason.compared:
        return f"{text}; {reason.compared}"
    if with_values and reason.values is not None:
        shown = (
            f"{name_of(path)} = {_value(value)}" for path, value in zip(reason.attributes, reason.values, strict=True)
        )
        text += "".join(f"; {one}" for one in shown)
    return text


def name_of(path: AttributePath) -> str:
    """The path as it was written, else the keyword or tag."""
    return path.text or keyword_or_tag(path.tag)


def _judged_lines(title: str, judged: RuleOutcome, *, with_values: bool) -> Iterator[str]:
    verdict = judged.verdict
    mark = f" [{verdict.mark.file}:{verdict.mark.line}]" if verdict.mark else ""
    word = "applies" if verdict.is_applied else "not reached" if not verdict.is_reached else "does not apply"
    yield f"  {title} {verdict.name!r}{mark}: {word}"
    if verdict.is_reached:
        yield from (f"      {reason_text(reason, with_values=with_values)}" for reason in verdict.reason.deciding())
    yield from (f"      {line}" for line in _difference_lines(judged.differences, with_values=with_values))
    if judged.refusal:
        yield f"      {_refusal_text(judged.refusal, with_values=with_values)}"


def _difference_lines(differences: Sequence[Difference], *, with_values: bool) -> Iterator[str]:
    for one in differences[:MOST_DIFFERENCES]:
        yield f"changes {difference_text(one, with_values=with_values)}"
    if len(differences) > MOST_DIFFERENCES:
        yield f"and {len(differences) - MOST_DIFFERENCES} more; --format json has them all"


def _refusal_text(refusal: str, *, with_values: bool) -> str:
    return f"cannot be done: {refusal}" if with_values else "cannot be done on this object; --show-values says why"


def _leaving_text(leaving: OutgoingObject, *, with_values: bool) -> str:
    if leaving.refusal:
        return f"{leaving.destination}: {_refusal_text(leaving.refusal, with_values=with_values)}"
    held = ", when it is released" if leaving.state is DeliveryState.HELD else ""
    return f"{leaving.destination}{_proposal_text(leaving.proposal) if leaving.proposal else ''}{held}"


def _proposal_text(proposal: DestinationProposal) -> str:
    if proposal.kind != "dicom":
        return f": a file below {proposal.where}"
    if proposal.refusal:
        return f" ({proposal.where}): cannot be sent: {proposal.refusal}"
    contexts = "; ".join(
        f"{named(context.abstract_syntax)} in {' or '.join(map(named, context.transfer_syntaxes))}"
        for context in proposal.contexts
    )
    return f" ({proposal.where}): proposes {contexts}"


def _may_show_comment(answer: InstanceExplanation) -> bool:
    """False when the Error Comment comes from an action that failed: it may quote the object."""
    return not any(one.refusal for one in (*answer.coercions, *answer.routes))


def _length(length_bytes: int | None) -> str:
    return "absent" if length_bytes is None else f"{length_bytes} bytes"


def _text(value: tuple[str, ...] | None, length_bytes: int | None) -> str:
    if length_bytes is None:
        return "absent"
    return f"{length_bytes} bytes" if value is None else repr("\\".join(value))


def _value(value: Sequence[str] | None) -> str:
    return "absent" if value is None else repr("\\".join(value))
