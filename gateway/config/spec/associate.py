"""A peer's `associate:`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from gateway.config.spec.security import PeerTLSSpec
from gateway.config.spec.values import (
    OFFERED_PDU_LENGTH,
    AETitleTemplate,
    Base64,
    BindAddress,
    Hexadecimal,
    OfferedPDULength,
    SOPClassName,
    Text,
    TransferSyntaxes,
)
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class ContextSpec(Spec):
    """One presentation context to propose."""

    abstract_syntax: SOPClassName
    transfer_syntax: Annotated[TransferSyntaxes, Described(description="In order of preference.")]


@dataclass(frozen=True, kw_only=True)
class RoleSpec(Spec):
    """SCP/SCU role selection (PS3.7 §D.3.3.4)."""

    sop_class: SOPClassName
    scu_role: Annotated[bool, Described(description="Whether we may be the SCU of this SOP class (PS3.7 §D.3.3.4).")]
    scp_role: Annotated[bool, Described(description="Whether we may be the SCP of this SOP class (PS3.7 §D.3.3.4).")]


@dataclass(frozen=True, kw_only=True)
class ExtendedSpec(Spec):
    """SOP class extended negotiation (PS3.7 §D.3.3.5)."""

    sop_class: SOPClassName
    information: Annotated[Hexadecimal, Described(description="Service class application information.")]


@dataclass(frozen=True, kw_only=True)
class CommonExtendedSpec(Spec):
    """SOP class common extended negotiation (PS3.7 §D.3.3.6)."""

    sop_class: SOPClassName
    service_class: Annotated[Text, Described(description="UID of the service class.", examples=("1.2.840.10008.4.2",))]
    related: Annotated[ListOf[SOPClassName], Described(description="Related general SOP classes.")] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class UserIdentitySpec(Spec):
    """User identity (PS3.7 §D.3.3.7)."""

    type: Annotated[
        Literal["jwt", "kerberos", "saml", "username", "username_passcode"],
        Described(description="The type of identity (PS3.7 §D.3.3.7)."),
    ]
    primary: (
        Annotated[
            Text,
            Described(
                is_secret=True, description="User name, SAML assertion or JSON web token.", examples=("gateway",)
            ),
        ]
        | None
    ) = None
    primary_base64: (
        Annotated[
            Base64,
            Described(
                is_secret=True,
                description="The same in base64, for what is no text: a Kerberos ticket. Write it as ${file:PATH}.",
            ),
        ]
        | None
    ) = None
    secondary: (
        Annotated[
            Text,
            Described(
                is_secret=True,
                description="Passcode; write it as ${file:PATH} or ${NAME}.",
                examples=("${file:passcode.txt}",),
            ),
        ]
        | None
    ) = None
    positive_response_requested: Annotated[
        bool, Described(description="Whether the peer is asked to confirm the identity.")
    ] = False

    def __repr__(self) -> str:
        return f"UserIdentitySpec(type={self.type!r})"


@dataclass(frozen=True, kw_only=True)
class AsyncOperationsSpec(Spec):
    """Asynchronous operations window (PS3.7 §D.3.3.3): deliveries send as many objects ahead of the peer's responses as
    it grants. Without this setting the peer is not asked, and gets one object at a time: some peers end associations
    over the question."""

    invoked: Annotated[
        int,
        Described(
            ge=0,
            le=65535,
            description="Objects that may wait for a response on one association (PS3.7 §D.3.3.3), if the peer grants "
            "as many; 0 is any number. Never more than 64.",
            examples=(8,),
        ),
    ]
    performed: Annotated[
        int,
        Described(
            ge=0,
            le=65535,
            description="Operations that the peer may have open at a time; 0 is any number. C-GET alone has any.",
            examples=(1,),
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class ExtendedNegotiationSpec(Spec):
    """User information items beside the required ones."""

    roles: ListOf[RoleSpec] = ()
    extended: ListOf[ExtendedSpec] = ()
    common_extended: ListOf[CommonExtendedSpec] = ()
    user_identity: UserIdentitySpec | None = None
    async_operations: AsyncOperationsSpec | None = None


@dataclass(frozen=True, kw_only=True)
class AssociateSpec(Spec):
    """The keywords of associations with the peer, as in pynetdicom's `AE.associate`."""

    ae_title: (
        Annotated[
            AETitleTemplate,
            Described(description="Called AE title; a template as for `calling_ae_title`. Default: the peer's."),
        ]
        | None
    ) = None
    contexts: Annotated[
        ListOf[ContextSpec],
        Described(
            description="The contexts proposed for objects that we send: these as they are, all of them, in this "
            "order, on one association; an object that fits none is refused. Default: from what is queued."
        ),
    ] = ()
    max_pdu: (
        Annotated[
            OfferedPDULength,
            Described(
                description=f"{OFFERED_PDU_LENGTH} Default: 16382, as in `AE.associate`; 131072 where instances come "
                "to us by C-GET."
            ),
        ]
        | None
    ) = None
    ext_neg: ExtendedNegotiationSpec = ExtendedNegotiationSpec()
    bind_address: BindAddress | None = None
    tls_args: PeerTLSSpec | None = None
