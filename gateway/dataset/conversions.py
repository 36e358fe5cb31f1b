"""The conversions of whole objects in worker processes: one row a kind (`gateway.ports.kinds.Conversion`).

A kind is a function of the encoded data set, its transfer syntax and the settings; it may load codecs, crash, hang or
eat memory, for it runs in a process of its own, one object at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.dataset.codecs import EXPLICIT
from gateway.dataset.derivation import Loss
from gateway.dataset.scratch import Scratch
from gateway.dataset.transcode import Transcoded, to_native, transcode

ConversionSettings = Mapping[str, Any]
Function = Callable[[memoryview, str, ConversionSettings, Scratch], Transcoded]
"""(data set, transfer syntax UID, settings, room) → what became of it. Raises Refusal."""


def _transcode(
    view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch
) -> Transcoded:
    """`to`: transfer syntax UIDs, the first that works; `ratio`, `near`: see `Loss`."""
    loss = Loss(settings.get("ratio"), settings.get("near"))
    return transcode(view, transfer_syntax_uid, tuple(settings["to"]), loss, scratch)


def _native(view: memoryview, transfer_syntax_uid: str, settings: ConversionSettings, scratch: Scratch) -> Transcoded:
    """Explicit VR little endian, pixels native."""
    return Transcoded(to_native(view, transfer_syntax_uid, scratch), EXPLICIT)


KINDS: Mapping[str, Function] = {"transcode": _transcode, "native": _native}
