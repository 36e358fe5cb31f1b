"""An instance that the gateway keeps: its UIDs, where its payload lies, what the index says of it."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from gateway.common.quick_dataclass import quick_dataclass
from gateway.model.association import AssociationFacts


@quick_dataclass(frozen=True, slots=True)
class PayloadRef:
    """The place of an encoded data set in the spool. The bytes that it names never change."""

    name: str
    """Segment or large file, relative to the spool folder."""
    offset_bytes: int
    length_bytes: int
    digest: bytes
    """Digest of the encoded data set (`gateway.spool.digest`)."""


NOT_STORED = PayloadRef(name="", offset_bytes=0, length_bytes=0, digest=b"")
"""The payload of an instance that is not in the spool (yet)."""


class Identifiers(NamedTuple):
    """The identifiers in an encoded data set."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


@quick_dataclass(frozen=True, slots=True)
class Instance:
    """One SOP Instance that the gateway holds (after coercions)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    association: AssociationFacts
    payload: PayloadRef
    received_at: datetime
    instance_id: int = 0
    """The queue's key; 0 until it is stored."""
    index: IndexEntry | None = field(default=None, compare=False, repr=False)
    """On the way in only: what the local index is to know of it; None leaves it out of the index."""
    kept_facts: str = field(default="", repr=False)
    """Values read at arrival that may be needed at delivery, as `gateway.routing.kept_facts` writes them. Mostly
    empty: values are then read again when they are needed.
    """

    def stored(self, payload: PayloadRef, instance_id: int = 0) -> Instance:
        """The same with its place. A constructor's call takes a quarter of the time of `dataclasses.replace`, and each
        object is placed twice on its way in."""
        return Instance(
            self.sop_class_uid,
            self.sop_instance_uid,
            self.transfer_syntax_uid,
            self.study_instance_uid,
            self.series_instance_uid,
            self.association,
            payload,
            self.received_at,
            instance_id,
            self.index,
            self.kept_facts,
        )


@quick_dataclass(frozen=True, slots=True)
class IndexEntry:
    """The attributes of one instance that the local index keeps, level by level, as `gateway.query.entry` writes them:
    canonical JSON of hexadecimal tag → text, texts or items. Equal texts are equal attributes."""

    patient: str
    study: str
    series: str
    image: str
