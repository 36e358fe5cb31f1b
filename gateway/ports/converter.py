"""Converters: whole objects into another form, in worker processes."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.kinds import Conversion


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """The result of a conversion."""

    body: EncodedDataSet
    """A data set of its own; the source may be closed."""
    transfer_syntax_uid: str
    sop_instance_uid: str = ""
    """The SOP Instance UID of a new, derived object; empty: as before."""


class Converter(Protocol):
    """Makes conversions where a codec that crashes or hangs harms nobody."""

    async def convert(self, body: EncodedDataSet, transfer_syntax_uid: str, conversion: Conversion) -> Converted:
        """`body` stays open.

        Raises:
            Refusal: it cannot be made of this object; also when it crashed, took too long or too much memory.
            Temporary: not now.
            PayloadLost: the bytes of `body` are gone.
        """
        ...
