"""TLS, certificates and demands for user identities: `tls:`, `tls_args:`, `certificate:`, `user_identity:`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from gateway.common import setting_faults as faults
from gateway.config.spec.values import Name, Text
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec

TLSVersion = Literal["1.2", "1.3"]
TLSProfile = Literal["bcp195", "bcp195_modified"]
PROFILES = (
    "Secure transport connection profile: BCP 195 (PS3.15 §B.12), or the modified one with the cipher suites of §B.13. "
    "Both without CBC."
)
PEMFile = Annotated[str, Described(min_length=1, description="PEM file; relative to the folder of the YAML file.")]
PEMFiles = tuple[PEMFile, ...]
FINGERPRINT = re.compile(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")
Fingerprint = Annotated[
    str,
    Described(
        title="SHA-256 fingerprint",
        description="64 hexadecimal digits, with or without colons, as `openssl x509 -noout -fingerprint -sha256` "
        "prints them.",
        pattern=rf"^{FINGERPRINT.pattern}$(?!\n)",
        examples=("9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08",),
    ),
]
KeyFileText = Annotated[
    str,
    Described(
        is_private_key=True,
        min_length=1,
        description="PEM file with the private key, relative to the folder of the YAML file; or the key itself by "
        "${file:PATH} or ${NAME}. Without it the key stands in `certificate`.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class CertificateSpec(Spec):
    """Conditions on a certificate. All that are written must hold; of several texts for one condition, one."""

    @classmethod
    def instead_of(cls, value: object, text: str) -> str:
        if not text or not isinstance(value, str):
            return super().instead_of(value, text)
        setting = "fingerprint" if FINGERPRINT.fullmatch(text) else "subject_alternative_name"
        return faults.meant(f"{{{setting}: {text}}}")

    subject: Annotated[
        Mapping[str, tuple[Text, ...]],
        Described(
            description="Parts of the subject: CN, O, OU, C, L, ST, DC, or a part's long name. Case matters.",
            examples=({"CN": "ct1.example.org", "O": "Example Hospital"},),
        ),
    ] = field(default_factory=dict)
    subject_alternative_name: (
        Annotated[
            tuple[Text, ...],
            Described(
                description="A DNS name, IP address, URI or mail address that stands in the certificate as it is "
                "written here; a wild card in it fits nothing else.",
                examples=("ct1.example.org",),
            ),
        ]
        | None
    ) = None
    fingerprint: (
        Annotated[
            tuple[Fingerprint, ...],
            Described(description="SHA-256 of the certificate. Name the next one beside it before it is renewed."),
        ]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class ListenerTLSSpec(Spec):
    """TLS of a listener."""

    certificate: Annotated[
        PEMFile,
        Described(
            description="PEM file with our chain; relative to the YAML file's folder.",
            examples=("certificates/gateway.pem",),
        ),
    ]
    key: Annotated[KeyFileText, Described(examples=("certificates/gateway.key",))] | None = None
    client_ca: (
        Annotated[
            PEMFiles,
            Described(
                description="PEM files with the authorities of client certificates; one or a list.",
                examples=("certificates/hospital-ca.pem",),
            ),
        ]
        | None
    ) = None
    client_crl: (
        Annotated[
            PEMFiles,
            Described(
                description="PEM files with certificate revocation lists, one or a list: one of each authority. "
                "A client whose authority has none here, or an expired one, is refused.",
                examples=("certificates/hospital.crl.pem",),
            ),
        ]
        | None
    ) = None
    client_certificates: (
        Annotated[
            Literal["none", "optional", "required"],
            Described(
                description="Whether who calls must show a certificate. Default: required with `client_ca`, else none."
            ),
        ]
        | None
    ) = None
    minimum_version: Annotated[TLSVersion, Described(description="The oldest version of TLS that is spoken.")] = "1.2"
    profile: Annotated[TLSProfile, Described(description=PROFILES)] = "bcp195"


@dataclass(frozen=True, kw_only=True)
class PeerTLSSpec(Spec):
    """TLS towards a peer; `{}` shows no certificate and checks the server's against the system's authorities."""

    certificate: (
        Annotated[
            PEMFile,
            Described(
                description="PEM file with the chain that we show; relative to the YAML file's folder.",
                examples=("certificates/gateway.pem",),
            ),
        ]
        | None
    ) = None
    key: Annotated[KeyFileText, Described(examples=("certificates/gateway.key",))] | None = None
    ca: (
        Annotated[
            PEMFiles,
            Described(
                description="PEM files with the authorities of the server; one or a list.",
                examples=("certificates/hospital-ca.pem",),
            ),
        ]
        | None
    ) = None
    crl: (
        Annotated[
            PEMFiles,
            Described(
                description="PEM files with certificate revocation lists of these authorities.",
                examples=("certificates/hospital.crl.pem",),
            ),
        ]
        | None
    ) = None
    server_name: (
        Annotated[
            Text,
            Described(
                description="Name in the server's certificate. Default: the host of `address`.",
                examples=("pacs.example.org",),
            ),
        ]
        | None
    ) = None
    server_certificate: (
        Annotated[CertificateSpec, Described(description="What the server's certificate must be, beside its name.")]
        | None
    ) = None
    verify: Annotated[
        bool,
        Described(
            description="false checks neither authority nor name: safe with a `fingerprint` under "
            "`server_certificate`; without one, for tests only."
        ),
    ] = True
    minimum_version: Annotated[TLSVersion, Described(description="The oldest version of TLS that is spoken.")] = "1.2"
    profile: Annotated[TLSProfile, Described(description=PROFILES)] = "bcp195"


@dataclass(frozen=True, kw_only=True)
class IdentityCheckSpec(Spec):
    """A user identity that must be there and verified (PS3.7 §D.3.3.7); else the association is rejected."""

    @classmethod
    def instead_of(cls, value: object, text: str) -> str:
        is_name = isinstance(value, str) and bool(text)
        return faults.meant(f"{{verified_by: {text}}}") if is_name else super().instead_of(value, text)

    verified_by: Annotated[
        tuple[Name, ...],
        Described(description="Names under `user_identities`; one of them must verify it.", examples=("staff",)),
    ]
    users: Annotated[
        ListOf[Text],
        Described(description="Only these user names. Default: any that is verified.", examples=(["ct1"],)),
    ] = ()
