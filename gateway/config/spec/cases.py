"""The language of `*.test.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from gateway.config.spec.values import AETitleText, Name, RuleName, Text, TransferSyntaxName
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec

Status = Annotated[
    str,
    Described(
        title="DIMSE status",
        description="Four hexadecimal digits after 0x (PS3.7 §C).",
        pattern=r"^0x[0-9A-Fa-f]{4}$(?!\n)",
        examples=("0x0000",),
    ),
]


Moment = Annotated[
    str,
    Described(
        title="time",
        description="Date and time with time zone (ISO 8601).",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
        r"(Z|[+-][0-9]{2}:?[0-9]{2})$(?!\n)",
        examples=("2026-11-21T10:00:00Z",),
    ),
]


CaseAttributes = Annotated[
    Mapping[str, Any],
    Described(
        description="Attributes by keyword or tag: a text, a number, a list of them, or nothing; for a sequence a "
        "mapping an item; for binary data hexadecimal digits. SOP class (a keyword will do) and UIDs have defaults.",
    ),
]


ValuesSpec = Annotated[
    Mapping[str, Any],
    Described(
        description="Attribute path → its value as text, a list for several; an empty text for one without a value."
    ),
]


Absent = Annotated[ListOf[Text], Described(description="Attribute paths that must not be there.")]


@dataclass(frozen=True, kw_only=True)
class SenderSpec(Spec):
    """The association that the object comes over."""

    calling_ae_title: AETitleText | None = None
    called_ae_title: Annotated[AETitleText, Described(description="Default: the gateway's own.")] | None = None
    remote_host: Annotated[Text, Described(description="Numeric address. Default: 127.0.0.1.")] | None = None
    listener: Annotated[Text, Described(description="Name of the listener. Default: the first.")] | None = None
    tls_subject: Annotated[Text, Described(examples=("CN=ct1,O=Example",))] | None = None
    tls_names: (
        Annotated[
            ListOf[Text], Described(description="Subject alternative names.", examples=(["DNS:ct1.example.org"],))
        ]
        | None
    ) = None
    tls_fingerprint: Annotated[Text, Described(description="SHA-256: 64 small hexadecimal digits.")] | None = None
    user_identity: Annotated[Text, Described(description="User name that is verified.")] | None = None
    claimed_user_identity: Annotated[Text, Described(description="User name that nobody verified.")] | None = None
    remote_port: Annotated[int, Described(description="Port it calls from. Default: 0.", ge=0, le=65535)] | None = None
    implementation_class_uid: Annotated[Text, Described(examples=("1.2.276.0.7230010.3.0.3.6.7",))] | None = None
    implementation_version_name: Annotated[Text, Described(examples=("OFFIS_DCMTK_367",))] | None = None


@dataclass(frozen=True, kw_only=True)
class ExpectedAtSpec(Spec):
    """The object that one destination must get."""

    values: ValuesSpec | None = None
    absent: Absent = ()
    transfer_syntax: TransferSyntaxName | None = None
    refused: (
        Annotated[bool, Described(description="true: the route's actions cannot be done, so that nothing is sent.")]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class ExpectedSpec(Spec):
    """The expected outcome; parts that are not named are not looked at."""

    destinations: (
        Annotated[ListOf[Text], Described(description="All peers that get it, in any order; [] for none.")] | None
    ) = None
    rules: Annotated[ListOf[Text], Described(description="All routes that apply, in any order.")] | None = None
    coercions: Annotated[ListOf[Text], Described(description="All coercions that apply, in any order.")] | None = None
    values: Annotated[ValuesSpec, Described(description="After the coercions, as it is kept.")] | None = None
    absent: Annotated[Absent, Described(description="After the coercions.")] = ()
    at: Annotated[
        Mapping[Name, ExpectedAtSpec], Described(description="By destination, after its route's actions.")
    ] = field(default_factory=dict)
    status: Annotated[Status, Described(description="What the C-STORE is answered.")] | None = None
    unmatched: Annotated[bool, Described(description="Whether no route wants it.")] | None = None
    held: Annotated[bool, Described(description="Whether it is kept for an operator.")] | None = None
    admitted: (
        Annotated[bool, Described(description="Whether the association is made and may store. Default: true.")] | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class CaseSpec(Spec):
    """One object, how it comes, and what must come of it."""

    name: RuleName
    expect: ExpectedSpec
    file: Annotated[Text, Described(description="DICOM file; relative to the test file.")] | None = None
    attributes: CaseAttributes | None = None
    transfer_syntax: (
        Annotated[TransferSyntaxName, Described(description="Of `attributes`. Default: ExplicitVRLittleEndian.")] | None
    ) = None
    association: SenderSpec = SenderSpec()
    received_at: Annotated[Moment, Described(description="When it arrives. Default: now.")] | None = None


@dataclass(frozen=True, kw_only=True)
class CasesSpec(Spec):
    """Tests of the rules beside this file; `gateway test` runs them."""

    tests: Annotated[ListOf[CaseSpec], Described(min_length=1, description="In order.")]
    association: Annotated[SenderSpec, Described(description="What tests do not say of theirs.")] = SenderSpec()
    environment: Annotated[
        Mapping[str, Annotated[str, Described()]],
        Described(description="Variables that the rules are read with, over those of the process."),
    ] = field(default_factory=dict)
