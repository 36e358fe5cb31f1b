"""One encoded data set in another transfer syntax.

Other conversions of whole objects, e.g. painting over pixels, use this one as well:

```python
to_native(view, transfer_syntax_uid, scratch) -> Pieces   # explicit VR little endian with native pixels
```

It runs where codecs may run: in a conversion, see `gateway.dataset.conversions`, which a worker process calls.

Lossless conversions keep the SOP Instance UID and every element but those that say how pixels are encoded:
Photometric Interpretation, Planar Configuration, offset tables. Decompressed colour is colour by pixel; YBR of lossy
JPEG becomes RGB, the YBR_RCT and YBR_ICT of JPEG 2000 are RGB once decoded. A lossy conversion makes a new object,
derived from the old one (PS3.3 §C.7.6.1.1.5, §C.12.4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.dataset.codecs import (
    CODECS,
    ELSEWHERE,
    EXPLICIT,
    IMPLICIT,
    LOSSLESS,
    LOSSY,
    NATIVE,
    PLAIN,
    RLE,
    TO_INSTALL,
    is_native,
    missing,
    short_name,
)
from gateway.dataset.derivation import LOSSY_IMAGE, LOSSY_METHOD, LOSSY_RATIO, Loss, derivation, derived_uid
from gateway.dataset.elements import UNDEFINED, Element, selection_of
from gateway.dataset.encapsulation import (
    DELIMITER,
    basic_offset_table,
    extended_offset_table,
    fragment_header,
)
from gateway.dataset.encoding import DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.image import (
    EXTENDED_LENGTHS,
    EXTENDED_OFFSETS,
    ICON_IMAGE_SEQUENCE,
    PHOTOMETRIC,
    PIXEL_DATA,
    PIXELS,
    PLANAR,
    Image,
    ImageDataSet,
)
from gateway.dataset.inflation import Bounds, inflate
from gateway.dataset.items import items
from gateway.dataset.reencode import reencode
from gateway.dataset.scan import parse, scan
from gateway.dataset.scanned_level import wanted
from gateway.dataset.scratch import Gathering, Scratch
from gateway.dataset.splice import splice
from gateway.dataset.writer import Pieces, element_header
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Alteration, Edit
from gateway.ports.errors import Refusal


@dataclass(frozen=True, slots=True)
class Transcoded:
    """A data set in its new transfer syntax."""

    pieces: Pieces
    transfer_syntax_uid: str
    sop_instance_uid: str = ""
    """The new one of a derived image; empty: as before."""


def transcode(
    view: memoryview, transfer_syntax_uid: str, to: Sequence[str], loss: Loss, scratch: Scratch
) -> Transcoded:
    """The data set in the first transfer syntax of `to` that works; untouched when it is in one of them already.

    A data set without pixels has nothing to compress: it is re-encoded to the first native one of `to`, or, when there
    is none, stays as it is.

    Raises:
        Refusal: none works; the reason names each.
        Unreadable: the bytes are not a data set in this transfer syntax.
    """
    if transfer_syntax_uid in to:
        return Transcoded([view], transfer_syntax_uid)
    targets = [target for target in to if can_write(target, loss)]
    source = _PixelSource(view, transfer_syntax_uid, scratch)
    if not source.has_pixels:
        targets = [target for target in targets if target in NATIVE]
        if not targets:
            return Transcoded([view], transfer_syntax_uid)
    reasons: list[str] = []
    for target in targets:
        try:
            if target in NATIVE:
                return Transcoded(source.native(_ENCODINGS[target]), target)
            return _compressed(source, target, loss)
        except Refusal as refusal:
            reasons.append(f"{short_name(target)}: {refusal}")
    raise Refusal("; ".join(reasons) or "none of the transfer syntaxes that are listed can be written")


def can_write(transfer_syntax_uid: str, loss: Loss) -> bool:
    """True for what may be converted to: native, lossless, and what loses when the rule says how much."""
    if transfer_syntax_uid in LOSSY:
        return loss.of(transfer_syntax_uid) is not None
    return transfer_syntax_uid in NATIVE or transfer_syntax_uid in LOSSLESS


def to_native(view: memoryview, transfer_syntax_uid: str, scratch: Scratch) -> Pieces:
    """The data set in explicit VR little endian with native pixels; `view` itself when it is that already.

    Raises Refusal and Unreadable as `transcode`.
    """
    return _PixelSource(view, transfer_syntax_uid, scratch).native(EXPLICIT_LITTLE)


_ENCODINGS = {IMPLICIT: IMPLICIT_LITTLE, EXPLICIT: EXPLICIT_LITTLE}


class _PixelSource:
    """The data set that is converted; what several targets need is made once."""

    def __init__(self, view: memoryview, transfer_syntax_uid: str, scratch: Scratch) -> None:
        if transfer_syntax_uid in DEFLATED:
            view = inflate(
                view, Bounds().size_bytes, is_tolerant=True
            )  # a worker process has a limit of memory of its own
        self.view, found, self.encoding = parse(view, transfer_syntax_uid, selection_of(PIXELS))
        self.transfer_syntax_uid, self.scratch = transfer_syntax_uid, scratch
        self.has_pixels = bool(found)
        self._explicit: memoryview | None = None
        self._pieces: Pieces | None = None

    def native(self, encoding: Encoding) -> Pieces:
        """The data set with native pixels, in this encoding."""
        self._check()
        if is_native(self.transfer_syntax_uid):
            return reencode(self.view, self.encoding, encoding)
        if encoding == EXPLICIT_LITTLE:
            return self._explicit_pieces()
        return reencode(self.explicit(), EXPLICIT_LITTLE, encoding)

    def explicit(self) -> memoryview:
        """The data set in explicit VR little endian with native pixels, as one view."""
        if self._explicit is None:
            self._explicit = self.scratch.joined(self._explicit_pieces())
        return self._explicit

    def _check(self) -> None:
        """Raises Refusal where nobody can say how the pixels lie."""
        name = short_name(self.transfer_syntax_uid)
        if self.transfer_syntax_uid in ELSEWHERE:
            raise Refusal(f"in {name} the pixels are elsewhere: there is nothing to convert")
        if self.has_pixels and is_native(self.transfer_syntax_uid) and self.transfer_syntax_uid not in PLAIN:
            raise Refusal(f"nobody says how pixels lie in the transfer syntax {name}: it cannot be converted")

    def _explicit_pieces(self) -> Pieces:
        self._check()
        if self._pieces is None:
            is_compressed = not is_native(self.transfer_syntax_uid)
            pieces = reencode(self.view, self.encoding, EXPLICIT_LITTLE, may_be_encapsulated=is_compressed)
            if is_compressed:
                pieces = _decompressed(self.scratch.joined(pieces), self.transfer_syntax_uid, self.scratch)
            self._pieces = pieces
        return self._pieces


# --- decompression ----------------------------------------------------------------------------------------------


def _decompressed(view: memoryview, transfer_syntax_uid: str, scratch: Scratch) -> Pieces:
    """A data set, or the item of an icon, in explicit VR little endian with native pixels."""
    data_set = ImageDataSet(view)
    if data_set.icons is not None:
        view = scratch.joined(_with_native_icons(view, data_set.icons, transfer_syntax_uid, scratch))
        data_set = ImageDataSet(view)
    pixels = data_set.pixels
    if pixels is None:
        return [view]
    if pixels.end == pixels.stop:
        raise Refusal(f"the pixel data is not encapsulated, as {short_name(transfer_syntax_uid)} has it")
    _require(transfer_syntax_uid)
    image = data_set.image()
    if image.length_bytes >= UNDEFINED:
        raise Refusal(f"the pixels have {image.length_bytes} bytes when they are native: more than 4 GiB")
    gathering = scratch.gathering()
    photometric = _decode(data_set, image, transfer_syntax_uid, gathering)
    ratio = image.length_bytes / (pixels.stop - pixels.value)
    edits = [*_changed(image, photometric, is_planar=False), *_marked_lossy(view, transfer_syntax_uid, ratio)]
    before, behind = data_set.around()
    padding = b"\0" * (gathering.length_bytes % 2)
    vr = "OB" if image.bits_allocated <= 8 else "OW"
    header = element_header(EXPLICIT_LITTLE, PIXEL_DATA, vr, gathering.length_bytes + len(padding))
    return [*splice(before, EXPLICIT, edits), header, gathering.view(), padding, behind]


def _decode(data_set: ImageDataSet, image: Image, transfer_syntax_uid: str, gathering: Gathering) -> str:
    """Adds all frames; the photometric interpretation that they have now."""
    from gateway.dataset.frames import decoded  # numpy and the codecs, for worker processes only

    offsets = (bytes(data_set.value(EXTENDED_OFFSETS)), bytes(data_set.value(EXTENDED_LENGTHS)))
    value = data_set.value(PIXEL_DATA)
    found: set[str] = set()
    for frame, photometric in decoded(value, image, transfer_syntax_uid, offsets if all(offsets) else None):
        gathering.add(frame.data.cast("B"))
        found.add(photometric)
    if len(found) > 1:
        raise Refusal(f"the frames differ in their photometric interpretation: {', '.join(sorted(found))}")
    return found.pop()


def _with_native_icons(view: memoryview, icons: Element, transfer_syntax_uid: str, scratch: Scratch) -> Pieces:
    """Icons are encapsulated like the image, or native (PS3.5 §A.4)."""
    pieces: Pieces = []
    is_changed = False
    for item in items(view, icons, EXPLICIT_LITTLE):
        icon = view[item.value : item.stop]
        pixels = ImageDataSet(icon).pixels
        if pixels is not None and pixels.end != pixels.stop:
            icon = memoryview(b"".join(_decompressed(icon, transfer_syntax_uid, scratch)))
            is_changed = True
        pieces += [fragment_header(len(icon)), icon]
    if not is_changed:
        return [view]
    header = element_header(EXPLICIT_LITTLE, ICON_IMAGE_SEQUENCE, "SQ", sum(map(len, pieces)))
    return [view[: icons.start], header, *pieces, view[icons.end :]]


def _marked_lossy(view: memoryview, transfer_syntax_uid: str, ratio: float) -> list[Edit]:
    """The edits that say that pixels lost something: native pixels do not show it (PS3.3 §C.7.6.1.1.5)."""
    codec = CODECS[transfer_syntax_uid]
    if not codec.loses or scan(view, EXPLICIT, wanted((LOSSY_IMAGE,))).values(LOSSY_IMAGE) == ("01",):
        return []
    return [
        Edit(LOSSY_IMAGE, ("01",)),
        Edit(LOSSY_RATIO, (f"{ratio:.4g}",), where="missing"),
        Edit(LOSSY_METHOD, (codec.method,), where="missing"),
    ]


# --- compression ------------------------------------------------------------------------------------------------


def _compressed(source: _PixelSource, transfer_syntax_uid: str, loss: Loss) -> Transcoded:
    from gateway.dataset.frames import FrameEncoder, native_frames, whole

    _require(transfer_syntax_uid)
    data_set = ImageDataSet(source.explicit())
    pixels = data_set.pixels
    if pixels is None:
        raise Refusal("float pixel data cannot be compressed")
    if pixels.end != pixels.stop:
        raise Refusal("the pixel data is encapsulated, though its transfer syntax is native")
    image = data_set.image()
    encoder = FrameEncoder(whole(image), transfer_syntax_uid, loss.of(transfer_syntax_uid))
    gathering = source.scratch.gathering()
    lengths: list[int] = []
    for frame in native_frames(data_set.value(PIXEL_DATA), image):
        code = encoder.encode(frame)
        gathering.add(fragment_header(len(code)))
        gathering.add(code)
        lengths.append(len(code))
    edits: list[Alteration] = [*_changed(image, encoder.photometric, is_planar=transfer_syntax_uid == RLE)]
    new_uid = ""
    if loss.of(transfer_syntax_uid) is not None:
        new_uid = derived_uid(data_set.view, transfer_syntax_uid, loss)
        edits += derivation(data_set.view, transfer_syntax_uid, new_uid, image.length_bytes / sum(lengths))
    before, behind = data_set.around()
    head = [
        *splice(before, EXPLICIT, edits),
        *extended_offset_table(lengths),
        element_header(EXPLICIT_LITTLE, PIXEL_DATA, "OB", UNDEFINED),
    ]
    return Transcoded(
        [*head, basic_offset_table(lengths), gathering.view(), DELIMITER, behind], transfer_syntax_uid, new_uid
    )


# --- attributes -------------------------------------------------------------------------------------------------


def _changed(image: Image, photometric: str, *, is_planar: bool) -> list[Edit]:
    """The edits of the attributes that say how pixels are read, where they differ from before."""
    edits: list[Edit] = []
    if photometric != image.photometric:
        edits.append(Edit(AttributePath(PHOTOMETRIC), (photometric,)))
    if image.samples > 1:
        edits.append(Edit(AttributePath(PLANAR), (str(int(is_planar)),)))
    return edits


def _require(transfer_syntax_uid: str) -> None:
    if transfer_syntax_uid not in CODECS:
        raise Refusal(f"no codec of this gateway reads {short_name(transfer_syntax_uid)}")
    if packages := missing([transfer_syntax_uid]):
        name = short_name(transfer_syntax_uid)
        raise Refusal(f"{name} needs the packages {', '.join(packages)}; {TO_INSTALL}")
