"""Text from peers and objects, made fit for logs and terminals."""

from __future__ import annotations

import re
import unicodedata

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that command a terminal, hide text or end a line."""
UID = re.compile(r"[0-9.]{1,64}")
"""The characters and the length of a UID (PS3.5 §9.1)."""
CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
"""The characters and the length of a Code String (PS3.5 §6.2)."""
_MODALITIES = (
    "ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT "
    "IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG "
    "RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA "
    "XA XAPROTOCOL XC"
)
MODALITIES = frozenset(_MODALITIES.split())
"""Defined terms of Modality (PS3.3 §C.7.3.1.1.1). Any other value may be free text, also a name."""

PEER_SAYS = "; the peer says: "
"""The separator in the reason of a delivery. The peer's Error Comment follows it, which may quote the object."""


def without_peers_words(reason: str) -> str:
    """A reason without the peer's Error Comment. It still shows that there was one."""
    own, marker, _ = reason.partition(PEER_SAYS)
    return f"{own}; --show-values shows what the peer says" if marker else own


def printable(text: str) -> str:
    r"""`text` with control and format characters, line ends and lone surrogates as escapes such as ``\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in UNPRINTABLE else char for char in text)


def _escaped(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def shown_uid(text: str) -> str:
    """A UID as it is; other text only by its length, for it may be a patient's name in the wrong element."""
    return text if not text or UID.fullmatch(text) else f"(no UID: {len(text)} characters)"


def shown_code(text: str) -> str:
    """A Code String as it is; other text only by its length."""
    return text if CODE.fullmatch(text) else f"({len(text)} characters)"
