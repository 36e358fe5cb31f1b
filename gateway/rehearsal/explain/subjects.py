"""The subjects of an explanation: DICOM files, folders of them, and instances of a gateway's queue and spool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from gateway.common.files_below import files_below
from gateway.dataset.part10 import is_dicom_file, read_dicom_file
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery
from gateway.model.settings import Settings
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError
from gateway.rehearsal.explain.explanation import Unexplained
from gateway.rehearsal.stage import RehearsedStore
from gateway.stores.opening import open_store
from gateway.stores.payloads import OpenPayload, opened_payloads

MOST_DELIVERIES = 1000
"""The greatest number of deliveries of the instances that are asked for."""


@dataclass(frozen=True, slots=True)
class ExplainedObject:
    """One object to explain."""

    name: str
    sent: RehearsedStore
    association: AssociationFacts
    received_at: datetime
    deliveries: tuple[Delivery, ...] = ()
    """The deliveries of a stored instance. Its coercions were made when it arrived."""
    kept_until: datetime | None = None
    """The time until which the copy of one that owes nothing is kept, by the wall clock."""


def of_files(
    paths: Iterable[Path], association: AssociationFacts, received_at: datetime
) -> Iterator[ExplainedObject | Unexplained]:
    """The DICOM files among `paths` and below folders, in the order of their names, each opened when it is reached.

    A file below a folder that is no DICOM file is passed over; one that was named itself is told.
    """
    unlisted: list[OSError] = []
    for path in paths:
        for candidate in files_below(path, unlisted.append) if path.is_dir() else (path,):
            try:
                if candidate is not path and not is_dicom_file(candidate):
                    continue
                file = read_dicom_file(candidate)
                body = file.open()
            except (GatewayError, OSError) as error:
                yield Unexplained(str(candidate), str(error).removeprefix(f"{candidate} "), candidate is path)
                continue
            sent = RehearsedStore(file.sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid, body)
            with _closing(body):
                yield ExplainedObject(str(candidate), sent, association, received_at)
    for trouble in unlisted:
        yield Unexplained(str(trouble.filename), f"cannot be listed: {trouble.strerror}")


def of_queue(settings: Settings, which: DeliveryFilter) -> Iterator[ExplainedObject | Unexplained]:
    """Stored instances that have a delivery in `which`. Reads beside a running gateway, and changes nothing.

    Raises:
        ConfigurationError: there is no such queue.
    """
    found = open_store(settings, is_read_only=True)
    try:
        instances = dict.fromkeys(row.instance.instance_id for row in found.administration.list(which, MOST_DELIVERIES))
        with opened_payloads(settings, found) as open_payload:
            for instance_id in instances:
                these = DeliveryFilter(instance_ids=(instance_id,))
                deliveries = tuple(found.administration.list(these, MOST_DELIVERIES))
                if deliveries:  # else it was delivered and forgotten since
                    kept_until = found.kept.kept_until(instance_id)
                    on_the_wall = None if kept_until is None else found.administration.on_the_wall(kept_until)
                    yield from _stored(deliveries, open_payload, on_the_wall)
    finally:
        found.close()


def _stored(
    deliveries: tuple[Delivery, ...], open_payload: OpenPayload, kept_until: datetime | None
) -> Iterator[ExplainedObject | Unexplained]:
    instance = deliveries[0].instance
    name = f"instance {instance.instance_id}"
    try:
        body = open_payload(instance.payload)
    except GatewayError as error:
        yield Unexplained(name, str(error))
        return
    sent = RehearsedStore(instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, body)
    association = replace(instance.association, association_id="")
    with _closing(body):
        yield ExplainedObject(name, sent, association, instance.received_at, deliveries, kept_until)


@contextmanager
def _closing(body: EncodedDataSet) -> Iterator[None]:
    try:
        yield
    finally:
        body.close()
