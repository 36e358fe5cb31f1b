"""Answers about requests of Query/Retrieve as lines and as JSON. Values of keys stand in them only where they are asked
for: they may name a patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.dataset.dictionary import name_of
from gateway.leniency import LENIENCIES, Leniency
from gateway.model.peer import Peer
from gateway.model.query import Attributes
from gateway.rehearsal.explain.query import ON_THE_WIRE, QueryAnswer
from gateway.routing.table import RoutingTable
from gateway.sending.contexts import named

NOT_EXPLAINED = (
    "what the places answer, whether they search relationally, and what the wire alone shows "
    f"({', '.join(ON_THE_WIRE)}): see the log and the metric gateway_leniencies_total"
)
SHOWN_BY = {"objects": "explain FILE", "identifiers": "explain --query", "wire": "log and metric alone"}


def query_lines(answer: QueryAnswer, *, with_values: bool = False) -> Iterator[str]:
    """Everything about one request."""
    request = answer.request
    to = f" to {request.destination}" if request.destination else ""
    yield f"{request.name}: C-{request.operation.upper()}{to} in {named(request.sop_class_uid)}"
    strict = ", held to the letter" if answer.is_strict else ""
    yield f"  {answer.admission.text}{strict}"
    yield f"  keys: {', '.join(_keys(request.identifier, with_values=with_values)) or 'none'}"
    for kind in answer.oddities:
        row = LENIENCIES[kind]
        yield f"  against {row.section} ({kind}): {row.what}; {row.then}"
    yield f"  => {_outcome(answer)}"
    if answer.query is not None:
        for rule in answer.hidden_by:
            yield f"     studies that {rule!r} hides are left out"
        yield f"     not said here: {NOT_EXPLAINED}"


def _outcome(answer: QueryAnswer) -> str:
    if not answer.admission.is_admitted:
        return "not heard"
    if answer.query is None:
        comment = f": {answer.error_comment}" if answer.error_comment else ""
        elements = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in answer.offending_elements)
        return f"status 0x{answer.status or 0:04X}{comment}" + (f"; offending elements {elements}" if elements else "")
    query = answer.query
    how = ", relational" if query.is_relational and answer.request.operation == "find" else ""
    sent = f"; sent to {', '.join(answer.sent_to)}" if answer.sent_to else ""
    ignored = ", ".join(map(name_of, query.unsupported))
    return f"level {query.level.value}{how}, asked of {', '.join(answer.queried)}{sent}" + (
        f"; not compared: {ignored}" if ignored else ""
    )


def _keys(identifier: Attributes, *, with_values: bool) -> Iterator[str]:
    for tag in sorted(identifier):
        values = identifier[tag]
        texts = [str(value) for value in values if isinstance(value, str)]
        items = len(values) - len(texts)
        is_public = name_of(tag) == "QueryRetrieveLevel"  # the word, whatever it is, names no patient
        if items:
            yield f"{name_of(tag)} (a sequence)"
        elif not any(texts):
            yield f"{name_of(tag)} (empty)"
        else:
            yield f"{name_of(tag)}={chr(92).join(texts)}" if with_values or is_public else name_of(tag)


def query_json(answer: QueryAnswer, *, with_values: bool = False) -> dict[str, Any]:
    """The same for programs. Names are only added."""
    association = dataclasses.asdict(answer.admission.association)
    del association["association_id"]
    query = answer.query
    return {
        "name": answer.request.name,
        "operation": f"C-{answer.request.operation.upper()}",
        "sop_class_uid": answer.request.sop_class_uid,
        "destination": answer.request.destination,
        "association": association,
        "is_admitted": answer.admission.is_admitted,
        "admission": answer.admission.text,
        "is_strict": answer.is_strict,
        "keys": list(_keys(answer.request.identifier, with_values=with_values)),
        "leniencies": [{"kind": kind, "section": LENIENCIES[kind].section} for kind in answer.oddities],
        "status": None if answer.status is None else f"0x{answer.status:04X}",
        "error_comment": answer.error_comment,
        "offending_elements": [f"{tag:08X}" for tag in answer.offending_elements],
        "level": None if query is None else query.level.value,
        "is_relational": query is not None and query.is_relational,
        "not_compared": [] if query is None else list(map(name_of, query.unsupported)),
        "asked": list(answer.queried) if query is not None else [],
        "sent_to": list(answer.sent_to),
        "hidden_by": list(answer.hidden_by) if query is not None else [],
        "not_said": NOT_EXPLAINED,
    }


# --- what is in force ---------------------------------------------------------------------------------------------


def strict_by_peer(table: RoutingTable) -> dict[str, bool]:
    """True for each peer, by name, that is held to the letter of the standard; the empty name stands for strangers."""
    return {**{name: table.is_strict(name) for name in sorted(table.peers)}, "": table.is_strict("")}


def leniency_lines(table: RoutingTable) -> Iterator[str]:
    """Every kind of leniency, and for whom none is in force."""
    for kind, row in LENIENCIES.items():
        yield f"{kind} ({row.section}; {SHOWN_BY[row.shown_by]})"
        yield f"    {row.what}; {row.then}"
    strict = strict_by_peer(table)
    yield f"in force for: {_names(name for name, is_strict in strict.items() if not is_strict)}"
    yield f"held to the letter (`strict`): {_names(name for name, is_strict in strict.items() if is_strict)}"
    for word, is_delivered in (("failure", False), ("delivered", True)):
        others = [each.name for each in _receivers(table) if each.is_duplicate_delivered is is_delivered]
        others = [name for name in others if strict[name] is is_delivered]
        if others:
            yield f"duplicate_sop_instance otherwise (`delivery.duplicate: {word}`): {_names(others)}"


def leniency_json(table: RoutingTable) -> dict[str, Any]:
    """The same for programs."""
    strict = strict_by_peer(table)
    return {
        "leniencies": [_row(kind, row) for kind, row in LENIENCIES.items()],
        "peers": [{"peer": name, "is_strict": is_strict} for name, is_strict in strict.items() if name],
        "duplicate_sop_instance": [each.name for each in _receivers(table) if each.is_duplicate_delivered],
        "strangers": {"is_strict": strict[""]},
    }


def _receivers(table: RoutingTable) -> list[Peer]:
    return [peer for _, peer in sorted(table.peers.items()) if peer.host]


def _row(kind: str, row: Leniency) -> dict[str, str]:
    return {"kind": kind, "section": row.section, "what": row.what, "then": row.then, "shown_by": row.shown_by}


def _names(names: Iterable[str]) -> str:
    return ", ".join(name or "strangers" for name in names) or "nobody"
