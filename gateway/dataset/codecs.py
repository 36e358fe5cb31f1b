"""The transfer syntaxes that pixels can be read from and written in, and the packages of the `codecs` extra that do it.

Only names stand here: the packages themselves are native code, which worker processes alone load.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.machinery import PathFinder

from pydicom.config import IGNORE
from pydicom.uid import UID

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NATIVE = frozenset({IMPLICIT, EXPLICIT})
"""Little endian, pixels as they are: what any data set can be re-encoded to."""
PLAIN = NATIVE | {
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian (retired)
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.20",  # Papyrus 3 (retired)
}
"""Transfer syntaxes whose pixels are known to lie there as they are."""
ELSEWHERE = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))
"""JPIP Referenced: the pixels are behind an address, not in the object."""
JPEG_LS_NEAR_LOSSLESS, JPEG_2000 = "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"
RLE, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
)

TO_INSTALL = "install them with the extra `codecs`, in the folder of the gateway's source: pip install '.[codecs]'"
"""The action to take where packages are `missing`."""


@dataclass(frozen=True, slots=True)
class Codec:
    """The codec of one encapsulated transfer syntax, which is written too when `encodes`."""

    plugin: str
    """pydicom's name of it; it has none for the two retired JPEG syntaxes, which GDCM reads."""
    modules: tuple[str, ...]
    encodes: bool = False
    loses: bool = False
    """Pixels in this syntax have lost something for sure; writing it loses."""
    method: str = ""
    """Defined term of Lossy Image Compression Method (PS3.3 §C.7.6.1.1.5.1)."""


_OPENJPEG = ("numpy", "pylibjpeg", "openjpeg")
_GDCM = ("numpy", "gdcm")
_CHARLS = ("numpy", "jpeg_ls")
_DISTRIBUTIONS = {
    "gdcm": "python-gdcm",
    "jpeg_ls": "pyjpegls",
    "openjpeg": "pylibjpeg-openjpeg",
    "rle": "pylibjpeg-rle",
}
CODECS = {
    RLE: Codec("pylibjpeg", ("numpy", "pylibjpeg", "rle"), encodes=True),
    "1.2.840.10008.1.2.4.50": Codec("gdcm", _GDCM, loses=True, method="ISO_10918_1"),
    "1.2.840.10008.1.2.4.51": Codec("gdcm", _GDCM, loses=True, method="ISO_10918_1"),
    "1.2.840.10008.1.2.4.53": Codec("gdcm", _GDCM, loses=True, method="ISO_10918_1"),
    "1.2.840.10008.1.2.4.55": Codec("gdcm", _GDCM, loses=True, method="ISO_10918_1"),
    "1.2.840.10008.1.2.4.57": Codec("gdcm", _GDCM),
    "1.2.840.10008.1.2.4.70": Codec("gdcm", _GDCM),
    JPEG_LS_LOSSLESS: Codec("pyjpegls", _CHARLS, encodes=True),
    JPEG_LS_NEAR_LOSSLESS: Codec("pyjpegls", _CHARLS, encodes=True, loses=True, method="ISO_14495_1"),
    JPEG_2000_LOSSLESS: Codec("pylibjpeg", _OPENJPEG, encodes=True),
    JPEG_2000: Codec(
        "pylibjpeg", _OPENJPEG, encodes=True, method="ISO_15444_1"
    ),  # may be lossless, when another wrote it
    "1.2.840.10008.1.2.4.201": Codec("pylibjpeg", _OPENJPEG),
    "1.2.840.10008.1.2.4.202": Codec("pylibjpeg", _OPENJPEG),
    "1.2.840.10008.1.2.4.203": Codec("pylibjpeg", _OPENJPEG),
}
"""Encapsulated transfer syntax → its codec."""

LOSSLESS = tuple(uid for uid in CODECS if CODECS[uid].encodes and not CODECS[uid].method)
"""Transfer syntaxes that pixels can be written in without loss."""
LOSSY = tuple(uid for uid in CODECS if CODECS[uid].encodes and CODECS[uid].method)
"""Transfer syntaxes that can be written when a rule says how much may be lost."""


def _is_installed(module: str) -> bool:
    """Looked up on the path, for this process hides them, see `gateway.common.without_codecs`."""
    return sys.modules[module] is not None if module in sys.modules else PathFinder.find_spec(module) is not None


def missing(uids: Iterable[str], is_installed: Callable[[str], bool] = _is_installed) -> tuple[str, ...]:
    """The packages that are not installed and that these transfer syntaxes need, in order; () when all is there."""
    modules = dict.fromkeys(module for uid in uids if uid in CODECS for module in CODECS[uid].modules)
    return tuple(_DISTRIBUTIONS.get(module, module) for module in modules if not is_installed(module))


def is_native(transfer_syntax_uid: str) -> bool:
    """True when pixel data is not encapsulated. A private syntax nobody knows is taken for native."""
    uid = UID(transfer_syntax_uid)
    return uid.is_private or not uid.is_transfer_syntax or not uid.is_encapsulated


def short_name(uid: str) -> str:
    """``JPEG2000Lossless``; the UID itself when it has no keyword."""
    return UID(uid, validation_mode=IGNORE).keyword or uid
