"""The words of the gateway: frozen values that every part shares. Standard library only.

Times are aware UTC, sizes and durations carry their unit in the name, identifiers stay text.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

# --- what arrived -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AssociationFacts:
    """What is known of the association an object came over; rules and templates read it."""

    calling_ae_title: str
    called_ae_title: str
    remote_host: str
    """Numeric address of the requestor."""
    remote_port: int = 0
    listener: str = ""
    """Name of the listener that took the connection."""
    is_tls: bool = False
    """The connection is encrypted."""
    tls_subject: str = ""
    """Subject of the client certificate as ``CN=…,O=…``; empty without one."""
    tls_names: tuple[str, ...] = ()
    """Subject alternative names of the client certificate as ``DNS:…``, ``IP:…``, ``URI:…``, ``email:…``."""
    tls_fingerprint: str = ""
    """SHA-256 of the client certificate, 64 small hexadecimal digits; empty without one."""
    user_identity: str = ""
    """User name that was verified (PS3.7 §D.3.3.7); empty where nothing was. Never a secret."""
    claimed_user_identity: str = ""
    """User name that a requestor gave and nobody verified; empty without one. Never a secret."""
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    peer: str = ""
    """Name of the configured peer that the requestor was admitted as; empty for a stranger."""
    association_id: str = ""
    """Identifier for logs; unique in this process."""


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """Where an encoded data set lies in the spool. The bytes it names never change."""

    name: str
    """Segment or large file, relative to the spool folder."""
    offset_bytes: int
    length_bytes: int
    digest: bytes
    """SHA-256 of the encoded data set."""


class Identifiers(NamedTuple):
    """What an encoded data set says it is."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP Instance that the gateway holds (after coercions)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    association: AssociationFacts
    payload: PayloadRef
    received_at: datetime
    instance_id: int = 0
    """The queue's key; 0 until it is stored."""
    index: IndexEntry | None = field(default=None, compare=False, repr=False)
    """On the way in only: what the local index is to know of it; None leaves it out of the index."""
    kept_facts: str = field(default="", repr=False)
    """What was read of it at arrival and may be asked at delivery, as `gateway.routing.kept_facts` writes it; empty for
    what is read again when somebody asks, which is most."""

    def stored(self, payload: PayloadRef, instance_id: int = 0) -> Instance:
        """The same with its place. A constructor's call takes a quarter of the time of `dataclasses.replace`, and each
        object is placed twice on its way in."""
        return Instance(
            self.sop_class_uid,
            self.sop_instance_uid,
            self.transfer_syntax_uid,
            self.study_instance_uid,
            self.series_instance_uid,
            self.association,
            payload,
            self.received_at,
            instance_id,
            self.index,
            self.kept_facts,
        )


