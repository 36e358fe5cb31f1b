"""Between the words of the model and what the database keeps: times as microseconds, batches as JSON.

A batch goes to the database as one JSON text and comes back as one: a statement then serves any number of rows, and the
interpreter lock is given up and taken again once a statement instead of once a row.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Attempt, Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import likeness_of
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import StudyDeliveries

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATES = {state.value: state for state in DeliveryState}
NEVER_US = 253402300799000000
"""The time at which a delivery is due that waits for its collection (`gateway.model.delivery.NEVER`)."""
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def microseconds(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    passed = time - EPOCH
    return (passed.days * 86400 + passed.seconds) * 1_000_000 + passed.microseconds


def moment(microseconds_since_1970: int) -> datetime:
    """The aware UTC time that `microseconds` came from."""
    return EPOCH + timedelta(microseconds=microseconds_since_1970)


def batch(rows: Sequence[object]) -> str:
    """Rows as JSON for a statement. Text that no database could hold (NUL, lone surrogates) is replaced."""
    try:
        text = _encode_rows(rows)
    except UnicodeEncodeError:
        return _encode_rows(cleaned(rows)).decode()
    if _has_numbered_characters(text):
        text = _encode_rows(cleaned(rows))
    return text.decode()


def fit(rows: Sequence[tuple[object, ...]]) -> Sequence[tuple[object, ...]]:
    """Rows as values of a statement. Text that no database could hold (NUL, lone surrogates) is replaced."""
    try:
        is_fit = not _has_numbered_characters(_encode_rows(rows))
    except UnicodeEncodeError:
        is_fit = False
    return rows if is_fit else [tuple(cleaned(list(row))) for row in rows]


def _has_numbered_characters(text: bytes) -> bool:
    """True for JSON with ``\\u…``. Few rows have a backslash, and to look for one byte takes a fiftieth of the time."""
    return b"\\" in text and b"\\u" in text


def _plain(value: object) -> str:
    """Text of a class of its own, such as pydicom's UID, as plain text."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} has no place in a row")


_encode_rows = msgspec.json.Encoder(enc_hook=_plain).encode
"""A fifth of the time of the standard library's, which is made for each call anew."""


def cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def association_text(facts: AssociationFacts) -> str:
    """Facts as compact JSON, without what is empty."""
    return _encode({name: value for name, value in dataclasses.asdict(facts).items() if value})


sender: Callable[[AssociationFacts], tuple[object, ...]] = attrgetter(
    *("calling_ae_title", "called_ae_title", "remote_host", "listener", "is_tls", "tls_subject", "tls_names"),
    *("user_identity", "claimed_user_identity", "peer"),
)
"""The facts of the sender that rules and templates of a delivery may read, and that stay the same when it sends
again.
"""


def association_facts(text: str) -> AssociationFacts:
    """The reverse of `association_text`; fields of other versions of this package are left out."""
    known = {field.name for field in dataclasses.fields(AssociationFacts)}
    values = {"calling_ae_title": "", "called_ae_title": "", "remote_host": ""} | json.loads(text)
    values["tls_names"] = tuple(values.get("tls_names", ()))
    return AssociationFacts(**{name: value for name, value in values.items() if name in known})


NOT_INDEXED = (None, "", 0)
"""The series key, attributes and mark of the newest, for an instance that is not in the index."""


def instance_row(instance_id: int, instance: Instance, association_id: int, settled_at: int | None) -> tuple[Any, ...]:
    """Values for `insert_instances`; those of the index, or `NOT_INDEXED`, follow."""
    payload = instance.payload
    return (
        instance_id,
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        instance.study_instance_uid,
        instance.series_instance_uid,
        association_id,
        payload.name,
        payload.offset_bytes,
        payload.length_bytes,
        payload.digest,
        microseconds(instance.received_at),
        settled_at,
    )


def delivery_row(delivery_id: int, instance_id: int, instance: Instance, dispatch: Dispatch) -> tuple[Any, ...]:
    """Values for `insert_deliveries`; its times follow."""
    return (
        delivery_id,
        instance_id,
        dispatch.destination,
        dispatch.rule,
        dispatch.actions_json,
        dispatch.state.value,
        likeness_of(instance),
        dispatch.group_name,
        dispatch.reason,
        int(dispatch.priority),
        int(dispatch.passes_window),
        dispatch.bundle,
        dispatch.bundle_place,
        None if dispatch.collection is None else dispatch.collection.collection_id,
    )


