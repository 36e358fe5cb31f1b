"""The language of the configuration: typed settings, from which the JSON Schema is made.

Every string that is a quantity or a name of the standard stays text here; `gateway.config.compile` gives it meaning.
``${NAME}``, ``${NAME:-default}`` and ``${file:PATH}`` are resolved before these types are filled.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

AETitleText = Annotated[
    str,
    Meta(
        title="AE title",
        description="1 to 16 characters of ASCII, no backslash, not only spaces (PS3.5 §6.2).",
        pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}$(?!\n)",
        examples=["PACS"],
    ),
]
AETitleTemplate = Annotated[
    str,
    Meta(
        title="AE title or template",
        description="An AE title, or a template that makes one of `association`, the requestor's.",
        pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}$(?!\n)|^.{0,200}\{\{.{1,200}\}\}.{0,200}$(?!\n)",
        examples=["{{ association.calling_ae_title }}"],
    ),
]
DurationText = Annotated[
    str,
    Meta(
        title="duration",
        description="A number and its unit: ms, s, min, h or d.",
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})? ?(ms|s|min|h|d)$(?!\n)",
        examples=["10 s", "500 ms", "7 d"],
    ),
]
SizeText = Annotated[
    str,
    Meta(
        title="size",
        description="A number and its unit: B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024).",
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})? ?([kKMGT]?B|[KMGT]iB)$(?!\n)",
        examples=["5 GiB", "50 MB"],
    ),
]
HostAndPort = Annotated[
    str,
    Meta(
        title="address",
        description="host:port; an IPv6 address stands in brackets.",
        pattern=r"^(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+):[0-9]{1,5}$(?!\n)",
        examples=["pacs.example.org:104", "[2001:db8::7]:11112"],
    ),
]
BindAddress = Annotated[
    str,
    Meta(
        title="local address",
        description="Own address to call from, with or without :port.",
        pattern=r"^(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+)(:[0-9]{1,5})?$(?!\n)",
        examples=["10.1.0.5", "10.1.0.5:10400"],
    ),
]
Port = Annotated[int, Meta(title="port", ge=0, le=65535, examples=[11112])]
OfferedPDULength = Annotated[
    int,
    Meta(
        title="PDU length",
        description="The maximum length of a PDU that we offer to take, in bytes (PS3.8 §D.1); 0 is without limit.",
        ge=0,
        le=2**32 - 1,
        examples=[131072],
    ),
]
PDULength = Annotated[
    int,
    Meta(
        title="PDU length",
        description="The maximum length of a PDU that we take, in bytes (PS3.8 §D.1).",
        ge=1024,
        le=16 * 1024**2,
        examples=[131072],
    ),
]
Name = Annotated[
    str,
    Meta(
        title="name",
        description="Letters, digits, `_`, `-` and `.`; at most 64.",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$(?!\n)",
        examples=["pacs"],
    ),
]
RuleName = Annotated[
    str,
    Meta(
        title="rule name",
        description="Stands in logs, metrics and the queue; at most 128 characters on one line.",
        pattern=r"^\S([^\x00-\x1f]{0,126}\S)?$(?!\n)",
        examples=["CT to the archive"],
    ),
]
Hexadecimal = Annotated[
    str,
    Meta(
        title="hexadecimal bytes",
        description="Bytes as pairs of hexadecimal digits, with or without spaces.",
        pattern=r"^([0-9A-Fa-f]{2} ?)*$(?!\n)",
        examples=["01 00 01"],
    ),
]
Base64 = Annotated[
    str,
    Meta(
        title="base64",
        description="Bytes in base64 (RFC 4648), with or without line ends.",
        pattern=r"^([A-Za-z0-9+/]{4}\s*)*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\s*$",
        examples=["AAECAw=="],
        min_length=1,
    ),
]
Text = Annotated[str, Meta(min_length=1)]
SOPClassName = Annotated[
    str,
    Meta(
        title="SOP class", description="Keyword, name or UID of a SOP class.", min_length=1, examples=["CTImageStorage"]
    ),
]
TransferSyntaxName = Annotated[
    str,
    Meta(
        title="transfer syntax",
        description="Keyword, name or UID of a transfer syntax.",
        min_length=1,
        examples=["ExplicitVRLittleEndian"],
    ),
]
TransferSyntaxes = Annotated[tuple[TransferSyntaxName, ...], Meta(min_length=1)]
TLSVersion = Literal["1.2", "1.3"]
TLSProfile = Literal["bcp195", "bcp195_modified"]
PROFILES = (
    "Secure transport connection profile: BCP 195 (PS3.15 §B.12), or the modified one with the cipher suites of §B.13. "
    "Both without CBC."
)
PEMFile = Annotated[str, Meta(min_length=1, description="PEM file; relative to the folder of the YAML file.")]
PEMFiles = PEMFile | Annotated[tuple[PEMFile, ...], Meta(min_length=1)]
Fingerprint = Annotated[
    str,
    Meta(
        title="SHA-256 fingerprint",
        description="64 hexadecimal digits, with or without colons, as `openssl x509 -noout -fingerprint -sha256` "
        "prints them.",
        pattern=r"^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$(?!\n)",
        examples=["9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"],
    ),
]
KeyFileText = Annotated[
    str,
    Meta(
        min_length=1,
        description="PEM file with the private key, relative to the folder of the YAML file; or the key itself by "
        "${file:PATH} or ${NAME}. Without it the key stands in `certificate`.",
    ),
]


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings."""


