"""Values of identifiers that the data dictionary does not say enough about, or that are no text: they keep the VR that
they came with, so that they leave as they came (private attributes, ``US or SS``, bytes of an Icon Image Sequence)."""

from __future__ import annotations

from array import array

from gateway.dataset.dictionary import vr_of
from gateway.dataset.value import BULK
from gateway.model.query import Value

_UNITS = {"OW": "H", "OF": "I", "OL": "I", "OD": "Q", "OV": "Q"}
"""VR → array code of what is swapped in big endian; others are single bytes (PS3.5 §7.3)."""


class TypedValue(str):
    """The first value of an attribute, and the VR of all of them."""

    vr: str

    @classmethod
    def of(cls, text: str, vr: str) -> TypedValue:
        """`text` as a value of `vr`."""
        typed = cls(text)
        typed.vr = vr
        return typed


class Bulk(TypedValue):
    """Bytes, in little endian; as text each of them is one character."""

    def bytes_of(self, *, is_big_endian: bool) -> bytes:
        """The bytes as they are written."""
        return _ordered(self.encode("latin-1"), self.vr, is_big_endian=is_big_endian)


def is_bulk(vr: str) -> bool:
    """True where a value has no text form."""
    return vr in BULK or vr == "UN"


def bulk(raw: bytes, vr: str, *, is_big_endian: bool) -> Value:
    """The value in `raw`; () when there is none."""
    return (Bulk.of(_ordered(raw, vr, is_big_endian=is_big_endian).decode("latin-1"), vr),) if raw else ()


def typed(values: tuple[str, ...], tag: int, vr: str) -> Value:
    """The texts, with their VR where the dictionary has none or several for the tag."""
    known = vr_of(tag)
    if not values or (known and " or " not in known):
        return values
    return (TypedValue.of(values[0], vr), *values[1:])


def _ordered(raw: bytes, vr: str, *, is_big_endian: bool) -> bytes:
    code = _UNITS.get(vr) if is_big_endian else None
    if code is None:
        return raw
    numbers = array(code)
    if len(raw) % numbers.itemsize:
        return raw
    numbers.frombytes(raw)
    numbers.byteswap()
    return numbers.tobytes()
