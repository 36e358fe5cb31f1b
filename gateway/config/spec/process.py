"""The section `gateway:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from gateway.config.spec.likely_values import likely_address
from gateway.config.spec.security import IdentityCheckSpec, ListenerTLSSpec
from gateway.config.spec.store import StoreSpec
from gateway.config.spec.timers import TimersSpec
from gateway.config.spec.values import (
    MISSING,
    AETitleText,
    DurationText,
    HostAndPort,
    Name,
    PDULength,
    Port,
    SizeText,
    Text,
)
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class ProxyProtocolSpec(Spec):
    """The PROXY protocol, version 1 or 2: a TCP balancer names the caller in a header before the connection's first
    byte (docs/balancer.md)."""

    from_: Annotated[
        ListOf[Text],
        Described(
            min_length=1,
            description="Addresses and networks of the balancers. A connection from there must begin with a header, "
            "which is believed; one from elsewhere must not.",
            examples=(["10.0.0.5", "10.0.1.0/24"],),
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class ListenerSpec(Spec):
    """An address that associations are accepted at."""

    port: Annotated[Port, Described(description="TCP port; 0 takes any free one.")]
    address: Annotated[Text, Described(description="Own address to listen on. Default: all of IPv4.")] = "0.0.0.0"  # noqa: S104
    name: (
        Annotated[
            Name,
            Described(
                description="For logs, metrics, rules and `requires`. Default: port-PORT; with an "
                "`address` other than 0.0.0.0 and `::` port-PORT-ADDRESS, as in port-11112-127.0.0.1, colons as `-`."
            ),
        ]
        | None
    ) = None
    tls: ListenerTLSSpec | None = None
    user_identity: (
        Annotated[IdentityCheckSpec, Described(description="Demanded of everybody who calls here.")] | None
    ) = None
    proxy_protocol: ProxyProtocolSpec | None = None


@dataclass(frozen=True, kw_only=True)
class SpoolSpec(Spec):
    """The place of payloads."""

    path: Annotated[Text, Described(description="Folder; relative to the working folder.")] = "var/spool"
    min_free: Annotated[
        SizeText,
        Described(description="With less free space than this, C-STORE is answered with 0xA700 (out of resources)."),
    ] = "5 GiB"
    retention: Annotated[DurationText, Described(description="How long an instance stays after its last delivery.")] = (
        "1 h"
    )
    quarantine_retention: Annotated[
        DurationText,
        Described(
            description="How long files stay in the spool's folder `quarantine`, into which the gateway moves what "
            "nothing names and copies what is damaged."
        ),
    ] = "30 d"
    keep_trace: Annotated[
        DurationText,
        Described(
            description="How long `gateway trace` knows what became of a study, once the gateway has none of its "
            "instances any more."
        ),
    ] = "30 d"
    segment_size: Annotated[SizeText, Described(description="Size of one append-only segment.")] = "64 MiB"
    large_object: Annotated[SizeText, Described(description="An object above this gets a file of its own.")] = "1 MiB"


@dataclass(frozen=True, kw_only=True)
class QueueSpec(Spec):
    """The place of deliveries."""

    sqlite: Annotated[Text, Described(description="SQLite file; relative to the working folder.")] = "var/gateway.db"
    min_free: Annotated[
        SizeText,
        Described(
            description="With less free space than this on the SQLite file's file system, C-STORE is answered with "
            "0xA700 (out of resources): what was accepted needs room to be delivered."
        ),
    ] = "256 MiB"
    reserve: Annotated[
        SizeText,
        Described(
            description="Length of a file beside the SQLite file, `….reserve`, that holds room. It is given up when "
            "the file system is full all the same: deliveries, `gateway queue` and a restart go on. `0 B`: none."
        ),
    ] = "16 MiB"


@dataclass(frozen=True, kw_only=True)
class HTTPSpec(Spec):
    """Health, metrics and reload over HTTP; without this section there is no HTTP listener. With workers, each has a
    port of its own too: that of `address` plus its number (docs/workers.md)."""

    address: Annotated[HostAndPort, Described(examples=("127.0.0.1:8080",), hint=likely_address(8080))] = (
        "127.0.0.1:8080"
    )
    hosts: Annotated[
        ListOf[Text],
        Described(
            description="Names under which it is called, besides IP addresses, localhost and this machine's name. "
            "Others get 421, so that no web page reads it through a name of its own.",
            examples=(["gateway.example.org"],),
        ),
    ] = ()
    connections: Annotated[
        int,
        Described(ge=1, le=10_000, description="At a time; a new one takes the place of the one that waits longest."),
    ] = 64
    connections_per_host: Annotated[
        int, Described(ge=1, le=10_000, description="The most connections of one host, except this machine.")
    ] = 16
    operators: Annotated[
        Mapping[
            Name, Annotated[str, Described(min_length=1, description="At least 32 characters; write ${file:PATH}.")]
        ],
        Described(
            is_secret=True,
            description="Operators who may use the verbs over HTTP (docs/operators.md), from this machine, and the "
            "token of each; never shown. Without any nobody may.",
            examples=({"night-shift": "${file:/run/secrets/night-shift}"},),
        ),
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LimitsSpec(Spec):
    """Bounds on what peers may make us hold. Where the process may not open enough files for them (`ulimit -Hn`), the
    numbers of associations and connections are lowered in proportion, and the log says so at the start."""

    associations: Annotated[int, Described(ge=1, le=100_000, description="Associations at a time.")] = 512
    associations_of_strangers: (
        Annotated[
            int,
            Described(
                ge=1,
                le=100_000,
                description="Of `associations`, those for requestors whom no peer names; the others are reserved for "
                "known peers. Default: a quarter of `associations`.",
                examples=(64,),
            ),
        ]
        | None
    ) = None
    associations_per_host: Annotated[
        int,
        Described(
            ge=1,
            le=100_000,
            description="The most associations of strangers from one host. A requestor that a peer names does "
            "not count here; see `associations_per_peer`.",
        ),
    ] = 64
    associations_per_peer: Annotated[
        int, Described(ge=1, le=100_000, description="The most of one calling AE title and host.")
    ] = 64
    unassociated: Annotated[
        int,
        Described(
            ge=1,
            le=100_000,
            description="Connections without an association; the oldest is closed for a new one. Hosts that known "
            "peers call from (`hosts`, `address`, or seen before) and all others have as many each.",
        ),
    ] = 256
    unassociated_per_host: Annotated[
        int, Described(ge=1, le=100_000, description="The same of one host that no known peer calls from.")
    ] = 64
    max_pdu: PDULength = 131072
    command_size: Annotated[SizeText, Described(description="The size of one command set.")] = "64 KiB"
    object_size: Annotated[SizeText, Described(description="The size of one data set.")] = "16 GiB"
    inflated: Annotated[
        SizeText, Described(description="The size of an inflated data set; beyond, it is refused with 0xA700.")
    ] = "1 GiB"
    inflated_ratio: Annotated[
        int,
        Described(
            ge=1,
            le=2000,
            description="The same as a multiple of its own size; counts beyond 64 MiB. "
            "Data sets over 128 MiB are not edited.",
        ),
    ] = 250


@dataclass(frozen=True, kw_only=True)
class ConversionSpec(Spec):
    """Worker processes that convert objects, for `transcode` and `fallback`; they start when there is work."""

    workers: Annotated[int, Described(ge=1, le=64, description="At a time.")] = 2
    memory: Annotated[
        SizeText, Described(description="The memory of one conversion; beyond, the object is refused.")
    ] = "2 GiB"
    time_limit: Annotated[DurationText, Described(description="How long one conversion may take.")] = "2 min"


@dataclass(frozen=True, kw_only=True)
class LogSpec(Spec):
    """The content of the log; its level and form are options of `gateway run`."""

    objects: Annotated[
        Literal["none", "object", "study"],
        Described(
            description="The log of stored and delivered objects. study: a line for each association or destination "
            "and study, when it is over and each minute, with how many objects and bytes; object: a line for each "
            "object, which takes about as long as one tenth of storing it; none: nothing (README, What the log says)."
        ),
    ] = "study"


@dataclass(frozen=True, kw_only=True)
class LoopsSpec(Spec):
    """Limits of loops: an object that places pass round, since they forward to each other, is held under the rule
    `(loop)`. Only requestors that call with the AE title of a destination are counted, and gateways of this kind."""

    hops: Annotated[
        int, Described(ge=0, le=8, description="It came through more gateways of this kind than these; 0: any number.")
    ] = 8
    returns: Annotated[
        int,
        Described(
            ge=0,
            le=100_000,
            description="It came back more often from the peer it was sent to, with the UID and size it was sent with; "
            "0: any number of times.",
        ),
    ] = 5
    repeats: Annotated[
        int,
        Described(
            ge=0,
            le=1_000_000,
            description="The same object came more often from one requestor; 0: any number of times. A user may send "
            "it again by hand, too.",
        ),
    ] = 50
    within: Annotated[DurationText, Described(description="`returns` and `repeats` are counted so long.")] = "10 min"


@dataclass(frozen=True, kw_only=True)
class GatewaySpec(Spec):
    """Process settings. Changing them needs a restart, except of `listeners`."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"ae_title": MISSING, "listeners": [{"port": 0}]}

    ae_title: Annotated[AETitleText, Described(description="Our AE title.")]
    listeners: Annotated[
        ListOf[ListenerSpec], Described(min_length=1, description="Addresses that associations are accepted at.")
    ]
    called_ae_titles: Annotated[
        ListOf[AETitleText], Described(description="Called AE titles answered besides `ae_title`; `*` answers any.")
    ] = ()
    spool: SpoolSpec = SpoolSpec()
    queue: QueueSpec = QueueSpec()
    store: StoreSpec | None = None
    http: HTTPSpec | None = None
    admit: Annotated[
        Literal["any", "known"],
        Described(
            description="known: requestors that a peer with `may` names; any: strangers too, for C-ECHO and C-STORE."
        ),
    ] = "known"
    strict: Annotated[
        bool,
        Described(
            description="true: what breaks the standard is refused as the standard says, also where archives take it "
            "(docs/leniency.md). For strangers, and for peers that do not say `strict` themselves."
        ),
    ] = False
    timers: TimersSpec = TimersSpec()
    limits: LimitsSpec = LimitsSpec()
    conversion: ConversionSpec = ConversionSpec()
    loops: LoopsSpec = LoopsSpec()
    log: LogSpec = LogSpec()
    drain: Annotated[
        DurationText, Described(description="How long a stop waits for associations and sends in work.")
    ] = "30 s"
    file_access: Annotated[
        Literal["group", "owner"],
        Described(
            description="Who may read and change spool, queue and pid file: the gateway's user, or its group too, as "
            "for operators with `gateway queue`. Never others, whatever the umask."
        ),
    ] = "owner"
    secret_folders: (
        Annotated[
            ListOf[Text],
            Described(
                description="Folders outside the rules folder that ${file:PATH} may read from; relative to the YAML "
                "file's folder. The list replaces the default: /run/secrets, and the folder of the credentials "
                "that systemd gives the service; name these too where they are needed.",
                examples=(["/run/secrets"],),
            ),
        ]
        | None
    ) = None
    pid_file: (
        Annotated[
            Text,
            Described(
                description="Holds our process ID while we run, that of the supervisor with workers; relative to the "
                "working folder.",
                examples=("var/gateway.pid",),
            ),
        ]
        | None
    ) = None