class CertificateSpec(Spec, frozen=True):
    """Conditions on a certificate. All that are written must hold; of several texts for one condition, one."""

    subject: Annotated[
        dict[str, Text | Annotated[tuple[Text, ...], Meta(min_length=1)]],
        Meta(
            description="Parts of the subject: CN, O, OU, C, L, ST, DC, or a part's long name. Case matters.",
            examples=[{"CN": "ct1.example.org", "O": "Example Hospital"}],
        ),
    ] = {}
    subject_alternative_name: (
        Annotated[
            Text | Annotated[tuple[Text, ...], Meta(min_length=1)],
            Meta(
                description="A DNS name, IP address, URI or mail address that stands in the certificate as it is "
                "written here; a wild card in it fits nothing else.",
                examples=["ct1.example.org"],
            ),
        ]
        | UnsetType
    ) = UNSET
    fingerprint: (
        Annotated[
            Fingerprint | Annotated[tuple[Fingerprint, ...], Meta(min_length=1)],
            Meta(description="SHA-256 of the certificate. Name the next one beside it before it is renewed."),
        ]
        | UnsetType
    ) = UNSET


class ListenerTLSSpec(Spec, frozen=True):
    """TLS of a listener."""

    certificate: Annotated[PEMFile, Meta(description="PEM file with our chain; relative to the YAML file's folder.")]
    key: KeyFileText | UnsetType = UNSET
    client_ca: (
        Annotated[PEMFiles, Meta(description="PEM files with the authorities of client certificates; one or a list.")]
        | UnsetType
    ) = UNSET
    client_crl: (
        Annotated[
            PEMFiles,
            Meta(
                description="PEM files with certificate revocation lists, one or a list: one of each authority. "
                "A client whose authority has none here, or an expired one, is refused."
            ),
        ]
        | UnsetType
    ) = UNSET
    client_certificates: (
        Annotated[
            Literal["none", "optional", "required"],
            Meta(description="Default: required with `client_ca`, else none."),
        ]
        | UnsetType
    ) = UNSET
    minimum_version: TLSVersion = "1.2"
    profile: Annotated[TLSProfile, Meta(description=PROFILES)] = "bcp195"


class PeerTLSSpec(Spec, frozen=True):
    """TLS towards a peer; `{}` shows no certificate and checks the server's against the system's authorities."""

    certificate: (
        Annotated[
            PEMFile, Meta(description="PEM file with the chain that we show; relative to the YAML file's folder.")
        ]
        | UnsetType
    ) = UNSET
    key: KeyFileText | UnsetType = UNSET
    ca: (
        Annotated[PEMFiles, Meta(description="PEM files with the authorities of the server; one or a list.")]
        | UnsetType
    ) = UNSET
    crl: (
        Annotated[PEMFiles, Meta(description="PEM files with certificate revocation lists of these authorities.")]
        | UnsetType
    ) = UNSET
    server_name: (
        Annotated[Text, Meta(description="Name in the server's certificate. Default: the host of `address`.")]
        | UnsetType
    ) = UNSET
    server_certificate: (
        Annotated[CertificateSpec, Meta(description="What the server's certificate must be, beside its name.")]
        | UnsetType
    ) = UNSET
    verify: Annotated[
        bool,
        Meta(
            description="false checks neither authority nor name: safe with a `fingerprint` under "
            "`server_certificate`; without one, for tests only."
        ),
    ] = True
    minimum_version: TLSVersion = "1.2"
    profile: Annotated[TLSProfile, Meta(description=PROFILES)] = "bcp195"


class IdentityCheckSpec(Spec, frozen=True):
    """A user identity that must be there and verified (PS3.7 §D.3.3.7); else the association is rejected."""

    verified_by: Annotated[
        Name | Annotated[tuple[Name, ...], Meta(min_length=1)],
        Meta(description="Names under `user_identities`; one of them must verify it.", examples=["staff"]),
    ]
    users: Annotated[tuple[Text, ...], Meta(description="Only these user names. Default: any that is verified.")] = ()


class ListenerSpec(Spec, frozen=True):
    """An address that associations are accepted at."""

    port: Annotated[Port, Meta(description="TCP port; 0 takes any free one.")]
    address: Annotated[Text, Meta(description="Own address to listen on. Default: all of IPv4.")] = "0.0.0.0"  # noqa: S104
    name: (
        Annotated[
            Name,
            Meta(
                description="For logs, metrics, rules and `requires`. Default: port-PORT; with an "
                "`address` other than 0.0.0.0 and `::` port-PORT-ADDRESS, as in port-11112-127.0.0.1, colons as `-`."
            ),
        ]
        | UnsetType
    ) = UNSET
    tls: ListenerTLSSpec | UnsetType = UNSET
    user_identity: (
        Annotated[IdentityCheckSpec, Meta(description="Demanded of everybody who calls here.")] | UnsetType
    ) = UNSET


