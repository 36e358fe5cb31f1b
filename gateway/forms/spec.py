"""The base of dataclasses that are sections of the YAML, or stand in one: `SpoolSpec`, `PeerSpec`.

Each has a definition of its own in the JSON Schema, and may say of itself what people write instead of it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from gateway.common import setting_faults as faults

TITLE_AT_PLACE = re.compile(r"([A-Za-z0-9_-]{1,16})@([^\s@:]+:[0-9]+)")
WORD_AND_VALUE = re.compile(r"[A-Za-z_]\w*:\S")

MEANT: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("aet", "aetitle", "ae", "title"), ("ae_title", "")),
    **dict.fromkeys(("host", "hostname", "ip", "port"), ("address", "address: HOST:PORT")),
    **dict.fromkeys(("tls", "tls_args", "ssl"), ("associate", "associate: {tls_args: {…}}")),
    **dict.fromkeys(("if", "match", "matches", "condition", "conditions", "filter"), ("when", "")),
    **dict.fromkeys(("from", "source", "sources"), ("when", "when: {calling_ae_title: …}")),
    **dict.fromkeys(("do", "action", "actions"), ("then", "")),
    **dict.fromkeys(("destination", "destinations", "target", "targets", "send_to"), ("to", "")),
}
"""Names that users write → the setting that they mean, where there is one, and how it is written."""


class Spec:
    """Settings that are a section of the YAML, or a part of one."""

    __slots__ = ()

    not_yet: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Settings that this version does not have, though they may be expected → what is said of them."""
    stand_ins: ClassVar[Mapping[str, Any]] = {}
    """Required setting → the plain value that stands for it once it was reported as missing or wrong, so that the rest
    is checked."""

    @classmethod
    def instead_of(cls, value: object, text: str) -> str:
        """The end of the message on a value that is no mapping of these settings: what is meant by it. `text` is how a
        scalar is written, empty when it is not to be shown."""
        if not text:
            return ""
        if isinstance(value, str):
            if place := TITLE_AT_PLACE.fullmatch(text):
                return faults.meant(f"{{ae_title: {place[1]}, address: {place[2]}}}")
            if WORD_AND_VALUE.match(text):
                return "; a space is missing after `:`"
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # each of its classes is a dataclass
        return faults.as_mapping(field.name.removesuffix("_") for field in fields)


def meant_setting(name: str, known: Iterable[str]) -> str:
    """The end of the message on a name that other software gives a setting; empty when none is known."""
    setting, shown = MEANT.get(name.casefold(), ("", ""))
    return f"; write `{shown or setting}`" if setting and setting in known else ""