def settlement_row(settlement: Settlement) -> tuple[Any, ...]:
    """Values for `find_leased` and `settle`."""
    return (
        settlement.delivery_id,
        settlement.lease,
        settlement.state.value,
        microseconds(settlement.due_at),
        settlement.reason,
        1 if settlement.is_attempt else 0,
        1 if settlement.is_doubtful else 0,
    )


def attempt_row(settlement: Settlement, number: int) -> tuple[Any, ...]:
    """Values for `insert_attempts`."""
    return (
        settlement.delivery_id,
        number,
        microseconds(settlement.started_at) if settlement.started_at else None,
        round(settlement.duration_s * 1_000_000),
        settlement.state.value,
        settlement.status,
        settlement.reason,
    )


def attempt(row: Sequence[Any]) -> Attempt:
    """One row of `attempts`."""
    number, started_at, duration_us, state, status, reason = row
    return Attempt(
        number=number,
        started_at=None if started_at is None else moment(started_at),
        duration_s=duration_us / 1_000_000,
        state=STATES[state],
        status=status,
        reason=reason,
    )


def settled_row(settlement: Settlement) -> tuple[Any, ...]:
    """Values for `find_settled`."""
    _, _, started_at, duration_us, state, status, _ = attempt_row(settlement, 0)
    return settlement.delivery_id, settlement.lease, started_at, duration_us, state, status


def study_deliveries(rows: Iterable[Sequence[Any]]) -> list[StudyDeliveries]:
    """Rows of `sum_studies`, one a study, destination and state, as one a study and destination."""
    found: dict[tuple[str, str], StudyDeliveries] = {}
    for study, destination, state, number, size_bytes, first_at, last_at, attempts in rows:
        row = StudyDeliveries(
            study, destination, {STATES[state]: number}, int(size_bytes), moment(first_at), moment(last_at), attempts
        )
        before = found.get((study, destination))
        found[study, destination] = row if before is None else _together(before, row)
    return [*found.values()]


def _together(one: StudyDeliveries, other: StudyDeliveries) -> StudyDeliveries:
    return dataclasses.replace(
        one,
        numbers={**one.numbers, **other.numbers},
        size_bytes=one.size_bytes + other.size_bytes,
        first_received_at=min(one.first_received_at, other.first_received_at),
        last_received_at=max(one.last_received_at, other.last_received_at),
        most_attempts=max(one.most_attempts, other.most_attempts),
    )


INSTANCE_COLUMN = 18
ASSOCIATION_COLUMN = INSTANCE_COLUMN + 5
"""The column at which `read_deliveries` has the instance, and its association's identifier."""
INSTANCE_ASSOCIATION_COLUMN = 5
"""The column at which `read_instances` has it."""


def instance(row: Sequence[Any], associations: Mapping[int, AssociationFacts]) -> Instance:
    """One row of `read_instances`, or the end of one of `read_deliveries`."""
    return Instance(
        sop_class_uid=row[0],
        sop_instance_uid=row[1],
        transfer_syntax_uid=row[2],
        study_instance_uid=row[3],
        series_instance_uid=row[4],
        association=associations[row[5]],
        payload=PayloadRef(row[6], row[7], row[8], bytes.fromhex(row[9])),
        received_at=moment(row[10]),
        instance_id=row[11],
        kept_facts=row[12],
    )


def delivery(row: Sequence[Any], associations: Mapping[int, AssociationFacts]) -> Delivery:
    """One row of `read_deliveries`."""
    return Delivery(
        delivery_id=row[0],
        instance=instance(row[INSTANCE_COLUMN:], associations),
        destination=row[1],
        rule=row[2],
        actions_json=row[3],
        state=STATES[row[4]],
        attempts=row[5],
        created_at=moment(row[6]),
        due_at=moment(row[7]),
        lease=row[8],
        reason=row[9],
        renewed_at=None if row[10] is None else moment(row[10]),
        group_name=row[11],
        is_doubtful=bool(row[12]),
        corrected_by=row[13],
        priority=Priority(row[14]),
        passes_window=bool(row[15]),
        bundle=row[16],
        bundle_place=row[17],
        collection_id=row[INSTANCE_COLUMN + 13],
    )