# --- what is asked ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """The attributes of one instance that the local index keeps, level by level, as `gateway.query.entry` writes them:
    canonical JSON of hexadecimal tag → text, texts or items. Equal texts are equal attributes."""

    patient: str
    study: str
    series: str
    image: str


class QueryLevel(enum.StrEnum):
    """Query/Retrieve Level (0008,0052), from the top (PS3.4 §C.6.1.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


QueryRoot = Literal["patient", "study", "patient_study"]
"""Information model: Patient Root, Study Root, Patient/Study Only (retired)."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Single value and list of UID matching (PS3.4 §C.2.2.2.1, §C.2.2.2.2). Values in their normal form
    (`gateway.query.normal`)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """Wild card matching: `*` any text, `?` any character (PS3.4 §C.2.2.2.4). Of a person name: of its folded form,
    wild cards or not."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Between:
    """Range matching, both ends inclusive, in the normal form; an empty end is open (PS3.4 §C.2.2.2.5)."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """Empty value matching: the attribute is absent or has no value (PS3.4 §C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class HasItem:
    """Sequence matching: one item fulfils all keys (PS3.4 §C.2.2.2.6)."""

    keys: tuple[Key, ...]


Condition = AnyOf | Like | Between | IsEmpty | HasItem


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute of a C-FIND identifier: what is asked for, and what must match."""

    tag: int
    vr: str
    """The dictionary's; the first one of several."""
    conditions: tuple[Condition, ...] = ()
    """One of them must hold; () is universal matching."""
    inner: tuple[Key, ...] = ()
    """Of a sequence: the attributes to return of each item; () returns whole items."""


@dataclass(frozen=True, slots=True)
class Span:
    """Combined date-time matching: date and time as one value (PS3.4 §C.2.2.2.5)."""

    date_tag: int
    time_tag: int
    between: Between
    """As ``YYYYMMDDHHMMSS.FFFFFF``."""


@dataclass(frozen=True, slots=True)
class Query:
    """One C-FIND identifier, understood. Also what C-MOVE and C-GET name, with unique keys alone."""

    level: QueryLevel
    root: QueryRoot
    keys: tuple[Key, ...]
    """In order of tags, sequences included; without the level, the character set and what is computed."""
    spans: tuple[Span, ...] = ()
    """The keys they stand for have no conditions of their own."""
    unsupported: tuple[int, ...] = ()
    """Optional keys that nobody here knows: not matched, not returned; pending responses are 0xFF01 then."""
    asked: frozenset[int] = frozenset()
    """Which of Retrieve AE Title, Instance Availability, Timezone Offset From UTC and the like the identifier names."""
    character_sets: tuple[str, ...] = ()
    """Specific Character Set of the request, which responses keep where it can write them."""
    timezone: str = ""
    """Timezone Offset From UTC of the request as ``&ZZXX``; empty without."""
    is_relational: bool = False


Item = Mapping[int, "Value"]
Value = tuple[str, ...] | tuple[Item, ...]
"""Values of one attribute as text, or the items of a sequence; () is empty."""
Attributes = Mapping[int, Value]
"""By tag: a decoded identifier, or one match."""


# --- what is owed -----------------------------------------------------------------------------------------------


class DeliveryState(enum.StrEnum):
    """Where a delivery stands. A claimed delivery is `PENDING` under a lease."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Route:
    """One decision of the routing table: this rule wants the object at this destination, so edited."""

    rule: str
    destination: str
    """Name of a peer; empty when the object is only held (`unmatched: hold`)."""
    actions_json: str = ""
    """The `then` list as canonical JSON, frozen at acceptance; empty when there is nothing to edit."""
    state: DeliveryState = DeliveryState.PENDING


@dataclass(frozen=True, slots=True)
class Delivery:
    """One promise: the queue's row joined with its instance."""

    delivery_id: int
    instance: Instance
    destination: str
    rule: str
    actions_json: str
    state: DeliveryState
    attempts: int
    """Attempts that ended, failed or not."""
    created_at: datetime
    """When it arrived; nothing that is done to it later changes this."""
    due_at: datetime
    lease: int = 0
    """Fencing token of the claim; a settlement with another token changes nothing."""
    reason: str = ""
    """Of the last attempt; of the death for a dead one."""
    renewed_at: datetime | None = None
    """When an operator retried or released it last."""

    @property
    def counted_from(self) -> datetime:
        """From when `give_up_after` is measured."""
        return self.renewed_at or self.created_at


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it."""

    warning: int = 0
    """A warning status (0xBxxx) that came with the success, or 0x0111; 0 without."""
    note: str = ""
    """What is to stand beside the delivery."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: try again. `is_destination_down` says the trouble is the peer's, not this object's."""

    reason: str
    retry_after_s: float | None = None
    """None: as the destination's retry settings say."""
    is_destination_down: bool = False
    log_reason: str = field(default="", compare=False)
    """For the log, where `reason` may quote the object or the peer; empty: `reason` is fit for it."""
    is_over_object: bool = field(default=False, compare=False)
    """The peer ended the association over this object, or was silent to it: either may be to blame."""

    @property
    def reason_for_log(self) -> str:
        return self.log_reason or self.reason


RefusedKind = Literal[
    "status",
    "presentation_context",
    "object",
    "action",
    "configuration",
    "payload_lost",
    "file",
    "set_aside",
    "expired",
]
"""Why a delivery is a dead letter: the destination's status; no context is accepted for the object; it cannot be sent
as it is; an action or conversion cannot be done on it; a setting that its actions name is not there; its bytes are
lost; no file can be made of it; associations ended over it again and again; it became too old."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Never in this form: an operator must act."""

    reason: str
    dimse_status: int | None = None
    is_about_form: bool = field(default=False, compare=False)
    """True when the object may be taken in another transfer syntax."""
    is_without_context: bool = field(default=False, compare=False)
    """True when the peer accepted no presentation context for it that we proposed."""
    is_nothing_accepted: bool = field(default=False, compare=False)
    """True when the peer accepted no presentation context at all."""
    log_reason: str = field(default="", compare=False)
    """For the log, where `reason` may quote the object or the peer; empty: `reason` is fit for it."""
    kind: RefusedKind = field(default="status", compare=False)

    @property
    def reason_for_log(self) -> str:
        return self.log_reason or self.reason


Outcome = Delivered | Deferred | Refused


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the courier tells the queue after an attempt, or instead of one."""

    delivery_id: int
    lease: int
    state: DeliveryState
    """`PENDING` puts it back, due at `due_at`."""
    due_at: datetime
    reason: str = ""
    is_attempt: bool = True
    """False gives the delivery back untouched (shutdown, destination down)."""
    status: int | None = None
    started_at: datetime | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a delivery that ended, as the queue keeps it."""

    number: int
    """From 1; the oldest of many are dropped."""
    started_at: datetime | None
    duration_s: float
    state: DeliveryState
    """What it left the delivery in."""
    status: int | None
    """DIMSE status of the peer's response; None without one."""
    reason: str = ""


# --- configuration, compiled ------------------------------------------------------------------------------------

Severity = Literal["error", "warning"]


class Mark(NamedTuple):
    """A place in a file; line and column count from 1. Thousands of rules have hundreds of thousands of places, and a
    tuple is made in half of a dataclass's time."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the configuration, as a value with a place."""

    mark: Mark
    code: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        return f"{place}: {self.severity}: {self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class CertificateMatch:
    """What a certificate must be: all that is named here must hold; of several texts for one thing, one."""

    subject: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(part of the subject such as ``CN``, texts)."""
    subject_alternative_names: tuple[str, ...] = ()
    """As `AssociationFacts.tls_names` has them; DNS names in small letters."""
    fingerprints: tuple[str, ...] = ()
    """SHA-256, as `AssociationFacts.tls_fingerprint` has them."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a requestor must show to be taken for a peer."""

    is_tls: bool = False
    listeners: tuple[str, ...] = ()
    """It must come in at one of these; empty: any."""
    certificate: CertificateMatch | None = None
    user_identity: IdentityCheck | None = None


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """A user identity is demanded (PS3.7 §D.3.3.7)."""

    methods: tuple[str, ...]
    """Names under `user_identities`; one of them must verify it."""
    users: tuple[str, ...] = ()
    """Only these verified names; empty: any."""


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """Verifies user name and passcode by a file of argon2 hashes."""

    path: str


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Verifies JSON Web Tokens (RFC 7519) by keys in files."""

    paths: tuple[str, ...]
    """JWKS or PEM public keys."""
    issuer: str
    audiences: tuple[str, ...]
    """One of them must be in the token."""
    algorithms: tuple[str, ...]
    user_claim: str = "sub"
    leeway_s: float = 30.0


@dataclass(frozen=True, slots=True)
class IdentityCommand:
    """Verifies by a program's exit code."""

    arguments: tuple[str, ...]
    kinds: frozenset[str]
    """Which types it is asked about: username, username_passcode, kerberos, saml, jwt."""
    time_limit_s: float = 10.0


IdentityMethod = PasswordFile | TokenKeys | IdentityCommand


@dataclass(frozen=True, slots=True)
class TLS:
    """TLS settings of a listener or of a peer; paths are absolute."""

    certificate: str = ""
    """PEM file with our certificate chain; empty for a client that shows none."""
    key: str = ""
    """PEM file with its key; empty when the key stands in `certificate`."""
    key_pem: str = field(default="", repr=False)
    """The key itself, when it came from a secret."""
    ca: tuple[str, ...] = ()
    """PEM files with the authorities we trust: of client certificates (listener), of the server's (peer)."""
    crl: tuple[str, ...] = ()
    """PEM files with certificate revocation lists of those authorities; empty: revocation is not checked."""
    profile: Literal["bcp195", "bcp195_modified"] = "bcp195"
    """Secure transport connection profile (PS3.15 §B.12, §B.13)."""
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Listener only."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    server_name: str = ""
    """Peer only: the name its certificate must carry; empty: the host of its address."""
    server_certificate: CertificateMatch | None = None
    """Peer only: what its certificate must be, beside its name."""
    verify: bool = True
    """Peer only."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read for it."""
        return tuple(name for name in (self.certificate, self.key, *self.ca, *self.crl) if name)


@dataclass(frozen=True, slots=True)
class Timers:
    """Time limits of associations, in seconds."""

    connect_s: float = 10.0
    tls_handshake_s: float = 10.0
    association_s: float = 30.0
    """ARTIM (PS3.8 §9.1.5): for A-ASSOCIATE, A-RELEASE, and closing the connection."""
    dimse_s: float = 60.0
    """From a request's last byte to its response; also between two fragments of one message, both ways."""
    idle_s: float = 600.0
    """An accepted association without any message is aborted after this."""
    progress_s: float = 30.0
    """How long 16 KiB of a message may take, both ways; what is slower is aborted."""
    message_s: float = 86400.0
    """From the first byte of a message to its last one, when we receive it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what peers may make us hold."""

    associations: int = 512
    associations_per_peer: int = 64
    """Per remote host and calling AE title."""
    max_pdu_bytes: int = 131072
    """The maximum length we offer (PS3.8 §D.1)."""
    command_bytes: int = 65536
    """Of one command set."""
    object_bytes: int = 16 * 1024**3
    """Of one encoded data set."""
    associations_of_strangers: int = 0
    """Of `associations`, those that requestors may have whom no peer names; the others are reserved for known peers.
    0: as `strangers` says."""
    associations_per_host: int = 64
    """Associations of strangers from one remote host."""
    unassociated: int = 256
    """Connections that have no association yet, or no more. Hosts that known peers call from, and all other hosts, have
    as many each."""
    unassociated_per_host: int = 64
    """The same of one host that no known peer calls from."""
    inflated_bytes: int = 1024**3
    """What a deflated data set may inflate to."""
    inflated_ratio: int = 250
    """The same as a multiple of its own size."""

    @property
    def strangers(self) -> int:
        """`associations_of_strangers` with its default: a quarter of `associations`."""
        return self.associations_of_strangers or max(1, self.associations // 4)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where associations are accepted."""

    name: str
    port: int
    address: str = "0.0.0.0"  # noqa: S104 - a DICOM listener serves the network unless told otherwise
    tls: TLS | None = None
    user_identity: IdentityCheck | None = None
    """Demanded of everybody who calls here."""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context to propose, `transfer_syntaxes` in order of preference."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection for one SOP class (PS3.7 §D.3.3.4)."""

    sop_class_uid: str
    scu_role: bool
    scp_role: bool


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """User identity that we offer (PS3.7 §D.3.3.7)."""

    kind: Literal["username", "username_passcode", "kerberos", "saml", "jwt"]
    primary: str | bytes = field(repr=False)
    """Text goes out as UTF-8; a Kerberos ticket is bytes."""
    secondary: str | bytes = field(default="", repr=False)
    is_response_requested: bool = False


DEFAULT_OFFERED_PDU = 16382
"""Maximum length that `AE.associate` of pynetdicom offers."""


@dataclass(frozen=True, slots=True)
class Associate:
    """The keywords of `AE.associate` for one peer, compiled."""

    contexts: tuple[ProposedContext, ...] = ()
    """For what we send: proposed as they are, all of them, in this order, and nothing else. Empty: from what is
    queued."""
    called_ae_title: str = ""
    """Empty: the peer's AE title."""
    max_pdu_bytes: int | None = None
    """The maximum length that we offer; 0 is without limit. None: `DEFAULT_OFFERED_PDU`, where instances come to us
    that of `Limits`."""
    roles: tuple[Role, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    """SOP class extended negotiation: (SOP class UID, application information)."""
    common_extended: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(SOP class UID, service class UID, related general SOP class UIDs)."""
    user_identity: UserIdentity | None = None
    async_operations: tuple[int, int] | None = None
    bind_address: tuple[str, int] | None = None
    tls: TLS | None = None
    hops: int = 0
    """Gateways that a question or an object passed on over the association came through, this one included, as far as
    they are counted (9); 0: it is our own. Not a setting: see `gateway.dimse.negotiation.hops_of`."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a deferred delivery is tried again."""

    first_delay_s: float = 10.0
    factor: float = 2.0
    max_delay_s: float = 600.0
    jitter: float = 0.1
    """Each delay is spread by up to this share, both ways."""
    give_up_after_s: float = 7 * 86400.0
    """Age of the delivery at which it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A destination that writes Part 10 files."""

    path_template: str
    root: str
    """Absolute folder that no rendered path may leave."""
    on_conflict: Literal["keep", "replace", "number"] = "number"
    """A file with other bytes is there already: keep it and refuse ours, replace it, or write beside it."""
    access: Literal["owner", "group", "others"] = "owner"
    """Who may read the files, besides the gateway's user."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A named place: an AE title with an address, a folder, or only a requestor."""

    name: str
    ae_title: str = ""
    host: str = ""
    """Empty for a peer that only calls us."""
    port: int = 0
    calling_ae_title: str = ""
    """Empty: the gateway's own. With ``{{``, one for each requestor (`gateway.routing.titles`), like the called one."""
    is_calling_for_requestor: bool = False
    """`calling_ae_title` was made for one requestor. As Move Destination we are the gateway's own title then."""
    fault: str = ""
    """Why no association can be made for this requestor; empty when nothing stands in the way."""
    associate: Associate = Associate()
    may: frozenset[str] = frozenset()
    """What it may ask of us: echo, store, find, move, get."""
    may_move_to: tuple[str, ...] = ()
    """Move Destinations that it may name; empty: any."""
    retrieve: Literal["auto", "get", "move"] = "auto"
    """As a source: how instances are fetched from it. auto: by C-GET where it takes that, else by C-MOVE to us."""
    hosts: tuple[str, ...] = ()
    """Addresses and networks (CIDR) it may call from; empty: any."""
    requires: Requirements = Requirements()
    """As a requestor: what it must show beside title and address."""
    accept_sop_classes: tuple[str, ...] = ()
    """As a requestor: only these abstract syntaxes; empty: any."""
    accept_transfer_syntaxes: tuple[str, ...] = ()
    """As a requestor: only these; empty: any. The requestor's order decides."""
    accepts_odd_uids: bool = False
    """It may store SOP Instance UIDs that are none by PS3.5 §9.1."""
    is_strict: bool = False
    """It is held to the letter of the standard, as requestor, source and destination (`gateway.leniency`)."""
    associations: int = 2
    """Parallel associations for deliveries."""
    fallback: tuple[str, ...] = ()
    """Transfer syntaxes to convert an object to, in order, that the peer refuses as it is; empty: it stays refused."""
    retry: Retry = Retry()
    is_duplicate_delivered: bool = True
    """0x0111 (Duplicate SOP Instance) says that it has the object; else it is a refusal."""
    most_refusals: int = 10
    """Objects in a row that it may refuse with the same status before it is left alone; 0: any number."""
    timers: Timers = Timers()
    folder: Folder | None = None

    @property
    def is_destination(self) -> bool:
        """True when objects can be sent there."""
        return bool(self.host) or self.folder is not None


@dataclass(frozen=True, slots=True)
class Group:
    """Several destinations under one name; `all` sends to each."""

    name: str
    members: tuple[str, ...]
    kind: Literal["all"] = "all"


Unmatched = Literal["hold", "reject", "discard"]
Unreadable = Literal["reject", "hold"]


@dataclass(frozen=True, slots=True)
class Spool:
    """Where payloads are kept."""

    path: str
    min_free_bytes: int = 5 * 1024**3
    retention_s: float = 3600.0
    """How long an instance stays after its last delivery settled; dead and held ones stay until discarded."""
    quarantine_retention_s: float = 30 * 86400.0
    """How long files stay in the folder `quarantine`."""
    segment_bytes: int = 64 * 1024**2
    large_object_bytes: int = 1024**2
    """Above this an object gets a file of its own."""


ONLY_QUERIED = frozenset(
    {
        "worklist",
        "relevant_patient_information",
        "substance_administration",
        "unified_procedure_step",
        "repository_query",
    }
)
"""Services in `QueryRetrieve.relay` whose objects are not retrieved."""


@dataclass(frozen=True, slots=True)
class QueryRetrieve:
    """Who answers C-FIND, C-MOVE and C-GET, and where a C-MOVE goes: the `query_retrieve:` section."""

    is_local: bool = False
    """True when `sources` holds `local`: the gateway answers from what it holds itself."""
    sources: tuple[str, ...] = ()
    """Names of the peers that are asked too, in order."""
    local_rank: int = 0
    """How many of `sources` come before the gateway itself: where answers differ, the earlier one counts."""
    patience_s: float = 2.0
    """How long a match waits for what other sources say of the same thing."""
    is_checked: bool = True
    """Answers of sources that do not fit the question are left out."""
    relay: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Services besides Query/Retrieve (`gateway.federation.services`) → names of the peers that are asked."""
    move_destinations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Move Destination AE title → names of peers, beside the peers' own titles."""
    partial: Literal["fail", "accept"] = "fail"
    """A source that failed makes the whole answer a failure, or is counted and left out."""
    timeout_s: float = 30.0
    """Of each source."""
    no_progress_s: float = 300.0
    """How long a source that answers a C-MOVE or C-GET may bring nothing."""
    longest_s: float = 14_400.0
    """How long one C-MOVE or C-GET of a source may take in all."""
    limit: int = 0
    """The most matches of one C-FIND; 0 is without limit."""
    keep_retrieved: bool = False
    """What is fetched from a source for a retrieve also arrives here, through the rules."""
    move_originator: str = ""
    """Move Originator AE Title of C-STORE sub-operations; empty: the requestor's calling AE title."""
    keep_s: float = 0.0
    """How long an indexed instance stays at least after its last delivery, where `spool.retention` is shorter."""
    is_fetching: bool = field(init=False, default=False)
    """A retrieve may bring instances from peers: what they send may be meant for it."""

    def __post_init__(self) -> None:
        is_fetching = bool(self.sources) or not self.relay.keys() <= ONLY_QUERIED
        object.__setattr__(self, "is_fetching", is_fetching)


@dataclass(frozen=True, slots=True)
class Loops:
    """When an object is held since it goes round in a ring (`gateway.handlers.loops`); 0: not for that."""

    hops: int = 8
    """Gateways of this kind that it may have come through."""
    returns: int = 5
    """Times within `within_s` that it may come back from the peer it was sent to."""
    repeats: int = 50
    """Times within `within_s` that the same object may come from one requestor that is a destination or a gateway."""
    within_s: float = 600.0


@dataclass(frozen=True, slots=True)
class ConversionLimits:
    """Bounds on the worker processes that convert objects."""

    workers: int = 2
    """At a time."""
    memory_bytes: int = 2 * 1024**3
    """Of one conversion, beside the object itself, which is mapped."""
    time_limit_s: float = 120.0
    """Of one conversion."""


@dataclass(frozen=True, slots=True)
class HTTP:
    """Where health, metrics and the reload are served."""

    address: str = "127.0.0.1"
    port: int = 8080
    hosts: tuple[str, ...] = ()
    """Names in Host headers that are answered, besides IP addresses, `localhost` and this machine's name."""
    connections: int = 64
    """At a time; the one that has waited longest for its client makes room for a new one."""
    connections_per_host: int = 16
    """Of another machine; this one may have all."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Process settings, the `gateway:` section. A change needs a restart, except of `listeners`."""

    ae_title: str
    listeners: tuple[Listener, ...]
    spool: Spool
    queue_path: str
    """SQLite file."""
    queue_min_free_bytes: int = 256 * 1024**2
    """Of the queue's file system: with less nothing is accepted, so that what was accepted can be delivered."""
    queue_reserve_bytes: int = 16 * 1024**2
    """Room that a file beside the queue's holds for the last need."""
    http: HTTP | None = None
    admit: Literal["known", "any"] = "known"
    called_ae_titles: tuple[str, ...] = ()
    """Called AE titles answered besides `ae_title`; `*` answers any."""
    is_strict: bool = False
    """Strangers are held to the letter of the standard (`gateway.leniency`); peers say it themselves."""
    timers: Timers = Timers()
    limits: Limits = Limits()
    file_access: Literal["owner", "group"] = "owner"
    """Who may read and write spool and queue: the gateway's user, or its group too."""
    secret_folders: tuple[str, ...] = ()
    """Folders outside the rules folder that ``${file:PATH}`` may read from, as written; empty: the default ones."""
    drain_s: float = 30.0
    pid_file: str = ""
    conversion: ConversionLimits = ConversionLimits()
    loops: Loops = Loops()
    log_objects: Literal["study", "object", "none"] = "study"
    """What the log says of stored and delivered objects (`gateway.object_log`)."""


@dataclass(frozen=True, slots=True)
class AttributePath:
    """A place in a data set: sequence steps, then a tag. Made by `gateway.routing.attribute.parse`."""

    tag: int
    steps: tuple[tuple[int, int | None], ...] = ()
    """(sequence tag, item index from 0, or None for every item), outermost first."""
    text: str = field(default="", compare=False)
    """As it was written, for messages."""
    creator: str = ""
    """Private creator of the attribute (PS3.5 §7.8.1). Then the block of `tag` is only a stand-in, 10: the object says
    in which block that creator's elements lie."""
    step_creators: tuple[str, ...] = ()
    """The same for each of `steps`, empty where a step's tag is as written; () when all are."""

    @property
    def is_by_creator(self) -> bool:
        """True when an object's private creators are needed to follow the path."""
        return bool(self.creator or self.step_creators)


AttributeValues = Mapping[AttributePath, tuple[str, ...] | None]
