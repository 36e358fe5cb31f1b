"""The attributes of a data set whose pixels were changed with loss: a new image, derived from the old one.

PS3.3 §C.7.6.1.1.2 (Image Type), §C.7.6.1.1.5 (Lossy Image Compression), §C.12.4 (Source Image, Derivation), PS3.16 CID
7202 and 7203.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.dataset.codecs import CODECS, EXPLICIT, JPEG_2000, JPEG_LS_NEAR_LOSSLESS, short_name
from gateway.dataset.elements import selection_of
from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.items import items
from gateway.dataset.scan import Scanned, scan
from gateway.dataset.scanned_level import wanted
from gateway.dataset.walk import walk
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import KEEP, Alteration, Change, Edit, RewriteElement
from gateway.ports.errors import Refusal

SOP_CLASS, SOP_INSTANCE = AttributePath(0x00080016), AttributePath(0x00080018)
IMAGE_TYPE, DESCRIPTION = AttributePath(0x00080008), AttributePath(0x00082111)
LOSSY_IMAGE, LOSSY_RATIO, LOSSY_METHOD = (AttributePath(0x00280000 | element) for element in (0x2110, 0x2112, 0x2114))
FRAME_TYPE = 0x00089007
SOURCE_IMAGE_SEQUENCE, DERIVATION_CODE_SEQUENCE, PURPOSE_SEQUENCE = 0x00082112, 0x00089215, 0x0040A170
REFERENCED_CLASS, REFERENCED_INSTANCE = 0x00081150, 0x00081155
CODE_VALUE, CODING_SCHEME, CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
UNCOMPRESSED_PREDECESSOR = ("121320", "DCM", "Uncompressed predecessor")
LOSSY_COMPRESSION = ("113040", "DCM", "Lossy Compression")

MAX_DESCRIPTION = 1024
"""Characters of a short text (PS3.5 §6.2)."""

LossSteps = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss that a rule allows."""

    ratio: float | None = None
    """JPEG 2000: the compression ratio to reach."""
    near: int | None = None
    """JPEG-LS near-lossless: how much a sample may differ."""

    def of(self, transfer_syntax_uid: str) -> float | None:
        """The number for one transfer syntax; None: it may lose nothing."""
        return {JPEG_2000: self.ratio, JPEG_LS_NEAR_LOSSLESS: self.near}.get(transfer_syntax_uid)


def derived_uid(view: memoryview, transfer_syntax_uid: str, loss: Loss) -> str:
    """The SOP Instance UID of what is made of the native data set in `view` (PS3.5 §B.2): the same whenever it is made
    again, so that a delivery that is tried again does not send another object."""
    digest = hashlib.sha256(f"{transfer_syntax_uid} {loss.of(transfer_syntax_uid)!r} ".encode())
    digest.update(view)
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=5).int}"


class DerivedFrames:
    """Frame Type (0008,9007) begins like Image Type, in the functional groups of every frame (PS3.3 §C.8.16.1)."""

    tags: frozenset[int] | None = frozenset({FRAME_TYPE})

    def __call__(self, element: RewriteElement) -> Change:
        return ("DERIVED", *element.values[1:]) if element.values else KEEP


def derivation(view: memoryview, transfer_syntax_uid: str, new_uid: str, ratio: float) -> list[Alteration]:
    """The edits that make the data set in `view` (explicit VR little endian, before) say what it became.

    Raises Refusal when it does not say which instance it was.
    """
    found = scan(
        view,
        EXPLICIT,
        wanted((SOP_CLASS, SOP_INSTANCE, IMAGE_TYPE, DESCRIPTION, LOSSY_IMAGE, LOSSY_RATIO, LOSSY_METHOD)),
    )
    sop_class, sop_instance = found.values(SOP_CLASS), found.values(SOP_INSTANCE)
    if not sop_class or not sop_instance:
        raise Refusal("it has no SOP Instance UID, so that nothing can be derived from it")
    codec = CODECS[transfer_syntax_uid]
    source: LossSteps = ((SOURCE_IMAGE_SEQUENCE, _count(view, SOURCE_IMAGE_SEQUENCE)),)
    derived: LossSteps = ((DERIVATION_CODE_SEQUENCE, _count(view, DERIVATION_CODE_SEQUENCE)),)
    return [
        Edit(SOP_INSTANCE, (new_uid,)),
        Edit(IMAGE_TYPE, ("DERIVED", *((found.values(IMAGE_TYPE) or ("", "PRIMARY"))[1:]))),
        Edit(DESCRIPTION, (_described(found, f"lossy compression, {short_name(transfer_syntax_uid)} {ratio:.3g}:1"),)),
        Edit(AttributePath(REFERENCED_CLASS, source), sop_class[:1]),
        Edit(AttributePath(REFERENCED_INSTANCE, source), sop_instance[:1]),
        *_code((*source, (PURPOSE_SEQUENCE, 0)), UNCOMPRESSED_PREDECESSOR),
        *_code(derived, LOSSY_COMPRESSION),
        Edit(LOSSY_IMAGE, ("01",)),
        Edit(LOSSY_RATIO, (*(found.values(LOSSY_RATIO) or ()), f"{ratio:.4g}")),
        Edit(LOSSY_METHOD, (*(found.values(LOSSY_METHOD) or ()), codec.method)),
        DerivedFrames(),
    ]


def _code(steps: LossSteps, code: tuple[str, str, str]) -> Iterable[Edit]:
    tags = (CODE_VALUE, CODING_SCHEME, CODE_MEANING)
    return [Edit(AttributePath(tag, steps), (value,)) for tag, value in zip(tags, code, strict=True)]


def _described(found: Scanned, sentence: str) -> str:
    """The Derivation Description with `sentence` at its end. The former text stays as far as there is room."""
    before = next(iter(found.values(DESCRIPTION) or ()), "")
    return f"{before[: MAX_DESCRIPTION - len(sentence) - 2]}; {sentence}" if before else sentence


def _count(view: memoryview, sequence: int) -> int:
    elements = walk(view, 0, len(view), EXPLICIT_LITTLE, selection_of(frozenset({sequence})))
    return sum(1 for _ in items(view, elements[0], EXPLICIT_LITTLE)) if elements else 0
