"""`gateway status`: its text, and the check that the gateway that answers is that of these rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.cli.access import may_look_at
from gateway.cli.options import fail
from gateway.cli.render import age, local_time, size, table
from gateway.lifecycle.remote import other_gateway
from gateway.model.settings import Settings
from gateway.repair.pairing import is_in_use
from gateway.stores.opening import local_path

WAITS = {"window": "its window is closed", "rate": "waits for its rate"}
UP = {True: "up", False: "down", None: "unused"}


def status_text(found: dict[str, Any]) -> str:
    """The status as text: first the conditions, a sentence each; then the figures."""
    lines = [
        _head(found),
        *(f"  {'! ' if row['is_blocking'] else '- '}{row['code']}: {row['text']}" for row in found["conditions"]),
        *_places(found),
        *_nodes(found.get("nodes", [])),
        "",
        _destinations(found["destinations"]),
        *_groups(found.get("groups", [])),
        "",
        _queue(found["queue"]),
        *_collections(found.get("collections", [])),
    ]
    return "\n".join(lines)


def _head(found: dict[str, Any]) -> str:
    takes = "takes no objects" if found["not_ready"] else "takes objects"
    reloading = ", reloading" if found["is_reloading"] else ""
    since = local_time(found["started_at"])
    return f"gateway {found['version']}: {found['state']}{reloading}, {takes}; started {since}"


def _places(found: dict[str, Any]) -> Iterator[str]:
    spool, database, last = found["spool"], found["database"], found["last_reload"]
    reloaded = f", last reload {last['result']} at {local_time(last['started_at'])}" if last else ""
    yield f"rules {found['config']}{reloaded}"
    if worker := found.get("worker"):
        yield f"worker {worker['number']} ({worker['node']}) answered; its own pages: {worker['http']}"
    if events := found.get("handlers_of_the_site"):  # of a gateway of this version
        stored = "; what is stored is neither spooled nor forwarded" if "EVT_C_STORE" in events else ""
        yield f"handlers of the site take {', '.join(events)}: the rules have no part in them{stored}"
    yield f"spool {spool['path']}: {size(spool['free_bytes'])} free, at least {size(spool['min_free_bytes'])} kept"
    if early := spool.get("forgotten_early"):
        yield f"{early} instances were forgotten before their retention was over, for want of room"
    yield from _kept(found.get("kept"))
    yield f"database {database['path']}" + (
        f": {size(database['free_bytes'])} free, at least "
        f"{size(database['min_free_bytes'])} kept, {size(database['reserved_bytes'])} in reserve"
        if "free_bytes" in database  # else a server has it
        else ""
    )
    if unsealed := found.get("unsealed"):
        since = f", the oldest since {local_time(unsealed['oldest_at'])}" if unsealed["oldest_at"] else ""
        why = f"; {unsealed['problem']}" if unsealed["problem"] else ""
        yield (
            f"not in the object store yet: {size(unsealed['size_bytes'])} in {unsealed['groups']} groups, at most "
            f"{size(unsealed['limit_bytes'])}{since}{why}"
        )
    listeners = ", ".join(f"{row['name']} ({row['address']}:{row['port']})" for row in found["listeners"])
    yield f"listeners: {listeners or 'none'}"
    yield "associations: " + (", ".join(f"{peer} {n}" for peer, n in found["associations"].items()) or "none")


def _kept(kept: dict[str, Any] | None) -> Iterator[str]:
    """The copies that are kept after delivery; nothing of a gateway that keeps none, or that does not say it."""
    if kept and kept["copies"]:
        least = "" if kept["is_exact"] else "at least "
        until = (
            f"until {local_time(kept['first_until'])} at the earliest, {local_time(kept['last_until'])} at the latest"
        )
        yield f"{least}{kept['copies']} copies ({size(kept['size_bytes'])}) are kept after delivery, {until}"
    if kept and kept["dropped"]:
        yield f"{kept['dropped']} kept copies were given up before their time was over, for want of room"


def _nodes(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The nodes of the cluster; nothing of a gateway that is alone."""
    if rows:
        yield ""
        yield table(
            ("node", "state", "version", "rules", "destinations", "host", "last seen"),
            [
                (
                    row["name"],
                    row["state"],
                    row["version"],
                    row["config"] + (" (differs)" if row["differs"] else ""),
                    row["destinations"],
                    row["host"],
                    local_time(row["seen_at"]),
                )
                for row in rows
            ],
        )


