"""Every code of the doctor's own, with its severity and what to do: the table of `docs/doctor.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FindingSeverity = Literal["error", "warning", "note"]
"""An error: a function does not work. A warning: it will fail soon, or is dangerous. A note: it is fine."""
Area = Literal[
    "configuration",
    "running",
    "listener",
    "http",
    "spool",
    "database",
    "objects",
    "peer",
    "folder",
    "clock",
    "limits",
    "doctor",
]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """The entry of one code."""

    areas: tuple[Area, ...]
    severity: FindingSeverity
    means: str
    remedy: str = ""
    """Empty for a note."""


def _note(area: Area | tuple[Area, ...], means: str) -> CatalogueEntry:
    return CatalogueEntry((area,) if isinstance(area, str) else area, "note", means)


def _warning(area: Area | tuple[Area, ...], means: str, remedy: str) -> CatalogueEntry:
    return CatalogueEntry((area,) if isinstance(area, str) else area, "warning", means, remedy)


def _error(area: Area | tuple[Area, ...], means: str, remedy: str) -> CatalogueEntry:
    return CatalogueEntry((area,) if isinstance(area, str) else area, "error", means, remedy)


_STORAGE: tuple[Area, ...] = ("spool", "database")
_PORTS: tuple[Area, ...] = ("listener", "http")

CATALOGUE: Mapping[str, CatalogueEntry] = {
    # --- configuration
    "valid": _note("configuration", "the configuration has no errors and no warnings"),
    "rules-writable-by-others": _warning(
        "configuration",
        "every local user may write a file of the rules, and so decide where objects go",
        "`chmod o-w` the file and its folder",
    ),
    # --- the gateway that runs
    "running": _note("running", "the gateway of these rules runs, and has them in force"),
    "not-running": _note("running", "no gateway of these rules runs on this machine"),
    "no-http": _note("running", "without `gateway.http` a gateway that runs cannot be asked"),
    "not-answering": _error(
        "running",
        "a gateway holds the queue of these rules, and does not answer at `gateway.http`",
        "look at its log: it is starting, hangs, or was started with another `gateway.http.address`",
    ),
    "another-gateway": _error(
        "running",
        "another gateway answers at `gateway.http.address`",
        "give one of them another `gateway.http.address`",
    ),
    "not-in-force": _warning(
        "running", "the gateway has other rules in force than stand in the files", "`gateway reload`"
    ),
    # --- ports
    "port-free": _note(_PORTS, "the port is free, and this user may listen on it"),
    "port-open": _note(_PORTS, "the gateway of these rules listens there"),
    "port-taken": _error(
        _PORTS,
        "another program listens on the port",
        "end that program (`ss -ltnp` names it), or choose another port",
    ),
    "port-not-permitted": _error(
        _PORTS,
        "this user may not listen on the port",
        "take a port from 1024 on, run the gateway with CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities), or lower "
        "net.ipv4.ip_unprivileged_port_start",
    ),
    "address-not-ours": _error(
        _PORTS,
        "the address is none of this machine",
        "write one of `ip address`, or 0.0.0.0 for all of them",
    ),
    "port-not-usable": _error(_PORTS, "the system refuses the address or port for another reason", "see the reason"),
    "tls-unusable": _error(
        ("listener", "peer"), "files of TLS cannot be used together", "see the reason; `openssl verify` tells more"
    ),
    # --- spool and database
    "room": _note(_STORAGE, "there is room, and this user may write"),
    "room-short": _error(
        _STORAGE,
        "less is free than `min_free`: C-STORE is answered with 0xA700",
        "free space on that file system, move the folder to a larger one, or lower `min_free`",
    ),
    "room-soon-short": _warning(
        _STORAGE,
        "less than twice `min_free` is free",
        "free space on that file system before objects are refused",
    ),
    "database-damaged": _error(
        "database",
        "no gateway runs, and the database is damaged: a gateway does not start with it",
        "run `gateway check` to see how much, and `gateway rebuild`: it makes the database anew from the spool",
    ),
    "database-not-read": _note("database", "its pages were not looked at, for it is larger than what is read here"),
    "database-reached": _note("database", "the PostgreSQL server answers, and keeps what it says it has"),
    "database-refused": _error(
        "database",
        "the PostgreSQL server does not take us, or the database is not ours: no gateway starts with it",
        "see the reason; correct `gateway.store.postgresql`, or rights and database on the server",
    ),
    "database-not-reached": _error(
        "database",
        "the PostgreSQL server cannot be reached: a gateway that runs answers 0xA700 and delivers nothing meanwhile",
        "see the reason; look at the server, and the network on the way to it",
    ),
    "database-not-durable": _error(
        "database",
        "the PostgreSQL server is set so that a power cut may lose what it said it has",
        "see the reason; change the setting of the server",
    ),
    "database-unreadable": _error(
        "database",
        "no gateway runs, and the file is no gateway's database, a newer gateway's, or cannot be opened",
        "see the reason; correct `gateway.queue.sqlite`, or run the version that made it",
    ),
    "objects-usable": _note("objects", "objects were written, read, listed and deleted, and none replaced another one"),
    "objects-refused": _error(
        "objects",
        "the object store does not do what a node relies on: no node starts with it",
        "see the reason; correct `gateway.store.objects`, or the rights there",
    ),
    "objects-not-reached": _error(
        "objects",
        "the object store cannot be reached: nodes answer large objects with 0xA700 meanwhile",
        "see the reason; look at the server, and the network on the way to it",
    ),
    "no-file-numbers": _error(
        _STORAGE, "the file system has no free inodes", "delete files that nobody needs on that file system"
    ),
    "not-writable": _error(
        _STORAGE,
        "this user may not write there, or the file system is read-only",
        "make the gateway's user the owner (`chown -R`), or name another folder",
    ),
    "not-a-folder": _error(_STORAGE, "something else stands where a folder belongs", "name another folder"),
    "network-file-system": _warning(
        _STORAGE,
        "it lies on a network file system: SQLite's locks do not hold there, and a server that is lost stops all",
        "name a folder on a disk of this machine",
    ),
    "memory-file-system": _error(
        _STORAGE,
        "it lies in memory: what was acknowledged is gone after a restart of the machine",
        "name a folder on a disk",
    ),
    "container-layer": _warning(
        _STORAGE,
        "it lies in the container's own layer, which is deleted with the container",
        "mount a volume there",
    ),
    "open-to-others": _warning(
        _STORAGE,
        "every local user may read it; the next start of the gateway closes it",
        "`chmod o-rwx` it, or start the gateway once",
    ),
    "of-another-user": _error(
        _STORAGE,
        "another user owns it and every user may read it: the gateway does not start",
        "have its owner run `chmod o-rwx`, or start the gateway as that user",
    ),
    "asked-as-another-user": _warning(
        _STORAGE,
        "the doctor runs as another user than the one that owns the spool: rights were looked at for the wrong one",
        "run `gateway doctor` as the gateway's user",
    ),
    # --- peers
    "echo-answered": _note("peer", "it answered a C-ECHO"),
    "no-verification": _note("peer", "it associates, and does not serve C-ECHO; many archives do not"),
    "name-not-found": _error(
        "peer", "the host name is not known", "correct `address`, or the name server (`getent hosts NAME`)"
    ),
    "name-not-looked-up": _error(
        "peer", "the name server does not answer", "look at /etc/resolv.conf, or write the IP address in `address`"
    ),
    "this-gateway": _error(
        "peer",
        "its address is that of a listener of this gateway: objects would come back in a circle",
        "write the peer's own address and port",
    ),
    "connection-refused": _error(
        "peer", "nobody listens on that port", "start the peer's DICOM service, or correct the port of `address`"
    ),
    "not-reachable": _error(
        "peer", "there is no way to that host", "look at cable, network and routing (`ip route get ADDRESS`)"
    ),
    "no-connection": _error(
        "peer",
        "the host does not answer at all on that port",
        "is it switched on? A firewall that drops packets looks like this; let it pass this machine's calls",
    ),
    "own-address": _error(
        "peer",
        "the address or port to call from cannot be used",
        "correct `associate.bind_address`: an address of this machine, best without port",
    ),
    "certificate-refused": _error(
        "peer",
        "its certificate is not taken",
        "correct `associate.tls_args`: `ca` holds its authority, `server_name` a name in the certificate; or have the "
        "peer's certificate renewed",
    ),
    "tls-failed": _error(
        "peer",
        "the TLS handshake failed",
        "does the peer speak TLS on that port? Does it want a certificate of ours (`certificate`, `key`)?",
    ),
    "certificate-ends": _warning(
        "peer", "the certificate that it shows ends within 30 days", "have the peer's certificate renewed"
    ),
    "no-answer": _error(
        "peer",
        "it takes the connection and does not answer the association request",
        "is that port DICOM's? Does the peer expect TLS there? Else it hangs: restart it",
    ),
    "called-ae-title-not-recognized": _error(
        "peer",
        "it goes by another AE title (A-ASSOCIATE-RJ, called AE title not recognized)",
        "write its AE title in `ae_title` exactly as the peer's configuration has it; case counts",
    ),
    "calling-ae-title-not-recognized": _error(
        "peer",
        "it does not know us (A-ASSOCIATE-RJ, calling AE title not recognized)",
        "register our AE title, address and port at the peer, or set `calling_ae_title` to one that it knows",
    ),
    "rejected-without-reason": _error(
        "peer",
        "it rejects the association and gives no reason (A-ASSOCIATE-RJ)",
        "see its log: often our AE title or address is not registered there",
    ),
    "application-context-not-supported": _error(
        "peer",
        "it does not take DICOM's application context (A-ASSOCIATE-RJ)",
        "is the port that of a DICOM service? See its log",
    ),
    "protocol-version-not-supported": _error(
        "peer",
        "it does not take the version of the upper layer protocol (A-ASSOCIATE-RJ)",
        "is the port that of a DICOM service? See its log",
    ),
    "local-limit-exceeded": _error(
        "peer",
        "it has as many associations as it takes (A-ASSOCIATE-RJ)",
        "raise its limit, or lower `delivery.associations`; try again later",
    ),
    "temporary-congestion": _error(
        "peer", "it is busy (A-ASSOCIATE-RJ, temporary congestion)", "try again later; see its log"
    ),
    "rejected": _error("peer", "it rejects the association for a reserved reason (A-ASSOCIATE-RJ)", "see its log"),
    "aborted": _error(
        "peer",
        "it aborts the association, or ends the connection, instead of answering the request",
        "see its log; some do this with AE titles or addresses that they do not know, or where they expect TLS",
    ),
    "no-dicom": _error(
        "peer",
        "what answers there does not speak DICOM as we do",
        "is the port that of a DICOM service? Set `associate.tls_args` where the peer expects TLS, leave it out where "
        "not",
    ),
    "echo-refused": _warning(
        "peer", "it answers C-ECHO with another status than success", "see its log; objects may be taken all the same"
    ),
    "echo-aborted": _error(
        "peer",
        "it associates, and ends the association at the C-ECHO",
        "register our AE title and address there: Orthanc does this with those whom it does not know; else see its log",
    ),
    "echo-not-answered": _error("peer", "it associates, and does not answer C-ECHO", "see its log; restart it"),
    "calls-from-elsewhere": _warning(
        "peer",
        "its `hosts`, from which it may call, do not hold the address at which we call it: one of them is out of date",
        "correct `hosts` or `address`; as a Move Destination it would be sent to the old place",
    ),
    # --- peers that queries and retrieves are passed on to
    "source-contexts": _note("peer", "the SOP classes of queries and retrieves that it accepts, and those it refuses"),
    "query-refused": _error(
        "peer",
        "it is among the `sources`, and accepts no C-FIND of Query/Retrieve: queries fail",
        "have it serve C-FIND of Study Root or Patient Root to our AE title, or take it out of "
        "`query_retrieve.sources`",
    ),
    "retrieve-refused": _error(
        "peer",
        "it is among the `sources`, and nothing can be fetched from it: what it lists cannot be retrieved",
        "have it serve C-GET to our AE title, the SCP role for storage included; or C-MOVE: register our AE title, "
        "address and port there as a Move Destination, and give it `may: [store]` here",
    ),
    "relay-refused": _error(
        "peer",
        "it is named under `relay`, and accepts no SOP class of that service: such queries fail",
        "have it serve them to our AE title, or take it out of `query_retrieve.relay`",
    ),
    # --- folders
    "folder-usable": _note("folder", "this user may write there"),
    "folder-not-there": _note("folder", "it is made with the first file; a share that should be mounted there is not"),
    "folder-not-writable": _error(
        "folder",
        "this user may not write there, or the file system is read-only",
        "make the gateway's user the owner, mount the share, or name another path",
    ),
    "folder-open-to-others": _error(
        "folder", "every user may list or enter it: the destination is down", "chmod o-rwx it, or set `access: others`"
    ),
    # --- clock
    "clock": _note("clock", "date, time zone and file times agree"),
    "clock-implausible": _error("clock", "the year cannot be right", "set the clock; run an NTP client"),
    "clock-behind-files": _warning(
        "clock",
        "files of spool or database are from the future: the clock was set back, or the file server's is ahead",
        "run an NTP client here and on the file server",
    ),
    "clock-differs": _warning(
        "clock", "the gateway that answers over HTTP has another time", "run an NTP client on both machines"
    ),
    "time-zone-unset": _warning(
        "clock",
        "the machine has no time zone: rules and times shown to people are in UTC",
        "set one (`timedatectl set-timezone`), or TZ in the gateway's environment",
    ),
    "time-zone-unknown": _warning(
        "clock", "TZ names a time zone that is not known here: UTC is used", "correct TZ, or install tzdata"
    ),
    # --- limits
    "descriptors": _note("limits", "the process may open as many files and connections as `gateway.limits` needs"),
    "descriptors-short": _warning(
        "limits",
        "the process may open fewer files and connections than `gateway.limits` needs; the limits are lowered",
        "raise the hard limit (`ulimit -Hn`, LimitNOFILE of the service), or lower `gateway.limits`",
    ),
    "descriptors-too-few": _error(
        "limits", "the gateway would not start with so few", "raise the hard limit (`ulimit -Hn`, LimitNOFILE)"
    ),
    # --- the doctor itself
    "not-looked-at": _warning(
        "doctor",
        "the rules have errors, so that it is not known what they name: that was not looked at",
        "correct the rules, and run the doctor again",
    ),
    "check-not-finished": _error(
        "doctor",
        "a check took too long, and says nothing",
        "does a file lie on a dead mount? `--timeout` gives it longer",
    ),
}


REJECTIONS: Mapping[tuple[int, int], str] = {
    (1, 1): "rejected-without-reason",
    (1, 2): "application-context-not-supported",
    (1, 3): "calling-ae-title-not-recognized",
    (1, 7): "called-ae-title-not-recognized",
    (2, 1): "rejected-without-reason",
    (2, 2): "protocol-version-not-supported",
    (3, 1): "temporary-congestion",
    (3, 2): "local-limit-exceeded",
}
"""Source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21) → code; others are reserved."""