class SpoolSpec(Spec, frozen=True):
    """The place of payloads."""

    path: Annotated[Text, Meta(description="Folder; relative to the working folder.")] = "var/spool"
    min_free: Annotated[
        SizeText,
        Meta(description="With less free space than this, C-STORE is answered with 0xA700 (out of resources)."),
    ] = "5 GiB"
    retention: Annotated[DurationText, Meta(description="How long an instance stays after its last delivery.")] = "1 h"
    quarantine_retention: Annotated[
        DurationText,
        Meta(
            description="How long files stay in the spool's folder `quarantine`, into which the gateway moves what "
            "nothing names and copies what is damaged."
        ),
    ] = "30 d"
    segment_size: Annotated[SizeText, Meta(description="Size of one append-only segment.")] = "64 MiB"
    large_object: Annotated[SizeText, Meta(description="An object above this gets a file of its own.")] = "1 MiB"


class QueueSpec(Spec, frozen=True):
    """The place of deliveries."""

    sqlite: Annotated[Text, Meta(description="SQLite file; relative to the working folder.")] = "var/gateway.db"
    min_free: Annotated[
        SizeText,
        Meta(
            description="With less free space than this on the SQLite file's file system, C-STORE is answered with "
            "0xA700 (out of resources): what was accepted needs room to be delivered."
        ),
    ] = "256 MiB"
    reserve: Annotated[
        SizeText,
        Meta(
            description="Length of a file beside the SQLite file, `….reserve`, that holds room. It is given up when "
            "the file system is full all the same: deliveries, `gateway queue` and a restart go on. `0 B`: none."
        ),
    ] = "16 MiB"


class HTTPSpec(Spec, frozen=True):
    """Health, metrics and reload over HTTP; without this section there is no HTTP listener."""

    address: Annotated[HostAndPort, Meta(examples=["127.0.0.1:8080"])] = "127.0.0.1:8080"
    hosts: Annotated[
        tuple[Text, ...],
        Meta(
            description="Names under which it is called, besides IP addresses, localhost and this machine's name. "
            "Others get 421, so that no web page reads it through a name of its own.",
            examples=[["gateway.example.org"]],
        ),
    ] = ()
    connections: Annotated[
        int,
        Meta(ge=1, le=10_000, description="At a time; a new one takes the place of the one that waits longest."),
    ] = 64
    connections_per_host: Annotated[
        int, Meta(ge=1, le=10_000, description="The most connections of one host, except this machine.")
    ] = 16


class TimersSpec(Spec, frozen=True):
    """Time limits of associations. A peer's own win over those of `gateway:`."""

    connect: Annotated[DurationText, Meta(description="Opening a TCP connection. Default: 10 s.")] | UnsetType = UNSET
    tls_handshake: Annotated[DurationText, Meta(description="TLS handshake. Default: 10 s.")] | UnsetType = UNSET
    association: (
        Annotated[
            DurationText, Meta(description="Negotiation, release and closing (ARTIM, PS3.8 §9.1.5). Default: 30 s.")
        ]
        | UnsetType
    ) = UNSET
    dimse: (
        Annotated[DurationText, Meta(description="Waiting for a response, or a message's next part. Default: 60 s.")]
        | UnsetType
    ) = UNSET
    idle: (
        Annotated[DurationText, Meta(description="An association without any message is aborted. Default: 10 min.")]
        | UnsetType
    ) = UNSET
    progress: (
        Annotated[
            DurationText,
            Meta(description="How long 16 KiB of a message may take, both ways; else we abort. Default: 30 s."),
        ]
        | UnsetType
    ) = UNSET
    message: (
        Annotated[DurationText, Meta(description="Receiving one message, from its first byte on. Default: 1 d.")]
        | UnsetType
    ) = UNSET


class LimitsSpec(Spec, frozen=True):
    """Bounds on what peers may make us hold. Where the process may not open enough files for them (`ulimit -Hn`), the
    numbers of associations and connections are lowered in proportion, and the log says so at the start."""

    associations: Annotated[int, Meta(ge=1, le=100_000, description="Associations at a time.")] = 512
    associations_of_strangers: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=100_000,
                description="Of `associations`, those for requestors whom no peer names; the others are reserved for "
                "known peers. Default: a quarter of `associations`.",
            ),
        ]
        | UnsetType
    ) = UNSET
    associations_per_host: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="The most associations of strangers from one host. A requestor that a peer names does "
            "not count here; see `associations_per_peer`.",
        ),
    ] = 64
    associations_per_peer: Annotated[
        int, Meta(ge=1, le=100_000, description="The most of one calling AE title and host.")
    ] = 64
    unassociated: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Connections without an association; the oldest is closed for a new one. Hosts that known "
            "peers call from (`hosts`, `address`, or seen before) and all others have as many each.",
        ),
    ] = 256
    unassociated_per_host: Annotated[
        int, Meta(ge=1, le=100_000, description="The same of one host that no known peer calls from.")
    ] = 64
    max_pdu: PDULength = 131072
    command_size: Annotated[SizeText, Meta(description="The size of one command set.")] = "64 KiB"
    object_size: Annotated[SizeText, Meta(description="The size of one data set.")] = "16 GiB"
    inflated: Annotated[
        SizeText, Meta(description="The size of an inflated data set; beyond, it is refused with 0xA700.")
    ] = "1 GiB"
    inflated_ratio: Annotated[
        int,
        Meta(
            ge=1,
            le=2000,
            description="The same as a multiple of its own size; counts beyond 64 MiB. "
            "Data sets over 128 MiB are not edited.",
        ),
    ] = 250


