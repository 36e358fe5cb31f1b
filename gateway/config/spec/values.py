"""The values that stand in several sections: texts with a pattern, and their bounds."""

from __future__ import annotations

from typing import Annotated, Any

from gateway.common.quantity import ADDRESS, DURATION, HOST
from gateway.config.spec.likely_values import (
    likely_address,
    likely_bytes,
    likely_duration,
    likely_object_rate,
    likely_rate,
    likely_size,
    why_no_ae_title,
    why_no_name,
    why_no_window,
)
from gateway.forms.described import Described
from gateway.forms.groups import ListOf

AETitleText = Annotated[
    str,
    Described(
        title="AE title",
        explain=why_no_ae_title,
        code="bad-ae-title",
        description="1 to 16 characters of ASCII, no backslash, not only spaces (PS3.5 §6.2).",
        pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}$(?!\n)",
        examples=("PACS",),
    ),
]
AETitleTemplate = Annotated[
    str,
    Described(
        title="AE title or template",
        explain=why_no_ae_title,
        code="bad-ae-title",
        description="An AE title, or a template that makes one of `association`, the requestor's.",
        pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}$(?!\n)|^.{0,200}\{\{.{1,200}\}\}.{0,200}$(?!\n)",
        examples=("{{ association.calling_ae_title }}",),
    ),
]
DurationText = Annotated[
    str,
    Described(
        title="duration",
        hint=likely_duration,
        description="A number and its unit: ms, s, min, h or d.",
        pattern=rf"^{DURATION}$(?!\n)",
        examples=(
            "10 s",
            "500 ms",
            "7 d",
        ),
    ),
]
SizeText = Annotated[
    str,
    Described(
        title="size",
        hint=likely_size,
        description="A number and its unit: B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024).",
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})? ?([kKMGT]?B|[KMGT]iB)$(?!\n)",
        examples=(
            "5 GiB",
            "50 MB",
        ),
    ),
]
RateText = Annotated[
    str,
    Described(
        title="rate",
        hint=likely_rate,
        description="A size and a time: 50 MB/s, 3 GB/min, 40 GiB/h.",
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})? ?([kKMGT]?B|[KMGT]iB)/(s|min|h)$(?!\n)",
        examples=("50 MB/s",),
    ),
]
ObjectRateText = Annotated[
    str,
    Described(
        title="number of objects in a time",
        hint=likely_object_rate,
        description="A number and a time: 20/s, 90/min, 600/h.",
        pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})? ?/(s|min|h)$(?!\n)",
        examples=("20/s",),
    ),
]
_DAY = "([Mm][Oo][Nn]?|[Tt][Uu][Ee]?|[Ww][Ee][Dd]?|[Tt][Hh][Uu]?|[Ff][Rr][Ii]?|[Ss][Aa][Tt]?|[Ss][Uu][Nn]?)"
_DAYS = f"{_DAY}(-{_DAY})?(, ?{_DAY}(-{_DAY})?)*"
_TIMES = "[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}"
WindowText = Annotated[
    str,
    Described(
        title="window",
        explain=why_no_window,
        code="bad-window",
        description="Days of the week, times of day, or both. A time past midnight belongs to the day on which it "
        "begins.",
        pattern=rf"^({_DAYS}( {_TIMES})?|{_TIMES})$(?!\n)",
        examples=(
            "Mo-Fr 18:00-06:00",
            "Sa,Su",
            "12:00-13:30",
        ),
    ),
]
HostAndPort = Annotated[
    str,
    Described(
        title="address",
        hint=likely_address(104),
        description="host:port; an IPv6 address stands in brackets.",
        pattern=rf"^{ADDRESS}$(?!\n)",
        examples=(
            "pacs.example.org:104",
            "[2001:db8::7]:11112",
        ),
    ),
]
BindAddress = Annotated[
    str,
    Described(
        title="local address",
        description="Own address to call from, with or without :port.",
        pattern=rf"^{HOST}(:[0-9]{{1,5}})?$(?!\n)",
        examples=(
            "10.1.0.5",
            "10.1.0.5:10400",
        ),
    ),
]
Port = Annotated[int, Described(title="port", ge=0, le=65535, examples=(11112,))]
OFFERED_PDU_LENGTH = "The maximum length of a PDU that we offer to take, in bytes (PS3.8 §D.1); 0 is without limit."
OfferedPDULength = Annotated[
    int,
    Described(
        title="PDU length",
        hint=likely_bytes,
        description=OFFERED_PDU_LENGTH,
        ge=0,
        le=2**32 - 1,
        examples=(131072,),
    ),
]
PDULength = Annotated[
    int,
    Described(
        title="PDU length",
        hint=likely_bytes,
        description="The maximum length of a PDU that we take, in bytes (PS3.8 §D.1).",
        ge=1024,
        le=16 * 1024**2,
        examples=(131072,),
    ),
]
Name = Annotated[
    str,
    Described(
        title="name",
        description="Letters, digits, `_`, `-` and `.`; at most 64.",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$(?!\n)",
        explain=why_no_name,
        code="bad-name",
        examples=("pacs",),
    ),
]
RuleName = Annotated[
    str,
    Described(
        title="rule name",
        description="Stands in logs, metrics and the queue; at most 128 characters on one line.",
        pattern=r"^\S([^\x00-\x1f]{0,126}\S)?$(?!\n)",
        examples=("CT to the archive",),
    ),
]
NAME_OF_RULE = "Stands in logs, metrics and explanations; at most 128 characters on one line."
Condition = Annotated[
    Any,
    Described(
        description="The condition; where it may be left out, always.",
        examples=({"modality": ["CT", "MR"]},),
        definition="predicate",
    ),
]
Actions = Annotated[
    Any,
    Described(
        description="The actions, in order.",
        examples=([{"set": {"StationName": "CT1"}}],),
        definition="actions",
    ),
]
Hexadecimal = Annotated[
    str,
    Described(
        title="hexadecimal bytes",
        description="Bytes as pairs of hexadecimal digits, with or without spaces.",
        pattern=r"^([0-9A-Fa-f]{2} ?)*$(?!\n)",
        examples=("01 00 01",),
    ),
]
Base64 = Annotated[
    str,
    Described(
        title="base64",
        description="Bytes in base64 (RFC 4648), with or without line ends.",
        pattern=r"^([A-Za-z0-9+/]{4}\s*)*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\s*$",
        examples=("AAECAw==",),
        min_length=1,
    ),
]
Text = Annotated[str, Described(min_length=1)]
SOPClassName = Annotated[
    str,
    Described(
        title="SOP class",
        description="Keyword, name or UID of a SOP class.",
        min_length=1,
        examples=("CTImageStorage",),
    ),
]
TransferSyntaxName = Annotated[
    str,
    Described(
        title="transfer syntax",
        description="Keyword, name or UID of a transfer syntax.",
        min_length=1,
        examples=("ExplicitVRLittleEndian",),
    ),
]
TransferSyntaxes = Annotated[ListOf[TransferSyntaxName], Described(min_length=1)]
MISSING = "__missing__"
"""The stand-in for a required name that is missing or wrong, which was reported."""
