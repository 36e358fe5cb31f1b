"""Native (uncompressed) data sets in another native transfer syntax (PS3.5 §10.1, Annex A): every value as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gateway.dataset.elements import TagSelection
from gateway.dataset.encoding import DEFLATED, deflate, encodings_of
from gateway.dataset.inflation import inflate
from gateway.dataset.reencode import reencode
from gateway.dataset.scan import parse
from gateway.dataset.writer import Pieces

IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
EXPLICIT_BIG, DEFLATED_LITTLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
NATIVE = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED_LITTLE, EXPLICIT_BIG)
"""Native transfer syntaxes, the preferred one first: the order of use when a peer accepts several."""
_PROPOSED = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)
_NOTHING = TagSelection(())


@lru_cache(maxsize=256)
def alternatives(transfer_syntax_uid: str) -> tuple[str, ...]:
    """The transfer syntaxes that a data set can be sent in, its own first."""
    if transfer_syntax_uid not in NATIVE:
        return (transfer_syntax_uid,)
    return (transfer_syntax_uid, *(uid for uid in NATIVE if uid != transfer_syntax_uid))


def proposed_beside(transfer_syntax_uid: str) -> tuple[str, ...]:
    """The transfer syntaxes of one presentation context beside that of the data set's own transfer syntax: the other
    native ones, of which the peer chooses. Implicit VR Little Endian is always among them or is its own (PS3.5 §10.1).
    () for a compressed one: its decompression is not certain, and then the default need not be offered."""
    if transfer_syntax_uid not in NATIVE:
        return ()
    return tuple(uid for uid in _PROPOSED if uid != transfer_syntax_uid)


def with_default(transfer_syntax_uids: Sequence[str]) -> tuple[str, ...]:
    """The transfer syntaxes to convert to: with a native one, Implicit VR Little Endian too (PS3.5 §10.1)."""
    needs_default = IMPLICIT_LITTLE not in transfer_syntax_uids and not set(NATIVE).isdisjoint(transfer_syntax_uids)
    return (*transfer_syntax_uids, IMPLICIT_LITTLE) if needs_default else tuple(transfer_syntax_uids)


def pieces(view: memoryview, source_uid: str, target_uid: str) -> Pieces:
    """A native data set in another native transfer syntax; pieces may be views of `view`.

    Raises:
        Unreadable: the bytes are no data set in `source_uid`.
        Refusal: it cannot be written so.
    """
    plain = inflate(view, is_tolerant=True) if source_uid in DEFLATED else view
    plain, _, encoding = parse(plain, source_uid, _NOTHING)
    written = reencode(plain, encoding, encodings_of(target_uid)[0])
    return [deflate(written)] if target_uid in DEFLATED else written


def rewritten(view: memoryview, source_uid: str, target_uid: str) -> bytes:
    """`pieces`, as one."""
    return b"".join(pieces(view, source_uid, target_uid))
