"""The language of `*.test.yaml`: typed settings, from which its JSON Schema is made."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from gateway.config.spec import AETitleText, Name, RuleName, Spec, Text, TransferSyntaxName

Status = Annotated[
    str,
    Meta(
        title="DIMSE status",
        description="Four hexadecimal digits after 0x (PS3.7 §C).",
        pattern=r"^0x[0-9A-Fa-f]{4}$(?!\n)",
        examples=["0x0000"],
    ),
]
Moment = Annotated[
    str,
    Meta(
        title="time",
        description="Date and time with time zone (ISO 8601).",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
        r"(Z|[+-][0-9]{2}:?[0-9]{2})$(?!\n)",
        examples=["2026-11-21T10:00:00Z"],
    ),
]
CaseAttributes = Annotated[
    dict[str, Any],
    Meta(
        description="Attributes by keyword or tag: a text, a number, a list of them, or nothing; for a sequence a "
        "mapping an item; for binary data hexadecimal digits. SOP class (a keyword will do) and UIDs have defaults.",
    ),
]
ValuesSpec = Annotated[
    dict[str, Any],
    Meta(description="Attribute path → its value as text, a list for several; an empty text for one without a value."),
]
Absent = Annotated[tuple[Text, ...], Meta(description="Attribute paths that must not be there.")]


class SenderSpec(Spec, frozen=True):
    """The association that the object comes over."""

    calling_ae_title: AETitleText | UnsetType = UNSET
    called_ae_title: Annotated[AETitleText, Meta(description="Default: the gateway's own.")] | UnsetType = UNSET
    remote_host: Annotated[Text, Meta(description="Numeric address. Default: 127.0.0.1.")] | UnsetType = UNSET
    listener: Annotated[Text, Meta(description="Name of the listener. Default: the first.")] | UnsetType = UNSET
    tls_subject: Annotated[Text, Meta(examples=["CN=ct1,O=Example"])] | UnsetType = UNSET
    tls_names: (
        Annotated[tuple[Text, ...], Meta(description="Subject alternative names.", examples=[["DNS:ct1.example.org"]])]
        | UnsetType
    ) = UNSET
    tls_fingerprint: Annotated[Text, Meta(description="SHA-256: 64 small hexadecimal digits.")] | UnsetType = UNSET
    user_identity: Annotated[Text, Meta(description="User name that is verified.")] | UnsetType = UNSET
    claimed_user_identity: Annotated[Text, Meta(description="User name that nobody verified.")] | UnsetType = UNSET
    remote_port: Annotated[int, Meta(description="Port it calls from. Default: 0.", ge=0, le=65535)] | UnsetType = UNSET
    implementation_class_uid: Annotated[Text, Meta(examples=["1.2.276.0.7230010.3.0.3.6.7"])] | UnsetType = UNSET
    implementation_version_name: Annotated[Text, Meta(examples=["OFFIS_DCMTK_367"])] | UnsetType = UNSET


class ExpectedAtSpec(Spec, frozen=True):
    """The object that one destination must get."""

    values: ValuesSpec | UnsetType = UNSET
    absent: Absent = ()
    transfer_syntax: TransferSyntaxName | UnsetType = UNSET
    refused: (
        Annotated[bool, Meta(description="true: the route's actions cannot be done, so that nothing is sent.")]
        | UnsetType
    ) = UNSET


class ExpectedSpec(Spec, frozen=True):
    """The expected outcome; parts that are not named are not looked at."""

    destinations: (
        Annotated[tuple[Text, ...], Meta(description="All peers that get it, in any order; [] for none.")] | UnsetType
    ) = UNSET
    rules: Annotated[tuple[Text, ...], Meta(description="All routes that apply, in any order.")] | UnsetType = UNSET
    coercions: Annotated[tuple[Text, ...], Meta(description="All coercions that apply, in any order.")] | UnsetType = (
        UNSET
    )
    values: Annotated[ValuesSpec, Meta(description="After the coercions, as it is kept.")] | UnsetType = UNSET
    absent: Annotated[Absent, Meta(description="After the coercions.")] = ()
    at: Annotated[dict[Name, ExpectedAtSpec], Meta(description="By destination, after its route's actions.")] = field(
        default_factory=dict
    )
    status: Annotated[Status, Meta(description="What the C-STORE is answered.")] | UnsetType = UNSET
    unmatched: Annotated[bool, Meta(description="Whether no route wants it.")] | UnsetType = UNSET
    held: Annotated[bool, Meta(description="Whether it is kept for an operator.")] | UnsetType = UNSET
    admitted: (
        Annotated[bool, Meta(description="Whether the association is made and may store. Default: true.")] | UnsetType
    ) = UNSET


class CaseSpec(Spec, frozen=True):
    """One object, how it comes, and what must come of it."""

    name: RuleName
    expect: ExpectedSpec
    file: Annotated[Text, Meta(description="DICOM file; relative to the test file.")] | UnsetType = UNSET
    attributes: CaseAttributes | UnsetType = UNSET
    transfer_syntax: (
        Annotated[TransferSyntaxName, Meta(description="Of `attributes`. Default: ExplicitVRLittleEndian.")] | UnsetType
    ) = UNSET
    association: SenderSpec = SenderSpec()
    received_at: Annotated[Moment, Meta(description="When it arrives. Default: now.")] | UnsetType = UNSET


class CasesSpec(Spec, frozen=True):
    """Tests of the rules beside this file; `gateway test` runs them."""

    tests: Annotated[tuple[CaseSpec, ...], Meta(min_length=1, description="In order.")]
    association: Annotated[SenderSpec, Meta(description="What tests do not say of theirs.")] = SenderSpec()
    environment: Annotated[
        dict[str, str], Meta(description="Variables that the rules are read with, over those of the process.")
    ] = field(default_factory=dict)