class ConversionSpec(Spec, frozen=True):
    """Worker processes that convert objects, for `transcode` and `fallback`; they start when there is work."""

    workers: Annotated[int, Meta(ge=1, le=64, description="At a time.")] = 2
    memory: Annotated[SizeText, Meta(description="The memory of one conversion; beyond, the object is refused.")] = (
        "2 GiB"
    )
    time_limit: Annotated[DurationText, Meta(description="How long one conversion may take.")] = "2 min"


class LogSpec(Spec, frozen=True):
    """The content of the log; its level and form are options of `gateway run`."""

    objects: Annotated[
        Literal["study", "object", "none"],
        Meta(
            description="The log of stored and delivered objects. study: a line for each association or destination "
            "and study, when it is over and each minute, with how many objects and bytes; object: a line for each "
            "object, which takes about as long as one tenth of storing it; none: nothing (README, What the log says)."
        ),
    ] = "study"


class LoopsSpec(Spec, frozen=True):
    """Limits of loops: an object that places pass round, since they forward to each other, is held under the rule
    `(loop)`. Only requestors that call with the AE title of a destination are counted, and gateways of this kind."""

    hops: Annotated[
        int, Meta(ge=0, le=8, description="It came through more gateways of this kind than these; 0: any number.")
    ] = 8
    returns: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="It came back more often from the peer it was sent to, with the UID and size it was sent with; "
            "0: any number of times.",
        ),
    ] = 5
    repeats: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="The same object came more often from one requestor; 0: any number of times. A user may send "
            "it again by hand, too.",
        ),
    ] = 50
    within: Annotated[DurationText, Meta(description="`returns` and `repeats` are counted so long.")] = "10 min"


class GatewaySpec(Spec, frozen=True):
    """Process settings. Changing them needs a restart, except of `listeners`."""

    ae_title: Annotated[AETitleText, Meta(description="Our AE title.")]
    listeners: Annotated[
        tuple[ListenerSpec, ...], Meta(min_length=1, description="Addresses that associations are accepted at.")
    ]
    called_ae_titles: Annotated[
        tuple[AETitleText, ...], Meta(description="Called AE titles answered besides `ae_title`; `*` answers any.")
    ] = ()
    spool: SpoolSpec = SpoolSpec()
    queue: QueueSpec = QueueSpec()
    http: HTTPSpec | UnsetType = UNSET
    admit: Annotated[
        Literal["known", "any"],
        Meta(description="known: requestors that a peer with `may` names; any: strangers too, for C-ECHO and C-STORE."),
    ] = "known"
    strict: Annotated[
        bool,
        Meta(
            description="true: what breaks the standard is refused as the standard says, also where archives take it "
            "(docs/leniency.md). For strangers, and for peers that do not say `strict` themselves."
        ),
    ] = False
    timers: TimersSpec = TimersSpec()
    limits: LimitsSpec = LimitsSpec()
    conversion: ConversionSpec = ConversionSpec()
    loops: LoopsSpec = LoopsSpec()
    log: LogSpec = LogSpec()
    drain: Annotated[DurationText, Meta(description="How long a stop waits for associations and sends in work.")] = (
        "30 s"
    )
    file_access: Annotated[
        Literal["owner", "group"],
        Meta(
            description="Who may read and change spool, queue and pid file: the gateway's user, or its group too, as "
            "for operators with `gateway queue`. Never others, whatever the umask."
        ),
    ] = "owner"
    secret_folders: (
        Annotated[
            tuple[Text, ...],
            Meta(
                description="Folders outside the rules folder that ${file:PATH} may read from; relative to the YAML "
                "file's folder. The list replaces the default: /run/secrets, and the folder of the credentials "
                "that systemd gives the service; name these too where they are needed.",
                examples=[["/run/secrets"]],
            ),
        ]
        | UnsetType
    ) = UNSET
    pid_file: (
        Annotated[Text, Meta(description="Holds our process ID while we run; relative to the working folder.")]
        | UnsetType
    ) = UNSET


class ContextSpec(Spec, frozen=True):
    """One presentation context to propose."""

    abstract_syntax: SOPClassName
    transfer_syntax: Annotated[TransferSyntaxes, Meta(description="In order of preference.")]


class RoleSpec(Spec, frozen=True):
    """SCP/SCU role selection (PS3.7 §D.3.3.4)."""

    sop_class: SOPClassName
    scu_role: bool
    scp_role: bool


class ExtendedSpec(Spec, frozen=True):
    """SOP class extended negotiation (PS3.7 §D.3.3.5)."""

    sop_class: SOPClassName
    information: Annotated[Hexadecimal, Meta(description="Service class application information.")]


