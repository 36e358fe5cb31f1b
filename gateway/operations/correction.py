"""Correct and release: a delivery that is held or dead goes on with edits that an operator gives it, as in a rule.

The stored object stays as it arrived. The edits become the first actions of the delivery, in the one transaction that
makes it due; with each try the corrected object is made anew of the stored bytes. They are tried on the object before,
so that an edit that cannot be made is refused, and so that an operator sees what changes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.dataset.difference import Difference, differences
from gateway.delivery.transform import outbound_for
from gateway.model.delivery import Delivery, DeliveryState
from gateway.model.instance import PayloadRef
from gateway.model.problem import SettingPath
from gateway.operations.kept_changes import kept_changes
from gateway.operations.operation_listing import filter_as_json
from gateway.operations.queue_administration import Operator
from gateway.ports import kinds as port_kinds
from gateway.ports.converter import Converter
from gateway.ports.delivery_administration import CorrectedDelivery, DeliveryFilter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import ConfigurationError, GatewayError, fit_for_log
from gateway.ports.kinds import Action, Resources
from gateway.ports.operation_log import OperationRecord, OperationState
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess
from gateway.retrieve.adaptation import BorrowedDataSet
from gateway.routing.fate_decision import fate_of
from gateway.routing.language.kinds import build_actions, name_of_kind
from gateway.routing.language.stored_actions import canonical_json

MOST_CORRECTED = 100
"""Deliveries of one correction: all of them change in one transaction."""
STATES = (DeliveryState.HELD, DeliveryState.DEAD)


@dataclass(frozen=True, slots=True)
class RehearsedCorrection:
    """One delivery with what a correction changes in its object, or the reason why it is refused."""

    delivery: Delivery
    actions_json: str = ""
    """All actions that the delivery would have."""
    changes: tuple[Difference, ...] = ()
    refusal: str = ""
    refusal_for_log: str = ""
    """The same without what may quote the object; empty when nothing of it is fit to be shown."""


def edits_of(config: object, resources: Resources) -> str:
    """The actions of a correction, as deliveries keep them. `config`: a list as under `then:` of a rule, edits alone.

    Raises ConfigurationError with everything that is wrong with them.
    """
    problems: list[str] = []

    def report(path: SettingPath, code: str, message: str) -> None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        problems.append(f"{place.lstrip('.')}: {message}")

    actions = build_actions(config, report, resources)
    problems += [f"`{name}` is no edit of an object" for name in map(_no_edit, actions) if name]
    if problems or not actions:
        raise ConfigurationError("; ".join(problems) or "there is no action: nothing would be corrected")
    return canonical_json(config)


def _no_edit(action: Action) -> str:
    """The name of an action that decides about the object, or converts it as a whole; empty for an edit."""
    is_edit = fate_of((action,)) is None and not hasattr(action, "convert")
    return "" if is_edit else name_of_kind(action, port_kinds.action)


async def deliveries_to_correct(access: StoreAccess, ids: Sequence[int]) -> list[Delivery]:
    """Those of `ids` that are there, in any state."""
    which = DeliveryFilter(ids=tuple(ids))
    return await access.read(lambda store: store.administration.list(which, len(ids)))


async def rehearse(
    delivery: Delivery,
    edits_json: str,
    open_payload: Callable[[PayloadRef], EncodedDataSet],
    resources: Resources,
    converter: Converter,
    *,
    even_if_doubtful: bool = False,
) -> RehearsedCorrection:
    """The edits on a delivery's object, and the actions of its rule behind them. Nothing is changed."""
    found = RehearsedCorrection(delivery, _joined(edits_json, delivery.actions_json))
    if unfit := _unfit(delivery, even_if_doubtful=even_if_doubtful):
        return dataclasses.replace(found, refusal=unfit, refusal_for_log=unfit)
    try:
        body = open_payload(delivery.instance.payload)
        try:
            changes = await _changes(delivery, edits_json, body, resources, converter)
            undone = await _undone_paths(delivery, found.actions_json, changes, body, resources, converter)
        finally:
            body.close()
    except GatewayError as error:
        return dataclasses.replace(found, refusal=str(error), refusal_for_log=fit_for_log(error))
    if not changes:
        why = "the edits change nothing of its object"
        return dataclasses.replace(found, refusal=why, refusal_for_log=why)
    if undone:
        why = (
            f"the edits come before those of operation {delivery.corrected_by}, by which {', '.join(undone)} would be "
            "sent as without them"
        )
        return dataclasses.replace(found, refusal=why, refusal_for_log=why)
    return dataclasses.replace(found, changes=changes)


