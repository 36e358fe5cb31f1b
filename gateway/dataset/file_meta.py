"""Elements of group 0002 in a data set: File Meta Information belongs before a file's data set (PS3.10 §7.1).

A file with it inside as well has two transfer syntaxes, of which a reader may take the wrong one. Over DIMSE it does no
harm, and the bytes stay as they are.
"""

from __future__ import annotations

import zlib

from gateway.dataset.elements import EVERY, TagSelection
from gateway.dataset.encoding import DEFLATED, deflate
from gateway.dataset.inflation import inflate
from gateway.dataset.scan import parse
from gateway.dataset.writer import Pieces
from gateway.ports.errors import Unreadable

GROUP = 0x0002
_MARKS = TagSelection(range(GROUP << 16, (GROUP << 16) + 0x200))
"""All that are defined; one of these is there when any is."""


def without_file_meta(view: memoryview, transfer_syntax_uid: str) -> Pieces | None:
    """The data set without its elements of group 0002, as pieces; None when it has none, or cannot be read.

    Raises:
        Refusal: so many elements that they are not counted, or a deflated data set that is too large.
    """
    is_deflated = transfer_syntax_uid in DEFLATED
    if is_deflated and not _begins_with_it(view):
        return None
    try:
        plain = inflate(view, is_tolerant=True) if is_deflated else view
        if not parse(plain, transfer_syntax_uid, _MARKS)[1]:
            return None
        plain, found, _ = parse(plain, transfer_syntax_uid, EVERY)
    except Unreadable:
        return None
    pieces: Pieces = []
    position = 0
    for element in found:
        if element.tag >> 16 == GROUP:
            pieces.append(plain[position : element.start])
            position = element.end
    pieces.append(plain[position:])
    return [deflate(pieces)] if is_deflated else pieces


def _begins_with_it(view: memoryview) -> bool:
    """True when a deflated data set begins with file meta information: its first element is read."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(view[:1024], 2) == b"\2\0"
    except zlib.error:
        return False
