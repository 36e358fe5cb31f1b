"""The likeness of deliveries that a destination is likely to refuse together: of one kind, of one study of one
sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from gateway.model.instance import Instance

STUDY_BITS = 38
KIND_BITS = 24

Range = tuple[int, int]
"""The first and the last of some likenesses."""


@dataclass(frozen=True, slots=True)
class ExcludedLikenesses:
    """The likenesses that a claim leaves out, and the one that it begins at: a claim goes through them in a circle."""

    ranges: tuple[Range, ...] = ()
    start: int = 0


LONGEST_UID = 128
"""Longer ones than the standard allows are sent, too; none beyond this is remembered."""


def likeness(sop_class_uid: str, transfer_syntax_uid: str, calling_ae_title: str, study_instance_uid: str) -> int:
    """From 1 to 2**62 - 1; the same in every process. Those of one SOP class and transfer syntax are neighbours."""
    if len(study_instance_uid) > LONGEST_UID or len(sop_class_uid) > LONGEST_UID:
        return _likeness.__wrapped__(sop_class_uid, transfer_syntax_uid, calling_ae_title, study_instance_uid)
    return _likeness(sop_class_uid, transfer_syntax_uid, calling_ae_title, study_instance_uid)


def likeness_of(instance: Instance) -> int:
    """The likeness of an instance's deliveries."""
    return likeness(
        instance.sop_class_uid,
        instance.transfer_syntax_uid,
        instance.association.calling_ae_title,
        instance.study_instance_uid,
    )


@lru_cache(maxsize=1024)
def _likeness(sop_class_uid: str, transfer_syntax_uid: str, calling_ae_title: str, study_instance_uid: str) -> int:
    kind = _digest(sop_class_uid, transfer_syntax_uid) >> (64 - KIND_BITS)
    study = _digest(calling_ae_title, study_instance_uid) >> (64 - STUDY_BITS)
    return (kind << STUDY_BITS) + max(study, 1)


def alone(number: int) -> Range:
    """Its study and kind alone."""
    return number, number


def of_its_kind(number: int) -> Range:
    """All of its SOP class and transfer syntax."""
    first = number >> STUDY_BITS << STUDY_BITS
    return first, first + (1 << STUDY_BITS) - 1


def _digest(*texts: str) -> int:
    text = "\0".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