class CommonExtendedSpec(Spec, frozen=True):
    """SOP class common extended negotiation (PS3.7 §D.3.3.6)."""

    sop_class: SOPClassName
    service_class: Annotated[Text, Meta(description="UID of the service class.", examples=["1.2.840.10008.4.2"])]
    related: Annotated[tuple[SOPClassName, ...], Meta(description="Related general SOP classes.")] = ()


class UserIdentitySpec(Spec, frozen=True):
    """User identity (PS3.7 §D.3.3.7)."""

    type: Literal["username", "username_passcode", "kerberos", "saml", "jwt"]
    primary: Annotated[Text, Meta(description="User name, SAML assertion or JSON web token.")] | UnsetType = UNSET
    primary_base64: (
        Annotated[
            Base64,
            Meta(description="The same in base64, for what is no text: a Kerberos ticket. Write it as ${file:PATH}."),
        ]
        | UnsetType
    ) = UNSET
    secondary: Annotated[Text, Meta(description="Passcode; write it as ${file:PATH} or ${NAME}.")] | UnsetType = UNSET
    positive_response_requested: bool = False

    def __repr__(self) -> str:
        return f"UserIdentitySpec(type={self.type!r})"


class AsyncOperationsSpec(Spec, frozen=True):
    """Asynchronous operations window (PS3.7 §D.3.3.3); 0 is unlimited."""

    invoked: Annotated[int, Meta(ge=0, le=65535)]
    performed: Annotated[int, Meta(ge=0, le=65535)]


class ExtendedNegotiationSpec(Spec, frozen=True):
    """User information items beside the required ones."""

    roles: tuple[RoleSpec, ...] = ()
    extended: tuple[ExtendedSpec, ...] = ()
    common_extended: tuple[CommonExtendedSpec, ...] = ()
    user_identity: UserIdentitySpec | UnsetType = UNSET
    async_operations: AsyncOperationsSpec | UnsetType = UNSET


class AssociateSpec(Spec, frozen=True):
    """The keywords of associations with the peer, as in pynetdicom's `AE.associate`."""

    ae_title: (
        Annotated[
            AETitleTemplate,
            Meta(description="Called AE title; a template as for `calling_ae_title`. Default: the peer's."),
        ]
        | UnsetType
    ) = UNSET
    contexts: Annotated[
        tuple[ContextSpec, ...],
        Meta(
            description="The contexts proposed for objects that we send: these as they are, all of them, in this "
            "order, on one association; an object that fits none is refused. Default: from what is queued."
        ),
    ] = ()
    max_pdu: (
        Annotated[
            OfferedPDULength,
            Meta(description="Default: 16382, as in `AE.associate`; 131072 where instances come to us by C-GET."),
        ]
        | UnsetType
    ) = UNSET
    ext_neg: ExtendedNegotiationSpec = ExtendedNegotiationSpec()
    bind_address: BindAddress | UnsetType = UNSET
    tls_args: PeerTLSSpec | UnsetType = UNSET


class AcceptSpec(Spec, frozen=True):
    """As a requestor: what we accept from the peer; without a list, everything."""

    sop_classes: Annotated[tuple[SOPClassName, ...], Meta(min_length=1)] | UnsetType = UNSET
    transfer_syntaxes: TransferSyntaxes | UnsetType = UNSET
    uids: Annotated[
        Literal["standard", "any"],
        Meta(
            description="SOP Instance UIDs of what it stores: `standard` takes at most 64 digits and dots (PS3.5 "
            "§9.1), leading zeros too; `any` also letters, dashes and 128 characters, for senders that make such."
        ),
    ] = "standard"


class RetrySpec(Spec, frozen=True):
    """The times at which a delivery that could not be made is tried again."""

    first: Annotated[DurationText, Meta(description="First delay.")] = "10 s"
    factor: Annotated[float, Meta(ge=1, le=100, description="Each further delay is this much longer.")] = 2.0
    max: Annotated[DurationText, Meta(description="Longest delay.")] = "10 min"
    jitter: Annotated[float, Meta(ge=0, le=1, description="Each delay is spread by up to this share.")] = 0.1
    give_up_after: Annotated[
        DurationText,
        Meta(
            description="Age at which a delivery becomes a dead letter, once it was tried; the time in which no "
            "gateway runs does not count."
        ),
    ] = "7 d"


class DeliverySpec(Spec, frozen=True):
    """The delivery of objects to the peer."""

    associations: Annotated[int, Meta(ge=1, le=64, description="Associations in parallel.")] = 2
    fallback: (
        Annotated[
            TransferSyntaxes,
            Meta(
                description="What the peer refuses as it is, is converted to the first of these that works and that it "
                "takes. Without it such an object becomes a dead letter."
            ),
        ]
        | UnsetType
    ) = UNSET
    retry: RetrySpec = RetrySpec()
    duplicate: (
        Annotated[
            Literal["delivered", "failure"],
            Meta(
                description="What 0x0111 (Duplicate SOP Instance) of the peer means: it has the object, which is "
                "noted, or a dead letter. Default: `delivered`, and `failure` where `strict` is true."
            ),
        ]
        | UnsetType
    ) = UNSET
    refusals: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="After so many objects in a row that the peer refused with the same status, or for which it "
            "accepted no presentation context at all, it is down: what is queued waits, and one object at a time, of "
            "another study or SOP class, is tried by `retry`. When it takes one, only what is like those refused waits "
            "on. The ones before are dead letters; 0: all are.",
        ),
    ] = 10