def _destinations(rows: list[dict[str, Any]]) -> str:
    return table(
        ("destination", "state", "next try", "in hand", "channels", "node", "reason"),
        [
            (
                row["destination"],
                _state(row),
                f"in {age(row['wait_s'])}" if row["wait_s"] else "",
                row["in_hand"],
                row["channels"],
                row.get("node", ""),
                _reason(row),
            )
            for row in rows
        ],
    )


def _reason(row: dict[str, Any]) -> str:
    """The reason why nothing goes there, of the operator first."""
    reason = row["reason"] or WAITS.get(row.get("waits_for", ""), "")
    if not row.get("paused_since"):
        return str(reason)
    paused = f"by {row['paused_by']} since {local_time(row['paused_since'])}"
    return f"{paused}; {reason}" if reason else paused


def _groups(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The groups of which one member gets an object; nothing where there are none."""
    if rows:
        yield ""
        yield table(
            ("group", "kind", "sends to", "given up", "doubtful", "waiting", "why"),
            [
                (
                    row["name"],
                    row["kind"],
                    row["chosen"],
                    ", ".join(member["destination"] for member in row["members"] if member["is_given_up"]),
                    sum(member["doubtful"] for member in row["members"]),
                    _waiting(row["members"]),
                    row["why"],
                )
                for row in rows
            ],
        )


def _waiting(members: list[dict[str, Any]]) -> str:
    """The deliveries that wait for each member of a balance group; empty for others."""
    counted = [member for member in members if member.get("waiting") is not None]
    return ", ".join(f"{member['destination']} {member['waiting']}" for member in counted)


def _state(row: dict[str, Any]) -> str:
    if row.get("paused_since"):
        return "paused"
    if not row["is_configured"]:
        return "unconfigured"
    if row.get("waits_for") == "window" and row["is_up"] is not False:
        return "closed"
    is_known = row["is_up"] is not None or row.get("is_here", True)
    return UP[row["is_up"]] if is_known else "elsewhere"


def _queue(rows: list[dict[str, Any]]) -> str:
    return table(
        ("queue of", "state", "deliveries", "size", "oldest"),
        [
            (
                row["destination"] or "-",
                row["state"],
                row["count"],
                size(row["size_bytes"]),
                local_time(row["oldest_at"]) if row["oldest_at"] else "",
            )
            for row in rows
        ],
    )


def _collections(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Studies and series that are collected; nothing where none is."""
    if not rows:
        return
    heads = ("collection", "open", "overdue", "oldest open", "ended", "left out: late", "left out: again")
    yield ""
    yield table(
        heads,
        [
            (
                row["name"] + (f" ({row['unreadable']} of another version)" if row["unreadable"] else ""),
                row["open"],
                row["overdue"],
                local_time(row["oldest_at"]) if row["oldest_at"] else "",
                ", ".join(f"{number} {result}" for result, number in row["ended"].items()),
                row["left_out"]["late"],
                row["left_out"]["again"],
            )
            for row in rows
        ],
    )


def require_ours(found: dict[str, Any], settings: Settings) -> None:
    """Exit 1 when another gateway answers at the address of these rules: their spools tell them apart."""
    difference = other_gateway(found, settings)
    if not difference:
        return
    assert settings.http is not None
    address = f"{settings.http.address}:{settings.http.port}"
    fail(
        f"another gateway answers at {address}: {difference}; give one of them another `gateway.http.address`, or ask "
        f"that gateway with --http {address}"
    )


def why_nothing_answers(settings: Settings) -> str:
    """The reason why nothing answers: a gateway may be there all the same."""
    spool, queue = Path(settings.spool.path), local_path(settings)
    if not may_look_at(spool) or (queue is not None and not may_look_at(queue)):
        return "; whether it runs cannot be seen by this user: run the command as the gateway's user"
    if is_in_use(settings):
        return (
            "; a gateway holds the spool all the same: it is starting, hangs, or was started with another "
            "`gateway.http.address`; see its log"
        )
    return "; no gateway holds the spool: it is not running, and the log of the last one says why it ended"
