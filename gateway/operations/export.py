"""Export: a Part 10 file (PS3.10 §7) of the stored bytes of a delivery's object, as they are. It is never written over
another file, and is on disk when it has its name."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.destinations.drafts import Drafts
from gateway.destinations.part10_head import file_meta
from gateway.model.delivery import Delivery
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.model.instance import Instance, PayloadRef
from gateway.operations.operation_listing import filter_as_json
from gateway.operations.queue_administration import Operator
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.operation_log import OperationRecord, OperationState
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess

CHUNK_BYTES = 1024**2
FILE_MODE = 0o600
"""The operator's own: an object names a patient."""
_FIT_FOR_A_NAME = re.compile(r"[0-9][0-9.]{0,63}")
"""Other text may be a patient's name in the wrong element, and terminal and record of operations show the path."""


async def delivery_to_export(access: StoreAccess, delivery_id: int) -> Delivery | None:
    """The delivery, in any state; None when it is not there."""
    which = DeliveryFilter(ids=(delivery_id,))
    return next(iter(await access.read(lambda store: store.administration.list(which, 1))), None)


def path_of(delivery: Delivery, place: Path) -> Path:
    """The file: `place` itself, or a name in it when it is a folder."""
    if not place.is_dir():
        return place
    uid = delivery.instance.sop_instance_uid
    return place / (f"{uid}.dcm" if _FIT_FOR_A_NAME.fullmatch(uid) else f"delivery-{delivery.delivery_id}.dcm")


async def export(
    access: StoreAccess,
    delivery: Delivery,
    path: Path,
    open_payload: Callable[[PayloadRef], EncodedDataSet],
    by: Operator,
    now: datetime,
) -> None:
    """Write the file, between two notes in the record of operations. `now` is the wall clock's time.

    Raises:
        OSError: the folder is not there or cannot be written to; FileExistsError: something has that name.
        PayloadLost, PayloadMissing, Temporary, SpoolFull, QueueBroken: of the spool and the store.
    """
    which = json.dumps(filter_as_json(DeliveryFilter(ids=(delivery.delivery_id,))))
    record = OperationRecord("export", by.name, by.why, str(path), which, 1, began_at=now, changed_at=now)
    operation_id = await access.write(lambda store: store.operations.begin_operation(record))
    await access.sync()
    is_done = False
    try:
        body = open_payload(delivery.instance.payload)
        try:
            write_file(path, head_of(delivery.instance), body)
        finally:
            body.close()
        is_done = True
    finally:

        def note(store: Store) -> None:
            store.operations.note_operation(operation_id, is_done, not is_done, OperationState.COMPLETE, now)

        await access.write(note)


def head_of(instance: Instance) -> bytes:
    """Everything before the data set: preamble and File Meta Information. It does not say who sent the object, which
    may have been de-identified at its arrival (PS3.15 §E.1.1)."""
    return file_meta(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        source_ae_title="",
    )


def write_file(path: Path, head: bytes, body: EncodedDataSet) -> None:
    """Raises FileExistsError, also for a link; OSError; and what reading raises. Then nothing has the name."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it is there already, and is not written over", str(path))
        draft = Drafts().begin(folder)
        try:
            draft.fill(head, body.chunks(CHUNK_BYTES), FILE_MODE)
            if not draft.take_name(folder, path.name):
                raise FileExistsError(errno.EEXIST, "it is there already, and is not written over", str(path))
        finally:
            draft.close(folder)
        os.fsync(folder)
    finally:
        os.close(folder)