class FolderSpec(Spec, frozen=True):
    """A folder that takes Part 10 files."""

    path: Annotated[
        Text,
        Meta(
            description="Template of a file's path; relative to the working folder.",
            examples=["/data/{{ StudyInstanceUID }}/{{ SOPInstanceUID }}.dcm"],
        ),
    ]
    root: (
        Annotated[Text, Meta(description="No file leaves this folder. Default: what stands before the first template.")]
        | UnsetType
    ) = UNSET
    on_conflict: Annotated[
        Literal["keep", "replace", "number"],
        Meta(description="A file with other bytes is there: refuse ours, replace it, or write beside it."),
    ] = "number"
    access: Annotated[
        Literal["owner", "group", "others"],
        Meta(
            description="Who may read files and folders: the gateway's user, its group too, or every user of the "
            "machine. Except with `others`, nothing is written into a `root` that every user may list or enter."
        ),
    ] = "owner"


class RequirementsSpec(Spec, frozen=True):
    """The proofs that a requestor must give, beside its AE title and address, to be taken for the peer. Without them
    the association is rejected, also under `admit: any`.
    """

    tls: Annotated[bool, Meta(description="true: only over TLS.")] = False
    listener: (
        Annotated[
            Name | Annotated[tuple[Name, ...], Meta(min_length=1)],
            Meta(description="Only over this listener, or one of these.", examples=["secure"]),
        ]
        | UnsetType
    ) = UNSET
    certificate: (
        Annotated[CertificateSpec, Meta(description="Only with such a client certificate, verified by `client_ca`.")]
        | UnsetType
    ) = UNSET
    user_identity: IdentityCheckSpec | UnsetType = UNSET


class PeerSpec(Spec, frozen=True):
    """A named place: a DICOM node with an address, a folder, or only a requestor."""

    ae_title: AETitleText | UnsetType = UNSET
    address: HostAndPort | UnsetType = UNSET
    folder: FolderSpec | UnsetType = UNSET
    calling_ae_title: (
        Annotated[
            AETitleTemplate,
            Meta(
                description="With which we call. A template over `association` passes on that of the requestor: the "
                "sender of an object, who queries or retrieves. Default: ours."
            ),
        ]
        | UnsetType
    ) = UNSET
    associate: AssociateSpec = AssociateSpec()
    may: Annotated[
        tuple[Literal["echo", "store", "find", "move", "get"], ...],
        Meta(description="The services that it may request. C-ECHO is always included."),
    ] = ()
    may_move_to: Annotated[
        tuple[AETitleText, ...],
        Meta(description="Move Destinations that it may name. Default: any.", examples=[["WS1", "ALLSITES"]]),
    ] = ()
    retrieve: Annotated[
        Literal["auto", "get", "move"],
        Meta(
            description="As a source of retrieves: by C-GET, or by C-MOVE to us, for which it needs our AE title and "
            "address, and `may: [store]` here. auto: by C-GET where it takes that."
        ),
    ] = "auto"
    hosts: Annotated[
        tuple[Text, ...],
        Meta(
            description="Addresses and networks that it may call from. Default: any; what it sends for a C-MOVE to "
            "ourselves, from its `address`.",
            examples=[["10.1.0.0/16"]],
        ),
    ] = ()
    requires: RequirementsSpec = RequirementsSpec()
    accept: AcceptSpec = AcceptSpec()
    strict: (
        Annotated[
            bool,
            Meta(
                description="true: what of this peer breaks the standard is refused as the standard says, also where "
                "archives take it (docs/leniency.md). Default: `gateway.strict`, which is false."
            ),
        ]
        | UnsetType
    ) = UNSET
    delivery: DeliverySpec = DeliverySpec()
    timers: TimersSpec = TimersSpec()
    enabled: Annotated[
        bool, Meta(description="false: checked, but neither called nor admitted; where `to` names it, it is skipped.")
    ] = True


class GroupSpec(Spec, frozen=True):
    """Several peers under one name."""

    all: Annotated[tuple[Text, ...], Meta(min_length=1, description="Each of these peers gets the object.")]


class CoercionSpec(Spec, frozen=True):
    """A change of what arrives, before routing; it holds for what is kept and for what is sent."""

    then: Any
    when: Any = UNSET
    name: Annotated[RuleName, Meta(description="Default: coercion-NUMBER.")] | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="false: checked, but never applied.")] = True


class RouteSpec(Spec, frozen=True):
    """A route: a condition, actions and destinations of objects."""

    name: RuleName
    to: (
        Annotated[
            tuple[Text, ...],
            Meta(min_length=1, description="Names of peers and groups. A route that drops or rejects has none."),
        ]
        | UnsetType
    ) = UNSET
    when: Any = UNSET
    then: Any = UNSET
    stop: Annotated[bool, Meta(description="true: when this route holds, no later one is asked.")] = False
    enabled: Annotated[bool, Meta(description="false: checked, but never applied.")] = True


