"""The identity that an encoded data set gives itself."""

from __future__ import annotations

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.model.attribute_path import AttributePath
from gateway.model.instance import Identifiers
from gateway.ports.errors import GatewayError

TAGS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
"""SOP Class, SOP Instance, Study Instance and Series Instance UID."""
_PATHS = tuple(AttributePath(tag) for tag in TAGS)
_WANTED = wanted(_PATHS)


def identify(view: memoryview, transfer_syntax_uid: str) -> Identifiers | None:
    """None when it cannot be read, or does not name its SOP class and instance. Raises nothing for what it holds."""
    try:
        found = scan(view, transfer_syntax_uid, _WANTED)
        texts = [(found.values(path) or ("",))[0].strip() for path in _PATHS]
    except (GatewayError, MemoryError):
        return None
    return Identifiers(*texts) if texts[0] and texts[1] else None
