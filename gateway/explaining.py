"""What the rules would do with a file, and why, without sending anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.dataset.part10 import read_dicom_file
from gateway.destination.contexts import Narrowing, named
from gateway.dimse.admission import Rejected, admit
from gateway.model import AssociationFacts
from gateway.routing.explain import Explanation
from gateway.routing.table import RoutingTable


@dataclass(frozen=True, slots=True)
class Answer:
    """One object's fate."""

    name: str
    sop_class: str
    transfer_syntax: str
    admission: str
    """As whom the sender is admitted, or why it is not."""
    explanation: Explanation | None
    """None when the association is rejected."""
    contexts: tuple[str, ...] = ()
    """What would be proposed to each destination, or why it could not be sent there."""


def explain(table: RoutingTable, path: Path, facts: AssociationFacts, *, with_values: bool) -> Answer:
    """Decide on the file `path` as if it came over an association with `facts`.

    Raises:
        Unreadable, ClassMismatch, Refusal: as the C-STORE would be answered.
        OSError
    """
    file = read_dicom_file(path)
    sop_class, syntax = named(file.sop_class_uid), named(file.transfer_syntax_uid)
    try:
        peer = admit(facts, table.settings, table.peers, table).peer
    except Rejected as rejected:
        return Answer(str(path), sop_class, syntax, f"association rejected: {rejected}", None)
    admission = f"admitted as peer {peer.name}" if peer else "admitted as a stranger"
    if peer is not None and "store" not in peer.may:
        return Answer(str(path), sop_class, syntax, f"{admission}, which may not store", None)
    body = file.open()
    try:
        read = table.read_facts(
            association=replace(facts, peer=peer.name if peer else ""),
            sop_class_uid=file.sop_class_uid,
            sop_instance_uid=file.sop_instance_uid,
            transfer_syntax_uid=file.transfer_syntax_uid,
            body=body,
            received_at=datetime.now(UTC),
            is_to_explain=True,
        )
        found = table.explain(read, with_values=with_values)
    finally:
        body.close()
    kind = (file.sop_class_uid, file.transfer_syntax_uid)
    contexts = tuple(_context(table, name, kind) for name in dict.fromkeys(r.destination for r in found.routes) if name)
    return Answer(str(path), sop_class, syntax, admission, found, contexts)


def _context(table: RoutingTable, destination: str, kind: tuple[str, str]) -> str:
    peer = table.peers[destination]
    if peer.folder is not None:
        return f"{destination}: a file below {peer.folder.root}"
    refusal = Narrowing(peer.associate.contexts).refusal(kind)
    if refusal:
        return f"{destination}: cannot be sent: {refusal}"
    return f"{destination} ({peer.host}:{peer.port}): proposes {named(kind[0])} in {named(kind[1])}"