class RetrieveCoercionSpec(Spec, frozen=True):
    """A change of what is retrieved, on its way to some destinations."""

    to: Annotated[
        tuple[Text, ...],
        Meta(min_length=1, description="Peers and groups. Of a C-GET: the requestor."),
    ]
    then: Any
    when: Any = UNSET
    name: Annotated[RuleName, Meta(description="Default: coercion-NUMBER.")] | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="false: checked, but never applied.")] = True


class HideSpec(Spec, frozen=True):
    """Studies that some peers do not see, neither in queries nor in retrieves. Decided by what each place says of a
    study: what it does not know is absent there. What one place hides is not shown from another."""

    when: Any
    from_: (
        Annotated[
            tuple[Text, ...],
            Meta(min_length=1, description="Peers and groups that do not see them. Default: all."),
        ]
        | UnsetType
    ) = msgspec.field(name="from", default=UNSET)
    name: Annotated[RuleName, Meta(description="Default: hide-NUMBER.")] | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="false: checked, but never applied.")] = True


Servers = Annotated[tuple[Text, ...], Meta(min_length=1)]


class RelaySpec(Spec, frozen=True):
    """Queries besides Query/Retrieve, and the peers that serve each. They are asked side by side; a thing that several
    of them know is answered once."""

    worklist: Annotated[Servers, Meta(description="Modality Worklist (PS3.4 Annex K).", examples=[["ris"]])] = ()
    relevant_patient_information: Annotated[
        Servers, Meta(description="Annex Q. The first that knows the patient is heard.")
    ] = ()
    substance_administration: Annotated[
        Servers, Meta(description="Product Characteristics and Substance Approval (Annex V).")
    ] = ()
    hanging_protocol: Annotated[Servers, Meta(description="Annex U.")] = ()
    defined_procedure_protocol: Annotated[Servers, Meta(description="Annex HH.")] = ()
    color_palette: Annotated[Servers, Meta(description="Annex X.")] = ()
    implant_template: Annotated[Servers, Meta(description="Generic, assembly and group (Annex BB).")] = ()
    unified_procedure_step: Annotated[Servers, Meta(description="Annex CC: the queries alone.")] = ()
    protocol_approval: Annotated[Servers, Meta(description="Annex II.")] = ()
    inventory: Annotated[Servers, Meta(description="Annex JJ.")] = ()
    repository_query: Annotated[
        Servers,
        Meta(
            description="Repository Query (§C.6.4): one peer, for its Record Keys mean nothing to others. Not beside "
            "`hide`, which does not reach its answers.",
        ),
    ] = ()


class QueryRetrieveSpec(Spec, frozen=True):
    """The sources of C-FIND, C-MOVE and C-GET, and the destinations of a C-MOVE. Without this section such requests
    are refused.
    """

    sources: Annotated[
        tuple[Text, ...],
        Meta(
            description="`local` is what the gateway holds itself; others are names of peers. Asked side by side.",
            examples=[["local", "pacs"]],
        ),
    ]
    move_destinations: Annotated[
        dict[AETitleText, Annotated[tuple[Text, ...], Meta(min_length=1)]],
        Meta(
            description="Move Destination AE title → peers and groups, beside the peers' own titles.",
            examples=[{"ALLSITES": ["pacs", "vna"]}],
        ),
    ] = {}
    relay: RelaySpec | UnsetType = UNSET
    check: Annotated[
        bool,
        Meta(
            description="true: what a source answers beyond what it was asked is left out; where it contradicts a key "
            "that every source compares, the source counts as failed. false: it is passed on."
        ),
    ] = True
    patience: Annotated[
        DurationText,
        Meta(
            description="How long a match waits for what slower sources say of the same thing. One that would have "
            "added to it later counts as failed."
        ),
    ] = "2 s"
    partial: Annotated[
        Literal["fail", "accept"],
        Meta(description="A source that failed: the answer ends with a failure that names it, or goes on without it."),
    ] = "fail"
    timeout: Annotated[DurationText, Meta(description="How long a source may keep us waiting.")] = "30 s"
    no_progress: Annotated[
        DurationText,
        Meta(
            description="How long a source that goes on answering a C-MOVE or C-GET may bring nothing: no instance, no "
            "part of one, and no counter that changes. Longer than `timeout`, for archives that fetch from tape first."
        ),
    ] = "5 min"
    longest: Annotated[
        DurationText,
        Meta(
            description="How long one C-MOVE or C-GET of a source may take in all; what waits for our requestor does "
            "not count."
        ),
    ] = "4 h"
    limit: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="The most matches of one C-FIND, which more end with 0xA700 (`partial: fail`); 0: all.",
        ),
    ] = 0
    coercions: Annotated[
        tuple[RetrieveCoercionSpec, ...],
        Meta(description="In order; each sees what the former changed. What is kept here stays as it is."),
    ] = ()
    hide: Annotated[
        tuple[HideSpec, ...],
        Meta(
            description="`when` is asked about studies: of what is known of a study and its patient, and of who asks."
        ),
    ] = ()
    keep_retrieved: Annotated[
        bool, Meta(description="true: what is fetched from a source also arrives here, through coercions and routes.")
    ] = False
    move_originator: (
        Annotated[AETitleText, Meta(description="Move Originator AE Title of C-STOREs. Default: the requestor's.")]
        | UnsetType
    ) = UNSET
    keep: Annotated[
        DurationText,
        Meta(
            description="How long an instance can be found and retrieved after its last delivery, where "
            "`spool.retention` is shorter. When room is low, the oldest go earlier."
        ),
    ] = "0 s"


