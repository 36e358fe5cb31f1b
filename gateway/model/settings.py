"""Process settings: the sections `gateway:` and `query_retrieve:`, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.model.listener import Limits, Listener, Timers

UnmatchedPolicy = Literal["hold", "reject", "discard"]
UnreadablePolicy = Literal["reject", "hold"]


@dataclass(frozen=True, slots=True)
class Spool:
    """The place of payloads, and its limits."""

    path: str
    min_free_bytes: int = 5 * 1024**3
    retention_s: float = 3600.0
    """The time that an instance stays after its last delivery settled; dead and held ones stay until discarded."""
    quarantine_retention_s: float = 30 * 86400.0
    """The time that files stay in the folder `quarantine`."""
    segment_bytes: int = 64 * 1024**2
    large_object_bytes: int = 1024**2
    """Above this an object gets a file of its own."""
    keep_trace_s: float = 30 * 86400.0
    """The time that is known what became of a study, after the last of its instances was forgotten."""


@dataclass(frozen=True, slots=True)
class QueryRetrieve:
    """The answers to C-FIND, C-MOVE and C-GET, and the destinations of a C-MOVE: the `query_retrieve:` section."""

    is_local: bool = False
    """True when `sources` holds `local`: the gateway answers from what it holds itself."""
    sources: tuple[str, ...] = ()
    """Names of the peers that are asked too, in order."""
    local_rank: int = 0
    """The number of `sources` before the gateway itself: where answers differ, the earlier one counts."""
    patience_s: float = 2.0
    """The time that a match waits for answers of other sources about the same thing."""
    is_checked: bool = True
    """Answers of sources that do not fit the query are left out."""
    relay: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Services besides Query/Retrieve (`gateway.sources.relayed_services`) → names of the peers that are asked."""
    move_destinations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Move Destination AE title → names of peers, beside the peers' own titles."""
    partial: Literal["fail", "accept"] = "fail"
    """A source that failed makes the whole answer a failure, or is counted and left out."""
    timeout_s: float = 30.0
    """The time limit of each source."""
    no_progress_s: float = 300.0
    """The time that a source that answers a C-MOVE or C-GET may bring nothing."""
    longest_s: float = 14_400.0
    """The time that one C-MOVE or C-GET of a source may take in all."""
    limit: int = 0
    """The most matches of one C-FIND; 0 is without limit."""
    keep_retrieved: bool = False
    """True when instances fetched from a source for a retrieve also arrive here, through the rules."""
    move_originator: str = ""
    """Move Originator AE Title of C-STORE sub-operations; empty: the requestor's calling AE title."""
    keep_s: float = 0.0
    """The least time that an indexed instance stays after its last delivery, where `spool.retention` is shorter."""


@dataclass(frozen=True, slots=True)
class Loops:
    """The limits beyond which an object is held since it goes round in a ring (`gateway.intake.loops`); 0: no limit."""

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
    """The memory of one conversion, beside the object itself, which is mapped."""
    time_limit_s: float = 120.0
    """The time limit of one conversion."""


@dataclass(frozen=True, slots=True)
class HTTP:
    """The HTTP listener of health, metrics and the reload."""

    address: str = "127.0.0.1"
    port: int = 8080
    hosts: tuple[str, ...] = ()
    """Names in Host headers that are answered, besides IP addresses, `localhost` and this machine's name."""
    connections: int = 64
    """At a time; the one that has waited longest for its client makes room for a new one."""
    connections_per_host: int = 16
    """The most connections of another machine; this one may have all."""
    operators: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Operators who may use the verbs over HTTP, and the token of each."""


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A bucket of S3, or of a server that speaks S3."""

    bucket: str
    endpoint: str = ""
    """``https://host:port``, or ``http://host:port`` where that was written; empty: Amazon's of the region."""
    prefix: str = ""
    """The folder of all names, without `/` at its ends; empty: the bucket is the gateway's alone."""
    region: str = "us-east-1"
    access_key_id: str = field(default="", repr=False)
    """Empty: the keys are the environment's, or those of the machine's role."""
    secret_access_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings:
    """The object store of a cluster: `s3`, or without it `folder`."""

    folder: str = ""
    s3: S3Settings | None = None


UNSEALED_LIMIT_BYTES = 20 * 1024**3
"""Some three minutes of 100 MB/s."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Process settings, the `gateway:` section. A change needs a restart, except of `listeners`."""

    ae_title: str
    listeners: tuple[Listener, ...]
    spool: Spool
    queue_path: str
    """SQLite file; not used with `postgresql`."""
    postgresql: str = field(default="", repr=False)
    """The address of the PostgreSQL database with queue and index, maybe with a password; empty: `queue_path` has
    them."""
    objects: ObjectStoreSettings | None = None
    """The object store of the cluster that this gateway is a node of; None: it is alone."""
    unsealed_limit_bytes: int = UNSEALED_LIMIT_BYTES
    """The most bytes that wait in the database of a cluster for its object store."""
    node: str = ""
    """The name of this node; empty for a gateway that is alone."""
    queue_min_free_bytes: int = 256 * 1024**2
    """The least free bytes of the queue's file system: with less nothing is accepted, so that accepted objects can
    be delivered.
    """
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
    """The access to spool and queue: of the gateway's user, or of its group too."""
    secret_folders: tuple[str, ...] = ()
    """Folders outside the rules folder that ``${file:PATH}`` may read from, as written; empty: the default ones."""
    drain_s: float = 30.0
    pid_file: str = ""
    conversion: ConversionLimits = ConversionLimits()
    loops: Loops = Loops()
    worker: int = 0
    """The number of this process among those of `gateway run --workers`; 0: it is alone."""
    log_objects: Literal["study", "object", "none"] = "study"
    """The log of stored and delivered objects (`gateway.object_log`)."""