async def _undone_paths(
    delivery: Delivery,
    actions_json: str,
    changes: Sequence[Difference],
    body: EncodedDataSet,
    resources: Resources,
    converter: Converter,
) -> list[str]:
    """The changes that the edits make, and what stays the same all the same in the object that is sent with
    `actions_json`. Fails as the delivery would."""
    whole = dataclasses.replace(delivery, actions_json=actions_json)
    corrected = await outbound_for(whole, BorrowedDataSet(body), resources, converter)
    try:
        if not delivery.corrected_by:
            return []
        former = await outbound_for(delivery, BorrowedDataSet(body), resources, converter)
        try:
            found = differences(
                former.body.view(), former.transfer_syntax_uid, corrected.body.view(), corrected.transfer_syntax_uid
            )
            sent = {each.path for each in found}
        finally:
            former.body.close()
    finally:
        corrected.body.close()
    return [each.path for each in changes if each.path not in sent]


async def _changes(
    delivery: Delivery, edits_json: str, body: EncodedDataSet, resources: Resources, converter: Converter
) -> tuple[Difference, ...]:
    edited = dataclasses.replace(delivery, actions_json=edits_json)
    outbound = await outbound_for(edited, BorrowedDataSet(body), resources, converter)
    try:
        syntax = delivery.instance.transfer_syntax_uid
        return tuple(differences(body.view(), syntax, outbound.body.view(), outbound.transfer_syntax_uid))
    finally:
        outbound.body.close()


def _unfit(delivery: Delivery, *, even_if_doubtful: bool) -> str:
    if delivery.state not in STATES:
        return f"it is {delivery.state.value}: `correct` is for those that are held or dead"
    if not delivery.destination:
        return "it is held without a destination; give it one first with `gateway queue retarget --to PEER`"
    if delivery.is_doubtful and not even_if_doubtful:
        return (
            "it was sent, and no response came, so that its destination may have it as it was; --even-if-doubtful "
            "sends the corrected one all the same"
        )
    return ""


def _joined(edits_json: str, actions_json: str) -> str:
    return canonical_json([*json.loads(edits_json), *json.loads(actions_json or "[]")])


async def correct(
    access: StoreAccess,
    rehearsed: Sequence[RehearsedCorrection],
    by: Operator,
    now: datetime,
    *,
    even_if_doubtful: bool = False,
) -> list[int]:
    """Correct and release them in one transaction, with its record; the identifiers of those that are. The others
    changed since they were rehearsed. `now` is the wall clock's time. Raises SpoolFull, Temporary, QueueBroken."""
    ids = tuple(each.delivery.delivery_id for each in rehearsed)
    paths = sorted({change.path for each in rehearsed for change in each.changes})
    which = json.dumps({**filter_as_json(DeliveryFilter(ids=ids)), "changes": paths})
    record = OperationRecord("correct", by.name, by.why, "", which, len(ids), began_at=now, changed_at=now)

    def do(store: Store) -> list[int]:
        operation_id = store.operations.begin_operation(record)
        done = []
        with kept_changes(store, operation_id, ids):
            for each in rehearsed:
                wanted = CorrectedDelivery(
                    each.delivery.delivery_id, each.delivery.actions_json, each.actions_json, operation_id
                )
                if store.administration.correct(wanted, store.administration.now(), even_if_doubtful=even_if_doubtful):
                    done.append(wanted.delivery_id)
        stayed = len(ids) - len(done)
        store.operations.note_operation(operation_id, len(done), stayed, OperationState.COMPLETE, now)
        return done

    done = await access.write(do)
    await access.sync()
    return done