class TokenSpec(Spec, frozen=True):
    """JSON Web Tokens (RFC 7519), signed with a key that is known here. A token must have an expiry."""

    keys: Annotated[
        PEMFiles,
        Meta(
            description="Files with the issuer's public keys, as JWKS (RFC 7517) or PEM; one or a list. Relative to "
            "the folder of the YAML file; read again when they change."
        ),
    ]
    issuer: Annotated[Text, Meta(description="`iss` must be this.")]
    audience: Annotated[
        Text | Annotated[tuple[Text, ...], Meta(min_length=1)],
        Meta(description="`aud` must hold this, or one of these."),
    ]
    algorithms: Annotated[
        tuple[
            Literal[
                "RS256",
                "RS384",
                "RS512",
                "PS256",
                "PS384",
                "PS512",
                "ES256",
                "ES384",
                "ES512",
                "EdDSA",
                "HS256",
                "HS384",
                "HS512",
            ],
            ...,
        ],
        Meta(min_length=1, description="Signatures that are taken."),
    ] = ("RS256", "PS256", "ES256", "EdDSA")
    user_claim: Annotated[Text, Meta(description="The claim that holds the user name.")] = "sub"
    leeway: Annotated[DurationText, Meta(description="How far clocks may differ.")] = "30 s"


class IdentityCommandSpec(Spec, frozen=True):
    """A program that is asked about each identity: JSON on its standard input, its exit code decides. See
    docs/security.md."""

    run: Annotated[
        tuple[Text, ...],
        Meta(
            min_length=1,
            description="Program and arguments; no shell. The program by absolute path.",
            examples=[["/usr/local/bin/check-kerberos", "--realm", "EXAMPLE.ORG"]],
        ),
    ]
    types: Annotated[
        tuple[Literal["username", "username_passcode", "kerberos", "saml", "jwt"], ...],
        Meta(min_length=1, description="The types of identity that it is asked about; others it does not verify."),
    ]
    time_limit: Annotated[DurationText, Meta(description="How long it may take; then the association is rejected.")] = (
        "10 s"
    )


class IdentityMethodSpec(Spec, frozen=True):
    """One way to verify user identities: by a password file, by tokens, or by a command; exactly one of these."""

    password_file: (
        Annotated[
            Text,
            Meta(
                description="File with a line `user:hash` for each user, as `gateway password` prints it (argon2id); "
                "relative to the folder of the YAML file. Read again when it changes.",
                examples=["passwords.txt"],
            ),
        ]
        | UnsetType
    ) = UNSET
    jwt: TokenSpec | UnsetType = UNSET
    command: IdentityCommandSpec | UnsetType = UNSET


class RulesSpec(Spec, frozen=True):
    """A configuration of the gateway: all `*.yaml` of the rules folder together."""

    gateway: GatewaySpec
    unmatched: Annotated[
        Literal["hold", "reject", "discard"],
        Meta(description="An object that no route wants is kept until released, refused with 0x0124, or dropped."),
    ]
    unreadable: Annotated[
        Literal["reject", "hold"],
        Meta(
            description="An object whose elements cannot be told apart, by a tolerant reader either, is refused with "
            "0xC000, or kept until released; then it goes out as it came. Of strict peers it is always refused."
        ),
    ] = "reject"
    keys: Annotated[
        dict[Name, Annotated[str, Meta(min_length=1, description="At least 16 characters; write ${file:PATH}.")]],
        Meta(description="Secrets that rules name, as for hash_uid; never shown."),
    ] = {}
    user_identities: Annotated[
        dict[Name, IdentityMethodSpec],
        Meta(description="Ways to verify user identities, for `user_identity` of listeners and peers."),
    ] = {}
    conditions: Annotated[
        dict[Name, Any], Meta(description="Conditions with a name, for `condition: NAME` under `when`.")
    ] = {}
    peers: Annotated[dict[Name, PeerSpec], Meta(description="The peers: addresses, rights and settings of each.")] = {}
    groups: Annotated[dict[Name, GroupSpec], Meta(description="Several peers under one name.")] = {}
    coercions: Annotated[
        tuple[CoercionSpec, ...], Meta(description="In order; each sees what the former changed.")
    ] = ()
    routes: Annotated[
        tuple[RouteSpec, ...], Meta(description="In order; every one whose `when` holds contributes.")
    ] = ()
    query_retrieve: QueryRetrieveSpec | UnsetType = UNSET


LATER = frozenset({"window", "rate", "failover", "balance"})
"""Settings of the design that this version does not have yet."""
